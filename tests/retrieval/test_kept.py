"""Values that are kept on disk: damage, a full disk, another version and two runs at once lose nothing."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from engine.retrieval import kept as module
from engine.retrieval.kept import Kept

VALUES = [(f"text {number}", bytes([number]) * 5000) for number in range(60)]


def test_values_are_found_by_another_run(tmp_path: Path) -> None:
    file = tmp_path / "made" / "kept.sqlite"
    Kept(file).put(VALUES)
    again = Kept(file)
    assert all(again.get(text) == value for text, value in VALUES)
    assert again.get("another text") is None
    assert list(again.missing(["text 3", "new", "text 4"])) == ["new"]
    again.put([("text 3", b"other")])
    assert Kept(file).get("text 3") == b"other"


def test_without_a_file_values_are_kept_in_memory() -> None:
    kept = Kept(None)
    kept.put(VALUES)
    assert kept.get("text 7") == VALUES[7][1]


def test_the_oldest_values_make_room(tmp_path: Path) -> None:
    file = tmp_path / "kept.sqlite"
    kept = Kept(file, limit=200_000)
    for value in VALUES:
        kept.put([value])
    left = [text for text, _ in VALUES if kept.get(text) is not None]
    assert left == [text for text, _ in VALUES[-len(left) :]] and 10 < len(left) < 50
    assert file.stat().st_size < 300_000


@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\0" + b"x" * 9000])
def test_a_file_that_is_no_database_is_made_again(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "kept.sqlite"
    file.write_bytes(content)
    kept = Kept(file)
    kept.put(VALUES)
    assert kept.trouble == "" and Kept(file).get("text 1") == VALUES[1][1]


def test_a_file_cut_short_while_it_is_used_is_made_again(tmp_path: Path) -> None:
    file = tmp_path / "kept.sqlite"
    kept = Kept(file)
    kept.put(VALUES)
    kept.close()
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 3])
    kept = Kept(file)
    missing = list(kept.missing(text for text, _ in VALUES))
    kept.put([value for value in VALUES if value[0] in missing])
    for text, value in VALUES:
        if kept.get(text) is None:
            kept.put([(text, value)])
        assert kept.get(text) == value


def test_a_damaged_value_is_not_returned(tmp_path: Path) -> None:
    file = tmp_path / "kept.sqlite"
    Kept(file).put(VALUES)
    with sqlite3.connect(file) as database:
        database.execute("UPDATE kept SET value = zeroblob(length(value)) WHERE number = 8")
    kept = Kept(file)
    assert kept.get("text 7") is None and kept.get("text 8") == VALUES[8][1]


def test_what_another_version_made_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "kept.sqlite"
    Kept(file).put(VALUES)
    monkeypatch.setattr(module, "SCHEMA", 99)
    assert Kept(file).get("text 1") is None


def test_a_full_disk_leaves_the_values_in_memory(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "kept.sqlite")
    kept._file.execute("PRAGMA max_page_count = 8")
    kept.put(VALUES)
    assert "full" in kept.trouble and kept.get("text 1") == VALUES[1][1]


def test_a_folder_that_cannot_be_made_leaves_the_values_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    kept = Kept(tmp_path / "file" / "kept.sqlite")
    kept.put(VALUES)
    assert kept.trouble and kept.get("text 1") == VALUES[1][1]


def test_two_runs_fill_one_file(tmp_path: Path) -> None:
    file = tmp_path / "kept.sqlite"
    program = (
        "import sys\nfrom pathlib import Path\nfrom engine.retrieval.kept import Kept\n"
        "kept = Kept(Path(sys.argv[1]))\n"
        "for n in range(200): kept.put([(f'{sys.argv[2]} {n}', bytes(3000)), (f'shared {n}', bytes(3000))])\n"
    )
    runs = [subprocess.Popen([sys.executable, "-c", program, str(file), name]) for name in ("a", "b")]
    assert [run.wait() for run in runs] == [0, 0]
    kept = Kept(file)
    assert list(kept.missing(f"{name} {n}" for name in ("a", "b", "shared") for n in range(200))) == []
