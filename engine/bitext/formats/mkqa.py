"""MKQA (Longpre et al. 2021): 10,000 questions in 26 languages, one JSON object a line.

``mkqa.jsonl.gz`` has each question under ``queries`` by language (``zh_cn``, ``zh_hk`` and ``zh_tw`` are
variants), its English original as ``query`` and its ``example_id``. The answers are not read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from engine.bitext.files import numbered_objects
from engine.errors import InputError
from engine.extensions.bitext import BitextFormat, Sample, SentencePair, Unmatched
from engine.languages import TagChooser


def read_mkqa(path: Path, source: str, target: str) -> Iterator[SentencePair | Unmatched]:
    """Yield the questions in two languages; the id of a pair is the question's.

    Raises
    ------
    InputError
        If a line has no questions by language, or several variants match a language and none exactly.
    """
    wanted = [TagChooser(one, path, lambda: _languages(path, ()), strict=True) for one in (source, target)]
    for number, record in numbered_objects(path):
        questions = _questions(record)
        if questions is None:
            raise InputError(
                "it has no 'queries' by language, as MKQA's records have; fetch the file again",
                path=path,
                line=number,
            )
        texts = {tag: text for tag, text in questions.items() if isinstance(text, str)}
        first, second = (one.choose(texts, line=number) for one in wanted)
        if first is None or second is None:
            yield Unmatched(tuple(questions))
        else:
            name = str(record.get("example_id", number))
            yield SentencePair(texts[first], texts[second], source, target, name)


def _questions(record: Mapping[str, Any]) -> dict[str, Any] | None:
    questions = record.get("queries")
    return questions if isinstance(questions, dict) and questions else None


def _matches(sample: Sample) -> bool:
    try:
        record = json.loads(sample.lines[0])
    except (IndexError, ValueError, RecursionError):
        return False
    return isinstance(record, dict) and "example_id" in record and _questions(record) is not None


def _languages(path: Path, names: Sequence[str]) -> Iterator[str]:
    # All records have all languages.
    for _, record in islice(numbered_objects(path), 100):
        yield from _questions(record) or ()


MKQA = BitextFormat(
    name="mkqa",
    meaning="MKQA's questions in 26 languages (mkqa.jsonl.gz)",
    title="a file of MKQA",
    read=read_mkqa,
    matches=_matches,
    languages=_languages,
)
