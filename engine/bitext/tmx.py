"""Translation memories: TMX 1.1 to 1.4, plain, gzipped or zipped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from engine.bitext.files import damage_named, members, open_bytes, open_member, open_zip
from engine.bitext.pairs import SentencePair, Unmatched
from engine.errors import InputError
from engine.languages import names_language

_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
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
    root: Element | None = None
    body: Element | None = None
    number = 0
    try:
        for event, element in iterparse(stream, events=("start", "end"), forbid_dtd=False):
            name = _local(element)
            if event == "start":
                root = element if root is None else root
                body = element if name == "body" else body
                if _local(root) != "tmx":
                    raise InputError(f"not a TMX file: its outermost element is <{name}>", path=path)
            elif name == "tu":
                number += 1
                yield _unit(element, number, source, target)
                if body is not None:
                    body.clear()  # forget the units read, so that memory stays flat
    except DefusedXmlException as error:
        raise InputError(
            "the file declares entities, which are refused as unsafe; export it again without them", path=path
        ) from error
    except ParseError as error:
        reason = str(error).partition(":")[0]
        raise InputError(
            f"not well-formed XML ({reason}); export or fetch it again", path=path, line=error.position[0]
        ) from error
    except (LookupError, ValueError) as error:
        raise InputError(f"its encoding cannot be read ({error}); convert it to UTF-8", path=path) from error


def _unit(unit: Element, number: int, source: str, target: str) -> SentencePair | Unmatched:
    texts: dict[str, str] = {}
    for variant in unit:
        if _local(variant) == "tuv":
            tag = variant.get(_LANG) or variant.get("lang") or ""
            segment = next((child for child in variant if _local(child) == "seg"), None)
            if segment is not None:
                texts.setdefault(tag, _text(segment))
    found = [next((tag for tag in texts if names_language(tag, wanted)), None) for wanted in (source, target)]
    if found[0] is None or found[1] is None:
        return Unmatched(tuple(tag for tag in texts if tag))
    return SentencePair(texts[found[0]], texts[found[1]], source, target, unit.get("tuid") or f"tu{number}")


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
