"""Fonts for the labels of pictures: which of those at hand draw a text, and what to say where none does."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

#: The group under which Python packages announce a font family: a module with a folder ``ROOT``.
PACKAGED = "fontpkg.family"
NO_GLYPH = ("Cc", "Cf", "Zl", "Zp")


def fonts_for(text: str) -> list[str]:
    """Return the families that draw `text` together, the one with most of its characters first.

    A single font is best, since letters of two fonts are not shaped as one word; but word pieces bear a mark
    that fonts of one script lack. The list is empty where a character is in no font.
    """
    wanted = set(filter(_seen, map(ord, text)))
    families: list[str] = []
    while wanted or not families:
        # The first of the best: fonts are sorted by plainness.
        name, path = max(fonts_at_hand(), key=lambda font: len(wanted & _characters(font[1])))
        if wanted and not wanted & _characters(path):
            return []
        families.append(name)
        wanted -= _characters(path)
    return families


@lru_cache(maxsize=1)
def fonts_at_hand() -> Sequence[tuple[str, str]]:
    """Return family and file of every upright font of normal weight, the plainest first.

    They are those of matplotlib, of the system (its list is read anew, for matplotlib keeps an old one),
    and of installed packages.
    """
    manager = font_manager.fontManager
    known = {font.fname for font in manager.ttflist}
    for path in [*font_manager.findSystemFonts(), *_packaged()]:
        if path not in known:
            try:
                manager.addfont(path)
            except (OSError, RuntimeError, ValueError):
                continue  # a broken font file is one font less
    found = {
        font.name: font.fname
        for font in manager.ttflist
        if font.style == "normal"
        and str(font.weight) in ("normal", "regular", "400")
        and not font.name.startswith("Last Resort")  # it has a box for everything
    }
    return sorted(found.items(), key=lambda font: (_plainness(font[0]), font[0]))


def complaint(texts: Sequence[str]) -> str:
    """Return the sentence that says why `texts`, which no font has, are drawn as numbers."""
    scripts = []
    for text in texts:
        for character in text:
            missing = _seen(ord(character)) and not any(
                ord(character) in _characters(path) for _, path in fonts_at_hand()
            )
            if missing:
                scripts.append(_script(character))
    names = " or ".join(dict.fromkeys(scripts))
    labels = "label is a number" if len(texts) == 1 else "labels are numbers"
    return (
        f"no font at hand draws {names}, so {len(texts)} {labels}; install a Noto font for it (the extra "
        "'fonts' brings some), or export SVG, which leaves fonts to whoever shows it"
    )


@lru_cache
def _characters(path: str) -> frozenset[int]:
    try:
        font: FT2Font = font_manager.get_font(path)
    except (OSError, RuntimeError):
        return frozenset()
    # Fonts made of bitmaps (colour emoji) cannot be drawn at any size.
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
    """Return the first word of the character's name, which is its script's unless it is a picture."""
    if unicodedata.category(character) == "So":
        return "emoji"
    word = unicodedata.name(character, "RARE").split()[0].split("-")[0]
    return word if word == "CJK" else word.title()


def _plainness(name: str) -> int:
    if name == "DejaVu Sans":
        return 0
    if "Mono" in name or "Serif" in name:
        return 3
    return 1 if "Sans" in name else 2


def _seen(character: int) -> bool:
    """Tell whether a character has a glyph of its own; joiners and variation selectors have none."""
    selector = 0xFE00 <= character <= 0xFE0F
    return not selector and unicodedata.category(chr(character)) not in NO_GLYPH
