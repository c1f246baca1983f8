"""A finished distillation, made by the public API."""

from __future__ import annotations

from typing import Any

import pytest

import optical_workbench as ow


@pytest.fixture(scope="session")
def finished(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> ow.Run:
    """A distillation on the tiny checkpoint, evaluated on ciphers."""
    home = tmp_path_factory.mktemp("api")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPTICAL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        return ow.run(tiny.settings(), results=home / "mine.duckdb", progress=False)
