"""Gettext catalogues (PO, MO): a file, a folder of locales, or the catalogues of an installed package."""

from __future__ import annotations

import gettext
import hashlib
import importlib.metadata
import importlib.util
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.bitext.files import files_in
from engine.bitext.formats.messages import plain
from engine.errors import InputError
from engine.extensions.bitext import BitextFormat, Sample, SentencePair
from engine.languages import (
    Tag,
    language,
    looks_like_language,
    matching_tags,
    names_language,
    names_other_language,
)

if TYPE_CHECKING:
    import polib

#: The first bytes of a compiled catalogue, in either byte order.
_COMPILED = (b"\xde\x12\x04\x95", b"\x95\x04\x12\xde")


def read_gettext(path: Path, source: str, target: str) -> Iterator[SentencePair]:
    """Yield translated messages with their English originals, catalogues in the order of their paths.

    Untranslated, fuzzy and obsolete messages are skipped. A message with plural forms is one pair: its
    English singular, and the translation's form for the number one. Placeholders and markup are removed
    (`engine.bitext.formats.messages.plain`). A pair's id consists of the catalogue's path without its
    locale, a hash of the message (the same in every language), and the message's context if it has one.

    Parameters
    ----------
    path : Path
        A catalogue, or a folder that contains ``<locale>/LC_MESSAGES/*.po`` or ``<locale>.po`` at any depth.
        If a catalogue has several locales of one language (es, es_MX), one is read: the locale that is
        exactly `source`, otherwise the bare code, otherwise the nearest one (for a bare code, the one in the
        usual script and region). A
        ``.mo`` file next to a ``.po`` file of the same name is skipped.
    source, target : str
        The language of the translations, and English, the language of the messages.

    Raises
    ------
    InputError
        If there is no catalogue in the language, or a catalogue cannot be read.
    """
    code = language(source).code
    if language(target).code != "en":
        raise InputError(f"gettext messages are in English, not in {target!r}", path=path)
    files = _catalogues(path, source) if path.is_dir() else {path: path.stem}
    for file, name in files.items():
        catalogue = _parse(file)
        own = catalogue.metadata.get("Language", "")
        if names_other_language(own, source):
            raise InputError(f"the catalogue says that it is in {own!r}, not in {source!r}", path=file)
        form = _form_of_one(catalogue.metadata)
        for entry in catalogue:
            translation = _translation(entry, form)
            if translation:
                message = f"{entry.msgctxt or ''}\4{entry.msgid}"  # gettext's own key
                key = hashlib.blake2b(message.encode(), digest_size=6).hexdigest()
                context = f":{'_'.join(entry.msgctxt.split())}" if entry.msgctxt else ""
                yield SentencePair(
                    plain(translation), plain(entry.msgid), code, "en", f"{name}#{key}{context}"
                )


def package_folder(name: str) -> Path:
    """Return the folder of an installed package, given its import or distribution name, without importing it.

    Raises
    ------
    InputError
        If no such package is installed.
    """
    names = [name]
    try:
        distribution = importlib.metadata.distribution(name)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        pass
    else:
        tops = {Path(file).parts[0] for file in distribution.files or () if len(Path(file).parts) > 1}
        names += sorted(top for top in tops if top.isidentifier())
    for candidate in names:
        # find_spec would import the parent package of a name with a dot.
        spec = importlib.util.find_spec(candidate) if candidate.isidentifier() else None
        if spec is not None and spec.submodule_search_locations:
            return Path(next(iter(spec.submodule_search_locations)))
    raise InputError(f"package:{name}: no such package is installed; install it with pip")


def _parse(file: Path) -> polib.POFile | polib.MOFile:
    import polib

    try:
        return polib.mofile(str(file)) if file.suffix == ".mo" else polib.pofile(str(file))
    except UnicodeDecodeError as error:
        raise InputError(
            f"byte {error.start + 1} is not in the charset {error.encoding!r} that the header names",
            path=file,
        ) from error
    except (OSError, ValueError, LookupError, struct.error) as error:
        line = re.search(r"\(?line (\d+)\)?", str(error))
        raise InputError(
            "not a well-formed gettext catalogue", path=file, line=int(line[1]) if line else None
        ) from error


