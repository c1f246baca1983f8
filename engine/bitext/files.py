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


def find(path: str | Path) -> Path:
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
    if given.is_absolute():
        raise InputError("no such file or folder; give another path", path=path)
    raise InputError(
        f"no such file or folder in the working folder or in the data home {data_home()}; "
        "give another path, or name the data home with OPTICAL_DATA",
        path=path,
    )


def siblings(prefix: Path) -> dict[str, Path]:
    """Return the files whose name is that of `prefix`, a dot and something more, by that something."""
    if not prefix.name or not prefix.parent.is_dir():
        return {}
    start = prefix.name + "."
    files = sorted(file for file in prefix.parent.iterdir() if file.name.startswith(start))
    return {file.name.removeprefix(start): file for file in files if file.is_file()}


@contextmanager
def damage_named(path: str | Path) -> Iterator[None]:
    """Turn a damaged archive's or an unreadable file's exception into an InputError."""
    try:
        yield
    except (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError) as error:
        reason = str(error) or "it ends too early"
        raise InputError(
            f"the archive is damaged or cut short ({reason}); fetch it again", path=path
        ) from error
    except NotImplementedError as error:
        raise InputError(f"cannot be unpacked ({error}); unpack it first", path=path) from error
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error})", path=path) from error


def open_bytes(path: Path) -> BinaryIO:
    """Open a file for reading bytes, unpacked if its name ends in ``.gz``."""
    with damage_named(path):
        return cast(BinaryIO, gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def open_zip(path: Path) -> zipfile.ZipFile:
    """Open a zip archive none of whose members points outside it.

    Raises
    ------
    InputError
        If the archive is damaged, encrypted, or has a member with an absolute path or ``..`` in it.
    """
    with damage_named(path):
        archive = zipfile.ZipFile(path)
    for member in archive.infolist():
        name = PurePosixPath(member.filename.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts or any(":" in part for part in name.parts):
            archive.close()
            raise InputError(
                f"the member {member.filename!r} points outside the archive; do not trust it",
                path=path,
            )
        if member.flag_bits & 1:
            archive.close()
            raise InputError("the archive is encrypted; unpack it first", path=path)
    return archive


def open_member(archive: zipfile.ZipFile, name: str, path: Path) -> BinaryIO:
    """Open a member of the archive at `path` for reading bytes."""
    with damage_named(path):
        return cast(BinaryIO, archive.open(name))


def members(archive: zipfile.ZipFile) -> list[str]:
    """Return the names of the files in an archive, folders left out."""
    return sorted(member.filename for member in archive.infolist() if not member.is_dir())


def read_lines(stream: BinaryIO, name: str | Path) -> Iterator[str]:
    r"""Yield the lines of a UTF-8 stream without their ends; only ``\n`` and ``\r\n`` end a line.

    Raises
    ------
    InputError
        If a line is not UTF-8, or the stream is damaged.
    """
    with damage_named(name):
        for number, line in enumerate(stream, 1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise InputError(
                    f"byte {error.start + 1} is not UTF-8; convert the file to UTF-8", path=name, line=number
                ) from error
            yield text.removesuffix("\n").removesuffix("\r")


def score_of(text: str, name: str | Path, line: int) -> float:
    """Return the score that `text` spells.

    Raises
    ------
    InputError
        If it is not a finite number.
    """
    try:
        score = float(text)
    except ValueError:
        score = float("nan")
    if score - score != 0:  # neither infinite nor NaN
        raise InputError(
            f"{text[:40]!r} is not a score; every line needs a number there", path=name, line=line
        )
    return score
