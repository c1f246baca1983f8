"""The manifest of imported data: what is recorded about it, in a file in its folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_args

from engine.errors import InputError
from engine.extensions.published import DataKind, LanguageFiles
from engine.paths import data_home

MANIFEST = "imported.record"
"""Name of the manifest; it does not end in ``.json``, because readers of collections read such files."""


@dataclass(frozen=True)
class Manifest:
    """What was recorded when data was imported.

    Attributes
    ----------
    name : str
        Its name in the commands, which is also its folder in the data home.
    kind : {"collection", "bitext", "catalogues"}
        What it is for.
    format : str
        The format that it was recognised as, in words.
    reader : str
        Value of ``format`` in ``[[bitext]]``, or of ``name`` in ``[[collections]]``.
    languages : dict of str to LanguageFiles
        Its languages by code.
    folder : path
        Its folder; not recorded.
    """

    name: str
    kind: DataKind
    format: str
    reader: str
    languages: dict[str, LanguageFiles]
    folder: Path = field(default=Path(), compare=False)

    def path(self, code: str) -> str:
        """Return the value of `path` in a configuration for one language."""
        inside = self.languages[code].path
        return f"{self.name}/{inside}" if inside else self.name

    def text(self) -> str:
        """Return the contents of its file."""
        record = {key: value for key, value in asdict(self).items() if key != "folder"}
        return json.dumps(record, ensure_ascii=False, indent=2) + "\n"


def manifests() -> list[Manifest]:
    """Return the manifests in the data home, by name, without those that cannot be read."""
    found = []
    home = data_home()
    for file in sorted(home.glob(f"*/{MANIFEST}")) if home.is_dir() else ():
        if file.parent.name.startswith("."):
            continue  # an import that is not finished
        try:
            found.append(read_manifest(file.parent))
        except InputError:
            continue  # another program's file of that name
    return found


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest in a folder.

    Raises
    ------
    InputError
        If it cannot be read or is not a manifest.
    """
    file = folder / MANIFEST
    try:
        read = json.loads(file.read_text("utf-8"))
        if read["kind"] not in get_args(DataKind):
            raise ValueError(read["kind"])
        parts = {str(code): _language_files(part) for code, part in read["languages"].items()}
        return Manifest(folder.name, read["kind"], str(read["format"]), str(read["reader"]), parts, folder)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", path=file) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            "this is not a manifest of imported data; import the data again", path=file
        ) from error


def _language_files(read: Any) -> LanguageFiles:
    files = [str(name) for name in read["files"]]
    counts = {str(what): int(count) for what, count in read["counts"].items()}
    return LanguageFiles(files, str(read["path"]), counts, str(read["target_language"]))
