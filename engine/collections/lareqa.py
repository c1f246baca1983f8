"""LAReQA (Roy et al. 2020, arXiv 2004.05484): questions and answer sentences in one pool of all languages.

Every question of every language searches one pool with the sentences of all languages, its own included. A
sentence is relevant if the answer starts in it, in any language. XQuAD-R has the same questions in 11
languages, so each question has 11 relevant sentences; MLQA-R has 7 languages, with a question in two to four
of them. XTREME-R (Ruder et al. 2021, arXiv 2104.07412) reports mAP@20, the LAReQA paper mAP over whole
rankings. XTREME-R encodes a sentence together with its paragraph, which is the document's `context` here:
with ``context = true`` the protocol is ``xtreme-r``, otherwise ``sentence``. Any other folder with files of
this format is read in the same way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.bitext.files import damage_named, find
from engine.collections.base import Collection, Document, Query, revision_of
from engine.collections.checksums import published_file
from engine.errors import InputError
from engine.extensions.collections import CollectionReader, FolderLayout
from engine.extensions.published import (
    Counts,
    LanguageFiles,
    PublishedData,
    PublishedFile,
    RecognisedData,
)
from engine.languages import language

if TYPE_CHECKING:
    from engine.config import CollectionConfig

_MEASURES = ("mAP@20", "AP")
_SOURCE = "LAReQA, github.com/google-research-datasets/lareqa, XQuAD-R CC BY-SA 4.0, MLQA-R CC BY-NC 4.0"


def load_lareqa(
    folder: Path,
    languages: Sequence[str] = (),
    document_languages: Sequence[str] = (),
    *,
    context: bool = False,
) -> Collection:
    """Read XQuAD-R or MLQA-R with one pool of all languages, as in XTREME-R and in the paper.

    Parameters
    ----------
    folder : path
        The folder with the ``<language>.json`` files.
    languages : sequence of str
        Languages of the queries; empty takes all.
    document_languages : sequence of str
        Languages of the documents; empty takes all in the folder. With fewer than all of them, the protocol
        is named after the languages.
    context : bool
        Whether the sentences are encoded with their paragraph, as in XTREME-R. The protocol says so:
        ``xtreme-r`` instead of ``sentence``, ``pool-en-context`` instead of ``pool-en``.

    Raises
    ------
    InputError
        If a file is missing or broken.
    """
    parts = _read(folder)
    query_codes = _codes(folder, parts, languages)
    document_codes = _codes(folder, parts, document_languages)
    whole = len(document_codes) == len(parts)
    pool = [parts[code] for code in (parts if whole else document_codes)]
    positives: dict[str, list[str]] = {}
    for part in pool:
        for topic, _, gold in part.questions:
            positives.setdefault(topic, []).append(gold)
    return Collection(
        name="lareqa",
        revision=revision_of(part.content for part in parts.values()),
        protocol=_protocol("sentence" if whole else f"pool-{'-'.join(document_codes)}", context),
        direction="xx-xx",
        queries=tuple(query for code in query_codes for query in parts[code].queries()),
        documents=tuple(document for part in pool for document in part.documents),
        judgements={
            query.id: dict.fromkeys(positives[query.id.partition(":")[2]], 1)
            for code in query_codes
            for query in parts[code].queries()
            if query.id.partition(":")[2] in positives
        },
        measures=_MEASURES,
        reference=_own_language_score(
            [len(positives[topic]) for code in query_codes for topic in parts[code].topics]
        )
        if whole
        else "",
        source=_SOURCE,
    )


def _protocol(of_sentences: str, context: bool) -> str:
    """Return the name of a protocol whose sentences are encoded with their paragraph, or alone."""
    if not context:
        return of_sentences
    return "xtreme-r" if of_sentences == "sentence" else f"{of_sentences}-context"


def load_lareqa_monolingual(
    folder: Path, languages: Sequence[str] = (), *, context: bool = False
) -> list[Collection]:
    """Read XQuAD-R or MLQA-R as one collection for each language, with a pool of that language only.

    Compared with `load_lareqa`, the scores show what a system loses to the other languages in the pool.
    Parameters and errors are those of `load_lareqa`.
    """
    parts = _read(folder)
    return [
        Collection(
            name="lareqa",
            revision=revision_of([part.content]),
            protocol=_protocol("monolingual", context),
            direction="xx-xx",
            queries=tuple(part.queries()),
            documents=tuple(part.documents),
            judgements={f"{part.code}:{topic}": {gold: 1} for topic, _, gold in part.questions},
            measures=_MEASURES,
            source=_SOURCE,
        )
        for part in (parts[code] for code in _codes(folder, parts, languages))
    ]


def _own_language_score(counts: Sequence[int]) -> str:
    """Return the score of a system that finds the answer in the question's language and no other."""
    start = "A system that finds only the answer in the question's own language, at rank 1, scores "
    if len(set(counts)) == 1:
        return f"{start}1/{counts[0]} = {1 / counts[0]:.4f}."
    mean = sum(1 / min(count, 20) for count in counts) / max(len(counts), 1)
    return f"{start}{mean:.4f} on average."


