"""A checksum of a whole Parquet file, inside it.

The checksums of Parquet cover the pages, but neither their headers nor the footer with names and types. So a
checksum of the whole file is written before the footer, to a place that readers of Parquet skip.
"""

from __future__ import annotations

import zlib

import pyarrow as pa

_MARK = b"OWcrc32:"
_LENGTH = len(_MARK) + 4


def seal(content: bytes) -> bytes:
    """Return the Parquet file `content` with its checksum."""
    start = _footer(content)
    data, footer = content[:start], content[start:]
    return data + _MARK + zlib.crc32(footer, zlib.crc32(data)).to_bytes(4, "little") + footer


def check_seal(content: bytes) -> None:
    """Check the checksum in the Parquet file `content`, if it has one; older files have none.

    Raises
    ------
    pyarrow.ArrowInvalid
        If it differs.
    """
    start = _footer(content)
    mark = content[max(0, start - _LENGTH) : max(0, start)]
    if not mark.startswith(_MARK):
        return
    found = zlib.crc32(content[start:], zlib.crc32(content[: start - _LENGTH]))
    if mark[len(_MARK) :] != found.to_bytes(4, "little"):
        raise pa.ArrowInvalid("its content differs from its checksum")


def _footer(content: bytes) -> int:
    """Return where the footer starts. It ends with its length and four letters."""
    return len(content) - 8 - int.from_bytes(content[-8:-4], "little")
