"""The exact solver: POT's network simplex, one problem at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import OpticalError
from engine.extensions.transport import Problem, Solution, Solver, SolverOptions
from engine.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")

MOST_PIVOTS = 10_000_000


def exact(problem: Problem) -> Tensor:
    """Minimise <T, C> by `ot.emd` (Bonneel et al. 2011) in float64 and return the plan (B, Q, D).

    `ot.batch.solve_batch` without regularisation cannot be used: in POT 0.9.7 it returns the independent
    coupling.

    Raises
    ------
    OpticalError
        When the network simplex does not converge.
    """
    import numpy as np
    import ot  # imports every array library that is installed

    costs, sources, targets = (
        tensor.double().cpu().numpy() for tensor in (problem.cost, problem.source, problem.target)
    )
    plans = np.zeros_like(costs)
    for plan, cost, source, target in zip(plans, costs, sources, targets, strict=True):
        cells = np.ix_(source > 0, target > 0)
        a, b = source[source > 0], target[target > 0]
        solution, log = ot.emd(a, b * (a.sum() / b.sum()), cost[cells], numItermax=MOST_PIVOTS, log=True)
        if log["warning"]:
            raise OpticalError(f"the exact transport solver did not converge: {log['warning']}")
        plan[cells] = solution
    return torch.from_numpy(plans).to(problem.cost)


def _solve(problem: Problem, _: SolverOptions) -> Solution:
    return Solution(exact(problem), epsilon=torch.zeros_like(problem.epsilon))


EXACT = Solver(
    name="exact",
    meaning="exact transport by POT's network simplex",
    function=_solve,
    settings=("tolerance",),
)
