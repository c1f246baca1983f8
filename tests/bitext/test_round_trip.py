"""Pairs that are written in every format are read unchanged, except for NFC and white space."""

from __future__ import annotations

import gzip
import json
import tempfile
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path
from xml.sax.saxutils import escape

import polib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.bitext import open_bitext

Texts = list[tuple[str, str]]

# All characters except controls, lone surrogates and code points that XML forbids; with U+2028 and U+00A0.
SENTENCE = st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn")), max_size=30)
PAIRS = st.lists(st.tuples(SENTENCE, SENTENCE), max_size=8)


def clean(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def expected(pairs: Texts) -> Texts:
    cleaned = [(clean(source), clean(target)) for source, target in pairs]
    return [pair for pair in dict.fromkeys(cleaned) if all(pair)]


def tmx_text(pairs: Texts) -> str:
    units = "".join(
        f'<tu><tuv xml:lang="en-GB"><seg>{escape(target)}</seg></tuv>'
        f'<tuv xml:lang="som"><seg>{escape(source)}</seg></tuv></tu>'
        for source, target in pairs
    )
    return f'<?xml version="1.0"?><tmx version="1.4"><header/><body>{units}</body></tmx>'


def write_tmx(folder: Path, pairs: Texts) -> Path:
    folder.joinpath("a.tmx").write_text(tmx_text(pairs), encoding="utf-8")
    return folder / "a.tmx"


def write_tmx_zip(folder: Path, pairs: Texts) -> Path:
    with zipfile.ZipFile(folder / "a.tmx.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner/a.tmx", tmx_text(pairs))
    return folder / "a.tmx.zip"


def write_tmx_gz(folder: Path, pairs: Texts) -> Path:
    folder.joinpath("a.tmx.gz").write_bytes(gzip.compress(tmx_text(pairs).encode("utf-16")))
    return folder / "a.tmx.gz"


def write_moses(folder: Path, pairs: Texts) -> Path:
    for code, side in (("so", 0), ("eng", 1)):
        lines = "".join(pair[side] + "\n" for pair in pairs)
        folder.joinpath(f"x.so-en.{code}").write_bytes(lines.encode())
    return folder / "x.so-en"


def write_moses_zip(folder: Path, pairs: Texts) -> Path:
    prefix = write_moses(folder, pairs)
    with zipfile.ZipFile(folder / "x.zip", "w") as archive:
        for code in ("so", "eng"):
            archive.write(f"{prefix}.{code}", f"x.so-en.{code}")
        archive.writestr("README", "about")
    return folder / "x.zip"


def write_tsv(folder: Path, pairs: Texts) -> Path:
    lines = "".join(f"{source}\t{target}\n" for source, target in pairs)
    folder.joinpath("a.tsv").write_bytes(lines.encode())
    return folder / "a.tsv"


def write_scored_tsv(folder: Path, pairs: Texts) -> Path:
    lines = "".join(f"1.25\t{target}\t{source}\r\n" for source, target in pairs)
    folder.joinpath("W.en-so.tsv.gz").write_bytes(gzip.compress(lines.encode()))
    return folder / "W.en-so.tsv.gz"


def write_jsonl(folder: Path, pairs: Texts) -> Path:
    shapes = [
        lambda source, target: {"source": source, "target": target},
        lambda source, target: {"en": target, "so": source, "score": 1},
        lambda source, target: {"id": "7", "translation": {"so": source, "en": target}},
    ]
    records = [shapes[number % 3](*pair) for number, pair in enumerate(pairs)]
    lines = "".join(
        json.dumps(record, ensure_ascii=number % 2 == 0) + "\n" for number, record in enumerate(records)
    )
    folder.joinpath("a.jsonl").write_bytes(lines.encode())
    return folder / "a.jsonl"


@pytest.mark.parametrize(
    "write",
    [
        write_tmx, write_tmx_zip, write_tmx_gz, write_moses, write_moses_zip,
        write_tsv, write_scored_tsv, write_jsonl,
    ],
)  # fmt: skip
@given(pairs=PAIRS)
@settings(max_examples=40, deadline=None)
def test_pairs_are_read_as_they_were_written(write: Callable[[Path, Texts], Path], pairs: Texts) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pairs = [*pairs, ("dhammaad", "end")]
        path = write(Path(folder), pairs)
        read = list(open_bitext(path, language="so", max_ratio=1e6))
        assert [(pair.source, pair.target) for pair in read] == expected(pairs)
        assert {(pair.source_language, pair.target_language) for pair in read} == {("so", "en")}


# Placeholders, markup and mnemonics are removed from messages, so their characters are excluded here.
MESSAGE = st.text(
    st.characters(categories=("Lu", "Ll", "Lo", "Mn", "Nd", "Zs", "Po"), exclude_characters="%&_")
)
CATALOGUE = st.dictionaries(MESSAGE.filter(str.strip), MESSAGE, max_size=8)


@pytest.mark.parametrize("suffix", [".po", ".mo"])
@given(messages=CATALOGUE)
@settings(max_examples=40, deadline=None)
def test_catalogues_are_read_as_they_were_written(suffix: str, messages: dict[str, str]) -> None:
    catalogue = polib.POFile()
    catalogue.metadata = {"Content-Type": "text/plain; charset=utf-8", "Language": "so"}
    messages = {**messages, "end": "dhammaad"}
    catalogue.extend(polib.POEntry(msgid=english, msgstr=text) for english, text in messages.items())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"so{suffix}"
        (catalogue.save if suffix == ".po" else catalogue.save_as_mofile)(str(path))
        read = {(pair.source, pair.target) for pair in open_bitext(path, language="so", max_ratio=1e6)}

    def has_letter(text: str) -> bool:
        return any(unicodedata.category(character)[0] == "L" for character in text)

    spoken = [
        (text, english) for english, text in messages.items() if has_letter(text) and has_letter(english)
    ]
    assert read == set(expected(spoken))
