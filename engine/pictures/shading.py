"""How the values of a plan become shades, in the app's heatmap and in pictures in files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]

Layer = Literal["mass", "cost", "product"]
By = Literal["row", "column", "all"]
LAYERS: tuple[Layer, ...] = ("mass", "cost", "product")
DECADES = 3
"""The number of decades on a logarithmic scale; smaller values have the lightest shade."""


@dataclass(frozen=True)
class Shading:
    """How values become shades.

    Parameters
    ----------
    layer : {"mass", "cost", "product"}
        The plan, its costs, or their product, which is each cell's part of the transport cost.
    by : {"row", "column", "all"}
        The largest value of the row, the column or the matrix has the full shade.
    logarithmic : bool
        Whether equal ratios, instead of equal differences, are equal steps of shade.
    threshold : float
        Cells below this share of the largest value are hidden.
    """

    layer: Layer = "mass"
    by: By = "all"
    logarithmic: bool = False
    threshold: float = 0.0

    def values(self, mass: Matrix, cost: Matrix) -> Matrix:
        """Return the values (Q, D) of the layer."""
        return {"mass": mass, "cost": cost, "product": mass * cost}[self.layer]

    def shares(self, values: Matrix) -> Matrix:
        """Return shades from 0 to 1 (Q, D) of `values`, which may be negative; hidden cells are NaN."""
        import numpy as np

        values = np.nan_to_num(np.abs(np.asarray(values, dtype=np.float64)))
        axis = {"row": 1, "column": 0, "all": None}[self.by]
        if self.layer == "cost":
            # The scale of masses starts at 0; that of costs starts at the smallest cost.
            values = values - values.min(axis=axis, keepdims=True)
        largest = values.max(axis=axis, keepdims=True)
        share = values / np.where(largest > 0, largest, 1)
        hidden = share < self.threshold
        if self.logarithmic:
            share = np.clip(1 + np.log10(np.maximum(share, 1e-12)) / DECADES, 0, 1)
        return np.where(hidden, np.nan, share)

    def description(self) -> str:
        """Return the shading in words, for a legend."""
        parts: list[str] = ["mass × cost" if self.layer == "product" else self.layer]
        parts.append("share of the largest" if self.by == "all" else f"share of its {self.by}'s largest")
        parts += [f"logarithmic, {DECADES} decades"] * self.logarithmic
        parts += [f"{self.threshold:.0%} and above"] * bool(self.threshold)
        return ", ".join(parts)


def epsilon_text(
    epsilon: float, setting: float | None = None, scale: str = "absolute", *, short: bool = False
) -> str:
    """Return the ε of a plan in the unit of its setting and, unless `short`, in the unit of the costs, too.

    Parameters
    ----------
    epsilon : float
        ε in the unit of the costs, 0 for an exact plan.
    setting : float, optional
        The setting ``epsilon``; None if it is not known.
    scale : str
        The setting ``epsilon_scale``: ``spread`` if the setting is a multiple of the spread of the costs.
    """
    if setting is None or scale != "spread" or epsilon == 0:
        return f"ε {epsilon:.3g}" + " in costs" * (setting is None and epsilon != 0)
    return f"ε {setting:.3g} × spread" + ("" if short else f" ({epsilon:.3g} in costs)")
