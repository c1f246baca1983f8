"""The exact solver: POT's network simplex, one problem after another."""

from __future__ import annotations

import ot
import torch
from torch import Tensor

from engine.transport.problem import Problem


def exact(problem: Problem) -> Tensor:
    """Solve min <T, C> in float64 on the support and return the plan (B, Q, D).

    Problems are solved by `ot.emd` (Bonneel et al. 2011). `ot.batch.solve_batch` without regularisation is
    not used: in POT 0.9.7 it returns the independent coupling.
    """
    plan = torch.zeros_like(problem.cost)
    for index in range(len(plan)):
        rows = problem.source[index].nonzero()
        columns = problem.target[index].nonzero().T
        cost = problem.cost[index, rows, columns].double().cpu().numpy()
        source = problem.source[index, rows[:, 0]].double().cpu().numpy()
        target = problem.target[index, columns[0]].double().cpu().numpy()
        solution = ot.emd(source / source.sum(), target / target.sum(), cost, numItermax=10_000_000)
        plan[index, rows, columns] = torch.from_numpy(solution * source.sum()).to(plan)
    return plan
