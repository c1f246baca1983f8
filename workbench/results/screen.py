"""The Results screen: scores per language of one run, or of several runs compared with a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.message import Message

from engine.durations import age_text
from engine.errors import OpticalError
from workbench.actions import bindings
from workbench.context import Context
from workbench.data.runs import Run, Snapshot
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
from workbench.widgets.text_view import TextView

WIDTH_FOR_BARS = 101
"""Width of the screen from which bars are shown next to the figures."""


class ComparisonKey(NamedTuple):
    """What identifies the comparison of runs with the baseline."""

    setting: Setting
    measure: str
    baseline: str
    others: tuple[str, ...]


class ResultsScreen(ModeScreen):
    """The scores of the chosen runs."""

    CSS_PATH = "results.tcss"
    HELP = (
        "**Results.** One run: languages by measures. Several runs: languages by systems; runs that differ "
        "in the seed only are one system, with the means over its seeds. A sweep shows its runs. Each system "
        "but the baseline has the difference to the baseline (Δ), its 95 % interval and p value by a model "
        "of topics and seeds, corrected by Holm's method over all systems, languages and the mean, the "
        "verdict (better, worse, = for equivalent), the smallest difference that could be seen (least), and "
        "the number of queries won, tied and lost. ▲ and ▼ mark differences with p < .05. A system with one "
        "seed has no such test: dim figures are for these checkpoints only. The grey bar is the baseline's. "
        "A colour after its end is what a system gains; a colour in its lower half is what it loses. Columns "
        "with † are "
        "published scores of other models on the same task, from MTEB's results repository; a model has a "
        "mean if it has all languages. Enter shows the queries of a language."
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings("results")
    scope = "results"

    class Loaded(Message):
        """The figures of the chosen runs were read."""

        def __init__(self, figures: Figures | None, problem: str = "") -> None:
            super().__init__()
            self.figures, self.problem = figures, problem

    class Compared(Message):
        """The runs were compared with the baseline."""

        def __init__(self, key: ComparisonKey, comparisons: dict[str, RunComparison]) -> None:
            super().__init__()
            self.key, self.comparisons = key, comparisons

    class Listed(Message):
        """The runs that have scores were listed."""

        def __init__(self, rows: list[tuple[Any, ...]]) -> None:
            super().__init__()
            self.rows = rows

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.figures = Figures()
        self.setting: Setting | None = None
        self.measure = ""  # the main measure of the setting that is shown
        self.baseline, self.baseline_chosen = "", False
        self.group = "none"
        self.sorted_by, self.reversed = 0, False
        self.comparisons: dict[ComparisonKey, dict[str, RunComparison]] = {}
        self._comparing: set[ComparisonKey] = set()
        self._shown: tuple[list[str], int] | None = None
        self._study_is_due = False

    def compose_body(self) -> ComposeResult:
        """Yield a heading and the table."""
        yield TextView(id="heading")
        yield Table(id="results-table", fixed=1, empty="there are no scores to show yet")

    def on_mount(self) -> None:
        """Focus the table."""
        super().on_mount()
        self.app.theme_changed_signal.subscribe(self, lambda theme: self._fill())
        self.query_one(Table).focus()

    # -- reading ----------------------------------------------------------------------------------

    def runs_changed(self, snapshot: Snapshot) -> None:
        """Read the figures again if other runs were chosen or the database changed."""
        wanted = (self.context.chosen_runs, snapshot.revision)
        if wanted != self._shown:
            before, self._shown = self._shown, wanted
            self._load(wanted[0])
            self._study_is_due = self._study_is_due or before is None or before[0] != wanted[0]
        # Runs are chosen on other screens, too, and the tour opens the reference study itself.
        if self._study_is_due and self.app.screen is self:
            self._study_is_due = False
            self._open_study(snapshot)

    @work(thread=True, exclusive=True, group="figures", exit_on_error=False)
    def _load(self, runs: list[str]) -> None:
        try:
            self.post_message(self.Loaded(load_figures(self.context.results, runs)))
        except OpticalError as error:
            self.post_message(self.Loaded(None, str(error)))

    @on(Loaded)
    def _show_figures(self, message: Loaded) -> None:
        if message.figures is None:
            self.show_status(message.problem, "warn")
            return
        if message.figures.table != self.figures.table:
            self.comparisons.clear()
        self.figures = message.figures
        settings = list(self.figures.table)
        if self.setting not in settings:
            # Begin with the setting that most of the runs have.
            shared = sorted(settings, key=lambda setting: -self._runs_in(setting))
            self.setting = shared[0] if shared else None
        if self.setting and self.measure not in self.figures.measures(self.setting):
            self.measure = self.figures.measures(self.setting)[0]
        if self.baseline not in self.figures.runs or not self.baseline_chosen:
            self.baseline = min(self.figures.runs, default="")  # the oldest: ids begin with the date
        self._fill()

    def _runs_in(self, setting: Setting) -> int:
        """Return the number of runs that have figures of `setting`."""
        return len({run for runs in self.figures.table[setting].values() for run in runs})

    @property
    def runs(self) -> list[str]:
        """The runs that have the chosen setting and measure, the baseline first."""
        if self.setting is None:
            return []
        having = self.figures.table[self.setting].get(self.measure, {})
        runs = [run for run in self.figures.runs if run in having]
        return sorted(runs, key=lambda run: run != self.baseline)

    # -- showing ----------------------------------------------------------------------------------

    def _fill(self) -> None:
        table = self.query_one(Table)
        heading = self.query_one("#heading", TextView)
        if self.setting is None:
            heading.update("")
            table.show([], [])
            chosen = len(self.context.chosen_runs)
            self.show_status("the chosen runs have no scores yet; r chooses others" if chosen else "", "warn")
            return
        runs = self.runs
        several = len(self.figures.runs) > 1
        if several and self.baseline in runs and len(runs) > 1:
            self._compare()
        paints = self._paints(runs)
        builder = TableBuilder(
            self.figures,
            self.setting,
            self.measure,
            self.baseline,
            {run: self._comparison(run) for run in runs},
            self.group,
            self.sorted_by,
            self.reversed,
            self._has_room_for_bars,
            paints,
        )
        content = builder.several_runs(runs) if several else builder.one_run(self.figures.runs[0])
        table.fixed = 1 + bool(paints)
        table.show(*content)
        heading.update(self._heading(self.setting, runs, paints))
        self._show_state(runs)

    def _heading(self, setting: Setting, runs: Sequence[str], paints: dict[str, str]) -> Text:
        """Return the setting, the measure and the baseline or the run, and the legend of the bars."""
        names = self.figures.names
        text = Text(f"{setting.describe()}, revision {setting.revision[:12]}")
        if len(self.figures.runs) > 1:
            text.append(f"\n{self.measure}; baseline {names[self.baseline]}", "bold")
        else:
            text.append(f"\n{names[self.figures.runs[0]]}", "bold")
        if self.group != "none":
            text.append(f"; grouped by {self.group}")
        if self.figures.published.get(setting, {}).get(self.measure):
            text.append("; † published, MTEB's results repository")
        shown = {run for lead in self.figures.runs for run in self.figures.systems[lead].runs}
        if missing := [name for run, name in self._without_folder.items() if run in shown]:
            text.append(f"; folder missing: {', '.join(dict.fromkeys(missing))}", "yellow")
        if paints:
            text.append("\n")
            for run in runs:
                sign, style = ("■", paints[run]) if paints[run].startswith("#") else (paints[run], "")
                text.append(f"{sign} ", style).append(f"{names[run]}  ")
        return text

    @property
    def _without_folder(self) -> dict[str, str]:
        """The names of the runs whose folder is missing, by id."""
        return {run["id"]: run["name"] for run in self.context.runs if run.get("folder_missing")}

    def _paints(self, runs: Sequence[str]) -> dict[str, str]:
        """Return the colour or character of each run's bars; empty if bars are not shown."""
        coloured = not self.app.no_color and self.app.console.color_system in ("truecolor", "256")
        theme = self.app.current_theme
        paints = (str(theme.secondary), *curve_colours(theme.dark)) if coloured else tuple(SHADES)
        if not self._has_room_for_bars or not 1 < len(runs) <= len(paints) or self.baseline not in runs:
            return {}
        return dict(zip(runs, paints, strict=False))

    @property
    def _has_room_for_bars(self) -> bool:
        return self.size.width >= WIDTH_FOR_BARS

    def on_resize(self) -> None:
        """Show or hide the bars."""
        self._fill()

    def _show_state(self, runs: Sequence[str]) -> None:
        """Say which runs are left out or being compared, or what the marks mean."""
        missing = [self.figures.names[run] for run in self.figures.runs if run not in runs]
        folded = {run for system in self.figures.systems.values() for run in system.runs}
        unscored = [
            run["name"]
            for run in self.context.runs
            if run["id"] in self.context.chosen_runs and run["id"] not in folded
        ]
        systems = [run for run in runs if run != self.baseline]
        reasons = [reason for run in systems if (reason := self._comparison(run).reason)]
        comparing = [self.figures.names[run] for run in systems] if self._key in self._comparing else []
        if missing and len(self.figures.runs) > 1:
            self.show_status(f"left out, without this setting and measure: {', '.join(missing)}", "warn")
        elif comparing:
            self.show_status(f"comparing {', '.join(comparing)} with the baseline …")
        elif unscored:
            self.show_status(f"left out, without scores: {', '.join(unscored)}", "warn")
        elif reasons:
            self.show_status(f"{reasons[0]}; dim figures are for these checkpoints", "warn")
        else:
            heading = next((found for run in systems if (found := self._comparison(run).heading)), "")
            self.show_status(f"▲▼ p < .05; {heading}" if heading else "")

    # -- comparing --------------------------------------------------------------------------------

    @property
    def _key(self) -> ComparisonKey:
        assert self.setting is not None
        others = tuple(run for run in self.runs if run != self.baseline)
        return ComparisonKey(self.setting, self.measure, self.baseline, others)

    def _comparison(self, run: str) -> RunComparison:
        return self.comparisons.get(self._key, {}).get(run, RunComparison())

    def _compare(self) -> None:
        """Compare the runs with the baseline, unless that is done or under way."""
        key = self._key
        if key not in self.comparisons and key not in self._comparing:
            self._comparing.add(key)
            self._run_comparison(key, self.figures)

    @work(thread=True, group="comparisons", exit_on_error=False)
    def _run_comparison(self, key: ComparisonKey, figures: Figures) -> None:
        try:
            compared = compare_runs(
                self.context.results, figures, key.setting, key.measure, key.baseline, key.others
            )
        except OpticalError as error:
            compared = {run: RunComparison(reason=str(error)) for run in key.others}
        self.post_message(self.Compared(key, compared))

    @on(Compared)
    def _show_comparison(self, message: Compared) -> None:
        self._comparing.discard(message.key)
        self.comparisons[message.key] = message.comparisons
        self._fill()

    # -- studies ----------------------------------------------------------------------------------

    def _open_study(self, snapshot: Snapshot) -> None:
        """Show the study if one was chosen, the runs of a sweep, or the reference study if there are none."""
        chosen = [run for run in snapshot.runs if run["id"] in self.context.chosen_runs]
        if not snapshot.runs and not snapshot.problems:
            self.app.push_screen(StudyScreen(self.context, None))
        elif len(chosen) == 1:
            from engine.config.study import STUDY

            if chosen[0].get("kind") == STUDY.name:
                self.app.push_screen(StudyScreen(self.context, chosen[0]["id"]))
            elif members := _members(chosen[0]):
                self.context.show_results(members)

    def action_study(self) -> None:
        """Show the newest study, or the reference study."""
        self.app.push_screen(StudyScreen(self.context, None))

    # -- choices ----------------------------------------------------------------------------------

    def action_choose_runs(self) -> None:
        """Choose among the runs that have scores."""
        self._list()

    @work(thread=True, exclusive=True, group="list", exit_on_error=False)
    def _list(self) -> None:
        try:
            self.post_message(self.Listed(runs_with_scores(self.context.results)))
        except OpticalError as error:
            self.post_message(self.Loaded(None, str(error)))

    @on(Listed)
    def _choose_runs(self, message: Listed) -> None:
        missing = self._without_folder
        rows = [
            (f"{name} (folder missing)" if run in missing else name, kind, collections, age_text(created))
            for run, name, kind, created, collections in message.rows
        ]
        keys = [row[0] for row in message.rows]

        def take(chosen: list[str] | None) -> None:
            if chosen:
                self.context.show_results([run for run in keys if run in chosen])

        columns = ("Run", "Kind", "Collections", "Age")
        dialog = ChoiceDialog("Runs to show", columns, rows, keys, chosen=self.figures.runs, several=True)
        self.app.push_screen(dialog, take)

    def action_choose_setting(self) -> None:
        """Choose collection, protocol, direction and scoring."""
        settings = list(self.figures.table)
        rows = [
            (
                setting.collection,
                setting.protocol,
                setting.direction,
                setting.scoring,
                setting.revision[:12],
                self._runs_in(setting),
            )
            for setting in settings
        ]

        def take(setting: Setting | None) -> None:
            if setting is not None:
                self.setting = setting
                if self.measure not in self.figures.measures(setting):
                    self.measure = self.figures.measures(setting)[0]
                self._fill()

        columns = ("Collection", "Protocol", "Direction", "Scoring", "Revision", "Runs")
        chosen = [self.setting] if self.setting else []
        dialog = ChoiceDialog("Collection and protocol", columns, rows, settings, chosen=chosen)
        self.app.push_screen(dialog, take)

    def action_choose_measure(self) -> None:
        """Choose the measure."""
        if self.setting is None:
            return
        measures = self.figures.measures(self.setting)

        def take(measure: str | None) -> None:
            if measure:
                self.measure = measure
                self._fill()

        rows = [(name,) for name in measures]
        dialog = ChoiceDialog("Measure", ("Measure",), rows, measures, chosen=[self.measure])
        self.app.push_screen(dialog, take)

    def action_baseline(self) -> None:
        """Use the next run as the baseline."""
        runs = self.figures.runs
        if len(runs) < 2:
            self.show_status("choose a second run with r; one of the two is then the baseline", "warn")
            return
        self.baseline, self.baseline_chosen = runs[(runs.index(self.baseline) + 1) % len(runs)], True
        self._fill()

    def action_group(self) -> None:
        """Group languages by the next property."""
        self.group = GROUPS[(GROUPS.index(self.group) + 1) % len(GROUPS)]
        self._fill()

    def action_sort(self) -> None:
        """Sort by the next column."""
        columns = self.query_one(Table).columns
        places = [place for place, column in enumerate(columns) if column.title]
        if places:
            self.sorted_by = next((place for place in places if place > self.sorted_by), places[0])
            self._fill()
            self.show_status(f"sorted by {columns[self.sorted_by].title}")

    def action_reverse(self) -> None:
        """Reverse the order."""
        self.reversed = not self.reversed
        self._fill()

    @on(Table.HeadingClicked)
    def _heading_clicked(self, message: Table.HeadingClicked) -> None:
        """Sort by the column, or reverse the order if the languages are sorted by it already."""
        if message.table.columns[message.column].title:
            self.reversed = not self.reversed if message.column == self.sorted_by else False
            self.sorted_by = message.column
            self._fill()

    @on(Table.Chosen)
    def action_open(self) -> None:
        """Show the queries of the language under the cursor."""
        setting, code = self.setting, self.query_one(Table).key
        if setting is None or code not in self.figures.languages(setting, self.measure):
            return
        from workbench.results.queries_screen import QueriesScreen

        def show(runs: Sequence[str]) -> None:
            named = [(run, self.figures.names[run]) for run in runs]
            self.app.push_screen(QueriesScreen(self.context, setting, self.measure, code, named))

        def take(run: str | None) -> None:
            if run is not None:
                show([self.baseline, run])

        if len(self.figures.runs) == 1:
            show(self.figures.runs)
            return
        runs = [run for run in self.runs if run != self.baseline]
        if len(runs) == 1:
            take(runs[0])
        elif runs:
            rows = [(self.figures.names[run], run) for run in runs]
            title = f"Compare {self.figures.names[self.baseline]} with"
            self.app.push_screen(ChoiceDialog(title, ("Run", "Id"), rows, runs), take)


def _members(run: Run) -> list[str]:
    """Return the ids of the runs that `run` executed, such as those of a sweep."""
    from engine.extensions.runs import RUN_KINDS

    kind = RUN_KINDS.get(str(run.get("kind")))
    found = (run.get("summary") or {}).get("runs") if kind is not None and kind.several else None
    return [str(one) for one in found] if isinstance(found, list) else []
