"""Solutions of relaxed problems, whose plans need not meet the marginals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.extensions.transport import Problem
from engine.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")


@dataclass(eq=False)
class Relaxed:
    """Solutions of problems whose plans need not meet the marginals, filled in as they converge.

    Parameters
    ----------
    plan : Tensor (B, Q, D)
    rows, columns : Tensor (B, Q), (B, D)
        Marginals that the optimal plan would have, from the multipliers that were found.
    iterations : Tensor (B,)
        Iterations done on each problem.
    """

    plan: Tensor
    rows: Tensor
    columns: Tensor
    iterations: Tensor

    @classmethod
    def empty(cls, problem: Problem, iterations: int) -> Relaxed:
        """Return empty solutions of `problem`."""
        done = torch.full_like(problem.epsilon, iterations, dtype=torch.long)
        plan, rows, columns = map(torch.zeros_like, (problem.cost, problem.source, problem.target))
        return cls(plan, rows, columns, done)

    def put(self, where: Tensor, plan: Tensor, rows: Tensor, columns: Tensor, iterations: int) -> None:
        """Set the solutions of the problems `where`."""
        self.plan[where], self.rows[where], self.columns[where] = plan, rows, columns
        self.iterations[where] = iterations
