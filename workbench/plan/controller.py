"""The part of the plan screen that has plans solved by the warm process, and shows the solver's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual import on
from textual.message import Message

from engine.durations import age_text
from engine.errors import OpticalError
from workbench.context import Context
from workbench.plan import model as plans
from workbench.plan.heatmap import Heatmap
from workbench.plan.model import Pair, SolvedPlan
from workbench.plan.pair_bar import PairBar, RunField
from workbench.plan.side import Side
from workbench.plan.solver_panel import SolverPanel, SolverTable
from workbench.shell.screen import ModeScreen
from workbench.widgets.dialogs import ChoiceDialog

if TYPE_CHECKING:
    from workbench.data.runs import Run
    from workbench.data.warm_process import Reply


class Solving(ModeScreen):
    """Sides whose plans can be solved anew, a bar to type pairs in, and a panel of settings."""

    class Heard(Message):
        """The warm process replied to what a side asked."""

        def __init__(self, side: str, name: str, pair: Pair, run: str, reply: Reply) -> None:
            super().__init__()
            self.side, self.name, self.pair, self.run, self.reply = side, name, pair, run, reply

    class Solved(Message):
        """A plan is there for one side."""

        def __init__(self, side: str, plan: SolvedPlan) -> None:
            super().__init__()
            self.side, self.plan = side, plan

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.active = "left"

    def side(self, name: str) -> Side:
        """Return a side by its name."""
        return self.query_one(f"#{name}", Side)

    @property
    def beside(self) -> bool:
        """Whether a second plan was put beside the first."""
        return self.query_one("#plan-body").has_class("beside")

    @property
    def here(self) -> Side:
        """The side that the user is at."""
        return self.side(self.active)

    def run_of(self, run: str) -> Run | None:
        """Return the record of a run."""
        runs = self.context.runs
        return next((record for record in runs if record["id"] == run), None)

    def recorded(self, run: str) -> dict[str, Any]:
        """Return the solver's settings that a run recorded; one that only evaluated has none."""
        config = (self.run_of(run) or {}).get("config") or {}
        return dict(config.get("transport") or {})

    def solve(self, name: str, run: str, pair: Pair) -> None:
        """Have `pair` encoded by `run` and solved with the settings of side `name`."""
        side = self.side(name)
        record = self.run_of(run)
        title = record["name"] if record is not None else run
        self.context.warm.cancel(side.asked)

        def heard(reply: Reply) -> None:
            self.post_message(self.Heard(name, title, pair, run, reply))

        side.asked = self.context.warm.request(
            "plan",
            heard,
            results=str(self.context.results),
            run=run,
            source=pair.source,
            target=pair.target,
            language=pair.language,
            transport=_changes(side.settings, self.recorded(run)),
        )

    @on(Heard)
    def _heard(self, message: Heard) -> None:
        side, reply = self.side(message.side), message.reply
        if reply.id != side.asked:
            return
        if not reply.last:
            counted = f" {reply.done} of {reply.total}" if reply.total else ""
            self.show_status(f"{message.name}: {reply.progress}{counted}")
            return
        side.asked = None
        if reply.error:
            self.show_status(reply.error, "warn")
            return
        try:
            plan = plans.taken(reply.result, message.run, message.name, message.pair, stored=False)
        except OpticalError as error:
            self.show_status(str(error), "warn")
            return
        if side.settings is not None:
            side.settings = dict(reply.result["transport"])  # annealing is dropped where it does not fit
        self.show_status(f"{message.name}: {message.pair.id or 'typed pair'} solved")
        self.post_message(self.Solved(message.side, plan))

    # -- settings ---------------------------------------------------------------------------------

    def action_solver(self) -> None:
        """Show the solver's settings, or hide them."""
        panel = self.query_one(SolverPanel)
        panel.display = not panel.display
        self.query_one("#plan-body").set_class(panel.display, "settings")
        if panel.display:
            self.show_settings()
            self.query_one(SolverTable).focus()
        else:
            self.here.heatmap.focus()

    def show_settings(self) -> None:
        """Show the settings of the side that the user is at."""
        panel, plan = self.query_one(SolverPanel), self.here.plan
        if not panel.display or plan is None:
            return
        from workbench.plan.solver_form import SolverForm

        panel.take(plan.name, SolverForm(self.recorded(plan.run), self.here.settings))

    @on(SolverTable.Changed)
    def _changed(self, message: SolverTable.Changed) -> None:
        plan = self.here.plan
        if plan is None or message.problem:
            return
        self.here.settings = message.settings
        self.solve(self.active, plan.run, plan.pair)

    @on(SolverPanel.Left)
    def _panel_left(self) -> None:
        self.action_solver()

    def action_same_solver(self) -> None:
        """Give the other side the settings of this one."""
        other = self.side("right" if self.active == "left" else "left")
        plan = self.here.plan
        if plan is None or other.plan is None or not self.beside:
            self.show_status("there is no other plan; w puts one beside this", "warn")
            return
        settings = self.here.settings if self.here.settings is not None else self.recorded(plan.run)
        other.settings = dict(settings)
        self.solve(other.id or "", other.plan.run, other.plan.pair)

    # -- typed pairs ------------------------------------------------------------------------------

    def action_type_pair(self) -> None:
        """Open the bar to type a pair, beginning with the one that is shown."""
        bar, plan = self.query_one(PairBar), self.here.plan
        runs = self.context.runs
        if not runs:
            self.show_status(
                "there is no run yet whose encoders could read a pair; optical-workbench demo makes some",
                "warn",
            )
            return
        run = (
            plan.run
            if plan is not None
            else next((r for r in runs if r["state"] == "finished"), runs[0])["id"]
        )
        from workbench.data.runs import languages_of

        record = self.run_of(run)
        name = record["name"] if record is not None else run
        bar.take(run, name, plan.pair if plan else None, languages_of(record) if record else [])
        bar.display = True
        bar.begin()

    @on(RunField.Asked)
    def _ask_run(self) -> None:
        runs = self.context.runs
        rows = [(run["name"], run["kind"], run["state"], age_text(run["created"])) for run in runs]

        def answered(run: str | None) -> None:
            if run is not None:
                record = self.run_of(run)
                self.query_one(PairBar).take_run(run, record["name"] if record else run)

        bar = self.query_one(PairBar)
        dialog = ChoiceDialog(
            "Encode with",
            ("Run", "Kind", "State", "Age"),
            rows,
            [run["id"] for run in runs],
            chosen=[bar.run],
        )
        self.app.push_screen(dialog, answered)

    @on(PairBar.Typed)
    def _typed(self, message: PairBar.Typed) -> None:
        run = self.query_one(PairBar).run
        here = self.here
        if here.plan is not None and here.plan.run != run:
            here.settings = None
        self.show_status("encoding …")
        self.solve(self.active, run, message.pair)
        other = self.side("right" if self.active == "left" else "left")
        if self.beside and other.plan is not None:
            self.solve(other.id or "", other.plan.run, message.pair)

    @on(PairBar.Refused)
    def _refused(self, message: PairBar.Refused) -> None:
        self.show_status(message.sentence, "warn")

    @on(PairBar.Closed)
    def _bar_closed(self) -> None:
        self.query_one(PairBar).display = False
        self.here.heatmap.focus()

    def on_descendant_focus(self) -> None:
        """Remember the side that the user is at."""
        focused = self.focused
        if isinstance(focused, Heatmap) and isinstance(focused.parent, Side):
            self.active = focused.parent.id or "left"
            self.at(self.active)
            self.show_settings()

    def at(self, name: str) -> None:
        """Show side `name`, where only one of two fits."""
        for side in ("left", "right"):
            self.query_one("#plan-body").set_class(side == name, f"at-{side}")


def _changes(settings: dict[str, Any] | None, recorded: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that are not the run's."""
    unknown = object()
    return {name: value for name, value in (settings or {}).items() if recorded.get(name, unknown) != value}
