"""LAReQA on XQuAD-R (Roy et al. 2020, arXiv 2004.05484): questions and answer sentences in 11 languages.

Every question of every language searches one pool, the sentences of all languages together, its own
included; a sentence is relevant when the answer starts in it, in any language. The same questions were put
in all languages, so each has as many relevant sentences as there are languages. XTREME-R (Ruder et al.
2021, arXiv 2104.07412) reports mAP@20, the LAReQA paper mAP over whole rankings. XTREME-R encodes a
sentence together with its paragraph, which is the document's `context` here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from engine.collections.base import Collection, Document, Query, revision_of
from engine.errors import InputError
from engine.languages import language

_MEASURES = ("mAP@20", "AP")
_SOURCE = "LAReQA XQuAD-R, github.com/google-research-datasets/lareqa, CC BY-SA 4.0"


def load_lareqa(folder: Path, languages: Sequence[str] = ()) -> Collection:
    """Read XQuAD-R by XTREME-R's and the paper's protocol: one pool of all languages.

    Parameters
    ----------
    folder : path
        The folder of ``<language>.json`` files.
    languages : sequence of str
        Languages of the queries; none takes all. The pool always holds all languages of the folder.

    Raises
    ------
    InputError
        When a file is missing or is not what it should be.
    """
    parts = _read(folder)
    asked = _asked(folder, parts, languages)
    positives: dict[str, list[str]] = {}
    for part in parts.values():
        for topic, _, gold in part.questions:
            positives.setdefault(topic, []).append(gold)
    count = len(parts)
    return Collection(
        name="lareqa",
        revision=revision_of(part.content for part in parts.values()),
        protocol="xtreme-r",
        direction="xx-xx",
        queries=tuple(query for code in asked for query in parts[code].queries()),
        documents=tuple(document for part in parts.values() for document in part.documents),
        judgements={
            query.id: dict.fromkeys(positives[query.id.partition(":")[2]], 1)
            for code in asked
            for query in parts[code].queries()
        },
        measures=_MEASURES,
        reference=(
            f"A system that finds only the answer in the question's own language, at rank 1, scores "
            f"1/{count} = {1 / count:.4f}."
        ),
        source=_SOURCE,
    )


def load_lareqa_monolingual(folder: Path, languages: Sequence[str] = ()) -> list[Collection]:
    """Read XQuAD-R as one collection for each language, whose pool is that language alone.

    The difference to `load_lareqa` is what a system loses to the other languages in the pool.
    Parameters and errors as there.
    """
    parts = _read(folder)
    return [
        Collection(
            name="lareqa",
            revision=revision_of([part.content]),
            protocol="monolingual",
            direction="xx-xx",
            queries=tuple(part.queries()),
            documents=tuple(part.documents),
            judgements={f"{part.code}:{topic}": {gold: 1} for topic, _, gold in part.questions},
            measures=_MEASURES,
            source=_SOURCE,
        )
        for part in (parts[code] for code in _asked(folder, parts, languages))
    ]


class _Part:
    """The questions and sentences of one language."""

    def __init__(self, path: Path) -> None:
        self.code = language(path.stem).code
        self.content = _bytes(path)
        self.documents: list[Document] = []
        self.questions: list[tuple[str, str, str]] = []  # topic, text, id of the sentence with the answer
        for number, paragraph in enumerate(_paragraphs(self.content, path)):
            try:
                self._add(number, paragraph)
            except (KeyError, TypeError, IndexError, ValueError) as error:
                raise InputError(
                    f"paragraph {number} is not XQuAD-R's ({type(error).__name__}: {error}); "
                    "fetch the file again",
                    path=path,
                ) from error

    def _add(self, number: int, paragraph: dict[str, Any]) -> None:
        context = paragraph["context"]
        breaks = [(int(start), int(end)) for start, end in paragraph["sentence_breaks"]]
        first = len(self.documents)
        self.documents += [
            Document(f"{self.code}:{number}.{place}", context[start:end], self.code, context)
            for place, (start, end) in enumerate(breaks)
        ]
        for question in paragraph["qas"]:
            answer = int(question["answers"][0]["answer_start"])
            inside = [place for place, (start, end) in enumerate(breaks) if start <= answer < end]
            if not inside:
                raise ValueError(f"the answer of question {question['id']} is in no sentence")
            self.questions.append(
                (question["id"], question["question"], self.documents[first + inside[0]].id)
            )

    def queries(self) -> Iterator[Query]:
        return (Query(f"{self.code}:{topic}", text, self.code) for topic, text, _ in self.questions)


def _read(folder: Path) -> dict[str, _Part]:
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise InputError("no file <language>.json of XQuAD-R is here; give its folder", path=folder)
    return {part.code: part for part in map(_Part, paths)}


def _asked(folder: Path, parts: dict[str, _Part], languages: Sequence[str]) -> list[str]:
    codes = [language(name).code for name in languages] or list(parts)
    for code in codes:
        if code not in parts:
            raise InputError(
                f"there is no {code}.json; the languages here are {', '.join(parts)}", path=folder
            )
    return list(dict.fromkeys(codes))


def _paragraphs(content: bytes, path: Path) -> list[dict[str, Any]]:
    try:
        return [paragraph for article in json.loads(content)["data"] for paragraph in article["paragraphs"]]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError("this is not XQuAD-R's JSON; fetch the file again", path=path) from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"it cannot be read ({error.strerror})", path=path) from error
