"""From a plan and its costs to shades: one definition for the app's heatmap and for pictures in files."""

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
"""Decades that a logarithmic scale shows; what is smaller is as good as nothing."""


@dataclass(frozen=True)
class Shading:
    """How values become shades.

    Parameters
    ----------
    layer : {"mass", "cost", "product"}
        The plan, its costs, or the two multiplied: what each cell contributes to the transport cost.
    by : {"row", "column", "all"}
        Whose largest value is the full shade.
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
        """Return the layer, (Q, D), as it is."""
        return {"mass": mass, "cost": cost, "product": mass * cost}[self.layer]

    def shares(self, values: Matrix) -> Matrix:
        """Return shades from 0 to 1, (Q, D), of `values`, which may be negative: NaN where hidden."""
        import numpy as np

        values = np.nan_to_num(np.abs(np.asarray(values, dtype=np.float64)))
        axis = {"row": 1, "column": 0, "all": None}[self.by]
        if self.layer == "cost":
            # Mass begins at nothing; costs differ among themselves.
            values = values - values.min(axis=axis, keepdims=True)
        largest = values.max(axis=axis, keepdims=True)
        share = values / np.where(largest > 0, largest, 1)
        hidden = share < self.threshold
        if self.logarithmic:
            share = np.clip(1 + np.log10(np.maximum(share, 1e-12)) / DECADES, 0, 1)
        return np.where(hidden, np.nan, share)

    def words(self) -> str:
        """Return it in words, for a legend."""
        parts: list[str] = ["mass × cost" if self.layer == "product" else self.layer]
        parts.append("share of the largest" if self.by == "all" else f"share of its {self.by}'s largest")
        parts += [f"logarithmic, {DECADES} decades"] * self.logarithmic
        parts += [f"{self.threshold:.0%} and above"] * bool(self.threshold)
        return ", ".join(parts)
