"""Transport plans and their diagnostics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")


@dataclass(frozen=True, eq=False)
class Plan:
    """Solutions of a batch of transport problems.

    Parameters
    ----------
    plan : Tensor (B, Q, D)
        Mass moved from each source to each target token; a constant to autograd, exactly 0 where masked.
        Its sums are the marginals; at most the marginals for partial transport, and any for unbalanced.
    cost : Tensor (B, Q, D)
        The costs with their autograd graph, 0 where masked.
    source_marginal, target_marginal : Tensor (B, Q), (B, D)
        The given masses.
    epsilon : Tensor (B,)
        Regularisation of the entropic problem that the plan solves, in the unit of the costs: β/K for IPOT
        and 0 for the exact solver.
    iterations : Tensor (B,)
        Iterations done on each problem; 0 for the exact solver.
    surplus : Tensor (B,)
        The difference of `objective` and <T, C>: the price of the mass that unbalanced transport leaves or
        adds, 0 otherwise. It carries the gradient of the objective in marginals that require one.
    marginal_error : Tensor (B,)
        The larger sum of absolute errors of the two marginals, as a share of the mass of the problem. For
        solvers that need not meet the marginals, the error from the marginals of the optimal plan.
    converged : Tensor (B,), bool
        Whether `marginal_error` is within the given tolerance.
    solver : str
        Name of the solver.
    """

    plan: Tensor
    cost: Tensor
    source_marginal: Tensor
    target_marginal: Tensor
    epsilon: Tensor
    iterations: Tensor
    surplus: Tensor
    marginal_error: Tensor
    converged: Tensor
    solver: str

    @property
    def value(self) -> Tensor:
        """The transport cost <T, C> of each problem (B,), differentiable in the cost with T held constant.

        By the envelope theorem T is the exact gradient in C of the optimum of <T, C> - ε H(T), so this is
        the gradient of the entropic objective; at small ε it is also that of <T, C> with T unrolled.
        """
        return (self.plan * self.cost).sum((1, 2))

    @property
    def objective(self) -> Tensor:
        """The minimised objective (B,) without the regularisation: `value` + `surplus`.

        It can be compared between problems; <T, C> cannot where a plan may leave mass that is expensive to
        move.
        """
        return self.value + self.surplus

    @property
    def mass(self) -> Tensor:
        """The mass that each plan moves (B,)."""
        return self.plan.sum((1, 2))

    def row_entropy(self) -> Tensor:
        """Return the entropy in nats of each row scaled to sum to one (B, Q); 0 for masked rows."""
        mass = self.plan.sum(-1, keepdim=True)
        share = self.plan / mass.masked_fill(mass == 0, 1.0)
        entropy: Tensor = torch.special.entr(share).sum(-1)
        return entropy

    def effective_matches(self) -> Tensor:
        """Return exp of the mean row entropy, weighted by mass (B,).

        This is the number of target tokens over which a source token is spread: 1 for a hard alignment, up to
        the number of target tokens for an independent coupling with uniform masses. A plan that moves nothing
        has the value 1.
        """
        mass = self.plan.sum(-1)
        total = mass.sum(-1)
        return ((mass * self.row_entropy()).sum(-1) / total.masked_fill(total == 0, 1.0)).exp()
