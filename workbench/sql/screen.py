"""SQL: an editor with the schema beside it, and the answer in a table that scrolls however long it is."""

from __future__ import annotations

import time
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import TextArea, Tree
from textual.worker import Worker, WorkerState

from engine.errors import OpticalError
from workbench.actions import bindings
from workbench.context import Context
from workbench.data.runs import Snapshot
from workbench.shell.screen import ModeScreen
from workbench.sql.history import read_history, remember
from workbench.sql.query import MOST_ROWS, Answer, Question, schema
from workbench.widgets.dialogs import ChoiceDialog, TextDialog
from workbench.widgets.table import Column, Table
from workbench.widgets.text_input import run_bound_action

FIRST = """\
SELECT name, collection, measure, value, languages
FROM leaderboard
WHERE measure = 'RR'
ORDER BY value DESC"""
_NUMBERS = ("INT", "DOUBLE", "FLOAT", "DECIMAL", "REAL", "NUMBER")


class Editor(TextArea):
    """The question. F5 runs it from anywhere on the screen."""

    HELP = "**Editor.** Write one SQL statement; F5 or Ctrl+J runs it, F8 brings earlier ones back."

    async def on_key(self, event: events.Key) -> None:
        """Take keys in their order."""
        await run_bound_action(self, event)


