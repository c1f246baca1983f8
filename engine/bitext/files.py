"""Opening bitext files: where they lie, what packs them, and what is wrong with them.

Archives are read as streams and never unpacked to disk; what unpacks to implausibly much is refused.
"""

from __future__ import annotations

import gzip
import io
import lzma
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, BinaryIO, cast

from engine.errors import InputError
from engine.paths import data_home

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

#: Longest line, in bytes: no sentence and no document of any collection comes near it.
LONGEST_LINE = 64 * 1024**2
#: What may be unpacked of any file, in bytes; above it the factor below decides.
HARMLESS = 64 * 1024**2
#: Most bytes that a packed byte may stand for. Text packs 3 to 10 times; bombs a thousand times.
EXPANSION = 200
#: Most members of an archive.
MEMBERS = 10_000


def find(path: str | Path) -> Path:
    """Return the file, folder, Moses prefix or split of a dataset that `path` names.

    A relative path is looked for in the working folder, then in the data home.

    Raises
    ------
    InputError
        If neither place has it.
    """
    given = Path(path).expanduser()
    places = [given] if given.is_absolute() else [given, data_home() / given]
    for place in places:
        if exists(place) or siblings(place) or shards(place):
            return place
    if given.is_absolute():
        raise InputError("no such file or folder; give another path", path=path)
    raise InputError(
        f"no such file or folder in the working folder or in the data home {data_home()}; "
        "give another path, or name the data home with OPTICAL_DATA",
        path=path,
    )


def exists(path: Path) -> bool:
    """Tell whether there is such a file or folder; a name that no file can have is none."""
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, or with a NUL in it
        return False


def siblings(prefix: Path) -> dict[str, Path]:
    """Return the files whose name is that of `prefix`, a dot and something more, by that something."""
    return _starting(prefix, ".")


def shards(prefix: Path) -> list[Path]:
    """Return the Parquet and Arrow files ``PREFIX-...`` that a split of a dataset is cut into."""
    files = _starting(prefix, "-").values()
    return [file for file in files if file.suffix in (".parquet", ".arrow")]


def _starting(prefix: Path, separator: str) -> dict[str, Path]:
    if not prefix.name or not exists(prefix.parent) or not prefix.parent.is_dir():
        return {}
    start = prefix.name + separator
    with damage_named(prefix.parent):
        files = sorted(file for file in prefix.parent.iterdir() if file.name.startswith(start))
    return {file.name.removeprefix(start): file for file in files if file.is_file()}


@contextmanager
def damage_named(path: str | Path) -> Iterator[None]:
    """Turn a damaged archive's or an unreadable file's exception into an InputError."""
    try:
        yield
    except (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError) as error:
        reason = str(error) or "it ends too early"
        raise InputError(
            f"the archive is damaged or cut short ({reason}); fetch it again", path=path
        ) from error
    except NotImplementedError as error:
        raise InputError(f"cannot be unpacked ({error}); unpack it first", path=path) from error
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error})", path=path) from error


def open_bytes(path: Path) -> BinaryIO:
    """Open a file for reading bytes, unpacked if its name ends in ``.gz`` or ``.xz``."""
    with damage_named(path):
        if path.suffix == ".gz":
            return _bounded(cast(BinaryIO, gzip.open(path)), path, path.stat().st_size)
        if path.suffix == ".xz":
            return _bounded(lzma.open(path), path, path.stat().st_size)
        return path.open("rb")


def open_zip(path: Path) -> zipfile.ZipFile:
    """Open a zip archive that holds nothing but plain files and folders inside it.

    Raises
    ------
    InputError
        If the archive is damaged or encrypted, has too many members, or has one with an absolute path or
        ``..`` in it, or a link.
    """
    with damage_named(path):
        try:
            archive = zipfile.ZipFile(path)
        except (UnicodeDecodeError, ValueError) as error:  # an undecodable name, an impossible offset
            raise zipfile.BadZipFile("its list of members cannot be read") from error
    reason = _refusal(archive.infolist())
    if reason:
        archive.close()
        raise InputError(reason, path=path)
    return archive


def _refusal(found: list[zipfile.ZipInfo]) -> str | None:
    if len(found) > MEMBERS:
        return f"the archive has {len(found):,} members, more than the {MEMBERS:,} allowed; do not trust it"
    for member in found:
        name = PurePosixPath(member.filename.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts or any(":" in part for part in name.parts):
            return f"the member {member.filename!r} points outside the archive; do not trust it"
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            return f"the member {member.filename!r} is a link or a device; do not trust the archive"
        if member.flag_bits & 1:
            return "the archive is encrypted; unpack it first"
    return None


def open_member(archive: zipfile.ZipFile, name: str, path: Path) -> BinaryIO:
    """Open a member of the archive at `path` for reading bytes."""
    with damage_named(path):
        stream = cast(BinaryIO, archive.open(name))
        return _bounded(stream, f"{path} ({name})", archive.getinfo(name).compress_size)


def members(archive: zipfile.ZipFile) -> list[str]:
    """Return the names of the files in an archive, folders left out."""
    return sorted(member.filename for member in archive.infolist() if not member.is_dir())


class _Bounded(io.RawIOBase):
    """A stream of unpacked bytes that refuses to go on when they are too many for what was packed."""

    def __init__(self, inner: IO[bytes], name: str | Path, packed: int) -> None:
        self.inner, self.place = inner, name
        self.left = max(HARMLESS, EXPANSION * packed)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer)
        data = self.inner.read(len(view))
        view[: len(data)] = data
        self.left -= len(data)
        if self.left < 0:
            raise InputError(
                f"it unpacks to more than {EXPANSION} times its size, as archive bombs do; do not trust it",
                path=self.place,
            )
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self.inner.close()
        super().close()


def _bounded(stream: IO[bytes], name: str | Path, packed: int) -> BinaryIO:
    return cast(BinaryIO, io.BufferedReader(_Bounded(stream, name, packed), 1 << 16))


def read_lines(stream: BinaryIO, name: str | Path) -> Iterator[str]:
    r"""Yield the lines of a UTF-8 stream without their ends; only ``\n`` and ``\r\n`` end a line.

    A byte order mark in front is no text.

    Raises
    ------
    InputError
        If a line is not UTF-8, holds a NUL or is longer than `LONGEST_LINE`, or the stream is damaged.
    """
    with damage_named(name):
        number = 0
        while line := stream.readline(LONGEST_LINE + 1):
            number += 1
            if len(line) > LONGEST_LINE:
                raise InputError(
                    f"a line of more than {LONGEST_LINE:,} bytes, which no file of text has; fetch it again",
                    path=name,
                    line=number,
                )
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise InputError(
                    f"byte {error.start + 1} is not UTF-8; convert the file to UTF-8", path=name, line=number
                ) from error
            if "\0" in text:
                raise InputError(
                    "there is a NUL character in it; convert the file to UTF-8 text", path=name, line=number
                )
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
