"""Find, open and read files of text, which may be compressed or members of an archive.

Archives are read as streams and never extracted to disk. A file that expands to more than `EXPANSION` times
its size is refused. Files that an operating system leaves next to data are skipped (`is_companion`).
"""

from __future__ import annotations

import gzip
import io
import json
import lzma
import math
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath, PurePosixPath
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

from engine.bitext.hub import hub_path
from engine.errors import InputError
from engine.paths import data_home, expanded

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

#: Longest line, in bytes; sentences and documents of collections are much shorter.
LONGEST_LINE = 64 * 1024**2
#: Bytes that any file may expand to; above this size `EXPANSION` is the limit.
HARMLESS = 64 * 1024**2
#: Largest ratio of expanded to compressed bytes. Text has 3 to 10, archive bombs have 1,000 and more.
EXPANSION = 200
#: Largest number of members of an archive.
MEMBERS = 10_000
#: Names, in lower case, of what macOS and Windows leave next to data without hiding it.
_COMPANIONS = frozenset(
    {
        "__macosx", "icon\r", "thumbs.db", "thumbs.db:encryptable", "ehthumbs.db", "desktop.ini",
        "$recycle.bin", "system volume information",
    }
)  # fmt: skip


def is_companion(name: str | PurePath) -> bool:
    """Return whether a file is not data but was left next to it by a program.

    These are hidden files and folders (``.DS_Store``, ``._corpus.jsonl``, ``.git``) and the files that macOS
    and Windows add (``__MACOSX/``, ``Thumbs.db``, ``desktop.ini``).

    Parameters
    ----------
    name : str or path
        Its name, or its path relative to the folder or archive that the user named.
    """
    parts = str(name).replace("\\", "/").split("/")
    return any(
        (part.startswith(".") and part not in (".", "..")) or part.casefold() in _COMPANIONS for part in parts
    )


def files_in(folder: Path, pattern: str = "**/*") -> list[Path]:
    """Return the files in `folder` that match a glob pattern, sorted by path, without companions.

    Parameters
    ----------
    folder : path
        The folder; its own name may be hidden.
    pattern : str
        The pattern; the default matches all files at any depth.
    """
    found = (file for file in folder.glob(pattern) if not is_companion(file.relative_to(folder)))
    return sorted(file for file in found if file.is_file())


def names_in(folder: Path) -> list[str]:
    """Return the paths of `files_in`, relative to `folder`, with ``/`` between folders."""
    return [file.relative_to(folder).as_posix() for file in files_in(folder)]


def tagged_files(folder: Path, name: re.Pattern[str]) -> dict[str, Path]:
    """Return the files in `folder`, at any depth, whose names match `name`, by its group ``tag``.

    Of several files with one tag the first by path is returned.
    """
    found: dict[str, Path] = {}
    for path in files_in(folder):
        if match := name.fullmatch(path.name):
            found.setdefault(match["tag"], path)
    return found


def find(path: str | Path) -> Path:
    """Return the file, folder, Moses prefix or dataset split that `path` names.

    A relative path is looked up in the working folder, then in the data home. A path
    ``hf://datasets/OWNER/NAME`` is looked up in the local cache of the hub.

    Raises
    ------
    InputError
        If there is none in these places.
    """
    if (hub := hub_path(path)) is not None:
        if _is_there(place := hub.place()):
            return place
        raise hub.missing()
    given = expanded(path)
    places = [given] if given.is_absolute() else [given, data_home() / given]
    for place in places:
        if _is_there(place):
            return place
    if given.is_absolute():
        raise InputError("no such file or folder; give another path", path=path)
    raise InputError(
        f"no such file or folder in the working folder or in the data home {data_home()}; "
        "give another path, or name the data home with OPTICAL_DATA",
        path=path,
    )


def _is_there(place: Path) -> bool:
    return exists(place) or bool(siblings(place)) or bool(shards(place))


def exists(path: Path) -> bool:
    """Return whether a file or folder exists; False for names that no file can have."""
    try:
        return path.exists()
    except (OSError, ValueError):  # the name is too long or contains a NUL
        return False


def siblings(prefix: Path) -> dict[str, Path]:
    """Return the files ``PREFIX.EXTENSION`` by their extensions (all that follows the prefix and the dot)."""
    return _starting(prefix, ".")


