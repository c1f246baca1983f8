"""Pairs in the columns of tables: Parquet files, and datasets that Hugging Face's library saved."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from engine.bitext.files import EXPANSION, HARMLESS, damage_named, exists, shards
from engine.bitext.pairs import SentencePair
from engine.bitext.records import pair_of_keys, score_key
from engine.errors import InputError

#: Rows decoded at once.
_ROWS = 512
#: How a file that is one of several is called: split, number, and how many there are.
_SHARD = re.compile(r"(?P<split>.+)-(?P<number>\d{5})-of-(?P<of>\d{5})(-[0-9a-f]+)?\.(parquet|arrow)")
#: A split's name in that of a file which is not one of several.
_SPLIT = re.compile(r"(?:^|[-_.])(train|test|validation|valid|val|dev|eval)(?=[-_.])")
#: The last bytes of a stream of Arrow messages that was written to its end.
_END = b"\xff\xff\xff\xff\0\0\0\0"


def read_parquet(path: Path, source: str, target: str) -> Iterator[SentencePair]:
    """Yield the rows of a Parquet file, or of the files of one split in their order.

    `engine.bitext.records` says how columns may be called; they may also lie in a column ``translation``. A
    pair's id is its ``id``, else its row counted through all files. A cell without a value is an empty
    sentence.

    Parameters
    ----------
    path : Path
        A file, a folder with the files of one split in it or in its folder ``data``, or a split's name where
        its files would be (``FOLDER/data/train``).
    source, target : str
        Language codes.

    Raises
    ------
    InputError
        If there is no such file, splits are mixed, a file is missing or damaged, or the columns do not say
        which is which.
    """
    yield from _rows(_files(path, ".parquet"), _parquet_batches, source, target)


def read_huggingface(path: Path, source: str, target: str) -> Iterator[SentencePair]:
    """Yield the rows of a dataset that ``Dataset.save_to_disk`` wrote, or that lies in the library's cache.

    The files are read as they are: nothing is imported from the folder, and no code in it runs. Columns are
    those of `read_parquet`.

    Parameters
    ----------
    path : Path
        The dataset's folder; where it holds several splits, the folder of one.
    source, target : str
        Language codes.

    Raises
    ------
    InputError
        As `read_parquet`, or if the folder's list of files cannot be read or names files outside it.
    """
    folder = _split_folder(path) if path.is_dir() else path
    state = folder / "state.json"
    files = _listed(state) if exists(state) else _files(folder, ".arrow")
    yield from _rows(files, _arrow_batches, source, target)


def is_huggingface(folder: Path) -> bool:
    """Tell whether a folder holds a saved dataset."""
    names = (folder / "dataset_dict.json", folder / "state.json")
    return any(exists(name) for name in names) or any(folder.glob("*.arrow"))


def is_parquet(folder: Path) -> bool:
    """Tell whether a folder holds Parquet files where `read_parquet` looks for them."""
    return any(folder.glob("*.parquet")) or any(folder.glob("data/*.parquet"))


# -- which files -------------------------------------------------------------------------------------


def _files(path: Path, ending: str) -> list[Path]:
    if path.is_file():
        return [path]
    found = [file for file in shards(path) if file.suffix == ending]
    if path.is_dir():
        found = sorted(path.glob(f"*{ending}")) or sorted(path.glob(f"data/*{ending}"))
    # the library keeps what it computed from a dataset beside it, under this name
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


def _split_folder(path: Path) -> Path:
    listed = path / "dataset_dict.json"
    if not exists(listed):
        return path
    splits: Any = _json(listed).get("splits")
    if not isinstance(splits, list) or not splits or not all(_is_name(split) for split in splits):
        raise InputError("'splits' should be a list of folders beside it", path=listed)
    if len(splits) > 1:
        names = ", ".join(splits)
        raise InputError(
            f"it holds several splits ({names}); name one of them, as in {path / splits[0]}", path=path
        )
    return path / str(splits[0])


def _listed(state: Path) -> list[Path]:
    """Return the files that a saved dataset lists, in its order."""
    listed = _json(state).get("_data_files")
    if not isinstance(listed, list) or not listed:
        raise InputError("'_data_files' should list the dataset's files", path=state)
    files = []
    for entry in listed:
        name = entry.get("filename") if isinstance(entry, dict) else None
        if not _is_name(name):
            raise InputError(f"it lists {name!r}, which is no file beside it; do not trust it", path=state)
        files.append(state.parent / str(name))
    return files


def _is_name(name: object) -> bool:
    """Tell whether `name` can only be that of something in the same folder."""
    return isinstance(name, str) and name not in ("", ".", "..") and not set(name) & set("/\\:\0")


def _json(path: Path) -> dict[str, Any]:
    try:
        with damage_named(path):
            found = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError("not JSON; save the dataset again", path=path) from error
    if not isinstance(found, dict):
        raise InputError("not a JSON object; save the dataset again", path=path)
    return found


# -- what is in them ---------------------------------------------------------------------------------


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    try:
        with damage_named(path):
            try:
                yield
            except OSError as error:
                if error.errno is not None:
                    raise
                raise pa.ArrowException(str(error)) from error  # Arrow's own, not the system's
    except (pa.ArrowException, MemoryError, OverflowError) as error:
        raise InputError(
            f"the file is damaged or of another format ({_first_line(error)}); fetch it again", path=path
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().split("\n")[0] or type(error).__name__)[:200].rstrip(".")


def _parquet_batches(path: Path) -> Iterator[pa.RecordBatch]:
    with ExitStack() as stack:
        with _damage(path):
            file = stack.enter_context(pq.ParquetFile(path, page_checksum_verification=True))
            for number in range(file.metadata.num_row_groups):
                group = file.metadata.row_group(number)
                packed = sum(group.column(c).total_compressed_size for c in range(group.num_columns))
                if group.total_byte_size > max(HARMLESS, EXPANSION * packed):
                    raise InputError(
                        f"it unpacks to more than {EXPANSION} times its size, as archive bombs do; "
                        "do not trust it",
                        path=path,
                    )
            batches = file.iter_batches(_ROWS)
        yield from _checked(batches, path)


def _arrow_batches(path: Path) -> Iterator[pa.RecordBatch]:
    with ExitStack() as stack:
        with _damage(path):
            stream = stack.enter_context(pa.OSFile(str(path)))
            if stream.size() >= 6 and stream.read(6) == b"ARROW1":
                reader = stack.enter_context(pa.ipc.open_file(stream))
                batches = (reader.get_batch(number) for number in range(reader.num_record_batches))
            else:
                # a stream that was cut between two messages would end without a word
                stream.seek(max(0, stream.size() - len(_END)))
                if stream.read() != _END:
                    raise InputError("the file is cut short or is no Arrow file; fetch it again", path=path)
                stream.seek(0)
                batches = iter(stack.enter_context(pa.ipc.open_stream(stream)))
        yield from _checked(batches, path)


def _checked(batches: Iterable[pa.RecordBatch], path: Path) -> Iterator[pa.RecordBatch]:
    """Yield batches whose texts are UTF-8 and lie where they should, so that reading cannot go astray."""
    remaining = iter(batches)
    while True:
        with _damage(path):
            batch = next(remaining, None)
            if batch is None:
                return
            batch.validate(full=True)
        for start in range(0, len(batch), _ROWS):
            yield batch.slice(start, _ROWS)


def _rows(files: list[Path], open_batches: Any, source: str, target: str) -> Iterator[SentencePair]:
    row = 0
    for path in files:
        for batch in open_batches(path):
            names, texts, scores = _columns(batch, path, source, target)
            sides = [[text or "" for text in column.to_pylist()] for column in texts]
            named = names.to_pylist() if names is not None else [None] * len(batch)
            scored = scores.to_pylist() if scores is not None else [None] * len(batch)
            for name, first, second, score in zip(named, *sides, scored, strict=True):
                row += 1
                if score is not None and score - score != 0:  # neither infinite nor NaN
                    raise InputError(f"row {row:,}: its score is no finite number", path=path)
                yield SentencePair(first, second, source, target, str(row if name is None else name), score)


def _columns(
    batch: pa.RecordBatch, path: Path, source: str, target: str
) -> tuple[pa.Array | None, list[pa.Array], pa.Array | None]:
    """Return a batch's ids, its source and target sentences, and its scores."""
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    texts = columns
    inner = columns.get("translation")
    if inner is not None and pa.types.is_struct(inner.type):
        texts = dict(zip((field.name for field in inner.type), inner.flatten(), strict=True))
    keys = pair_of_keys(texts, source, target)
    if keys is None:
        raise InputError(
            f"no columns for {source!r} and {target!r}; its columns are: {', '.join(texts) or 'none'}",
            path=path,
        )
    for key in keys:
        if not _is_text(texts[key].type):
            raise InputError(f"column {key!r} holds {texts[key].type}, not sentences", path=path)
    scored = score_key(columns)
    if scored is not None and not _is_number(columns[scored].type):
        raise InputError(f"column {scored!r} holds {columns[scored].type}, not numbers", path=path)
    # "id" is also the code of Indonesian
    named = columns.get("id") if texts is not columns or "id" not in keys else None
    if named is not None and not (_is_text(named.type) or pa.types.is_integer(named.type)):
        named = None
    return named, [texts[key] for key in keys], None if scored is None else columns[scored]


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return kind in (pa.string(), pa.large_string(), pa.string_view())


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))
