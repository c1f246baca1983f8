"""Sentence pairs in the columns of Arrow tables, and the files of one split of a dataset."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.bitext.files import damage_named, files_in, shards
from engine.bitext.formats.keys import SAMPLE, PairKeys, id_key, language_word, score_key
from engine.errors import InputError
from engine.extensions.bitext import SentencePair
from engine.languages import is_common_word

if TYPE_CHECKING:
    import pyarrow as pa

#: Rows that are decoded at once.
ROWS = 512
#: File name of a shard: split, number, and number of shards.
_SHARD = re.compile(r"(?P<split>.+)-(?P<number>\d{5})-of-(?P<of>\d{5})(-[0-9a-f]+)?\.(parquet|arrow)")
#: Name of a split in the name of a file that is not a shard.
_SPLIT = re.compile(r"(?:^|[-_.])(train|test|validation|valid|val|dev|eval)(?=[-_.])")


def split_files(path: Path, ending: str) -> list[Path]:
    """Return the files of one split, in their order.

    Parameters
    ----------
    path : Path
        A file, a folder with the files of one split in it or in its folder ``data``, or the prefix of the
        shards (``FOLDER/data/train``).
    ending : str
        Ending of the files' names.

    Raises
    ------
    InputError
        If there is no such file, there are several splits, or a shard is missing.
    """
    if path.is_file():
        return [path]
    found = [file for file in shards(path) if file.suffix == ending]
    if path.is_dir():
        found = files_in(path, f"*{ending}") or files_in(path, f"data/*{ending}")
    # Hugging Face's library stores what it computes from a dataset next to it, under this name.
    found = [file for file in found if not file.name.startswith("cache-")]
    if not found:
        raise InputError(f"there is no {ending} file in it", path=path)
    splits: dict[str, list[Path]] = {}
    for file in found:
        splits.setdefault(_split_of(file), []).append(file)
    if len(splits) > 1:
        names = ", ".join(sorted(split or "others" for split in splits))
        raise InputError(
            f"it holds several splits ({names}); give the path of one's file, without its number if there "
            "are several files (data/train)",
            path=path,
        )
    shard = _SHARD.fullmatch(found[0].name)
    if shard is not None and len(found) != int(shard["of"]):
        raise InputError(f"{len(found)} of its {int(shard['of'])} files are there; fetch the rest", path=path)
    return found


def _split_of(file: Path) -> str:
    shard = _SHARD.fullmatch(file.name)
    if shard is not None:
        return shard["split"]
    named = _SPLIT.search(file.name)
    return "" if named is None else named[1]


@contextmanager
def table_errors(path: Path) -> Iterator[None]:
    """Raise an InputError in place of Arrow's exceptions for damaged files."""
    import pyarrow as pa

    try:
        with damage_named(path):
            try:
                yield
            except OSError as error:
                if error.errno is not None:
                    raise
                raise pa.ArrowException(str(error)) from error  # raised by Arrow, not by the system
    # UnicodeDecodeError: the name of a column is not UTF-8.
    except (pa.ArrowException, MemoryError, OverflowError, UnicodeDecodeError) as error:
        raise InputError(
            f"the file is damaged or of another format ({_first_line(error)}); fetch it again", path=path
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().split("\n")[0] or type(error).__name__)[:200].rstrip(".")


def checked(batches: Iterable[pa.RecordBatch], path: Path) -> Iterator[pa.RecordBatch]:
    """Yield batches of at most `ROWS` rows, after a check that buffers are valid and texts are UTF-8."""
    remaining = iter(batches)
    while True:
        with table_errors(path):
            batch = next(remaining, None)
            if batch is None:
                return
            batch.validate(full=True)
        for start in range(0, len(batch), ROWS):
            yield batch.slice(start, ROWS)


def pairs_in(
    files: list[Path],
    open_batches: Callable[[Path], Iterator[pa.RecordBatch]],
    source: str,
    target: str,
) -> Iterator[SentencePair]:
    """Yield the rows of files as pairs; the default id of a pair is its row number over all files."""
    row = 0
    chooser: PairKeys | None = None
    for path in files:
        for batch in open_batches(path):
            with table_errors(path):
                if chooser is None:
                    chooser = PairKeys(source, target, path, _sample(batch))
                names, texts, scores = _columns(batch, path, chooser, (source, target))
            sides = [[text or "" for text in column.to_pylist()] for column in texts]
            named = names.to_pylist() if names is not None else [None] * len(batch)
            scored = scores.to_pylist() if scores is not None else [None] * len(batch)
            for name, first, second, score in zip(named, *sides, scored, strict=True):
                row += 1
                known = score is not None and score == score  # NaN is no score
                number = str(row if name is None else name)
                yield SentencePair(first, second, source, target, number, float(score) if known else None)


def _text_columns(batch: pa.RecordBatch) -> dict[str, pa.Array]:
    """Return the columns that may be sentences: those of the batch, or of its struct ``translation``."""
    import pyarrow as pa

    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    inner = columns.get("translation")
    if inner is not None and pa.types.is_struct(inner.type):
        return dict(zip((field.name for field in inner.type), inner.flatten(), strict=True))
    return columns


def _sample(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Return the first values of the columns whose names are common words, as records."""
    found = {
        name: column for name, column in _text_columns(batch).items() if is_common_word(language_word(name))
    }
    values = [column.slice(0, SAMPLE).to_pylist() for column in found.values()]
    return [dict(zip(found, row, strict=True)) for row in zip(*values, strict=True)]


def _columns(
    batch: pa.RecordBatch, path: Path, chooser: PairKeys, wanted: tuple[str, str]
) -> tuple[pa.Array | None, list[pa.Array], pa.Array | None]:
    """Return a batch's ids, its source and target sentences, and its scores."""
    import pyarrow as pa

    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    texts = _text_columns(batch)
    keys = chooser.find(texts)
    if keys is None:
        shown = ", ".join(" ".join(name.split())[:60] for name in texts)
        raise InputError(
            f"no columns for {wanted[0]!r} and {wanted[1]!r}; its columns are: {shown or 'none'}",
            path=path,
        )
    for key in keys:
        if not _is_text(texts[key].type):
            raise InputError(f"column {key!r} holds {texts[key].type}, not sentences", path=path)
    scored = score_key(columns)
    if scored is not None and not _is_number(columns[scored].type):
        raise InputError(f"column {scored!r} holds {columns[scored].type}, not numbers", path=path)
    identifier = id_key(columns, keys if texts.keys() == columns.keys() else ())
    named = None if identifier is None else columns[identifier]
    if named is not None and not (_is_text(named.type) or pa.types.is_integer(named.type)):
        named = None
    return named, [texts[key] for key in keys], None if scored is None else columns[scored]


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return kind in (pa.string(), pa.large_string(), pa.string_view())


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def column_names(schema: pa.Schema) -> Iterator[str]:
    """Yield the names of the columns that may be sentences: those of a struct are its fields' names."""
    import pyarrow as pa

    for field in schema:
        nested = [inner.name for inner in field.type] if pa.types.is_struct(field.type) else [field.name]
        yield from (word for name in nested if (word := language_word(name)) and name.casefold() != "id")