def _translation(entry: polib.POEntry | polib.MOEntry, form: int) -> str:
    """Return the finished translation of a message, or an empty string if it has none."""
    forms = entry.msgstr_plural if entry.msgid_plural else {0: entry.msgstr}
    unfinished = entry.obsolete or "fuzzy" in getattr(entry, "flags", ()) or not all(forms.values())
    if unfinished or not forms or not entry.msgid:
        return ""
    return str(forms[form] if form in forms else forms[min(forms)])


def _form_of_one(metadata: dict[str, str]) -> int:
    """Return the index of the plural form for the number one, by the rule in the header (1 for Arabic)."""
    rule = re.search(r"plural\s*=\s*([^;]+)", metadata.get("Plural-Forms", ""))
    try:
        return int(gettext.c2py(rule[1])(1)) if rule else 0
    except (ValueError, ArithmeticError):  # the rule is malformed; the first form is right in most languages
        return 0


def _catalogues(root: Path, source: str) -> dict[Path, str]:
    """Return the catalogues of a language in a folder, each with its path without the locale."""
    best: dict[str, tuple[tuple[int, str], Path]] = {}
    for file in sorted(files_in(root, "**/*.[pm]o"), key=lambda file: file.relative_to(root).as_posix()):
        if file.suffix == ".mo" and file.with_suffix(".po").is_file():
            continue
        parts = list(file.relative_to(root).with_suffix("").parts)
        place = parts.index("LC_MESSAGES") - 1 if "LC_MESSAGES" in parts[1:] else len(parts) - 1
        locale = parts.pop(place)
        if matching_tags(source, [locale]):
            name = (
                "/".join(part for part in parts if part not in ("LC_MESSAGES", "locale", "locales"))
                or "messages"
            )
            rank = _rank(locale, source), locale
            if name not in best or rank < best[name][0]:
                best[name] = rank, file
    if not best:
        raise InputError(f"there is no gettext catalogue of {source!r} in it", path=root)
    return {file: name for name, (_, file) in best.items()}


def _rank(locale: str, source: str) -> int:
    """Return the rank of a locale: as requested, then a bare code, then by the distance from the request."""
    tag, wanted = Tag.parse(locale), Tag.parse(source)
    if tag == wanted:
        return 0
    return 1 if tag == Tag(wanted.language) else 2 + wanted.distance(tag)


def _is_folder(folder: Path) -> bool:
    return bool(files_in(folder, "**/*.[pm]o"))


def _matches(sample: Sample) -> bool:
    if sample.head in _COMPILED:
        return True
    text = sample.text or ""
    patterns = (r'^msgid\s+"', r'^msgstr(\[0\])?\s+"')
    return all(re.search(pattern, text, re.MULTILINE) for pattern in patterns)


def _languages(path: Path, names: Sequence[str]) -> Sequence[str]:
    own = _parse(path).metadata.get("Language", "")
    named = (tag for tag in (own, _locale_folder(path), path.stem) if looks_like_language(tag))
    return ["en", *([first] if (first := next(named, "")) else [])]


def _folder_files(folder: Path, names: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """Return the catalogues by the languages of their locales, without the English ones."""
    by_code: dict[str, list[str]] = {}
    for name in names:
        path = Path(name)
        if path.suffix not in (".po", ".mo"):
            continue
        locale = _locale_folder(path) or path.stem
        if looks_like_language(locale) and not names_language(locale, "en"):
            by_code.setdefault(language(locale).code, []).append(name)
    if not by_code:
        raise InputError(
            "the languages of its catalogues are unknown; name them <locale>.po or put them into "
            "<locale>/LC_MESSAGES",
            path=folder,
        )
    return by_code


def _locale_folder(path: Path) -> str:
    """Return the name of the folder above a catalogue's folder ``LC_MESSAGES``, or an empty string."""
    parts = path.parts
    return parts[parts.index("LC_MESSAGES") - 1] if "LC_MESSAGES" in parts[1:] else ""


GETTEXT = BitextFormat(
    name="gettext",
    meaning="gettext catalogues (PO, MO): a file, a folder of locales or an installed package",
    title="a gettext catalogue",
    read=read_gettext,
    endings=(".po", ".mo"),
    is_folder=_is_folder,
    assumed_for="folder",
    matches=_matches,
    languages=_languages,
    folder_files=_folder_files,
)
