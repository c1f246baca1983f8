"""Tables for papers hold the figures of ``--json``, escaped for their language."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pytest

from engine.cli.grids import Grid, Value, compared_grid, latex, markdown

NAMES = {"zero": "zero-shot", "best": "ours & 100% {x} \\input{y}"}


@pytest.fixture
def three(make_run: Any) -> tuple[Any, Any, Any]:
    """A baseline, a system that is better on every query of one language, and one that is worse."""
    base = [0.1 + 0.002 * (place % 7) for place in range(60)]
    high = [value + 0.3 + 0.001 * (place % 5) for place, value in enumerate(base)]
    return (
        make_run("zero_shot", {"so": base, "sw": base}, zero_shot=True),
        make_run("a|b", {"so": high, "sw": base}),
        make_run("low", {"so": [v / 2 for v in base], "sw": [v / 2 for v in base]}, config={"note": "x"}),
    )


def cells(line: str, split: str, end: str = "") -> list[str]:
    return [cell.strip() for cell in line.removesuffix(end).strip().strip("|").split(split)]


def test_latex_and_markdown_have_the_figures_of_json(call: Any, three: Any) -> None:
    names = ["zero_shot", "a|b", "low"]
    told = json.loads(call("compare", *names, "--json").out)
    (table,) = told["tables"]
    code, out, err = call("compare", *names, "--format", "latex")
    assert (code, err) == (0, "")
    body = out.split("\\midrule\n")[1].split("\\bottomrule")[0].strip().splitlines()
    heads = cells(out.split("\\toprule\n")[1].splitlines()[0], "&", "\\\\")
    assert heads == ["system", "so", "sw", "mean"]
    rows = [cells(line, "&", "\\\\") for line in body]
    assert [row[0] for row in rows] == ["zero\\_shot", "a|b", "low"]
    expected = {(row["run"], row["language"]): row for row in table["rows"]}
    ids = [run["id"] for run in told["runs"]]
    for place, run in enumerate(ids[1:], start=1):
        for column, code_ in enumerate(("so", "sw", None), start=1):
            row = expected[run, code_]
            cell = rows[place][column]
            assert f"{row['value']:.3f}" in cell
            p = row["p_holm"] if row["p_holm"] is not None else row["checkpoints"]["p_holm"]
            assert ("^{*}" in cell) == (p < 0.05)
    # the best of a column, and every one that ties with it
    assert [row[1].startswith("\\textbf{") for row in rows] == [False, True, False]
    assert [row[2].startswith("\\textbf{") for row in rows] == [True, True, False]
    lines = call("compare", *names, "--format", "markdown").out.splitlines()
    assert all(len(re.split(r"(?<!\\)\|", line)) == 6 for line in lines if line.startswith("|"))
    shown = [line for line in lines if line.startswith("| a\\|b")]
    assert shown and "**" in shown[0]
    assert call("compare", *names, "--format", "csv").out == call("compare", *names, "--csv").out


def test_text_of_a_run_is_not_run_by_latex() -> None:
    table = {
        "rows": [
            {
                "run": "best",
                "baseline_run": "zero",
                "language": None,
                "baseline": 0.5,
                "value": 0.25,
                "p_holm": 0.2,
                "checkpoints": {"p_holm": None},
            }
        ],
        "notes": ["$x^2$ is 5 % of #1"],
        **dict.fromkeys(("collection", "protocol", "scoring", "direction"), "a_b"),
        "measure": "Max@R",
    }
    text = latex(compared_grid(table, NAMES, lower_is_better=True))
    assert "ours \\& 100\\% \\{x\\} \\textbackslash{}input\\{y\\}" in text
    assert "\\$x\\textasciicircum{}2\\$ is 5 \\% of \\#1" in text
    assert "\\textbf{0.250}" in text and "\\textbf{0.500}" not in text  # lower is better
    assert "*" not in text.split("\\midrule")[1].split("\\bottomrule")[0]


def test_many_languages_are_rows() -> None:
    rows = [
        {
            "run": "best",
            "baseline_run": "zero",
            "language": code,
            "baseline": 0.1,
            "value": 0.2,
            "p_holm": 0.001,
            "checkpoints": {"p_holm": None},
        }
        for code in [*"abcdefghij", None]
    ]
    key = dict.fromkeys(("collection", "protocol", "scoring", "direction", "measure"), "x")
    grid = compared_grid({"rows": rows, "notes": [], **key}, NAMES, lower_is_better=False)
    assert grid.columns[1] == "zero-shot" and [row[0] for row in grid.rows] == [*"abcdefghij", "mean"]
    assert grid.rows[0][2] == Value("0.200", True, "*")


def test_a_cell_cannot_end_a_row_of_markdown() -> None:
    text = markdown(Grid("c", ["a", "b"], [["x|y\nz", Value("1")]]))
    assert [line for line in text.splitlines() if line.startswith("|")][-1] == "| x\\|y\\\\nz | 1 |"


def test_scores_of_a_run(call: Any, three: Any) -> None:
    zero = three[0]
    figures = json.loads(call("show", zero.id, "--json").out)["scores"][0]["figures"]
    rows = list(csv.DictReader(io.StringIO(call("show", zero.id, "--format", "csv").out)))
    assert [float(row["value"]) for row in rows] == [figure["value"] for figure in figures]
    assert {row["run"] for row in rows} == {zero.id}
    out = call("show", zero.id, "--format", "latex").out
    assert out.count("\\begin{table}") == 1 and f"{figures[0]['value']:.3f}" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ("compare", "zero_shot", "low", "--json", "--format", "latex"),
        ("compare", "zero_shot", "low", "--csv", "--format", "latex"),
        ("compare", "zero_shot", "low", "--raw", "--format", "markdown"),
        ("compare", "zero_shot", "low", "--published", "--format", "latex"),
        ("show", "low", "--json", "--format", "csv"),
        ("show", "low", "--format", "html"),
    ],
)
def test_options_that_exclude_each_other(call: Any, three: Any, arguments: tuple[str, ...]) -> None:
    code, out, err = call(*arguments)
    assert code == 2 and not out and err
