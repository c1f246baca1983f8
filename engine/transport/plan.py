"""The transport plan and what can be read from it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Plan:
    """Solutions of a batch of transport problems.

    Parameters
    ----------
    plan : Tensor (B, Q, D)
        Mass moved from each source to each target token; a constant to autograd, exactly 0 where masked.
    cost : Tensor (B, Q, D)
        The costs with their autograd graph, 0 where masked.
    source_marginal, target_marginal : Tensor (B, Q), (B, D)
        The masses that were asked for.
    epsilon : Tensor (B,)
        Regularisation of the entropic problem that the plan solves, in the unit of the costs: β/K for IPOT
        and 0 for the exact solver.
    iterations : Tensor (B,)
        Iterations done on each problem; 0 for the exact solver.
    marginal_error : Tensor (B,)
        The larger of the two marginals' sums of absolute errors, as a share of the problem's mass.
    converged : Tensor (B,), bool
        Whether `marginal_error` is within the tolerance that was asked for.
    solver : str
        Name of the solver.
    """

    plan: Tensor
    cost: Tensor
    source_marginal: Tensor
    target_marginal: Tensor
    epsilon: Tensor
    iterations: Tensor
    marginal_error: Tensor
    converged: Tensor
    solver: str

    @property
    def value(self) -> Tensor:
        """The transport cost <T, C> of each problem (B,), differentiable in the cost with T held constant.

        By the envelope theorem T is the exact gradient in C of the optimum of <T, C> - ε H(T), so this is
        the gradient of the entropic objective; at small ε it is that of <T, C> with T unrolled as well.
        """
        return (self.plan * self.cost).sum((1, 2))

    def row_entropy(self) -> Tensor:
        """Return the entropy in nats of each row scaled to sum to one (B, Q); 0 for masked rows."""
        mass = self.plan.sum(-1, keepdim=True)
        share = self.plan / mass.masked_fill(mass == 0, 1.0)
        entropy: Tensor = torch.special.entr(share).sum(-1)
        return entropy

    def effective_matches(self) -> Tensor:
        """Return exp of the mean row entropy, weighted by mass (B,).

        It counts the target tokens that a source token is spread over: 1 for a hard alignment, up to the
        number of target tokens for an independent coupling with uniform masses.
        """
        mass = self.plan.sum(-1)
        return ((mass * self.row_entropy()).sum(-1) / mass.sum(-1)).exp()

    def row_argmax(self) -> Tensor:
        """Return the target token that takes most of each source token's mass (B, Q); -1 for masked rows."""
        return self.plan.argmax(-1).masked_fill(self.source_marginal == 0, -1)
