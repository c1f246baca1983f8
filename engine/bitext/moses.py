"""Line-aligned pairs: two files, or the zip archive that OPUS packs them in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import zip_longest
from pathlib import Path

from engine.bitext.files import members, open_bytes, open_member, open_zip, read_lines, score_of, siblings
from engine.bitext.pairs import SentencePair
from engine.errors import InputError
from engine.languages import names_language

_Lines = dict[str, Iterator[str]]


def read_moses(path: Path, source: str, target: str) -> Iterator[SentencePair]:
    """Yield the line pairs of ``PREFIX.source`` and ``PREFIX.target``; a pair's id is its line.

    Parameters
    ----------
    path : Path
        The prefix, one of the two files, or a zip archive that holds both. A file ``PREFIX.scores``, as
        OPUS adds to mined corpora, gives the pairs' scores. Either file may be gzipped (``.gz``).
    source, target : str
        Language codes; the extensions may be any spelling of them (``so``, ``som``).

    Raises
    ------
    InputError
        If a file is missing or ambiguous, is not UTF-8, or the files differ in length.
    """
    with ExitStack() as stack:
        lines: _Lines = {}
        if path.suffix == ".zip":
            archive = stack.enter_context(open_zip(path))
            for role, name in _choose(members(archive), path, source, target).items():
                stream = stack.enter_context(open_member(archive, name, path))
                lines[role] = read_lines(stream, f"{path} ({name})")
        else:
            bare = path.with_suffix("") if path.suffix == ".gz" else path
            prefix = bare.with_suffix("") if path.is_file() else path
            files = siblings(prefix)
            for role, name in _choose(list(files), prefix, source, target).items():
                lines[role] = read_lines(stack.enter_context(open_bytes(files[name])), files[name])
        yield from _pairs(lines, path, source, target)


def _choose(names: list[str], path: Path, source: str, target: str) -> dict[str, str]:
    """Return the name of the source, the target and, if there is one, the score file."""
    roles: dict[str, list[str]] = {"source": [], "target": [], "scores": []}
    for name in names:
        # What follows a prefix is the whole extension; in an archive it is what follows the last dot.
        extension = name.removesuffix(".gz")
        extension = extension.rpartition(".")[2] if path.suffix == ".zip" else extension
        if extension == "scores":
            roles["scores"].append(name)
        elif names_language(extension, source):
            roles["source"].append(name)
        elif names_language(extension, target):
            roles["target"].append(name)
    for role, language in (("source", source), ("target", target)):
        if len(roles[role]) != 1:
            found = ", ".join(roles[role] or names[:6]) or "nothing"
            many = f"{len(roles[role])} files" if roles[role] else "no file"
            raise InputError(
                f"{many} with an extension that means {language!r}, where one is needed (found: {found})",
                path=path,
            )
    if len(roles["scores"]) > 1:
        raise InputError(f"there are {len(roles['scores'])} .scores files, where one is enough", path=path)
    return {role: found[0] for role, found in roles.items() if found}


def _pairs(lines: _Lines, path: Path, source: str, target: str) -> Iterator[SentencePair]:
    counts = dict.fromkeys(lines, 0)
    for number, row in enumerate(zip_longest(*lines.values()), 1):
        texts = dict(zip(lines, row, strict=True))
        for role, text in texts.items():
            counts[role] += text is not None
        if None in row:
            for role, rest in lines.items():
                counts[role] += sum(1 for _ in rest)
            sizes = ", ".join(f"{role} {count:,}" for role, count in counts.items())
            raise InputError(
                f"the files are not aligned line by line: their numbers of lines differ ({sizes})", path=path
            )
        score = score_of(texts["scores"], f"{path} (scores)", number) if "scores" in texts else None
        yield SentencePair(texts["source"], texts["target"], source, target, str(number), score)
