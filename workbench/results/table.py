"""The tables of the results screen: columns, rows and a key for each row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from engine.languages import language_name
from workbench.results.figures import (
    Figure,
    Figures,
    RunComparison,
    Setting,
    Tested,
    group_languages,
    mean_of,
    resource_gap,
)
from workbench.widgets.bars import BarDrawing, draw_bars
from workbench.widgets.table import Cell, Column
from workbench.widgets.text import bar, p_value, score, signed

BARS = 24
"""The width of the column of bars, in cells."""

#: How verdicts are shown where there is little room.
_VERDICTS = {
    "better, equivalent": "better =",
    "worse, equivalent": "worse =",
    "equivalent": "=",
    "undecided": "?",
}

TableContent = tuple[list[Column], list[Any], list[str]]
"""Columns, rows, and a key for each row."""


@dataclass(frozen=True)
class PublishedColumns:
    """The columns of published scores, one for each model.

    Attributes
    ----------
    models : dict
        The scores of each model by language, in the order of the columns.
    """

    models: dict[str, dict[str, float]]

    @property
    def columns(self) -> list[Column]:
        """The columns; a model is named without its publisher."""
        titles = [f"† {name.rpartition('/')[2]}" for name in self.models]
        return [Column(title, max(8, len(title)), right=True) for title in titles]

    def cells(self, code: str) -> list[Any]:
        """Return the scores in a language."""
        return [Cell(score(scores.get(code)), "dim") for scores in self.models.values()]

    def means(self, codes: Sequence[str]) -> list[Any]:
        """Return the mean of each model over `codes`; empty for a model that lacks one of them."""
        return [
            Cell(score(fmean(scores[code] for code in codes)), "dim")
            if codes and all(code in scores for code in codes)
            else ""
            for scores in self.models.values()
        ]


@dataclass(frozen=True)
class TableBuilder:
    """Builds the tables of one setting and measure.

    Attributes
    ----------
    figures, setting, measure
        The figures, and which of them are shown.
    baseline : str
        Id of the baseline.
    comparisons : dict
        The comparison of each run with the baseline, by run.
    group : str
        What languages are grouped by, one of `workbench.results.figures.GROUPS`.
    sorted_by : int
        The index of the column that rows are sorted by.
    reversed : bool
        Whether the order is reversed.
    wide : bool
        Whether the screen is wide.
    paints : dict
        The colour of each run's bars, or a character where there are no colours; empty for no bars.
    """

    figures: Figures
    setting: Setting
    measure: str
    baseline: str
    comparisons: dict[str, RunComparison]
    group: str
    sorted_by: int
    reversed: bool
    wide: bool
    paints: dict[str, str]

    def one_run(self, run: str) -> TableContent:
        """Return the table of one run: a row for each language, a column for each measure."""
        table = self.figures.table[self.setting]
        measures = [name for name in self.figures.measures(self.setting) if run in table[name]]
        main = self.measure if self.measure in measures else measures[0]
        columns = [Column("Language")]
        columns += [Column(name, right=True, width=max(7, len(name))) for name in measures]
        columns += [Column(f"{main} 95 %", 14), Column(main, 20), Column("Queries", right=True)]
        published = self._published(main, [*table[main][run]])
        columns += published.columns

        def cells(code: str) -> list[Any]:
            figure = table[main][run].get(code)
            values = [table[name][run].get(code) for name in measures]
            cells = [
                Cell(score(value.value), "head" if name == main else "") if value else ""
                for name, value in zip(measures, values, strict=True)
            ]
            interval = (
                f"[{score(figure.low)}, {score(figure.high)}]" if figure and figure.low is not None else ""
            )
            drawn = Cell(bar(figure.value, 20), "head") if figure else ""
            counted = figure.queries if figure else ""
            return [*cells, Cell(interval, "dim"), drawn, counted, *published.cells(code)]

        def means(codes: Sequence[str]) -> list[Any]:
            averages = [mean_of(table[name][run], codes) for name in measures]
            main_mean = averages[measures.index(main)]
            drawn = bar(main_mean or 0, 20)
            return [*(score(value) for value in averages), "", drawn, "", *published.means(codes)]

        gaps = [resource_gap(table[name][run]) for name in measures]
        gap_row = [*(signed(value) if value is not None else "" for value in gaps), "", "", ""]
        gap_row += [""] * len(published.columns)
        return columns, *self._rows([*table[main][run]], cells, means, gap_row)

    def several_runs(self, runs: Sequence[str]) -> TableContent:
        """Return the table of several runs: a row for each language, columns for each run.

        Each run but the baseline has its comparison with the baseline. The bars are the second column.
        """
        table = self.figures.table[self.setting].get(self.measure, {})
        columns = [Column("Language")]
        columns += [Column("", BARS)] * bool(self.paints)
        for run in runs:
            columns.append(
                Column(self.figures.names[run], max(8, min(len(self.figures.names[run]), 14)), right=True)
            )
            if run != self.baseline:
                columns += [Column("Δ", 6, right=True), Column("95 %", 14), Column("p", 5, right=True)]
                columns += [Column("verdict", 9), Column("least", 5, right=True)]
                columns.append(Column("W/T/L", 14 if self.wide else 11, right=True))
        published = self._published(self.measure, self.figures.languages(self.setting, self.measure))
        columns += published.columns

        def difference(value: float | None, baseline: float | None, test: Tested | None) -> list[Any]:
            if value is None or baseline is None:
                return [""] * 6
            if test is None:
                return [signed(value - baseline), *[""] * 5]
            of_system, of_checkpoints = test.difference, test.checkpoints
            counts = Cell(f"{of_checkpoints.wins}/{of_checkpoints.ties}/{of_checkpoints.losses}", "")
            if of_system.units < 2:
                return [signed(of_system.delta), *[""] * 4, counts]
            if of_system.p_holm is None or of_system.low is None or of_system.high is None:
                low, high = of_checkpoints.low, of_checkpoints.high
                interval = Cell(f"[{signed(low)}, {signed(high)}]", "dim")
                p = Cell(p_value(of_checkpoints.p_holm), "dim")
                return [Cell(" " + signed(of_system.delta), "dim"), interval, p, "", "", counts]
            significant = of_system.p_holm < 0.05
            look = ("good" if "better" in of_system.verdict else "bad") if significant else "dim"
            sign = ("▲" if of_system.delta > 0 else "▼") if significant else " "
            return [
                Cell(sign + signed(of_system.delta), look),
                Cell(f"[{signed(of_system.low)}, {signed(of_system.high)}]", "dim"),
                Cell(p_value(of_system.p_holm), look),
                Cell(_VERDICTS.get(of_system.verdict, of_system.verdict), look),
                Cell(score(of_system.smallest), "dim"),
                counts,
            ]

        def row(value_of: Any, test_of: Any) -> list[Any]:
            cells: list[Any] = []
            baseline = value_of(self.baseline) if self.baseline in runs else None
            for run in runs:
                value = value_of(run)
                cells.append(score(value))
                if run != self.baseline:
                    cells += difference(value, baseline, test_of(run))
            return cells

        def value(run: str, code: str) -> float | None:
            figure: Figure | None = table[run].get(code)
            return figure.value if figure else None

        def cells(code: str) -> list[Any]:
            own = row(lambda run: value(run, code), lambda run: self.comparisons[run].languages.get(code))
            return [*own, *published.cells(code)]

        shared = [code for code in next(iter(table.values()), {}) if all(code in table[run] for run in runs)]

        def means(codes: Sequence[str]) -> list[Any]:
            both = [code for code in codes if code in shared]
            whole = len(both) == len(shared)
            own = row(
                lambda run: mean_of(table[run], both),
                lambda run: self.comparisons[run].mean if whole else None,
            )
            return [*own, *published.means(both)]

        gap_row: list[Any] = []
        for run in runs:
            gaps = [
                resource_gap({code: table[which][code] for code in shared})
                for which in (run, self.baseline)
                if which in table
            ]
            gap_row.append(score(gaps[0]) if gaps[0] is not None else "")
            if run != self.baseline:
                known = len(gaps) == 2 and gaps[0] is not None and gaps[1] is not None
                gap_row += [signed(gaps[0] - gaps[1]) if known else "", *[""] * 5]  # type: ignore[operator]
        gap_row += [""] * len(published.columns)
        codes = self.figures.languages(self.setting, self.measure)
        rows, keys = self._rows(codes, cells, means, gap_row)
        if self.paints:
            members = {"mean": shared, **{code: [code] for code in codes}}
            for name, group in group_languages(codes, self.group).items():
                members[f"group {name}"] = [code for code in group if code in shared]
            rows = [
                [line[0], self._bars(runs, table, members.get(key, ())), *line[1:]]
                for line, key in zip(rows, keys, strict=True)
            ]
        return columns, rows, keys

    def _published(self, measure: str, codes: Sequence[str]) -> PublishedColumns:
        """Return columns for the published models that have scores in some of the languages `codes`."""
        models = self.figures.published.get(self.setting, {}).get(measure, {})
        known = {name: scores for name, scores in models.items() if any(code in scores for code in codes)}

        def order(name: str) -> tuple[int, float]:
            scores = [known[name][code] for code in codes if code in known[name]]
            return -len(scores), -fmean(scores)

        return PublishedColumns({name: known[name] for name in sorted(known, key=order)})

    def _bars(
        self, runs: Sequence[str], table: dict[str, dict[str, Figure]], codes: Sequence[str]
    ) -> BarDrawing:
        """Return the means of the runs over `codes` as one layered bar."""
        values = [(mean_of(table[run], codes), self.paints[run]) for run in runs]
        base, *others = [(value or 0.0, paint) for value, paint in values]
        return draw_bars(base, others, BARS)

    def _rows(
        self, codes: list[str], cells: Any, means: Any, gap_row: list[Any]
    ) -> tuple[list[Any], list[str]]:
        """Return the rows of all languages by group, the means first, and a key for each row."""
        rows_of = {code: [f"{language_name(code)} {code}", *cells(code)] for code in codes}

        def sort_key(code: str) -> Any:
            value = rows_of[code][self.sorted_by] if self.sorted_by < len(rows_of[code]) else ""
            return _sort_key(value.text if isinstance(value, Cell) else value)

        ordered = sorted(sorted(codes), key=sort_key, reverse=self.reversed)
        rows: list[Any] = [[Cell(f"mean of {len(codes)}", "head"), *means(codes)]]
        keys = ["mean"]
        if any(gap_row) and any(value not in ("", None) for value in gap_row):
            rows.append([Cell("high − low gap", "head"), *gap_row])
            keys.append("gap")
        for name, members in group_languages(ordered, self.group).items():
            if name:
                rows.append([Cell(f"{name} ({len(members)})", "head"), *means(members)])
                keys.append(f"group {name}")
            rows += [rows_of[code] for code in members]
            keys += members
        return rows, keys


def _sort_key(value: Any) -> tuple[int, float, str]:
    """Return a key that sorts numbers by value, whatever sign precedes them, and other text after them."""
    text = str(value).strip().lstrip("▲▼ ").replace("−", "-").removeprefix("[").split(",")[0].split("/")[0]
    try:
        return (0, float(text.replace("<", "")), "")
    except ValueError:
        return (1, 0.0, text.casefold())
