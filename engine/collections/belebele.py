"""Belebele (Bandarkar et al. 2023, arXiv 2308.16884) as retrieval: a question finds its FLORES passage.

As in MTEB's BelebeleRetrieval, the 900 questions of a language search the 488 passages in English (xx-en),
the English questions those of the language (en-xx), or the questions those of their own language (``pool =
"own"``). nDCG@10 is reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from engine.bitext.files import find
from engine.bitext.formats.belebele import (
    FILE_NAME,
    BelebeleQuestion,
    belebele_files,
    choose_belebele,
    read_belebele_file,
)
from engine.collections.base import Collection
from engine.collections.build import CollectionFacts
from engine.collections.passages import Answered, passage_collection
from engine.errors import InputError
from engine.extensions.collections import CollectionReader, FolderLayout
from engine.extensions.published import LanguageFiles, PublishedData, RecognisedData
from engine.languages import Tag, language, names_language

if TYPE_CHECKING:
    from engine.config import CollectionConfig

_FACTS = CollectionFacts(
    "belebele",
    "passages",
    "xx-en",
    ("nDCG@10", "RR@10", "R@10"),
    "Belebele, huggingface.co/datasets/facebook/belebele, CC BY-SA 4.0",
)
#: Files in another script than the usual one of their language, which has a file of its own.
_VARIANTS = frozenset({"arb_Latn", "ben_Latn", "hin_Latn", "npi_Latn", "sin_Latn", "urd_Latn", "zho_Hant"})
_ENGLISH = "eng_Latn"


def load_belebele(
    folder: Path,
    languages: Sequence[str] = (),
    directions: Sequence[Literal["xx-en", "en-xx"]] = ("xx-en",),
    *,
    own: bool = False,
) -> list[Collection]:
    """Read Belebele, one collection for each language and direction.

    Parameters
    ----------
    folder : path
        The folder with the files ``<code>.jsonl``.
    languages : sequence of str
        Languages, or variants such as ``hin_Latn``; empty takes all but English.
    directions : sequence of {"xx-en", "en-xx"}
        Questions in the language that search the English passages, or English questions that search those of
        the language.
    own : bool
        Whether the questions search the passages of their own language instead.

    Raises
    ------
    InputError
        If a file is missing or broken.
    """
    files = belebele_files(folder)
    tags = [_choose(folder, files, wanted) for wanted in languages]
    tags = tags or [tag for tag in files if own or tag != _ENGLISH]
    read: dict[str, dict[str, BelebeleQuestion]] = {}
    for tag in tags if own else dict.fromkeys([_ENGLISH, *tags]):
        if tag not in files:
            raise InputError(f"{tag}.jsonl, the English file, is missing; add it", path=folder)
        read[tag] = {question.id: question for question in read_belebele_file(files[tag])}
    english = read.get(_ENGLISH, {})
    collections = []
    for tag in tags:
        if own:
            pairs = [(tag, tag)]
        else:
            sides = {"xx-en": (tag, _ENGLISH), "en-xx": (_ENGLISH, tag)}
            pairs = [sides[direction] for direction in directions]
        for asked, searched in pairs:
            passages = read[searched]
            answered = [
                Answered(
                    question.id,
                    question.text,
                    passages[name].passage,
                    question.link,
                    english[name].text if name in english else "",
                )
                for name, question in read[asked].items()
                if name in passages
            ]
            if not answered:
                raise InputError(
                    f"{asked}.jsonl and {searched}.jsonl have no question in common; fetch both again",
                    path=folder,
                )
            made = passage_collection(_FACTS, language(asked).code, language(searched).code, answered)
            collections.append(made.named(f"belebele-{tag}") if tag in _VARIANTS else made)
    return collections


def _choose(folder: Path, files: dict[str, Path], wanted: str) -> str:
    """Return the FLORES code of a language; without a script that of its usual one."""
    asked = Tag.parse(wanted)
    plain = {
        tag: path
        for tag, path in files.items()
        if names_language(tag, asked.language.code) and tag not in _VARIANTS
    }
    return choose_belebele(folder, plain if plain and not asked.script else files, wanted)


def _load(config: CollectionConfig, seed: int) -> list[Collection]:
    loaded = load_belebele(find(config.folder), config.languages, config.directions, own=config.pool == "own")
    return [one.named(config.name + one.name.removeprefix("belebele")) for one in loaded]


def _recognise(folder: Path, names: Sequence[str], code: str | None) -> RecognisedData | None:
    found = {name: match["tag"] for name in names if (match := FILE_NAME.fullmatch(name.rpartition("/")[2]))}
    if len(found) < 2:
        return None
    languages: dict[str, LanguageFiles] = {}
    for name, tag in found.items():
        if tag not in _VARIANTS:
            counts = {"questions": sum(1 for _ in read_belebele_file(folder / name))}
            languages[language(tag).code] = LanguageFiles([name], "", counts)
    extra = tuple(name for name, tag in found.items() if tag in _VARIANTS)
    return RecognisedData(
        "Belebele", "collection", READER.name, folder, languages, "", extra, left_out=len(names) - len(found)
    )


READER = CollectionReader(
    name="belebele",
    meaning="Belebele: questions in 122 languages and variants, FLORES passages in English or their own.",
    load=_load,
    measures={_FACTS.protocol: _FACTS.measures},
    translations="queries",
    published=PublishedData(
        "belebele",
        "belebele",
        "CC BY-SA 4.0",
        "huggingface.co/datasets/facebook/belebele",
        remark="download the files data/<code>.jsonl of the languages, and eng_Latn.jsonl, by hand",
    ),
    layout=FolderLayout(
        recognise=_recognise, load_language=lambda folder, code: load_belebele(folder, [code])[0]
    ),
)
