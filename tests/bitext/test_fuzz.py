"""For any content of a file, a reader yields pairs or raises one error that names the file."""

from __future__ import annotations

import gzip
import io
import lzma
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.bitext import Drops, SentencePair, open_bitext
from engine.errors import InputError

ROWS = [("kow", "one"), ("laba iyo", "two and"), ("saddéx", "three"), ("áfar", "four & more")]
TSV = "".join(f"{source}\t{target}\n" for source, target in ROWS).encode()
TABLE = pa.table({"so": [source for source, _ in ROWS], "en": [target for _, target in ROWS]})


def packed(write: Callable[[io.BytesIO], object]) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def zipped(**members: bytes) -> bytes:
    def write(buffer: io.BytesIO) -> None:
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name.replace("_", "."), content)

    return packed(write)


def streamed(buffer: io.BytesIO) -> None:
    with pa.ipc.new_stream(buffer, TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=2)


XML = "".join(
    f'<tu><tuv xml:lang="so"><seg>{s}</seg></tuv>'
    f'<tuv xml:lang="en"><seg>{t.replace("&", "&amp;")}</seg></tuv></tu>'
    for s, t in ROWS
)
TMX = f'<?xml version="1.0"?><tmx version="1.4"><header/><body>{XML}</body></tmx>'.encode()
UNITS = "".join(
    f'<trans-unit id="{s}"><source>{t.replace("&", "&amp;")}</source><target>{s}</target></trans-unit>'
    for s, t in ROWS
)
XLIFF = (
    '<xliff version="1.2"><file source-language="en" target-language="so"><body>'
    f"{UNITS}</body></file></xliff>"
).encode()
PO = 'msgid ""\nmsgstr "Language: so\\nContent-Type: text/plain; charset=utf-8\\n"\n\n' + "".join(
    f'msgid "{target}"\nmsgstr "{source}"\n\n' for source, target in ROWS
)
CSV = "so,en\n" + "".join(f'"{source}","{target}"\n' for source, target in ROWS)
FILES: dict[str, bytes] = {
    "a.tsv": TSV,
    "a.tsv.gz": gzip.compress(TSV, mtime=0),
    "a.tsv.xz": lzma.compress(TSV),
    "en_XX-so_SO.tsv": "".join(f"{target}\t{source}\t1.1\n" for source, target in ROWS).encode(),
    "a.jsonl": "".join(f'{{"so": "{source}", "en": "{target}"}}\n' for source, target in ROWS).encode(),
    "a.csv": CSV.encode(),
    "a.csv.gz": gzip.compress(CSV.encode(), mtime=0),
    "a.zip": zipped(
        x_so="".join(source + "\n" for source, _ in ROWS).encode(),
        x_en="".join(target + "\n" for _, target in ROWS).encode(),
    ),
    "a.tmx": TMX,
    "a.tmx.zip": zipped(x_tmx=TMX),
    "a.xlf": XLIFF,
    "a.po": PO.encode(),
    "a.parquet": packed(lambda buffer: pq.write_table(TABLE, buffer, write_page_checksum=True)),
    "a.arrow": packed(streamed),
}
#: Formats whose damage nothing can tell from other contents: text without check sums.
PLAIN = ("a.tsv", "a.csv", "en_XX-so_SO.tsv", "a.jsonl", "a.tmx", "a.xlf", "a.po", "a.arrow")


def read(name: str, content: bytes) -> list[SentencePair] | None:
    """Read `content` as a file `name`; return None if it is refused with an error that names the file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        drops = Drops()
        try:
            pairs = list(open_bitext(path, language="so", max_ratio=1e9, drops=drops))
        except InputError as error:
            sentence = str(error)
            assert sentence.startswith(str(path)) and "\n" not in sentence and "Traceback" not in sentence
            return None
    assert drops.kept == len(pairs) == drops.read - sum(drops.reasons().values())
    for pair in pairs:
        assert pair.source.strip() and pair.target.strip() and "\0" not in pair.source + pair.target
        assert (pair.source + pair.target).encode()  # no lone surrogates
    return pairs


@pytest.mark.parametrize("name", FILES)
def test_the_undamaged_files_are_read_completely(name: str) -> None:
    pairs = read(name, FILES[name])
    assert pairs is not None and [(pair.source, pair.target) for pair in pairs] == ROWS


@pytest.mark.parametrize("name", FILES)
@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_damaged_files_give_pairs_or_one_error_message(name: str, data: st.DataObject) -> None:
    content = bytearray(FILES[name])
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, max(0, len(content) - 1)))
        match data.draw(st.sampled_from(["cut", "flip", "insert", "delete", "repeat"])):
            case "cut":
                del content[place:]
            case "flip" if content:
                content[place] ^= data.draw(st.integers(1, 255))
            case "insert":
                odd = st.sampled_from(
                    [b"\0", b"\r", b"\xff", b"\xef\xbb\xbf", b"\t", b"\n", b'"', b"<", b"&x;"]
                )
                content[place:place] = data.draw(odd)
            case "delete":
                del content[place : place + data.draw(st.integers(1, 20))]
            case "repeat":
                content[place:place] = content[place : place + data.draw(st.integers(1, 40))]
    pairs = read(name, bytes(content))
    if pairs is not None and name not in PLAIN:
        # these formats have checksums: what is read is what was written
        assert {(pair.source, pair.target) for pair in pairs} <= set(ROWS)


@pytest.mark.parametrize("name", FILES)
@given(content=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
@settings(max_examples=30, deadline=None)
def test_other_contents_give_pairs_or_one_error_message(name: str, content: bytes) -> None:
    read(name, content)


@pytest.mark.parametrize(
    "name", [name for name in FILES if name not in ("a.tsv", "a.csv", "en_XX-so_SO.tsv", "a.po")]
)
def test_truncation_is_detected_or_gives_fewer_pairs(name: str) -> None:
    """No pair is changed; only in formats of plain lines can the end of a line be lost without an error."""
    content = FILES[name]
    for size in range(0, len(content), max(1, len(content) // 60)):
        pairs = read(name, content[:size])
        assert pairs is None or [(pair.source, pair.target) for pair in pairs] == ROWS[: len(pairs)]


@pytest.mark.parametrize("name", ["a.tsv", "a.jsonl", "en_XX-so_SO.tsv"])
def test_windows_line_ends_and_byte_order_marks_are_removed(name: str) -> None:
    for content in (FILES[name].replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + FILES[name]):
        pairs = read(name, content)
        assert pairs is not None and [(pair.source, pair.target) for pair in pairs] == ROWS
    assert read(name, FILES[name].decode().encode("utf-16")) is None
    assert read(name, FILES[name].decode().encode("latin-1")) is None


@pytest.mark.parametrize("name", FILES)
def test_empty_files_are_refused(name: str) -> None:
    assert read(name, b"") is None
