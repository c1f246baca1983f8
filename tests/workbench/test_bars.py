"""Layered bars: how much of a cell each colour covers, computed independently."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.app import Workbench
from workbench.widgets.bars import SHADES, BarDrawing, draw_bars
from workbench.widgets.table import Table

EIGHTHS = " ▏▎▍▌▋▊▉█"
RED, BLUE = "#ff0000", "#0000ff"


def painted(drawing: BarDrawing) -> dict[str, int]:
    """Return how many eighths of a cell each colour covers."""
    found: dict[str, int] = {}
    for text, colour, ground in drawing.parts:
        eighths = EIGHTHS.index(text)
        for paint, amount in ((colour, eighths), (ground, 8 - eighths)):
            if paint and amount:
                found[paint] = found.get(paint, 0) + amount
    return found


@given(st.floats(0, 1), st.integers(1, 60))
def test_a_bar_is_as_long_as_its_value(value: float, width: int) -> None:
    assert painted(draw_bars((value, RED), [], width)).get(RED, 0) == pytest.approx(
        8 * width * value, abs=0.5
    )


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_gain_is_drawn_beyond_the_end_of_the_baseline(first: float, second: float) -> None:
    low, high = sorted((first, second))
    found = painted(draw_bars((low, RED), [(high, BLUE)], 30))
    assert found.get(RED, 0) == pytest.approx(240 * low, abs=0.5)
    # in the cell where both end, the rest belongs to the gain or to no bar
    assert found.get(BLUE, 0) == pytest.approx(240 * (high - low), abs=8)


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_loss_is_drawn_in_the_lower_half_of_the_bar(first: float, second: float) -> None:
    low, high = sorted((first, second))
    drawing = draw_bars((high, RED), [(low, BLUE)], 30)
    whole = [place for place, (text, _, _) in enumerate(drawing.parts) if text == "▄"]
    end = int(round(240 * high) / 8)
    if round(240 * low) < 8 * end:
        assert whole == list(range(round(240 * low) // 8, end))
    assert all(drawing.parts[place] == ("▄", BLUE, RED) for place in whole)
    length = sum(8 if text == "▄" else EIGHTHS.index(text) for text, _, _ in drawing.parts)
    assert length == round(240 * high)


def test_shades_replace_colours() -> None:
    def text(base: float, other: float) -> str:
        return "".join(part[0] for part in draw_bars((base, SHADES[0]), [(other, SHADES[1])], 8).parts)

    assert text(0.5, 0.75) == SHADES[0] * 4 + SHADES[1] * 2 + "  "
    assert text(0.75, 0.5) == SHADES[0] * 4 + "▄" * 2 + "  "


async def test_bars_are_hidden_on_a_narrow_screen(app: Workbench, tools: SimpleNamespace) -> None:
    def bars() -> int:
        table = app.screen.query_one(Table)
        return sum(isinstance(cell, BarDrawing) for row in table.rows for cell in row)

    async with app.run_test(size=(120, 40)) as pilot:
        await tools.settled(pilot)
        app.context.show_results([run["id"] for run in app.context.snapshot.runs if run["name"] != "newest"])
        await tools.until(pilot, lambda: getattr(app.screen, "comparisons", None))
        assert bars() == len(app.screen.query_one(Table).rows) > 4
        await pilot.resize_terminal(80, 24)
        await tools.until(pilot, lambda: not bars())
        titles = [column.title for column in app.screen.query_one(Table).columns]
        assert titles[:2] == ["Language", "baseline"]
        await pilot.press("s")
        assert "sorted by baseline" in tools.status(pilot)
        await pilot.resize_terminal(120, 40)
        await tools.until(pilot, bars)
        values = [row[2] for row in app.screen.query_one(Table).rows[2:]]
        assert values == sorted(values)
