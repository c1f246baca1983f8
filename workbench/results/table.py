"""The tables of the results screen: columns, rows and a key for each row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from workbench.results import figures as comparing
from workbench.results.figures import Figure, Figures, Setting, Tests
from workbench.widgets.bars import BarDrawing, draw_bars
from workbench.widgets.table import Cell, Column
from workbench.widgets.text import bar, p_value, score, signed

BARS = 24
"""The cells of the bars of several runs."""

Made = tuple[list[Column], list[Any], list[str]]


@dataclass(frozen=True)
class Tabulation:
    """What is to be shown, and how: grouped, sorted by the column of a number, with room or without."""

    figures: Figures
    setting: Setting
    measure: str
    base: str
    tests: dict[str, Tests]
    group: str
    sorted_by: int
    reversed: bool
    wide: bool
    paints: dict[str, str]
    """What a run's bars are painted with: colours, or shades where there are none; empty: no bars."""

    def single(self, run: str) -> Made:
        """Return languages by measures of one run."""
        table = self.figures.table[self.setting]
        measures = [name for name in self.figures.measures(self.setting) if run in table[name]]
        main = self.measure if self.measure in measures else measures[0]
        columns = [Column("Language")]
        columns += [Column(name, right=True, width=max(7, len(name))) for name in measures]
        columns += [Column(f"{main} 95 %", 14), Column(main, 20), Column("Queries", right=True)]

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
            return [*cells, Cell(interval, "dim"), drawn, figure.queries if figure else ""]

        def means(codes: Sequence[str]) -> list[Any]:
            averages = [comparing.mean_of(table[name][run], codes) for name in measures]
            main_mean = averages[measures.index(main)]
            return [*(score(value) for value in averages), "", bar(main_mean or 0, 20), ""]

        gaps = [comparing.gap(table[name][run]) for name in measures]
        gap_row = [*(signed(value) if value is not None else "" for value in gaps), "", "", ""]
        return columns, *self._rows([*table[main][run]], cells, means, gap_row)

    def several(self, runs: Sequence[str]) -> Made:
        """Return languages by runs, each but the baseline with its comparison; the bars stand second."""
        table = self.figures.table[self.setting].get(self.measure, {})
        columns = [Column("Language")]
        columns += [Column("", BARS)] * bool(self.paints)
        for run in runs:
            columns.append(
                Column(self.figures.names[run], max(8, min(len(self.figures.names[run]), 14)), right=True)
            )
            if run != self.base:
                columns += [Column("Δ", 6, right=True), Column("95 %", 14), Column("p", 5, right=True)]
                columns.append(Column("W/T/L", 14 if self.wide else 11, right=True))

        def difference(value: float | None, base: float | None, test: Any) -> list[Any]:
            if value is None or base is None:
                return ["", "", "", ""]
            if test is None:
                return [signed(value - base), "", "", ""]
            sure = test.p_holm < 0.05
            look = ("good" if test.delta > 0 else "bad") if sure else "dim"
            sign = ("▲" if test.delta > 0 else "▼") if sure else " "
            return [
                Cell(sign + signed(test.delta), look),
                Cell(f"[{signed(test.low)}, {signed(test.high)}]", "dim"),
                Cell(p_value(test.p_holm), look),
                Cell(f"{test.wins}/{test.ties}/{test.losses}", ""),
            ]

        def line(value_of: Any, test_of: Any) -> list[Any]:
            cells: list[Any] = []
            for run in runs:
                value = value_of(run)
                cells.append(score(value))
                if run != self.base:
                    cells += difference(
                        value, value_of(self.base) if self.base in runs else None, test_of(run)
                    )
            return cells

        def value(run: str, code: str) -> float | None:
            figure: Figure | None = table[run].get(code)
            return figure.value if figure else None

        def cells(code: str) -> list[Any]:
            return line(lambda run: value(run, code), lambda run: self.tests[run].languages.get(code))

        shared = [code for code in next(iter(table.values()), {}) if all(code in table[run] for run in runs)]

        def means(codes: Sequence[str]) -> list[Any]:
            both = [code for code in codes if code in shared]
            whole = len(both) == len(shared)
            return line(
                lambda run: comparing.mean_of(table[run], both),
                lambda run: self.tests[run].mean if whole else None,
            )

        gap_row: list[Any] = []
        for run in runs:
            gaps = [
                comparing.gap({code: table[which][code] for code in shared})
                for which in (run, self.base)
                if which in table
            ]
            gap_row.append(score(gaps[0]) if gaps[0] is not None else "")
            if run != self.base:
                known = len(gaps) == 2 and gaps[0] is not None and gaps[1] is not None
                gap_row += [signed(gaps[0] - gaps[1]) if known else "", "", "", ""]  # type: ignore[operator]
        codes = self.figures.languages(self.setting, self.measure)
        rows, keys = self._rows(codes, cells, means, gap_row)
        if self.paints:
            members = {"mean": shared, **{code: [code] for code in codes}}
            for name, group in comparing.grouped(codes, self.group).items():
                members[f"group {name}"] = [code for code in group if code in shared]
            rows = [
                [row[0], self._bars(runs, table, members.get(key, ())), *row[1:]]
                for row, key in zip(rows, keys, strict=True)
            ]
        return columns, rows, keys

    def _bars(
        self, runs: Sequence[str], table: dict[str, dict[str, Figure]], codes: Sequence[str]
    ) -> BarDrawing:
        """Return the runs' means over `codes` as bars over each other."""
        values = [(comparing.mean_of(table[run], codes), self.paints[run]) for run in runs]
        base, *others = [(value or 0.0, paint) for value, paint in values]
        return draw_bars(base, others, BARS)

    def _rows(
        self, codes: list[str], cells: Any, means: Any, gap_row: list[Any]
    ) -> tuple[list[Any], list[str]]:
        """Return the rows of all languages by group, with means on top, and a key for each."""
        made = {code: [f"{comparing.name_of(code)} {code}", *cells(code)] for code in codes}

        def place(code: str) -> Any:
            value = made[code][self.sorted_by] if self.sorted_by < len(made[code]) else ""
            return _sortable(value.text if isinstance(value, Cell) else value)

        ordered = sorted(sorted(codes), key=place, reverse=self.reversed)
        rows: list[Any] = [[Cell(f"mean of {len(codes)}", "head"), *means(codes)]]
        keys = ["mean"]
        if any(gap_row) and any(value not in ("", None) for value in gap_row):
            rows.append([Cell("high − low gap", "head"), *gap_row])
            keys.append("gap")
        for name, members in comparing.grouped(ordered, self.group).items():
            if name:
                rows.append([Cell(f"{name} ({len(members)})", "head"), *means(members)])
                keys.append(f"group {name}")
            rows += [made[code] for code in members]
            keys += members
        return rows, keys


def _sortable(value: Any) -> tuple[int, float, str]:
    """Return a key by which numbers sort as numbers, whatever sign stands before them, and text as text."""
    text = str(value).strip().lstrip("▲▼ ").replace("−", "-").removeprefix("[").split(",")[0].split("/")[0]
    try:
        return (0, float(text.replace("<", "")), "")
    except ValueError:
        return (1, 0.0, text.casefold())
