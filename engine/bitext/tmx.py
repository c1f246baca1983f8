"""Translation memories: TMX 1.1 to 1.4, plain, gzipped or zipped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO
from xml.etree.ElementTree import Element

from engine.bitext.files import damage_named, members, open_bytes, open_member, open_zip
from engine.bitext.pairs import SentencePair, Unmatched
from engine.bitext.xml import LANGUAGE, deep_refused, local, parse
from engine.errors import InputError
from engine.languages import names_language

_CODES = frozenset({"bpt", "ept", "it", "ut", "ph", "sub"})


def read_tmx(path: Path, source: str, target: str) -> Iterator[SentencePair | Unmatched]:
    """Yield the translation units of a TMX file in its order, one at a time.

    The first variant of a unit in each language counts, whatever its region or script. Native codes
    (``bpt``, ``ept``, ``it``, ``ut``, ``ph``) are left out with what they hold; a placeholder ``ph`` leaves a
    space, as it often stands for a line break. Highlighted text (``hi``) is text. A document type that
    only names TMX's own is passed over unread.

    Raises
    ------
    InputError
        If the file declares entities, is not well-formed XML, or its archive is damaged.
    """
    with ExitStack() as stack:
        stack.enter_context(damage_named(path))
        if path.suffix == ".zip":
            archive = stack.enter_context(open_zip(path))
            names = [name for name in members(archive) if name.lower().endswith(".tmx")]
            if len(names) != 1:
                raise InputError(f"the archive holds {len(names)} .tmx files; it should hold one", path=path)
            stream = stack.enter_context(open_member(archive, names[0], path))
        else:
            stream = stack.enter_context(open_bytes(path))
        yield from _units(stream, path, source, target)


def _units(stream: BinaryIO, path: Path, source: str, target: str) -> Iterator[SentencePair | Unmatched]:
    body: Element | None = None
    number = 0
    for event, element in parse(stream, path, "tmx"):
        name = local(element)
        if event == "start":
            body = element if name == "body" else body
        elif name == "tu":
            number += 1
            with deep_refused(path):
                unit = _unit(element, number, source, target)
            yield unit
            if body is not None:
                body.clear()  # forget the units read, so that memory stays flat


def _unit(unit: Element, number: int, source: str, target: str) -> SentencePair | Unmatched:
    texts: dict[str, str] = {}
    for variant in unit:
        if local(variant) == "tuv":
            tag = variant.get(LANGUAGE) or variant.get("lang") or ""
            segment = next((child for child in variant if local(child) == "seg"), None)
            if segment is not None:
                texts.setdefault(tag, _text(segment))
    found = [next((tag for tag in texts if names_language(tag, wanted)), None) for wanted in (source, target)]
    if found[0] is None or found[1] is None:
        return Unmatched(tuple(tag for tag in texts if tag))
    return SentencePair(texts[found[0]], texts[found[1]], source, target, unit.get("tuid") or f"tu{number}")


def _text(element: Element) -> str:
    parts = [element.text or ""]
    for child in element:
        name = local(child)
        if name not in _CODES:
            parts.append(_text(child))
        elif name == "ph":
            parts.append(" ")
        parts.append(child.tail or "")
    return "".join(parts)
