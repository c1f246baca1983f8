"""The Queries screen: the scores of a language's queries by one run or two, and the rankings of a query."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.message import Message
from textual.widgets import Footer

from engine.errors import OpticalError
from engine.languages import language_name
from workbench.actions import bindings
from workbench.context import Context
from workbench.results.figures import RankedDocument, Setting, query_scores, query_texts, read_ranking
from workbench.shell.screen import BaseScreen
from workbench.widgets.dialogs import TableDialog
from workbench.widgets.table import Cell, Column, Table, rank_change
from workbench.widgets.text import plain, score, signed
from workbench.widgets.text_view import TextView

VIEWS: dict[str, Callable[[float], bool]] = {
    "all queries": lambda change: True,
    "improved": lambda change: change > 0,
    "worse": lambda change: change < 0,
    "unchanged": lambda change: change == 0,
}
"""The views, and which changes of a query's score each of them shows."""


class QueriesScreen(BaseScreen):
    """The queries of one language in one run, or in the baseline and another run."""

    CSS_PATH = "results.tcss"
    HELP = (
        "**Queries.** Sorted from the worst change to the best, or for one run from the lowest score. Enter "
        "shows the rankings of a query; ✓ marks relevant documents."
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings("queries")
    scope = "queries"

    class Loaded(Message):
        """The scores of the queries were read, one dictionary a run, and the texts of the queries."""

        def __init__(self, scores: list[dict[str, float]], texts: dict[str, str], problem: str = "") -> None:
            super().__init__()
            self.scores, self.texts, self.problem = scores, texts, problem

    class Ranked(Message):
        """The rankings of one query were read, one a run."""

        def __init__(self, query: str, rankings: list[list[RankedDocument]]) -> None:
            super().__init__()
            self.query_id, self.rankings = query, rankings

    def __init__(
        self, context: Context, setting: Setting, measure: str, code: str, runs: list[tuple[str, str]]
    ) -> None:
        super().__init__(context)
        self.setting, self.measure, self.code, self.runs = setting, measure, code, runs
        self.scores: list[dict[str, float]] = []
        self.texts: dict[str, str] = {}
        self.view = "all queries"

    def compose(self) -> ComposeResult:
        """Yield a heading and the table."""
        yield TextView(id="heading")
        yield Table(id="queries-table", empty="no query is in this view")
        yield TextView(id="status")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Read the scores."""
        self.query_one(Table).focus()
        self._load()

    @work(thread=True, exclusive=True, group="queries", exit_on_error=False)
    def _load(self) -> None:
        results = self.context.results
        try:
            scores = [
                query_scores(results, self.setting, self.measure, run, self.code).get(self.code, {})
                for run, _ in self.runs
            ]
            texts = query_texts(results, self.setting, self.runs[-1][0], self.code)
        except OpticalError as error:
            self.post_message(self.Loaded([], {}, str(error)))
            return
        self.post_message(self.Loaded(scores, texts))

    @on(Loaded)
    def _show_scores(self, message: Loaded) -> None:
        self.scores, self.texts = message.scores, message.texts
        self._fill()
        if message.problem:
            self.query_one("#status", TextView).update(Text(message.problem))

    def _fill(self) -> None:
        if not self.scores:
            return
        compared = len(self.scores) == 2
        queries = set(self.scores[0]).intersection(*self.scores[1:])
        # Of one run, the score takes the place of the change.
        changes = {
            query: self.scores[-1][query] - (self.scores[0][query] if compared else 0) for query in queries
        }
        shown = [query for query in queries if not compared or VIEWS[self.view](changes[query])]
        shown.sort(key=lambda query: (changes[query], query))
        if self.view == "improved":
            shown.reverse()
        rows: list[Any] = []
        for query in shown:
            change = changes[query]
            look = "good" if change > 0 else "bad" if change < 0 else "dim"
            values = [score(scores[query]) for scores in self.scores]
            change_cell = [Cell(signed(change), look)] if compared else []
            named = [self.texts.get(query, ""), query] if self.texts else [query]
            rows.append([named[0], *values, *change_cell, *named[1:]])
        columns = [Column(name, max(7, min(len(name), 14)), right=True) for _, name in self.runs]
        columns += [Column("Δ", 7, right=True)] * compared
        width = self.size.width - 2 - sum((column.width or 0) + 1 for column in columns)
        columns = [Column("Query", max(width, 20)), *columns, *[Column("Id")] * bool(self.texts)]
        self.query_one(Table).show(columns, rows, shown)
        text = Text(f"{language_name(self.code)}: {self.setting.describe()}, {self.measure}\n")
        text.append(" → ".join(name for _, name in self.runs), "bold")
        if compared:
            improved, worse, same = (
                sum(map(VIEWS[name], changes.values())) for name in ("improved", "worse", "unchanged")
            )
            text.append(f"; {improved} improved, {worse} worse, {same} the same; shown: {self.view}")
        self.query_one("#heading", TextView).update(text)

    def on_resize(self) -> None:
        """Fit the texts of the queries into the new width."""
        self._fill()

    def action_only(self) -> None:
        """Show the next view: all, improved, worse or unchanged queries."""
        if len(self.runs) == 2:
            views = list(VIEWS)
            self.view = views[(views.index(self.view) + 1) % len(views)]
            self._fill()

    def action_leave(self) -> None:
        """Go back to the table of languages."""
        self.dismiss()

    def key_enter(self) -> None:
        """Show the rankings of the query under the cursor."""
        query = self.query_one(Table).key
        if query is not None:
            self._read_rankings(query)

    @on(Table.Chosen)
    def _chosen(self) -> None:
        self.key_enter()

    @work(thread=True, exclusive=True, group="rankings", exit_on_error=False)
    def _read_rankings(self, query: str) -> None:
        results = self.context.results
        try:
            rankings = [read_ranking(results, self.setting, run, self.code, query) for run, _ in self.runs]
        except OpticalError as error:
            self.post_message(self.Loaded(self.scores, self.texts, str(error)))
            return
        self.post_message(self.Ranked(query, rankings))

    @on(Ranked)
    def _show_rankings(self, message: Ranked) -> None:
        before = {document.document: document.rank for document in message.rankings[0]}
        columns = [Column("Rank", 4, right=True)]
        used = 5 + 11 * len(self.runs) + 7 * (len(self.runs) - 1)  # ranks, marks, scores and changes of rank
        width = max((TableDialog.table_width(self.app.size.width) - used) // len(self.runs), 12)
        for place, (_, name) in enumerate(self.runs):
            columns += [Column("", 1), Column(name, width), Column("Score", 7, right=True)]
            columns += [Column("Move", 6, right=True)] * (place == 1)
        rows = []
        depth = max(map(len, message.rankings), default=0)
        for rank in range(1, depth + 1):
            row: list[Any] = [rank]
            for place, ranking in enumerate(message.rankings):
                if rank <= len(ranking):
                    row += _document_cells(ranking[rank - 1], before if place else None)
                else:
                    row += [""] * (3 + place)
            rows.append(row)
        values = " → ".join(score(scores[message.query_id]) for scores in self.scores)
        title = plain(self.texts.get(message.query_id, message.query_id))
        found = [next((hit.rank for hit in ranking if hit.grade), None) for ranking in message.rankings]
        ranks = " → ".join(str(rank or f"below {depth}") for rank in found)
        note = f"{message.query_id}: {self.measure} {values}, first relevant at rank {ranks}"
        self.app.push_screen(TableDialog(title, columns, rows, note))


def _document_cells(document: RankedDocument, before: dict[str, int] | None) -> list[Any]:
    """Return the cells of a ranked document: mark, text, score, and its change of rank since `before`."""
    relevant = bool(document.grade)
    cells: list[Any] = [
        Cell("✓" if relevant else " ", "good"),
        Cell(document.text or document.document, "good" if relevant else ""),
        f"{document.score:.4f}",
    ]
    if before is not None:
        cells.append(rank_change(document.rank, before.get(document.document)))
    return cells
