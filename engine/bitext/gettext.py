"""Gettext catalogues (PO, MO): a file, a folder of locales, or an installed package's."""

from __future__ import annotations

import gettext
import hashlib
import importlib.metadata
import importlib.util
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import polib

from engine.bitext.messages import plain
from engine.bitext.pairs import SentencePair
from engine.errors import InputError
from engine.languages import language, names_language, names_other_language


def read_gettext(path: Path, source: str, target: str) -> Iterator[SentencePair]:
    """Yield translated messages, each with its English original, catalogue by catalogue in path order.

    Untranslated, fuzzy and obsolete messages are no pairs. A message with plural forms is one pair: its
    English singular, and the translation's form for the number one. `engine.bitext.messages.plain` says what
    becomes of placeholders and markup. A pair's id is the catalogue's path without its locale, a hash of the
    message (the same in every language), and the message's context if it has one.

    Parameters
    ----------
    path : Path
        A catalogue, or a folder with ``<locale>/LC_MESSAGES/*.po`` or ``<locale>.po`` anywhere in it. Of an
        original with several locales of one language (es, es_MX) one is read: the locale spelled as
        `source`, else the bare code, else the one in the language's usual script. A ``.mo`` beside a ``.po``
        of the same name is passed over.
    source, target : str
        The catalogue's language, and English, which messages are written in.

    Raises
    ------
    InputError
        If there is no catalogue of the language, or one cannot be read.
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
    """Return the folder of an installed package, by its import or distribution name, without importing it.

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
        # A name with a dot would make find_spec import what is before the dot.
        spec = importlib.util.find_spec(candidate) if candidate.isidentifier() else None
        if spec is not None and spec.submodule_search_locations:
            return Path(next(iter(spec.submodule_search_locations)))
    raise InputError(f"package:{name}: no such package is installed; install it with pip")


def _parse(file: Path) -> polib.POFile | polib.MOFile:
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
    """Return the translation of a message that has a finished one, else an empty string."""
    forms = entry.msgstr_plural if entry.msgid_plural else {0: entry.msgstr}
    unfinished = entry.obsolete or "fuzzy" in getattr(entry, "flags", ()) or not all(forms.values())
    if unfinished or not forms or not entry.msgid:
        return ""
    return str(forms[form] if form in forms else forms[min(forms)])


def _form_of_one(metadata: dict[str, str]) -> int:
    """Return the plural form of the number one by the header's rule (Arabic's is its second)."""
    rule = re.search(r"plural\s*=\s*([^;]+)", metadata.get("Plural-Forms", ""))
    try:
        return int(gettext.c2py(rule[1])(1)) if rule else 0
    except (ValueError, ArithmeticError):  # a malformed rule; the first form is right in most languages
        return 0


def _catalogues(root: Path, source: str) -> dict[Path, str]:
    """Return the catalogues of a language in a folder, with their paths without the locale."""
    best: dict[str, tuple[tuple[int, str], Path]] = {}
    for file in sorted(root.rglob("*.[pm]o"), key=lambda file: file.relative_to(root).as_posix()):
        if file.suffix == ".mo" and file.with_suffix(".po").is_file():
            continue
        parts = list(file.relative_to(root).with_suffix("").parts)
        place = parts.index("LC_MESSAGES") - 1 if "LC_MESSAGES" in parts[1:] else len(parts) - 1
        locale = parts.pop(place)
        if names_language(locale, source):
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
    """Order the locales of one language: as asked for, bare, in the usual script, others."""
    tag, wanted = _tag(locale), _tag(source)
    if tag == wanted:
        return 0
    if "_" not in tag:
        return 1
    return 2 if language(source).script.casefold() in tag.split("_") else 3


def _tag(locale: str) -> str:
    """Return a locale's name in one spelling, gettext's script modifiers as ISO 15924 codes."""
    tag = re.sub(r"[-@]", "_", locale.casefold())
    return tag.replace("_latin", "_latn").replace("_cyrillic", "_cyrl")
