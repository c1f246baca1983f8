"""The data of the Study screen. The functions read the database and are called in threads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

if TYPE_CHECKING:
    from engine.evaluation.study import LanguageGroups, Study, StudyTable
    from engine.evaluation.study_report import Sheet

SHEETS = ("arms", "languages", "differences", "documents", "interactions")
"""The sheets of a collection, in the order in which they are shown."""

BEFORE, AFTER = "○", "●"


@dataclass(frozen=True)
class LoadedStudy:
    """A study, and whether it is the reference study that Optical Workbench ships."""

    study: Study
    reference: bool


def load_study(results: Path, run: str | None) -> LoadedStudy:
    """Read the study `run` (an id); None reads the user's newest study, else the reference study.

    Raises
    ------
    OpticalError
        If there is no study, or it has no scores yet.
    """
    from engine.evaluation.study_cache import load_study as load
    from engine.results.reference import newest_study, reference_results

    run = run or newest_study(results)
    if run is not None:
        return LoadedStudy(load(results, run), False)
    shipped = reference_results()
    return LoadedStudy(load(shipped, newest_study(shipped) or ""), True)


def make_sheet(table: StudyTable, study: Study, name: str) -> Sheet:
    """Return one of `SHEETS` of a collection's table."""
    from engine.evaluation import study_report as report

    if name == "languages":
        return report.language_sheet(table, study)
    make = {
        "arms": report.arm_sheet,
        "differences": report.effect_sheet,
        "documents": report.document_sheet,
    }
    return make.get(name, report.interaction_sheet)(table)


def describe_findings(table: StudyTable, study: Study) -> str:
    """Return in sentences what the table shows, and what it cannot show."""
    from engine.evaluation.study_report import answer, caveats, primary_answer

    return "\n".join([*primary_answer(study), "", *answer(table), "", *caveats(study)])


def draw_gaps(table: StudyTable, group: LanguageGroups, width: int) -> Text:
    """Return a plot of the gap of each arm: ``○`` before distillation, ``●`` after it.

    Parameters
    ----------
    table : StudyTable
    group : LanguageGroups
        The languages between which the gap is.
    width : int
        Number of cells. The scale begins at 0, or at the lowest gap if one is negative.
    """
    gaps = table.gaps[group.name]
    ends = [gaps[arm][when].mean for arm in gaps for when in ("before", "after")]
    low, high = min(0.0, *ends), max(0.0, *ends)
    names = max(map(len, gaps))
    length = max(width - names - 20, 10)
    scale = (length - 1) / (high - low) if high > low else 0.0
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(
        f"gap by {group.name}: {' '.join(group.high)} minus {' '.join(group.low)} "
        f"({BEFORE} before, {AFTER} after)\n",
        "bold",
    )
    for arm, by_time in gaps.items():
        before, after = (by_time[when].mean for when in ("before", "after"))
        first, last = (round((value - low) * scale) for value in (before, after))
        cells = [" "] * length
        cells[round(-low * scale)] = "│"
        for place in range(min(first, last) + 1, max(first, last)):
            cells[place] = "─"
        cells[first], cells[last] = BEFORE, AFTER  # if both are in one cell, the later one is shown
        text.append(f"{arm:<{names}} {''.join(cells)} {before:+.3f} → {after:+.3f}\n")
    text.rstrip()
    return text
