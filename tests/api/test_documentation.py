"""The code on docs/python.md runs as it is written there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from engine.cli import toml

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


def test_the_page_runs(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    test = [{"path": str(tiny.test["sw"]), "language": "so"}]
    settings = tiny.settings(
        name="somali",
        bitext=[{"path": str(tiny.training["sw"]), "language": "so"}],
        collections=[{"name": "bitext", "label": "ciphers", "bitext": test}],
    )
    Path("somali.toml").write_text(toml.dump(settings), "utf-8")
    Path("other.tsv").write_bytes(tiny.test["mr"].read_bytes())
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 10
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert names["needs"].seconds > 0 and names["needs"].stages
    assert names["vectors"].sentences.shape == (2, 32) and names["frame"].value.between(0, 1).all()
    assert names["hits"][0].rank == 1 and names["plan"].plan.shape == names["plan"].cost.shape
    assert Path("plan.svg").is_file() and names["elsewhere"].config.kind == "evaluate"
