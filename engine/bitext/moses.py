"""Line-aligned pairs: two files, or the zip archive that OPUS packs them in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO

from engine.bitext.files import damage_named, open_bytes, open_zip, read_lines, siblings
from engine.bitext.pairs import SentencePair
from engine.errors import InputError
from engine.languages import same_language


def read_moses(path: Path, source: str, target: str) -> Iterator[SentencePair]:
    """Yield the line pairs of ``PREFIX.source`` and ``PREFIX.target``.

    Parameters
    ----------
    path : Path
        The prefix, one of the two files, or a zip archive that holds both. A file ``PREFIX.scores``, as
        OPUS adds to mined corpora, gives the pairs' scores.
    source, target : str
        Language codes; the extensions may be any spelling of them (``so``, ``som``).

    Raises
    ------
    InputError
        If a file is missing, is not UTF-8, or the files differ in length.
    """
    with ExitStack() as stack:
        streams: dict[str, BinaryIO] = {}
        if path.suffix == ".zip":
            archive = stack.enter_context(open_zip(path))
            names = [name for name in archive.namelist() if not name.endswith("/")]
            for role, name in _choose(names, path, source, target).items():
                stack.enter_context(damage_named(path))
                streams[role] = stack.enter_context(archive.open(name))  # type: ignore[assignment]
        else:
            prefix = path if siblings(path) else path.with_suffix("")
            files = {file.name: file for file in siblings(prefix)}
            for role, name in _choose(list(files), prefix, source, target).items():
                streams[role] = stack.enter_context(open_bytes(files[name]))
        yield from _pairs(streams, path, source, target)


def _choose(names: list[str], path: Path, source: str, target: str) -> dict[str, str]:
    roles: dict[str, str] = {}
    for name in sorted(names):
        extension = name.removesuffix(".gz").rpartition(".")[2]
        if extension == "scores":
            roles.setdefault("scores", name)
            continue
        for role, language in (("source", source), ("target", target)):
            try:
                if same_language(extension, language):
                    roles.setdefault(role, name)
            except InputError:  # an extension that is no language: README, xml, ids
                continue
    for role, language in (("source", source), ("target", target)):
        if role not in roles:
            has = ", ".join(sorted(names)[:6]) or "nothing"
            raise InputError(
                f"there is no file with the extension of {language!r} (there is {has})", path=path
            )
    return roles


def _pairs(streams: dict[str, BinaryIO], path: Path, source: str, target: str) -> Iterator[SentencePair]:
    lines = {role: read_lines(stream, f"{path} ({role})") for role, stream in streams.items()}
    count = dict.fromkeys(lines, 0)
    for number, row in enumerate(zip_longest(*lines.values()), 1):
        texts = dict(zip(lines, row, strict=True))
        for role, text in texts.items():
            count[role] += text is not None
        if None in row:
            break
        score = float(texts["scores"]) if "scores" in texts else None
        yield SentencePair(texts["source"], texts["target"], source, target, str(number), score)
    else:
        return
    for role, rest in lines.items():
        count[role] += sum(1 for _ in rest)
    sizes = ", ".join(f"{role} {number:,}" for role, number in count.items())
    raise InputError(
        f"the files are not line-aligned: they have different numbers of lines ({sizes})", path=path
    )
