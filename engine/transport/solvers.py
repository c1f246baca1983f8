"""One door to all solvers."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from engine.transport.exact import exact
from engine.transport.ipot import ipot
from engine.transport.plan import Plan
from engine.transport.problem import (
    Problem,
    TransportError,
    check_marginals,
    reduced,
    spread,
    support_of,
    working_dtype,
)
from engine.transport.sinkhorn import sinkhorn

Solver = Literal["sinkhorn", "ipot", "exact"]
EpsilonScale = Literal["absolute", "spread"]


def solve(
    cost: Tensor,
    source_marginal: Tensor,
    target_marginal: Tensor,
    *,
    solver: Solver = "sinkhorn",
    epsilon: float = 0.05,
    epsilon_scale: EpsilonScale = "absolute",
    anneal_from: float | None = None,
    iterations: int = 50,
    tolerance: float = 1e-4,
) -> Plan:
    """Solve a batch of optimal transport problems."""
    source, target = check_marginals(cost, source_marginal, target_marginal)
    with torch.autocast(cost.device.type, enabled=False):
        support = support_of(source, target)
        cost = torch.where(support, cost.to(working_dtype(cost)), 0.0)
        with torch.no_grad():
            constant = cost.detach()
            if not bool(constant.isfinite().all()):
                raise TransportError("a cost between two tokens with mass is not finite")
            unit = (
                spread(constant, source, target)
                if epsilon_scale == "spread"
                else torch.ones_like(source[:, 0])
            )
            problem = Problem(reduced(constant, support), source, target, epsilon * unit)
            regularisation, done = problem.epsilon, torch.zeros_like(source[:, 0], dtype=torch.long)
            if solver == "sinkhorn":
                plan, done = sinkhorn(problem, iterations=iterations, tolerance=tolerance)
            elif solver == "ipot":
                plan, done = ipot(problem, iterations=iterations)
                regularisation = regularisation / iterations
            else:
                plan, regularisation = exact(problem), torch.zeros_like(unit)
            rows = (plan.sum(2) - source).abs().sum(-1)
            columns = (plan.sum(1) - target).abs().sum(-1)
            error = torch.maximum(rows, columns)
    return Plan(plan, cost, source, target, regularisation, done, error, error <= tolerance, solver)
