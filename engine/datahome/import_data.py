"""Bringing somebody's data into the data home: recognised, counted, copied or linked, whole or not at all."""

from __future__ import annotations

import filecmp
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine.datahome.formats.bitext import bitext_file
from engine.datahome.formats.recognise import recognise
from engine.datahome.formats.seen import Seen
from engine.datahome.manifest import MANIFEST, Manifest
from engine.datahome.resources import resources
from engine.datahome.unpack import archive_kind, damage_named, unpack
from engine.errors import InputError
from engine.paths import data_home

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,60}")


@dataclass(frozen=True)
class Imported:
    """What was imported, or would have been: its name, its folder, and what was seen in it."""

    name: str
    folder: Path
    seen: Seen

    def record(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "name": self.name,
            "folder": str(self.folder),
            "format": self.seen.format,
            "kind": self.seen.kind,
            "reader": self.seen.reader,
            "known": bool(self.seen.known),
            "left_out": self.seen.left_out,
            "languages": {code: asdict(part) for code, part in self.seen.languages.items()},
        }


def import_data(
    path: Path,
    *,
    name: str | None = None,
    language: str | None = None,
    link: bool = False,
    dry_run: bool = False,
) -> Imported:
    """Recognise a file, folder or archive and bring it into the data home.

    What is a published dataset, or a part of one, goes into that dataset's folder, beside what is there.
    Anything else becomes a dataset of its own, with a record of what was counted.

    Parameters
    ----------
    path : path
    name : str, optional
        Its name; none takes the published dataset's, else the file's.
    language : str, optional
        Its language's code, where the data does not tell.
    link : bool
        Whether to link to the files instead of copying them.
    dry_run : bool
        Whether to import nothing.

    Raises
    ------
    InputError
        If it is not recognised, is broken or unsafe, or something else is in its place. Nothing is changed
        then.
    """
    path = path.expanduser()
    with _opened(path, language) as (seen, unpacked):
        if unpacked and link:
            raise InputError("an archive is unpacked and cannot be linked to; leave --link out", path=path)
        if seen.known and name is None:
            folder, name = resources()[seen.known].place, seen.known
            if not dry_run:
                _add(seen, folder, link)
        else:
            name = name or _named(path, seen)
            folder = data_home() / name
            _check_name(name, folder, path)
            if not dry_run:
                _create(seen, folder, name, link)
        return Imported(name, folder, seen)


@contextmanager
def _opened(path: Path, language: str | None) -> Iterator[tuple[Seen, bool]]:
    """Recognise what is at `path`, unpacked for as long as it is looked at if that is needed."""
    if path.is_file():
        with damage_named(path):
            packed = archive_kind(path)
            seen = bitext_file(path, language) if packed == "zip" else None
        if packed and seen is None:
            home = data_home()
            _make(home)
            with tempfile.TemporaryDirectory(prefix=".import.", dir=home) as staging:
                folder = Path(staging) / "data"
                unpack(path, folder)
                try:
                    yield recognise(folder, language), True
                except InputError as error:
                    # The user knows the archive and not the folder that it was unpacked to.
                    raise InputError(str(error).replace(str(folder), str(path))) from error
            return
    yield recognise(path, language), False


def _add(seen: Seen, folder: Path, link: bool) -> None:
    """Put files into a published dataset's folder, beside those that are there already."""
    remotes = resources()[seen.known].remotes
    places = {remote.path.rpartition("/")[2]: remote.path for remote in remotes if not remote.archive}
    files = {name: folder / places.get(name.rpartition("/")[2], name) for name in seen.files}
    for name, place in files.items():
        if place.exists() and not filecmp.cmp(seen.root / name, place, shallow=False):
            raise InputError("another file is there already; move it away first", path=place)
    for name, place in files.items():
        if not place.exists():
            _make(place.parent)
            with tempfile.TemporaryDirectory(prefix=".import.", dir=place.parent) as staging:
                _put(seen.root / name, Path(staging) / place.name, link)
                (Path(staging) / place.name).rename(place)


def _create(seen: Seen, folder: Path, name: str, link: bool) -> None:
    """Make a dataset's folder with its files and its record."""
    _make(folder.parent)
    with tempfile.TemporaryDirectory(prefix=".import.", dir=folder.parent) as staging:
        made = Path(staging) / name
        made.mkdir()
        for file in seen.files:
            (made / file).parent.mkdir(parents=True, exist_ok=True)
            _put(seen.root / file, made / file, link)
        record = Manifest(name, seen.kind, seen.format, seen.reader, seen.languages)
        (made / MANIFEST).write_text(record.text(), "utf-8")
        made.rename(folder)


def _put(file: Path, place: Path, link: bool) -> None:
    try:
        if link:
            place.symlink_to(file.resolve())
        else:
            shutil.copyfile(file, place)
    except OSError as error:
        raise InputError(f"cannot be copied ({error.strerror})", path=file) from error


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot be made ({error.strerror}); name another data home with OPTICAL_DATA or --data",
            path=folder,
        ) from error


def _named(path: Path, seen: Seen) -> str:
    """Return a dataset's name after a file's: ``WikiMatrix.en-so.tsv.gz`` is ``wikimatrix.en-so``."""
    stem = path.absolute().name.lower()
    if seen.reader == "moses" and path.is_file() and path.suffix != ".zip":
        stem = stem.removesuffix(".gz").removesuffix(".xz").rpartition(".")[0]
    stem = re.sub(
        r"(\.(gz|xz|bz2|zip|tar|tgz|tmx|xlf|xliff|po|mo|tsv|txt|jsonl|ndjson|json|parquet))+$", "", stem
    )
    name = re.sub(r"[^a-z0-9._-]+", "-", stem).strip("-._")[:60]
    return name or "data"


def _check_name(name: str, folder: Path, path: Path) -> None:
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} is no name for data; use lower-case letters, digits, dots and dashes in --name"
        )
    taken = {resource.name for resource in resources().values()} | {
        resource.folder for resource in resources().values() if not resource.shared
    }
    if name in taken:
        raise InputError(f"{path}: {name!r} is the name of a published dataset; give another with --name")
    if folder.exists() or folder.is_symlink():
        raise InputError("it is there already; delete it or give another --name", path=folder)
