"""Tab-separated pairs, with or without a score."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from engine.bitext.files import open_bytes, read_lines, score_of
from engine.bitext.pairs import SentencePair
from engine.errors import InputError
from engine.languages import names_language


def read_tsv(path: Path, source: str, target: str) -> Iterator[SentencePair]:
    """Yield the pairs of a TSV file; a pair's id is its line.

    Lines hold ``source`` and ``target``, and a score in front of them (WikiMatrix) or after them; the first
    line tells which. If the file's name holds both codes (``WikiMatrix.en-so.tsv.gz``), their order there is
    the columns' order; otherwise the source comes first. Quotes have no meaning. A blank line is a pair of
    empty sentences.

    Raises
    ------
    InputError
        If a line has another number of columns than the first, a score is no number, or a line is not UTF-8.
    """
    swapped = _names_target_first(path.name, source, target)
    with open_bytes(path) as stream:
        columns: int | None = None
        score_first = False
        for number, line in enumerate(read_lines(stream, path), 1):
            cells = line.split("\t") if line.strip() else []
            if not cells:
                yield SentencePair("", "", source, target, str(number))
                continue
            if columns is None:
                columns = len(cells)
                if columns not in (2, 3):
                    raise InputError(
                        f"{columns} columns, where source and target, and perhaps a score, are expected",
                        path=path,
                        line=number,
                    )
                score_first = columns == 3 and _is_number(cells[0])
            if len(cells) != columns:
                raise InputError(
                    f"{len(cells)} columns, where the lines before have {columns}", path=path, line=number
                )
            score = None
            if columns == 3:
                score = score_of(cells.pop(0 if score_first else 2), path, number)
            first, second = reversed(cells) if swapped else cells
            yield SentencePair(first, second, source, target, str(number), score)


def _names_target_first(name: str, source: str, target: str) -> bool:
    """Tell whether a file's name holds the two codes, the target's before the source's."""
    codes = [part for part in re.split(r"[^A-Za-z]+", name) if 2 <= len(part) <= 3]
    return any(
        names_language(first, target) and names_language(second, source) for first, second in pairwise(codes)
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
