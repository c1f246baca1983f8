"""Several statements at once: each tab has a text, and the rows of the statement that it ran last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text
from textual import events

from workbench.widgets.table import Column
from workbench.widgets.text import fit, plain
from workbench.widgets.text_view import TextView

_TITLE_WIDTH = 18


@dataclass(eq=False)
class QueryTab:
    """One tab.

    Attributes
    ----------
    text : str
        The text in the editor.
    ran : str
        The statement whose rows are shown; empty before the first.
    columns, rows : sequence
        Its rows.
    cursor : int
        The row under the cursor.
    status : tuple of str
        The sentence on the status line and its level.
    """

    text: str = ""
    ran: str = ""
    columns: Sequence[Column] = ()
    rows: Sequence[Sequence[Any]] = ()
    cursor: int = 0
    status: tuple[str, str] = ("", "")


class TabBar(TextView):
    """The titles of the tabs; a click on one switches to it. It is hidden while there is one tab."""

    DEFAULT_CSS = "TabBar { height: 1; background: $surface; display: none; }"

    def __init__(self) -> None:
        super().__init__(id="sql-tabs")
        self._ends: list[int] = []

    def show(self, tabs: Sequence[QueryTab], here: int) -> None:
        """Show the tabs; `here` is the number of the one that is open."""
        self.display = len(tabs) > 1
        bar = Text(no_wrap=True, overflow="ellipsis")
        self._ends = []
        for place, tab in enumerate(tabs):
            words = plain(" ".join(tab.text.split()) or "empty")
            title = f" {place + 1} {fit(words, _TITLE_WIDTH).rstrip()} "
            bar.append(title, "bold reverse" if place == here else "").append(" ")
            self._ends.append(bar.cell_len)
        self.update(bar)

    async def on_click(self, event: events.Click) -> None:
        """Switch to the tab that was clicked."""
        place = next((place for place, end in enumerate(self._ends) if event.x < end), None)
        if place is not None:
            await self.screen.run_action(f"open_tab({place})")
