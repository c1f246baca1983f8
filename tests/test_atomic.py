"""A file is replaced whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from engine.atomic import replacing, replacing_folder, write_file
from engine.config import BitextConfig, DistilConfig
from engine.errors import OpticalError
from engine.results.run_folder import RunFolder


def test_a_file_is_replaced_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "plan.svg"
    path.write_text("old")
    with replacing(path) as temporary:
        assert temporary.parent.parent == tmp_path and temporary.name == "plan.svg"
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
    # The content before the name, and then the folder, which has the name.
    assert events == ["fsync", "replace", "fsync"] if sync else ["replace"]


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


WRITERS = {
    "a file": "with replacing(folder / 'state.safetensors') as place:\n    place.touch(); die()",
    "a folder": "with replacing_folder(folder / 'student') as place:\n    (place / 'model').touch(); die()",
    "an archive": "with staging(folder) as place:\n    (place / 'deep').mkdir(); die()",
}
WRITER = """
import os, signal, sys
from pathlib import Path
from engine.atomic import replacing, replacing_folder, staging
folder = Path(sys.argv[1])
def die():
    print(flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("what", WRITERS)
def test_what_a_killed_writer_left_is_removed_by_the_next_one(tmp_path: Path, what: str) -> None:
    command = [sys.executable, "-c", WRITER + WRITERS[what], str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None and writer.stdout.readline() == b"\n"
        (left,) = tmp_path.iterdir()
        write_file(tmp_path / "another", b"1")  # while the writer lives, its part stays
        assert {path.name for path in tmp_path.iterdir()} == {left.name, "another"}
        writer.kill()
    assert left.exists()
    write_file(tmp_path / "another", b"2")
    assert [path.name for path in tmp_path.iterdir()] == ["another"]


def test_what_only_looks_like_a_part_stays(tmp_path: Path) -> None:
    for name in (".optical-notes", "a.part", ".optical-1.part.txt"):
        (tmp_path / name).mkdir()
    (tmp_path / ".optical-file.part").write_text("a file of somebody")
    write_file(tmp_path / "a", b"")
    assert len(list(tmp_path.iterdir())) == 5


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    place = tmp_path / "new" / "student"
    for content in ("first", "second"):
        with replacing_folder(place) as building:
            (building / content).write_text(content)
        assert [path.name for path in place.iterdir()] == [content]
    with pytest.raises(ZeroDivisionError), replacing_folder(place) as building:
        raise ZeroDivisionError
    assert [path.name for path in place.iterdir()] == ["second"]
    assert [path.name for path in place.parent.iterdir()] == ["student"]


@pytest.mark.parametrize(
    ("code", "folders"),
    [(errno.EINVAL, True), (errno.ENOTSUP, True), (errno.EIO, True), (errno.EINVAL, False)],
)
def test_where_folders_cannot_be_flushed_runs_and_folders_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, folders: bool
) -> None:
    fsync = os.fsync

    def refusing(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode) == folders:
            raise OSError(code, os.strerror(code))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refusing)
    config = DistilConfig(bitext=[BitextConfig(path="x", language="so")])
    if code != errno.EIO and folders:
        run = RunFolder.create(tmp_path, config, [])
        with replacing_folder(run.checkpoints / "student") as building:
            (building / "model").write_text("1")
        assert (run.checkpoints / "student" / "model").read_text() == "1"
        return
    with pytest.raises(OpticalError, match=os.strerror(code)):
        RunFolder.create(tmp_path, config, [])
    with pytest.raises(OSError, match=os.strerror(code)), replacing_folder(tmp_path / "new") as building:
        (building / "model").write_text("1")
    assert not (tmp_path / "new").exists()


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    write_file(tmp_path / ("a" * 255), b"1")
    with pytest.raises(OpticalError, match="cannot be written: File name too long"):
        write_file(tmp_path / ("a" * 256), b"1")
    assert len(list(tmp_path.iterdir())) == 1
