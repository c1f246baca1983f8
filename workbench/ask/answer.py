"""The answer of one run to a query: its hits, and the token matches of the hit under the cursor."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical

from engine.serving.records import ExplainReply, SearchReply
from workbench.widgets.table import Cell, Column, Table, rank_change
from workbench.widgets.text import bar, plain
from workbench.widgets.text_view import TextView

_BAR_WIDTH = 8
_MIN_TEXT_WIDTH = 16
NO_RUN = "no run can be searched yet"


class HitTable(Table):
    """The documents that a run found."""

    HELP = (
        "**Hits.** ✓ marks relevant documents, if the query is one of the collection's own. The table below "
        "explains the score of the hit under the cursor. With two runs, ↑ and ↓ show how far a document "
        "moved from the first run's list to the second's; v goes to the other list."
    )


class MatchTable(Table):
    """The tokens of the query, each with the document token that it matches best."""

    HELP = (
        "**Matches.** Each token of the query is matched with the most similar token of the document. The "
        "bar shows their similarity. The mean of the similarities is the document's score. With a lexical "
        "run, these are the shared terms, whose parts add up to the score; with a fused run, the first of "
        "the runs is explained, and the line above shows what each run adds to the score."
    )


class Answer(Vertical):
    """The hits of one run and the explanation of one of them.

    Attributes
    ----------
    run, run_name : str
        Id and name of the run; empty if the widget has no run.
    search, explanation : int or None
        Numbers of the unanswered requests.
    explained : str or None
        The document that is explained, or that `explanation` asks about.
    result : SearchReply or None
        What the run found.
    before : dict or None
        Ranks that the hits are compared with, by document.
    """

    def __init__(self, id: str) -> None:
        super().__init__(id=id, classes="answer")
        self.run, self.run_name = "", ""
        self.search: int | None = None
        self.explanation: int | None = None
        self.explained: str | None = None
        self.result: SearchReply | None = None
        self.before: dict[str, int] | None = None

    def compose(self) -> ComposeResult:
        """Yield the run, its hits, the hit under the cursor, and its token matches."""
        yield TextView(classes="run")
        yield HitTable(fixed=3, empty=NO_RUN)
        yield TextView(classes="document")
        yield MatchTable()

    def set_run(self, run: str, name: str) -> None:
        """Belong to another run, and have no result yet."""
        self.run, self.run_name = run, name
        self.clear()

    def clear(self) -> None:
        """Remove the result."""
        self.result = self.before = None
        self.query_one(HitTable).empty = "type a query above and press Enter" if self.run else NO_RUN
        self._fill()
        self.clear_explanation()
        self._show_title()

    def show_waiting(self) -> None:
        """Show that a search is running; an old result stays until the new one comes."""
        self.query_one(HitTable).empty = "searching …"
        self.query_one(HitTable).refresh()

    def clear_explanation(self) -> None:
        """Remove the explanation."""
        self.query_one(MatchTable).show([], [])
        self.query_one(".document", TextView).update("")

    def show_result(self, result: SearchReply) -> None:
        """Show what the run found."""
        self.result = result
        hits = self.query_one(HitTable)
        hits.cursor = 0
        hits.empty = "no document has a token in common with the query"
        self._fill()
        hits.scroll_home(animate=False)
        self._show_title()

    def compare(self, before: dict[str, int] | None) -> None:
        """Show how far documents moved from the ranks `before`; None shows no changes of rank."""
        self.before = before
        self._fill()

    @property
    def document(self) -> str | None:
        """Id of the document under the cursor."""
        key = self.query_one(HitTable).key
        return None if key is None else str(key)

    def ranks(self) -> dict[str, int]:
        """Return the ranks of the documents that were found."""
        return {hit.document: hit.rank for hit in (self.result.hits if self.result else ())}

    def go_to(self, document: str | None) -> None:
        """Move the cursor to a document, if it is among the hits."""
        rank = self.ranks().get(document or "")
        if rank is not None:
            self.query_one(HitTable).go_to(rank - 1)

    def on_resize(self, event: events.Resize) -> None:
        """Fit the texts into the new width."""
        self._fill()

    def _show_title(self) -> None:
        text = Text(plain(self.run_name), style="bold", no_wrap=True, overflow="ellipsis")
        if self.result is not None:
            if self.result.relevant is not None:
                found = sum(bool(hit.grade) for hit in self.result.hits)
                text.append(f"  ✓ {found} of {self.result.relevant}", "not bold")
            text.append(f"  {self.result.seconds * 1000:.0f} ms", "not bold dim")
        self.query_one(".run", TextView).update(text)

    def _fill(self) -> None:
        hits = self.result.hits if self.result else []
        several_languages = len({hit.language for hit in hits}) > 1
        columns = [Column("", 3, right=True), Column("", 1), Column("Score", 6, right=True)]
        columns += [Column("Move", 4, right=True)] * (self.before is not None)
        columns += [Column("", 3)] * several_languages
        used = sum((column.width or 0) + 1 for column in columns)
        table = self.query_one(HitTable)
        width = table.scrollable_content_region.width - used - 1
        columns.append(Column("Document", max(_MIN_TEXT_WIDTH, width)))
        rows = []
        for hit in hits:
            relevant = bool(hit.grade)
            row: list[Any] = [hit.rank, Cell("✓" if relevant else " ", "good"), f"{hit.score:.4f}"]
            if self.before is not None:
                row.append(rank_change(hit.rank, self.before.get(hit.document)))
            if several_languages:
                row.append(Cell(hit.language, "dim"))
            rows.append([*row, Cell(hit.text, "good" if relevant else "")])
        table.show(columns, rows, [hit.document for hit in hits])

    def show_explanation(self, explanation: ExplainReply) -> None:
        """Show the token matches of a document, which need not be among the hits."""
        rank = self.ranks().get(explanation.document)
        head = f"rank {rank}" if rank else f"not among the {len(self.ranks())}"
        hit = self.result.hits[rank - 1] if rank and self.result is not None else None
        text = Text(
            f"{head}, {hit.score if hit is not None and hit.parts else explanation.score:.4f}  ", "bold"
        )
        for place, part in enumerate(hit.parts if hit is not None else ()):
            text.append(" + " if place else "= ", "not bold dim")
            text.append(f"{part.share:.3f} ".replace("-", "−"), "not bold").append(
                plain(part.name), "not bold dim"
            )
        text.append("  " if hit is not None and hit.parts else "")
        text.append(plain(explanation.text), "not bold")
        self.query_one(".document", TextView).update(text)
        rows = [
            (
                match.query_token,
                Cell(bar(match.score, _BAR_WIDTH), "head"),
                f"{match.score:.2f}".replace("-", "−"),
                match.document_token,
            )
            for match in explanation.matches
        ]
        columns = [
            Column("Query"),
            Column("matches", _BAR_WIDTH),
            Column("", 5, right=True),
            Column("Document"),
        ]
        self.query_one(MatchTable).show(columns, rows)
