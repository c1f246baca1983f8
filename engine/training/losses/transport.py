"""<T, C>: move the student's tokens to where the teacher's are (Huang, Yu and Allan, WSDM 2023)."""

from __future__ import annotations

from torch import Tensor

from engine.training.losses.base import Batch
from engine.training.losses.masses import Masses
from engine.training.losses.problem import COSTS, solve


class TransportLoss:
    """Mean transport cost of the pairs, with the plan held constant in the gradient.

    The price of unbalanced transport is part of it. Learned masses are constants here: the cost of pairs
    alone would have them flee to whichever token is cheapest.

    Parameters
    ----------
    masses : Masses
        The tokens' masses, and the problem and its solver.
    """

    def __init__(self, masses: Masses) -> None:
        self.masses, self.config = masses, masses.config

    def __call__(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Return the mean of <T, C> and the plan's sharpness."""
        targets = batch.targets.first(len(batch.tokens))
        cost = COSTS[self.config.cost](batch.tokens, targets.tokens)
        plan = solve(self.config, cost, self.masses(batch).detach(), self.masses(targets).detach())
        loss = plan.objective.mean()
        figures = {
            "transport_cost": float(loss.detach()),
            "effective_matches": float(plan.effective_matches().mean()),
            "converged": float(plan.converged.float().mean()),
        }
        if self.config.solver == "unbalanced":
            figures["mass_moved"] = float(plan.mass.mean())
        return loss, figures
