"""A language's queries: which improved, which got worse, and both rankings of one side by side."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.message import Message
from textual.widgets import Footer, Static

from engine.errors import OpticalError
from engine.languages import language_name
from workbench.actions import bindings
from workbench.context import Context
from workbench.results.figures import (
    RankedDocument,
    Setting,
    query_scores,
    query_texts,
    read_ranking,
)
from workbench.shell.screen import BaseScreen
from workbench.widgets.dialogs import TableDialog
from workbench.widgets.table import Cell, Column, Table, rank_change
from workbench.widgets.text import plain, score, signed

VIEWS = ("all queries", "improved", "worse", "changed nothing")


class QueriesScreen(BaseScreen):
    """The queries of one language in one run, or in a baseline and another run."""

    HELP = (
        "**Queries.** Sorted from the worst change to the best (one run: from the lowest score). Enter "
        "shows the rankings; ✓ marks relevant documents."
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings("queries")
    scope = "queries"

    class Loaded(Message):
        """The scores of the queries were read, one mapping a run, and what the queries say."""

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
        self.view = 0

    def compose(self) -> ComposeResult:
        """A heading and the table."""
        yield Static(id="heading")
        yield Table(id="queries-table", empty="no query fits")
        yield Static(id="status")
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
    def _loaded(self, message: Loaded) -> None:
        self.scores, self.texts = message.scores, message.texts
        self._fill()
        if message.problem:
            self.query_one("#status", Static).update(Text(message.problem))

    def _fill(self) -> None:
        if not self.scores:
            return
        both = len(self.scores) == 2
        queries = set(self.scores[0]).intersection(*self.scores[1:])
        change = {query: self.scores[-1][query] - (self.scores[0][query] if both else 0) for query in queries}
        kept = [query for query in queries if not both or self._fits(change[query])]
        kept.sort(key=lambda query: (change[query], query))
        if self.view == 1:
            kept.reverse()
        rows: list[Any] = []
        for query in kept:
            delta = change[query]
            look = "good" if delta > 0 else "bad" if delta < 0 else "dim"
            values = [score(scores[query]) for scores in self.scores]
            change_cell = [Cell(signed(delta), look)] if both else []
            named = [self.texts.get(query, ""), query] if self.texts else [query]
            rows.append([named[0], *values, *change_cell, *named[1:]])
        columns = [Column(name, max(7, min(len(name), 14)), right=True) for _, name in self.runs]
        columns += [Column("Δ", 7, right=True)] * both
        room = self.size.width - 2 - sum((column.width or 0) + 1 for column in columns)
        columns = [Column("Query", max(room, 20)), *columns, *[Column("Id")] * bool(self.texts)]
        self.query_one(Table).show(columns, rows, kept)
        counts = [sum(test(value) for value in change.values()) for test in (_better, _worse)]
        text = Text(f"{language_name(self.code)}: {self.setting.describe()}, {self.measure}\n")
        text.append(" → ".join(name for _, name in self.runs), "bold")
        if both:
            same = len(queries) - sum(counts)
            text.append(
                f"; {counts[0]} improved, {counts[1]} worse, {same} the same; shown: {VIEWS[self.view]}"
            )
        self.query_one("#heading", Static).update(text)

    def on_resize(self) -> None:
        """Give the queries the room that there is."""
        self._fill()

    def _fits(self, delta: float) -> bool:
        return self.view == 0 or (_better(delta), _worse(delta), delta == 0)[self.view - 1]

    def action_only(self) -> None:
        """Show the next of all, improved, worse, unchanged."""
        if len(self.runs) == 2:
            self.view = (self.view + 1) % len(VIEWS)
            self._fill()

    def action_leave(self) -> None:
        """Go back to the table of languages."""
        self.dismiss()

    def key_enter(self) -> None:
        """Show the rankings of the query under the cursor."""
        query = self.query_one(Table).key
        if query is not None:
            self._rank(query)

    @on(Table.Chosen)
    def _chosen(self) -> None:
        self.key_enter()

    @work(thread=True, exclusive=True, group="rankings", exit_on_error=False)
    def _rank(self, query: str) -> None:
        results = self.context.results
        try:
            found = [read_ranking(results, self.setting, run, self.code, query) for run, _ in self.runs]
        except OpticalError as error:
            self.post_message(self.Loaded(self.scores, self.texts, str(error)))
            return
        self.post_message(self.Ranked(query, found))

    @on(Ranked)
    def _ranked(self, message: Ranked) -> None:
        before = {hit.document: hit.rank for hit in message.rankings[0]}
        columns = [Column("Rank", 4, right=True)]
        taken = 5 + 11 * len(self.runs) + 7 * (len(self.runs) - 1)  # by ranks, marks, scores and moves
        width = max((TableDialog.table_width(self.app.size.width) - taken) // len(self.runs), 12)
        for place, (_, name) in enumerate(self.runs):
            columns += [Column("", 1), Column(name, width), Column("Score", 7, right=True)]
            columns += [Column("Move", 6, right=True)] * (place == 1)
        rows = []
        for rank in range(1, max(map(len, message.rankings), default=0) + 1):
            row: list[Any] = [rank]
            for place, hits in enumerate(message.rankings):
                row += (
                    _hit(hits[rank - 1], before if place else None)
                    if rank <= len(hits)
                    else [""] * (3 + place)
                )
            rows.append(row)
        values = " → ".join(score(scores[message.query_id]) for scores in self.scores)
        title = plain(self.texts.get(message.query_id, message.query_id))
        found = [next((hit.rank for hit in hits if hit.grade), None) for hits in message.rankings]
        depth = max(map(len, message.rankings), default=0)
        ranks = " → ".join(str(rank or f"below {depth}") for rank in found)
        note = f"{message.query_id}: {self.measure} {values}, first relevant at rank {ranks}"
        self.app.push_screen(TableDialog(title, columns, rows, note))


def _hit(hit: RankedDocument, before: dict[str, int] | None) -> list[Any]:
    relevant = bool(hit.grade)
    cells: list[Any] = [
        Cell("✓" if relevant else " ", "good"),
        Cell(hit.text or hit.document, "good" if relevant else ""),
    ]
    cells.append(f"{hit.score:.4f}")
    if before is not None:
        cells.append(rank_change(hit.rank, before.get(hit.document)))
    return cells


def _better(delta: float) -> bool:
    return delta > 0


def _worse(delta: float) -> bool:
    return delta < 0
