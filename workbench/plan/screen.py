"""Plan: the transport plan of a stored or typed sentence pair, alone or beside another run's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.screen import Screen

from engine.durations import age_text
from engine.errors import OpticalError
from engine.pictures.shading import Shading
from workbench.actions import bindings
from workbench.context import Context
from workbench.data.runs import Snapshot
from workbench.plan import model as plans
from workbench.plan.controller import Solving
from workbench.plan.heatmap import Heatmap
from workbench.plan.model import Pair, PlanKey, SolvedPlan
from workbench.plan.pair_bar import PairBar
from workbench.plan.side import Side
from workbench.plan.solver_panel import SolverPanel
from workbench.themes import RAMPS
from workbench.widgets.dialogs import ChoiceDialog, TextDialog

BESIDE = 110
"""Columns from which two plans stand side by side; with fewer, one is shown at a time."""


class PlanScreen(Solving):
    """Stored plans, typed pairs, and two of them compared."""

    HELP = (
        "**Plan.** Rows are the tokens of the sentence that queries come in, columns those of the English "
        "one; the brighter a cell, the more mass goes there. • marks each row's largest mass, ◆ the "
        "cursor. Plans are stored by runs that end; `t` types a pair, `s` changes the solver and solves "
        "again, `w` puts the same pair of another run beside it and `d` shows where the two differ."
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings("plan")
    scope = "plan"

    class Listed(Message):
        """The stored plans were listed."""

        def __init__(self, found: list[dict[str, Any]], problem: str = "") -> None:
            super().__init__()
            self.found, self.problem = found, problem

    class Said(Message):
        """Something has to be said."""

        def __init__(self, sentence: str, look: str = "") -> None:
            super().__init__()
            self.sentence, self.look = sentence, look

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.found: list[dict[str, Any]] = []
        self.place = 0
        self.differing = False
        self.wanted: tuple[list[str], int] | None = None

    def compose_body(self) -> ComposeResult:
        """One side; the other, the bar to type in and the settings come when they are asked for."""
        bar, right, panel = PairBar(id="pair-bar"), Side("right"), SolverPanel(id="solver")
        bar.display = panel.display = False
        yield bar
        with Horizontal(id="plan-body"):
            yield Side("left")
            yield right
            yield panel

    def on_mount(self) -> None:
        """Begin in the heatmap."""
        super().on_mount()
        self.screen_layout_refresh_signal.subscribe(self, self._fit)
        self.at("left")
        self.side("left").heatmap.focus()

    def _fit(self, _: Screen[Any]) -> None:
        for side in self.query(Side):
            side.fit()

    def on_resize(self, event: events.Resize) -> None:
        """Show one of two plans at a time where both do not fit."""
        self.query_one("#plan-body").set_class(event.size.width < BESIDE, "in-turn")

    def runs_changed(self, snapshot: Snapshot) -> None:
        """List the plans anew when the choice of runs or the database changed."""
        wanted = (self.context.chosen_runs, snapshot.revision)
        if wanted != self.wanted:
            self.wanted = wanted
            self._list(wanted[0])

    @work(thread=True, exclusive=True, group="plans", exit_on_error=False)
    def _list(self, runs: list[str]) -> None:
        import workbench.plan.solver_form  # noqa: F401  (slow to import, and wanted as soon as a setting is changed)

        try:
            # Without a plan in the chosen runs, those of all others are better than an empty screen.
            found = plans.list_plans(self.context.results, runs) or plans.list_plans(self.context.results, [])
            self.post_message(self.Listed(found))
        except OpticalError as error:
            self.post_message(self.Listed([], str(error)))

    @on(Listed)
    def _listed(self, message: Listed) -> None:
        current = _key(self.found[self.place]) if self.found else None
        self.found = message.found
        keys = [_key(record) for record in self.found]
        if not self.found:
            if self.side("left").plan is None:
                self.show_status(
                    message.problem
                    or "no plan is stored yet; runs that distil store some when they end, and t types a pair",
                    "warn",
                )
        elif current in keys:
            self.place = keys.index(current)
        else:
            self._go(0)

    # -- which plan -------------------------------------------------------------------------------

    def _go(self, place: int) -> None:
        """Show stored plan number `place`, and the same pair on the other side."""
        self.place = place
        record = self.found[place]
        self.show_status(f"plan {place + 1} of {len(self.found)}; o lists them, < and > go through them")
        left, right = self.side("left"), self.side("right")
        if left.plan is not None and left.plan.run != record["run"]:
            left.settings = None
        self._open("left", record["run"], plans.pair_of(record), _key(record))
        if self.beside and right.plan is not None:
            self._open("right", right.plan.run, plans.pair_of(record))

    def _open(self, name: str, run: str, pair: Pair, key: PlanKey | None = None) -> None:
        """Show `pair` by `run` on a side: as it is stored, unless it is not or its settings changed."""
        stored = [_key(r) for r in self.found if (r["run"], r["pair"]) == (run, pair.id)]
        if self.side(name).settings is None and (key is not None or stored):
            self.context.warm.cancel(self.side(name).asked)
            self._read(key or stored[0], name)
        else:
            self.solve(name, run, pair)

    @work(thread=True, group="read", exit_on_error=False)
    def _read(self, key: PlanKey, side: str) -> None:
        try:
            self.post_message(self.Solved(side, plans.read_plan(self.context.results, key)))
        except OpticalError as error:
            self.post_message(self.Said(str(error), "warn"))

    @on(Solving.Solved)
    def _show(self, message: Solving.Solved) -> None:
        self.side(message.side).show(message.plan)
        if message.side == "right" and not self.beside:
            self.query_one("#plan-body").add_class("beside")
            if self.query_one("#plan-body").has_class("in-turn"):
                self.action_other_side()
                self.show_status("there is room for one plan at a time; v goes to the other")
        self._compare()
        self.show_settings()

    @on(Said)
    def _say(self, message: Said) -> None:
        self.show_status(message.sentence, message.look)

    def action_choose_plan(self) -> None:
        """Choose a plan from the list."""
        if self.found:
            rows = [_row(record) for record in self.found]
            self._choose("Stored plans", rows, range(len(rows)), self._go, chosen=self.place)
        else:
            self.show_status("no run has stored a plan; t types a pair", "warn")

    def _choose(
        self,
        title: str,
        rows: list[Any],
        keys: Sequence[Any],
        then: Callable[[Any], None],
        *,
        chosen: Any = None,
    ) -> None:
        def answered(key: Any) -> None:
            if key is not None:
                then(key)

        titles = ("Run", "", "Solver, ε", "Entropy", "Sentence", "English")
        self.app.push_screen(ChoiceDialog(title, titles, rows, keys, chosen=[chosen]), answered)

    def action_next_plan(self) -> None:
        """Show the next plan."""
        self._step(1)

    def action_previous_plan(self) -> None:
        """Show the plan before."""
        self._step(-1)

    def _step(self, way: int) -> None:
        if self.found:
            self._go((self.place + way) % len(self.found))

    # -- two plans --------------------------------------------------------------------------------

    def action_beside(self) -> None:
        """Put the same pair of another run, or of another solver, beside this one; again: take it away."""
        right, plan = self.side("right"), self.side("left").plan
        if self.beside:
            self.query_one("#plan-body").remove_class("beside")
            self.context.warm.cancel(right.asked)
            self._compare()
            self.side("left").heatmap.focus()
            return
        if plan is None:
            return
        stored = [
            record
            for record in self.found
            if record["pair"] == plan.pair.id and (record["run"], record["solver"]) != (plan.run, plan.solver)
        ]
        kept = {record["run"] for record in stored}
        runs = [run for run in self.context.runs if run["id"] not in kept]
        rows = [_row(record) for record in stored]
        rows += [
            (run["name"], "", "solve now", "", run["kind"], f"{age_text(run['created'])} old") for run in runs
        ]
        keys = [_key(record) for record in stored] + [run["id"] for run in runs]

        def then(key: PlanKey | str) -> None:
            right.settings = None
            if isinstance(key, PlanKey):
                self._open("right", key.run, plan.pair, key)
            else:
                self.show_status("encoding …")
                self.solve("right", key, plan.pair)

        self._choose("Beside it", rows, keys, then)

    def _compare(self) -> None:
        """Tell, and show if that is wanted, how the right plan differs from the left."""
        left, right = self.side("left"), self.side("right")
        if right.plan is None:
            return
        right.compare(left.plan if self.beside else None, differing=self.differing)
        right.heatmap.like(left.heatmap)

    @on(Heatmap.Inspected)
    def _together(self, message: Heatmap.Inspected) -> None:
        """Keep both sides on the same cell and shown in the same way."""
        if self.beside and message.heatmap.has_focus:
            for heatmap in self.query(Heatmap):
                if heatmap is not message.heatmap:
                    heatmap.like(message.heatmap)

    def action_difference(self) -> None:
        """Show on the right where the two plans differ, or the plan itself."""
        left, right = self.side("left").plan, self.side("right").plan
        if not self.beside or left is None or right is None:
            self.show_status("put another run's plan beside this one first: w", "warn")
        elif not right.comparable(left):
            self.show_status(
                "the two runs cut the sentences into different tokens, so cells cannot be compared", "warn"
            )
        else:
            self.differing = not self.differing
            self._compare()
            self.show_status(
                "right: the plan minus the left one" if self.differing else "right: the plan itself"
            )

    def action_other_side(self) -> None:
        """Go to the other plan."""
        name = "right" if self.active == "left" else "left"
        if self.beside:
            self.at(name)  # it can take the focus only once it is on the screen
            self.call_after_refresh(self.side(name).heatmap.focus)

    # -- export -----------------------------------------------------------------------------------

    def action_export(self) -> None:
        """Ask for a file name, and write the plan there."""
        plan, heatmap = self.here.plan, self.here.heatmap
        if plan is None:
            return

        def answered(name: str | None) -> None:
            if name:
                self.show_status(f"writing {name} …")
                self._export(
                    plan, Path(name).expanduser(), heatmap.shading, RAMPS[heatmap.colours], heatmap.marked
                )

        hint = "NPZ holds the numbers and tokens; PNG and SVG are pictures of what is shown, with labels."
        dialog = TextDialog("Export to", f"plan-{plan.pair.language}.npz", hint=hint, check=_check_name)
        self.app.push_screen(dialog, answered)

    @work(thread=True, group="export", exit_on_error=False)
    def _export(self, plan: SolvedPlan, path: Path, shading: Shading, colours: str, marks: bool) -> None:
        from engine.pictures.plans import export_plan

        try:
            said = export_plan(plan.record(), path, shading, colours=colours, marks=marks)
        except OpticalError as error:
            self.post_message(self.Said(str(error), "warn"))
            return
        self.post_message(
            self.Said(f"written: {path.resolve()}" + (f"; {said}" if said else ""), "warn" * bool(said))
        )


def _key(record: dict[str, Any]) -> PlanKey:
    return PlanKey(*(record[name] for name in PlanKey._fields))


def _row(record: dict[str, Any]) -> tuple[str, ...]:
    solver = f"{record['solver']} {record['epsilon']:.3g}"
    texts = (record[name][:60] for name in ("source_text", "target_text"))
    return (record["name"], record["source_language"], solver, f"{record['entropy']:.2f}", *texts)


def _check_name(name: str) -> str | None:
    if Path(name).suffix.lower() not in (".npz", ".png", ".svg"):
        return "end the name with .npz, .png or .svg"
    taken = Path(name).expanduser().exists()
    return f"{name} exists and would be replaced; choose another name" if taken else None
