"""LAReQA (Roy et al. 2020, arXiv 2004.05484): questions and answer sentences, one pool of all languages.

Every question of every language searches one pool, the sentences of all languages together, its own
included; a sentence is relevant when the answer starts in it, in any language. XQuAD-R puts the same
questions in 11 languages, so each has 11 relevant sentences; MLQA-R has 7 languages and puts a question in
two to four of them. XTREME-R (Ruder et al. 2021, arXiv 2104.07412) reports mAP@20, the LAReQA paper mAP
over whole rankings. XTREME-R encodes a sentence together with its paragraph, which is the document's
`context` here. Any other folder of files in this shape is read in the same way.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from engine.collections.base import Collection, Document, Query, revision_of
from engine.errors import InputError
from engine.languages import language

#: Sentences of XQuAD-R by language; questions are 1,190 in each.
XQUAD_R_SENTENCES = {
    **{"ar": 1222, "de": 1276, "el": 1234, "en": 1180, "es": 1215, "hi": 1244},
    **{"ru": 1219, "th": 852, "tr": 1167, "vi": 1209, "zh": 1196},
}
_MEASURES = ("mAP@20", "AP")
_SOURCE = "LAReQA, github.com/google-research-datasets/lareqa, XQuAD-R CC BY-SA 4.0, MLQA-R CC BY-NC 4.0"


def load_lareqa(
    folder: Path, languages: Sequence[str] = (), document_languages: Sequence[str] = ()
) -> Collection:
    """Read XQuAD-R or MLQA-R by XTREME-R's and the paper's protocol: one pool of all languages.

    Parameters
    ----------
    folder : path
        The folder of ``<language>.json`` files.
    languages : sequence of str
        Languages of the queries; none takes all.
    document_languages : sequence of str
        Languages of the pool; none takes all of the folder, and only that is XTREME-R's protocol: with others
        it is named after them.

    Raises
    ------
    InputError
        When a file is missing or is not what it should be.
    """
    parts = _read(folder)
    asked = _asked(folder, parts, languages)
    answering = _asked(folder, parts, document_languages)
    whole = len(answering) == len(parts)
    pool = [parts[code] for code in (parts if whole else answering)]
    positives: dict[str, list[str]] = {}
    for part in pool:
        for topic, _, gold in part.questions:
            positives.setdefault(topic, []).append(gold)
    return Collection(
        name="lareqa",
        revision=revision_of(part.content for part in parts.values()),
        protocol="xtreme-r" if whole else f"pool-{'-'.join(answering)}",
        direction="xx-xx",
        queries=tuple(query for code in asked for query in parts[code].queries()),
        documents=tuple(document for part in pool for document in part.documents),
        judgements={
            query.id: dict.fromkeys(positives[query.id.partition(":")[2]], 1)
            for code in asked
            for query in parts[code].queries()
            if query.id.partition(":")[2] in positives
        },
        measures=_MEASURES,
        reference=_own_language_only(
            [len(positives[topic]) for code in asked for topic in parts[code].topics]
        )
        if whole
        else "",
        source=_SOURCE,
    )


def load_lareqa_monolingual(folder: Path, languages: Sequence[str] = ()) -> list[Collection]:
    """Read XQuAD-R or MLQA-R as one collection for each language, whose pool is that language alone.

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


def _own_language_only(counts: Sequence[int]) -> str:
    """Return what a system reaches that finds the answer in the question's language and no other."""
    said = "A system that finds only the answer in the question's own language, at rank 1, scores "
    if len(set(counts)) == 1:
        return f"{said}1/{counts[0]} = {1 / counts[0]:.4f}."
    mean = sum(1 / min(count, 20) for count in counts) / max(len(counts), 1)
    return f"{said}{mean:.4f} on average."


class _Part:
    """The questions and sentences of one language."""

    def __init__(self, path: Path) -> None:
        self.code = language(path.stem).code
        self.content = _bytes(path)
        self.documents: list[Document] = []
        self.questions: list[tuple[str, str, str]] = []  # topic, text, id of the sentence with the answer
        self.topics: set[str] = set()
        for number, paragraph in enumerate(_paragraphs(self.content, path)):
            try:
                self._add(number, paragraph)
            except (KeyError, TypeError, IndexError, ValueError, OverflowError) as error:
                raise InputError(
                    f"paragraph {number} is not LAReQA's ({type(error).__name__}: {error}); "
                    "fetch the file again",
                    path=path,
                ) from error
        if not self.questions:
            raise InputError("it holds no question; fetch the file again", path=path)

    def _add(self, number: int, paragraph: dict[str, Any]) -> None:
        context = _text(paragraph["context"])
        breaks = [_bounds(entry, len(context)) for entry in paragraph["sentence_breaks"]]
        first = len(self.documents)
        self.documents += [
            Document(f"{self.code}:{number}.{place}", context[start:end], self.code, context)
            for place, (start, end) in enumerate(breaks)
        ]
        for question in paragraph["qas"]:
            topic = _text(question["id"])
            answer = _whole(question["answers"][0]["answer_start"])
            inside = [place for place, (start, end) in enumerate(breaks) if start <= answer < end]
            if not inside:
                raise ValueError(f"the answer of question {topic} is in no sentence")
            if topic in self.topics:
                raise ValueError(f"question {topic} comes twice")
            self.topics.add(topic)
            self.questions.append((topic, _text(question["question"]), self.documents[first + inside[0]].id))

    def queries(self) -> Iterator[Query]:
        return (Query(f"{self.code}:{topic}", text, self.code) for topic, text, _ in self.questions)


def _read(folder: Path) -> dict[str, _Part]:
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise InputError("no file <language>.json of LAReQA is here; give its folder", path=folder)
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
        # Unlike json, which guesses at UTF-16 too, this refuses what is not UTF-8.
        text = content.decode("utf-8-sig")
        return [paragraph for article in json.loads(text)["data"] for paragraph in article["paragraphs"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        if isinstance(error, UnicodeDecodeError):
            line = content.count(b"\n", 0, error.start) + 1
        raise InputError("this is not LAReQA's JSON; fetch the file again", path=path, line=line) from error


def _text(value: Any) -> str:
    if not isinstance(value, str) or "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
        raise TypeError(f"{str(value)[:40]!r} is no text")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"{str(value)[:40]!r} is no whole number")
    return value


def _bounds(entry: Any, length: int) -> tuple[int, int]:
    start, end = (_whole(bound) for bound in entry)
    if not 0 <= start <= end <= length:
        raise ValueError(f"the sentence {start}-{end} is not within the paragraph's {length} characters")
    return start, end


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"it cannot be read ({error.strerror})", path=path) from error
