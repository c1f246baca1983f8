"""Sinkhorn's algorithm in the log domain."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from engine.transport.problem import Problem

CHECK_EVERY = 10


def sinkhorn(problem: Problem, *, iterations: int, tolerance: float) -> tuple[Tensor, Tensor]:
    """Solve min <T, C> - ε H(T): return the plan (B, Q, D) and the iterations done (B,)."""
    log_source, log_target = problem.source.log(), problem.target.log()
    kernel = -problem.cost / problem.epsilon.view(-1, 1, 1)
    u, v = torch.zeros_like(log_source), torch.zeros_like(log_target)
    v = v.masked_fill(problem.target == 0, -math.inf)
    done = 0
    for done in range(1, iterations + 1):
        u = log_source - (kernel + v.unsqueeze(1)).logsumexp(2)
        v = log_target - (kernel + u.unsqueeze(2)).logsumexp(1)
        if done % CHECK_EVERY == 0:
            rows = (kernel + v.unsqueeze(1)).logsumexp(2).add_(u).exp_()
            if bool(((rows - problem.source).abs().sum(-1) <= tolerance).all()):
                break
    plan = (kernel + u.unsqueeze(2) + v.unsqueeze(1)).exp_()
    return plan, torch.full_like(problem.epsilon, done, dtype=torch.long)
