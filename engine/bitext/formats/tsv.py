"""Tab-separated pairs: plain, scored (WikiMatrix, CCMatrix, CCAligned), or with a header line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from engine.bitext.files import numbered_lines, parse_score
from engine.bitext.formats.keys import pair_of_keys, score_key
from engine.errors import InputError
from engine.extensions.bitext import BitextFormat, Sample, SentencePair
from engine.languages import looks_like_language, names_language


def read_tsv(path: Path, source: str, target: str) -> Iterator[SentencePair]:
    """Yield the pairs of a TSV file; the id of a pair is its line number.

    A line has the columns source and target, and may have a score before them (WikiMatrix, CCMatrix) or after
    them (CCAligned's sentences), or it has the five columns of CCAligned's pairs of web pages (domain,
    address, text, address, text). The first line determines the columns. If the name of the file contains
    both language codes (``WikiMatrix.en-so.tsv.gz``, ``en_XX-so_SO.tsv.xz``), the columns are in their order;
    otherwise the source is first. A first line of column names (``source``, ``target`` and ``score``, or
    language codes) is a header and has precedence over both. Quotation marks have no special meaning. A blank
    line is a pair of empty sentences.

    Raises
    ------
    InputError
        If a line and the first one differ in the number of columns, a score is not a number, or a line is not
        UTF-8.
    """
    columns: _Columns | None = None
    for number, line in numbered_lines(path):
        cells = line.split("\t") if line.strip() else []
        if not cells:
            yield SentencePair("", "", source, target, str(number))
            continue
        if columns is None:
            columns = _named(cells, source, target, path, number)
            if columns is not None:
                continue
            columns = _guessed(cells, _names_target_first(path.name, source, target))
            if columns is None:
                raise InputError(
                    f"{len(cells)} columns, where source, target and an optional score are expected",
                    path=path,
                    line=number,
                )
        if len(cells) != columns.count:
            raise InputError(
                f"{len(cells)} columns, where the lines before have {columns.count}", path=path, line=number
            )
        score = None if columns.score is None else parse_score(cells[columns.score], path, number)
        yield SentencePair(cells[columns.source], cells[columns.target], source, target, str(number), score)


@dataclass(frozen=True, slots=True)
class _Columns:
    """The number of columns, and the places of those that are used."""

    count: int
    source: int
    target: int
    score: int | None = None


def _named(cells: Sequence[str], source: str, target: str, path: Path, line: int) -> _Columns | None:
    """Return the columns that a header line names, or None if `cells` is not a header."""
    names = [cell.strip() for cell in cells]
    found = pair_of_keys(names, source, target, path=path, line=line)
    if found is None:
        return None
    scored = score_key(names)
    return _Columns(
        len(names),
        names.index(found[0]),
        names.index(found[1]),
        None if scored is None else names.index(scored),
    )


def _guessed(cells: Sequence[str], swapped: bool) -> _Columns | None:
    """Return the columns that the cells of the first line indicate, or None if they match no known form."""
    texts, score = (0, 1), None
    if len(cells) == 3:
        texts, score = ((1, 2), 0) if _is_number(cells[0]) else ((0, 1), 2)
    elif len(cells) == 5 and all(cells[place].startswith(("http://", "https://")) for place in (1, 3)):
        texts = (2, 4)
    elif len(cells) != 2:
        return None
    first, second = texts
    return (
        _Columns(len(cells), second, first, score) if swapped else _Columns(len(cells), first, second, score)
    )


def _names_target_first(name: str, source: str, target: str) -> bool:
    """Return whether the name of a file contains both codes, the target's immediately before the source's."""
    parts = [part for part in re.split(r"[^A-Za-z]+", name) if 2 <= len(part) <= 3]
    # Upper-case parts are regions (en_XX-so_SO), unless all codes are in upper case.
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


def _matches(sample: Sample) -> bool:
    widths = {line.count("\t") + 1 for line in sample.lines}
    return widths in ({2}, {3}) and not _are_records(sample.lines)


def _are_records(lines: Sequence[str]) -> bool:
    """Return whether lines are topics or judgements, whose first cell is an identifier and not a sentence."""
    first = [line.split("\t")[0] for line in lines]
    return all(re.fullmatch(r"[\w.#:-]*\d[\w.#:-]*", cell) for cell in first) and not all(
        re.fullmatch(r"\d+\.\d+", cell)
        for cell in first  # the scores of WikiMatrix
    )


def _languages(path: Path, names: Sequence[str]) -> Sequence[str]:
    """Return the two codes in the name of a file (``WikiMatrix.en-so.tsv.gz``)."""
    codes = [part for part in re.split(r"[^A-Za-z]+", path.name) if 2 <= len(part) <= 3]
    pairs = [pair for pair in pairwise(codes) if all(map(looks_like_language, pair))]
    return pairs[0] if pairs else ()


TSV = BitextFormat(
    name="tsv",
    meaning="tab-separated source and target, with an optional score or header line",
    title="tab-separated pairs",
    read=read_tsv,
    endings=(".tsv", ".tsv.gz", ".tsv.xz"),
    matches=_matches,
    languages=_languages,
)
