"""Gettext catalogues (PO, MO): a file, a tree, or an installed package's."""

from __future__ import annotations

import gettext
import hashlib
import html
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import polib

from engine.bitext.pairs import SentencePair
from engine.errors import InputError
from engine.languages import same_language

_PLACEHOLDER = re.compile(
    r"%\([^()]*\)[-+#0]*\d*(?:\.\d+)?[a-zA-Z]|%(?:\d+\$)?[-+#0]*\d*(?:\.\d+)?[diouxXeEfFgGcrs]\b|\$?\{[^{}\s]*\}"
)
_BREAK = re.compile(r"</?(?:br|p|li|ul|ol|div|tr|td|h\d)\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_MNEMONIC = re.compile(r"\((?:&|_)\w\)|&(?=\w)")


def read_gettext(path: Path, source: str, target: str) -> Iterator[SentencePair]:
    """Yield translated messages."""
    files = [path] if path.is_file() else _catalogues(path, source)
    for file in files:
        parse = polib.mofile if file.suffix == ".mo" else polib.pofile
        catalogue = parse(str(file))
        for entry in catalogue:
            forms = entry.msgstr_plural.values() if entry.msgid_plural else [entry.msgstr]
            if not entry.msgid or not all(forms) or entry.obsolete or "fuzzy" in getattr(entry, "flags", ()):
                continue
            local = entry.msgstr or entry.msgstr_plural[_form(catalogue.metadata, entry)]
            key = hashlib.blake2b(f"{entry.msgctxt}\0{entry.msgid}".encode(), digest_size=6).hexdigest()
            yield SentencePair(plain(local), plain(entry.msgid), source, target, f"{file.stem}#{key}")


def package_folder(name: str) -> Path:
    """Return the folder of an installed package, which is not imported."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"package:{name} names no installed package; install it with pip")
    return Path(spec.submodule_search_locations[0])


def _form(metadata: dict[str, str], entry: polib.POEntry) -> int:
    rule = re.search(r"plural\s*=\s*([^;]+)", metadata.get("Plural-Forms", ""))
    form = gettext.c2py(rule[1])(1) if rule else 0  # type: ignore[attr-defined]
    return form if form in entry.msgstr_plural else 0


def _catalogues(root: Path, language: str) -> list[Path]:
    found = []
    for file in sorted([*root.rglob("*.po"), *root.rglob("*.mo")]):
        if file.suffix == ".mo" and file.with_suffix(".po").exists():
            continue
        locale = file.parent.parent.name if file.parent.name == "LC_MESSAGES" else file.stem
        try:
            same = locale.replace("_", "-").lower() == language.replace("_", "-").lower() or (
                "_" not in locale and same_language(locale, language)
            )
        except InputError:
            continue
        if same:
            found.append(file)
    if not found:
        raise InputError(f"there is no catalogue of {language!r} in it", path=root)
    return found


def plain(message: str) -> str:
    """Return a message without markup, placeholders and mnemonics."""
    text = _TAG.sub("", _BREAK.sub(" ", message))
    text = html.unescape(text)
    return _MNEMONIC.sub("", _PLACEHOLDER.sub("", text).replace("%%", "%"))
