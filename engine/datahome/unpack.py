"""Unpacking archives that are not trusted: completely and inside the target folder, or not at all.

Refused are members that point outside, links, devices, encrypted members, two members of the same name, and
archives that unpack to far more than their size. Everything is written into a temporary folder next to the
target and renamed at the end, so neither an error nor Ctrl-C leaves a part of it.
"""

from __future__ import annotations

import bz2
import gzip
import shutil
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, BinaryIO, cast

from engine.atomic import move, staging
from engine.errors import InputError

LARGEST = 100_000_000_000
"""Largest unpacked size of an archive in bytes."""

RATIO = 100
"""Largest ratio of unpacked to packed size. Text is compressed to a tenth, tables to a fiftieth at best."""

SMALL = 10_000_000
"""Unpacked size in bytes that is accepted at any ratio."""

MEMBERS = 100_000
"""Largest number of members of an archive."""

_CHUNK = 1 << 20
_DEPTH = 32
_PACKED = {b"PK\x03\x04": "zip", b"PK\x05\x06": "zip", b"\x1f\x8b": "gzip", b"BZh": "bzip2"}
_TAR_MAGIC = 257  # position of "ustar" in a tar header


def archive_kind(path: Path) -> str:
    """Return ``zip`` or ``tar`` (plain, or compressed by gzip or bzip2); empty for another file."""
    with path.open("rb") as file:
        start = file.read(512)
    packing = next((name for magic, name in _PACKED.items() if start.startswith(magic)), "")
    if packing == "zip":
        return "zip"
    if packing:
        try:
            with _decompressed(path, packing) as stream:
                start = stream.read(512)
        except (OSError, EOFError, zlib.error):
            return ""
    return "tar" if start[_TAR_MAGIC : _TAR_MAGIC + 5] == b"ustar" else ""


def unpack(archive: Path, target: Path, *, largest: int = LARGEST) -> list[Path]:
    """Unpack a zip or tar archive into the folder `target`, which must not exist yet.

    Parameters
    ----------
    archive : path
        A zip archive, or a tar archive that is plain or compressed by gzip or bzip2. Its content decides.
    target : path
        The folder to create.
    largest : int
        Largest unpacked size in bytes; `RATIO` may set a lower limit.

    Returns
    -------
    list of path
        The files, in the order of the archive.

    Raises
    ------
    InputError
        If `target` exists, or the archive is damaged, unsafe, or not an archive. No file is left then.
    """
    if target.exists() or target.is_symlink():
        raise InputError("it exists already; delete it or give another name", path=target)
    with damage_named(archive):
        kind = archive_kind(archive)
        size = archive.stat().st_size
    if not kind:
        raise InputError("it is neither a zip nor a tar archive; unpack it first", path=archive)
    target.parent.mkdir(parents=True, exist_ok=True)
    limit = min(largest, max(SMALL, RATIO * size))
    room = shutil.disk_usage(target.parent).free
    with staging(target.parent) as place:
        folder = place / "unpacked"
        folder.mkdir()
        output = _Output(archive, folder, limit, room)
        with damage_named(archive):
            (_unpack_zip if kind == "zip" else _unpack_tar)(archive, output)
            move(folder, target)
    return [target / file for file in output.files]


@contextmanager
def damage_named(archive: Path) -> Iterator[None]:
    """Turn errors of reading a damaged archive and of writing its files into an InputError."""
    try:
        yield
    except OSError as error:
        if error.filename is None and not error.errno:  # bz2 has no exception class of its own
            raise _damaged(archive, error) from error
        where = f" {error.filename}" if error.filename else ""
        raise InputError(f"it cannot be unpacked ({error.strerror or error}{where})", path=archive) from error
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, RecursionError) as error:
        raise _damaged(archive, error) from error
    except (ValueError, OverflowError, NotImplementedError, KeyError, IndexError) as error:
        # Malformed headers make zipfile and tarfile raise any of these.
        raise _damaged(archive, error) from error


def _damaged(archive: Path, error: Exception) -> InputError:
    reason = str(error).strip().split("\n")[0] or type(error).__name__
    return InputError(f"the archive is damaged or incomplete ({reason}); fetch it again", path=archive)


