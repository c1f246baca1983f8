"""<T, C>: move the student's tokens to where the teacher's are (Huang, Yu and Allan, WSDM 2023)."""

from __future__ import annotations

from torch import Tensor

from engine.training.losses.base import Batch
from engine.training.losses.layers import Layers
from engine.training.losses.masses import Masses
from engine.training.losses.problem import COSTS, solve


class TransportLoss:
    """Mean transport cost of the pairs, with the plan held constant in the gradient.

    Over several layers it is the weighted sum of a transport problem each, all with the same masses. The
    price of unbalanced transport is part of it. Learned masses are constants here: the cost of pairs alone
    would have them flee to whichever token is cheapest.

    Parameters
    ----------
    masses : Masses
        The tokens' masses, and the problem and its solver.
    layers : Layers
        Whether other layers than the last are compared.
    """

    def __init__(self, masses: Masses, layers: Layers | None = None) -> None:
        self.masses, self.config, self.layers = masses, masses.config, layers or Layers()

    def __call__(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Return the sum over layers of the mean of <T, C>, and the sharpness of the uppermost plan."""
        targets = batch.targets.first(len(batch.tokens))
        problems: list[tuple[str, float, Tensor, Tensor]] = []
        if batch.layers is not None and targets.layers is not None:
            names = (
                f"{one}_{other}" for one, other in zip(self.layers.student, self.layers.teacher, strict=True)
            )
            problems += zip(names, self.layers.weights, batch.layers, targets.layers, strict=True)
        if self.layers.last:
            problems.append(("last", self.layers.last, batch.tokens, targets.tokens))
        source, target = self.masses(batch).detach(), self.masses(targets).detach()
        loss = batch.tokens.new_zeros(())
        figures: dict[str, float] = {}
        for name, weight, student, teacher in problems:
            plan = solve(self.config, COSTS[self.config.cost](student, teacher), source, target)
            cost = plan.objective.mean()
            loss = loss + weight * cost
            if len(problems) > 1:
                figures[f"transport_cost_{name}"] = float(cost.detach())
        figures |= {
            "transport_cost": float(loss.detach()),
            "effective_matches": float(plan.effective_matches().mean()),
            "converged": float(plan.converged.float().mean()),
        }
        if self.config.solver == "unbalanced":
            figures["mass_moved"] = float(plan.mass.mean())
        return loss, figures
