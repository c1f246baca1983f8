"""Stored transport plans: reading one, and writing its numbers or its picture. In threads only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class PlanKey(NamedTuple):
    """What names a stored plan."""

    run: str
    pair: str
    solver: str
    epsilon: float


@dataclass(frozen=True)
class StoredPlan:
    """A plan and its cost, both (Q, D), with the tokens of both sides and how it was solved."""

    key: PlanKey
    name: str
    source_language: str
    source_text: str
    target_text: str
    source_tokens: list[str]
    target_tokens: list[str]
    mass: npt.NDArray[np.float64]
    cost: npt.NDArray[np.float64]
    iterations: int
    marginal_error: float
    converged: bool
    value: float
    entropy: float

    def facts(self) -> str:
        """Return how it was solved and how far it came."""
        state = "converged" if self.converged else "NOT CONVERGED"
        rows, columns = self.mass.shape
        return (
            f"{rows}×{columns} {self.key.solver} ε {self.key.epsilon:.3g} · {state}, "
            f"{self.iterations} iterations, error {self.marginal_error:.0e} · cost {self.value:.3g} "
            f"· entropy {self.entropy:.2f} ({math.exp(self.entropy):.1f} matches)"
        )

    def cell(self, row: int, column: int) -> str:
        """Return what is known of one cell, in one line."""
        mass, whole = float(self.mass[row, column]), float(self.mass[row].sum())
        rank = int((self.mass[row] > self.mass[row, column]).sum()) + 1
        cost = float(self.cost[row, column])
        share = f"{mass / whole:.0%} of the row" if whole > 0 else "an empty row"
        return f"mass {mass:.4g}, {share}, rank {rank}, cost {cost:.3f}, mass × cost {mass * cost:.3g}"


def list_plans(results: Path, runs: list[str]) -> list[dict[str, Any]]:
    """Return what names each stored plan, of `runs` (ids) or of all, newest run first."""
    from engine.results.queries import ask

    where = "WHERE list_contains(?::VARCHAR[], plans.run)" if runs else ""
    answer = ask(
        results,
        f"""SELECT plans.run, runs.name, pair, source_language, source_text, target_text,
            solver, epsilon, entropy
        FROM plans JOIN runs ON runs.id = plans.run {where}
        ORDER BY runs.created DESC, plans.run, source_language, pair, solver, epsilon""",
        [runs] if runs else [],
    )
    return answer.records()


def read_plan(results: Path, key: PlanKey) -> StoredPlan:
    """Return one plan.

    Raises
    ------
    InputError
        If it is not there any more, or its matrices do not fit its tokens.
    """
    import numpy as np

    from engine.results.queries import ask

    answer = ask(
        results,
        """SELECT plans.*, runs.name FROM plans JOIN runs ON runs.id = plans.run
        WHERE run = ? AND pair = ? AND solver = ? AND epsilon = ?""",
        list(key),
    )
    if not answer.rows:
        raise InputError(f"plan {key.pair!r} of run {key.run} is not in the database any more")
    row = answer.records()[0]
    shape = (len(row["source_tokens"]), len(row["target_tokens"]))
    try:
        matrices = [np.array(row[name], dtype=np.float64) for name in ("plan", "cost")]
    except ValueError:
        matrices = []
    if len(matrices) != 2 or any(matrix.shape != shape for matrix in matrices) or 0 in shape:
        raise InputError(f"plan {key.pair!r} of run {key.run}: its matrices do not fit its tokens")
    return StoredPlan(
        key=key,
        name=row["name"],
        source_language=row["source_language"],
        source_text=row["source_text"],
        target_text=row["target_text"],
        source_tokens=list(row["source_tokens"]),
        target_tokens=list(row["target_tokens"]),
        mass=matrices[0],
        cost=matrices[1],
        iterations=row["iterations"],
        marginal_error=row["marginal_error"],
        converged=row["converged"],
        value=row["value"],
        entropy=row["entropy"],
    )


def export_plan(plan: StoredPlan, path: Path) -> None:
    """Write `plan` to `path`: numbers and tokens as ``.npz``, a picture as ``.png`` or ``.svg``.

    Raises
    ------
    InputError
        If the name ends otherwise, or the file cannot be written.
    """
    kind = path.suffix.lower()
    if kind not in (".npz", ".png", ".svg"):
        raise InputError("end the name with .npz, .png or .svg", path=path)
    try:
        if kind == ".npz":
            import numpy as np

            np.savez_compressed(
                path,
                plan=plan.mass,
                cost=plan.cost,
                source_tokens=np.array(plan.source_tokens),
                target_tokens=np.array(plan.target_tokens),
            )
        else:
            _draw(plan, path)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", path=path) from error


def _draw(plan: StoredPlan, path: Path) -> None:
    import warnings

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows, columns = plan.mass.shape
    figure = Figure(figsize=(2.5 + columns * 0.28, 2 + rows * 0.28), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    image = axes.imshow(plan.mass, cmap="viridis", aspect="equal")
    axes.set_xticks(range(columns), plan.target_tokens, rotation=90)
    axes.set_yticks(range(rows), plan.source_tokens)
    axes.set_title(f"{plan.name}: {plan.key.solver}, ε = {plan.key.epsilon:.3g}")
    figure.colorbar(image, ax=axes, label="mass", shrink=0.6)
    with warnings.catch_warnings():
        # A script that the font lacks shows as boxes; that is no reason to print on the screen.
        warnings.simplefilter("ignore")
        figure.savefig(path, dpi=150)
