"""One plan: the two sentences, the heatmap, the cell under the cursor, and how it was solved."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.geometry import Size
from textual.widgets import Static

from workbench.plan.heatmap import Heatmap
from workbench.plan.model import SolvedPlan
from workbench.widgets.text import plain

SLIM = 76
"""Columns below which a cell's figures take two lines."""


class Side(Vertical):
    """One of the two plans on the screen.

    `settings` are those of the solver where they are not the run's; `asked` is the request under way.
    """

    def __init__(self, id: str) -> None:
        super().__init__(id=id, classes="plan-side")
        self.plan: SolvedPlan | None = None
        self.other: SolvedPlan | None = None
        self.settings: dict[str, Any] | None = None
        self.asked: int | None = None
        self._facts = ""
        self._fitted = Size(0, 0)

    def compose(self) -> ComposeResult:
        """Sentences, heatmap, cell, facts."""
        yield Static(classes="pair")
        yield Heatmap()
        yield Static(classes="cell")
        yield Static(classes="facts")

    def on_mount(self) -> None:
        """Write about the cell under the cursor."""
        self.heatmap.listener = self._inspect

    def fit(self) -> None:
        """Leave room for lines that do not fit, if the size changed.

        Called after every layout: when a size is asked for between a change and its layout, Textual 8 sends
        no event of the new one.
        """
        if self.size != self._fitted:
            self._fitted = self.size
            self.set_class(0 < self.size.width < SLIM, "slim")
            self.heatmap.fit()

    @property
    def heatmap(self) -> Heatmap:
        """The heatmap."""
        return self.query_one(Heatmap)

    def show(self, plan: SolvedPlan) -> None:
        """Show `plan`."""
        self.plan = plan
        text = Text(f"{plain(plan.name)}  ", style="bold")
        text.append(f"{plan.pair.language} ", "dim").append(plain(plan.pair.source), "not bold")
        text.append("\n→ ", "dim")
        text.append(plain(plan.pair.target), "not bold")
        self.query_one(".pair", Static).update(text)
        self.heatmap.show(plan.mass, plan.cost, plan.source_tokens, plan.target_tokens)

    def compare(self, other: SolvedPlan | None, *, differing: bool) -> None:
        """Tell the difference from `other` in words; show it in the heatmap too if `differing`."""
        same = self.plan is not None and other is not None and self.plan.comparable(other)
        self.other = other if same else None
        shown = (self.other.mass, self.other.cost) if self.other is not None and differing else None
        self.heatmap.differ(shown)

    def _inspect(self) -> None:
        plan, heatmap = self.plan, self.heatmap
        if plan is None or heatmap.mass is not plan.mass:
            return
        row, column = heatmap.row, heatmap.column
        source, target = plain(plan.source_tokens[row]), plain(plan.target_tokens[column])
        cell = Text(f"{row + 1} ").append(source, "bold").append(f" → {column + 1} ").append(target, "bold")
        facts = plan.facts()
        if self.other is not None:
            change = float(plan.mass[row, column] - self.other.mass[row, column])
            sign = f"{change:+.2g}".replace("-", "−")
            cell.append(f"  {sign} against the left", "not bold")
            facts += f"\n{plan.difference(self.other)}"
        cell.append(f"\n{plan.cell(row, column)}", "not bold")
        # Both have a fixed height, so that a moving cursor never lays out the screen.
        self.query_one(".cell", Static).update(cell, layout=False)
        facts += f"\nshown: {heatmap.scale()}"
        if facts != self._facts:
            self._facts = facts
            self.query_one(".facts", Static).update(Text(facts), layout=False)
