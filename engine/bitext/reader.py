"""Open a bitext source of any format: find it, read it, clean its pairs and count what is dropped."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from engine.bitext.drops import Drops, Reason
from engine.bitext.files import find, members, names_in, numbered_lines, open_zip, shards
from engine.bitext.formats.gettext import package_folder
from engine.bitext.identification import Identifier
from engine.bitext.seen import Seen, text_number
from engine.errors import InputError, nearest
from engine.extensions.bitext import BITEXT_FORMATS, BitextFormat, SentencePair, Unmatched
from engine.languages import language as find_language

#: The format that is recognised from the name of the source.
AUTO = "auto"
#: Control characters other than white space; Python's `split` takes some of them for it.
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_Units = Iterator[SentencePair | Unmatched]


def open_bitext(
    path: str | Path,
    *,
    format: str = AUTO,
    language: str,
    target_language: str = "en",
    split: str | None = None,
    start: int = 0,
    stop: int | None = None,
    max_characters: int = 1000,
    max_ratio: float = 9.0,
    min_score: float | None = None,
    identify: bool = False,
    drops: Drops | None = None,
    reading: Reading | None = None,
) -> Iterator[SentencePair]:
    """Open a bitext source and return its pairs one at a time, cleaned.

    Sentences are converted to NFC, control characters are removed and counted, and white space is collapsed
    to single spaces. Pairs are dropped if a side
    is empty or too long, if the sides differ too much in length, if the score is too low, if the pair
    occurred before and, if requested, if a side is in another language. A pair counts under the first of
    these reasons that applies, in the order of the fields of `Drops`. Only an 8-byte hash of each pair that
    is kept stays in memory.

    Parameters
    ----------
    path : str or Path
        A file, a folder of gettext catalogues or of a dataset, the common prefix of two line-aligned files
        or of a split's files, or ``package:NAME`` for the catalogues of an installed package. A relative path
        is looked up in the working folder, then in the data home.
    format : str
        A name in `engine.extensions.bitext.BITEXT_FORMATS`, or ``auto`` to recognise the format from the
        source's name.
    language, target_language : str
        The two languages, in any spelling that `engine.languages.language` accepts. A script or region
        (``zho_Hant``) selects among several variants. If the languages are the same, the source is a text
        file with one sentence per line, and each sentence is paired with itself.
    split : str, optional
        The split of a format that has splits (`BitextFormat.splits`); its first one by default.
    start, stop : int
        Half-open range of pairs to read, counted in the order of the source before any pair is dropped.
    max_characters : int
        Maximum length of a side, in characters.
    max_ratio : float
        Maximum ratio of the longer to the shorter side, in characters.
    min_score : float, optional
        Minimum score; pairs without a score are kept.
    identify : bool
        Whether to drop pairs with a side that `engine.bitext.identification` identifies as another language.
    drops : Drops, optional
        Counts to add to.
    reading : Reading, optional
        How far an earlier reading of the same source came; it goes on from there, and `reading` goes with it.

    Returns
    -------
    iterator of SentencePair
        `source_language` and `target_language` are the codes of the languages in their canonical spelling.

    Raises
    ------
    InputError
        Immediately if there is no such source, language, format or split, or no identifier for the language;
        during iteration if the source is damaged or has several variants of a language of which none was
        requested, and at its end if no pair was kept.
    """
    source, target = find_language(language).code, find_language(target_language).code
    if start < 0 or (stop is not None and stop <= start):
        raise InputError(f"start={start} and stop={stop} leave no pairs; stop must be above start", path=path)
    if format != AUTO and format not in BITEXT_FORMATS:
        known = [AUTO, *BITEXT_FORMATS]
        raise InputError(f"unknown bitext format {format!r}{nearest(format, known)}", path=path)
    name = str(path)
    package = name.removeprefix("package:") if name.startswith("package:") else None
    place = find(path) if package is None else package_folder(package)
    if source == target:
        if format != AUTO or not is_plain_text(place):
            raise InputError(
                f"both sides would be in {source!r}; give two languages, or a text file with one sentence "
                "per line",
                path=path,
            )
        units = _sentences(place, source)
        if split is not None:
            raise InputError("plain text has no splits; leave out split", path=path)
    else:
        chosen = format_of(place) if format == AUTO else BITEXT_FORMATS[format]
        if split is None or chosen.read_split is None:
            if split is not None:
                raise InputError(f"the format {chosen.name!r} has no splits; leave out split", path=path)
            units = chosen.read(place, language, target_language)
        else:
            if split not in chosen.splits:
                raise InputError(
                    f"the format {chosen.name!r} has no split {split!r}{nearest(split, chosen.splits)}; it "
                    f"has {', '.join(chosen.splits)}",
                    path=path,
                )
            units = chosen.read_split(place, language, target_language, split)
    limits = _Limits(max_characters, max_ratio, min_score)
    identifiers = (Identifier(source), Identifier(target)) if identify else None
    codes = source, target
    return _clean(
        units,
        name,
        codes,
        start,
        stop,
        limits,
        identifiers,
        Drops() if drops is None else drops,
        Reading() if reading is None else reading,
    )


@dataclass
class Reading:
    """How far a source was read.

    Attributes
    ----------
    drops : Drops
        What was read of it.
    seen, targets : Seen
        The pairs that were kept, and their target sides.
    """

    drops: Drops = field(default_factory=Drops)
    seen: Seen = field(default_factory=Seen)
    targets: Seen = field(default_factory=Seen)


def _sentences(place: Path, language: str) -> _Units:
    """Yield every line of a text file, paired with itself."""
    for number, line in numbered_lines(place):
        yield SentencePair(line, line, language, language, str(number))


@dataclass(frozen=True, slots=True)
class _Limits:
    """The limits that a pair must respect."""

    max_characters: int
    max_ratio: float
    min_score: float | None

    def broken_by(self, source: str, target: str, score: float | None) -> Reason | None:
        """Return why a pair is dropped, or None if it is kept."""
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
    codes: tuple[str, str],
    start: int,
    stop: int | None,
    limits: _Limits,
    identifiers: tuple[Identifier, Identifier] | None,
    drops: Drops,
    reading: Reading,
) -> Iterator[SentencePair]:
    here, seen = reading.drops, reading.seen  # `drops` may include other sources
    tags: dict[str, None] = {}
    first = start + here.read
    for unit in islice(units, first, None if stop is None else max(first, stop)):
        reason: Reason | None
        if isinstance(unit, Unmatched):
            tags.update(dict.fromkeys(unit.languages))
            reason, pair = "wrong_language", None
        else:
            if "\0" in unit.source or "\0" in unit.target:
                raise InputError(f"there is a NUL character in pair {unit.id}; remove it", path=name)
            if removed := _controls(unit.source) + _controls(unit.target):
                here.control_characters += removed
                drops.control_characters += removed
            pair = SentencePair(
                normalise(unit.source),
                normalise(unit.target),
                *codes,
                unit.id,
                unit.score,
                unit.document,
                unit.passage,
            )
            reason = limits.broken_by(pair.source, pair.target, pair.score)
            if reason is None:
                reason = None if seen.add(pair_number(pair)) else "duplicate"
            if reason is None and identifiers is not None:
                foreign = identifiers[0].rejects(pair.source) or identifiers[1].rejects(pair.target)
                reason = "other_language" if foreign else None
        here.count(reason)
        drops.count(reason)
        if reason is None and pair is not None:
            yield pair
    if not here.read:
        raise InputError("there are no pairs" + (f" from number {start:,} on" if start else ""), path=name)
    if here.wrong_language == here.read:
        found = ", ".join(sorted(tags)) or "none"
        raise InputError(
            f"no pair is in the two requested languages; the languages in it are: {found}", path=name
        )
    if not here.kept:
        raise InputError(f"no pair is left to use: {here.sentence()}", path=name)


def pair_number(pair: SentencePair) -> int:
    """Return the number by which a pair that occurred before is recognised."""
    return text_number(f"{pair.source}\0{pair.target}")


def _controls(text: str) -> int:
    return 0 if text.isprintable() else len(_CONTROL.findall(text))


def normalise(text: str) -> str:
    """Return `text` in NFC with single spaces, without control characters and white space at its ends."""
    # of all white space and control characters, only the space is printable
    if text.isprintable() and "  " not in text and text == text.strip(" "):
        return text if text.isascii() else unicodedata.normalize("NFC", text)
    return " ".join(unicodedata.normalize("NFC", _CONTROL.sub("", text)).split())


def format_of(place: Path) -> BitextFormat:
    """Return the format of a file, folder or prefix, recognised from names: its own and those inside it.

    Raises
    ------
    InputError
        If it is an archive that cannot be read, or no format recognises it.
    """
    formats = [*_recognisers(place.is_dir())]
    if place.is_dir():
        names = names_in(place)
        found = (entry for entry in formats if entry.is_folder is not None and entry.is_folder(names))
    elif not place.exists():
        found = (entry for file in shards(place) for entry in formats if _named(entry, file.name))
    else:
        found = (entry for entry in formats if _named(entry, place.name))
    chosen = next(found, None)
    if chosen is None and place.suffix.lower() == ".zip":
        chosen = _format_of_archive(place, formats)
    chosen = chosen or next((entry for entry in formats if _is_assumed(entry, place.is_dir())), None)
    if chosen is None:
        raise InputError("its format is not recognised from its name; set format", path=place)
    return chosen


def _recognisers(folder: bool) -> Iterator[BitextFormat]:
    """Yield all formats; those that are assumed when no other one recognises the source come last."""
    yield from (entry for entry in BITEXT_FORMATS.values() if not _is_assumed(entry, folder))
    yield from (entry for entry in BITEXT_FORMATS.values() if _is_assumed(entry, folder))


def _is_assumed(entry: BitextFormat, folder: bool) -> bool:
    return entry.assumed_for == ("folder" if folder else "file")


def _named(entry: BitextFormat, name: str) -> bool:
    return bool(entry.endings) and name.lower().endswith(entry.endings)


def _format_of_archive(place: Path, formats: list[BitextFormat]) -> BitextFormat | None:
    with open_zip(place) as archive:
        names = members(archive)
    readers = [entry for entry in formats if entry.holds is not None]
    for entry in readers:
        if entry.holds is not None and entry.holds(names):
            return entry
    # Its members' endings name a format, whose reader says what is wrong with the archive.
    return next((entry for entry in readers for name in names if _named(entry, name)), None)


def is_plain_text(place: Path) -> bool:
    """Return whether a file has the ending of no bitext format, so that it is one sentence per line."""
    named = any(_named(entry, place.name) for entry in BITEXT_FORMATS.values())
    return place.is_file() and place.suffix.lower() != ".zip" and not named
