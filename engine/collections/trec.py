"""Topics, judgements and documents in the formats of TREC, MS MARCO and BEIR."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from engine.bitext.files import numbered_lines, numbered_objects
from engine.collections.text_files import read_rows, text_of
from engine.counted import counted
from engine.errors import InputError

#: Names of a record's id and text in published JSON Lines files.
_ID = ("_id", "id", "docid", "doc_id", "query_id", "qid")
_TEXT = ("text", "contents", "query")

#: Elements of a TREC document that are read, or that end an element; other tags are markup inside a text.
_FIELDS = ("docno", "title", "headline", "text", "date", "docid")

#: White space between columns, as in trec_eval; other Unicode white space is part of an id.
_SPACE = " \t\r\v\f"
_SPACES = re.compile(f"[{_SPACE}]+")

#: Names of columns in a header of judgements.
_GRADE_NAMES = ("score", "relevance", "rel", "grade", "label", "judgement", "judgment")
_TOPIC_NAMES = ("query-id", "query_id", "queryid", "qid", "topic-id", "topic_id", "topicid")

_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9]*)[^>]*>")


class Text(NamedTuple):
    """A topic or document: its published id, its text, its language if the file gives one, and its line."""

    id: str
    text: str
    language: str | None
    line: int


class Judgement(NamedTuple):
    """The grade of a document for a topic, and the file and line of the judgement."""

    topic: str
    document: str
    grade: int
    path: Path | None
    line: int | None


def read_topics(path: Path) -> Iterator[Text]:
    """Yield the topics of a file: ``id<TAB>text`` lines, JSON objects (``.jsonl``), or TREC's ``<top>``.

    The query of a TREC topic is its title.

    Raises
    ------
    InputError
        If the file has another format, or an id occurs twice.
    """
    return _unique(_texts(path, "top"), path, "topic")


def read_documents(path: Path) -> Iterator[Text]:
    """Yield the documents of a file: ``id<TAB>text`` lines, JSON objects (``.jsonl``), or TREC's ``<DOC>``.

    The text of a document with a title is the title, a space and the text.

    Raises
    ------
    InputError
        If the file has another format, or an id occurs twice.
    """
    return _unique(_texts(path, "doc"), path, "document")


def read_judgements(path: Path) -> list[Judgement]:
    """Read judgements: ``topic 0 document grade`` as in TREC, or ``topic document grade``, header or not.

    As in trec_eval, columns are separated by any tabs and spaces. In BEIR's format, which has a header of
    three columns, an id may contain spaces if the columns are separated by tabs.

    Raises
    ------
    InputError
        If a line has other columns, a grade is not a whole number, or a document is judged twice for one
        topic, which trec_eval refuses too.
    """
    found: dict[tuple[str, str], Judgement] = {}
    header = 0
    for place, (number, line) in enumerate(numbered_lines(path, blank=False)):
        cells = _judgement_cells(line, header)
        if not cells:
            cells = _SPACES.split(line.strip(_SPACE))
            raise InputError(
                f"{counted(len(cells), 'column')} where a judgement has four (topic, 0, document, grade) "
                "or three",
                path=path,
                line=number,
            )
        topic, document, grade = cells[0], cells[-2], cells[-1]
        if place == 0 and _is_header(cells):
            header = len(cells)
            continue
        if not re.fullmatch(r"[+-]?[0-9]{1,9}(\.0+)?", grade):
            raise InputError(
                f"{grade[:40]!r} is not a grade; it should be a whole number", path=path, line=number
            )
        _check_once(found.get((topic, document)), "judged", path, number)
        found[topic, document] = Judgement(topic, document, int(grade.partition(".")[0]), path, number)
    if not found:
        raise InputError("it contains no judgement; fetch the file again", path=path)
    return list(found.values())


def _judgement_cells(line: str, header: int) -> list[str]:
    """Return the three or four cells of a line; nothing if it has another number of them.

    `header` is the number of columns of the header, or 0.
    """
    cells = _SPACES.split(line.strip(_SPACE))
    tabbed = [cell.strip(_SPACE) for cell in line.split("\t")]
    separated = len(tabbed) in (3, 4) and all(tabbed)
    if len(cells) == 4 and header == len(tabbed) == 3 and separated and cells[1] not in ("0", "Q0"):
        return tabbed
    if len(cells) in (3, 4):
        return cells
    return tabbed if separated else []


def _is_header(cells: Sequence[str]) -> bool:
    """Return whether the cells of a first line are names of columns."""
    return cells[-1].casefold() in _GRADE_NAMES or cells[0].casefold() in _TOPIC_NAMES


def _texts(path: Path, tag: str) -> Iterator[Text]:
    names = path.name.removesuffix(".gz")
    if names.endswith((".jsonl", ".json")):
        for number, record in numbered_objects(path):
            yield _from_record(record, path, number)
        return
    lines = numbered_lines(path, blank=False)
    first = next(lines, None)
    if first is not None and first[1].lstrip().casefold().startswith(f"<{tag}>"):
        yield from _tagged(path, tag)
        return
    for number, (name, text) in read_rows(path, 2, "id and text"):
        yield Text(name.strip(), text.strip(), None, number)


def _from_record(record: dict[str, Any], path: Path, number: int) -> Text:
    name = text_of(record, _ID, path, number).strip()
    text = text_of(record, _TEXT, path, number)
    title = text_of(record, ("title",), path, number) if record.get("title") is not None else ""
    tag = text_of(record, ("language",), path, number) if record.get("language") is not None else None
    return Text(name, f"{title} {text}".strip(), tag, number)


def _tagged(path: Path, tag: str) -> Iterator[Text]:
    """Yield TREC's tagged texts; an element without an end tag ends at the next tag."""
    start, current = 0, ""
    fields: dict[str, str] = {}
    for number, line in numbered_lines(path, blank=False):
        place = 0
        for found in [*_TAG.finditer(line), None]:
            if current:
                end = len(line) if found is None else found.start()
                fields[current] = f"{fields.get(current, '')} {line[place:end]}"
            if found is None:
                break
            place, name, closing = found.end(), found[2].casefold(), bool(found[1])
            if name == tag and not closing:
                if start:
                    raise InputError(
                        f"<{tag}> again before </{tag}>; fetch the file again", path=path, line=number
                    )
                start, fields, current = number, {}, ""
            elif name == tag:
                if not start:
                    raise InputError(
                        f"</{tag}> without <{tag}> before it; fetch the file again", path=path, line=number
                    )
                yield _from_fields(fields, path, start)
                start, current = 0, ""
            elif start and (tag == "top" or name in _FIELDS):
                current = "" if closing else name
    if start:
        raise InputError(f"this <{tag}> has no </{tag}>; the file is incomplete", path=path, line=start)


