"""The Plan screen: transport plans of stored or typed sentence pairs, one plan or two that are compared."""

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
from engine.paths import expanded
from engine.pictures.shading import Shading
from workbench.actions import bindings
from workbench.context import Context
from workbench.data.runs import Snapshot, languages_of
from workbench.plan.controller import PlanController
from workbench.plan.model import Pair, PlanKey, SolvedPlan, list_plans, pair_of, read_plan
from workbench.plan.pair_bar import PairBar, RunField
from workbench.plan.side import Side
from workbench.plan.sides import Sides
from workbench.plan.solver_panel import SolverPanel, SolverTable
from workbench.shell.screen import ModeScreen
from workbench.themes import RAMPS
from workbench.widgets.dialogs import ChoiceDialog, TextDialog, unusual_name

BOTH_SIDES_WIDTH = 110
"""Width of the screen from which two plans are shown next to each other."""

NO_OTHER_PLAN = "there is no other plan; w shows one next to this one"


class PlanScreen(ModeScreen):
    """Stored plans, plans of typed pairs, and the comparison of two plans."""

    CSS_PATH = "plan.tcss"
    HELP = (
        "**Plan.** Rows are the tokens of the sentence in the query language, columns those of the English "
        "sentence. The brighter a cell, the more mass it has. • marks the largest mass of each row, ◆ the "
        "cursor. Runs that distil store some plans when they end. `t` types a pair, `s` changes the solver "
        "and solves again, `w` shows the same pair by another run next to this plan, and `d` shows where the "
        "two plans differ."
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings("plan")
    scope = "plan"

    class Listed(Message):
        """The stored plans were listed."""

        def __init__(self, found: list[dict[str, Any]], problem: str = "") -> None:
            super().__init__()
            self.found, self.problem = found, problem

    class PlanRead(Message):
        """A stored plan was read for one side."""

        def __init__(self, side: Side, plan: SolvedPlan) -> None:
            super().__init__()
            self.side, self.plan = side, plan

    class Reported(Message):
        """A worker has a sentence for the status line."""

        def __init__(self, sentence: str, level: str = "") -> None:
            super().__init__()
            self.sentence, self.level = sentence, level

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.controller = PlanController(self, context, on_solved=self._show_plan, report=self.show_status)
        self.found: list[dict[str, Any]] = []
        self.place = 0
        self._shown: tuple[list[str], int] | None = None

    def compose_body(self) -> ComposeResult:
        """Yield the bar for typed pairs, the sides and the solver panel."""
        bar, panel = PairBar(id="pair-bar"), SolverPanel(id="solver")
        bar.display = panel.display = False
        yield bar
        with Horizontal(id="plan-body"):
            yield Sides(id="sides")
            yield panel

    def on_mount(self) -> None:
        """Focus the heatmap."""
        super().on_mount()
        self.screen_layout_refresh_signal.subscribe(self, self._fit)
        self.sides.left.heatmap.focus()

    @property
    def sides(self) -> Sides:
        """The two sides."""
        return self.query_one(Sides)

    def _fit(self, _: Screen[Any]) -> None:
        self.sides.fit()

    def on_resize(self, event: events.Resize) -> None:
        """Show two plans next to each other if there is room."""
        self.sides.show_in_turn(event.size.width < BOTH_SIDES_WIDTH)

    # -- stored plans -----------------------------------------------------------------------------

    def runs_changed(self, snapshot: Snapshot) -> None:
        """List the plans again if other runs were chosen or the database changed."""
        wanted = (self.context.chosen_runs, snapshot.revision)
        if wanted != self._shown:
            self._shown = wanted
            self._list(wanted[0])

    @work(thread=True, exclusive=True, group="plans", exit_on_error=False)
    def _list(self, runs: list[str]) -> None:
        # Importing this module takes long, and it is needed as soon as a setting is changed.
        import workbench.plan.solver_form  # noqa: F401

        try:
            # If the chosen runs have no plan, show those of all runs instead of an empty screen.
            found = list_plans(self.context.results, runs) or list_plans(self.context.results, [])
            self.post_message(self.Listed(found))
        except OpticalError as error:
            self.post_message(self.Listed([], str(error)))

    @on(Listed)
    def _show_list(self, message: Listed) -> None:
        current = _key(self.found[self.place]) if self.found else None
        self.found = message.found
        keys = [_key(record) for record in self.found]
        if not self.found:
            if self.sides.left.plan is None:
                self.show_status(
                    message.problem
                    or "no plan is stored yet; runs that distil store some when they end, and t types a pair",
                    "warn",
                )
        elif current in keys:
            self.place = keys.index(current)
        else:
            self._go_to(0)

    def _go_to(self, place: int) -> None:
        """Show stored plan number `place`, and the same pair on the right side if that is open."""
        self.place = place
        record = self.found[place]
        self.show_status(f"plan {place + 1} of {len(self.found)}; o lists them, < and > go through them")
        left, right = self.sides.left, self.sides.right
        if left.plan is not None and left.plan.run != record["run"]:
            left.settings = None
        self._open(left, record["run"], pair_of(record), _key(record))
        if self.sides.both and right.plan is not None:
            self._open(right, right.plan.run, pair_of(record))

    def _open(self, side: Side, run: str, pair: Pair, key: PlanKey | None = None) -> None:
        """Show `pair` by `run`: the stored plan, or a solved one if none is stored or settings changed."""
        stored = [_key(record) for record in self.found if (record["run"], record["pair"]) == (run, pair.id)]
        if side.settings is None and (key is not None or stored):
            self.controller.cancel(side)
            self._read(key or stored[0], side)
        else:
            self.controller.solve(side, run, pair)

    @work(thread=True, group="read", exit_on_error=False)
    def _read(self, key: PlanKey, side: Side) -> None:
        try:
            self.post_message(self.PlanRead(side, read_plan(self.context.results, key)))
        except OpticalError as error:
            self.post_message(self.Reported(str(error), "warn"))

    @on(PlanRead)
    def _show_stored(self, message: PlanRead) -> None:
        recorded = self.controller.recorded_settings(message.plan.run)
        self._show_plan(message.side, message.plan.with_setting(recorded))

    @on(Reported)
    def _report(self, message: Reported) -> None:
        self.show_status(message.sentence, message.level)

    def _show_plan(self, side: Side, plan: SolvedPlan) -> None:
        opening = side is self.sides.right and not self.sides.both
        self.sides.show_plan(side, plan)
        if opening and self.sides.in_turn:
            self.show_status("there is room for one plan at a time; v goes to the other")
        self._show_settings()

    def action_choose_plan(self) -> None:
        """Choose a stored plan."""
        if self.found:
            rows = [_row(record) for record in self.found]
            self._choose("Stored plans", rows, range(len(rows)), self._go_to, chosen=self.place)
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
        def take(key: Any) -> None:
            if key is not None:
                then(key)

        titles = ("Run", "", "Solver, ε in costs", "Entropy", "Sentence", "English")
        self.app.push_screen(ChoiceDialog(title, titles, rows, keys, chosen=[chosen]), take)

    def action_next_plan(self) -> None:
        """Show the next stored plan."""
        self._step(1)

    def action_previous_plan(self) -> None:
        """Show the previous stored plan."""
        self._step(-1)

    def _step(self, step: int) -> None:
        if self.found:
            self._go_to((self.place + step) % len(self.found))

    # -- two plans --------------------------------------------------------------------------------

    def action_compare(self) -> None:
        """Show the same pair by another run or solver on the right side, or close the right side."""
        right, plan = self.sides.right, self.sides.left.plan
        if self.sides.both:
            self.controller.cancel(right)
            self.sides.close_right()
            return
        if plan is None:
            return
        stored = [
            record
            for record in self.found
            if record["pair"] == plan.pair.id and (record["run"], record["solver"]) != (plan.run, plan.solver)
        ]
        runs_with_plan = {record["run"] for record in stored}
        runs = [run for run in self.context.runs if run["id"] not in runs_with_plan]
        rows = [_row(record) for record in stored]
        rows += [
            (run["name"], "", "solve now", "", run["kind"], f"{age_text(run['created'])} ago") for run in runs
        ]
        keys = [_key(record) for record in stored] + [run["id"] for run in runs]

        def show(key: PlanKey | str) -> None:
            right.settings = None
            if isinstance(key, PlanKey):
                self._open(right, key.run, plan.pair, key)
            else:
                self.show_status("encoding …")
                self.controller.solve(right, key, plan.pair)

        self._choose("Compare with", rows, keys, show)

    def action_difference(self) -> None:
        """Show the difference of the two plans on the right side, or the right plan itself."""
        left, right = self.sides.left.plan, self.sides.right.plan
        if not self.sides.both or left is None or right is None:
            self.show_status(NO_OTHER_PLAN, "warn")
        elif not right.has_same_tokens(left):
            self.show_status(
                "the two runs split the sentences into different tokens, so cells cannot be compared", "warn"
            )
        else:
            self.sides.differing = not self.sides.differing
            self.sides.compare()
            self.show_status(
                "right: the plan minus the left one" if self.sides.differing else "right: the plan itself"
            )

    def action_other_side(self) -> None:
        """Focus the other plan."""
        if self.sides.both:
            self.sides.focus_other()

    # -- solver settings --------------------------------------------------------------------------

    def action_solver(self) -> None:
        """Show the settings of the solver, or hide them."""
        panel = self.query_one(SolverPanel)
        panel.display = not panel.display
        self.query_one("#plan-body").set_class(panel.display, "settings")
        if panel.display:
            self._show_settings()
            self.query_one(SolverTable).focus()
        else:
            self.sides.current.heatmap.focus()

    @on(Sides.Activated)
    def _show_settings(self) -> None:
        """Show the settings of the active side in the panel, if that is open."""
        panel, side = self.query_one(SolverPanel), self.sides.current
        if not panel.display or side.plan is None:
            return
        from workbench.plan.solver_form import SolverForm

        recorded = self.controller.recorded_settings(side.plan.run)
        panel.show_form(side.plan.name, SolverForm(recorded, side.settings))

    @on(SolverTable.Changed)
    def _solve_with_settings(self, message: SolverTable.Changed) -> None:
        side = self.sides.current
        if side.plan is not None and not message.problem:
            side.settings = message.settings
            self.controller.solve(side, side.plan.run, side.plan.pair)

    @on(SolverPanel.Closed)
    def _panel_closed(self) -> None:
        self.action_solver()

    def action_same_solver(self) -> None:
        """Solve the other plan with the settings of this one."""
        side, other = self.sides.current, self.sides.other
        if side.plan is None or other.plan is None or not self.sides.both:
            self.show_status(NO_OTHER_PLAN, "warn")
            return
        recorded = self.controller.recorded_settings(side.plan.run)
        other.settings = dict(side.settings if side.settings is not None else recorded)
        self.controller.solve(other, other.plan.run, other.plan.pair)

    # -- typed pairs ------------------------------------------------------------------------------

    def action_type_pair(self) -> None:
        """Open the bar for typed pairs with the pair that is shown."""
        runs = self.context.runs
        if not runs:
            self.show_status(
                "there is no run yet whose encoders could encode a pair; optical-workbench demo makes some",
                "warn",
            )
            return
        bar, plan = self.query_one(PairBar), self.sides.current.plan
        if plan is not None:
            run = plan.run
        else:
            run = next((record for record in runs if record["state"] == "finished"), runs[0])["id"]
        record = self.controller.find_run(run)
        languages = languages_of(record) if record else []
        bar.show(run, self.controller.run_name(run), plan.pair if plan else None, languages)
        bar.display = True
        bar.focus_source()

    @on(RunField.Pressed)
    def _choose_run(self) -> None:
        bar, runs = self.query_one(PairBar), self.context.runs
        rows = [(run["name"], run["kind"], run["state"], age_text(run["created"])) for run in runs]

        def take(run: str | None) -> None:
            if run is not None:
                bar.set_run(run, self.controller.run_name(run))

        columns, keys = ("Run", "Kind", "State", "Age"), [run["id"] for run in runs]
        self.app.push_screen(ChoiceDialog("Encode with", columns, rows, keys, chosen=[bar.run]), take)

    @on(PairBar.Typed)
    def _solve_typed(self, message: PairBar.Typed) -> None:
        run = self.query_one(PairBar).run
        side, other = self.sides.current, self.sides.other
        if side.plan is not None and side.plan.run != run:
            side.settings = None
        self.show_status("encoding …")
        self.controller.solve(side, run, message.pair)
        if self.sides.both and other.plan is not None:
            self.controller.solve(other, other.plan.run, message.pair)

    @on(PairBar.Refused)
    def _pair_refused(self, message: PairBar.Refused) -> None:
        self.show_status(message.sentence, "warn")

    @on(PairBar.Closed)
    def _bar_closed(self) -> None:
        self.query_one(PairBar).display = False
        self.sides.current.heatmap.focus()

    # -- export -----------------------------------------------------------------------------------

    def action_copy_cell(self) -> None:
        """Copy the text that is selected with the mouse, or what is said about the cell under the cursor."""
        if text := self.get_selected_text() or self.sides.current.cell_text:
            self.app.copy_to_clipboard(text)

    def action_export(self) -> None:
        """Ask for a file name, and write the plan there."""
        plan, heatmap = self.sides.current.plan, self.sides.current.heatmap
        if plan is None:
            return

        def export(name: str | None) -> None:
            if name:
                self.show_status(f"writing {name} …")
                path = expanded(name)
                self._export(plan, path, heatmap.shading, RAMPS[heatmap.colours], heatmap.marked)

        hint = "NPZ holds the numbers and the tokens; PNG and SVG are pictures of what is shown, with labels."
        dialog = TextDialog("Export to", f"plan-{plan.pair.language}.npz", hint=hint, check=_check_name)
        self.app.push_screen(dialog, export)

    @work(thread=True, group="export", exit_on_error=False)
    def _export(self, plan: SolvedPlan, path: Path, shading: Shading, colours: str, marks: bool) -> None:
        from engine.pictures.plans import export_plan

        try:
            warning = export_plan(plan.to_record(), path, shading, colours=colours, marks=marks)
        except OpticalError as error:
            self.post_message(self.Reported(str(error), "warn"))
            return
        sentence = f"written: {path.resolve()}" + (f"; {warning}" if warning else "")
        self.post_message(self.Reported(sentence, "warn" * bool(warning)))


def _key(record: dict[str, Any]) -> PlanKey:
    return PlanKey(*(record[name] for name in PlanKey._fields))


def _row(record: dict[str, Any]) -> tuple[str, ...]:
    solver = f"{record['solver']} {record['epsilon']:.3g}"
    texts = (record[name][:60] for name in ("source_text", "target_text"))
    return (record["name"], record["source_language"], solver, f"{record['entropy']:.2f}", *texts)


def _check_name(name: str) -> str | None:
    """Return why a file of this name cannot be written, or None."""
    if problem := unusual_name(name):
        return problem
    if Path(name).suffix.lower() not in (".npz", ".png", ".svg"):
        return "end the name with .npz, .png or .svg"
    taken = expanded(name).exists()
    return f"{name} exists and would be replaced; choose another name" if taken else None
