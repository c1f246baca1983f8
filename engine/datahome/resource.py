"""`Resource`: one published dataset, with its address, files, terms and counts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from engine.datahome.download import RemoteFile
from engine.errors import InputError
from engine.paths import data_home

Kind = Literal["collection", "bitext", "catalogues"]

Counts = Mapping[str, Mapping[str, int]]
"""What is counted (``questions``, ``pairs``), and how many of it each language has."""


@dataclass(frozen=True)
class Resource:
    """A published dataset.

    Attributes
    ----------
    name : str
        Its name in the commands.
    kind : {"collection", "bitext"}
        What it is for.
    folder : str
        Its folder in the data home, or in ir_datasets' home if `shared`.
    licence, source : str
        Its terms, and where it comes from.
    remotes : tuple of RemoteFile
        Its files; none if it has to be got by hand.
    counts : mapping of str to mapping of language code to int
        Its counts as published; the code ``all`` stands for all languages together.
    remark : str
        What to know of it: what is missing, what to do by hand.
    shared : bool
        Whether it lies in the home of the library ir_datasets, which reads it.
    collection : str
        What ``name`` in ``[[collections]]`` is for it, with its default folder; empty for bitext.
    documents : str
        The pattern of files in its folder that hold its documents, if they come apart from the others.
    """

    name: str
    kind: Kind
    folder: str
    licence: str
    source: str
    remotes: tuple[RemoteFile, ...] = ()
    counts: Counts = field(default_factory=dict)
    remark: str = ""
    shared: bool = False
    collection: str = ""
    documents: str = ""

    @property
    def place(self) -> Path:
        """The folder that its files lie in once fetched."""
        return (shared_home() if self.shared else data_home()) / self.folder

    @property
    def languages(self) -> list[str]:
        """Codes of the languages it was published in."""
        counted = {code for counts in self.counts.values() for code in counts if code != "all"}
        return sorted(counted | {remote.language for remote in self.remotes if remote.language})

    @property
    def size(self) -> int:
        """Bytes of all its files as published; 0 if that is not known of one."""
        sizes = [remote.size for remote in self.remotes]
        return sum(sizes) if all(sizes) else 0

    def chosen(self, codes: list[str]) -> list[RemoteFile]:
        """Return the files of languages, and those of all languages; all files if none is named.

        Raises
        ------
        InputError
            If it has no such language.
        """
        known = {remote.language for remote in self.remotes}
        for code in codes:
            if code not in known:
                raise InputError(f"{self.name} has no {code!r}; it has {', '.join(sorted(known - {''}))}")
        return [remote for remote in self.remotes if not codes or remote.language in ("", *codes)]


def shared_home() -> Path:
    """Return the home of the library ir_datasets: ``$IR_DATASETS_HOME`` or ``~/.ir_datasets``."""
    return Path(os.environ.get("IR_DATASETS_HOME") or Path.home() / ".ir_datasets")
