"""Transport plans of the Plan screen: reading stored ones, and describing plans and their cells."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import InputError
from engine.pictures.shading import epsilon_text

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


DEFAULT_SCALE = "spread"
"""The default of the setting ``epsilon_scale``, for runs that recorded none."""


class PlanKey(NamedTuple):
    """What identifies a stored plan."""

    run: str
    pair: str
    solver: str
    epsilon: float


@dataclass(frozen=True)
class Pair:
    """Two sentences. `id` is the id of a stored pair; it is empty for a typed pair."""

    id: str
    language: str
    source: str
    target: str


@dataclass(frozen=True)
class SolvedPlan:
    """A transport plan and how it was solved.

    Attributes
    ----------
    run, name : str
        Id and name of the run that encoded the pair.
    pair : Pair
    source_tokens, target_tokens : list of str
        The Q tokens of the rows and the D tokens of the columns.
    mass, cost : ndarray of shape (Q, D)
        The plan and the cost matrix.
    solver, epsilon, iterations, marginal_error, converged
        How it was solved, and how far the solver came.
    value : float
        The transport cost <mass, cost>.
    entropy : float
        Mean entropy of the rows, in nats.
    stored : bool
        Whether the plan was read from the results database.
    epsilon_setting : float, optional
        The setting ``epsilon``, in the unit of ``epsilon_scale``; `epsilon` is in the unit of the costs.
    epsilon_scale : str
        The setting ``epsilon_scale``.
    """

    run: str
    name: str
    pair: Pair
    source_tokens: list[str]
    target_tokens: list[str]
    mass: npt.NDArray[np.float64]
    cost: npt.NDArray[np.float64]
    solver: str
    epsilon: float
    iterations: int
    marginal_error: float
    converged: bool
    value: float
    entropy: float
    stored: bool = True
    epsilon_setting: float | None = None
    epsilon_scale: str = "absolute"

    def with_setting(self, transport: Mapping[str, Any]) -> SolvedPlan:
        """Return the plan with ε and its unit from settings, if it was solved with them."""
        if transport.get("solver", self.solver) != self.solver or transport.get("epsilon") is None:
            return self
        scale = str(transport.get("epsilon_scale", DEFAULT_SCALE))
        return replace(self, epsilon_setting=float(transport["epsilon"]), epsilon_scale=scale)

    def summary(self) -> str:
        """Return in two lines how far the solver came, how spread the mass is, and which solver it was."""
        rows, columns = self.mass.shape
        epsilon = epsilon_text(self.epsilon, self.epsilon_setting, self.epsilon_scale, short=True)
        return (
            f"{'converged' if self.converged else 'NOT CONVERGED'}, marginal error {self.marginal_error:.0e}"
            f", {self.iterations} iterations · entropy {self.entropy:.2f}\n"
            f"{math.exp(self.entropy):.1f} matches · cost {self.value:.3g} · {rows}×{columns} · "
            f"{'stored' if self.stored else 'solved now'}: {self.solver} {epsilon}"
        )

    def describe_cell(self, row: int, column: int) -> str:
        """Return the figures of one cell in one line."""
        mass, whole = float(self.mass[row, column]), float(self.mass[row].sum())
        rank = int((self.mass[row] > self.mass[row, column]).sum()) + 1
        cost, total = float(self.cost[row, column]), float((self.mass * self.cost).sum())
        share = f"{mass / whole:.0%} of the row" if whole > 0 else "an empty row"
        part = f" ({mass * cost / total:.0%})" if total > 0 else ""
        return f"mass {mass:.4g}, {share}, rank {rank}, cost {cost:.3f}, contribution {mass * cost:.3g}{part}"

    def has_same_tokens(self, other: SolvedPlan) -> bool:
        """Return whether both plans have the same tokens, so that their cells can be compared."""
        return (self.source_tokens, self.target_tokens) == (other.source_tokens, other.target_tokens)

    def describe_difference(self, other: SolvedPlan) -> str:
        """Return how far this plan is from `other`, which has the same tokens, in one line."""
        moved = float(abs(self.mass - other.mass).sum()) / 2 / max(float(self.mass.sum()), 1e-30)
        same = int((self.mass.argmax(1) == other.mass.argmax(1)).sum())
        return f"{moved:.0%} of the mass moved, {same} of {len(self.mass)} rows peak at the same token"

    def to_record(self) -> dict[str, Any]:
        """Return the plan as a row of the table ``plans``."""
        names = ("solver", "epsilon", "iterations", "marginal_error", "converged", "value", "entropy")
        return {
            "run": self.run,
            "pair": self.pair.id or "typed",
            "source_language": self.pair.language,
            "source_text": self.pair.source,
            "target_text": self.pair.target,
            "source_tokens": self.source_tokens,
            "target_tokens": self.target_tokens,
            "plan": self.mass,
            "cost": self.cost,
            **{name: getattr(self, name) for name in names},
        }


def list_plans(results: Path, runs: list[str]) -> list[dict[str, Any]]:
    """Return keys, texts and entropies of the stored plans of `runs` (ids), newest run first.

    If `runs` is empty, the plans of all runs are returned.
    """
    from engine.results.queries import ask

    where = "WHERE list_contains(?::VARCHAR[], plans.run)" if runs else ""
    answer = ask(
        results,
        f"""SELECT plans.run, runs.name, pair, source_language, source_text, target_text,
            solver, epsilon, entropy
        FROM plans JOIN runs ON runs.id = plans.run {where}
        ORDER BY runs.created DESC, plans.run, source_language, pair, solver, epsilon""",  # nosec B608
        [runs] if runs else [],
    )
    return answer.records()


def read_plan(results: Path, key: PlanKey) -> SolvedPlan:
    """Return a stored plan.

    Raises
    ------
    InputError
        If the plan is not in the database any more, or its matrices do not fit its tokens.
    """
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
    return plan_from_record(row, key.run, row["name"], pair_of(row), stored=True)


def pair_of(record: dict[str, Any]) -> Pair:
    """Return the pair of a row of the table ``plans``."""
    return Pair(record["pair"], record["source_language"], record["source_text"], record["target_text"])


def plan_from_record(
    record: Mapping[str, Any], run: str, name: str, pair: Pair, *, stored: bool
) -> SolvedPlan:
    """Return the plan of a row of the table ``plans``, or of a `PlanReply`, which has the same fields.

    Raises
    ------
    InputError
        If the matrices do not fit the tokens.
    """
    import numpy as np

    shape = (len(record["source_tokens"]), len(record["target_tokens"]))
    try:
        matrices = [np.array(record[part], dtype=np.float64) for part in ("plan", "cost")]
    except ValueError:
        matrices = []
    if len(matrices) != 2 or any(matrix.shape != shape for matrix in matrices) or 0 in shape:
        raise InputError(f"plan {pair.id!r} of run {run}: its matrices do not fit its tokens")
    return SolvedPlan(
        run=run,
        name=name,
        pair=pair,
        source_tokens=list(record["source_tokens"]),
        target_tokens=list(record["target_tokens"]),
        mass=matrices[0],
        cost=matrices[1],
        solver=record["solver"],
        epsilon=record["epsilon"],
        iterations=record["iterations"],
        marginal_error=record["marginal_error"],
        converged=record["converged"],
        value=record["value"],
        entropy=record["entropy"],
        stored=stored,
    )
