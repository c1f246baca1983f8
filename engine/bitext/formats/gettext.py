"""Gettext catalogues (PO, MO): a file, a folder of locales, or the catalogues of an installed package."""

from __future__ import annotations

import gettext
import glob
import hashlib
import importlib.metadata
import importlib.util
import re
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.bitext.files import files_in
from engine.bitext.formats.messages import plain
from engine.errors import InputError
from engine.extensions.bitext import BitextFormat, Sample, SentencePair
from engine.languages import (
    Tag,
    TagChooser,
    choose_tag,
    language,
    looks_like_language,
    lookup,
    names_language,
)

if TYPE_CHECKING:
    import polib

#: A message that is a key: words joined by dots, underscores, colons or slashes, or by upper case.
_KEY = re.compile(
    r"[A-Za-z][A-Za-z0-9]*(?:[._:/-]+[A-Za-z0-9]+)*[._:/][A-Za-z0-9._:/-]*|[a-z]+[A-Z][A-Za-z0-9]*"
)
#: The text of a message in an extracted comment.
_DEFAULT = re.compile(r'Default:\s*"(.*)"', re.DOTALL)
#: The first bytes of a compiled catalogue, in either byte order.
_COMPILED = (b"\xde\x12\x04\x95", b"\x95\x04\x12\xde")


def read_gettext(path: Path, source: str, target: str) -> Iterator[SentencePair]:
    """Yield translated messages with their English originals, catalogues in the order of their paths.

    Untranslated, fuzzy and obsolete messages are skipped. A message with plural forms is one pair: its
    English singular, and the translation's form for the number one. Placeholders and markup are removed
    (`engine.bitext.formats.messages.plain`). A pair's id consists of the catalogue's path without its
    locale, a hash of the message (the same in every language), and the message's context if it has one.

    If most messages are keys (``menu.open``), their texts are taken from the catalogue of the messages'
    language next to it, or from the comments ``Default: "..."``; other keys are pairs with an empty side.

    Parameters
    ----------
    path : Path
        A catalogue, or a folder that contains ``<locale>/LC_MESSAGES/*.po`` or ``<locale>.po`` at any depth.
        If a catalogue has several locales of one language (es, es_MX), one is read: the locale that is
        exactly the requested one, otherwise the bare code in the same script, otherwise the only one that
        matches best. A ``.mo`` file next to a ``.po`` file of the same name is skipped.
    source, target : str
        One is the language of the translations, the other that of the messages: English, or what the header
        ``X-Source-Language`` names.

    Raises
    ------
    InputError
        If there is no catalogue in the language, or a catalogue cannot be read.
    """
    codes = language(source).code, language(target).code
    files = _catalogues(path, source, target) if path.is_dir() else {path: path.stem}
    for file, name in files.items():
        catalogue = _parse(file)
        messages, swapped = _direction(catalogue, file, source, target)
        form = _form_of_one(catalogue.metadata)
        originals = _Originals(catalogue, file, messages)
        for entry in catalogue:
            translation = _translation(entry, form)
            if translation:
                message = f"{entry.msgctxt or ''}\4{entry.msgid}"  # gettext's own key
                key = hashlib.blake2b(message.encode(), digest_size=6).hexdigest()
                context = f":{'_'.join(entry.msgctxt.split())}" if entry.msgctxt else ""
                texts = plain(translation), plain(originals.text(entry))
                yield SentencePair(*(texts[::-1] if swapped else texts), *codes, f"{name}#{key}{context}")


def _direction(
    catalogue: polib.POFile | polib.MOFile, file: Path, source: str, target: str
) -> tuple[str, bool]:
    """Return the language of the messages, and whether that is the requested source language."""
    named = catalogue.metadata.get("X-Source-Language", "")
    messages = named if lookup(named) is not None else "en"
    if not names_language(messages, target) and not names_language(messages, source):
        raise InputError(f"gettext messages are in {language(messages).name}, not in {target!r}", path=file)
    swapped = not names_language(messages, target)
    wanted = target if swapped else source
    own = catalogue.metadata.get("Language", "")
    if lookup(own) is not None and not Tag.parse(wanted).matches(Tag.parse(own)):
        # A translation that was begun as a copy of the messages may still have their language in its header.
        leftover = names_language(own, messages) and not _repeats_messages(catalogue)
        if not leftover:
            raise InputError(f"the catalogue says that it is in {own!r}, not in {wanted!r}", path=file)
    return messages, swapped


def _repeats_messages(catalogue: polib.POFile | polib.MOFile) -> bool:
    """Return whether at least half of the translations are the messages themselves."""
    done = [entry for entry in catalogue if entry.msgid and entry.msgstr]
    same = sum(entry.msgid == entry.msgstr for entry in done)
    return bool(done) and same * 2 >= len(done)


