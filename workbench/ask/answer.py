"""One run's answer to a query: its hits, and which tokens brought up the one under the cursor."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from workbench.widgets.table import Cell, Column, Table, rank_change
from workbench.widgets.text import bar, plain

_BAR = 8
_LEAST = 16  # cells that a document's text is given however narrow the screen


class Hits(Table):
    """The documents that a run found."""

    HELP = (
        "**Hits.** ✓ marks relevant documents, where the query is one of the collection's own; below is why "
        "the one under the cursor was found. With two runs, ↑ and ↓ say how far a document moved from the "
        "first run's list to the second's; v goes to the other list."
    )


class Why(Table):
    """The tokens of the query, and those of the document that they met."""

    HELP = (
        "**Why.** Each token of the query meets the token of the document that is most like it. The bar is "
        "their similarity, and the mean of all is the document's score."
    )


class Answer(Vertical):
    """What one run found.

    `run` is its id; `asked` and `explaining` are the requests under way, the latter for `why_document`.
    """

    def __init__(self, id: str) -> None:
        super().__init__(id=id, classes="answer")
        self.run, self.run_name = "", ""
        self.asked: int | None = None
        self.explaining: int | None = None
        self.why_document: str | None = None
        self.result: dict[str, Any] | None = None
        self.before: dict[str, int] | None = None

    def compose(self) -> ComposeResult:
        """The run, its hits, the hit under the cursor, and its tokens."""
        yield Static(classes="who")
        yield Hits(fixed=3, empty="no run can be asked yet")
        yield Static(classes="document")
        yield Why()

    def of(self, run: str, name: str) -> None:
        """Belong to a run, and have no answer yet."""
        self.run, self.run_name = run, name
        self.clear()

    def clear(self) -> None:
        """Forget the answer."""
        self.result = self.before = None
        empty = "type a query above and press Enter"
        self.query_one(Hits).empty = empty if self.run else "no run can be asked yet"
        self._fill()
        self.clear_why()
        self._title()

    def wait(self) -> None:
        """Say that an answer is on its way; the old one stays until it comes."""
        self.query_one(Hits).empty = "asking …"
        self.query_one(Hits).refresh()

    def clear_why(self) -> None:
        """Forget the explanation."""
        self.query_one(Why).show([], [])
        self.query_one(".document", Static).update("")

    def show(self, result: dict[str, Any]) -> None:
        """Show what was found."""
        self.result = result
        hits = self.query_one(Hits)
        hits.cursor = 0
        hits.empty = "no document has a token in common with the query"
        self._fill()
        hits.scroll_home(animate=False)
        self._title()

    def compare(self, before: dict[str, int] | None) -> None:
        """Show how far documents moved from the ranks `before`; None shows no moves."""
        self.before = before
        self._fill()

    @property
    def document(self) -> str | None:
        """The document under the cursor."""
        key = self.query_one(Hits).key
        return None if key is None else str(key)

    def ranks(self) -> dict[str, int]:
        """Return the ranks of the documents that were found."""
        return {hit["document"]: hit["rank"] for hit in (self.result or {}).get("hits", ())}

    def go_to(self, document: str | None) -> None:
        """Put the cursor on a document, if it is among the hits."""
        rank = self.ranks().get(document or "")
        if rank is not None:
            self.query_one(Hits).go_to(rank - 1)

    def on_resize(self, event: events.Resize) -> None:
        """Give the texts the room there is."""
        self._fill()

    def _title(self) -> None:
        text = Text(plain(self.run_name), style="bold", no_wrap=True, overflow="ellipsis")
        if self.result is not None:
            found, relevant = self.result["hits"], self.result["relevant"]
            if relevant is not None:
                good = sum(bool(hit["grade"]) for hit in found)
                text.append(f"  ✓ {good} of {relevant}", "not bold")
            text.append(f"  {self.result['seconds'] * 1000:.0f} ms", "not bold dim")
        self.query_one(".who", Static).update(text)

    def _fill(self) -> None:
        found = (self.result or {}).get("hits", [])
        languages = {hit["language"] for hit in found}
        columns = [Column("", 3, right=True), Column("", 1), Column("Score", 6, right=True)]
        columns += [Column("Move", 4, right=True)] * (self.before is not None)
        columns += [Column("", 3)] * (len(languages) > 1)
        used = sum((column.width or 0) + 1 for column in columns)
        hits = self.query_one(Hits)
        columns.append(Column("Document", max(_LEAST, hits.scrollable_content_region.width - used - 1)))
        rows = []
        for hit in found:
            relevant = bool(hit["grade"])
            row: list[Any] = [hit["rank"], Cell("✓" if relevant else " ", "good"), f"{hit['score']:.4f}"]
            if self.before is not None:
                row.append(rank_change(hit["rank"], self.before.get(hit["document"])))
            if len(languages) > 1:
                row.append(Cell(hit["language"], "dim"))
            rows.append([*row, Cell(hit["text"], "good" if relevant else "")])
        hits.show(columns, rows, [hit["document"] for hit in found])

    def explain(self, result: dict[str, Any]) -> None:
        """Show which tokens of a document the query met, be the document among the hits or not."""
        rank = self.ranks().get(result["document"])
        head = f"rank {rank}" if rank else f"not among the {len(self.ranks())}"
        text = Text(f"{head}, {result['score']:.4f}  ", "bold").append(plain(result["text"]), "not bold")
        self.query_one(".document", Static).update(text)
        rows = [
            (
                match["query_token"],
                Cell(bar(match["score"], _BAR), "head"),
                f"{match['score']:.2f}".replace("-", "−"),
                match["document_token"],
            )
            for match in result["matches"]
        ]
        columns = [
            Column("Query"),
            Column("meets", _BAR),
            Column("", 5, right=True),
            Column("Document"),
        ]
        self.query_one(Why).show(columns, rows)
