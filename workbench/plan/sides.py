"""The two sides of the Plan screen: one plan, or two plans that are compared."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message

from workbench.plan.heatmap import Heatmap
from workbench.plan.model import SolvedPlan
from workbench.plan.side import Side


class Sides(Horizontal):
    """The left side, and the right side once a second plan is shown.

    Attributes
    ----------
    active : str
        ``left`` or ``right``: the side that had the focus last.
    differing : bool
        Whether the right side shows the difference of the two plans instead of its own plan.
    """

    class Activated(Message):
        """A side received the focus."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.active = "left"
        self.differing = False

    def compose(self) -> ComposeResult:
        """Yield both sides."""
        yield Side("left")
        yield Side("right")

    def on_mount(self) -> None:
        """Begin with the left side."""
        self._show_active()

    @property
    def left(self) -> Side:
        """The side of the plan that is inspected."""
        return self.query_one("#left", Side)

    @property
    def right(self) -> Side:
        """The side of the plan that is compared with it."""
        return self.query_one("#right", Side)

    @property
    def current(self) -> Side:
        """The active side."""
        return self.right if self.active == "right" else self.left

    @property
    def other(self) -> Side:
        """The side that is not active."""
        return self.left if self.active == "right" else self.right

    @property
    def both(self) -> bool:
        """Whether both sides have a plan to compare."""
        return self.has_class("both")

    @property
    def in_turn(self) -> bool:
        """Whether there is room for one side at a time only."""
        return self.has_class("in-turn")

    def show_in_turn(self, in_turn: bool) -> None:
        """Show one side at a time, or both next to each other."""
        self.set_class(in_turn, "in-turn")

    def fit(self) -> None:
        """Fit both sides into their sizes."""
        for side in (self.left, self.right):
            side.fit()

    def show_plan(self, side: Side, plan: SolvedPlan) -> None:
        """Show `plan` on `side`. A first plan on the right side opens that side."""
        side.show(plan)
        if side is self.right and not self.both:
            self.add_class("both")
            if self.in_turn:
                self.focus_other()
        self.compare()

    def close_right(self) -> None:
        """Show the left side only."""
        self.remove_class("both")
        self.compare()
        self.left.heatmap.focus()

    def compare(self) -> None:
        """Show how the right plan differs from the left one, in words and, if `differing`, as a heatmap."""
        if self.right.plan is not None:
            self.right.compare(self.left.plan if self.both else None, differing=self.differing)
            self.right.heatmap.follow(self.left.heatmap)

    def focus_other(self) -> None:
        """Focus the side that is not active."""
        side = self.other
        self._show_active(side)
        # A widget can receive the focus only when it is displayed.
        self.call_after_refresh(side.heatmap.focus)

    def on_descendant_focus(self) -> None:
        """Remember which side received the focus."""
        focused = self.screen.focused
        if isinstance(focused, Heatmap) and isinstance(focused.parent, Side):
            self.active = focused.parent.id or "left"
            self._show_active()
            self.post_message(self.Activated())

    @on(Heatmap.Inspected)
    def _follow(self, message: Heatmap.Inspected) -> None:
        """Keep the other side on the same cell, shown in the same way."""
        if self.both and message.heatmap.has_focus:
            for heatmap in self.query(Heatmap):
                if heatmap is not message.heatmap:
                    heatmap.follow(message.heatmap)

    def _show_active(self, side: Side | None = None) -> None:
        """Show `side`, or the active one, where there is room for one side only."""
        shown = (side or self.current).id
        for name in ("left", "right"):
            self.set_class(name == shown, f"at-{name}")
