"""Results: language by measure for one run, language by run for several, and what differs for certain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.message import Message
from textual.widgets import Static

from engine.durations import age_text
from engine.errors import OpticalError
from workbench.actions import bindings
from workbench.context import Context
from workbench.data.runs import Snapshot
from workbench.results.figures import (
    GROUPS,
    Figures,
    RunComparison,
    Setting,
    compare_runs,
    load_figures,
    runs_with_scores,
)
from workbench.results.study_screen import StudyScreen
from workbench.results.table import TableBuilder
from workbench.shell.screen import ModeScreen
from workbench.themes import curve_colours
from workbench.widgets.bars import SHADES
from workbench.widgets.dialogs import ChoiceDialog
from workbench.widgets.table import Table

Test = tuple[Setting, str, str, str]


class ResultsScreen(ModeScreen):
    """The results."""

    HELP = (
        "**Results.** One run: languages by measures. Several runs: languages by runs; for each the "
        "measure, its difference to the baseline (Δ), the difference's 95 % bootstrap interval, the p "
        "value of a paired randomisation test after Holm's correction over languages, and queries won, "
        "tied and lost. ▲ and ▼ stand where p < .05. The grey bar is the baseline's; a colour beyond its "
        "end is what a run gains, a colour in its lower half what a run loses. Enter "
        "shows a language's queries."
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings("results")
    scope = "results"

    class Loaded(Message):
        """The figures of the chosen runs were read."""

        def __init__(self, figures: Figures | None, problem: str = "") -> None:
            super().__init__()
            self.figures, self.problem = figures, problem

    class Tested(Message):
        """Two runs were compared."""

        def __init__(self, test: Test, tests: RunComparison) -> None:
            super().__init__()
            self.test, self.tests = test, tests

    class Listed(Message):
        """The runs that have scores were read."""

        def __init__(self, rows: list[tuple[Any, ...]]) -> None:
            super().__init__()
            self.rows = rows

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.figures = Figures()
        self.wanted: tuple[list[str], int] | None = None
        self.setting: Setting | None = None
        self.measure = "RR"
        self.base, self.base_chosen = "", False
        self.group = "none"
        self.sorted_by, self.reversed = 0, False
        self.tests: dict[Test, RunComparison] = {}
        self.testing: set[Test] = set()

    def compose_body(self) -> ComposeResult:
        """A heading and the table."""
        yield Static(id="heading")
        yield Table(id="results-table", fixed=1, empty="there are no scores to show yet")

    def on_mount(self) -> None:
        """Begin in the table."""
        super().on_mount()
        self.app.theme_changed_signal.subscribe(self, lambda theme: self._fill())
        self.query_one(Table).focus()

    def runs_changed(self, snapshot: Snapshot) -> None:
        """Read the figures anew when the choice of runs or the database changed."""
        wanted = (self.context.chosen_runs, snapshot.revision)
        if wanted != self.wanted:
            before, self.wanted = self.wanted, wanted
            self._load(wanted[0])
            if before is None or before[0] != wanted[0]:
                self._open_study(snapshot)

    @work(thread=True, exclusive=True, group="figures", exit_on_error=False)
    def _load(self, runs: list[str]) -> None:
        try:
            self.post_message(self.Loaded(load_figures(self.context.results, runs)))
        except OpticalError as error:
            self.post_message(self.Loaded(None, str(error)))

    @on(Loaded)
    def _loaded(self, message: Loaded) -> None:
        if message.figures is None:
            self.show_status(message.problem, "warn")
            return
        if message.figures.table != self.figures.table:
            self.tests.clear()
        self.figures = message.figures
        settings = list(self.figures.table)
        if self.setting not in settings:
            # The setting that most of the runs share comes first.
            shared = sorted(settings, key=lambda setting: -self._runs_in(setting))
            self.setting = shared[0] if shared else None
        if self.setting and self.measure not in self.figures.measures(self.setting):
            self.measure = self.figures.measures(self.setting)[0]
        if self.base not in self.figures.runs or not self.base_chosen:
            # The oldest is what the others were made to beat.
            self.base = min(self.figures.runs, default="")
        self._fill()

    def _runs_in(self, setting: Setting) -> int:
        return len({run for runs in self.figures.table[setting].values() for run in runs})

    @property
    def runs(self) -> list[str]:
        """The runs that have the chosen setting and measure, the baseline first."""
        if self.setting is None:
            return []
        having = self.figures.table[self.setting].get(self.measure, {})
        runs = [run for run in self.figures.runs if run in having]
        return sorted(runs, key=lambda run: run != self.base)

    def _fill(self) -> None:
        table = self.query_one(Table)
        heading = self.query_one("#heading", Static)
        if self.setting is None:
            heading.update("")
            table.show([], [])
            chosen = len(self.context.chosen_runs)
            self.show_status("the chosen runs have no scores yet; r chooses others" if chosen else "", "warn")
            return
        runs = self.runs
        several = len(self.figures.runs) > 1
        if several and self.base in runs:
            for run in runs[1:]:
                self._test(run)
        paints = self._paints(runs)
        builder = TableBuilder(
            self.figures,
            self.setting,
            self.measure,
            self.base,
            {run: self._tests(run) for run in runs},
            self.group,
            self.sorted_by,
            self.reversed,
            self.roomy,
            paints,
        )
        made = builder.several_runs(runs) if several else builder.one_run(self.figures.runs[0])
        table.fixed = 1 + bool(builder.paints)
        table.show(*made)
        words = Text(f"{self.setting.describe()}, revision {self.setting.revision[:12]}")
        if len(self.figures.runs) > 1:
            words.append(f"\n{self.measure}; baseline {self.figures.names[self.base]}", "bold")
        else:
            words.append(f"\n{self.figures.names[self.figures.runs[0]]}", "bold")
        if self.group != "none":
            words.append(f"; grouped by {self.group}")
        if builder.paints:
            words.append("\n")
            for run in runs:
                sign, style = ("■", paints[run]) if paints[run].startswith("#") else (paints[run], "")
                words.append(f"{sign} ", style).append(f"{self.figures.names[run]}  ")
        heading.update(words)
        self._state(runs)

    def _paints(self, runs: Sequence[str]) -> dict[str, str]:
        """Return what each run's bars are painted with; nothing where there is no room for bars."""
        coloured = not self.app.no_color and self.app.console.color_system in ("truecolor", "256")
        theme = self.app.current_theme
        paints = (str(theme.secondary), *curve_colours(theme.dark)) if coloured else tuple(SHADES)
        if not self.roomy or not 1 < len(runs) <= len(paints) or self.base not in runs:
            return {}
        return dict(zip(runs, paints, strict=False))

    @property
    def roomy(self) -> bool:
        """Whether there is room for bars beside the figures."""
        return self.size.width > 100

    def on_resize(self) -> None:
        """Show the bars where there is room."""
        self._fill()

    def _state(self, runs: Sequence[str]) -> None:
        missing = [self.figures.names[run] for run in self.figures.runs if run not in runs]
        known = self.context.runs
        unscored = [
            run["name"]
            for run in known
            if run["id"] in self.context.chosen_runs and run["id"] not in self.figures.runs
        ]
        reasons = [self._tests(run).reason for run in runs if run != self.base]
        under_way = [run for run in runs if run != self.base and self._key(run) in self.testing]
        if missing and len(self.figures.runs) > 1:
            self.show_status(f"not evaluated so, and left out: {', '.join(missing)}", "warn")
        elif under_way:
            self.show_status(f"testing {', '.join(self.figures.names[run] for run in under_way)} …")
        elif unscored:
            self.show_status(f"without scores, and left out: {', '.join(unscored)}", "warn")
        elif any(reasons):
            self.show_status(next(reason for reason in reasons if reason), "warn")
        else:
            self.show_status(
                "▲▼ differ from the baseline at p < .05 after Holm's correction" if len(runs) > 1 else ""
            )

    def _key(self, run: str) -> Test:
        assert self.setting is not None
        return (self.setting, self.measure, self.base, run)

    def _tests(self, run: str) -> RunComparison:
        return self.tests.get(self._key(run), RunComparison())

    def _test(self, run: str) -> None:
        test = self._key(run)
        if test not in self.tests and test not in self.testing:
            self.testing.add(test)
            self._run_test(test)

    @work(thread=True, group="tests", exit_on_error=False)
    def _run_test(self, test: Test) -> None:
        setting, measure, base, run = test
        try:
            tests = compare_runs(self.context.results, setting, measure, base, run)
        except OpticalError as error:
            tests = RunComparison(reason=str(error))
        self.post_message(self.Tested(test, tests))

    @on(Tested)
    def _tested(self, message: Tested) -> None:
        self.testing.discard(message.test)
        self.tests[message.test] = message.tests
        self._fill()

    def _open_study(self, snapshot: Snapshot) -> None:
        """Show the study that was chosen, and the reference study to who has no run at all."""
        chosen = [run for run in snapshot.runs if run["id"] in self.context.chosen_runs]
        if not snapshot.runs and not snapshot.problems:
            self.app.push_screen(StudyScreen(self.context, None))
        elif len(chosen) == 1 and chosen[0].get("kind") == "study":
            self.app.push_screen(StudyScreen(self.context, chosen[0]["id"]))

    def action_study(self) -> None:
        """Show the newest study."""
        self.app.push_screen(StudyScreen(self.context, None))

    def action_choose_runs(self) -> None:
        """Choose runs among those with scores."""
        self._list()

    @work(thread=True, exclusive=True, group="list", exit_on_error=False)
    def _list(self) -> None:
        try:
            self.post_message(self.Listed(runs_with_scores(self.context.results)))
        except OpticalError as error:
            self.post_message(self.Loaded(None, str(error)))

    @on(Listed)
    def _listed(self, message: Listed) -> None:
        rows = [
            (name, kind, collections, age_text(created))
            for _, name, kind, created, collections in message.rows
        ]
        keys = [row[0] for row in message.rows]

        def answered(chosen: list[str] | None) -> None:
            if chosen:
                self.context.show_results([run for run in keys if run in chosen])

        titles = ("Run", "Kind", "Collections", "Age")
        dialog = ChoiceDialog("Runs to show", titles, rows, keys, chosen=self.figures.runs, several=True)
        self.app.push_screen(dialog, answered)

    def action_choose_setting(self) -> None:
        """Choose the collection, protocol, direction and scoring."""
        settings = list(self.figures.table)
        rows = [
            (
                *setting[:1],
                setting.protocol,
                setting.direction,
                setting.scoring,
                setting.revision[:12],
                self._runs_in(setting),
            )
            for setting in settings
        ]
        titles = ("Collection", "Protocol", "Direction", "Scoring", "Revision", "Runs")

        def answered(setting: Setting | None) -> None:
            if setting is not None:
                self.setting = setting
                if self.measure not in self.figures.measures(setting):
                    self.measure = self.figures.measures(setting)[0]
                self._fill()

        chosen = [self.setting] if self.setting else []
        self.app.push_screen(
            ChoiceDialog("Collection and protocol", titles, rows, settings, chosen=chosen), answered
        )

    def action_choose_measure(self) -> None:
        """Choose the measure."""
        if self.setting is None:
            return
        measures = self.figures.measures(self.setting)

        def answered(measure: str | None) -> None:
            if measure:
                self.measure = measure
                self._fill()

        rows = [(name,) for name in measures]
        self.app.push_screen(
            ChoiceDialog("Measure", ("Measure",), rows, measures, chosen=[self.measure]), answered
        )

    def action_baseline(self) -> None:
        """Take the next run as the baseline."""
        runs = self.figures.runs
        if len(runs) < 2:
            self.show_status("choose a second run with r; one of them is the baseline then", "warn")
            return
        self.base, self.base_chosen = runs[(runs.index(self.base) + 1) % len(runs)], True
        self._fill()

    def action_group(self) -> None:
        """Group by the next property."""
        self.group = GROUPS[(GROUPS.index(self.group) + 1) % len(GROUPS)]
        self._fill()

    def action_sort(self) -> None:
        """Sort by the next column."""
        columns = [column for column in self.query_one(Table).columns if column.title]
        if columns:
            self.sorted_by = (self.sorted_by + 1) % len(columns)
            self._fill()
            self.show_status(f"sorted by {columns[self.sorted_by].title}")

    def action_reverse(self) -> None:
        """Reverse the order."""
        self.reversed = not self.reversed
        self._fill()

    @on(Table.Chosen)
    def action_open(self) -> None:
        """Show the queries of the language under the cursor."""
        code = self.query_one(Table).key
        if self.setting is None or code not in self.figures.languages(self.setting, self.measure):
            return
        from workbench.results.queries_screen import QueriesScreen

        if len(self.figures.runs) == 1:
            self.app.push_screen(
                QueriesScreen(
                    self.context, self.setting, self.measure, code, self._named(self.figures.runs[:1])
                )
            )
            return
        runs = [run for run in self.runs if run != self.base]

        def show(run: str | None) -> None:
            if run is not None and self.setting is not None:
                pair = self._named([self.base, run])
                self.app.push_screen(QueriesScreen(self.context, self.setting, self.measure, code, pair))

        if len(runs) == 1:
            show(runs[0])
        elif runs:
            rows = [(self.figures.names[run], run) for run in runs]
            title = f"Compare {self.figures.names[self.base]} with"
            self.app.push_screen(ChoiceDialog(title, ("Run", "Id"), rows, runs), show)

    def _named(self, runs: Sequence[str]) -> list[tuple[str, str]]:
        return [(run, self.figures.names[run]) for run in runs]
