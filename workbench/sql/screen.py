"""The SQL screen: an editor, the schema next to it, and the rows of the statement that ran last."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Tree
from textual.worker import Worker, WorkerState

from engine.counted import counted
from engine.errors import OpticalError
from engine.paths import expanded
from workbench.actions import bindings
from workbench.context import Context
from workbench.data.runs import Snapshot
from workbench.shell.screen import ModeScreen
from workbench.sql.completion import Names
from workbench.sql.editor import CompletionList, SqlEditor
from workbench.sql.history import add_to_history, read_history
from workbench.sql.kept_tabs import read_tabs, write_tabs
from workbench.sql.statement import MAX_ROWS, Statement, StatementResult, read_names
from workbench.sql.tabs import QueryTab, TabBar
from workbench.widgets.dialogs import ChoiceDialog, TextDialog, unusual_name
from workbench.widgets.table import Column, Table
from workbench.widgets.text import plain

FIRST_STATEMENT = """\
SELECT name, collection, measure, value, languages
FROM leaderboard
WHERE measure = 'RR'
ORDER BY value DESC"""
NOT_RUN = "F5 runs the statement above"
_NUMBERS = ("INT", "DOUBLE", "FLOAT", "DECIMAL", "REAL", "NUMBER")


class SqlScreen(ModeScreen):
    """Runs SQL statements on the results database."""

    CSS_PATH = "sql.tcss"
    HELP = (
        "**SQL.** The database is opened read-only for each statement and closed again, so runs never wait "
        "for it. Enter on a table or column of the schema inserts its name into the editor. At most a "
        "million rows are shown; an export writes all rows. Each tab keeps its statement and its rows. "
        "The statements are there again when the app is opened the next time."
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings("sql")
    scope = "sql"

    class Finished(Message):
        """A statement finished: with rows, or with a sentence only."""

        def __init__(
            self, statement: Statement | None, result: StatementResult | None, sentence: str, failed: bool
        ) -> None:
            super().__init__()
            self.statement, self.result, self.sentence, self.failed = statement, result, sentence, failed

    class SchemaRead(Message):
        """The schema was read."""

        def __init__(self, names: Names) -> None:
            super().__init__()
            self.names = names

    class HistoryRead(Message):
        """The history was read."""

        def __init__(self, statements: list[str]) -> None:
            super().__init__()
            self.statements = statements

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.running: Statement | None = None
        texts, self.here = read_tabs()
        self.tabs = [QueryTab(text) for text in texts or [FIRST_STATEMENT]]
        self.tables: Mapping[str, list[tuple[str, str]]] = {}
        self._running_tab: QueryTab | None = None

    def compose_body(self) -> ComposeResult:
        """Yield the tabs, the schema and the editor, and the rows below them."""
        completions = CompletionList()
        yield TabBar()
        with Horizontal(id="sql-top"):
            tree: Tree[str] = Tree("schema", id="sql-schema")
            tree.show_root = False
            yield tree
            yield SqlEditor(self.tabs[self.here].text, completions)
        yield Table(id="sql-rows", fixed=0, empty=NOT_RUN)
        yield completions

    def on_mount(self) -> None:
        """Focus the editor."""
        super().on_mount()
        self.query_one(SqlEditor).focus()
        self.query_one(TabBar).show(self.tabs, self.here)

    @on(SqlEditor.Changed)
    def _note_text(self) -> None:
        self.tabs[self.here].text = self.query_one(SqlEditor).text

    def _save(self) -> None:
        """Keep the texts for the next start of the app."""
        write_tabs([tab.text for tab in self.tabs], self.here)

    def runs_changed(self, snapshot: Snapshot) -> None:
        """Read the schema as soon as there is a database."""
        if not self.tables:
            self._read_schema()

    @work(thread=True, exclusive=True, group="schema", exit_on_error=False)
    def _read_schema(self) -> None:
        try:
            self.post_message(self.SchemaRead(read_names(self.context.results)))
        except OpticalError as error:
            self.post_message(self.Finished(None, None, str(error), True))

    @on(SchemaRead)
    def _show_schema(self, message: SchemaRead) -> None:
        self.tables = message.names.tables
        self.query_one(SqlEditor).names = message.names
        tree = self.query_one("#sql-schema", Tree)
        tree.clear()
        for table, columns in self.tables.items():
            node = tree.root.add(Text(plain(table), "bold"), data=table)
            for column, kind in columns:
                node.add_leaf(Text(plain(column)).append(f" {plain(kind.lower())}", "dim"), data=column)

    @on(Tree.NodeSelected)
    def _insert(self, message: Tree.NodeSelected[str]) -> None:
        if message.node.data and not message.node.children:
            self.query_one(SqlEditor).insert(message.node.data)

    def action_run(self) -> None:
        """Run the statement in the editor."""
        self.query_one(SqlEditor).hide_completions()
        sql = self.query_one(SqlEditor).text.strip()
        if not sql:
            self.show_status("type a statement first", "warn")
        elif self.running is not None:
            self.show_status("a statement is running; Esc cancels it", "warn")
        else:
            self._start(Statement(self.context.results, sql), None, "running … Esc cancels")

    def _start(self, statement: Statement, path: Path | None, sentence: str) -> None:
        self._save()
        self.running, self._running_tab = statement, self.tabs[self.here]
        self.show_status(sentence)
        self._run_statement(statement, path)

    @work(thread=True, group="statement", exit_on_error=False)
    def _run_statement(self, statement: Statement, path: Path | None) -> None:
        """Run a statement, and write its rows to `path` or show them."""
        start = time.perf_counter()
        try:
            if path is not None:
                count = statement.export(path)
                self.post_message(
                    self.Finished(statement, None, f"{counted(count, 'row')} written to {path}", False)
                )
                return
            result = statement.fetch()
            add_to_history(statement.sql)
            rows = f"the first {MAX_ROWS:,} rows" if result.cut else counted(len(result.rows), "row")
            sentence = (
                f"{rows}, {counted(len(result.columns), 'column')}, {time.perf_counter() - start:.2f} s"
            )
            self.post_message(self.Finished(statement, result, sentence, False))
        except OpticalError as error:
            self.post_message(self.Finished(statement, None, str(error), True))

    @on(Finished)
    def _show_result(self, message: Finished) -> None:
        tab = self.tabs[self.here]
        if message.statement is not None and message.statement is self.running:
            self.running, tab = None, self._running_tab or tab
        if message.statement is not None and message.result is not None:
            tab.ran, tab.cursor = message.statement.sql, 0
            tab.rows = message.result.rows
            tab.columns = [
                Column(name, right=kind.startswith(_NUMBERS) or "INT" in kind)
                for name, kind in zip(message.result.columns, message.result.types, strict=True)
            ]
        tab.status = message.sentence, "bad" if message.failed else ""
        if tab is self.tabs[self.here]:
            if message.result is not None:
                self._show_rows(tab)
            self.show_status(*tab.status)

    def _show_rows(self, tab: QueryTab) -> None:
        table = self.query_one("#sql-rows", Table)
        table.cursor = 0
        table.empty = "no rows" if tab.ran else NOT_RUN
        table.show(tab.columns, tab.rows)
        table.refresh()  # moves the cursor back even if the rows are the same as before
        table.scroll_home(animate=False)
        table.go_to(tab.cursor)

    def action_new_tab(self) -> None:
        """Open an empty tab."""
        self.tabs.append(QueryTab())
        self.action_open_tab(len(self.tabs) - 1)

    def action_next_tab(self) -> None:
        """Go to the next tab; after the last comes the first."""
        self.action_open_tab((self.here + 1) % len(self.tabs))

    def action_open_tab(self, place: int) -> None:
        """Go to the tab with the number `place`; the open one keeps its text and its rows."""
        self._keep()
        self._open(place)

    def action_close_tab(self) -> None:
        """Close the tab, and cancel its statement if it is running; the last tab is emptied."""
        if self._running_tab is self.tabs[self.here]:
            self.action_cancel()
        del self.tabs[self.here]
        self.tabs = self.tabs or [QueryTab()]
        self._open(min(self.here, len(self.tabs) - 1))

    def _keep(self) -> None:
        """Keep what is shown in the open tab."""
        tab = self.tabs[self.here]
        tab.text, tab.cursor = self.query_one(SqlEditor).text, self.query_one("#sql-rows", Table).cursor
        tab.status = ("", "") if self.running is not None and self._running_tab is tab else self._status

    def _open(self, place: int) -> None:
        self.here = place
        tab, editor = self.tabs[place], self.query_one(SqlEditor)
        editor.hide_completions()
        editor.load_text(tab.text)
        editor.focus()
        self._show_rows(tab)
        running = self.running is not None and self._running_tab is tab
        self.show_status(*(("running … Esc cancels", "") if running else tab.status))
        self.query_one(TabBar).show(self.tabs, place)
        self._save()

    def action_cancel(self) -> None:
        """Cancel the statement that is running."""
        if self.running is not None:
            self.running.cancel()
            self.show_status("cancelling …")

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Report the error that ended a worker, and allow the next statement to run."""
        super().on_worker_state_changed(event)
        if event.state == WorkerState.ERROR and event.worker.group == "statement":
            self.running = None

    @on(events.Unmount)
    def _end(self) -> None:
        self._save()
        if self.running is not None:
            self.running.cancel()

    def action_history(self) -> None:
        """Choose a statement that ran before."""
        self._read_history()

    @work(thread=True, exclusive=True, group="history", exit_on_error=False)
    def _read_history(self) -> None:
        self.post_message(self.HistoryRead(read_history()))

    @on(HistoryRead)
    def _choose_from_history(self, message: HistoryRead) -> None:
        if not message.statements:
            self.show_status("no statement ran before", "warn")
            return

        def load(place: int | None) -> None:
            if place is not None:
                self.query_one(SqlEditor).load_text(message.statements[place])
                self.query_one(SqlEditor).focus()

        rows = [(" ".join(text.split())[:300],) for text in message.statements]
        dialog = ChoiceDialog("Earlier statements", ("Statement",), rows, range(len(rows)))
        self.app.push_screen(dialog, load)

    def action_export(self) -> None:
        """Ask for a file name, and write all rows of the statement there."""
        ran = self.tabs[self.here].ran
        if not ran or self.running is not None:
            self.show_status("run a statement first; its rows are what is exported", "warn")
            return

        def export(name: str | None) -> None:
            if name:
                statement = Statement(self.context.results, ran)
                self._start(statement, expanded(name), f"writing {name} … Esc cancels")

        hint = "The statement runs again, and all its rows are written as CSV or Parquet."
        self.app.push_screen(TextDialog("Export to", "rows.csv", hint=hint, check=_check_name), export)


def _check_name(name: str) -> str | None:
    """Return why a file of this name cannot be written, or None."""
    if problem := unusual_name(name):
        return problem
    if Path(name).suffix not in (".csv", ".parquet"):
        return "end the name with .csv or .parquet"
    if expanded(name).exists():
        return f"{name} exists and would be replaced; choose another name"
    return None