class _Originals:
    """The texts of a catalogue's messages, which may be keys.

    Raises
    ------
    InputError
        If the messages are keys and no text of any of them is known.
    """

    def __init__(self, catalogue: polib.POFile | polib.MOFile, file: Path, messages: str) -> None:
        names = [entry.msgid for entry in catalogue if entry.msgid and not entry.obsolete]
        keys = [name for name in names if _KEY.fullmatch(name)]
        self._are_keys = len(keys) * 3 > len(names) * 2
        self._texts: dict[tuple[str, str], str] = {}
        if not self._are_keys:
            return
        for entry in catalogue:
            default = _DEFAULT.search(getattr(entry, "comment", "") or "")
            if default:
                self._texts[entry.msgctxt or "", entry.msgid] = " ".join(default[1].split())
        beside = _catalogue_of(messages, file)
        for entry in _parse(beside) if beside is not None else ():
            if entry.msgstr and not entry.obsolete:
                self._texts[entry.msgctxt or "", entry.msgid] = entry.msgstr
        if not self._texts:
            raise InputError(
                f"its messages are keys, such as {keys[0]!r}, and not sentences; put the catalogue of "
                f"{messages!r} with their texts next to it ({_place_of(messages, file)})",
                path=file,
            )

    def text(self, entry: polib.POEntry | polib.MOEntry) -> str:
        """Return the text of a message, or an empty string for a key without text."""
        if not self._are_keys:
            return str(entry.msgid)
        found = self._texts.get((entry.msgctxt or "", entry.msgid))
        return found or ("" if _KEY.fullmatch(entry.msgid) else str(entry.msgid))


def _catalogue_of(messages: str, file: Path) -> Path | None:
    """Return the catalogue of another language next to `file`, or None."""
    inner = file.parent.name == "LC_MESSAGES"
    root = file.parent.parent.parent if inner else file.parent
    by_locale: dict[str, Path] = {}
    pattern = f"*/LC_MESSAGES/{glob.escape(file.stem)}.[pm]o" if inner else "*.[pm]o"
    for other in files_in(root, pattern):
        by_locale.setdefault(other.parent.parent.name if inner else other.stem, other)
    chosen = choose_tag(messages, by_locale, path=root)
    return None if chosen is None or by_locale[chosen] == file else by_locale[chosen]


def _place_of(messages: str, file: Path) -> str:
    inner = file.parent.name == "LC_MESSAGES"
    return f"{messages}/LC_MESSAGES/{file.name}" if inner else f"{messages}{file.suffix}"


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


def _catalogues(root: Path, source: str, target: str) -> dict[Path, str]:
    """Return the catalogues of a language in a folder, each with its path without the locale.

    The language is `source`, or `target` if the messages are in the source language.
    """
    by_name: dict[str, dict[str, Path]] = {}
    for file in sorted(files_in(root, "**/*.[pm]o"), key=lambda file: file.relative_to(root).as_posix()):
        if file.suffix == ".mo" and file.with_suffix(".po").is_file():
            continue
        parts = list(file.relative_to(root).with_suffix("").parts)
        place = parts.index("LC_MESSAGES") - 1 if "LC_MESSAGES" in parts[1:] else len(parts) - 1
        locale = parts.pop(place)
        name = "/".join(part for part in parts if part not in ("LC_MESSAGES", "locale", "locales"))
        by_name.setdefault(name or "messages", {}).setdefault(locale, file)
    for wanted in (target, source) if names_language(source, "en") else (source, target):
        if names_language(wanted, "en"):
            continue
        chooser = TagChooser(wanted, root)
        chosen = {
            locales[found]: name
            for name, locales in by_name.items()
            if (found := chooser.choose(_preferred(wanted, locales))) is not None
        }
        if chosen:
            return dict(sorted(chosen.items(), key=lambda item: item[0].relative_to(root).as_posix()))
    raise InputError(f"there is no gettext catalogue of {source!r} in it", path=root)


def _preferred(wanted: str, locales: Iterable[str]) -> list[str]:
    """Return the bare locale if none is exactly the requested one and the script fits, otherwise all."""
    asked = Tag.parse(wanted)
    tags = {locale: Tag.parse(locale) for locale in locales if names_language(locale, wanted)}
    bare = [locale for locale, tag in tags.items() if tag == Tag(asked.language)]
    if asked in tags.values() or not bare or not asked.is_close(Tag(asked.language)):
        return list(tags)
    return bare


def _is_folder(names: Sequence[str]) -> bool:
    return any(name.endswith((".po", ".mo")) for name in names)


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
    by_tag: dict[Tag, list[str]] = {}
    for name in names:
        path = Path(name)
        if path.suffix not in (".po", ".mo"):
            continue
        locale = _locale_folder(path) or path.stem
        if looks_like_language(locale) and not names_language(locale, "en"):
            by_tag.setdefault(Tag.parse(locale), []).append(name)
    if not by_tag:
        raise InputError(
            "the languages of its catalogues are unknown; name them <locale>.po or put them into "
            "<locale>/LC_MESSAGES",
            path=folder,
        )
    variants = Counter(tag.language.code for tag in by_tag)
    return {
        tag.language.code if variants[tag.language.code] == 1 else str(tag): files
        for tag, files in by_tag.items()
    }


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
