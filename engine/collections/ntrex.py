"""NTREX-128 (Federmann et al. 2022): find a news sentence's translation among all 1,997.

As in MTEB's NTREXBitextMining, a sentence finds the English sentence (xx-en), or the English sentence its
translation (en-xx), and accuracy (Success@1) is reported. A prediction is correct if it names the right line.
The lines come from 123 documents: a part of the lines is a part of the documents, so that no article is in
training and in the evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from engine.bitext.files import find
from engine.bitext.formats.ntrex import (
    DOCUMENTS,
    FILE_NAME,
    choose_file,
    ntrex_files,
    read_documents,
    read_sentences,
)
from engine.bitext.split import in_part
from engine.collections.base import Collection, Document, Query, revision_of
from engine.collections.checksums import published_file
from engine.config.base import Fraction
from engine.counted import counted
from engine.errors import InputError
from engine.extensions.collections import CollectionReader, FolderLayout
from engine.extensions.published import LanguageFiles, PublishedData, PublishedFile, RecognisedData
from engine.languages import Tag, language, names_language

if TYPE_CHECKING:
    from engine.config import CollectionConfig

_PROTOCOL = "ntrex-128"
_MEASURES = ("Success@1", "RR")
_SOURCE = "NTREX-128, github.com/MicrosoftTranslator/NTREX, CC BY-SA 4.0"
_ENGLISH = "eng"

Part = Literal["all", "train", "test"]


class NtrexSettings(BaseModel):
    """Settings of NTREX-128."""

    model_config = ConfigDict(extra="forbid")

    part: Part = "all"
    """All lines, as published, or those of one part of the documents: a split by a hash of the document, the
    same as that of a bitext source with the same `part` and `test_share`."""
    test_share: Fraction = 0.3
    """Share of the documents in the test part."""


def load_ntrex(
    folder: Path,
    languages: Sequence[str] = (),
    directions: Sequence[Literal["xx-en", "en-xx"]] = ("xx-en",),
    part: Part = "all",
    test_share: float = 0.3,
) -> list[Collection]:
    """Read NTREX-128.

    Parameters
    ----------
    folder : path
        The folder with the files ``newstest2019-….txt``, and ``DOCUMENT_IDS.tsv`` in it or beside it.
    languages : sequence of str
        Languages, or variants such as ``fr-CA``; empty takes all. Of a language with several files, the one
        that is asked for, or the one without a region.
    directions : sequence of {"xx-en", "en-xx"}
        Queries in the language, which search the English sentences, or English queries.
    part : {"all", "train", "test"}
        All lines, or those of a part of the documents.
    test_share : float
        Share of the documents in the test part.

    Returns
    -------
    list of Collection
        One for each language and direction. The name of a variant's (``fra-CA``, ``zho-TW``) ends in the
        variant.

    Raises
    ------
    InputError
        If a file is missing or broken.
    """
    files = ntrex_files(folder)
    if _ENGLISH not in files:
        raise InputError("newstest2019-src.eng.txt, the English sentences, is missing; add it", path=folder)
    foreign = {tag: path for tag, path in files.items() if tag != _ENGLISH}
    tags = [_choose(folder, foreign, wanted) for wanted in languages] or list(foreign)
    texts = {tag: read_sentences(files[tag]) for tag in dict.fromkeys([_ENGLISH, *tags])}
    for tag, sentences in texts.items():
        if len(sentences) != len(texts[_ENGLISH]):
            raise InputError(
                f"it has {counted(len(sentences), 'line')} and {files[_ENGLISH].name} has "
                f"{len(texts[_ENGLISH]):,}; "
                "fetch both files again",
                path=files[tag],
            )
    documents = read_documents(folder, len(texts[_ENGLISH]))
    if part != "all" and not all(documents):
        raise InputError(f"{DOCUMENTS} is missing, which a part of the documents needs; add it", path=folder)
    lines = [number for number, document in enumerate(documents) if in_part(document, part, test_share)]
    if not lines:
        raise InputError(f"no document is in the part {part!r}; change test_share", path=folder)
    reading = _Reading(texts, documents, lines, _part_notes(documents, lines, part, test_share), part)
    return [reading.collection(tag, direction) for direction in directions for tag in tags]


class _Reading:
    """The chosen lines of the files that were read."""

    def __init__(
        self,
        texts: dict[str, list[str]],
        documents: Sequence[str],
        lines: Sequence[int],
        notes: tuple[str, ...],
        part: Part,
    ) -> None:
        self.texts, self.documents, self.lines, self.notes = texts, documents, lines, notes
        self.protocol = _PROTOCOL if part == "all" else f"{_PROTOCOL}-{part}"

    def collection(self, tag: str, direction: Literal["xx-en", "en-xx"]) -> Collection:
        code = language(tag).code
        sides = (code, self.texts[tag]), ("en", self.texts[_ENGLISH])
        (asked, queries), (searched, pool) = sides if direction == "xx-en" else sides[::-1]
        # A topic is the same sentence in every language. The ids of English queries contain the language of
        # the documents, because other collections have the same queries.
        topics = {
            line: f"{line + 1}" if direction == "xx-en" else f"{code}-{line + 1}" for line in self.lines
        }
        return Collection(
            name="ntrex" + (f"-{tag}" if tag in _VARIANTS else ""),
            revision=revision_of(
                text.encode() for side in (queries, pool) for text in (side[line] for line in self.lines)
            ),
            protocol=self.protocol,
            direction=direction,
            queries=tuple(
                Query(f"{asked}:{topic}", queries[line], asked, self.documents[line])
                for line, topic in topics.items()
            ),
            documents=tuple(Document(f"{searched}:{line + 1}", pool[line], searched) for line in self.lines),
            judgements={f"{asked}:{topic}": {f"{searched}:{line + 1}": 1} for line, topic in topics.items()},
            measures=_MEASURES,
            source=_SOURCE,
            notes=self.notes,
        )


def _choose(folder: Path, files: dict[str, Path], wanted: str) -> str:
    """Return the tag of the file of a language; without a region that of the file without one."""
    asked = Tag.parse(wanted)
    matching = {tag: path for tag, path in files.items() if names_language(tag, asked.language.code)}
    plain = {tag: path for tag, path in matching.items() if tag not in _VARIANTS}
    found = choose_file(folder, plain if plain and not (asked.region or asked.script) else matching, wanted)
    if found is None:
        raise InputError(
            f"there is no file newstest2019-ref.….txt in {wanted!r}; the languages here are "
            f"{', '.join(files)}",
            path=folder,
        )
    return found[0]


def _part_notes(documents: Sequence[str], lines: Sequence[int], part: Part, share: float) -> tuple[str, ...]:
    if part == "all":
        return ()
    chosen = {documents[line] for line in lines}
    return (
        f"ntrex: the {part} part is {len(lines):,} of {counted(len(documents), 'line')}, from "
        f"{len(chosen):,} of "
        f"{counted(len(set(documents)), 'document')} (test_share = {share:g})",
    )


def _load(config: CollectionConfig, seed: int) -> list[Collection]:
    settings = config.own_settings
    assert isinstance(settings, NtrexSettings)
    return [
        collection.named(config.name + collection.name.removeprefix("ntrex"))
        for collection in load_ntrex(
            find(config.folder), config.languages, config.directions, settings.part, settings.test_share
        )
    ]


# -- data in a folder --------------------------------------------------------------------------------


def _recognise(folder: Path, names: Sequence[str], code: str | None) -> RecognisedData | None:
    found = {name: match["tag"] for name in names if (match := FILE_NAME.fullmatch(name.rpartition("/")[2]))}
    english = [name for name, tag in found.items() if tag == _ENGLISH]
    if not english:
        return None
    languages: dict[str, LanguageFiles] = {}
    for name, tag in found.items():
        if tag != _ENGLISH and tag not in _VARIANTS:
            counts = {"pairs": len(read_sentences(folder / name))}
            languages[language(tag).code] = LanguageFiles([name], "", counts)
    extra = [name for name in names if name in english or name.rpartition("/")[2] == DOCUMENTS]
    extra += [name for name, tag in found.items() if tag in _VARIANTS]
    return RecognisedData(
        "NTREX-128",
        "collection",
        READER.name,
        folder,
        languages,
        READER.name if PUBLISHED.has_counts(languages) else "",
        tuple(extra),
        left_out=len(names) - len(languages) - len(extra),
    )


def _count_language(folder: Path, code: str) -> dict[str, int]:
    return {"pairs": len(_load_language(folder, code).queries)}


def _load_language(folder: Path, code: str) -> Collection:
    return load_ntrex(folder, [code])[0]


# -- the published data ------------------------------------------------------------------------------

_ADDRESS = (
    "https://raw.githubusercontent.com/MicrosoftTranslator/NTREX/8561f6a622db9edad1217683e5c83daefd8bb2bf"
)
#: Files of variants, whose language has another file, which is read unless the variant is asked for.
_VARIANTS = frozenset({"eng-GB", "eng-IN", "eng-US", "fra-CA", "por-BR", "spa-MX", "srp-Latn", "zho-TW"})
#: The other files.
_TAGS = (
    *("afr", "amh", "arb", "aze-Latn", "bak", "bel", "bem", "ben", "bod", "bos", "bul", "cat", "ces"),
    *("ckb-Arab", "cym", "dan", "deu", "div", "dzo", "ell", "est", "eus", "ewe", "fao", "fas", "fij", "fil"),
    *("fin", "fra", "fuc", "gle", "glg", "guj", "hau", "heb", "hin", "hmn", "hrv", "hun", "hye", "ibo"),
    *("ind", "isl", "ita", "jpn", "kan", "kat", "kaz", "khm", "kin", "kir", "kmr", "kor", "lao", "lav"),
    *("lit", "ltz", "mal", "mar", "mey", "mkd", "mlg", "mlt", "mon", "mri", "msa", "mya", "nde", "nep"),
    *("nld", "nno", "nob", "nso", "nya", "orm", "pan", "pol", "por", "prs", "pus", "ron", "rus", "shi"),
    *("sin", "slk", "slv", "smo", "sna-Latn", "snd-Arab", "som", "spa", "sqi", "srp-Cyrl", "ssw", "swa"),
    *("swe", "tah", "tam", "tat", "tel", "tgk-Cyrl", "tha", "tir", "ton", "tsn", "tuk", "tur", "uig"),
    *("ukr", "urd", "uzb", "ven", "vie", "wol", "xho", "yor", "yue", "zho-CN", "zul"),
)


def _files() -> list[PublishedFile]:
    names = [
        (_ENGLISH, f"NTREX-128/newstest2019-src.{_ENGLISH}.txt"),
        *((tag, f"NTREX-128/newstest2019-ref.{tag}.txt") for tag in (*_TAGS, *sorted(_VARIANTS))),
        ("", DOCUMENTS),
    ]
    return [
        published_file(
            f"{_ADDRESS}/{name}",
            "ntrex-128",
            name,
            "" if tag in ("", _ENGLISH) else language(tag).code,
        )
        for tag, name in names
    ]


PUBLISHED = PublishedData(
    "ntrex",
    "ntrex-128",
    "CC BY-SA 4.0",
    "github.com/MicrosoftTranslator/NTREX",
    _files,
    {"pairs": {language(tag).code: 1997 for tag in _TAGS}},
)

READER = CollectionReader(
    name="ntrex",
    meaning="NTREX-128: news sentences in 128 languages and variants, and their English originals.",
    load=_load,
    measures={
        _PROTOCOL: _MEASURES,
        f"{_PROTOCOL}-train": _MEASURES,
        f"{_PROTOCOL}-test": _MEASURES,
    },
    optional_settings=("mining",),
    settings=NtrexSettings,
    folder="ntrex-128",
    symmetric=True,
    translations="documents",
    published=PUBLISHED,
    layout=FolderLayout(recognise=_recognise, count_language=_count_language, load_language=_load_language),
)
