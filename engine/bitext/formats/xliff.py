"""XLIFF 1.2 and 2.0, the exchange format of translation tools."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from xml.etree.ElementTree import Element

from engine.bitext.files import damage_named, open_bytes
from engine.bitext.formats.xml import LANGUAGE, deep_refused, local, parse
from engine.errors import InputError
from engine.extensions.bitext import BitextFormat, Sample, SentencePair, Unmatched
from engine.languages import TagChooser

# Inline codes are removed with their content. An empty one (x, ph) becomes a space, because it often is a
# line break. Text between codes is kept: <g> and <mrk> of 1.2, <pc> and <mrk> of 2.0.
_CODES = frozenset({"bpt", "ept", "it", "bx", "ex", "sub", "sc", "ec", "sm", "em"})
_SPACES = frozenset({"x", "ph"})
#: States of a target that is not translated yet.
_UNTRANSLATED = frozenset({"new", "needs-translation", "initial"})


def read_xliff(path: Path, source: str, target: str) -> Iterator[SentencePair | Unmatched]:
    """Yield the translation units of an XLIFF 1.2 file, or the segments of a 2.0 file, one at a time.

    Either of the two languages may be the file's source language. A unit without a target, or with a target
    in the state ``new``, ``needs-translation`` (1.2) or ``initial`` (2.0), is a pair with an empty side.
    Suggestions (``alt-trans``, ``matches``) are skipped. A file that does not name its target language is
    read with the requested one. If several files in it are in variants of a language, the requested one is
    used. A pair's id is the id of its unit. If the unit has several segments, the segment's id or number
    follows; in 1.2 they are the ``mrk`` elements of ``seg-source`` and ``target`` with the same ``mid``.

    Raises
    ------
    InputError
        If the file is not XLIFF 1.2 or 2, declares entities, is not well-formed XML, or does not name its
        languages.
    """
    with ExitStack() as stack:
        stack.enter_context(damage_named(path))
        stream = stack.enter_context(open_bytes(path))
        languages: tuple[str, str] | None = None
        every = _file_languages(path)
        wanted = (
            TagChooser(source, path, lambda: every, strict=True),
            TagChooser(target, path, lambda: every, strict=True),
        )
        version = ""
        open_elements: list[Element] = []
        number = 0
        for event, element in parse(stream, path, "xliff"):
            name = local(element)
            if event == "start":
                open_elements.append(element)
                if name == "xliff":
                    version = _version(element, path)
                if name == "xliff" and version == "2":
                    languages = _languages(element, "srcLang", "trgLang", path)
                elif name == "file" and version == "1":
                    languages = _languages(element, "source-language", "target-language", path)
                continue
            open_elements.pop()
            if name != ("trans-unit" if version == "1" else "unit"):
                continue
            number += 1
            with deep_refused(path):
                pairs = list(_pairs(element, version, str(number)))
            for unit, texts in pairs:
                yield _in_order(unit, texts, languages or ("", ""), wanted)
            for parent in open_elements[1:]:
                parent.clear()  # remove the units that were read, so that memory use stays constant


def _version(root: Element, path: Path) -> str:
    version = root.get("version", "").partition(".")[0]
    if version not in ("1", "2"):
        raise InputError(
            f"XLIFF of version {root.get('version')!r}, where 1.2 or 2.0 is expected; convert it", path=path
        )
    return version


def _languages(element: Element, original: str, translated: str, path: Path) -> tuple[str, str]:
    """Return the tags of the source and target language; the latter is empty if only the targets name it."""
    first, second = element.get(original), element.get(translated, "")
    if not first:
        raise InputError(f"<{local(element)}> does not name its language in {original!r}; add it", path=path)
    return first, second


def _pairs(unit: Element, version: str, number: str) -> Iterator[tuple[str, dict[str, tuple[str, str]]]]:
    """Yield the id of each pair in a unit, and the tag and text of its ``source`` and ``target``."""
    name = unit.get("id") or number
    if version == "1":
        yield from _segments(unit, name)
        return
    segments = [child for child in unit if local(child) == "segment"]
    for place, segment in enumerate(segments, 1):
        full = name if len(segments) == 1 else f"{name}#{segment.get('id') or place}"
        yield full, _sides(segment, segment.get("state", ""))


def _segments(unit: Element, name: str) -> Iterator[tuple[str, dict[str, tuple[str, str]]]]:
    """Yield the segments of a unit of 1.2, which ``mrk`` elements with the same ``mid`` mark in both texts.

    A unit whose texts are not both segmented is one pair.
    """
    sides = _sides(unit, "")
    parts = {local(child): child for child in unit}
    first = _marked(parts.get("seg-source")) or _marked(parts.get("source"))
    second = _marked(parts.get("target"))
    if not first or (not second and sides["target"][1].strip()):
        yield name, sides
        return
    finished = bool(sides["target"][1])
    for mid in dict.fromkeys([*first, *second]):
        translation = second.get(mid, "") if finished else ""
        texts = {
            "source": (sides["source"][0], first.get(mid, "")),
            "target": (sides["target"][0], translation),
        }
        yield (name if len(first) == 1 else f"{name}#{mid}"), texts


def _marked(element: Element | None) -> dict[str, str]:
    """Return the texts of the outermost segment marks in an element, by their ``mid``."""
    found: dict[str, str] = {}
    for child in element if element is not None else ():
        if local(child) == "mrk" and child.get("mtype") == "seg" and child.get("mid"):
            mid = child.get("mid", "")
            found[mid] = f"{found[mid]} {_text(child)}" if mid in found else _text(child)
        else:
            for mid, text in _marked(child).items():
                found[mid] = f"{found[mid]} {text}" if mid in found else text
    return found


def _sides(parent: Element, state: str) -> dict[str, tuple[str, str]]:
    sides = {"source": ("", ""), "target": ("", "")}
    for child in parent:
        name = local(child)
        if name in sides:
            finished = name == "source" or child.get("state", state) not in _UNTRANSLATED
            sides[name] = child.get(LANGUAGE, ""), _text(child) if finished else ""
    return sides


def _in_order(
    name: str,
    sides: dict[str, tuple[str, str]],
    languages: tuple[str, str],
    wanted: tuple[TagChooser, TagChooser],
) -> SentencePair | Unmatched:
    """Return the two texts as a pair in the order of the wanted languages."""
    source, target = wanted
    (tag, original), (other, translation) = sides["source"], sides["target"]
    first, second = tag or languages[0], other or languages[1]
    # A target without a language is in the other one of the two requested languages.
    if target.choose([first]) and (not second or source.choose([second])):
        return SentencePair(translation, original, source.wanted, target.wanted, name)
    if source.choose([first]) and (not second or target.choose([second])):
        return SentencePair(original, translation, source.wanted, target.wanted, name)
    return Unmatched(tuple(tag for tag in (first, second) if tag))


def _text(element: Element) -> str:
    parts = [element.text or ""]
    for child in element:
        name = local(child)
        if name in _SPACES:
            parts.append(" ")
        elif name == "cp":
            parts.append(_character(child.get("hex", "")))
        elif name not in _CODES:
            parts.append(_text(child))
        parts.append(child.tail or "")
    return "".join(parts)


def _character(code: str) -> str:
    """Return the character of a ``cp`` element, or a space if it is a control character."""
    try:
        character = chr(int(code, 16))
    except (ValueError, OverflowError):
        return " "
    return character if character.isprintable() else " "


def _matches(sample: Sample) -> bool:
    return sample.text is not None and re.search(r"<xliff[\s>]", sample.text[:5000]) is not None


def _file_languages(path: Path, names: Sequence[str] = ()) -> list[str]:
    """Return all language tags of a file: those of its files, sources and targets."""
    found: dict[str, None] = {}
    with damage_named(path), open_bytes(path) as stream:
        for event, element in parse(stream, path, "xliff"):
            if event == "start":
                names = ("source-language", "target-language", "srcLang", "trgLang")
                own = (LANGUAGE,) if local(element) in ("source", "target") else ()
                found |= {tag: None for name in (*names, *own) if (tag := element.get(name))}
            else:
                element.clear()
    return list(found)


XLIFF = BitextFormat(
    name="xliff",
    meaning="XLIFF 1.2 or 2.0, the exchange format of translation tools",
    title="an XLIFF file",
    read=read_xliff,
    endings=(".xlf", ".xliff", ".sdlxliff", ".mqxliff", ".mxliff", ".xlf.gz", ".xliff.gz", ".sdlxliff.gz"),
    matches=_matches,
    languages=_file_languages,
)
