"""Files that macOS and Windows leave next to data are skipped in every format, in folders and archives."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.bitext import open_bitext
from engine.bitext.files import files_in, is_companion
from engine.datahome.formats.recognise import recognise

APPLE_DOUBLE = b"\0\5\x16\7\0\2\0\0Mac OS X        \xff"
TMX = (
    '<tmx version="1.4"><header/><body><tu><tuv xml:lang="en"><seg>one</seg></tuv>'
    '<tuv xml:lang="so"><seg>kow</seg></tuv></tu></body></tmx>'
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("__MACOSX/._a.en", True), ("a/__MACOSX/b.tmx", True), (".DS_Store", True), ("qrels/._dev.tsv", True),
        ("Thumbs.db", True), ("a\\Desktop.ini", True), (".git/config", True), ("$RECYCLE.BIN/a.en", True),
        ("a.en", False), ("./a.en", False), ("../a.en", False), ("thumbs.db.en", False), ("_a.en", False),
    ],
)  # fmt: skip
def test_names_of_companions(name: str, expected: bool) -> None:
    assert is_companion(name) is expected


def companions(folder: Path) -> None:
    """Put a companion next to every file, as macOS does on foreign file systems, and those of Windows."""
    for file in [file for file in folder.rglob("*") if file.is_file()]:
        file.with_name(f"._{file.name}").write_bytes(APPLE_DOUBLE)
        copy = folder / "__MACOSX" / file.relative_to(folder).with_name(f"._{file.name}")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(APPLE_DOUBLE)
    for inner in [folder, *(entry for entry in folder.rglob("*") if entry.is_dir())]:
        for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
            (inner / name).write_bytes(b"\0\0\0\1Bud1")


def write(folder: Path, kind: str) -> None:
    if kind == "gettext":
        for locale, text in (("so", "kow"), ("sw", "moja")):
            inner = folder / locale / "LC_MESSAGES"
            inner.mkdir(parents=True)
            (inner / "app.po").write_text(f'msgid ""\nmsgstr ""\n\nmsgid "one"\nmsgstr "{text}"\n')
        return
    table = pa.table({"so": ["kow"], "en": ["one"]})
    (folder / "data").mkdir()
    if kind == "parquet":
        pq.write_table(table, folder / "data" / "train-00000-of-00001.parquet")
    elif kind == "arrow":
        path = str(folder / "json-train.arrow")
        with pa.OSFile(path, "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)
    elif kind == "moses":
        (folder / "c.so").write_text("kow\n")
        (folder / "c.en").write_text("one\n")
    elif kind == "tmx":
        (folder / "c.tmx").write_text(TMX)


@pytest.mark.parametrize("kind", ["gettext", "parquet", "arrow", "moses", "tmx"])
def test_companions_in_a_folder(tmp_path: Path, kind: str) -> None:
    write(tmp_path, kind)
    before = files_in(tmp_path)
    companions(tmp_path)
    assert files_in(tmp_path) == before
    assert recognise(tmp_path).languages["so"].counts == {"pairs": 1}
    path = {"moses": tmp_path / "c", "tmx": tmp_path / "c.tmx"}.get(kind, tmp_path)
    assert [(pair.source, pair.target) for pair in open_bitext(path, language="so")] == [("kow", "one")]


@pytest.mark.parametrize("kind", ["moses", "tmx"])
def test_companions_in_an_archive(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    write(folder, kind)
    companions(folder)
    path = tmp_path / "notes.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, f"notes/{file.relative_to(folder)}")
        archive.writestr("__MACOSX/notes/._c.en", APPLE_DOUBLE)
    assert [(pair.source, pair.target) for pair in open_bitext(path, language="so")] == [("kow", "one")]
    assert recognise(path).languages["so"].counts == {"pairs": 1}
