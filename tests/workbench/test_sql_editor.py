"""SQL: completion from the database, and tabs."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import duckdb
import pytest

from workbench.app import Workbench
from workbench.sql import kept_tabs
from workbench.sql.completion import Names, complete
from workbench.sql.editor import CompletionList, SqlEditor
from workbench.sql.statement import Statement, StatementResult, read_names
from workbench.sql.tabs import TabBar
from workbench.widgets.table import Table

NAMES = Names(
    {
        "runs": [("id", "VARCHAR"), ("name", "VARCHAR"), ("order", "INTEGER")],
        "scores": [("run", "VARCHAR"), ("value", "DOUBLE"), ("Weird name", "DOUBLE")],
    },
    ("from", "select", "where", "join", "on", "order"),
    ("round", "row_number"),
    frozenset({"from", "select", "where", "order"}),
)


def texts(before: str, after: str = "") -> list[str]:
    return [one.text for one in complete(before, after, NAMES)]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("SEL", "", ["SELECT"]),
        ("sel", "", ["select"]),
        ("SELECT * FROM ", "", ["runs", "scores"]),
        ("SELECT * FROM runs JOIN s", "", ["scores"]),
        # columns of the statement's tables, wherever they are named
        ("SELECT v", " FROM scores", ["value"]),
        ("SELECT n", " FROM runs", ["name"]),
        ("SELECT n", " FROM scores", []),
        ("SELECT ro", " FROM runs", ["round(", "row_number("]),
        # after a point those of one table, also by its alias, with quotes where DuckDB needs them
        ("SELECT s.", " FROM runs AS r JOIN scores s", ["run", "value", '"Weird name"']),
        ("SELECT r.o", " FROM runs AS r JOIN scores s", ['"order"']),
        ("SELECT x.", " FROM runs", []),
        # nothing inside texts and comments
        ("SELECT 'n", " FROM runs", []),
        ("SELECT 1 -- n", "", []),
        ("SELECT 1 /* n", "", []),
        ("SELECT 'it''s' || n", " FROM runs", ["name"]),
        ("-- FROM runs\nSELECT v", " FROM scores", ["value"]),
        # a whole word is not offered
        ("SELECT name", " FROM runs", []),
    ],
)
def test_what_can_follow(before: str, after: str, expected: list[str]) -> None:
    assert texts(before, after) == expected


def test_every_completion_of_a_real_database_is_sql(made: Path) -> None:
    """DuckDB itself binds a statement with each column, and knows each keyword and function."""
    names = read_names(made / "results.duckdb")
    with duckdb.connect(made / "results.duckdb", read_only=True) as connection:
        for table in names.tables:
            for one in complete("SELECT t.", f" FROM {table} AS t", names):
                connection.execute(f"SELECT t.{one.text} FROM {table} AS t LIMIT 0")
    assert {"runs", "scores", "leaderboard"} <= names.tables.keys()
    assert {"select", "qualify"} <= set(names.keywords) and "select" in names.reserved
    assert {"avg", "regexp_matches"} <= set(names.functions)


@pytest.mark.slow
async def test_a_completion_is_chosen_and_inserted(app: Workbench, tools: Any) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        await tools.settled(pilot)
        await pilot.press("6")
        await tools.until(pilot, lambda: app.screen.tables)  # type: ignore[attr-defined]
        editor, offered = app.screen.query_one(SqlEditor), app.screen.query_one(CompletionList)
        editor.load_text("")
        await pilot.press(*"SELECT na", "left", "right")
        assert not offered.display  # the cursor moved
        await pilot.press("backspace", *"a FROM lea")
        await tools.until(pilot, lambda: offered.display)
        assert [one.text for one in offered.offered] == ["leaderboard"]
        await pilot.press("tab")
        assert editor.text == "SELECT na FROM leaderboard" and not offered.display and editor.has_focus
        await pilot.press(*" WHERE ", "ctrl+@")
        await tools.until(pilot, lambda: offered.display)
        second = offered.offered[1].text
        await pilot.press("down", "down", "up", "tab")
        assert editor.text == f"SELECT na FROM leaderboard WHERE {second}"
        await pilot.press(*" an")
        await tools.until(pilot, lambda: offered.display)
        await pilot.press("escape")
        assert not offered.display and editor.has_focus
        await pilot.press("tab")  # moves the focus, as before
        assert not editor.has_focus


async def test_each_tab_keeps_its_statement_and_its_rows(
    app: Workbench, tools: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        await tools.settled(pilot)
        await pilot.press("6")
        await tools.until(pilot, lambda: app.screen.tables)  # type: ignore[attr-defined]
        editor, rows = app.screen.query_one(SqlEditor), app.screen.query_one("#sql-rows", Table)
        bar = app.screen.query_one(TabBar)
        assert not bar.display
        editor.load_text("SELECT 1 AS a UNION ALL SELECT 2 ORDER BY a")
        await pilot.press("f5")
        await tools.until(pilot, lambda: len(rows.rows) == 2)
        rows.go_to(1)
        await pilot.press("ctrl+t")
        assert editor.text == "" and rows.rows == () and editor.has_focus and bar.display
        await pilot.press(*"SELECT 3 AS b", "f5")
        await tools.until(pilot, lambda: rows.rows and rows.rows[0] == (3,))
        said = tools.status(pilot)
        await pilot.press("ctrl+n")
        assert editor.text.startswith("SELECT 1") and list(rows.rows) == [(1,), (2,)] and rows.cursor == 1
        assert "2 rows" in tools.status(pilot)
        await pilot.press("ctrl+n")
        assert list(rows.rows) == [(3,)] and tools.status(pilot) == said
        # a statement that ends while another tab is open belongs to its own tab
        may_end, fetch = threading.Event(), Statement.fetch

        def slow(statement: Statement) -> StatementResult:
            may_end.wait(30)
            return fetch(statement)

        monkeypatch.setattr(Statement, "fetch", slow)
        editor.load_text("SELECT 4 AS c")
        await pilot.press("f5", "ctrl+n")
        assert app.screen.running is not None and "2 rows" in tools.status(pilot)  # type: ignore[attr-defined]
        may_end.set()
        await tools.until(pilot, lambda: app.screen.running is None)  # type: ignore[attr-defined]
        assert list(rows.rows) == [(1,), (2,)] and "2 rows" in tools.status(pilot)
        await pilot.click(bar, offset=(30, 0))
        await tools.until(pilot, lambda: list(rows.rows) == [(4,)])
        await pilot.press("ctrl+g")
        assert not bar.display and editor.text.startswith("SELECT 1")
        await pilot.press("ctrl+g")
        assert editor.text == "" and rows.rows == ()


async def test_the_tabs_are_there_again_at_the_next_start(made: Path, tools: Any) -> None:
    app = Workbench(made / "results.duckdb")
    async with app.run_test(size=(100, 30)) as pilot:
        await tools.settled(pilot)
        await pilot.press("6")
        await tools.until(pilot, lambda: app.screen.tables)  # type: ignore[attr-defined]
        app.screen.query_one(SqlEditor).load_text("SELECT 'ẹ' AS \"a\nb\"")
        await pilot.press("ctrl+t", *"SELECT 2", "ctrl+t", *"FROM runs", "ctrl+n", "ctrl+n")
        await tools.until(pilot, lambda: app.screen.query_one(SqlEditor).text == "SELECT 2")
        await pilot.press("end", *"3")  # kept though no statement ran and no tab was changed since
        await tools.until(pilot, lambda: app.screen.tabs[1].text == "SELECT 23")  # type: ignore[attr-defined]
    again = Workbench(made / "results.duckdb")
    async with again.run_test(size=(100, 30)) as pilot:
        await tools.settled(pilot)
        await pilot.press("6")
        await tools.until(pilot, lambda: again.screen.tables)  # type: ignore[attr-defined]
        texts = [tab.text for tab in again.screen.tabs]  # type: ignore[attr-defined]
        assert texts == ["SELECT 'ẹ' AS \"a\nb\"", "SELECT 23", "FROM runs"]
        assert again.screen.query_one(SqlEditor).text == "SELECT 23"
        assert again.screen.query_one(TabBar).display


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", "[[[", '{"tabs": [1]}', '{"tabs": "x"}', "\udcff", '{"tabs": [], "open": 3}']
)
def test_a_damaged_file_of_tabs_is_no_file(content: str) -> None:
    kept_tabs.tabs_file().write_bytes(content.encode(errors="surrogateescape"))
    assert kept_tabs.read_tabs() == ([], 0)


def test_tabs_are_kept_within_limits() -> None:
    kept_tabs.write_tabs(["x" * (kept_tabs.LONGEST + 1), "\ud800", "b"], 7)
    assert kept_tabs.read_tabs() == ([], 0)  # such a text cannot be written, and nothing is raised
    kept_tabs.write_tabs(["x" * (kept_tabs.LONGEST + 1), *"b" * kept_tabs.MOST_TABS], 7)
    texts, here = kept_tabs.read_tabs()
    assert (len(texts), len(texts[0]), here) == (kept_tabs.MOST_TABS, kept_tabs.LONGEST, 7)
