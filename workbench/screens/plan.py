"""Plan: the transport plan of a stored sentence pair, alone or beside another run's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.message import Message
from textual.widgets import Static

from engine.errors import OpticalError
from workbench import plans
from workbench.actions import bindings
from workbench.plans import PlanKey, StoredPlan
from workbench.screens.base import Room
from workbench.screens.dialogs import Choose, Line
from workbench.store import Snapshot
from workbench.text import plain
from workbench.widgets.heatmap import Heatmap


class Side(Vertical):
    """One plan: the two sentences, the heatmap, the cell under the cursor, and how it was solved."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id, classes="plan-side")
        self.plan: StoredPlan | None = None

    def compose(self) -> ComposeResult:
        """Sentences, heatmap, cell, facts."""
        yield Static(classes="pair")
        yield Heatmap()
        yield Static(classes="cell")
        yield Static(classes="facts")

    def show(self, plan: StoredPlan) -> None:
        """Show `plan`."""
        self.plan = plan
        text = Text(f"{plan.name}  ", style="bold")
        text.append(f"{plan.source_language} ", "dim").append(plain(plan.source_text), "not bold")
        text.append("\nen " if plan.target_text.isascii() else "\n→ ", "dim").append(
            plain(plan.target_text), "not bold"
        )
        self.query_one(".pair", Static).update(text)
        self.query_one(Heatmap).show(plan.mass, plan.cost, plan.source_tokens, plan.target_tokens)

    @on(Heatmap.Inspected)
    def _inspect(self, message: Heatmap.Inspected) -> None:
        plan, heatmap = self.plan, message.heatmap
        if plan is None or heatmap.mass is not plan.mass:
            return
        row, column = heatmap.row, heatmap.column
        source, target = plain(plan.source_tokens[row]), plain(plan.target_tokens[column])
        cell = Text(f"{row + 1} ").append(source, "bold").append(f" → {column + 1} ").append(target, "bold")
        cell.append(f"\n{plan.cell(row, column)}", "not bold")
        self.query_one(".cell", Static).update(cell)
        self.query_one(".facts", Static).update(Text(f"{plan.facts()}\nshown: {heatmap.scale()}"))


