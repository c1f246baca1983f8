"""Importing data into the data home: recognised, counted, and copied completely or not at all."""

from __future__ import annotations

import filecmp
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engine.atomic import move, staging
from engine.datahome.formats.bitext import bitext_file
from engine.datahome.formats.recognise import recognise
from engine.datahome.manifest import MANIFEST, Manifest
from engine.datahome.published import published_data
from engine.datahome.unpack import archive_kind, damage_named, unpack
from engine.errors import InputError
from engine.extensions.bitext import BITEXT_FORMATS
from engine.extensions.published import RecognisedData
from engine.paths import data_home, expanded

#: Endings that are not part of a name, in addition to those of the bitext formats.
_ENDINGS = (".gz", ".xz", ".bz2", ".zip", ".tar", ".tgz", ".txt", ".json")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,60}")


@dataclass(frozen=True)
class Imported:
    """What was imported, or would be imported: its name, its folder, and what was recognised."""

    name: str
    folder: Path
    data: RecognisedData

    def record(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {
            "name": self.name,
            "folder": str(self.folder),
            "format": self.data.format,
            "kind": self.data.kind,
            "reader": self.data.reader,
            "known": bool(self.data.known),
            "left_out": self.data.left_out,
            "languages": {code: asdict(part) for code, part in self.data.languages.items()},
        }


def import_data(
    path: Path,
    *,
    name: str | None = None,
    language: str | None = None,
    link: bool = False,
    dry_run: bool = False,
) -> Imported:
    """Recognise a file, folder or archive and import it into the data home.

    The files of a published data set are added to the folder of that data set. Other data becomes a data set
    of its own, with a manifest of what was counted.

    Parameters
    ----------
    path : path
    name : str, optional
        Its name; without it, the name of the published data set, or else of the file.
    language : str, optional
        Code of its language, for data that does not contain it.
    link : bool
        Whether to link to the files instead of copying them.
    dry_run : bool
        Whether to recognise the data without importing it.

    Raises
    ------
    InputError
        If it is not recognised, is broken or unsafe, or other data is in its place. Nothing is changed then.
    """
    path = expanded(path)
    with _opened(path, language) as (data, unpacked):
        if unpacked and link:
            raise InputError("an archive is unpacked and cannot be linked to; leave --link out", path=path)
        if data.known and name is None:
            folder, name = published_data()[data.known].place, data.known
            if not dry_run:
                _add_files(data, folder, link)
        else:
            name = name or _default_name(path, data)
            folder = data_home() / name
            _check_name(name, folder, path)
            if not dry_run:
                _create_dataset(data, folder, name, link)
        return Imported(name, folder, data)


@contextmanager
def _opened(path: Path, language: str | None) -> Iterator[tuple[RecognisedData, bool]]:
    """Recognise what is at `path`. An archive is unpacked into a temporary folder."""
    if path.is_file():
        with damage_named(path):
            packed = archive_kind(path)
            data = bitext_file(path, language) if packed == "zip" else None
        if packed and data is None:
            home = data_home()
            _create_folder(home)
            with staging(home) as place:
                folder = place / "data"
                unpack(path, folder)
                try:
                    yield recognise(folder, language), True
                except InputError as error:
                    # The user knows the archive, not the temporary folder.
                    raise InputError(str(error).replace(str(folder), str(path))) from error
            return
    yield recognise(path, language), False


def _add_files(data: RecognisedData, folder: Path, link: bool) -> None:
    """Add files to the folder of a published data set."""
    published = published_data()[data.known].published_files
    places = {file.path.rpartition("/")[2]: file.path for file in published if not file.archive}
    files = {name: folder / places.get(name.rpartition("/")[2], name) for name in data.files}
    for name, place in files.items():
        if place.exists() and not filecmp.cmp(data.root / name, place, shallow=False):
            raise InputError("another file is there already; move it to another place first", path=place)
    for name, place in files.items():
        if not place.exists():
            _create_folder(place.parent)
            with staging(place.parent) as made:
                _copy_or_link(data.root / name, made / place.name, link)
                move(made / place.name, place)


def _create_dataset(data: RecognisedData, folder: Path, name: str, link: bool) -> None:
    """Create the folder of a data set with its files and its manifest."""
    _create_folder(folder.parent)
    with staging(folder.parent) as place:
        made = place / name
        made.mkdir()
        for file in data.files:
            (made / file).parent.mkdir(parents=True, exist_ok=True)
            _copy_or_link(data.root / file, made / file, link)
        manifest = Manifest(name, data.kind, data.format, data.reader, data.languages)
        (made / MANIFEST).write_text(manifest.text(), "utf-8")
        move(made, folder)


def _copy_or_link(file: Path, place: Path, link: bool) -> None:
    try:
        if link:
            place.symlink_to(file.resolve())
        else:
            shutil.copyfile(file, place)
    except OSError as error:
        raise InputError(f"cannot be copied ({error.strerror})", path=file) from error


def _create_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot be created ({error.strerror}); name another data home with OPTICAL_DATA or --data",
            path=folder,
        ) from error


def _default_name(path: Path, data: RecognisedData) -> str:
    """Return a name made from that of the file: ``wikimatrix.en-so`` for ``WikiMatrix.en-so.tsv.gz``."""
    stem = path.absolute().name.lower()
    if path.is_file() and len(data.files) > 1:
        # The names of files that are read together, such as line-aligned ones, end in a language.
        stem = stem.removesuffix(".gz").removesuffix(".xz").rpartition(".")[0]
    formats = {ending for form in BITEXT_FORMATS.values() for ending in form.endings}
    endings = "|".join(re.escape(ending) for ending in (*_ENDINGS, *sorted(formats)))
    stem = re.sub(f"({endings})+$", "", stem)
    name = re.sub(r"[^a-z0-9._-]+", "-", stem).strip("-._")[:60]
    return name or "data"


def _check_name(name: str, folder: Path, path: Path) -> None:
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} is not a name for data; use lower-case letters, digits, dots and dashes in --name"
        )
    published = published_data().values()
    taken = {data.name for data in published} | {data.folder for data in published if not data.shared}
    if name in taken:
        raise InputError(
            f"{path}: {name!r} is the name of a published data set; give another one with --name"
        )
    if folder.exists() or folder.is_symlink():
        raise InputError("it exists already; delete it or give another --name", path=folder)
