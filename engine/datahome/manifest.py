"""What is recorded of imported data, in a file in its folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_args

from engine.datahome.resource import Kind
from engine.errors import InputError
from engine.paths import data_home

MANIFEST = "imported.record"
"""The record's name in the folder of imported data; readers look at files called ``.json``."""


@dataclass(frozen=True)
class Part:
    """One language of imported data.

    Attributes
    ----------
    files : list of str
        Its files, relative to the folder.
    path : str
        What a configuration's `path` is for it, relative to the folder; empty for the folder itself.
    counts : dict of str to int
        What was counted when it was imported.
    target_language : str
        The code of the other side of bitext; empty for collections.
    """

    files: list[str]
    path: str
    counts: dict[str, int]
    target_language: str = ""


@dataclass(frozen=True)
class Manifest:
    """What was recorded when data was imported.

    Attributes
    ----------
    name : str
        Its name in the commands, and its folder in the data home.
    kind : {"collection", "bitext", "catalogues"}
        What it is for.
    format : str
        The format that it was recognised as.
    reader : str
        What ``format`` in ``[[bitext]]`` or ``name`` in ``[[collections]]`` is for it.
    languages : dict of str to Part
        Its languages by code.
    folder : path
        Where it lies; not recorded.
    """

    name: str
    kind: Kind
    format: str
    reader: str
    languages: dict[str, Part]
    folder: Path = field(default=Path(), compare=False)

    def path(self, code: str) -> str:
        """Return what a configuration's `path` is for one language."""
        inside = self.languages[code].path
        return f"{self.name}/{inside}" if inside else self.name

    def text(self) -> str:
        """Return the record as it is written."""
        record = {key: value for key, value in asdict(self).items() if key != "folder"}
        return json.dumps(record, ensure_ascii=False, indent=2) + "\n"


def manifests() -> list[Manifest]:
    """Return the records of the data home, by name; folders whose record cannot be read are left out."""
    found = []
    home = data_home()
    for file in sorted(home.glob(f"*/{MANIFEST}")) if home.is_dir() else ():
        if file.parent.name.startswith("."):
            continue  # an import under way
        try:
            found.append(read_manifest(file.parent))
        except InputError:
            continue  # a file of that name that is somebody else's
    return found


def read_manifest(folder: Path) -> Manifest:
    """Return the record of one folder.

    Raises
    ------
    InputError
        If it cannot be read or is no record.
    """
    file = folder / MANIFEST
    try:
        read = json.loads(file.read_text("utf-8"))
        if read["kind"] not in get_args(Kind):
            raise ValueError(read["kind"])
        parts = {str(code): _part(part) for code, part in read["languages"].items()}
        return Manifest(folder.name, read["kind"], str(read["format"]), str(read["reader"]), parts, folder)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", path=file) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError("this is no record of imported data; import the data again", path=file) from error


def _part(read: Any) -> Part:
    files = [str(name) for name in read["files"]]
    counts = {str(what): int(count) for what, count in read["counts"].items()}
    return Part(files, str(read["path"]), counts, str(read["target_language"]))
