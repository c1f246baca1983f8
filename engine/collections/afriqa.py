"""AfriQA (Ogundepo et al. 2023, arXiv 2305.06897): people's questions, Wikipedia passages.

A question searches the gold passages of all questions with its pivot language, of all languages and splits in
the folder: English, or French for Fon. The passage that answers it is relevant. AfriQA's own task searches
the whole Wikipedia; this pool is smaller, and the protocol is called ``gold-passages``. Scores with other
files in the folder have another revision.

The language ``en`` (``fr``) stands for the human translations of the questions: translate-test without a
model's errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.bitext.files import find
from engine.bitext.formats.afriqa import (
    SPLITS,
    AfriqaFile,
    Question,
    afriqa_file,
    afriqa_files,
    read_questions,
)
from engine.collections.base import Collection, Document, Query, contents_revision, revision_of
from engine.collections.build import CollectionFacts, build_collection
from engine.collections.checksums import published_file
from engine.collections.trec import Judgement
from engine.counted import counted
from engine.errors import InputError, nearest
from engine.extensions.collections import CollectionReader, FolderLayout
from engine.extensions.published import Counts, LanguageFiles, PublishedData, PublishedFile, RecognisedData
from engine.languages import language

if TYPE_CHECKING:
    from engine.config import CollectionConfig

_FACTS = CollectionFacts(
    "afriqa",
    "gold-passages",
    "xx-en",
    ("nDCG@10", "RR@10", "R@10"),
    "AfriQA, github.com/masakhane-io/afriqa, CC BY 4.0",
)


def load_afriqa(folder: Path, languages: Sequence[str] = (), split: str | None = None) -> list[Collection]:
    """Read AfriQA, one collection for each pivot language.

    Parameters
    ----------
    folder : path
        The folder with AfriQA's files of gold passages, in any subfolders.
    languages : sequence of str
        Languages of the questions; empty takes all that the folder has. ``en`` and ``fr`` stand for the human
        translations of the questions in the other languages given, or of all questions if there is no other.
    split : {"test", "dev", "train"}, optional
        Which questions are asked; the test questions by default. The passages of all splits are searched.

    Raises
    ------
    InputError
        If a file is missing or broken.
    """
    chosen = split or "test"
    if chosen not in SPLITS:
        raise InputError(
            f"AfriQA has no split {chosen!r}{nearest(chosen, SPLITS)}; it has {', '.join(SPLITS)}"
        )
    files = [file for file in afriqa_files(folder) if file.passages]
    if not files:
        raise InputError(
            "this folder has AfriQA's questions without its passages; add the files "
            "gold_span_passages.afriqa.…",
            path=folder,
        )
    pivots = sorted({file.pivot for file in files}, key=lambda code: (code != "en", code))
    asked = [file for file in files if file.split == chosen]
    wanted = list(dict.fromkeys(language(code).code for code in languages))
    present = sorted({file.language for file in asked})
    if missing := [code for code in wanted if code not in present and code not in pivots]:
        raise InputError(
            f"there is no file gold_span_passages.afriqa.….{chosen}.json of {language(missing[0]).name} "
            f"({missing[0]}); the languages of this split here are {', '.join(present) or 'none'}",
            path=folder,
        )
    if not asked:
        raise InputError(
            f"there is no file gold_span_passages.afriqa.….{chosen}.json; add it or choose another split",
            path=folder,
        )
    foreign = {code for code in wanted if code not in pivots}
    collections = []
    for pivot in pivots:
        here = {file.language for file in asked if file.pivot == pivot}
        original = here & foreign if wanted else here
        translated = original or (here if not foreign else set()) if pivot in wanted else set()
        if original or translated:
            passages = [file for file in files if file.pivot == pivot]
            collections.append(_load(passages, chosen, original, translated))
    return collections


def _load(files: Sequence[AfriqaFile], split: str, original: set[str], translated: set[str]) -> Collection:
    """Read the collection of one pivot language.

    `original` are the languages of which the questions are asked as they are, `translated` those of which the
    translations are asked.
    """
    pivot = files[0].pivot
    passages: dict[str, Document] = {}
    asked: list[tuple[AfriqaFile, Question]] = []
    without = unasked = 0
    for file in files:
        for question in read_questions(file.path):
            if not question.passage:
                without += file.split == split and file.language in original | translated
                continue
            if file.split == split and not (question.text and question.translation):
                unasked += 1
            # The same passage with and without its title is one document.
            known = passages.get(question.passage)
            if known is None or (question.title and not known.title):
                passages[question.passage] = _document(pivot, question)
            if file.split == split and question.text and question.translation:
                asked.append((file, question))
    if not asked:
        raise InputError(
            f"no {split} question with a passage in {language(pivot).name} is here; add the files "
            f"gold_span_passages.afriqa.….{split}.json"
        )
    every = [(file, question, passages[question.passage]) for file, question in asked]
    first = [_query(file, question, passage, file.language) for file, question, passage in every]
    second = [_query(file, question, passage, pivot) for file, question, passage in every]
    judgements = {
        query.id: [Judgement(question.id, passage.id, 1, file.path, question.line)]
        for queries in (first, second)
        for query, (file, question, passage) in zip(queries, every, strict=True)
    }
    # The revision is that of all questions of the split, so scores with fewer languages can be compared.
    grades = {name: {judgement.document: 1 for judgement in of} for name, of in judgements.items()}
    revision = revision_of(
        [split.encode(), contents_revision([*first, *second], passages.values(), grades).encode()]
    )
    parts: dict[str, list[str]] = {}
    for file in files:
        parts.setdefault(file.language, []).append(file.split)
    sources = "; ".join(f"{code} {', '.join(sorted(splits))}" for code, splits in sorted(parts.items()))
    notes = [
        f"afriqa: the pool is {counted(len(passages), 'passage')} in {language(pivot).name}, those of "
        f"{sources}"
    ]
    if without:
        verb = "has no passage and is" if without == 1 else "have no passage and are"
        notes.append(f"afriqa: {counted(without, f'{split} question')} {verb} left out")
    if unasked:
        verb = "is empty or not translated and is" if unasked == 1 else "are empty or not translated and are"
        notes.append(f"afriqa: {counted(unasked, f'{split} question')} {verb} left out")
    collection = build_collection(
        _FACTS,
        [
            *(query for query, (file, *_) in zip(first, every, strict=True) if file.language in original),
            *(query for query, (file, *_) in zip(second, every, strict=True) if file.language in translated),
        ],
        judgements,
        passages.values(),
        notes=notes,
        path=files[0].path.parent,
    )
    return replace(collection, revision=revision, direction="xx-en" if pivot == "en" else "xx-xx")


def _document(pivot: str, question: Question) -> Document:
    return Document(
        f"{pivot}:{revision_of([question.passage.encode()])}",
        f"{question.title} {question.passage}".strip(),
        pivot,
        title=question.title,
    )


def _query(file: AfriqaFile, question: Question, passage: Document, code: str) -> Query:
    """Return a question in its own language or in the pivot language; the topic is the same."""
    text = question.text if code == file.language else question.translation
    return Query(
        f"{code}:{file.language}-{file.split}-{question.id}",
        text,
        code,
        group=passage.title or passage.id,
        translation=question.translation,
    )


def _load_configured(config: CollectionConfig, seed: int) -> list[Collection]:
    return [
        collection.named(config.name)
        for collection in load_afriqa(find(config.folder), config.languages, config.split)
    ]


# -- data in a folder --------------------------------------------------------------------------------


def _count(files: Iterable[AfriqaFile]) -> Counts:
    counts: dict[str, dict[str, int]] = {}
    for file in files:
        what = f"{'passages' if file.passages else 'questions'} ({file.split})"
        read = list(read_questions(file.path))
        counts.setdefault(what, {})[file.language] = sum(
            bool(question.passage) or not file.passages for question in read
        )
    return counts


def _recognise(folder: Path, names: Sequence[str], code: str | None) -> RecognisedData | None:
    found = [file for name in names if (file := afriqa_file(folder / name)) is not None]
    if not any(file.passages for file in found):
        return None
    languages = {
        one: LanguageFiles(
            [file.path.relative_to(folder).as_posix() for file in found if file.language == one],
            "",
            {what: count[one] for what, count in _count(f for f in found if f.language == one).items()},
            next(file.pivot for file in found if file.language == one),
        )
        for one in dict.fromkeys(file.language for file in found)
    }
    return RecognisedData(
        "AfriQA's questions and passages",
        "collection",
        READER.name,
        folder,
        languages,
        PUBLISHED.name if PUBLISHED.has_counts(languages) else "",
        left_out=len(names) - len(found),
    )


# -- the published data ------------------------------------------------------------------------------

_ADDRESS = (
    "https://raw.githubusercontent.com/masakhane-io/afriqa/5c29933753692c28773c34ac1f68482007f1d2bb/data"
)

#: Languages with the pivot language of their files.
_PIVOTS = {
    **{"bem": "en", "fon": "fr", "hau": "en", "ibo": "en", "kin": "en", "swa": "en"},
    **{"twi": "en", "wol": "fr", "yor": "en", "zul": "en"},
}
#: Splits without a file of gold passages.
_WITHOUT_PASSAGES = {("swa", "train"), ("swa", "dev"), ("yor", "dev"), *(("wol", split) for split in SPLITS)}

_COUNTS = {
    "questions (train)": {
        **{"bem": 502, "fon": 427, "ha": 435, "ig": 417, "rw": 407, "sw": 415, "tw": 451, "wo": 503},
        **{"yo": 360, "zu": 387},
    },
    "questions (dev)": {
        **{"bem": 503, "fon": 428, "ha": 436, "ig": 418, "rw": 409, "sw": 417, "tw": 452, "wo": 504},
        **{"yo": 361, "zu": 388},
    },
    "questions (test)": {
        **{"bem": 314, "fon": 386, "ha": 300, "ig": 409, "rw": 347, "sw": 302, "tw": 490, "wo": 334},
        **{"yo": 332, "zu": 325},
    },
    "passages (train)": {
        **{"bem": 228, "fon": 282, "ha": 223, "ig": 305, "rw": 214, "tw": 351, "yo": 247, "zu": 242},
    },
    "passages (dev)": {"bem": 235, "fon": 271, "ha": 222, "ig": 307, "rw": 230, "tw": 348, "zu": 242},
    "passages (test)": {
        **{"bem": 308, "fon": 386, "ha": 300, "ig": 409, "rw": 345, "sw": 295, "tw": 486, "yo": 253},
        **{"zu": 325},
    },
}


def _files() -> list[PublishedFile]:
    files = []
    for tag, pivot in _PIVOTS.items():
        for split in SPLITS:
            names = [f"queries/{tag}/queries.afriqa.{tag}.{pivot}.{split}.json"]
            if (tag, split) not in _WITHOUT_PASSAGES:
                names.append(f"gold_passages/{tag}/gold_span_passages.afriqa.{tag}.{pivot}.{split}.json")
            files += [
                published_file(f"{_ADDRESS}/{name}", "afriqa", name, language(tag).code) for name in names
            ]
    return files


PUBLISHED = PublishedData(
    "afriqa",
    "afriqa",
    "CC BY 4.0",
    "github.com/masakhane-io/afriqa, data",
    _files,
    _COUNTS,
)

READER = CollectionReader(
    name="afriqa",
    meaning="AfriQA: people's questions in ten African languages, Wikipedia passages in English or French.",
    load=_load_configured,
    measures={_FACTS.protocol: _FACTS.measures},
    optional_settings=("split",),
    translations="queries",
    published=PUBLISHED,
    layout=FolderLayout(
        recognise=_recognise,
        count=lambda folder: _count(afriqa_files(folder)),
        load_language=lambda folder, code: load_afriqa(folder, [code])[0],
    ),
)
