"""Translation memories: TMX 1.1 to 1.4, plain, gzipped or zipped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from engine.bitext.files import damage_named, open_bytes, open_zip
from engine.bitext.pairs import SentencePair, Unmatched
from engine.errors import InputError
from engine.languages import same_language

_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_CODES = frozenset({"bpt", "ept", "it", "ut", "ph", "sub"})


def read_tmx(path: Path, source: str, target: str) -> Iterator[SentencePair | Unmatched]:
    """Yield the translation units of a TMX file in its order, one at a time.

    The first variant of a unit in each language counts. Native codes (``bpt``, ``ept``, ``it``, ``ut``,
    ``ph``) are left out, a placeholder ``ph`` leaving a space, as it often stands for a line break;
    highlighted text (``hi``) is text. A document type that only names TMX's own is passed over unread.

    Raises
    ------
    InputError
        If the file declares entities, is not well-formed XML, or its archive is damaged.
    """
    with ExitStack() as stack:
        if path.suffix == ".zip":
            archive = stack.enter_context(open_zip(path))
            names = [name for name in archive.namelist() if name.lower().endswith(".tmx")]
            if len(names) != 1:
                raise InputError(f"the archive holds {len(names)} .tmx files; it should hold one", path=path)
            stack.enter_context(damage_named(path))
            stream: BinaryIO = stack.enter_context(archive.open(names[0]))  # type: ignore[assignment]
        else:
            stream = stack.enter_context(open_bytes(path))
        yield from _units(stream, path, source, target)


def _units(stream: BinaryIO, path: Path, source: str, target: str) -> Iterator[SentencePair | Unmatched]:
    body: Element | None = None
    number = 0
    try:
        for event, element in iterparse(stream, events=("start", "end"), forbid_dtd=False):
            name = _local(element)
            if event == "start":
                if name == "body":
                    body = element
            elif name == "tu":
                number += 1
                yield _unit(element, number, source, target)
                if body is not None:
                    body.clear()  # forget the units read, so that memory stays flat
    except DefusedXmlException as error:
        raise InputError(
            "the file declares entities, which are refused; export it without them", path=path
        ) from error
    except ParseError as error:
        raise InputError(f"not well-formed XML ({error.msg})", path=path, line=error.position[0]) from error


def _unit(unit: Element, number: int, source: str, target: str) -> SentencePair | Unmatched:
    texts: dict[str, str] = {}
    for variant in unit:
        if _local(variant) == "tuv":
            tag = variant.get(_LANG) or variant.get("lang") or ""
            segment = next((child for child in variant if _local(child) == "seg"), None)
            if segment is not None:
                texts.setdefault(tag, _text(segment))
    found = [next((tag for tag in texts if _is(tag, wanted)), None) for wanted in (source, target)]
    if found[0] is None or found[1] is None:
        return Unmatched(tuple(texts))
    return SentencePair(texts[found[0]], texts[found[1]], source, target, unit.get("tuid") or f"tu{number}")


def _is(tag: str, language: str) -> bool:
    try:
        return same_language(tag, language)
    except InputError:  # a private tag is no language that anyone asked for
        return False


def _text(element: Element) -> str:
    parts = [element.text or ""]
    for child in element:
        name = _local(child)
        if name not in _CODES:
            parts.append(_text(child))
        elif name == "ph":
            parts.append(" ")
        parts.append(child.tail or "")
    return "".join(parts)


def _local(element: Element) -> str:
    return element.tag.rpartition("}")[2].lower()