class SqlScreen(ModeScreen):
    """Questions to the database."""

    HELP = (
        "**SQL.** The database is opened read-only for each question and closed again, so runs are never "
        "kept waiting. Enter on a table or column of the schema puts its name into the editor. An answer "
        "shows at most a million rows; an export has all."
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings("sql")
    scope = "sql"

    class Answered(Message):
        """The answer came, or why there is none."""

        def __init__(self, question: Question, answer: Answer | None, sentence: str, failed: bool) -> None:
            super().__init__()
            self.question, self.answer, self.sentence, self.failed = question, answer, sentence, failed

    class SchemaRead(Message):
        """The schema was read."""

        def __init__(self, tables: dict[str, list[tuple[str, str]]]) -> None:
            super().__init__()
            self.tables = tables

    class Remembered(Message):
        """The earlier questions were read."""

        def __init__(self, texts: list[str]) -> None:
            super().__init__()
            self.texts = texts

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.question: Question | None = None
        self.answered = ""
        self.tables: dict[str, list[tuple[str, str]]] = {}

    def compose_body(self) -> ComposeResult:
        """Schema and editor above, the answer below."""
        with Horizontal(id="sql-top"):
            tree: Tree[str] = Tree("schema", id="sql-schema")
            tree.show_root = False
            yield tree
            yield Editor(FIRST, id="sql-editor", tab_behavior="focus", show_line_numbers=False)
        yield Table(id="sql-answer", fixed=0, empty="F5 runs the question above")

    def on_mount(self) -> None:
        """Begin in the editor."""
        super().on_mount()
        self.query_one(Editor).focus()

    def runs_changed(self, snapshot: Snapshot) -> None:
        """Read the schema once there is a database."""
        if not self.tables:
            self._read_schema()

    @work(thread=True, exclusive=True, group="schema", exit_on_error=False)
    def _read_schema(self) -> None:
        try:
            self.post_message(self.SchemaRead(schema(self.context.results)))
        except OpticalError as error:
            self.post_message(self.Answered(Question(self.context.results, ""), None, str(error), True))

    @on(SchemaRead)
    def _show_schema(self, message: SchemaRead) -> None:
        self.tables = message.tables
        tree = self.query_one("#sql-schema", Tree)
        tree.clear()
        for table, columns in self.tables.items():
            node = tree.root.add(Text(table, "bold"), data=table)
            for column, kind in columns:
                node.add_leaf(Text(column).append(f" {kind.lower()}", "dim"), data=column)

    @on(Tree.NodeSelected)
    def _insert(self, message: Tree.NodeSelected[str]) -> None:
        if message.node.data and not message.node.children:
            self.query_one(Editor).insert(message.node.data)

    def action_ask(self) -> None:
        """Ask what stands in the editor."""
        sql = self.query_one(Editor).text.strip()
        if not sql or self.question is not None:
            self.show_status(
                "type a question first" if not sql else "a question is under way; Esc cancels it", "warn"
            )
            return
        self.question = Question(self.context.results, sql)
        self.show_status("asking … Esc cancels")
        self._ask(self.question, None)

    @work(thread=True, group="ask", exit_on_error=False)
    def _ask(self, question: Question, path: Path | None) -> None:
        start = time.perf_counter()
        try:
            if path is not None:
                count = question.export(path)
                self.post_message(self.Answered(question, None, f"{count:,} rows written to {path}", False))
                return
            answer = question.fetch()
            remember(question.sql)
            rows = f"the first {MOST_ROWS:,} rows" if answer.cut else f"{len(answer.rows):,} rows"
            words = f"{rows}, {len(answer.columns)} columns, {time.perf_counter() - start:.2f} s"
            self.post_message(self.Answered(question, answer, words, False))
        except OpticalError as error:
            self.post_message(self.Answered(question, None, str(error), True))

    @on(Answered)
    def _show(self, message: Answered) -> None:
        if message.question is self.question:
            self.question = None
        if message.answer is not None:
            answer = message.answer
            self.answered = message.question.sql
            columns = [
                Column(name, right=kind.startswith(_NUMBERS) or "INT" in kind)
                for name, kind in zip(answer.columns, answer.types, strict=True)
            ]
            table = self.query_one("#sql-answer", Table)
            table.cursor = 0
            table.empty = "no rows"
            table.show(columns, answer.rows)
            table.refresh()  # the cursor, should the answer be the same as before
            table.scroll_home(animate=False)
        self.show_status(message.sentence, "bad" if message.failed else "")

    def action_cancel(self) -> None:
        """Cancel the question under way."""
        if self.question is not None:
            self.question.cancel()
            self.show_status("cancelling …")

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Let the next question be asked after one that failed of a mistake of ours."""
        super().on_worker_state_changed(event)
        if event.state == WorkerState.ERROR and event.worker.group == "ask":
            self.question = None

    @on(events.Unmount)
    def _leave(self) -> None:
        if self.question is not None:
            self.question.cancel()

    def action_history(self) -> None:
        """Choose an earlier question."""
        self._remember()

    @work(thread=True, exclusive=True, group="history", exit_on_error=False)
    def _remember(self) -> None:
        self.post_message(self.Remembered(read_history()))

    @on(Remembered)
    def _choose(self, message: Remembered) -> None:
        if not message.texts:
            self.show_status("no question was asked before", "warn")
            return

        def answered(place: int | None) -> None:
            if place is not None:
                self.query_one(Editor).load_text(message.texts[place])
                self.query_one(Editor).focus()

        rows = [(" ".join(text.split())[:300],) for text in message.texts]
        self.app.push_screen(
            ChoiceDialog("Earlier questions", ("Question",), rows, range(len(rows))), answered
        )

    def action_export(self) -> None:
        """Ask for a file name, and write the whole answer there."""
        if not self.answered or self.question is not None:
            self.show_status("run a question first; its answer is what is written", "warn")
            return

        def answered(name: str | None) -> None:
            if name:
                self.question = Question(self.context.results, self.answered)
                self.show_status(f"writing {name} … Esc cancels")
                self._ask(self.question, Path(name).expanduser())

        hint = "The question is asked again and all its rows are written, as CSV or Parquet."
        self.app.push_screen(TextDialog("Export to", "answer.csv", hint=hint, check=_check_name), answered)


def _check_name(name: str) -> str | None:
    if Path(name).suffix not in (".csv", ".parquet"):
        return "end the name with .csv or .parquet"
    return (
        f"{name} exists and would be replaced; choose another name"
        if Path(name).expanduser().exists()
        else None
    )
