"""Sentence pairs in Parquet files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from engine.bitext.files import EXPANSION, HARMLESS
from engine.bitext.formats.columns import ROWS, checked, column_names, pairs_in, split_files, table_errors
from engine.errors import InputError
from engine.extensions.bitext import BitextFormat, Sample, SentencePair

if TYPE_CHECKING:
    import pyarrow as pa


def read_parquet(path: Path, source: str, target: str) -> Iterator[SentencePair]:
    """Yield the rows of a Parquet file, or of all files of one split in their order.

    `engine.bitext.formats.keys` lists the names that columns may have; the columns may also be fields of a
    column ``translation``. The id of a pair is its ``id`` (default: its row number over all files). A null is
    an empty sentence.

    Parameters
    ----------
    path : Path
        A file, a folder with the files of one split in it or in its folder ``data``, or the prefix of the
        split's shards (``FOLDER/data/train``).
    source, target : str
        Language codes.

    Raises
    ------
    InputError
        If there is no such file, there are several splits, a file is missing or damaged, or the columns of
        the two languages are not found.
    """
    yield from pairs_in(split_files(path, ".parquet"), _batches, source, target)


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    import pyarrow.parquet as pq

    with ExitStack() as stack:
        with table_errors(path):
            file = stack.enter_context(pq.ParquetFile(path, page_checksum_verification=True))
            # The sizes of the columns are not asked for: pyarrow ends the process if those are damaged.
            groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
            if sum(group.total_byte_size for group in groups) > max(
                HARMLESS, EXPANSION * path.stat().st_size
            ):
                raise InputError(
                    f"it unpacks to more than {EXPANSION} times its size, as archive bombs do; "
                    "do not trust it",
                    path=path,
                )
            rows = file.metadata.num_rows
            batches = file.iter_batches(ROWS)
        read = 0
        for batch in checked(batches, path):
            read += len(batch)
            yield batch
        if read != rows:
            raise InputError(
                f"the file is damaged ({read:,} of its {rows:,} rows can be read); fetch it again", path=path
            )


def _is_folder(names: Sequence[str]) -> bool:
    return any(name.endswith(".parquet") and name.rpartition("/")[0] in ("", "data") for name in names)


def _matches(sample: Sample) -> bool:
    return sample.head == b"PAR1"


def _languages(path: Path, names: Sequence[str]) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError("its columns cannot be read; fetch it again", path=path) from error
    return column_names(schema)


PARQUET = BitextFormat(
    name="parquet",
    meaning="columns of a Parquet file, or of the Parquet files of one split",
    title="a Parquet file of pairs",
    read=read_parquet,
    endings=(".parquet",),
    is_folder=_is_folder,
    matches=_matches,
    languages=_languages,
)
