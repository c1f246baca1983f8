"""AfriQA (Ogundepo et al. 2023, arXiv 2305.06897): people's questions in ten African languages.

Each question has a human translation into the pivot language, English or French (Fon and Wolof). The files of
gold passages also have the Wikipedia passage in the pivot language that answers it. The files are JSON Lines
in any subfolders, under their published names: ``queries.afriqa.<language>.<pivot>.<split>.json`` and
``gold_span_passages.afriqa.<language>.<pivot>.<split>.json``.

As bitext a question and its translation are a pair. As a collection, the questions search the gold passages
(`engine.collections.afriqa`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.bitext.files import files_in, numbered_objects
from engine.errors import InputError
from engine.extensions.bitext import BitextFormat, SentencePair, Unmatched
from engine.languages import language, lookup

SPLITS = ("train", "dev", "test")
FILE_NAME = re.compile(
    r"(?P<kind>queries|gold_span_passages)\.afriqa\.(?P<tag>[a-z]{2,3})\.(?P<pivot>[a-z]{2,3})"
    r"\.(?P<split>train|dev|test)\.jsonl?"
)
"""Names of AfriQA's files."""


@dataclass(frozen=True, slots=True)
class AfriqaFile:
    """One of AfriQA's files: its path, the codes of its two languages, its split, whether it has passages."""

    path: Path
    language: str
    pivot: str
    split: str
    passages: bool


@dataclass(frozen=True, slots=True)
class Question:
    """A question with its translation into the pivot language, and its passage if the file has one.

    Attributes
    ----------
    id : str
        Its id in the file.
    text, translation : str
        The question, and its human translation; empty if the record has none.
    title, passage : str
        Title and text of the gold passage; empty if the record has none.
    line : int
        Its line in the file.
    """

    id: str
    text: str
    translation: str
    title: str
    passage: str
    line: int


def afriqa_file(path: Path) -> AfriqaFile | None:
    """Return what the name of a file says about it; None if it is no name of AfriQA's files."""
    found = FILE_NAME.fullmatch(path.name)
    if found is None:
        return None
    language, pivot = lookup(found["tag"]), lookup(found["pivot"])
    if language is None or pivot is None:
        return None
    return AfriqaFile(path, language.code, pivot.code, found["split"], found["kind"] == "gold_span_passages")


def afriqa_files(folder: Path) -> list[AfriqaFile]:
    """Return AfriQA's files in a folder and its subfolders, in the order of their paths.

    Raises
    ------
    InputError
        If there is none, or two have the same name.
    """
    found: dict[str, AfriqaFile] = {}
    for path in files_in(folder):
        entry = afriqa_file(path)
        if entry is None:
            continue
        if (other := found.get(path.name)) is not None:
            raise InputError(
                f"it is here twice, also in {other.path.parent}; remove one of the two files", path=path
            )
        found[path.name] = entry
    if not found:
        raise InputError(
            "this folder has no file of AfriQA (queries.afriqa.… or gold_span_passages.afriqa.…); give the "
            "folder that has them",
            path=folder,
        )
    return list(found.values())


def read_questions(path: Path) -> Iterator[Question]:
    """Yield the questions of one of AfriQA's files, of questions or of gold passages.

    Raises
    ------
    InputError
        If a line is not a record of AfriQA, or an id occurs twice.
    """
    lines: dict[str, int] = {}
    for number, record in numbered_objects(path):
        question = Question(
            _field(record, ("id",), path, number),
            _field(record, ("question_lang", "question"), path, number),
            _field(record, ("question_translated", "translated_question"), path, number),
            _field(record, ("title",), path, number, optional=True),
            _field(record, ("context",), path, number, optional=True),
            number,
        )
        if not question.id:
            raise InputError("this question has no id; fetch the file again", path=path, line=number)
        if question.id in lines:
            raise InputError(
                f"question {question.id!r} occurs twice, first in line {lines[question.id]}; fetch the file "
                "again",
                path=path,
                line=number,
            )
        lines[question.id] = number
        yield question
    if not lines:
        raise InputError("it contains no question; fetch the file again", path=path)


