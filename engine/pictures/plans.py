"""Write transport plans to files: heatmaps as PNG or SVG, arrays as NPZ."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from engine.atomic import replacing
from engine.errors import InputError, OpticalError
from engine.pictures.shading import Shading

FORMATS = (".npz", ".png", ".svg")
ARRAYS = ("plan", "cost", "source_tokens", "target_tokens")
DEFAULT = Shading(by="row")


def export_plan(
    row: dict[str, Any],
    path: Path,
    shading: Shading = DEFAULT,
    *,
    colours: str = "viridis",
    marks: bool = False,
) -> str:
    """Write a transport plan to a file, atomically.

    An NPZ file contains ``plan`` and ``cost`` (Q, D), the two token lists, and all other values as JSON. In
    an SVG file labels are text, so the program that shows it chooses the fonts.

    Parameters
    ----------
    row : dict
        A row of the table ``plans``: ``plan`` and ``cost`` (Q, D), ``source_tokens``, ``target_tokens``, and
        the values that describe the plan.
    path : Path
        The file, whose name ends in ``.npz``, ``.png`` or ``.svg``.
    shading : Shading
        How the values become shades in a picture.
    colours : str
        The name of a colour map of matplotlib.
    marks : bool
        Whether a picture marks the largest mass of each row.

    Returns
    -------
    str
        A sentence if labels were replaced by numbers because no font can draw them; otherwise empty.

    Raises
    ------
    InputError
        If the file name has another ending.
    OpticalError
        If the file cannot be written.
    """
    kind = path.suffix.lower()
    if kind not in FORMATS:
        raise InputError(f"a plan is exported as {', '.join(FORMATS)}", path=path)
    note = ""
    try:
        with replacing(path) as building:
            if kind == ".npz":
                others = {key: value for key, value in row.items() if key not in ARRAYS}
                with building.open("wb") as stream:  # numpy would add .npz to a name that ends in .NPZ
                    np.savez_compressed(
                        stream,
                        plan=row["plan"],
                        cost=row["cost"],
                        source_tokens=np.array(row["source_tokens"]),
                        target_tokens=np.array(row["target_tokens"]),
                        record=np.array(json.dumps(others, ensure_ascii=False)),
                    )
            else:
                note = _draw(row, building, shading, colours, marks)
    except OSError as error:
        raise OpticalError(f"{path}: cannot be written: {error.strerror or error}") from error
    return note


def _draw(row: dict[str, Any], path: Path, shading: Shading, colours: str, marks: bool) -> str:
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    svg = path.suffix.lower() == ".svg"
    plan, cost = (np.asarray(row[name], dtype=np.float64) for name in ("plan", "cost"))
    shares = shading.shares(shading.values(plan, cost))
    rows, columns = plan.shape
    figure = Figure(figsize=(2.2 + 0.3 * columns, 1.8 + 0.3 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    # Rectangles are drawn, because programs that show an SVG smooth the pixels of an image.
    edges = np.arange(columns + 1) - 0.5, np.arange(rows + 1) - 0.5
    image = axes.pcolormesh(*edges, shares, cmap=colours, vmin=0, vmax=1, edgecolors="face", linewidth=0.5)
    axes.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5), aspect="equal")
    if marks:
        best = plan.argmax(1)
        light = np.nan_to_num(shares[np.arange(rows), best]) > 0.5
        axes.scatter(best, np.arange(rows), s=8, c=np.where(light, "black", "white"), linewidths=0)
    names, fonts, missing = _labels(row["target_tokens"], keep=svg)
    axes.set_xticks(range(columns), names, rotation=90, rotation_mode="anchor", ha="right", va="center")
    others, other_fonts, also = _labels(row["source_tokens"], keep=svg)
    axes.set_yticks(range(rows), others)
    axes.tick_params(length=0)
    labels = [*axes.get_xticklabels(), *axes.get_yticklabels()]
    for label, families in zip(labels, fonts + other_fonts, strict=True):
        label.set(fontfamily=[*families, "sans-serif"], parse_math=False)  # a dollar sign starts no formula
    figure.colorbar(image, ax=axes, label=shading.description(), shrink=0.8)
    axes.set_title(
        f"⟨T, C⟩ {row['value']:.3f} · {row['solver']} · ε {row['epsilon']:.3g}\n"
        f"entropy {row['entropy']:.2f} nats · marginal error {row['marginal_error']:.1e}",
        fontsize=7,
    )
    # Labels of an SVG stay text; the reader may have fonts that are missing here.
    with rc_context({"svg.fonttype": "none"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(path, dpi=200, metadata={"Date": None} if svg else None)
    if not missing + also:
        return ""
    from engine.pictures.fonts import missing_fonts_message

    return missing_fonts_message(missing + also)


def _labels(tokens: list[str], *, keep: bool) -> tuple[list[str], list[list[str]], list[str]]:
    """Return the labels, their fonts, and the tokens that no font can draw.

    The labels of those tokens are numbers, unless `keep` is set.
    """
    from engine.pictures.fonts import fonts_for

    fonts = [fonts_for(token) for token in tokens]
    missing = [token for token, families in zip(tokens, fonts, strict=True) if not families and not keep]
    labels = [
        token if families or keep else f"[{number}]"
        for number, (token, families) in enumerate(zip(tokens, fonts, strict=True), 1)
    ]
    return labels, fonts, missing
