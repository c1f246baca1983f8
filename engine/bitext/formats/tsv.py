"""Tab-separated pairs: plain, scored (WikiMatrix, CCMatrix, CCAligned), or with a header line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from pathlib import Path

from engine.bitext.files import numbered_lines, parse_score
from engine.bitext.formats.keys import (
    SAMPLE,
    PairKeys,
    are_column_names,
    are_identifiers,
    language_keys,
    names_target_first,
    score_key,
)
from engine.counted import counted
from engine.errors import InputError
from engine.extensions.bitext import BitextFormat, Sample, SentencePair
from engine.languages import looks_like_language


def read_tsv(path: Path, source: str, target: str) -> Iterator[SentencePair]:
    """Yield the pairs of a TSV file; the id of a pair is its line number.

    A line has the columns source and target, and may have a score before them (WikiMatrix, CCMatrix) or after
    them (CCAligned's sentences), or it has the five columns of CCAligned's pairs of web pages (domain,
    address, text, address, text). Whole numbers that are all different and words with digits are identifiers
    and no scores. The first lines determine the columns. If the name of the file contains both language codes
    (``WikiMatrix.en-so.tsv.gz``, ``en_XX-so_SO.tsv.xz``), the columns are in their order; otherwise the
    source is first. A first line of column names is a header: languages (``en``, ``text_en``) have precedence
    over the file's name, which has precedence over roles (``source`` and ``target``, ``src`` and ``tgt``,
    ``sentence1`` and ``sentence2``). Quotation marks have no special meaning. A blank line is a pair of empty
    sentences. An empty score or NaN is no score.

    Raises
    ------
    InputError
        If a line and the first one differ in the number of columns, a score is not a number, or a line is not
        UTF-8.
    """
    lines = numbered_lines(path)
    head = list(islice(lines, SAMPLE))
    rows = [(number, line.split("\t")) for number, line in head if line.strip()]
    columns = _columns(rows, path, source, target) if rows else None
    for number, line in chain(head, lines):
        cells = line.split("\t") if line.strip() else []
        if not cells:
            yield SentencePair("", "", source, target, str(number))
            continue
        if columns is None:
            columns = _columns([(number, cells)], path, source, target)
        if number == columns.header:
            continue
        if len(cells) != columns.count:
            raise InputError(
                f"{counted(len(cells), 'column')}, where the lines before have {columns.count}",
                path=path,
                line=number,
            )
        score = None if columns.score is None else parse_score(cells[columns.score], path, number)
        yield SentencePair(cells[columns.source], cells[columns.target], source, target, str(number), score)


@dataclass(frozen=True, slots=True)
class _Columns:
    """The number of columns, the places of those that are used, and the line of the header."""

    count: int
    source: int
    target: int
    score: int | None = None
    header: int | None = None


def _columns(rows: Sequence[tuple[int, list[str]]], path: Path, source: str, target: str) -> _Columns:
    """Return the columns that the first lines indicate; `rows` are their numbers and cells."""
    number, first = rows[0]
    found = _named(rows, path, source, target)
    if found is None and are_column_names(first):
        raise InputError(
            f"no columns for {source!r} and {target!r}; its columns are: {', '.join(map(str.strip, first))}",
            path=path,
            line=number,
        )
    if found is None:
        found = _guessed([cells for _, cells in rows], names_target_first(path.name, source, target))
    if found is None:
        raise InputError(
            f"{counted(len(first), 'column')}, where source, target and an optional score are expected",
            path=path,
            line=number,
        )
    return found


def _named(rows: Sequence[tuple[int, list[str]]], path: Path, source: str, target: str) -> _Columns | None:
    """Return the columns that a header line names, or None if the first line is not a header."""
    number, names = rows[0][0], [cell.strip() for cell in rows[0][1]]
    found = PairKeys(source, target, path, _records(rows)).find(names, number)
    if found is None:
        return None
    scored = score_key(names)
    first, second = (names.index(name) for name in found)
    return _Columns(len(names), first, second, None if scored is None else names.index(scored), header=number)


def _records(rows: Sequence[tuple[int, list[str]]]) -> list[dict[str, str]]:
    """Return the lines below a header as records."""
    names = [cell.strip() for cell in rows[0][1]]
    return [dict(zip(names, cells, strict=False)) for _, cells in rows[1:]]


def _guessed(rows: Sequence[Sequence[str]], swapped: bool) -> _Columns | None:
    """Return the columns that the cells of the first lines indicate, or None if they match no known form.

    Of three columns, one is a score or an identifier: identifiers are whole numbers that are all different,
    or words with digits.
    """
    cells = rows[0]
    texts, score = (0, 1), None
    if len(cells) == 3:
        before, after = ([row[place] for row in rows if len(row) == 3] for place in (0, 2))
        if _is_number(cells[0]):
            texts, score = (1, 2), None if _are_numbered(before) else 0
        elif _is_number(cells[2]):
            score = None if _are_numbered(after) else 2
        elif are_identifiers(before):
            texts = (1, 2)
        elif not are_identifiers(after):
            score = 2  # the error message names the cell that is not a number
    elif len(cells) == 5 and all(cells[place].startswith(("http://", "https://")) for place in (1, 3)):
        texts = (2, 4)
    elif len(cells) != 2:
        return None
    first, second = texts
    return (
        _Columns(len(cells), second, first, score) if swapped else _Columns(len(cells), first, second, score)
    )


def _are_numbered(cells: Sequence[str]) -> bool:
    """Return whether cells are the numbers of lines or records: whole numbers that are all different."""
    return len(cells) > 1 and len(set(cells)) == len(cells) and all(cell.isdecimal() for cell in cells)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _matches(sample: Sample) -> bool:
    widths = {line.count("\t") + 1 for line in sample.lines}
    if len(widths) == 1 and len(_header_languages(sample.lines)) >= 2:
        return True
    return widths in ({2}, {3}) and not _are_records(sample.lines)


def _header_languages(lines: Sequence[str]) -> list[str]:
    """Return the languages that a header line names; none if the first line is not a header."""
    rows = [(number, line.split("\t")) for number, line in enumerate(lines, 1)]
    return language_keys(_records(rows)) if rows and are_column_names(rows[0][1]) else []


def _are_records(lines: Sequence[str]) -> bool:
    """Return whether lines are topics or judgements, whose first cell is an identifier and not a sentence."""
    first = [line.split("\t")[0] for line in lines]
    return all(re.fullmatch(r"[\w.#:-]*\d[\w.#:-]*", cell) for cell in first) and not all(
        re.fullmatch(r"\d+\.\d+", cell)
        for cell in first  # the scores of WikiMatrix
    )


def _languages(path: Path, names: Sequence[str]) -> Sequence[str]:
    """Return the languages that the header names, or the two codes in the name of a file."""
    lines = [line for _, line in islice(numbered_lines(path, blank=False), SAMPLE)]
    if found := _header_languages(lines):
        return found
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
