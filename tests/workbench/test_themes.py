"""Themes and colour ramps."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from workbench.themes import RAMPS, THEMES, ramp


def _luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("name", RAMPS)
def test_ramps_are_monotone_in_luminance(name: str) -> None:
    dark = [_luminance(colour) for colour in ramp(name, True)]
    assert all(a < b for a, b in itertools.pairwise(dark))
    assert [_luminance(colour) for colour in ramp(name, False)] == dark[::-1]


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_text_is_legible_in_every_theme(theme: Any) -> None:
    """Text has the contrast of 4.5 that WCAG requires."""
    ground = _luminance(theme.background)
    for name in ("foreground", "primary", "secondary", "success", "warning", "error"):
        low, high = sorted((ground, _luminance(getattr(theme, name))))
        assert (high + 0.05) / (low + 0.05) >= 4.5, name
