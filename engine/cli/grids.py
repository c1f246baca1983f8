"""Tables for papers and pages: LaTeX (booktabs) and Markdown, with the best value in bold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from engine.visible import markdown_literal, visible

#: Above this number of languages, a table has a row for each language instead of a column.
WIDEST = 8
#: The p value below which a difference is marked.
LEVEL = 0.05


@dataclass(frozen=True)
class Value:
    """A cell with a number.

    Attributes
    ----------
    text : str
        The number.
    best : bool
        Whether it is the best of its column.
    marks : str
        The letters of the systems from which it differs significantly.
    """

    text: str
    best: bool = False
    marks: str = ""


@dataclass(frozen=True)
class Grid:
    """A table: its caption, the heads of its columns, and its rows, which begin with their name.

    `notes` are sentences below it.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | Value]]
    notes: Sequence[str] = field(default_factory=tuple)

    def turned(self) -> Grid:
        """Return the table with rows as columns."""
        rows = [
            [name, *(row[place] for row in self.rows)] for place, name in enumerate(self.columns[1:], start=1)
        ]
        names = [str(row[0]) for row in self.rows]
        return Grid(self.caption, [self.columns[0], *names], rows, self.notes)


def format_option(command: Any) -> Any:
    """Add ``--format FORM``."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(["text", "latex", "markdown", "csv"]),
        default="text",
        show_default=True,
        help="How tables are printed; latex needs the package booktabs.",
    )(command)


def latex(grid: Grid) -> str:
    """Return a table as LaTeX, which needs the package booktabs."""
    heads = " & ".join(_latex(name) for name in grid.columns)
    lines = [
        "\\begin{table}",
        "\\centering",
        f"\\caption{{{_latex(grid.caption)}}}",
        f"\\begin{{tabular}}{{l{'r' * (len(grid.columns) - 1)}}}",
        "\\toprule",
        f"{heads} \\\\",
        "\\midrule",
        *(" & ".join(map(_latex_cell, row)) + " \\\\" for row in grid.rows),
        "\\bottomrule",
        "\\end{tabular}",
        *(f"\\par\\smallskip{{\\footnotesize {_latex(note)}}}" for note in grid.notes),
        "\\end{table}",
    ]
    return "\n".join(lines) + "\n"


def markdown(grid: Grid) -> str:
    """Return a table as Markdown (GitHub's tables)."""
    lines = [
        f"**{markdown_literal(grid.caption)}**",
        "",
        _row(map(markdown_literal, grid.columns)),
        _row(["---", *["---:"] * (len(grid.columns) - 1)]),
        *(_row(map(_markdown_cell, row)) for row in grid.rows),
    ]
    for note in grid.notes:
        lines += ["", markdown_literal(note)]
    return "\n".join(lines) + "\n"


def compared_grid(table: Mapping[str, Any], names: Mapping[str, str], *, lower_is_better: bool) -> Grid:
    """Return a table of ``compare``: a row for each system, a column for each language and the mean.

    Parameters
    ----------
    table : mapping
        A table as ``compare --json`` prints it.
    names : mapping of run id to str
        The names of the systems.
    lower_is_better : bool
        Whether the best value is the lowest.
    """
    rows = table["rows"]
    bases = list(dict.fromkeys(row["baseline_run"] for row in rows))
    languages = list(dict.fromkeys(row["language"] for row in rows))
    values: dict[str, dict[Any, float]] = {}
    marks: dict[tuple[str, Any], str] = {}
    symbols = {base: "*" if len(bases) == 1 else _symbol(place) for place, base in enumerate(bases)}
    over_seeds = False
    for row in rows:
        values.setdefault(row["baseline_run"], {})[row["language"]] = row["baseline"]
        values.setdefault(row["run"], {})[row["language"]] = row["value"]
        p = row["p_holm"]
        over_seeds |= p is not None
        if p is None:
            p = row["checkpoints"]["p_holm"]
        if p is not None and p < LEVEL:
            place = row["run"], row["language"]
            marks[place] = marks.get(place, "") + symbols[row["baseline_run"]]
    pick = min if lower_is_better else max
    best = {code: pick(round(of[code], 3) for of in values.values() if code in of) for code in languages}
    cells = [
        [
            names[run] + (f" ({symbols[run]})" if run in symbols and len(bases) > 1 else ""),
            *(
                Value(f"{of[code]:.3f}", round(of[code], 3) == best[code], marks.get((run, code), ""))
                if code in of
                else ""
                for code in languages
            ),
        ]
        for run, of in values.items()
    ]
    tested = "topics and seeds" if over_seeds else "topics, for these checkpoints"
    compared = " and ".join(f"{symbols[base]} {names[base]}" for base in bases)
    notes = [
        f"Bold: the {'lowest' if lower_is_better else 'highest'} value of a column. "
        f"{compared}: differs from it at p < {LEVEL:g} (test over {tested}; Holm-corrected).",
        *table["notes"],
    ]
    key = [table[name] for name in ("collection", "protocol", "scoring", "direction")]
    caption = f"{table['measure']} on {', '.join(key)}"
    grid = Grid(caption, ["system", *(code or "mean" for code in languages)], cells, notes)
    return grid.turned() if len(languages) > WIDEST + 1 else grid


def _symbol(place: int) -> str:
    return chr(ord("a") + place % 26)


_LATEX = {
    **{char: f"\\{char}" for char in "&%$#_{}"},
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "<": "\\textless{}",
    ">": "\\textgreater{}",
    "–": "--",
    "Δ": "$\\Delta$",
    "→": "$\\to$",
    "·": "$\\cdot$",
    "×": "$\\times$",
}


def _latex(text: str) -> str:
    return "".join(_LATEX.get(char, char) for char in visible(text))


def _latex_cell(cell: str | Value) -> str:
    if isinstance(cell, str):
        return _latex(cell)
    text = f"\\textbf{{{cell.text}}}" if cell.best else cell.text
    return f"{text}$^{{{cell.marks}}}$" if cell.marks else text


def _markdown_cell(cell: str | Value) -> str:
    if isinstance(cell, str):
        return markdown_literal(cell)
    text = f"**{cell.text}**" if cell.best else cell.text
    return text + markdown_literal(cell.marks)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
