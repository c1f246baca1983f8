"""Sentence pairs in files of comma-separated values whose first line names the columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from engine.bitext.files import damage_named, open_bytes
from engine.bitext.formats.columns import checked, column_names, pairs_in, split_files, table_errors
from engine.bitext.formats.keys import language_keys, role_keys, score_key
from engine.errors import InputError
from engine.extensions.bitext import BitextFormat, Sample, SentencePair

if TYPE_CHECKING:
    import pyarrow as pa

#: Bytes that Arrow's parser takes at once; a row is shorter.
_BLOCK = 1 << 22


def read_csv(path: Path, source: str, target: str) -> Iterator[SentencePair]:
    """Yield the rows of a CSV file, or of all CSV files of one split in their order.

    The first line names the columns as in Parquet files (`engine.bitext.formats.parquet`). Cells are
    separated by commas and may be quoted.

    Parameters
    ----------
    path : Path
        A file, or a folder with the files of one split in it or in its folder ``data``.
    source, target : str
        Language codes.

    Raises
    ------
    InputError
        If there is no such file, there are several splits, a file is damaged, or the columns of the two
        languages are not found.
    """
    yield from pairs_in(split_files(path, ".csv"), _batches, source, target)


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    names = _header(path)
    scored = score_key(names)
    types = {name: pa.float64() if name == scored else pa.string() for name in names}
    with open_bytes(path) as stream, table_errors(path):
        reader = arrow_csv.open_csv(
            stream,
            read_options=arrow_csv.ReadOptions(block_size=_BLOCK, use_threads=False),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(column_types=types),
        )
        yield from checked(reader, path)


def _header(path: Path) -> list[str]:
    """Return the names in the first line."""
    with open_bytes(path) as stream, damage_named(path):
        start = stream.readline(_BLOCK)
    try:
        names = next(csv.reader(io.StringIO(start.decode("utf-8-sig"))), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"its first line names no columns ({error}); convert it to UTF-8", path=path
        ) from error
    if len(set(names)) < len(names):
        raise InputError("two columns have one name in the first line; rename one", path=path, line=1)
    return names


def _matches(sample: Sample) -> bool:
    if not sample.lines or "," not in sample.lines[0] or "\t" in sample.lines[0]:
        return False
    try:
        rows = list(islice(csv.reader(io.StringIO("\n".join(sample.lines[:20]))), 2))
    except csv.Error:
        return False
    if len(rows) < 2 or len(rows[0]) != len(rows[1]):
        return False
    record = dict(zip(*rows, strict=True))
    return role_keys(record) is not None or len(language_keys([record])) >= 2


def _languages(path: Path, names: Sequence[str]) -> Iterator[str]:
    import pyarrow as pa

    return column_names(pa.schema([(name, pa.string()) for name in _header(path)]))


CSV = BitextFormat(
    name="csv",
    meaning="comma-separated values whose first line names the columns, by language or source and target",
    title="pairs in comma-separated values",
    read=read_csv,
    endings=(".csv", ".csv.gz", ".csv.xz"),
    matches=_matches,
    languages=_languages,
)
