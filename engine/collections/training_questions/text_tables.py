r"""Texts by id: MS MARCO's ``id\ttext`` lines, or PyLate's JSON Lines.

MS MARCO's collection has 8.8 million passages, and one run uses a few thousand of them, so only the texts
that examples refer to are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from engine.bitext.files import find, numbered_lines, numbered_objects
from engine.collections.text_files import text_of
from engine.errors import InputError


def read_texts(name: str, wanted: Iterable[tuple[str, int]], examples: Path) -> dict[str, str]:
    """Return the texts of the ids in `wanted`, from the file `name`.

    Parameters
    ----------
    name : str
        A file, in the data home if relative: JSON Lines if its name ends in ``.jsonl`` or ``.jsonl.gz``,
        otherwise tab-separated lines.
    wanted : iterable of (str, int)
        Ids, each with the line of `examples` that refers to it.
    examples : path
        The file that refers to them, for messages.

    Raises
    ------
    InputError
        If the file is missing or broken, or an id or its text is missing.
    """
    path = find(name)
    lines: dict[str, int] = {}
    for identity, line in wanted:
        lines.setdefault(identity, line)
    found: dict[str, str] = {}
    for number, identity, text in _rows(path):
        if identity in lines and identity not in found:
            if not text.strip():
                raise InputError(f"the text of id {identity!r} is empty", path=path, line=number)
            found[identity] = text.strip()
            if len(found) == len(lines):
                break
    for identity, line in lines.items():
        if identity not in found:
            raise InputError(
                f"id {identity!r} is not in {path}; give the file that belongs to these examples",
                path=examples,
                line=line,
            )
    return found


def _rows(path: Path) -> Iterator[tuple[int, str, str]]:
    if ".jsonl" in path.suffixes:
        for number, record in numbered_objects(path):
            identity = text_of(record, ("query_id", "document_id", "_id", "id"), path, number)
            yield number, identity, text_of(record, ("text",), path, number)
        return
    for number, line in numbered_lines(path, blank=False):
        identity, tab, text = line.partition("\t")
        if not tab:
            raise InputError("a line should be an id, a tab and a text", path=path, line=number)
        yield number, identity.strip(), text
