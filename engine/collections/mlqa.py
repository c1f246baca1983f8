"""MLQA (Lewis et al. 2020, arXiv 1910.07475) as retrieval: a question finds its Wikipedia paragraph.

A file for each pair of seven languages, ``test-context-en-question-de.json`` in SQuAD's format, has questions
in one language and the paragraphs that answer them in the other. As in MTEB's MLQARetrieval, the questions of
a file search its distinct paragraphs, and nDCG@10 is reported. Data in MTEB's own shape, which is BEIR's, is
read by the collection ``folder``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.bitext.files import damage_named, files_in, find
from engine.collections.base import Collection
from engine.collections.build import CollectionFacts
from engine.collections.passages import Answered, passage_collection
from engine.errors import InputError, nearest
from engine.extensions.collections import CollectionReader, FolderLayout
from engine.extensions.published import LanguageFiles, PublishedData, RecognisedData
from engine.languages import language

if TYPE_CHECKING:
    from engine.config import CollectionConfig

_FACTS = CollectionFacts(
    "mlqa",
    "paragraphs",
    "xx-xx",
    ("nDCG@10", "RR@10", "R@10"),
    "MLQA, github.com/facebookresearch/MLQA, CC BY-SA 3.0",
)
SPLITS = ("test", "dev")
FILE_NAME = re.compile(
    r"(?P<split>test|dev)-context-(?P<context>[a-z]{2})-question-(?P<question>[a-z]{2})\.json"
)
"""Names of MLQA's files."""


def load_mlqa(
    folder: Path,
    languages: Sequence[str] = (),
    document_languages: Sequence[str] = (),
    split: str | None = None,
) -> list[Collection]:
    """Read MLQA, one collection for each pair of languages.

    Parameters
    ----------
    folder : path
        The folder with the files, in any subfolders.
    languages : sequence of str
        Languages of the questions; empty takes all that the folder has.
    document_languages : sequence of str
        Languages of the paragraphs; empty takes English.
    split : {"test", "dev"}, optional
        The test part by default.

    Raises
    ------
    InputError
        If a file is missing or broken.
    """
    chosen = split or SPLITS[0]
    if chosen not in SPLITS:
        raise InputError(f"MLQA has no split {chosen!r}{nearest(chosen, SPLITS)}; it has {', '.join(SPLITS)}")
    files = {
        (found["question"], found["context"]): path
        for path in files_in(folder)
        if (found := FILE_NAME.fullmatch(path.name)) and found["split"] == chosen
    }
    if not files:
        raise InputError(
            f"this folder has no file {chosen}-context-….json of MLQA; give the folder that has them",
            path=folder,
        )
    searched = [language(name).code for name in document_languages] or ["en"]
    asked = [language(name).code for name in languages]
    asked = asked or sorted({question for question, context in files if context in searched})
    collections = []
    for context in dict.fromkeys(searched):
        for question in dict.fromkeys(asked):
            path = files.get((question, context))
            if path is None:
                raise InputError(
                    f"{chosen}-context-{context}-question-{question}.json is missing; add it, or choose "
                    "other languages",
                    path=folder,
                )
            collections.append(passage_collection(_FACTS, question, context, read_squad(path)))
    return collections


def read_squad(path: Path) -> Iterator[Answered]:
    """Yield the questions of a file in SQuAD's format.

    Raises
    ------
    InputError
        If it has another format, a question occurs twice, or it has none.
    """
    with damage_named(path):
        content = path.read_bytes()
    seen: set[str] = set()
    try:
        for article in json.loads(content.decode("utf-8-sig"))["data"]:
            for paragraph in article["paragraphs"]:
                context = _text(paragraph["context"])
                for question in paragraph["qas"]:
                    name = _text(question["id"])
                    if name in seen:
                        raise InputError(f"question {name!r} occurs twice; fetch the file again", path=path)
                    seen.add(name)
                    title = _text(article.get("title") or context)
                    yield Answered(name, _text(question["question"]), context, title)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        line = getattr(error, "lineno", None)
        raise InputError(
            "this is not JSON in SQuAD's format, as MLQA's files are; fetch the file again",
            path=path,
            line=line,
        ) from error
    if not seen:
        raise InputError("it contains no question; fetch the file again", path=path)


def _text(value: Any) -> str:
    if not isinstance(value, str) or "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
        raise TypeError(f"{str(value)[:40]!r} is not a text")
    return " ".join(value.split())


def _load(config: CollectionConfig, seed: int) -> list[Collection]:
    loaded = load_mlqa(find(config.folder), config.languages, config.document_languages, config.split)
    return [collection.named(config.name) for collection in loaded]


def _recognise(folder: Path, names: Sequence[str], code: str | None) -> RecognisedData | None:
    found = {name: match for name in names if (match := FILE_NAME.fullmatch(name.rpartition("/")[2]))}
    if not found:
        return None
    languages: dict[str, LanguageFiles] = {}
    for tag in dict.fromkeys(match["question"] for match in found.values()):
        own = [name for name, match in found.items() if match["question"] == tag]
        contexts = sorted({found[name]["context"] for name in own}, key=lambda one: (one != "en", one))
        counts = {"questions": sum(1 for name in own for _ in read_squad(folder / name))}
        languages[tag] = LanguageFiles(own, "", counts, contexts[0])
    return RecognisedData(
        "MLQA", "collection", READER.name, folder, languages, "", left_out=len(names) - len(found)
    )


READER = CollectionReader(
    name="mlqa",
    meaning="MLQA: questions in seven languages, Wikipedia paragraphs in any of them.",
    load=_load,
    measures={_FACTS.protocol: _FACTS.measures},
    optional_settings=("split", "document_languages"),
    translations="topics",
    published=PublishedData(
        "mlqa",
        "mlqa",
        "CC BY-SA 3.0",
        "github.com/facebookresearch/MLQA",
        remark="download MLQA_V1.zip from its repository by hand, and unpack it",
    ),
    layout=FolderLayout(
        recognise=_recognise, load_language=lambda folder, code: load_mlqa(folder, [code])[0]
    ),
)
