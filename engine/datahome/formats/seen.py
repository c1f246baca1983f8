"""What was seen in data that somebody brings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.datahome.manifest import Part
from engine.datahome.resource import Kind


@dataclass(frozen=True)
class Seen:
    """Data that was recognised.

    Attributes
    ----------
    format : str
        What it is, for people.
    kind : {"collection", "bitext", "catalogues"}
        What it is for.
    reader : str
        What ``format`` in ``[[bitext]]`` or ``name`` in ``[[collections]]`` is for it.
    root : path
        The folder that its files' names are relative to.
    languages : dict of str to Part
        Its languages by code, with what was counted in each.
    known : str
        The name of the published dataset that it is, or is a part of; empty if it is none.
    extra : tuple of str
        Files that belong to no language, relative to the folder.
    left_out : int
        Files of the folder that are no part of it.
    """

    format: str
    kind: Kind
    reader: str
    root: Path
    languages: dict[str, Part]
    known: str = ""
    extra: tuple[str, ...] = ()
    left_out: int = 0

    @property
    def files(self) -> list[str]:
        """All its files, relative to the folder."""
        named = (name for part in self.languages.values() for name in part.files)
        return list(dict.fromkeys([*named, *self.extra]))


def inside(folder: Path) -> list[Path]:
    """Return the files in a folder and below it in the order of their names, hidden ones left out."""
    return sorted(
        file
        for file in folder.rglob("*")
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    )
