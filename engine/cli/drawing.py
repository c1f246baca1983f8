"""Plans as files: heatmaps for paper and screen, arrays for further work."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import OpticalError

#: Fonts asked for in turn, so that most scripts find one that is installed.
FONTS = (
    "DejaVu Sans",
    "Noto Sans",
    "Noto Sans Devanagari",
    "Noto Sans Arabic",
    "Noto Sans Thai",
    "Noto Sans CJK SC",
    "Noto Sans Bengali",
    "Noto Sans Tamil",
)


def export_plan(row: dict[str, Any], path: Path) -> None:
    """Write a row of the ``plans`` table to `path`, atomically: ``.npz``, ``.png`` or ``.svg``.

    An NPZ file holds ``plan`` and ``cost`` (Q, D), the two token lists, and the other figures as JSON.

    Raises
    ------
    OpticalError
        If the file cannot be written.
    """
    building = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        if path.suffix.lower() == ".npz":
            figures = {key: value for key, value in row.items() if key not in ("plan", "cost")}
            with building.open("wb") as stream:  # given a name, numpy would put .npz behind .NPZ
                np.savez_compressed(
                    stream,
                    plan=row["plan"],
                    cost=row["cost"],
                    source_tokens=np.array(row["source_tokens"]),
                    target_tokens=np.array(row["target_tokens"]),
                    record=np.array(json.dumps(figures, ensure_ascii=False)),
                )
        else:
            _draw(row, building)
        building.replace(path)
    except OSError as error:
        raise OpticalError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        building.unlink(missing_ok=True)


def _draw(row: dict[str, Any], path: Path) -> None:
    from matplotlib import font_manager
    from matplotlib.figure import Figure

    installed = {font.name for font in font_manager.fontManager.ttflist}
    fonts = [name for name in FONTS if name in installed]
    plan = row["plan"]
    shares = plan / np.maximum(plan.sum(1, keepdims=True), 1e-30)
    rows, columns = plan.shape
    figure = Figure(figsize=(2.2 + 0.3 * columns, 1.8 + 0.3 * rows), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="viridis", vmin=0, vmax=1, aspect="equal")
    style: dict[str, Any] = {
        "fontfamily": fonts,
        "parse_math": False,
    }  # dollar signs make no formula
    axes.set_xticks(range(columns), row["target_tokens"], rotation=90, **style)
    axes.set_yticks(range(rows), row["source_tokens"], **style)
    figure.colorbar(image, ax=axes, label="share of the row's mass", shrink=0.8)
    axes.set_title(
        f"⟨T, C⟩ {row['value']:.3f} · {row['solver']} · ε {row['epsilon']:.3g}\n"
        f"entropy {row['entropy']:.2f} nats · marginal error {row['marginal_error']:.1e}",
        fontsize=7,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # drawn as a box, which says as much
        figure.savefig(path, dpi=200)
