"""IPOT."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from engine.transport.problem import Problem


def ipot(problem: Problem, *, iterations: int) -> tuple[Tensor, Tensor]:
    """Solve by the proximal point method."""
    log_source, log_target = problem.source.log(), problem.target.log()
    kernel = -problem.cost / problem.epsilon.view(-1, 1, 1)
    v = torch.zeros_like(log_target).masked_fill_(problem.target == 0, -math.inf)
    step = u = torch.zeros_like(v)
    for outer in range(1, iterations + 1):
        u = log_source - (outer * kernel + (v + step).unsqueeze(1)).logsumexp(2)
        new = log_target - (outer * kernel + u.unsqueeze(2)).logsumexp(1)
        step, v = (new - v).nan_to_num_(nan=0.0), new
    plan = (iterations * kernel + u.unsqueeze(2) + v.unsqueeze(1)).exp_()
    return plan, torch.full_like(problem.epsilon, iterations, dtype=torch.long)
