"""The parts under the screens: curves, form, heatmap, table, text."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.app import App, ComposeResult

from engine.durations import age_text, duration_text
from workbench.runs.curves_model import CurvesReader, smooth
from workbench.themes import RAMPS, THEMES, ramp
from workbench.widgets.table import Column, Table
from workbench.widgets.text import fit, p_value, plain, signed

TOKENS = ["المكتبة", "ขอบคุณ", "क्षत्रिय", "机器翻译", "👩‍🔬", "a\x1b[31m\nb", "x" * 40]


def test_curves_grow_wait_for_torn_lines_and_take_a_resumed_steps_last_word(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"

    def line(step: int, value: float) -> str:
        return json.dumps({"step": step, "elapsed": float(step), "metrics": {"loss": value}})

    follower = CurvesReader()
    file.write_text(line(1, 1.0) + "\n" + line(2, 2.0) + "\n" + line(3, 3.0)[:9])
    first = follower.read(tmp_path)
    assert first.values["loss"][2] == [1.0, 2.0]
    file.write_text(file.read_text()[:-9] + line(3, 3.0) + "\nnonsense\n" + line(2, 9.0) + "\n")
    second = follower.read(tmp_path)
    assert (second.values["loss"][0], second.values["loss"][2]) == ([1, 2], [1.0, 9.0])
    assert second.corrupt == 1
    assert first.values["loss"][2] == [1.0, 2.0]  # what is being drawn does not change


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.sampled_from([0.0, 0.6, 0.9]))
def test_smoothing_is_the_weighted_mean_of_all_values_so_far(values: list[float], weight: float) -> None:
    weights = weight ** np.arange(len(values))[::-1] if weight else np.eye(len(values))[-1]
    assert smooth(values, weight)[-1] == pytest.approx(
        np.average(values, weights=weights), rel=1e-6, abs=1e-6
    )


@given(st.text(max_size=60), st.integers(0, 30))
def test_fitted_text_has_exactly_its_width_and_steers_nothing(text: str, width: int) -> None:
    cleaned = plain(text)
    assert cell_len(fit(cleaned, width)) == width
    assert not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 for character in cleaned)
    assert not set(cleaned) & set("\u202a\u202b\u202d\u202e\u2066\u2067\u2068")


def test_short_words_for_numbers() -> None:
    assert [signed(value) for value in (0.0104, -0.25, 0.0, -0.0001, 1.5)] == [
        "+.010",
        "−.250",
        " .000",
        " .000",
        "+1.500",
    ]
    assert [p_value(value) for value in (0.0001, 0.0437, 1.0)] == ["<.001", ".044", "1"]
    assert [duration_text(seconds) for seconds in (5, 119, 600, 5400, 200_000)] == [
        "5 s",
        "119 s",
        "10 min",
        "2 h",
        "2 d",
    ]
    assert age_text(None) == ""


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
def test_words_can_be_read_in_every_theme(theme: Any) -> None:
    """Text reaches WCAG's contrast of 4.5 on the theme's ground."""
    ground = _luminance(theme.background)
    for name in ("foreground", "primary", "secondary", "success", "warning", "error"):
        low, high = sorted((ground, _luminance(getattr(theme, name))))
        assert (high + 0.05) / (low + 0.05) >= 4.5, name


class Alone(App[None]):
    """One widget and nothing else."""

    def __init__(self, widget: Any) -> None:
        super().__init__()
        self.widget = widget

    def compose(self) -> ComposeResult:
        yield self.widget


class Counting(Sequence[Any]):
    """Many rows, which count how often they are looked at."""

    def __init__(self, count: int) -> None:
        self.count, self.looked = count, 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, place: Any) -> Any:
        if place >= self.count:
            raise IndexError(place)
        self.looked += 1
        return (place, f"row {place}")


async def test_half_a_million_rows_are_not_all_looked_at() -> None:
    table, rows = Table(fixed=0), Counting(538_121)
    async with Alone(table).run_test(size=(80, 24)) as pilot:
        table.show([Column("n", right=True), Column("text")], rows)
        table.focus()
        await pilot.press("end")
        await pilot.pause()
        await pilot.pause()
        assert table.key == 538_120
        assert "row 538120" in "".join(segment.text for segment in table.render_line(23))
        assert rows.looked < 2000
