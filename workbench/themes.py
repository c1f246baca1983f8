"""Colours: three themes, the palette of the curves and the colour ramps of the heatmap."""

from __future__ import annotations

from functools import lru_cache

from textual.theme import Theme

THEMES = (
    Theme(
        name="workbench-dark",
        primary="#6cb6ff",
        secondary="#8b9bb0",
        accent="#e0af68",
        warning="#e0af68",
        error="#f47067",
        success="#57c78a",
        foreground="#d5dae1",
        background="#14181f",
        surface="#1a1f28",
        panel="#232a35",
        dark=True,
    ),
    Theme(
        name="workbench-light",
        primary="#0b5cad",
        secondary="#5a6472",
        accent="#8a5a00",
        warning="#8a5a00",
        error="#b3261e",
        success="#1a6b3c",
        foreground="#1c2026",
        background="#fbfbf9",
        surface="#f2f2ee",
        panel="#e4e5e0",
        dark=False,
    ),
    Theme(
        name="workbench-contrast",
        primary="#ffffff",
        secondary="#e0e0e0",
        accent="#ffff00",
        warning="#ffff00",
        error="#ff8080",
        success="#80ff80",
        foreground="#ffffff",
        background="#000000",
        surface="#000000",
        panel="#303030",
        dark=True,
    ),
)

# Okabe and Ito 2008, "Color universal design"; the last two are darker on light backgrounds.
_ON_DARK = ("#56b4e9", "#e69f00", "#2fbf93", "#f0e442", "#cc79a7", "#e8743b", "#b8c0cc", "#8c8cff")
_ON_LIGHT = ("#0072b2", "#b36b00", "#007a5a", "#7a6f00", "#a0487c", "#c04a00", "#555555", "#4040c0")


def curve_colours(dark: bool) -> tuple[str, ...]:
    """Return eight colours that people with colour blindness can distinguish."""
    return _ON_DARK if dark else _ON_LIGHT


# Anchors of the colour maps of van der Walt and Smith 2015 (viridis) and of Nunez et al. 2018 (cividis),
# whose luminance increases evenly.
_ANCHORS = {
    "viridis": "440154 472d7b 3b528b 2c728e 21918c 28ae80 5ec962 addc30 fde725",
    "cividis": "00224e 123570 3b496c 575d6d 707173 8a8678 a59c74 c3b369 e1cc55 fee838",
    "grey": "080808 eeeeee",
}
RAMPS = tuple(_ANCHORS)
BINS = 24
GLYPHS = " ·░▒▓█"


@lru_cache
def ramp(name: str, dark: bool) -> tuple[str, ...]:
    """Return `BINS` colours with monotone luminance; the first is nearest to the background."""
    anchors = [tuple(bytes.fromhex(text)) for text in _ANCHORS[name].split()]
    colours = []
    for step in range(BINS):
        place = step / (BINS - 1) * (len(anchors) - 1)
        left = min(int(place), len(anchors) - 2)
        share = place - left
        mixed = (round(a + (b - a) * share) for a, b in zip(anchors[left], anchors[left + 1], strict=True))
        colours.append("#{:02x}{:02x}{:02x}".format(*mixed))
    return tuple(colours if dark else colours[::-1])