def _from_fields(fields: dict[str, str], path: Path, line: int) -> Text:
    name = re.sub(r"^\s*Number:", "", fields.get("num", fields.get("docno", ""))).strip()
    if not name:
        raise InputError("it has no number (<num> of a topic, <DOCNO> of a document)", path=path, line=line)
    parts = [fields.get(field, "") for field in ("title", "headline", "text")]
    text = " ".join(" ".join(parts).split())
    return Text(name, re.sub(r"^Topic:\s*", "", text), None, line)


def _unique(texts: Iterator[Text], path: Path, kind: str) -> Iterator[Text]:
    lines: dict[str, int] = {}
    for text in texts:
        if not text.id:
            raise InputError(f"this {kind} has no id", path=path, line=text.line)
        if text.id in lines:
            raise InputError(
                f"{kind} {text.id!r} occurs twice, first in line {lines[text.id]}; remove one",
                path=path,
                line=text.line,
            )
        lines[text.id] = text.line
        yield text
    if not lines:
        raise InputError(f"it contains no {kind}; fetch the file again", path=path)


class Retrieved(NamedTuple):
    """A document that a TREC run found for a topic, its score, and the line that says so."""

    topic: str
    document: str
    score: float
    line: int


def read_ranking(path: Path) -> list[Retrieved]:
    """Read a TREC run: ``topic Q0 document rank score tag``; white space is that of `read_judgements`.

    The columns ``Q0``, ``rank`` and ``tag`` do not count, as in trec_eval.

    Raises
    ------
    InputError
        If a line has other columns, a score is not a number, or a document is found twice for one topic.
    """
    found: dict[tuple[str, str], Retrieved] = {}
    for number, line in numbered_lines(path, blank=False):
        cells = _SPACES.split(line.strip(_SPACE))
        if len(cells) != 6:
            raise InputError(
                f"{counted(len(cells), 'column')} where a TREC run has six "
                "(topic, Q0, document, rank, score, tag)",
                path=path,
                line=number,
            )
        topic, _, document, _, text, _ = cells
        try:
            score = float(text)
        except ValueError:
            score = math.nan
        if math.isnan(score):
            raise InputError(f"{text[:40]!r} is not a score; it should be a number", path=path, line=number)
        _check_once(found.get((topic, document)), "found", path, number)
        found[topic, document] = Retrieved(topic, document, score, number)
    if not found:
        raise InputError("it contains no ranking; give a TREC run", path=path)
    return list(found.values())


def _check_once(before: Judgement | Retrieved | None, what: str, path: Path, line: int) -> None:
    """Refuse a line about a topic and a document that another line, `before`, was about."""
    if before is not None:
        raise InputError(
            f"document {before.document!r} is {what} twice for topic {before.topic!r}, first in line "
            f"{before.line}; remove one, as trec_eval requires too",
            path=path,
            line=line,
        )
