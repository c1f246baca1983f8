"""What runs and the cache take on disk, and what of it is deleted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.config import parse_config
from engine.jobs.disk import KINDS, removable, remove, sizes
from engine.paths import cache_home
from engine.results.run_folder import RunFolder


def make(runs: Path, identity: str, state: str = "finished", **changes: Any) -> RunFolder:
    config = {
        "kind": "distil",
        "name": "d",
        "bitext": [{"path": "x.tsv", "language": "so"}],
        **changes,
    }
    run = RunFolder.create(runs, parse_config(config), ["x"], identity)
    (run.checkpoints / "student").mkdir()
    (run.checkpoints / "student" / "model.changes.safetensors").write_bytes(bytes(1000))
    (run.checkpoints / "student" / "optical.json").write_text("{}")
    (run.checkpoints / "teacher").mkdir()
    (run.checkpoints / "teacher" / "optical.json").write_text("{}")
    (run.checkpoints / "state.safetensors").write_bytes(bytes(500))
    (run.path / "rankings.parquet").write_bytes(bytes(70))
    (run.path / "query_scores.parquet").write_bytes(bytes(30))
    (run.path / "query_scores-1.parquet").write_bytes(bytes(5))
    if state != "running":
        run.finish(state)  # type: ignore[arg-type]
    return run


def test_sizes_add_up_to_all_files(tmp_path: Path) -> None:
    run = make(tmp_path, "one")
    found = sizes(run.path)
    assert tuple(found) == KINDS
    assert {kind: found[kind] for kind in ("encoders", "state", "rankings", "scores", "texts")} == {
        "encoders": 1004,
        "state": 500,
        "rankings": 70,
        "scores": 35,
        "texts": 0,
    }
    assert sum(found.values()) == sum(p.stat().st_size for p in run.path.rglob("*") if p.is_file())


def test_scores_records_and_resumable_runs_are_kept(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    finished, stopped = make(runs, "finished"), make(runs, "stopped", "stopped")
    running = make(runs, "running", "running")
    (runs / ".deleted-old").mkdir()
    (runs / ".deleted-old" / "log.txt").write_bytes(bytes(9))
    kept = {p: p.read_bytes() for run in (stopped, running) for p in run.path.rglob("*") if p.is_file()}
    tables = {p: p.read_bytes() for p in finished.path.glob("*.*")}
    found = removable(runs, ["finished", "stopped", "running", "gone"], ["states", "encoders"])
    assert [(item.part, item.owner, item.size) for item in found] == [
        ("states", ".deleted-old", 9),
        ("states", "finished", 500),
        ("encoders", "finished", 1002),
    ]
    assert remove(found) == 1511
    assert not (runs / ".deleted-old").exists()
    assert sorted(p.name for p in finished.checkpoints.iterdir()) == ["teacher"]
    for path, content in {**kept, **tables}.items():
        assert path.read_bytes() == content
    assert removable(runs, ["finished", "stopped", "running"], ["states", "encoders"]) == []


def test_encoders_that_another_run_names_are_kept(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    first = make(runs, "first")
    make(runs, "second", student={"checkpoint": str(first.path / "checkpoints" / "student")})
    found = removable(runs, ["first"], ["encoders"])
    assert [item.kept for item in found] == ["second uses them"]
    assert remove(found) == 0
    assert (first.checkpoints / "student" / "model.changes.safetensors").is_file()


def test_what_a_killed_deletion_of_encoders_left_is_found(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    run = make(runs, "one")
    killed = """
import os, shutil, sys
from pathlib import Path
from engine.jobs.disk import removable, remove
shutil.rmtree = lambda path: os._exit(9)
remove(removable(Path(sys.argv[1]), ["one"], ["encoders"]))
"""
    assert subprocess.run([sys.executable, "-c", killed, str(runs)]).returncode == 9
    assert not (run.checkpoints / "student").exists()
    (left,) = removable(runs, ["one"], ["states"])
    assert left.size == 500 + 1002
    remove([left])
    assert [path.name for path in run.checkpoints.iterdir()] == ["teacher"]


def test_links_are_not_followed(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    run = make(runs, "linked")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(bytes(100))
    (run.checkpoints / "student" / "link").symlink_to(outside)
    assert sizes(run.path)["encoders"] == 1004
    remove(removable(runs, ["linked"], ["encoders"]))
    assert (outside / "precious").is_file()


def test_caches_go_and_converted_checkpoints_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTICAL_CACHE", str(tmp_path / "cache"))
    for name in ("vectors", "checkpoints", "hashes"):
        (cache_home() / name).mkdir(parents=True)
        (cache_home() / name / "file").write_bytes(bytes(10))
    found = removable(tmp_path / "runs", [], ["caches"])
    assert [item.owner for item in found] == ["vectors", "hashes"]
    assert remove(found) == 20
    assert [p.name for p in cache_home().iterdir()] == ["checkpoints"]
