"""Tatoeba: find a sentence's translation among up to 1,000 (Artetxe and Schwenk 2019, arXiv 1812.10464).

XTREME (Hu et al. 2020, arXiv 2003.11080) retrieves the foreign sentence for each English one and reports
accuracy, in 36 languages; XTREME-R in 41. A prediction is correct if it names the right line, so a second
line with the same text is wrong. The English sentences differ between languages, so scores of different
languages are hard to compare.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from engine.bitext import files
from engine.collections.base import Collection, Document, Query, revision_of
from engine.collections.checksums import published_file
from engine.counted import counted
from engine.errors import InputError
from engine.extensions.collections import CollectionReader, FolderLayout
from engine.extensions.published import (
    Counts,
    LanguageFiles,
    PublishedData,
    PublishedFile,
    RecognisedData,
)
from engine.languages import LANGUAGES, Language, language

if TYPE_CHECKING:
    from engine.config import CollectionConfig

#: XTREME-R's languages; the first 36 are XTREME's.
XTREME_R = (
    *("af", "ar", "bg", "bn", "de", "el", "es", "et", "eu", "fa", "fi", "fr", "he", "hi", "hu", "id", "it"),
    *("ja", "jv", "ka", "kk", "ko", "ml", "mr", "nl", "pt", "ru", "sw", "ta", "te", "th", "tl", "tr", "ur"),
    *("vi", "zh", "az", "lt", "pl", "ro", "uk"),
)

#: Names for sets of languages: XTREME's 36, XTREME-R's 41, all 112.
LANGUAGE_SETS = {
    "xtreme": XTREME_R[:36],
    "xtreme-r": XTREME_R,
    "all": tuple(entry.code for entry in LANGUAGES if entry.tatoeba),
}

_PROTOCOL = "xtreme-r"
_MEASURES = ("Success@1", "RR")
_SOURCE = "Tatoeba test set v1, github.com/facebookresearch/LASER, CC BY 2.0 FR"


def load_tatoeba(
    folder: Path, languages: Sequence[str] = (), direction: Literal["en-xx", "xx-en"] = "en-xx"
) -> list[Collection]:
    """Read Tatoeba, one collection for each language, because the English sentences differ.

    Parameters
    ----------
    folder : path
        The folder with the files ``tatoeba.<l3>-eng.<l3>`` and ``tatoeba.<l3>-eng.eng``.
    languages : sequence of str
        Languages of the side that is not English, or names of `LANGUAGE_SETS`; empty takes XTREME-R's 41.
    direction : {"en-xx", "xx-en"}
        Queries in English (XTREME's direction), or in the other language.

    Raises
    ------
    InputError
        If a language has no files, its two files differ in length, or a sentence is missing.
    """
    named = [code for name in languages or ["xtreme-r"] for code in LANGUAGE_SETS.get(name, (name,))]
    chosen = dict.fromkeys(language(code) for code in named)
    return [_load(folder, entry, direction) for entry in chosen]


def _load(folder: Path, entry: Language, direction: Literal["en-xx", "xx-en"]) -> Collection:
    if entry.tatoeba is None:
        raise InputError(f"Tatoeba has no test set in {entry.name} ({entry.code})")
    paths = [folder / f"tatoeba.{entry.tatoeba}-eng.{side}" for side in (entry.tatoeba, "eng")]
    foreign, english = (read_lines(path) for path in paths)
    if len(foreign) != len(english):
        raise InputError(
            f"it has {counted(len(foreign), 'line')} and {paths[1].name} has {len(english):,}; fetch "
            "both files again",
            path=paths[0],
        )
    for path, lines in zip(paths, (foreign, english), strict=True):
        if not lines or not all(lines):
            line = lines.index("") + 1 if lines else None
            raise InputError("a sentence is missing here; fetch the file again", path=path, line=line)
    sides = ("en", english), (entry.code, foreign)
    (query_code, queries), (document_code, documents) = sides if direction == "en-xx" else sides[::-1]
    # Topics contain the language, because line n of another language's file is another sentence.
    topics = [f"{entry.code}-{line}" for line in range(1, len(english) + 1)]
    return Collection(
        name="tatoeba",
        revision=revision_of("\n".join(side).encode() for side in (foreign, english)),
        protocol=_PROTOCOL,
        direction=direction,
        queries=tuple(
            Query(f"{query_code}:{topic}", text, query_code)
            for topic, text in zip(topics, queries, strict=True)
        ),
        documents=tuple(
            Document(f"{document_code}:{topic}", text, document_code)
            for topic, text in zip(topics, documents, strict=True)
        ),
        judgements={f"{query_code}:{topic}": {f"{document_code}:{topic}": 1} for topic in topics},
        measures=_MEASURES,
        source=_SOURCE,
    )


def english_sentences(folder: Path) -> list[str]:
    """Return the distinct English sentences of the files of all languages, in the order of the files' names.

    Raises
    ------
    InputError
        If the folder has no such file.
    """
    known = {entry.tatoeba for entry in LANGUAGES if entry.tatoeba}
    paths = [folder / f"tatoeba.{code}-eng.eng" for code in sorted(known)]
    present = [path for path in paths if path.is_file()]
    if not present:
        raise InputError(
            "this folder has no file tatoeba.<l3>-eng.eng; give the folder that has Tatoeba's files",
            path=folder,
        )
    return list(dict.fromkeys(line for path in present for line in read_lines(path) if line))


def read_lines(path: Path) -> list[str]:
    """Return the lines of a UTF-8 file without leading and trailing white space.

    Raises
    ------
    InputError
        If the file cannot be opened, or as `engine.bitext.files.read_lines`.
    """
    with files.open_bytes(path) as stream:
        return [line.strip() for line in files.read_lines(stream, path)]


def _load_configured(config: CollectionConfig, seed: int) -> list[Collection]:
    folder = files.find(config.folder)
    return [
        collection
        for direction in config.directions
        for collection in load_tatoeba(folder, config.languages, direction)
    ]


# -- data in a folder --------------------------------------------------------------------------------

_FILE_NAME = re.compile(r"tatoeba\.(?P<language>\w+)-eng\.((?P=language)|eng)")


def _language_of(name: str) -> str | None:
    if (found := _FILE_NAME.fullmatch(name)) is None:
        return None
    return next((entry.code for entry in LANGUAGES if entry.tatoeba == found["language"]), found["language"])


def _recognise(folder: Path, names: Sequence[str], code: str | None) -> RecognisedData | None:
    """Recognise Tatoeba's pairs of files, those of all 112 languages or of some."""
    if not any(_FILE_NAME.fullmatch(name) for name in names):
        return None
    known = {entry.code for entry in LANGUAGES if entry.tatoeba}
    by_code: dict[str, list[str]] = {}
    for name in names:
        if (found := _language_of(name)) in known:
            by_code.setdefault(found, []).append(name)
    languages = {
        code: LanguageFiles(found, "", _count_language(folder, code)) for code, found in by_code.items()
    }
    used = sum(len(found) for found in by_code.values())
    return RecognisedData(
        "Tatoeba's test sets",
        "collection",
        READER.name,
        folder,
        languages,
        READER.name if PUBLISHED.has_counts(languages) else "",
        left_out=len(names) - used,
    )


def _recognise_file(path: Path) -> RecognisedData | None:
    if _FILE_NAME.fullmatch(path.name):
        raise InputError("Tatoeba's files come in pairs; import the folder that contains both", path=path)
    return None


def _count_language(folder: Path, code: str) -> dict[str, int]:
    return {"pairs": len(_load_language(folder, code).queries)}


def _load_language(folder: Path, code: str) -> Collection:
    return load_tatoeba(folder, [code])[0]


# -- the published data ------------------------------------------------------------------------------

_ADDRESS = (
    "https://raw.githubusercontent.com/facebookresearch/LASER/fec5c7d63daa2bea9d127e8252b10e87278586c0/"
    "data/tatoeba/v1"
)

#: Languages with fewer than 1,000 sentence pairs.
_FEWER = {
    **{"am": 168, "ang": 134, "arq": 911, "arz": 477, "ast": 127, "awa": 231, "bs": 354, "ceb": 600},
    **{"ch": 137, "csb": 253, "cy": 575, "dsb": 479, "fo": 262, "fy": 173, "gd": 829, "gsw": 117},
    **{"hsb": 483, "hy": 742, "jv": 205, "ka": 746, "kk": 575, "km": 722, "ku": 410, "max": 284},
    **{"ml": 687, "mn": 440, "nov": 257, "orv": 835, "pms": 525, "sl": 823, "sw": 390, "swg": 112},
    **{"ta": 307, "te": 234, "th": 548, "tk": 203, "tzl": 104, "uz": 428, "xh": 142, "yi": 848},
}


def _published_files() -> list[PublishedFile]:
    return [
        published_file(f"{_ADDRESS}/{name}", "tatoeba", name, entry.code)
        for entry in LANGUAGES
        if entry.tatoeba
        for name in (f"tatoeba.{entry.tatoeba}-eng.{side}" for side in (entry.tatoeba, "eng"))
    ]


def _published_counts() -> Counts:
    return {"pairs": {entry.code: _FEWER.get(entry.code, 1000) for entry in LANGUAGES if entry.tatoeba}}


PUBLISHED = PublishedData(
    "tatoeba",
    "tatoeba",
    "CC BY 2.0 FR",
    "github.com/facebookresearch/LASER, data/tatoeba/v1",
    _published_files,
    _published_counts,
    language_of=_language_of,
)

READER = CollectionReader(
    name="tatoeba",
    meaning="Tatoeba: English sentences and their translations in 112 languages.",
    load=_load_configured,
    measures={_PROTOCOL: _MEASURES},
    optional_settings=("mining",),
    symmetric=True,
    translations="documents",
    published=PUBLISHED,
    layout=FolderLayout(
        recognise=_recognise,
        recognise_file=_recognise_file,
        count_language=_count_language,
        load_language=_load_language,
    ),
)
