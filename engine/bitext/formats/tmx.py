"""Translation memories (TMX 1.1 to 1.4), plain, gzipped or zipped."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO
from xml.etree.ElementTree import Element

from engine.bitext.files import damage_named, members, open_bytes, open_member, open_zip
from engine.bitext.formats.xml import LANGUAGE, deep_refused, local, parse
from engine.errors import InputError
from engine.extensions.bitext import BitextFormat, Sample, SentencePair, Unmatched
from engine.languages import TagChooser

#: An id that numbers the units of a document, as in TICO-19.
_DOCUMENT = re.compile(r"(.*[^\W\d].*):\d+")
_CODES = frozenset({"bpt", "ept", "it", "ut", "ph", "sub"})


def read_tmx(path: Path, source: str, target: str) -> Iterator[SentencePair | Unmatched]:
    """Yield the translation units of a TMX file in its order, one at a time.

    Of several variants of a unit in one language, the one with the requested script or region is used
    (`engine.languages.choose_tag`), and of several with the same tag, the first one. Empty variants are used
    only if there is no other. Inline codes
    (``bpt``, ``ept``, ``it``, ``ut``, ``ph``) are removed with their content; a placeholder ``ph`` becomes a
    space, because it often is a line break. In ids such as ``PubMed_6:12``, the part before the number is the
    document of the unit. Highlighted text (``hi``) is kept. A document type declaration
    that only names the DTD of TMX is ignored.

    Raises
    ------
    InputError
        If the file declares entities, is not well-formed XML, its archive is damaged, or several variants
        match a language and none has exactly the requested tag.
    """
    wanted = [TagChooser(language, path, lambda: _languages(path, ())) for language in (source, target)]
    for number, unit in _units(path):
        with deep_refused(path):
            texts = _variants(unit)
        full = [tag for tag, text in texts.items() if text.strip()]
        first, second = (one.choose(full) or one.choose(texts) for one in wanted)
        if first is None or second is None:
            yield Unmatched(tuple(tag for tag in texts if tag))
        else:
            name = unit.get("tuid") or f"tu{number}"
            found = _DOCUMENT.fullmatch(name)
            document = found[1] if found else ""
            yield SentencePair(texts[first], texts[second], source, target, name, document=document)


def _units(path: Path) -> Iterator[tuple[int, Element]]:
    """Yield the translation units with their numbers from 1; a unit is empty once the next one is read."""
    with ExitStack() as stack:
        stack.enter_context(damage_named(path))
        body: Element | None = None
        number = 0
        for event, element in parse(_open(path, stack), path, "tmx"):
            name = local(element)
            if event == "start":
                body = element if name == "body" else body
            elif name == "tu":
                number += 1
                yield number, element
                if body is not None:
                    body.clear()  # remove the units that were read, so that memory use stays constant


def _open(path: Path, stack: ExitStack) -> BinaryIO:
    if path.suffix != ".zip":
        return stack.enter_context(open_bytes(path))
    archive = stack.enter_context(open_zip(path))
    names = [name for name in members(archive) if name.lower().endswith(".tmx")]
    if len(names) != 1:
        raise InputError(f"the archive holds {len(names)} .tmx files; it must hold one", path=path)
    return stack.enter_context(open_member(archive, names[0], path))


def _variants(unit: Element) -> dict[str, str]:
    """Return the text of the first variant of each language tag that is not empty."""
    texts: dict[str, str] = {}
    for variant in unit:
        if local(variant) == "tuv":
            tag = variant.get(LANGUAGE) or variant.get("lang") or ""
            segment = next((child for child in variant if local(child) == "seg"), None)
            if segment is not None:
                texts[tag] = texts.get(tag, "").strip() or _text(segment)
    return texts


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


def _holds(names: Sequence[str]) -> bool:
    return sum(name.lower().endswith(".tmx") for name in names) == 1


def _matches(sample: Sample) -> bool:
    return sample.text is not None and re.search(r"<tmx[\s>]", sample.text[:5000]) is not None


def _languages(path: Path, names: Sequence[str]) -> Iterator[str]:
    for _, unit in _units(path):
        with deep_refused(path):
            yield from _variants(unit)


TMX = BitextFormat(
    name="tmx",
    meaning="translation memories (TMX 1.1 to 1.4), plain, gzipped or zipped",
    title="a translation memory (TMX)",
    read=read_tmx,
    endings=(".tmx", ".tmx.gz", ".tmx.zip"),
    holds=_holds,
    matches=_matches,
    languages=_languages,
)
