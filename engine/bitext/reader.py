"""One way into every bitext format."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from engine.bitext.files import find, open_zip
from engine.bitext.gettext import package_folder, read_gettext
from engine.bitext.moses import read_moses
from engine.bitext.pairs import Drops, SentencePair, Unmatched
from engine.bitext.tmx import read_tmx
from engine.errors import InputError

_READERS = {"tmx": read_tmx, "gettext": read_gettext, "moses": read_moses}


def open_bitext(
    path: str | Path,
    *,
    format: str = "auto",
    language: str,
    target_language: str = "en",
    start: int = 0,
    stop: int | None = None,
    max_characters: int = 1000,
    max_ratio: float = 9.0,
    min_score: float | None = None,
    drops: Drops | None = None,
) -> Iterator[SentencePair]:
    """Open a bitext source and return its cleaned pairs, one at a time."""
    drops = Drops() if drops is None else drops
    name = str(path)
    place = package_folder(name[8:]) if name.startswith("package:") else find(name)
    kind = format if format != "auto" else _format(place)
    raw = _READERS[kind](place, language, target_language)
    return _clean(raw, name, start, stop, max_characters, max_ratio, min_score, drops)


def _clean(
    raw: Iterator[SentencePair | Unmatched],
    name: str,
    start: int,
    stop: int | None,
    max_characters: int,
    max_ratio: float,
    min_score: float | None,
    drops: Drops,
) -> Iterator[SentencePair]:
    seen: set[bytes] = set()
    tags: dict[str, None] = {}
    for position, pair in enumerate(raw):
        if position < start:
            continue
        if stop is not None and position >= stop:
            break
        drops.read += 1
        if isinstance(pair, Unmatched):
            drops.wrong_language += 1
            tags.update(dict.fromkeys(pair.languages))
            continue
        source, target = normalise(pair.source), normalise(pair.target)
        short, long = sorted((len(source), len(target)))
        key = hashlib.blake2b(f"{source}\0{target}".encode(), digest_size=16).digest()
        if not short:
            drops.empty += 1
        elif long > max_characters:
            drops.too_long += 1
        elif long > max_ratio * short:
            drops.ratio += 1
        elif min_score is not None and pair.score is not None and pair.score < min_score:
            drops.low_score += 1
        elif key in seen:
            drops.duplicate += 1
        else:
            seen.add(key)
            drops.kept += 1
            yield SentencePair(
                source, target, pair.source_language, pair.target_language, pair.id, pair.score
            )
    if not drops.kept:
        if drops.read and drops.wrong_language == drops.read:
            raise InputError(
                f"no unit has both languages; those in the file are {', '.join(tags)}", path=name
            )
        raise InputError(f"no sentence pair is left: {drops.sentence()}", path=name)


def normalise(text: str) -> str:
    """Return `text` in NFC with runs of white space made one space."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def _format(place: Path) -> str:
    name = place.name.lower().removesuffix(".gz")
    if place.is_dir() or name.endswith((".po", ".mo")):
        return "gettext"
    if name.endswith((".tmx", ".tmx.zip")):
        return "tmx"
    if name.endswith(".zip"):
        with open_zip(place) as archive:
            return "tmx" if any(member.endswith(".tmx") for member in archive.namelist()) else "moses"
    return "moses"