class _Part:
    """The questions and sentences of one language."""

    def __init__(self, path: Path) -> None:
        self.code = language(path.stem).code
        self.content = _bytes(path)
        self.documents: list[Document] = []
        self.questions: list[tuple[str, str, str]] = []  # topic, text, id of the sentence with the answer
        self.groups: dict[str, str] = {}  # the paragraph of each topic, by its smallest topic
        self.topics: set[str] = set()
        for number, paragraph in enumerate(_paragraphs(self.content, path)):
            try:
                self._add(number, paragraph)
            except (KeyError, TypeError, IndexError, ValueError, OverflowError) as error:
                raise InputError(
                    f"paragraph {number} is not in LAReQA's format ({type(error).__name__}: {error}); "
                    "fetch the file again",
                    path=path,
                ) from error
        if not self.questions:
            raise InputError("it contains no question; fetch the file again", path=path)

    def _add(self, number: int, paragraph: dict[str, Any]) -> None:
        context = _text(paragraph["context"])
        breaks = [_bounds(entry, len(context)) for entry in paragraph["sentence_breaks"]]
        first = len(self.documents)
        self.documents += [
            Document(f"{self.code}:{number}.{place}", context[start:end], self.code, context)
            for place, (start, end) in enumerate(breaks)
        ]
        topics: list[str] = []
        for question in paragraph["qas"]:
            topic = _text(question["id"])
            answer = _whole(question["answers"][0]["answer_start"])
            inside = [place for place, (start, end) in enumerate(breaks) if start <= answer < end]
            if not inside:
                raise ValueError(f"the answer of question {topic} is in no sentence")
            if topic in self.topics:
                raise ValueError(f"question {topic} occurs twice")
            self.topics.add(topic)
            topics.append(topic)
            self.questions.append((topic, _text(question["question"]), self.documents[first + inside[0]].id))
        self.groups.update(dict.fromkeys(topics, min(topics, default="")))

    def queries(self) -> Iterator[Query]:
        return (
            Query(f"{self.code}:{topic}", text, self.code, self.groups[topic])
            for topic, text, _ in self.questions
        )


def _read(folder: Path) -> dict[str, _Part]:
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise InputError(
            "this folder has no file <language>.json of LAReQA; give the folder that has them", path=folder
        )
    return {part.code: part for part in map(_Part, paths)}


def _codes(folder: Path, parts: dict[str, _Part], languages: Sequence[str]) -> list[str]:
    codes = [language(name).code for name in languages] or list(parts)
    for code in codes:
        if code not in parts:
            raise InputError(
                f"there is no {code}.json; the languages here are {', '.join(parts)}", path=folder
            )
    return list(dict.fromkeys(codes))


def _paragraphs(content: bytes, path: Path) -> list[dict[str, Any]]:
    try:
        # json.loads would also accept UTF-16; these files are UTF-8.
        text = content.decode("utf-8-sig")
        return [paragraph for article in json.loads(text)["data"] for paragraph in article["paragraphs"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        if isinstance(error, UnicodeDecodeError):
            line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            "this is not JSON in LAReQA's format; fetch the file again", path=path, line=line
        ) from error


def _text(value: Any) -> str:
    if not isinstance(value, str) or "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
        raise TypeError(f"{str(value)[:40]!r} is not a text")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"{str(value)[:40]!r} is not a whole number")
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


def _load(config: CollectionConfig, seed: int) -> list[Collection]:
    folder = find(config.folder)
    if config.pool == "all":
        loaded = [load_lareqa(folder, config.languages, config.document_languages, context=config.context)]
    else:
        loaded = load_lareqa_monolingual(folder, config.languages, context=config.context)
    return [collection.named(config.name) for collection in loaded]


def _check(config: CollectionConfig) -> None:
    if config.pool == "own" and config.document_languages:
        raise ValueError(
            "with pool = 'own' each language searches its own documents; leave out document_languages"
        )


# -- data in a folder --------------------------------------------------------------------------------


def _count(folder: Path) -> Counts:
    counts: dict[str, dict[str, int]] = {"questions": {}, "sentences": {}}
    for code, part in _read(folder).items():
        counts["questions"][code] = len(part.questions)
        counts["sentences"][code] = len(part.documents)
    return counts


def _recognise(folder: Path, names: Sequence[str], code: str | None) -> RecognisedData | None:
    """Recognise a folder whose JSON files all have LAReQA's format, one file for each language."""
    found = [name for name in names if "/" not in name and name.endswith(".json")]
    if not found or any(_annotated(folder / name) is None for name in found):
        return None
    return _recognised(folder, found, len(names))


