"""One way into every bitext format: find, read, clean and count."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import get_args

from engine.bitext.columns import is_huggingface, is_parquet, read_huggingface, read_parquet
from engine.bitext.files import find, members, open_bytes, open_zip, read_lines, shards
from engine.bitext.gettext import package_folder, read_gettext
from engine.bitext.identification import Identifier
from engine.bitext.jsonl import read_jsonl
from engine.bitext.moses import read_moses
from engine.bitext.pairs import Drops, Reason, SentencePair, Unmatched
from engine.bitext.tmx import read_tmx
from engine.bitext.tsv import read_parallel, read_tsv
from engine.bitext.xliff import read_xliff
from engine.config import BitextFormat
from engine.errors import InputError, nearest
from engine.languages import language as language_of

Format = BitextFormat
_Units = Iterator[SentencePair | Unmatched]
_READERS: dict[str, Callable[[Path, str, str], _Units]] = {
    "tmx": read_tmx,
    "xliff": read_xliff,
    "gettext": read_gettext,
    "moses": read_moses,
    "tsv": read_tsv,
    "sentence-transformers": read_parallel,
    "jsonl": read_jsonl,
    "parquet": read_parquet,
    "huggingface": read_huggingface,
}
_ENDINGS = {
    "tmx": (".tmx", ".tmx.gz", ".tmx.zip"),
    "xliff": (".xlf", ".xliff", ".xlf.gz", ".xliff.gz"),
    "gettext": (".po", ".mo"),
    "tsv": (".tsv", ".tsv.gz", ".tsv.xz"),
    "jsonl": (".jsonl", ".jsonl.gz", ".jsonl.xz", ".ndjson", ".ndjson.gz", ".ndjson.xz"),
    "parquet": (".parquet",),
    "huggingface": (".arrow",),
}


def open_bitext(
    path: str | Path,
    *,
    format: Format = "auto",
    language: str,
    target_language: str = "en",
    start: int = 0,
    stop: int | None = None,
    max_characters: int = 1000,
    max_ratio: float = 9.0,
    min_score: float | None = None,
    identify: bool = False,
    drops: Drops | None = None,
) -> Iterator[SentencePair]:
    """Open a bitext source and return its pairs one at a time, cleaned.

    Sentences are put in Unicode's NFC with runs of white space made one space. Dropped are pairs with an
    empty or overlong side, with sides too different in length, with too low a score, repeated pairs and, on
    request, those in other languages; what is checked first counts as the reason, in the order of `Drops`'
    fields. Nothing stays in memory but a 16-byte hash of each pair kept.

    Parameters
    ----------
    path : str or Path
        A file, a folder of gettext catalogues or of a dataset, the common prefix of two line-aligned files
        or of a split's files, or ``package:NAME`` for an installed package's catalogues. Relative paths are
        looked for in the working folder, then in the data home.
    format : str
        The file format; ``auto`` tells it from the name.
    language, target_language : str
        Codes of the two languages, in any spelling that `engine.languages.language` knows. Where they are
        one, the source is a text file of a sentence a line, and every sentence is a pair of itself.
    start, stop : int
        Half-open range of pairs to read, counted in the source's own order before anything is dropped.
    max_characters : int
        Longest side kept, in characters.
    max_ratio : float
        Largest ratio of the longer side's characters to the shorter's.
    min_score : float, optional
        Lowest score kept; pairs without a score pass.
    identify : bool
        Whether to drop pairs with a side that `engine.bitext.identification` takes for another language.
    drops : Drops, optional
        Counts to add to.

    Returns
    -------
    iterator of SentencePair
        `source_language` and `target_language` are the languages' codes, however they were spelled.

    Raises
    ------
    InputError
        At once if there is no such source, language or format, or no identifier for the language; while
        iterating if the source is damaged, and at its end if no pair was kept.
    """
    source, target = language_of(language).code, language_of(target_language).code
    if start < 0 or (stop is not None and stop <= start):
        raise InputError(f"start={start} and stop={stop} leave no pairs; stop must be above start", path=path)
    if format not in get_args(Format):
        raise InputError(f"unknown bitext format {format!r}{nearest(format, get_args(Format))}", path=path)
    name = str(path)
    package = name.removeprefix("package:") if name.startswith("package:") else None
    place = find(path) if package is None else package_folder(package)
    kind = format_of(place) if format == "auto" else format
    if source == target:
        if format != "auto" or kind != "moses" or not place.is_file() or place.suffix == ".zip":
            raise InputError(
                f"both sides would be in {source!r}; give two languages, or a text file of a sentence a line",
                path=path,
            )
        units = _sentences(place, source)
    else:
        # Gettext alone keeps variants of a language apart, a folder each, so it sees the user's spelling.
        units = _READERS[kind](place, language if kind == "gettext" else source, target)
    limits = _Limits(max_characters, max_ratio, min_score)
    identifiers = (Identifier(source), Identifier(target)) if identify else None
    return _clean(units, name, start, stop, limits, identifiers, Drops() if drops is None else drops)


def _sentences(place: Path, language: str) -> _Units:
    """Yield every line of a text file as a pair of itself."""
    with open_bytes(place) as stream:
        for number, line in enumerate(read_lines(stream, place), 1):
            yield SentencePair(line, line, language, language, str(number))


@dataclass(frozen=True, slots=True)
class _Limits:
    """What a pair must keep to."""

    max_characters: int
    max_ratio: float
    min_score: float | None

    def broken_by(self, source: str, target: str, score: float | None) -> Reason | None:
        """Return why a pair is dropped, None if it is not."""
        short, long = sorted((len(source), len(target)))
        if not short:
            return "empty"
        if long > self.max_characters:
            return "too_long"
        if long > self.max_ratio * short:
            return "ratio"
        if self.min_score is not None and score is not None and score < self.min_score:
            return "low_score"
        return None


def _clean(
    units: _Units,
    name: str,
    start: int,
    stop: int | None,
    limits: _Limits,
    identifiers: tuple[Identifier, Identifier] | None,
    drops: Drops,
) -> Iterator[SentencePair]:
    here = Drops()  # `drops` may count other sources too
    seen: set[bytes] = set()
    tags: dict[str, None] = {}
    for unit in islice(units, start, stop):
        reason: Reason | None
        if isinstance(unit, Unmatched):
            tags.update(dict.fromkeys(unit.languages))
            reason, pair = "wrong_language", None
        else:
            if "\0" in unit.source or "\0" in unit.target:
                raise InputError(f"there is a NUL character in pair {unit.id}; take it out", path=name)
            pair = replace(unit, source=normalise(unit.source), target=normalise(unit.target))
            reason = limits.broken_by(pair.source, pair.target, pair.score)
            if reason is None:
                key = hashlib.blake2b(f"{pair.source}\0{pair.target}".encode(), digest_size=16).digest()
                reason = "duplicate" if key in seen else None
                seen.add(key)
            if reason is None and identifiers is not None:
                foreign = identifiers[0].refuses(pair.source) or identifiers[1].refuses(pair.target)
                reason = "other_language" if foreign else None
        here.count(reason)
        drops.count(reason)
        if reason is None and pair is not None:
            yield pair
    if not here.read:
        raise InputError("there are no pairs" + (f" from number {start:,} on" if start else ""), path=name)
    if here.wrong_language == here.read:
        found = ", ".join(sorted(tags)) or "none"
        raise InputError(f"no pair is in the two languages asked for; those in it are: {found}", path=name)
    if not here.kept:
        raise InputError(f"no pair is left to use: {here.sentence()}", path=name)


def normalise(text: str) -> str:
    """Return `text` in NFC with runs of white space made one space and none at the ends."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def format_of(place: Path) -> str:
    """Return the format that a file's or folder's name and contents tell.

    Raises
    ------
    InputError
        If it is an archive that cannot be read.
    """
    if place.is_dir():
        if is_huggingface(place):
            return "huggingface"
        return "parquet" if is_parquet(place) else "gettext"
    name = place.name.lower()
    for kind, endings in _ENDINGS.items():
        if name.endswith(endings):
            return kind
    if name.endswith(".zip"):
        with open_zip(place) as archive:
            return "tmx" if any(member.lower().endswith(".tmx") for member in members(archive)) else "moses"
    for file in shards(place):
        return "huggingface" if file.suffix == ".arrow" else "parquet"
    return "moses"
