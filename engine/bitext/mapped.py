"""Arrow files that are mapped: what is looked at is in memory until much was looked at, and then given back.

The system would take these pages back where memory is short, but counts them as memory of the process until
then.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from weakref import WeakSet

import pyarrow as pa

#: Bytes that are looked at before all are given back.
_MUCH = 1 << 28
#: Bytes around a place that the system maps at once.
AROUND = 1 << 16

_mapped: WeakSet[mmap.mmap] = WeakSet()
_looked = 0


def map_tables(file: Path) -> tuple[list[pa.RecordBatch], dict[bytes, bytes]]:
    """Return the tables of an Arrow file, mapped, and what its schema says about them.

    Raises
    ------
    OSError, ValueError
        If the file is missing, cut or damaged.
    """
    with file.open("rb") as stream:
        mapping = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    reader = pa.ipc.open_file(pa.py_buffer(mapping))
    tables = [reader.get_batch(place) for place in range(reader.num_record_batches)]
    _mapped.add(mapping)
    return tables, reader.schema.metadata or {}


def looked_at(size: int) -> None:
    """Count bytes that were looked at, and give all back if they are many. What is in use stays valid."""
    global _looked
    _looked += size
    if _looked >= _MUCH:
        _looked = 0
        for mapping in list(_mapped):
            mapping.madvise(mmap.MADV_DONTNEED)