def _recognise_file(path: Path) -> RecognisedData | None:
    if _annotated(path) is None:
        return None
    recognised = _recognised(path.parent, [path.name], 1)
    if recognised.known:
        return recognised
    raise InputError(
        "this file has LAReQA's format, but is no file of XQuAD-R or MLQA-R; import the folder with all its "
        "languages",
        path=path,
    )


def _recognised(folder: Path, names: Sequence[str], total: int) -> RecognisedData:
    languages = {}
    for name in names:
        questions = sentences = 0
        for paragraph in _annotated(folder / name) or ():
            questions += len(paragraph["qas"])
            sentences += len(paragraph["sentence_breaks"])
        counts = {"questions": questions, "sentences": sentences}
        languages[language(Path(name).stem).code] = LanguageFiles([name], "", counts)
    reader = next((one for one in READERS if one.published and one.published.has_counts(languages)), None)
    if reader is None and total > 1:
        load_lareqa(folder)  # it has to be readable, since no published counts confirm it
    return RecognisedData(
        f"LAReQA's {_TITLES[reader.name]}" if reader else "data in LAReQA's format",
        "collection",
        reader.name if reader else READERS[0].name,
        folder,
        languages,
        reader.name if reader else "",
        left_out=total - len(names),
    )


def _annotated(path: Path) -> list[dict[str, Any]] | None:
    """Return the paragraphs of a file of LAReQA's format; None if it has another format."""
    with damage_named(path), path.open("rb") as file:
        if not file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
            return None
        file.seek(0)
        content = file.read()
    try:
        paragraphs = [entry for article in json.loads(content)["data"] for entry in article["paragraphs"]]
        for paragraph in paragraphs:
            len(paragraph["qas"]), len(paragraph["sentence_breaks"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return paragraphs or None


# -- the published data ------------------------------------------------------------------------------

#: Sentences of XQuAD-R by language; it has 1,190 questions in each.
XQUAD_R_SENTENCES = {
    **{"ar": 1222, "de": 1276, "el": 1234, "en": 1180, "es": 1215, "hi": 1244},
    **{"ru": 1219, "th": 852, "tr": 1167, "vi": 1209, "zh": 1196},
}
_MLQA_R_QUESTIONS = {"ar": 517, "de": 512, "en": 1148, "es": 500, "hi": 507, "vi": 511, "zh": 504}
_MLQA_R_SENTENCES = {"ar": 2545, "de": 2362, "en": 6264, "es": 1787, "hi": 2426, "vi": 2828, "zh": 2322}

_ADDRESS = (
    "https://raw.githubusercontent.com/google-research-datasets/lareqa/"
    "5405d2a77e83d5ccb47623a3f9e5604c3f103193"
)
_TITLES = {"lareqa": "XQuAD-R", "mlqa-r": "MLQA-R"}


def _files(folder: str, published_folder: str, codes: Sequence[str]) -> list[PublishedFile]:
    return [
        published_file(f"{_ADDRESS}/{published_folder}/{code}.json", folder, f"{code}.json", code)
        for code in codes
    ]


def _language_of(name: str) -> str | None:
    found = re.fullmatch(r"([\w-]+)\.json", name)
    return found[1] if found else None


def _reader(
    name: str,
    meaning: str,
    folder: str,
    licence: str,
    files: Callable[[], Sequence[PublishedFile]],
    counts: Counts,
) -> CollectionReader:
    return CollectionReader(
        name=name,
        meaning=meaning,
        load=_load,
        measures=dict.fromkeys(("sentence", "xtreme-r", "monolingual", "monolingual-context"), _MEASURES),
        optional_settings=("document_languages",),
        check=_check,
        folder=folder,
        pool="all",
        translations="topics",
        published=PublishedData(
            name,
            folder,
            licence,
            f"github.com/google-research-datasets/lareqa, {_TITLES[name]}",
            files,
            counts,
            language_of=_language_of,
        ),
        layout=FolderLayout(
            recognise=_recognise,
            recognise_file=_recognise_file,
            count=_count,
            load_language=lambda folder, code: load_lareqa(folder, [code]),
        ),
    )


READERS = (
    _reader(
        "lareqa",
        "LAReQA's XQuAD-R: the same questions in 11 languages, answer sentences in one pool.",
        "xquad-r",
        "CC BY-SA 4.0",
        partial(_files, "xquad-r", "xquad-r", tuple(XQUAD_R_SENTENCES)),
        {"questions": dict.fromkeys(XQUAD_R_SENTENCES, 1190), "sentences": XQUAD_R_SENTENCES},
    ),
    _reader(
        "mlqa-r",
        "LAReQA's MLQA-R: questions in 7 languages, answer sentences in one pool.",
        "mlqa-r",
        "CC BY-NC 4.0",
        partial(_files, "mlqa-r", "mlqa-dev-r", tuple(_MLQA_R_QUESTIONS)),
        {"questions": _MLQA_R_QUESTIONS, "sentences": _MLQA_R_SENTENCES},
    ),
)
