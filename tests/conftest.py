"""Fixtures shared by all rooms."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Nothing in a test may reach for a hub: a missing file must fail at once, not after a network time-out.
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def data_home() -> Path:
    """The folder of real data that ``OPTICAL_DATA`` names."""
    home = os.environ.get("OPTICAL_DATA")
    if not home:
        pytest.skip("OPTICAL_DATA does not name the folder of real data")
    return Path(home).resolve()


@pytest.fixture(autouse=True)
def own_places(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests out of the user's cache and results; the converted checkpoints are shared in a session."""
    monkeypatch.setenv("OPTICAL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.delenv("OPTICAL_RESULTS", raising=False)
