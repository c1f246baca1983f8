"""Datasets that Hugging Face's library saved, or that are in its cache."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.bitext.files import damage_named, exists, files_in
from engine.bitext.formats.columns import checked, column_names, pairs_in, split_files, table_errors
from engine.errors import InputError
from engine.extensions.bitext import BitextFormat, SentencePair

if TYPE_CHECKING:
    import pyarrow as pa

#: The last bytes of a complete stream of Arrow messages.
_END = b"\xff\xff\xff\xff\0\0\0\0"


def read_huggingface(path: Path, source: str, target: str) -> Iterator[SentencePair]:
    """Yield the rows of a dataset that ``Dataset.save_to_disk`` wrote, or that is in the library's cache.

    Only the data files are read: nothing is imported from the folder, and no code in it is executed. The
    columns are those of `engine.bitext.formats.parquet.read_parquet`.

    Parameters
    ----------
    path : Path
        The folder of the dataset; if it has several splits, the folder of one split.
    source, target : str
        Language codes.

    Raises
    ------
    InputError
        As in `read_parquet`, or if the folder's list of files cannot be read or names files outside it.
    """
    folder = _split_folder(path) if path.is_dir() else path
    state = folder / "state.json"
    files = _listed(state) if exists(state) else split_files(folder, ".arrow")
    yield from pairs_in(files, _batches, source, target)


def _split_folder(path: Path) -> Path:
    listed = path / "dataset_dict.json"
    if not exists(listed):
        return path
    splits: Any = _json(listed).get("splits")
    if not isinstance(splits, list) or not splits or not all(_is_name(split) for split in splits):
        raise InputError("'splits' must be a list of folders next to it", path=listed)
    if len(splits) > 1:
        names = ", ".join(splits)
        raise InputError(
            f"it holds several splits ({names}); name one of them, as in {path / splits[0]}", path=path
        )
    return path / str(splits[0])


def _listed(state: Path) -> list[Path]:
    """Return the files that a saved dataset lists, in the order of its list."""
    listed = _json(state).get("_data_files")
    if not isinstance(listed, list) or not listed:
        raise InputError("'_data_files' must list the dataset's files", path=state)
    files = []
    for entry in listed:
        name = entry.get("filename") if isinstance(entry, dict) else None
        if not _is_name(name):
            raise InputError(
                f"it lists {name!r}, which is not a file next to it; do not trust it", path=state
            )
        files.append(state.parent / str(name))
    return files


def _is_name(name: object) -> bool:
    """Return whether `name` can only be the name of a file or folder in the same folder."""
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


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    with ExitStack() as stack:
        with table_errors(path):
            stream = stack.enter_context(pa.OSFile(str(path)))
            if stream.size() >= 6 and stream.read(6) == b"ARROW1":
                reader = stack.enter_context(pa.ipc.open_file(stream))
                batches = (reader.get_batch(number) for number in range(reader.num_record_batches))
            else:
                # A stream that was cut between two messages would end without an error.
                stream.seek(max(0, stream.size() - len(_END)))
                if stream.read() != _END:
                    raise InputError(
                        "the file is cut short or is not an Arrow file; fetch it again", path=path
                    )
                stream.seek(0)
                batches = iter(stack.enter_context(pa.ipc.open_stream(stream)))
        yield from checked(batches, path)


def _is_folder(names: Sequence[str]) -> bool:
    return any(
        name in ("dataset_dict.json", "state.json") or (name.endswith(".arrow") and "/" not in name)
        for name in names
    )


def _languages(path: Path, names: Sequence[str]) -> Iterator[str]:
    import pyarrow as pa

    try:
        with pa.OSFile(str(files_in(path, "**/*.arrow")[0])) as file:
            schema = pa.ipc.open_stream(file).schema
    except (pa.ArrowException, OSError, ValueError, IndexError) as error:
        raise InputError("its columns cannot be read; fetch it again", path=path) from error
    return column_names(schema)


HUGGINGFACE = BitextFormat(
    name="huggingface",
    meaning="a dataset that Hugging Face's library saved to a folder or keeps in its cache",
    title="a saved Hugging Face dataset",
    read=read_huggingface,
    endings=(".arrow",),
    is_folder=_is_folder,
    languages=_languages,
)
