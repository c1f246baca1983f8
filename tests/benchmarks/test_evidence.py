"""Tables of the documentation are recomputed from their scores."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from engine.config import parse_config
from engine.errors import InputError
from engine.results.run_folder import RunFolder

ROOT = Path(__file__).parents[2]


@pytest.fixture
def evidence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """The script, for documents in a folder of its own."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    module = importlib.import_module("evidence")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "FOLDER", tmp_path / "docs" / "evidence")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "recipe.md").write_text(
        "# Recipe\n\n<!-- gains:begin -->\n<!-- gains:end -->\n", "utf-8"
    )
    yield module


def write_run(runs: Path, config: Any, values: np.ndarray) -> None:
    run = RunFolder.create(runs, config, ["optical-workbench"])
    common = {
        **{"collection": "afriqa", "revision": "r1", "protocol": "afriqa", "scoring": "maxsim"},
        **{"direction": "xx-en", "query_language": "ha", "document_language": "en", "measure": "nDCG@10"},
    }
    mean = {"value": float(values.mean()), "low": None, "high": None, "queries": len(values)}
    run.write_table("scores", [{**common, **mean}])
    scores = [
        {**common, "query_id": f"ha:{place}", "value": float(value)} for place, value in enumerate(values)
    ]
    run.write_table("query_scores", scores)
    if config.kind == "distil":
        about = {"collection": "afriqa", "revision": "r1", "kind": "clean"}
        run.write_table(
            "topics",
            [{**about, "topic": str(place), "value": "yes" if place < 30 else "no"} for place in range(40)],
        )
    run.finish("finished")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    zero = generator.uniform(0, 1, 40)
    bitext = [{"path": "x.tsv", "language": "ha"}]
    asked = [{"name": "bitext", "bitext": bitext}]
    first = {"kind": "evaluate", "name": "zero-shot", "encoder": {}, "collections": asked}
    write_run(tmp_path / "runs", parse_config(first), zero)
    for seed in range(3):
        config = parse_config({"kind": "distil", "name": f"contrast-{seed}", "seed": seed, "bitext": bitext})
        write_run(tmp_path / "runs", config, zero + 0.1 + generator.normal(0, 0.02, 40))
    return tmp_path / "results.duckdb"


def call(evidence: Any, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["evidence.py", *arguments])
    return int(evidence.main())


def test_a_table_is_added_checked_and_found_out(
    evidence: Any, results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--add", "gains", "--doc", "docs/recipe.md", "--results", str(results), "--collection", "afriqa"]
    given += [
        "--measure",
        "nDCG@10",
        "--systems",
        "zero-shot",
        "contrast-*",
        "--labels",
        "zero-shot",
        "contrast",
    ]
    assert call(evidence, monkeypatch, *given) == 0
    document = evidence.ROOT / "docs" / "recipe.md"
    text = document.read_text("utf-8")
    line = next(line for line in text.splitlines() if line.startswith("| contrast | 3 |"))
    assert "better" in line and "p: one comparison" in text and "units: 40 topics" in text
    assert pq.read_table(evidence.FOLDER / "gains.parquet").num_rows == 4 * 40
    assert call(evidence, monkeypatch, "--check") == 0
    document.write_text(text.replace("better", "equivalent"), "utf-8")
    capsys.readouterr()
    assert call(evidence, monkeypatch, "--check") == 1
    assert "recipe.md" in (said := capsys.readouterr().err) and "table 'gains' differs" in said
    assert call(evidence, monkeypatch, "--write") == 0 == call(evidence, monkeypatch, "--check")
    # The clean part, which only trained runs know.
    assert call(evidence, monkeypatch, *given, "--topics", "clean=yes") == 0
    assert "units: 30 topics" in document.read_text("utf-8")


def test_what_lacks_scores_is_named(
    evidence: Any, results: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    given = ["--add", "gains", "--doc", "docs/recipe.md", "--results", str(results), "--collection", "afriqa"]
    assert call(evidence, monkeypatch, *given, "--measure", "RR", "--systems", "zero-shot", "contrast-0") == 1
    assert "zero-shot has no scores of RR on afriqa" in capsys.readouterr().err
    with pytest.raises(InputError, match="list of tables cannot be read"):
        evidence.read_list()


def test_every_shipped_table_has_its_scores() -> None:
    import tomllib

    listed = tomllib.loads((ROOT / "docs" / "evidence" / "tables.toml").read_text("utf-8"))["tables"]
    for entry in listed:
        assert (ROOT / entry["doc"]).is_file()
        if "scores" in entry:
            assert (ROOT / "docs" / "evidence" / entry["scores"]).is_file()
    assert len({entry["name"] for entry in listed}) == len(listed)


@pytest.mark.slow
def test_the_tables_of_the_documents_are_those_of_their_scores() -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/evidence.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.dumps(done.stdout).count("as recomputed") >= 2