class PlanScreen(Room):
    """The stored plans."""

    HELP = (
        "**Plan.** Rows are the tokens of the sentence that queries come in, columns those of the English "
        "one; the brighter a cell, the more mass goes there. • marks each row's largest mass, ◆ the "
        "cursor. Plans are stored by runs that end."
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings("plan")
    room = "plan"

    class Listed(Message):
        """The stored plans were listed."""

        def __init__(self, found: list[dict[str, Any]], problem: str = "") -> None:
            super().__init__()
            self.found, self.problem = found, problem

    class Read(Message):
        """A plan was read for one side."""

        def __init__(self, side: str, plan: StoredPlan) -> None:
            super().__init__()
            self.side, self.plan = side, plan

    class Said(Message):
        """Something has to be said."""

        def __init__(self, sentence: str, look: str = "") -> None:
            super().__init__()
            self.sentence, self.look = sentence, look

    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, Any]] = []
        self.place = 0
        self.wanted: tuple[list[str], int] | None = None

    def body(self) -> ComposeResult:
        """One side; the other comes when it is asked for."""
        with Container(id="plan-body"):
            yield Side("left")
            right = Side("right")
            right.display = False
            yield right

    def on_mount(self) -> None:
        """Begin in the heatmap."""
        super().on_mount()
        self.query_one("#left Heatmap").focus()

    def runs_changed(self, snapshot: Snapshot) -> None:
        """List the plans anew when the choice of runs or the database changed."""
        wanted = (self.bench.chosen_runs, snapshot.revision)
        if wanted != self.wanted:
            self.wanted = wanted
            self._list(wanted[0])

    @work(thread=True, exclusive=True, group="plans", exit_on_error=False)
    def _list(self, runs: list[str]) -> None:
        try:
            # Without a plan in the chosen runs, those of all others are better than an empty screen.
            found = plans.list_plans(self.bench.results, runs) or plans.list_plans(self.bench.results, [])
            self.post_message(self.Listed(found))
        except OpticalError as error:
            self.post_message(self.Listed([], str(error)))

    @on(Listed)
    def _listed(self, message: Listed) -> None:
        current = _key(self.found[self.place]) if self.found else None
        self.found = message.found
        keys = [_key(record) for record in self.found]
        if not self.found:
            self.say(
                message.problem or "no run has stored a plan yet; runs that distil store some when they end",
                "warn",
            )
            return
        if current in keys:
            self.place = keys.index(current)
            self._status()
            return
        self.place = 0
        self._open()

    def _open(self) -> None:
        self._status()
        self._read(_key(self.found[self.place]), "left")
        if self.query_one("#right").display:
            other = self._same_pair()
            if other:
                self._read(_key(other[0]), "right")
            else:
                self._alone()

    def _status(self) -> None:
        self.say(f"plan {self.place + 1} of {len(self.found)}; o lists them, < and > go through them")

    @work(thread=True, group="read", exit_on_error=False)
    def _read(self, key: PlanKey, side: str) -> None:
        try:
            self.post_message(self.Read(side, plans.read_plan(self.bench.results, key)))
        except OpticalError as error:
            self.post_message(self.Said(str(error), "warn"))

    @on(Read)
    def _show(self, message: Read) -> None:
        self.query_one(f"#{message.side}", Side).show(message.plan)
        if message.side == "right":
            self.query_one("#right Heatmap", Heatmap).like(self.query_one("#left Heatmap", Heatmap))

    @on(Said)
    def _say(self, message: Said) -> None:
        self.say(message.sentence, message.look)

    @on(Heatmap.Inspected)
    def _together(self, message: Heatmap.Inspected) -> None:
        """Keep both sides on the same cell and shown in the same way."""
        right = self.query_one("#right", Side)
        if not right.display or not message.heatmap.has_focus:
            return
        for heatmap in self.query(Heatmap):
            if heatmap is not message.heatmap:
                heatmap.like(message.heatmap)

    def _same_pair(self) -> list[dict[str, Any]]:
        here = self.found[self.place]
        return [
            record for record in self.found if record["pair"] == here["pair"] and _key(record) != _key(here)
        ]

    def action_choose_plan(self) -> None:
        """Choose a plan from the list."""
        keys = list(range(len(self.found)))
        self._choose("Stored plans", self.found, keys, self._go)

    def _go(self, place: int) -> None:
        self.place = place
        self._open()

    def _choose(
        self, title: str, records: list[dict[str, Any]], keys: list[Any], then: Callable[[Any], None]
    ) -> None:
        if not records:
            return
        rows = [
            (record["name"], record["source_language"], f"{record['solver']} {record['epsilon']:.3g}",
             f"{record['entropy']:.2f}", record["source_text"][:60], record["target_text"][:60])
            for record in records
        ]  # fmt: skip
        titles = ("Run", "", "Solver, ε", "Entropy", "Sentence", "English")

        def answered(key: Any) -> None:
            if key is not None:
                then(key)

        self.app.push_screen(Choose(title, titles, rows, keys, chosen=[self.place]), answered)

    def action_next_plan(self) -> None:
        """Show the next plan."""
        self._step(1)

    def action_previous_plan(self) -> None:
        """Show the plan before."""
        self._step(-1)

    def _step(self, way: int) -> None:
        if self.found:
            self._go((self.place + way) % len(self.found))

    def action_beside(self) -> None:
        """Put the same pair of another run, or of another solver, beside this one; again: take it away."""
        if self.query_one("#right").display:
            self._alone()
            return
        if not self.found:
            return
        others = self._same_pair()
        if not others:
            if self.bench.chosen_runs:
                self.bench.chosen_runs = []
                self.wanted = None
                self.say("looking for this pair in all runs; press w again in a moment")
                return
            self.say("no other run has stored a plan of this pair", "warn")
            return

        def then(key: PlanKey) -> None:
            self.query_one("#right").display = True
            self.query_one("#plan-body").add_class("beside")
            self._read(key, "right")

        if len(others) == 1:
            then(_key(others[0]))
        else:
            self._choose("Beside it", others, [_key(record) for record in others], then)

    def _alone(self) -> None:
        self.query_one("#right").display = False
        self.query_one("#plan-body").remove_class("beside")
        self.query_one("#left Heatmap").focus()

    def action_export(self) -> None:
        """Ask for a file name, and write the plan there."""
        plan = self.query_one("#left", Side).plan
        if plan is None:
            return

        def answered(name: str | None) -> None:
            if name:
                self.say(f"writing {name} …")
                self._export(plan, Path(name).expanduser())

        hint = "NPZ holds the numbers and tokens, PNG and SVG a picture with labels."
        dialog = Line("Export to", f"plan-{plan.source_language}.npz", hint=hint, check=_check_name)
        self.app.push_screen(dialog, answered)

    @work(thread=True, group="export", exit_on_error=False)
    def _export(self, plan: StoredPlan, path: Path) -> None:
        try:
            plans.export_plan(plan, path)
            self.post_message(self.Said(f"written: {path.resolve()}"))
        except OpticalError as error:
            self.post_message(self.Said(str(error), "warn"))


def _key(record: dict[str, Any]) -> PlanKey:
    return PlanKey(*(record[name] for name in PlanKey._fields))


def _check_name(name: str) -> str | None:
    if Path(name).suffix.lower() not in (".npz", ".png", ".svg"):
        return "end the name with .npz, .png or .svg"
    return (
        f"{name} exists and would be replaced; choose another name"
        if Path(name).expanduser().exists()
        else None
    )
