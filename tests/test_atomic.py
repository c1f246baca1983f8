"""A file is replaced whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.atomic import replacing, write_file
from engine.errors import OpticalError


def test_a_file_is_replaced_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "plan.svg"
    path.write_text("old")
    with replacing(path) as temporary:
        assert temporary.parent == tmp_path and temporary.suffix == ".svg"
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [file.name for file in tmp_path.iterdir()] == ["plan.svg"]


@pytest.mark.parametrize("written", [False, True])
def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path: Path, written: bool) -> None:
    path = tmp_path / "run.json"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        if written:
            temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize("sync", [True, False])
def test_content_is_on_the_disk_before_it_replaces_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync: bool
) -> None:
    events: list[str] = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda file: (events.append("fsync"), fsync(file))[1])
    monkeypatch.setattr(Path, "replace", lambda *paths: (events.append("replace"), replace(*paths))[1])
    with replacing(tmp_path / "a", sync=sync) as temporary:
        temporary.write_text("1")
    assert events == ["fsync"] * sync + ["replace"]


def test_a_folder_that_is_missing_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(OpticalError, match=r"none/a: cannot be written: No such file or directory"):
        write_file(tmp_path / "none" / "a", b"")


def test_a_reader_never_sees_a_part(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    write_file(path, b"0" * 100_000)
    code = f"""
from pathlib import Path
from engine.atomic import write_file
for number in range(300):
    write_file(Path({str(path)!r}), str(number % 10).encode() * 100_000)
"""
    with subprocess.Popen([sys.executable, "-c", code]) as writer:
        while writer.poll() is None:
            content = path.read_bytes()
            assert len(content) == 100_000 and len(set(content)) == 1
    assert writer.returncode == 0