def shards(prefix: Path) -> list[Path]:
    """Return the Parquet and Arrow files ``PREFIX-...`` of one split of a dataset."""
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
    """Raise an InputError in place of the exceptions of damaged archives and unreadable files."""
    try:
        yield
    except (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError) as error:
        reason = str(error) or "unexpected end of file"
        raise InputError(
            f"the archive is damaged or cut short ({reason}); fetch it again", path=path
        ) from error
    except NotImplementedError as error:
        raise InputError(f"cannot be decompressed ({error}); unpack it first", path=path) from error
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror or error})", path=path) from error


def open_bytes(path: Path) -> BinaryIO:
    """Open a file for reading bytes; it is decompressed if its name ends in ``.gz`` or ``.xz``."""
    with damage_named(path):
        if path.suffix == ".gz":
            return _bounded(cast(BinaryIO, gzip.open(path)), path, path.stat().st_size)
        if path.suffix == ".xz":
            return _bounded(lzma.open(path), path, path.stat().st_size)
        return path.open("rb")


def open_zip(path: Path) -> zipfile.ZipFile:
    """Open a zip archive that contains only plain files and folders.

    Raises
    ------
    InputError
        If the archive is damaged or encrypted, or has too many members, a link, or a member whose path is
        absolute or contains ``..``.
    """
    with damage_named(path):
        try:
            archive = zipfile.ZipFile(path)
        except (
            UnicodeDecodeError,
            ValueError,
        ) as error:  # a name that cannot be decoded, or an impossible offset
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


def is_folder(member: zipfile.ZipInfo) -> bool:
    """Return whether a member of a zip is a folder, or has no name."""
    return not member.filename or member.is_dir()


def members(archive: zipfile.ZipFile) -> list[str]:
    """Return the names of the files in an archive, without folders and companions (`is_companion`)."""
    names = (member.filename for member in archive.infolist() if not is_folder(member))
    return sorted(name for name in names if not is_companion(name))


class _Bounded(io.RawIOBase):
    """A stream of decompressed bytes that raises an error when they are too many for the compressed size."""

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
    r"""Yield the lines of a UTF-8 stream without their line ends; only ``\n`` and ``\r\n`` end a line.

    A byte order mark at the beginning is removed.

    Parameters
    ----------
    stream : binary file
        The stream.
    name : str or path
        What error messages call it.

    Raises
    ------
    InputError
        If a line is not UTF-8, contains a NUL character or is longer than `LONGEST_LINE`, or if the stream is
        damaged.
    """
    with damage_named(name):
        number = 0
        while line := stream.readline(LONGEST_LINE + 1):
            number += 1
            if len(line) > LONGEST_LINE:
                raise InputError(
                    f"a line of more than {LONGEST_LINE:,} bytes is not text; fetch the file again",
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


def numbered_lines(path: Path, *, blank: bool = True) -> Iterator[tuple[int, str]]:
    """Yield the lines of a UTF-8 file, which may be compressed, with their numbers from 1.

    Parameters
    ----------
    path : path
        The file; it is decompressed if its name ends in ``.gz`` or ``.xz``.
    blank : bool
        Whether to yield blank lines too.

    Raises
    ------
    InputError
        If the file cannot be opened, or as in `read_lines`.
    """
    with open_bytes(path) as stream:
        for number, line in enumerate(read_lines(stream, path), 1):
            if blank or line.strip():
                yield number, line


def numbered_objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the objects of a JSON Lines file with their line numbers; blank lines are skipped.

    Raises
    ------
    InputError
        If a line is not a JSON object, or as in `numbered_lines`.
    """
    for number, line in numbered_lines(path, blank=False):
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(
                f"not JSON ({error.msg}); correct the line or fetch the file again", path=path, line=number
            ) from error
        except RecursionError as error:
            raise InputError("its JSON is nested too deeply", path=path, line=number) from error
        except ValueError as error:  # Python does not convert numbers with thousands of digits
            raise InputError("a number in it has too many digits", path=path, line=number) from error
        if not isinstance(record, dict):
            raise InputError("not a JSON object; every line must be one", path=path, line=number)
        yield number, record


def parse_score(text: str, name: str | Path, line: int) -> float | None:
    """Return the score that `text` contains; None if it is empty or NaN, which is no score.

    Raises
    ------
    InputError
        If it is not a number.
    """
    if not text.strip():
        return None
    try:
        score = float(text)
    except ValueError as error:
        raise InputError(
            f"{text[:40]!r} is not a score; every line needs a number there, or nothing", path=name, line=line
        ) from error
    return None if math.isnan(score) else score