@dataclass
class _Output:
    """The folder that is being filled, and what was written so far."""

    archive: Path
    folder: Path
    limit: int
    room: int
    written: int = 0
    files: list[Path] = field(default_factory=list)
    members: int = 0
    taken: dict[str, bool] = field(default_factory=dict)  # case-folded name, and whether it is a file

    def add(self, name: str, content: IO[bytes] | None) -> None:
        """Add a file, or a folder if there is no content."""
        self.members += 1
        if self.members > MEMBERS:
            raise self.refusal(f"it has more than {MEMBERS:,} members")
        parts = self._parts(name)
        for depth in range(1, len(parts) + 1):
            last = depth == len(parts)
            is_file = last and content is not None
            # On some file systems, names that differ in case or in composed characters are one file.
            folded = unicodedata.normalize("NFC", "/".join(parts[:depth])).casefold()
            if folded in self.taken and (is_file or self.taken[folded]):
                raise self.refusal(f"the member {name!r} would overwrite another")
            self.taken[folded] = is_file
        if content is not None and not parts:
            raise self.refusal(f"the member {name!r} is a file without a name")
        relative = Path(*parts)
        if content is None:
            (self.folder / relative).mkdir(parents=True, exist_ok=True)
            return
        (self.folder / relative).parent.mkdir(parents=True, exist_ok=True)
        with (self.folder / relative).open("xb") as file:
            while chunk := content.read(_CHUNK):
                self.written += len(chunk)
                if self.written > self.limit:
                    raise self.refusal(f"it unpacks to more than {self.limit:,} bytes")
                if self.written > self.room:
                    raise InputError("the disk has no space for its contents", path=self.archive)
                file.write(chunk)
        self.files.append(relative)

    def refusal(self, what: str) -> InputError:
        """Return the error for an unsafe archive."""
        return InputError(f"{what}, so it is not unpacked; do not trust it", path=self.archive)

    def _parts(self, name: str) -> list[str]:
        """Return the parts of a member's name, which is inside the folder."""
        parts = [part for part in name.split("/") if part not in ("", ".")]
        outside = name.startswith("/") or ".." in parts or "\\" in name or any(":" in part for part in parts)
        if outside:
            raise self.refusal(f"the member {name!r} points outside the archive")
        if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
            raise self.refusal(f"the member {name!r} has control characters in its name")
        if len(parts) > _DEPTH:
            raise self.refusal(f"the member {name[:80]!r}... is {len(parts)} folders deep")
        return parts


# -- zip ---------------------------------------------------------------------------------------------


def _unpack_zip(path: Path, output: _Output) -> None:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            # zipfile cuts names at a NUL and replaces separators; this is the name as stored.
            name = member.orig_filename
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise output.refusal(f"the member {name!r} is a link or a device")
            if member.flag_bits & 1:
                raise InputError("the archive is encrypted; unpack it first", path=path)
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                # Other methods unpack a whole block at once, with as much memory as the block requires.
                raise InputError("the archive uses an unusual compression; unpack it first", path=path)
            if name.endswith("/"):
                output.add(name, None)
            else:
                with archive.open(member) as content:
                    output.add(name, content)


# -- tar ---------------------------------------------------------------------------------------------


def _unpack_tar(path: Path, output: _Output) -> None:
    with path.open("rb") as file:
        start = file.read(3)
    packing = next((name for magic, name in _PACKED.items() if start.startswith(magic)), "")
    with _decompressed(path, packing) as stream:
        reader = _Stream(stream, output)
        with tarfile.open(fileobj=cast(BinaryIO, reader), mode="r:") as archive:
            for member in archive:
                name = member.name
                if member.isdir():
                    output.add(name + "/", None)
                elif not member.isreg() or member.issparse():
                    raise output.refusal(f"the member {name!r} is a link, a device or a file with holes")
                else:
                    content = archive.extractfile(member)
                    if content is None:
                        raise output.refusal(f"the member {name!r} has no content")
                    output.add(name, content)
                archive.members = []  # type: ignore[attr-defined]  # otherwise every header stays in memory
        if not output.members:
            raise InputError("the archive is damaged or empty; fetch it again", path=path)


def _decompressed(path: Path, packing: str) -> IO[bytes]:
    if packing == "gzip":
        return cast(IO[bytes], gzip.open(path))
    return cast(IO[bytes], bz2.open(path)) if packing == "bzip2" else path.open("rb")


class _Stream:
    """A decompressed stream for tarfile. It goes back by one byte at most, and refuses large reads."""

    def __init__(self, stream: IO[bytes], output: _Output) -> None:
        self.stream, self.output = stream, output
        self.position = 0
        self.ahead = b""  # data to read again after a step back
        self.last = b""

    def tell(self) -> int:
        return self.position

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= 2 * _CHUNK:
            raise self.output.refusal("a header in it requires too much memory")
        taken, self.ahead = self.ahead[:size], self.ahead[size:]
        data = taken + self.stream.read(size - len(taken))
        self.position += len(data)
        self.last = data[-1:] or self.last
        if self.position > self.output.limit + 2 * 512 * MEMBERS:
            raise self.output.refusal(f"it unpacks to more than {self.output.limit:,} bytes")
        return data

    def seek(self, position: int, whence: int = 0) -> int:
        if whence or position < self.position - 1 or (position < self.position and self.ahead):
            raise tarfile.ReadError("a header points backwards")
        if position < self.position:
            self.ahead, self.position = self.last, position
        while self.position < position:
            if not self.read(min(position - self.position, _CHUNK)):
                break
        return self.position
