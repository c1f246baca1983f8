"""Belebele (Bandarkar et al. 2023, arXiv 2308.16884): 900 questions on 488 FLORES passages in 122 languages.

Each language is a JSON Lines file named after its FLORES code (``hau_Latn.jsonl``), in which every record has
``link``, ``question_number``, ``flores_passage``, ``question``, ``mc_answer1`` to ``mc_answer4`` and
``correct_answer_num``. A question is identified by its link and number. As bitext, a question in two
languages is a pair; as a collection, questions search the passages (`engine.collections.belebele`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.bitext.files import numbered_objects, tagged_files
from engine.errors import InputError
from engine.extensions.bitext import BitextFormat, Sample, SentencePair, Unmatched
from engine.languages import choose_tag

FILE_NAME = re.compile(r"(?P<tag>[a-z]{3}_[A-Z][a-z]{3})\.jsonl(\.gz|\.xz)?")
"""Names of Belebele's files."""
_FIELDS = ("link", "question_number", "flores_passage", "question", "correct_answer_num")


@dataclass(frozen=True, slots=True)
class BelebeleQuestion:
    """A question, its passage and its right answer in one language.

    Attributes
    ----------
    id : str
        A name of its passage and its number, the same in every language.
    text, passage, answer : str
        The question, the passage, and the answer that is right.
    link : str
        Address of the article that the passage is from.
    line : int
        Its line in the file.
    """

    id: str
    text: str
    passage: str
    answer: str
    link: str
    line: int


def belebele_files(folder: Path) -> dict[str, Path]:
    """Return Belebele's files in a folder and its subfolders by their FLORES codes.

    Raises
    ------
    InputError
        If there is none.
    """
    found = tagged_files(folder, FILE_NAME)
    if not found:
        raise InputError(
            "this folder has no file of Belebele, such as eng_Latn.jsonl; give the folder that has them",
            path=folder,
        )
    return found


def choose_belebele(folder: Path, files: Mapping[str, Path], wanted: str) -> str:
    """Return the FLORES code of the file of the language `wanted`.

    Raises
    ------
    InputError
        If there is none, or several match and none is exactly the one that is wanted.
    """
    tag = choose_tag(wanted, files, path=folder)
    if tag is None:
        raise InputError(
            f"there is no file <code>.jsonl in {wanted!r}; the languages here are {', '.join(files)}",
            path=folder,
        )
    return tag


def read_belebele_file(path: Path) -> Iterator[BelebeleQuestion]:
    """Yield the questions of one of Belebele's files.

    Raises
    ------
    InputError
        If a line is not a record of Belebele, or a question occurs twice.
    """
    lines: dict[tuple[str, str, str], int] = {}
    numbers: Counter[str] = Counter()
    for number, record in numbered_objects(path):
        link, place, passage, question, right = (_text(record, key, path, number) for key in _FIELDS)
        answer = record.get(f"mc_answer{right}")
        if not isinstance(answer, str):
            raise InputError(
                f"answer {right!r} is said to be right, and there is no such answer; fetch the file again",
                path=path,
                line=number,
            )
        if (before := lines.get((link, place, passage))) is not None:
            raise InputError(
                f"question {place} of {link} occurs twice, first in line {before}; fetch the file again",
                path=path,
                line=number,
            )
        lines[link, place, passage] = number
        name = f"{hashlib.blake2b(link.encode(), digest_size=5).hexdigest()}-{place}"
        numbers[name] += 1
        # An article with two passages has two questions of a number.
        name = name if numbers[name] == 1 else f"{name}#{numbers[name]}"
        yield BelebeleQuestion(name, question, passage, answer, link, number)
    if not lines:
        raise InputError("it contains no question; fetch the file again", path=path)


def read_belebele(path: Path, source: str, target: str) -> Iterator[SentencePair | Unmatched]:
    """Yield the questions in two languages, in the order of the source language's file.

    Raises
    ------
    InputError
        If a file is missing or broken.
    """
    folder = path if path.is_dir() else path.parent
    files = belebele_files(folder)
    first, second = (files[choose_belebele(folder, files, wanted)] for wanted in (source, target))
    translations = {question.id: question for question in read_belebele_file(second)}
    for question in read_belebele_file(first):
        other = translations.get(question.id)
        if other is None:
            yield Unmatched((source,))
        else:
            yield SentencePair(
                question.text,
                other.text,
                source,
                target,
                question.id,
                document=question.link,
                passage=other.passage,
            )


def _text(record: Mapping[str, Any], key: str, path: Path, line: int) -> str:
    value = record.get(key)
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not text.strip() or "\0" in text:
        raise InputError(
            f"this record has no {key!r}, which Belebele's records have; fetch the file again",
            path=path,
            line=line,
        )
    return " ".join(text.split())


def _matches(sample: Sample) -> bool:
    try:
        record = json.loads(sample.lines[0])
    except (IndexError, ValueError, RecursionError):
        return False
    return isinstance(record, dict) and all(key in record for key in _FIELDS)


def _is_folder(names: Sequence[str]) -> bool:
    return any(FILE_NAME.fullmatch(name.rpartition("/")[2]) for name in names)


def _languages(path: Path, names: Sequence[str]) -> Iterator[str]:
    files = belebele_files(path if path.is_dir() else path.parent)
    return iter(files)


BELEBELE = BitextFormat(
    name="belebele",
    meaning="the folder of Belebele, whose questions are the same in 122 languages",
    title="a folder of Belebele",
    read=read_belebele,
    is_folder=_is_folder,
    matches=_matches,
    languages=_languages,
)
