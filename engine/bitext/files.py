"""Opening bitext files: where they lie, what packs them, and what is wrong with them."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from engine.errors import InputError
from engine.paths import data_home


def find(path: str) -> Path:
    """Return the file, folder or Moses prefix that `path` names.

    A relative path is looked for in the working folder, then in the data home.

    Raises
    ------
    InputError
        If neither place has it.
    """
    given = Path(path).expanduser()
    places = [given] if given.is_absolute() else [given, data_home() / given]
    for place in places:
        if place.exists() or siblings(place):
            return place
    where = "" if given.is_absolute() else f" in the working folder or in the data home {data_home()}"
    raise InputError(f"no such file or folder{where}; give another path or set OPTICAL_DATA", path=path)


def siblings(prefix: Path) -> list[Path]:
    """Return the files whose name is that of `prefix` and an extension, sorted."""
    if not prefix.name or not prefix.parent.is_dir():
        return []
    start = prefix.name + "."
    return sorted(file for file in prefix.parent.iterdir() if file.name.startswith(start) and file.is_file())


@contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Turn a damaged archive's or an unreadable file's exception into an InputError."""
    try:
        yield
    except (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise InputError(
            f"the archive is damaged or cut short ({error}); fetch it again", path=path
        ) from error
    except (OSError, NotImplementedError) as error:
        raise InputError(f"cannot be read ({error})", path=path) from error


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive none of whose members points outside it.

    Raises
    ------
    InputError
        If the archive is damaged, encrypted, or has a member with an absolute path or ``..`` in it.
    """
    with damage_named(path), zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            name = PurePosixPath(member.filename.replace("\\", "/"))
            if name.is_absolute() or ".." in name.parts or ":" in name.parts[0]:
                raise InputError(
                    f"the member {member.filename!r} points outside the archive, which is not to be trusted",
                    path=path,
                )
            if member.flag_bits & 1:
                raise InputError("the archive is encrypted; unpack it first", path=path)
        yield archive


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading bytes, unpacked if its name ends in ``.gz``."""
    with damage_named(path):
        stream = gzip.open(path) if path.suffix == ".gz" else path.open("rb")
        with stream:
            yield cast(BinaryIO, stream)


def read_lines(stream: BinaryIO, name: str | Path) -> Iterator[str]:
    r"""Yield the lines of a UTF-8 stream without their ends; only ``\n`` and ``\r\n`` end a line.

    Raises
    ------
    InputError
        If a line is not UTF-8.
    """
    for number, line in enumerate(stream, 1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"byte {error.start + 1} is not UTF-8; convert the file to UTF-8", path=name, line=number
            ) from error
        yield text.removesuffix("\n").removesuffix("\r")
