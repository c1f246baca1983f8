"""Fonts for the labels of pictures: which installed fonts can draw a text, and the message if none can."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

#: The entry point group in which Python packages declare a font family: a module with a folder ``ROOT``.
PACKAGED = "fontpkg.family"
#: The Unicode categories of characters that are not drawn.
NO_GLYPH = ("Cc", "Cf", "Zl", "Zp")


def fonts_for(text: str) -> list[str]:
    """Return the font families that draw `text` together, the one with most of its characters first.

    A single font is preferred, because letters of two fonts are not shaped as one word. Several are allowed,
    because word pieces contain a mark that fonts of one script lack. The list is empty if no font has one of
    the characters.
    """
    wanted = set(filter(_has_glyph, map(ord, text)))
    families: list[str] = []
    while wanted or not families:
        # max returns the first of equal fonts, and plain fonts are listed first.
        name, path = max(installed_fonts(), key=lambda font: len(wanted & _characters(font[1])))
        if wanted and not wanted & _characters(path):
            return []
        families.append(name)
        wanted -= _characters(path)
    return families


@lru_cache(maxsize=1)
def installed_fonts() -> Sequence[tuple[str, str]]:
    """Return the family and file of every upright font of normal weight, the plainest first.

    They come from matplotlib, the system and installed packages. The list of the system's fonts is read
    again, because matplotlib's copy of it may be out of date.
    """
    manager = font_manager.fontManager
    known = {font.fname for font in manager.ttflist}
    for path in [*font_manager.findSystemFonts(), *_packaged()]:
        if path not in known:
            try:
                manager.addfont(path)
            except (OSError, RuntimeError, ValueError):
                continue  # a broken font file is ignored
    found = {
        font.name: font.fname
        for font in manager.ttflist
        if font.style == "normal"
        and str(font.weight) in ("normal", "regular", "400")
        and not font.name.startswith("Last Resort")  # it draws a box for every character
    }
    return sorted(found.items(), key=lambda font: (_rank(font[0]), font[0]))


def missing_fonts_message(texts: Sequence[str]) -> str:
    """Return a sentence that says why `texts`, which no font can draw, are replaced by numbers."""
    scripts = []
    for text in texts:
        for character in text:
            missing = _has_glyph(ord(character)) and not any(
                ord(character) in _characters(path) for _, path in installed_fonts()
            )
            if missing:
                scripts.append(_script(character))
    names = " or ".join(dict.fromkeys(scripts))
    labels = "label is a number" if len(texts) == 1 else "labels are numbers"
    return (
        f"no installed font draws {names}, so {len(texts)} {labels}; install a Noto font for it (the extra "
        "'fonts' has some), or export SVG, in which labels are text"
    )


@lru_cache
def _characters(path: str) -> frozenset[int]:
    try:
        font: FT2Font = font_manager.get_font(path)
    except (OSError, RuntimeError):
        return frozenset()
    # Bitmap fonts, such as those of colour emoji, are not drawn by matplotlib.
    return frozenset(font.get_charmap()) if font.scalable else frozenset()


def _packaged() -> list[str]:
    found: list[str] = []
    for entry in entry_points(group=PACKAGED):
        try:
            folder = Path(entry.load().ROOT)
        except (ImportError, AttributeError):
            continue
        found += [str(path) for path in sorted(folder.rglob("*")) if path.suffix in (".ttf", ".otf")]
    return found


def _script(character: str) -> str:
    """Return the first word of the character's name, which is the name of its script, or ``emoji``."""
    if unicodedata.category(character) == "So":
        return "emoji"
    word = unicodedata.name(character, "RARE").split()[0].split("-")[0]
    return word if word == "CJK" else word.title()


def _rank(name: str) -> int:
    """Return 0 for the preferred font family, and more for less plain ones."""
    if name == "DejaVu Sans":
        return 0
    if "Mono" in name or "Serif" in name:
        return 3
    return 1 if "Sans" in name else 2


def _has_glyph(character: int) -> bool:
    """Return whether a character has a glyph of its own; joiners and variation selectors have none."""
    selector = 0xFE00 <= character <= 0xFE0F
    return not selector and unicodedata.category(chr(character)) not in NO_GLYPH
