"""IPOT: the inexact proximal point method."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from engine.extensions.transport import Problem, Solution, Solver, SolverOptions
from engine.lazy import LazyModule
from engine.transport.scaling import scale

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")


def ipot(problem: Problem, *, iterations: int) -> Tensor:
    """Take `iterations` proximal steps towards the exact plan and return the resulting plan (B, Q, D).

    Step t replaces the plan T by the approximate solution, after one scaling iteration, of
    min <T', C> + β KL(T' | T) (Xie et al. 2019, arXiv 1802.04307, algorithm 1 with one inner iteration), β
    being the problem's `epsilon`. Written with the accumulated log factors u and v of
    T_t = exp(u_t - t C/β + v_t), a step is one Sinkhorn iteration at ε = β/t that starts from
    2 v_{t-1} - v_{t-2}. It is computed in this form, in which no entry of the plan becomes zero permanently.

    Hence after K steps the plan is a row and column scaling of exp(-C K/β) whose columns sum to the target
    marginal. Such a scaling whose rows sum to the source marginal too is unique, and is the optimum of
    entropic transport at ε = β/K: IPOT(β, K) equals Sinkhorn at β/K up to its remaining marginal error.

    The number of steps determines the sharpness of the plan, so all steps are taken, whatever the tolerance.
    """
    source, target = problem.source, problem.target
    step_kernel = problem.log_kernel()
    plan = torch.zeros_like(step_kernel)
    u = source.log()
    v = torch.zeros_like(target).masked_fill_(target == 0, -math.inf)
    change = torch.zeros_like(target)
    for step in range(1, iterations + 1):
        before = v
        u, v, plan = scale(step * step_kernel, u, before + change, source, target, 1)
        change = (v - before).masked_fill_(target == 0, 0.0)
    return plan


def _solve(problem: Problem, options: SolverOptions) -> Solution:
    plan = ipot(problem, iterations=options.iterations)
    done = torch.full_like(problem.epsilon, options.iterations, dtype=torch.long)
    return Solution(plan, done, epsilon=problem.epsilon / options.iterations)


IPOT = Solver(
    name="ipot",
    meaning="inexact proximal point method, whose step β is `epsilon`",
    function=_solve,
    iterations=50,  # all of them are done, and make the plan sharper
)
