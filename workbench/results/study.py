"""What the study view shows, without the screen. Called in threads only; the engine is imported late."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

if TYPE_CHECKING:
    from engine.evaluation.study import Group, Study, Table

SHEETS = ("arms", "languages", "differences", "interactions")
"""The tables of a study's collection, in the order in which they are shown."""

BEFORE, AFTER = "○", "●"


@dataclass(frozen=True)
class Loaded:
    """A study, and whether it is the one that ships rather than the user's own."""

    study: Study
    reference: bool


def load(results: Path, run: str | None) -> Loaded:
    """Read the study `run`, else the user's newest one, else the reference study.

    Raises
    ------
    OpticalError
        If there is none, or it has nothing to show yet.
    """
    from engine.evaluation.study import load_study
    from engine.results.reference import newest_study, reference_results

    run = run or newest_study(results)
    if run is not None:
        return Loaded(load_study(results, run), False)
    shipped = reference_results()
    return Loaded(load_study(shipped, newest_study(shipped) or ""), True)


def sheet(table: Table, study: Study, name: str) -> tuple[str, list[str], list[list[str]]]:
    """Return title, columns and rows of one of `SHEETS`."""
    from engine.evaluation.study_report import sheets

    found = sheets(table, study)
    order = {"languages": 0, "arms": 1, "differences": 2, "interactions": 3}
    chosen = found[order[name]]
    return chosen.title, chosen.columns, chosen.rows


def sentences(table: Table, study: Study) -> str:
    """Return what the table says about the question, and what it cannot say."""
    from engine.evaluation.study_report import answer, caveats

    return "\n".join([*answer(table), "", *caveats(study)])


def gap_lines(table: Table, group: Group, width: int) -> Text:
    """Return the gap over the arms as lines of text: ``○`` before distillation, ``●`` after it.

    The scale begins at no gap, or at the lowest where a gap is negative; `width` cells are all there is.
    """
    gaps = table.gaps[group.name]
    ends = [gaps[arm][when].mean for arm in gaps for when in ("before", "after")]
    low, high = min(0.0, *ends), max(0.0, *ends)
    names = max(map(len, gaps))
    room = max(width - names - 20, 10)
    scale = (room - 1) / (high - low) if high > low else 0.0
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(
        f"gap by {group.name}: {' '.join(group.high)} minus {' '.join(group.low)} "
        f"({BEFORE} before, {AFTER} after)\n",
        "bold",
    )
    for arm, by_time in gaps.items():
        before, after = (by_time[when].mean for when in ("before", "after"))
        first, last = (round((value - low) * scale) for value in (before, after))
        cells = [" "] * room
        cells[round(-low * scale)] = "│"
        for place in range(min(first, last) + 1, max(first, last)):
            cells[place] = "─"
        cells[first], cells[last] = BEFORE, AFTER  # where both lie in one cell, the later one is seen
        text.append(f"{arm:<{names}} {''.join(cells)} {before:+.3f} → {after:+.3f}\n")
    text.rstrip()
    return text
