"""Tab-separated pairs: plain, scored (WikiMatrix, CCMatrix, CCAligned), or of several languages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from engine.bitext.files import open_bytes, read_lines, score_of
from engine.bitext.pairs import SentencePair
from engine.bitext.records import pair_of_keys, score_key
from engine.errors import InputError
from engine.languages import names_language


def read_tsv(path: Path, source: str, target: str) -> Iterator[SentencePair]:
    """Yield the pairs of a TSV file; a pair's id is its line.

    Lines hold ``source`` and ``target``, and a score in front of them (WikiMatrix, CCMatrix) or after them
    (CCAligned's sentences), or CCAligned's five columns of a pair of web pages (domain, address, text,
    address, text); the first line tells which. If the file's name holds both codes
    (``WikiMatrix.en-so.tsv.gz``, ``en_XX-so_SO.tsv.xz``), their order there is the columns' order; otherwise
    the source comes first. A first line that names the columns (``source``, ``target`` and ``score``, or
    language codes) is a header and beats both. Quotes have no meaning. A blank line is a pair of empty
    sentences.

    Raises
    ------
    InputError
        If a line has another number of columns than the first, a score is no number, or a line is not UTF-8.
    """
    with open_bytes(path) as stream:
        shape: _Shape | None = None
        for number, line in enumerate(read_lines(stream, path), 1):
            cells = line.split("\t") if line.strip() else []
            if not cells:
                yield SentencePair("", "", source, target, str(number))
                continue
            if shape is None:
                shape = _named(cells, source, target)
                if shape is not None:
                    continue
                shape = _guessed(cells, _names_target_first(path.name, source, target))
                if shape is None:
                    raise InputError(
                        f"{len(cells)} columns, where source and target, and perhaps a score, are expected",
                        path=path,
                        line=number,
                    )
            if len(cells) != shape.columns:
                raise InputError(
                    f"{len(cells)} columns, where the lines before have {shape.columns}",
                    path=path,
                    line=number,
                )
            score = None if shape.score is None else score_of(cells[shape.score], path, number)
            yield SentencePair(cells[shape.source], cells[shape.target], source, target, str(number), score)


def read_parallel(path: Path, source: str, target: str) -> Iterator[SentencePair]:
    """Yield the pairs of a file for sentence-transformers: one sentence, then its translations.

    The first column is in the target language and every further one is a translation into the source
    language; each gives a pair, whose id is its line, and its column if there are several.

    Raises
    ------
    InputError
        If a line has one column only, or is not UTF-8.
    """
    with open_bytes(path) as stream:
        for number, line in enumerate(read_lines(stream, path), 1):
            if not line.strip():
                yield SentencePair("", "", source, target, str(number))
                continue
            english, *translations = line.split("\t")
            if not translations:
                raise InputError(
                    "1 column, where a sentence and its translations are expected", path=path, line=number
                )
            for column, text in enumerate(translations, 2):
                name = str(number) if len(translations) == 1 else f"{number}:{column}"
                yield SentencePair(text, english, source, target, name)


@dataclass(frozen=True, slots=True)
class _Shape:
    """How many columns there are, and which hold what."""

    columns: int
    source: int
    target: int
    score: int | None = None


def _named(cells: Sequence[str], source: str, target: str) -> _Shape | None:
    """Return the shape that a header tells, None where `cells` are no header."""
    names = [cell.strip() for cell in cells]
    found = pair_of_keys(names, source, target)
    if found is None:
        return None
    scored = score_key(names)
    return _Shape(
        len(names),
        names.index(found[0]),
        names.index(found[1]),
        None if scored is None else names.index(scored),
    )


def _guessed(cells: Sequence[str], swapped: bool) -> _Shape | None:
    """Return the shape that the first line's cells show, None if it is none that is known."""
    texts, score = (0, 1), None
    if len(cells) == 3:
        texts, score = ((1, 2), 0) if _is_number(cells[0]) else ((0, 1), 2)
    elif len(cells) == 5 and all(cells[place].startswith(("http://", "https://")) for place in (1, 3)):
        texts = (2, 4)
    elif len(cells) != 2:
        return None
    first, second = texts
    return _Shape(len(cells), second, first, score) if swapped else _Shape(len(cells), first, second, score)


def _names_target_first(name: str, source: str, target: str) -> bool:
    """Tell whether a file's name holds the two codes, the target's before the source's."""
    parts = [part for part in re.split(r"[^A-Za-z]+", name) if 2 <= len(part) <= 3]
    # Capitals are regions (en_XX-so_SO), unless all codes are in capitals.
    codes = [part for part in parts if not part.isupper()]
    return any(
        names_language(first, target) and names_language(second, source)
        for sequence in (codes, parts)
        for first, second in pairwise(sequence)
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
