"""The plots of a study: scores before and after distillation by language, gaps, and learning curves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import OpticalError
from engine.evaluation.study import AFTER, BEFORE, Study, StudyTable

#: Colours that colour-blind readers can distinguish (Okabe and Ito 2008), also in greyscale.
_COLOURS = ("#000000", "#0072B2", "#56B4E9", "#E69F00", "#D55E00", "#009E73", "#CC79A7")
_CURVES = {"pretrain": "held-out loss of pre-training", "distil": "held-out MRR of distillation"}


def save_plots(study: Study, folder: Path) -> list[Path]:
    """Write all plots of `study` into `folder`, as SVG and as PNG, and return the files.

    Raises
    ------
    OpticalError
        If a file cannot be written.
    """
    written = []
    for place, table in enumerate(study.tables):
        name = f"{place + 1}-{table.collection}"
        written += _save(_bars(table, study), folder / f"{name}-languages")
        if table.groups:
            written += _save(_gaps(table), folder / f"{name}-gaps")
    written += _save(_learning(study), folder / "learning-curves")
    return written


def _bars(table: StudyTable, study: Study) -> Any:
    """Draw a bar for each language and arm: light before distillation, full after it."""
    codes = sorted(table.queries, key=lambda code: -study.sizes.get(code, {}).get("tokens", 0.0))
    arms = list(table.values)
    figure, axes = _figure(1.6 + 0.5 * len(codes), 3.2)
    width = 0.8 / len(arms)
    for place, arm in enumerate(arms):
        at = np.arange(len(codes)) + (place - (len(arms) - 1) / 2) * width
        colour = _COLOURS[place % len(_COLOURS)]
        after = [table.values[arm][AFTER][code] for code in codes]
        axes.bar(at, [e.mean for e in after], width, color=colour, label=arm)
        errors = [e.sd or 0.0 for e in after]
        axes.errorbar(at, [e.mean for e in after], errors, fmt="none", ecolor="grey", elinewidth=0.7)
        before = [table.values[arm][BEFORE][code].mean for code in codes]
        axes.bar(at, before, width, color="white", alpha=0.55, edgecolor=colour, linewidth=0.6)
    axes.set_xticks(range(len(codes)), codes)
    axes.set(ylabel=table.measure, xlabel="language, most pre-training text first")
    axes.set_title(f"{table.title}\nlight: before distillation; full: after it (± sd over seeds)", fontsize=8)
    figure.legend(fontsize=7, frameon=False, loc="outside lower center", ncols=len(arms))
    return figure


def _gaps(table: StudyTable) -> Any:
    """Draw each gap by arm, before and after distillation, with a point for every seed."""
    figure, panels = _figure(1.2 + 3.2 * len(table.groups), 3.0, len(table.groups))
    arms = list(table.values)
    for axes, group in zip(np.atleast_1d(panels), table.groups, strict=True):
        for when, colour, marker in ((BEFORE, _COLOURS[1], "o"), (AFTER, _COLOURS[4], "s")):
            found = [table.gaps[group.name][arm][when] for arm in arms]
            axes.plot(range(len(arms)), [e.mean for e in found], color=colour, marker=marker, label=when)
            for place, estimate in enumerate(found):
                axes.scatter([place] * len(estimate.seeds), estimate.seeds, s=8, color=colour, alpha=0.5)
        axes.axhline(0, color="grey", linewidth=0.6)
        axes.set_xticks(range(len(arms)), arms, fontsize=7)
        axes.set_ylabel(f"gap in {table.measure}")
        title = f"by {group.name}: {' '.join(group.high)}\nminus {' '.join(group.low)}"
        axes.set_title(title, fontsize=7)
        axes.legend(fontsize=7, frameon=False)
    figure.suptitle(table.title, fontsize=8)
    return figure


def _learning(study: Study) -> Any:
    """Draw the curves of pre-training and distillation: for each arm the mean over seeds."""
    figure, panels = _figure(8.0, 3.0, len(study.curves))
    for axes, (stage, curves) in zip(np.atleast_1d(panels), study.curves.items(), strict=True):
        for place, (arm, curve) in enumerate(curves.items()):
            axes.plot(list(curve), list(curve.values()), color=_COLOURS[place % len(_COLOURS)], label=arm)
        axes.set(xlabel="step", ylabel=_CURVES[stage])
        axes.legend(fontsize=7, frameon=False)
    return figure


def _figure(width: float, height: float, panels: int = 1) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, panels)


def _save(figure: Any, stem: Path) -> list[Path]:
    from matplotlib import rc_context

    written = []
    for suffix in (".svg", ".png"):
        path = stem.with_name(stem.name + suffix)
        try:
            # Text stays text, and the same study produces the same file.
            with rc_context({"svg.fonttype": "none", "svg.hashsalt": "study"}):
                figure.savefig(path, dpi=150, metadata={"Date": None} if suffix == ".svg" else None)
        except OSError as error:
            raise OpticalError(f"{path}: cannot be written: {error.strerror or error}") from error
        written.append(path)
    return written
