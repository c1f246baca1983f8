"""One side of the Plan screen: a pair, its heatmap, the cell under the cursor, and how it was solved."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.geometry import Size

from workbench.plan.heatmap import Heatmap
from workbench.plan.model import SolvedPlan
from workbench.widgets.text import plain
from workbench.widgets.text_view import TextView

NARROW = 76
"""Width below which the figures of a cell take two lines."""


class Side(Vertical):
    """One of the two plans on the screen.

    Attributes
    ----------
    plan : SolvedPlan or None
        The plan that is shown.
    other : SolvedPlan or None
        The plan that it is compared with.
    settings : dict or None
        Settings of the solver; None for those that the run recorded.
    request : int or None
        Number of the unanswered request for this side.
    cell_text : str
        What is said about the cell under the cursor.
    """

    def __init__(self, id: str) -> None:
        super().__init__(id=id, classes="plan-side")
        self.plan: SolvedPlan | None = None
        self.other: SolvedPlan | None = None
        self.settings: dict[str, Any] | None = None
        self.request: int | None = None
        self.cell_text = ""
        self._summary = ""
        self._fitted = Size(0, 0)

    def compose(self) -> ComposeResult:
        """Yield the sentences, the heatmap, the cell under the cursor and the summary."""
        yield TextView(classes="pair")
        yield Heatmap()
        yield TextView(classes="cell")
        yield TextView(classes="summary")

    def on_mount(self) -> None:
        """Describe the cell under the cursor whenever it changes."""
        self.heatmap.on_inspect = self._inspect

    def fit(self) -> None:
        """Adapt to the size, if it changed since the last call.

        The screen calls this after every layout, because Textual 8 sends no resize event if the size was read
        between a change and its layout.
        """
        if self.size != self._fitted:
            self._fitted = self.size
            self.set_class(0 < self.size.width < NARROW, "narrow")
            self.heatmap.fit()

    @property
    def heatmap(self) -> Heatmap:
        """The heatmap of the plan."""
        return self.query_one(Heatmap)

    def show(self, plan: SolvedPlan) -> None:
        """Show `plan`."""
        self.plan = plan
        text = Text(f"{plain(plan.name)}  ", style="bold")
        text.append(f"{plan.pair.language} ", "dim").append(plain(plan.pair.source), "not bold")
        text.append("\n→ ", "dim")
        text.append(plain(plan.pair.target), "not bold")
        self.query_one(".pair", TextView).update(text)
        self.heatmap.show(plan.mass, plan.cost, plan.source_tokens, plan.target_tokens)

    def compare(self, other: SolvedPlan | None, *, differing: bool) -> None:
        """Describe the difference from `other` in words, and show it in the heatmap if `differing`.

        Nothing is compared if `other` is None or has other tokens.
        """
        same = self.plan is not None and other is not None and self.plan.has_same_tokens(other)
        self.other = other if same else None
        subtracted = (self.other.mass, self.other.cost) if self.other is not None and differing else None
        self.heatmap.subtract(subtracted)

    def _inspect(self) -> None:
        plan, heatmap = self.plan, self.heatmap
        if plan is None or heatmap.mass is not plan.mass:
            return
        row, column = heatmap.row, heatmap.column
        source, target = plain(plan.source_tokens[row]), plain(plan.target_tokens[column])
        cell = Text(f"{row + 1} ").append(source, "bold").append(f" → {column + 1} ").append(target, "bold")
        summary = plan.summary()
        if self.other is not None:
            change = float(plan.mass[row, column] - self.other.mass[row, column])
            sign = f"{change:+.2g}".replace("-", "−")
            cell.append(f"  {sign} vs. left", "not bold")
            summary += f"\n{plan.describe_difference(self.other)}"
        cell.append(f"\n{plan.describe_cell(row, column)}", "not bold")
        self.cell_text = cell.plain
        # Both have a fixed height, so a moving cursor does not cause a layout of the screen.
        self.query_one(".cell", TextView).update(cell, layout=False)
        summary += f"\nshown: {heatmap.describe_scale()}"
        if summary != self._summary:
            self._summary = summary
            self.query_one(".summary", TextView).update(Text(summary), layout=False)
