"""Partial transport: only a share of the mass moves, the share that costs least."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from engine.extensions.transport import Problem, Solution, Solver, SolverOptions
from engine.lazy import LazyModule
from engine.transport.problem import CHECK_EVERY
from engine.transport.relaxed import Relaxed

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")


def partial(problem: Problem, *, mass: float, iterations: int, tolerance: float) -> Relaxed:
    """Minimise <T, C> + ε KL(T | a bᵀ) over T 1 <= a, Tᵀ 1 <= b whose entries sum to `mass`.

    Alternate maximisation of the dual in the log domain: T = a bᵀ exp(f + g + λ - C/ε) with f, g <= 0. Each
    round finds the best f and λ for a given g, then the best g and λ for a given f. The result is that of the
    Bregman projections of Benamou et al. (2015, arXiv 1412.5154, section 5), in fewer rounds.

    Parameters
    ----------
    problem : Problem
    mass : float
        Share of the mass to move, in (0, 1].
    iterations : int
        Maximum number of rounds.
    tolerance : float
        Stop when tokens with a multiplier below zero give all their mass, and no other token gives more than
        it has, up to this sum of absolute errors.
    """
    log_kernel, log_source, log_target = problem.log_kernel(), problem.source.log(), problem.target.log()
    source, target = problem.source, problem.target
    found = Relaxed.empty(problem, iterations)
    active = torch.arange(len(source), device=source.device)
    g = torch.zeros_like(target)
    for done in range(1, iterations + 1):
        f, _ = _fill(log_source, (log_kernel + (log_target + g).unsqueeze(1)).logsumexp(2), mass)
        g, level = _fill(log_target, (log_kernel + (log_source + f).unsqueeze(2)).logsumexp(1), mass)
        if done % CHECK_EVERY and done < iterations:
            continue
        log_plan = log_kernel + (log_source + f + level).unsqueeze(2) + (log_target + g).unsqueeze(1)
        plan = log_plan.exp_()
        plan.mul_(mass / plan.sum((1, 2), keepdim=True))  # rounding errors matter where |C/ε| is huge
        rows, columns = _wanted(plan.sum(2), source, f), _wanted(plan.sum(1), target, g)
        met = ((plan.sum(2) - rows).abs().sum(1) <= tolerance) | (done == iterations)
        found.put(active[met], plan[met], rows[met], columns[met], done)
        if bool(met.all()):
            break
        active, log_kernel, g = active[~met], log_kernel[~met], g[~met]
        source, target, log_source, log_target = (
            tensor[~met] for tensor in (source, target, log_source, log_target)
        )
    return found


def _fill(log_mass: Tensor, log_demand: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Return x <= 0 (B, T) and λ (B, 1) with x = min(0, -λ - s) and Σ a exp(x + λ + s) = `share`.

    Token i takes min(a_i, a_i exp(λ + s_i)), where s is `log_demand`: the tokens of the largest s are full
    first. If the k tokens of the largest s are full, λ follows from the rest; k is the smallest number for
    which the next token does not overflow.
    """
    # masked tokens come last and take nothing
    order = log_demand.masked_fill(log_mass == -math.inf, -math.inf).argsort(1, descending=True)
    demand, mass = log_demand.gather(1, order), log_mass.gather(1, order)
    full = mass.exp().cumsum(1)
    before = torch.cat((torch.zeros_like(full[:, :1]), full[:, :-1]), 1)
    rest = (mass + demand).flip(1).logcumsumexp(1).flip(1)
    levels = (share - before).clamp_min(torch.finfo(full.dtype).tiny).log() - rest
    fits = (levels + demand <= 0) & (mass > -math.inf)
    # if all are full (a share of one) there is no such k, and λ just fills the last
    last = (mass > -math.inf).sum(1, keepdim=True) - 1
    k = torch.where(fits.any(1, keepdim=True), fits.int().argmax(1, keepdim=True), last)
    level = torch.where(fits.gather(1, k), levels.gather(1, k), -demand.gather(1, k))
    return (-level - log_demand).clamp_max(0.0), level


def _wanted(sums: Tensor, mass: Tensor, multiplier: Tensor) -> Tensor:
    """Return the marginal of the optimal plan: all mass where the multiplier is below zero, else `sums`."""
    return torch.where(multiplier < 0, mass, torch.minimum(sums, mass))


def _solve(problem: Problem, options: SolverOptions) -> Solution:
    found = partial(problem, mass=options.mass, iterations=options.iterations, tolerance=options.tolerance)
    return Solution(found.plan, found.iterations, rows=found.rows, columns=found.columns)


PARTIAL = Solver(
    name="partial",
    meaning="entropic transport that moves only the share `mass` of the mass",
    function=_solve,
    settings=("epsilon", "iterations", "tolerance", "mass"),
    meets_marginals=False,
)
