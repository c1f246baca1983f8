"""Sinkhorn's algorithm for entropic optimal transport."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from engine.extensions.transport import Problem, Solution, Solver, SolverOptions
from engine.lazy import LazyModule
from engine.transport.problem import CHECK_EVERY, TransportError
from engine.transport.scaling import scale

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")

STAGE = 5  # maximum number of iterations at each ε of the annealing


def sinkhorn(
    problem: Problem, *, anneal: float, iterations: int, tolerance: float
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Minimise <T, C> - ε H(T) over the plans T with the given marginals (Cuturi 2013, arXiv 1306.0895).

    A problem is not iterated further once its marginals are met, so its plan does not depend on its batch.

    Parameters
    ----------
    problem : Problem
    anneal : float
        Multiple of ε at the start, >= 1. It is halved every few iterations down to 1, within half of
        `iterations` unless there are more halvings than that, and the dual potentials are kept (ε-scaling:
        Schmitzer 2019, arXiv 1610.06519).
    iterations : int
        Maximum number of iterations in total.
    tolerance : float
        Stop when the sum of absolute errors of the source marginal is this small; the target marginal is
        exact up to rounding after every iteration.

    Returns
    -------
    plan : Tensor (B, Q, D)
    iterations : Tensor (B,)
        Iterations done on each problem.
    scaling : pair of Tensor (B, Q), (B, D)
        Logarithms of the factors that scale exp(-C/ε) to the plan; -inf where masked.

    Raises
    ------
    TransportError
        When there are fewer iterations than the annealing has stages.
    """
    cost, source, target = problem.cost, problem.source, problem.target
    log_kernel = problem.log_kernel()
    u = source.log()
    v = torch.zeros_like(target).masked_fill_(target == 0, -math.inf)
    halvings = math.ceil(math.log2(anneal))
    if halvings >= iterations:
        raise TransportError(
            f"annealing halves ε {halvings} times before epsilon is reached, leaving none of {iterations} "
            "iterations; raise iterations or lower anneal_from"
        )
    each = min(STAGE, max(1, iterations // (2 * halvings))) if halvings else 0
    for stage in range(halvings):
        factor = anneal / 2**stage
        _, v, _ = scale(log_kernel / factor, u, v, source, target, each)
        v = v * min(2.0, factor)  # the potential ε v stays the same while ε decreases
        u = source.log()
    plan = torch.empty_like(cost)
    rows, columns = torch.empty_like(u), torch.empty_like(v)
    done = torch.full_like(problem.epsilon, iterations, dtype=torch.long)
    active = torch.arange(len(cost), device=cost.device)
    for start in range(halvings * each, iterations, CHECK_EVERY):
        steps = min(CHECK_EVERY, iterations - start)
        u, v, now = scale(log_kernel, u, v, source, target, steps)
        met = (now.sum(2) - source).abs().sum(1) <= tolerance
        if start + steps == iterations:
            plan[active], rows[active], columns[active] = now, u, v
        elif bool(met.any()):
            plan[active[met]], done[active[met]] = now[met], start + steps
            rows[active[met]], columns[active[met]] = u[met], v[met]
            active, log_kernel = active[~met], log_kernel[~met]
            u, v, source, target = u[~met], v[~met], source[~met], target[~met]
            if not len(active):
                break
    return plan, done, (rows, columns)


def _solve(problem: Problem, options: SolverOptions) -> Solution:
    plan, done, scaling = sinkhorn(
        problem, anneal=options.anneal, iterations=options.iterations, tolerance=options.tolerance
    )
    return Solution(plan, done, scaling=scaling)


SINKHORN = Solver(
    name="sinkhorn",
    meaning="entropic transport by Sinkhorn's algorithm in the log domain",
    function=_solve,
    settings=("epsilon", "anneal_from", "iterations", "tolerance"),
    mass_gradient=True,
)