def read_afriqa(path: Path, source: str, target: str, split: str) -> Iterator[SentencePair | Unmatched]:
    """Yield the questions of a split and their translations; a pair's passage is the gold passage, if known.

    Questions with and without a gold passage are read; a question that is in both kinds of files is one pair.

    Parameters
    ----------
    path : Path
        AfriQA's folder, or one of its files.
    source, target : str
        The language of the questions and the pivot language, in either order.
    split : str
        One of `SPLITS`, or ``all``.

    Raises
    ------
    InputError
        If no file has the languages and the split, or a file is broken.
    """
    folder = path if path.is_dir() else path.parent
    files = afriqa_files(folder)
    if not path.is_dir():
        files = [file for file in files if file.path.name == path.name]
    codes = [language(source).code, language(target).code]
    splits = SPLITS if split == "all" else (split,)
    parts = {
        part: [
            file
            for file in files
            if file.split == part and sorted((file.language, file.pivot)) == sorted(codes)
        ]
        for part in splits
    }
    if not any(parts.values()):
        found = sorted({f"{file.language}-{file.pivot} {file.split}" for file in files})
        raise InputError(
            f"there is no file of AfriQA in {source!r} and {target!r} of the split {split!r}; here are "
            f"{', '.join(found) or 'none'}",
            path=path,
        )
    for part in parts.values():
        swapped = bool(part) and part[0].language != codes[0]
        for question in _merged(part):
            texts = question.text, question.translation
            first, second = texts[::-1] if swapped else texts
            yield SentencePair(
                first,
                second,
                source,
                target,
                question.id,
                document=question.title or question.passage[:80],
                passage=question.passage,
            )


def _merged(files: Sequence[AfriqaFile]) -> Iterator[Question]:
    """Yield the questions of a split, each once, with the passage that the other file has of it."""
    answered: dict[tuple[str, str], Question] = {}
    for file in files:
        if file.passages:
            answered |= {(one.text, one.translation): one for one in read_questions(file.path)}
    rest = dict(answered)
    for file in files:
        for question in () if file.passages else read_questions(file.path):
            key = question.text, question.translation
            known = answered.get(key)
            rest.pop(key, None)
            name = f"{file.split}-{question.id}"
            yield replace(question if known is None else known, id=name)
    for question in rest.values():
        yield replace(question, id=f"{files[0].split}-passage-{question.id}")


def _field(
    record: Mapping[str, Any], names: Sequence[str], path: Path, line: int, *, optional: bool = False
) -> str:
    """Return the text of the first of `names` in a record; null and NaN are empty texts."""
    name = next((name for name in names if name in record), None)
    if name is None:
        if optional:
            return ""
        raise InputError(
            f"this record has no {names[0]!r}, which AfriQA's records have; fetch the file again",
            path=path,
            line=line,
        )
    value = record[name]
    if value is None or value != value:  # a null, or NaN, which pandas writes instead
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
        raise InputError(f"{name!r} is not a text; fetch the file again", path=path, line=line)
    return " ".join(value.split())


def _is_folder(names: Sequence[str]) -> bool:
    return any(afriqa_file(Path(name)) is not None for name in names)


def _languages(path: Path, names: Sequence[str]) -> Iterator[str]:
    for name in names:
        if (file := afriqa_file(Path(name))) is not None:
            yield file.language
            yield file.pivot


AFRIQA = BitextFormat(
    name="afriqa",
    meaning="AfriQA's questions in ten African languages and their human translations, by split",
    title="a folder of AfriQA",
    read=lambda path, source, target: read_afriqa(path, source, target, SPLITS[0]),
    splits=(*SPLITS, "all"),
    read_split=read_afriqa,
    is_folder=_is_folder,
    languages=_languages,
)
