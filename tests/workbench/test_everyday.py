"""Small things that people meet: tabs, sorting, marks, confirmations, tick labels, names of results."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from textual.app import App, ComposeResult

from engine.cli.options import refreshed
from engine.errors import InputError
from engine.pictures.shading import epsilon_text
from engine.results.missing import missing_results, new_database_note
from engine.results.queries import list_runs
from workbench.__main__ import leave_out_colours
from workbench.actions import ACTIONS
from workbench.app import Workbench
from workbench.data.key_map import KeyMap
from workbench.plan.heatmap import Heatmap
from workbench.plan.model import Pair, SolvedPlan
from workbench.runs.curves import TickFormatter
from workbench.shell.help import function_keys
from workbench.widgets.dialogs import ConfirmDialog
from workbench.widgets.table import Table
from workbench.widgets.text_view import TextView


@pytest.mark.parametrize(
    ("low", "high"), [(0.1459, 0.1462), (0.0, 1.0), (1e-6, 3e-6), (12345.1, 12345.9), (0.9995, 1.0), (0, 3e4)]
)
def test_no_two_ticks_have_the_same_label(low: float, high: float) -> None:
    ticks = TickFormatter()
    places = ticks.get_ticks(low, high)
    labels = ticks.get_labels_for_ticks(places)
    assert len(labels) > 1 and len(set(labels)) == len(labels)
    ticks.log = True
    labels = ticks.get_labels_for_ticks([math.log10(0.146 + place * 1e-4) for place in range(5)])
    assert len(set(labels)) == 5


def test_labels_that_no_digits_tell_apart_are_written_once() -> None:
    labels = TickFormatter().get_labels_for_ticks([1.00000001, 1.00000002, 1.00000003])
    assert labels == ["1", "", ""]


async def test_a_click_on_a_tab_opens_its_screen(app: Workbench, tools: Any) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        await tools.settled(pilot)
        bar = str(app.screen.query_one("#modes").render())
        for title, scope in (("SQL", "sql"), ("Launch", "launch"), ("Runs", "runs")):
            await pilot.click("#modes", offset=(bar.index(title), 0))
            await tools.until(pilot, lambda scope=scope: app.screen.scope == scope)
        await pilot.click("#modes", offset=(90, 0))  # behind the tabs
        assert app.screen.scope == "runs"


async def test_runs_are_sorted_by_keys_and_by_clicks(app: Workbench, tools: Any) -> None:
    async with app.run_test(size=(140, 30)) as pilot:
        await tools.settled(pilot)
        table = app.screen.query_one("#runs-table", Table)

        def names() -> list[str]:
            return [row[2] for row in table.rows]

        assert names() == ["newest", "optical", "baseline"]
        await pilot.press("o")
        assert names() == ["baseline", "newest", "optical"] and "name" not in tools.status(pilot)
        assert table.columns[2].title == "Run ▼" and "sorted by run" in tools.status(pilot)
        await pilot.press("O")
        assert names() == ["optical", "newest", "baseline"]
        heading = table.render_line(0).text
        await pilot.click("#runs-table", offset=(heading.index("Measure") + 1, 0))
        assert names() == ["newest", "optical", "baseline"]  # the best first
        await pilot.click("#runs-table", offset=(table.render_line(0).text.index("Measure") + 1, 0))
        assert names() == ["baseline", "optical", "newest"]
        while app.screen.sorted_by:
            await pilot.press("o")
        assert names() == ["newest", "optical", "baseline"]
        await pilot.press("O")
        assert names() == ["baseline", "optical", "newest"]  # by age, the oldest first


async def test_the_results_key_shows_the_marked_runs(app: Workbench, tools: Any) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await tools.settled(pilot)
        await pilot.press("down", "space", "down", "space", "3")
        await tools.until(pilot, lambda: app.screen.query("#results-table"))
        await tools.until(pilot, lambda: len(app.screen.figures.runs) == 2)
        await pilot.press("1", "u", "home", "down", "space", "3")
        await tools.until(pilot, lambda: len(getattr(app.screen, "figures", app).runs) == 1)


@pytest.mark.parametrize(("careful", "enter"), [(False, True), (True, False)])
async def test_enter_means_yes_unless_something_would_be_lost(
    careful: bool, enter: bool, app: Workbench, tools: Any
) -> None:
    answers: list[bool | None] = []
    async with app.run_test(size=(100, 30)) as pilot:
        app.push_screen(ConfirmDialog("Go on?", "It goes on.", careful=careful), answers.append)
        await tools.until(pilot, lambda: app.screen.is_modal)
        await pilot.press("enter")
        await tools.until(pilot, lambda: answers)
    assert answers == [enter]


def test_all_function_keys_are_in_one_row_in_their_order() -> None:
    used = {
        key for actions in ACTIONS.values() for action in actions for key in action.keys.split(",")
        if key[0] == "f" and key[1:].isdigit()
    }  # fmt: skip
    words = function_keys(KeyMap()).split()
    assert [word.lower() for word in words if word[0] == "F" and word[1:].isdigit()] == sorted(
        used, key=lambda key: int(key[1:])
    )


class OneHeatmap(App[None]):
    def compose(self) -> ComposeResult:
        yield Heatmap()


async def ruler(targets: list[str], rows: int, size: tuple[int, int]) -> str:
    app = OneHeatmap()
    async with app.run_test(size=size) as pilot:
        heatmap = app.query_one(Heatmap)
        mass = np.full((rows, len(targets)), 1 / rows / len(targets))
        heatmap.show(mass, 1 - mass, [f"s{n}" for n in range(rows)], targets)
        await pilot.pause()
        return heatmap.render_line(0).text


async def test_words_are_above_the_columns_wherever_they_fit() -> None:
    words = ["thank", "you", "the", "library", "machine"]
    for rows, size in ((6, (120, 40)), (20, (120, 24)), (6, (80, 24)), (20, (120, 30))):
        assert (await ruler(words, rows, size)).split() == words, (rows, size)
    assert "10" in await ruler(["abcdefgh"] * 30, 10, (120, 40))
    assert (await ruler(list("abcdefghij"), 30, (120, 20))).split() == list("abcdefghij")


def test_epsilon_is_shown_in_the_unit_in_which_it_is_set() -> None:
    mass = np.full((2, 2), 0.25)
    plan = SolvedPlan(
        "r", "r", Pair("", "sw", "a", "b"), ["a", "b"], ["c", "d"], mass, 1 - mass, "sinkhorn", 0.0037, 9,
        1e-6, True, 0.1, 0.2,
    )  # fmt: skip
    assert plan.summary().endswith("sinkhorn ε 0.0037 in costs") and "9 iterations" in plan.summary()
    shown = plan.with_setting({"solver": "sinkhorn", "epsilon": 0.05})
    assert shown.summary().endswith("ε 0.05 × spread")
    assert epsilon_text(0.0037, 0.05, "spread") == "ε 0.05 × spread (0.0037 in costs)"
    shown = plan.with_setting({"solver": "sinkhorn", "epsilon": 0.0037, "epsilon_scale": "absolute"})
    assert shown.summary().endswith("ε 0.0037")
    assert plan.with_setting({"solver": "partial", "epsilon": 0.05}) == plan


def test_a_wrong_name_of_the_results_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "results.duckdb").touch()
    wrong = tmp_path / "resluts.duckdb"
    assert "did you mean 'results.duckdb'?" in missing_results(wrong)
    with pytest.raises(InputError, match=r"resluts\.duckdb: there is no such results database"):
        list_runs(refreshed(wrong))
    assert not wrong.exists()
    assert "there is no folder" in missing_results(tmp_path / "no" / "results.duckdb")
    assert "is a folder" in missing_results(tmp_path)
    (tmp_path / "runs").mkdir()
    assert missing_results(wrong) == ""
    assert "did not exist" in new_database_note(wrong) and "'results.duckdb'" in new_database_note(wrong)
    refreshed(wrong)
    assert "did you mean 'results.duckdb'?" in capsys.readouterr().err
    assert new_database_note(wrong) == ""


async def test_the_app_says_that_the_named_results_do_not_exist(tmp_path: Path, tools: Any) -> None:
    (tmp_path / "results.duckdb").touch()
    app = Workbench(tmp_path / "resluts.duckdb")
    async with app.run_test(size=(120, 30)) as pilot:
        await tools.until(pilot, lambda: app.context.snapshot is not None)
        shown = str(app.screen.query_one("#greeting").render())
        assert "resluts.duckdb: there is no such results database" in shown and "did you mean" in shown


def test_a_terminal_without_colours_gets_none() -> None:
    for term, colours in (("dumb", False), ("", False), ("xterm-256color", True)):
        environment = {"TERM": term}
        leave_out_colours(environment)
        assert ("NO_COLOR" not in environment) == colours


async def test_the_queue_is_shown_and_changed(tmp_path: Path, tools: Any) -> None:
    """The runs wait in the test's own process, which holds their locks."""
    from engine.jobs import queue

    for number, name in enumerate(("busy", "first", "second")):
        run = tools.make_run(tmp_path / "runs", number, name, scored=False)
        run.resume([], queued=name != "busy")
        if name != "busy":
            queue._enter(run)
    app = Workbench(tmp_path / "results.duckdb")
    async with app.run_test(size=(120, 30)) as pilot:
        await tools.until(pilot, lambda: app.context.snapshot is not None)
        screen = app.screen

        def states() -> dict[str, str]:
            table = screen.query_one("#runs-table", Table)
            rows = [[getattr(cell, "text", cell) for cell in row] for row in table.rows]
            return {row[2]: row[3] for row in rows}

        assert states() == {"busy": "running", "first": "queued 1", "second": "queued 2"}
        await pilot.press("plus")
        await tools.until(pilot, lambda: states()["second"] == "queued 1")
        assert states()["first"] == "queued 2"
        await pilot.press("r")
        assert "second is queued; there is nothing to resume" in tools.status(pilot)
        await pilot.press("s")
        await tools.until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        texts = [str(view.render()) for view in app.screen.query(TextView)]
        assert any("leaves the queue" in text for text in texts)
        await pilot.press("escape")
        await pilot.press("end")
        await tools.until(pilot, lambda: screen.run_here["name"] == "busy")
        await pilot.press("plus")
        assert "busy is running; it does not wait in the queue" in tools.status(pilot)
