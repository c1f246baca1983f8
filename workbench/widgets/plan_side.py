"""One plan: the two sentences, the heatmap, the cell under the cursor, and how it was solved."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from workbench.plans import SolvedPlan
from workbench.text import plain
from workbench.widgets.heatmap import Heatmap


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

    def compose(self) -> ComposeResult:
        """Sentences, heatmap, cell, facts."""
        yield Static(classes="pair")
        yield Heatmap()
        yield Static(classes="cell")
        yield Static(classes="facts")

    @property
    def heatmap(self) -> Heatmap:
        """The heatmap."""
        return self.query_one(Heatmap)

    def show(self, plan: SolvedPlan) -> None:
        """Show `plan`."""
        self.plan = plan
        text = Text(f"{plain(plan.name)}  ", style="bold")
        text.append(f"{plan.pair.language} ", "dim").append(plain(plan.pair.source), "not bold")
        text.append("\nen " if plan.pair.target.isascii() else "\n→ ", "dim")
        text.append(plain(plan.pair.target), "not bold")
        self.query_one(".pair", Static).update(text)
        self.heatmap.show(plan.mass, plan.cost, plan.source_tokens, plan.target_tokens)

    def compare(self, other: SolvedPlan | None, *, differing: bool) -> None:
        """Tell the difference from `other` in words; show it in the heatmap too if `differing`."""
        same = self.plan is not None and other is not None and self.plan.comparable(other)
        self.other = other if same else None
        shown = (self.other.mass, self.other.cost) if self.other is not None and differing else None
        self.heatmap.differ(shown)

    @on(Heatmap.Inspected)
    def _inspect(self, message: Heatmap.Inspected) -> None:
        plan, heatmap = self.plan, message.heatmap
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
        self.query_one(".cell", Static).update(cell)
        self.query_one(".facts", Static).update(Text(f"{facts}\nshown: {heatmap.scale()}"))
