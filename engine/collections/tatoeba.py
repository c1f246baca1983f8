"""Tatoeba: find a sentence's translation among up to 1,000 (Artetxe and Schwenk 2019, arXiv 1812.10464).

XTREME (Hu et al. 2020, arXiv 2003.11080) lets each English sentence retrieve its foreign one and reports
accuracy, in 36 languages; XTREME-R in 41. A prediction counts when it names the right line, so a second
line with the same text is wrong. The English sentences differ from language to language, which makes
figures of different languages hard to compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from engine.bitext import files
from engine.collections.base import Collection, Document, Query, revision_of
from engine.errors import InputError
from engine.languages import LANGUAGES, Language, language

#: XTREME-R's languages; the first 36 are XTREME's.
XTREME_R = (
    *("af", "ar", "bg", "bn", "de", "el", "es", "et", "eu", "fa", "fi", "fr", "he", "hi", "hu", "id", "it"),
    *("ja", "jv", "ka", "kk", "ko", "ml", "mr", "nl", "pt", "ru", "sw", "ta", "te", "th", "tl", "tr", "ur"),
    *("vi", "zh", "az", "lt", "pl", "ro", "uk"),
)

#: Languages that one name stands for: XTREME's 36, XTREME-R's 41, all 112.
LANGUAGE_SETS = {
    "xtreme": XTREME_R[:36],
    "xtreme-r": XTREME_R,
    "all": tuple(entry.code for entry in LANGUAGES if entry.tatoeba),
}

_SOURCE = "Tatoeba test set v1, github.com/facebookresearch/LASER, CC BY 2.0 FR"


def load_tatoeba(
    folder: Path, languages: Sequence[str] = (), direction: Literal["en-xx", "xx-en"] = "en-xx"
) -> list[Collection]:
    """Read Tatoeba, one collection for each language, because the English sides differ.

    Parameters
    ----------
    folder : path
        The folder of ``tatoeba.<l3>-eng.<l3>`` and ``tatoeba.<l3>-eng.eng`` files.
    languages : sequence of str
        Of the side that is not English, or names of `LANGUAGE_SETS`; none takes XTREME-R's 41.
    direction : {"en-xx", "xx-en"}
        Queries in English (XTREME's direction), or in the other language.

    Raises
    ------
    InputError
        When a language has no files, its two files differ in length, or one lacks a sentence.
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
            f"it has {len(foreign):,} lines and {paths[1].name} has {len(english):,}; fetch both files again",
            path=paths[0],
        )
    for path, lines in zip(paths, (foreign, english), strict=True):
        if not lines or not all(lines):
            line = lines.index("") + 1 if lines else None
            raise InputError("a sentence is missing here; fetch the file again", path=path, line=line)
    sides = ("en", english), (entry.code, foreign)
    (asking, questions), (answering, answers) = sides if direction == "en-xx" else sides[::-1]
    # The topic names the language, because line n of another language's file is another sentence.
    topics = [f"{entry.code}-{line}" for line in range(1, len(english) + 1)]
    return Collection(
        name="tatoeba",
        revision=revision_of("\n".join(side).encode() for side in (foreign, english)),
        protocol="xtreme-r",
        direction=direction,
        queries=tuple(
            Query(f"{asking}:{topic}", text, asking) for topic, text in zip(topics, questions, strict=True)
        ),
        documents=tuple(
            Document(f"{answering}:{topic}", text, answering)
            for topic, text in zip(topics, answers, strict=True)
        ),
        judgements={f"{asking}:{topic}": {f"{answering}:{topic}": 1} for topic in topics},
        measures=("Success@1", "RR"),
        source=_SOURCE,
    )


def english_sentences(folder: Path) -> list[str]:
    """Return the distinct English sentences of all languages' files, in the order of their files' names.

    Raises
    ------
    InputError
        When the folder has none.
    """
    known = {entry.tatoeba for entry in LANGUAGES if entry.tatoeba}
    paths = [folder / f"tatoeba.{code}-eng.eng" for code in sorted(known)]
    present = [path for path in paths if path.is_file()]
    if not present:
        raise InputError("no file tatoeba.<l3>-eng.eng is here; give Tatoeba's folder", path=folder)
    return list(dict.fromkeys(line for path in present for line in read_lines(path) if line))


def read_lines(path: Path) -> list[str]:
    """Return the lines of a UTF-8 file, without the white space around them.

    Raises
    ------
    InputError
        If the file cannot be opened, or as `engine.bitext.files.read_lines`.
    """
    with files.open_bytes(path) as stream:
        return [line.strip() for line in files.read_lines(stream, path)]
