"""<T, C>, the transport cost between tokens of student and teacher (Huang, Yu and Allan, WSDM 2023)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.extensions.losses import Batch, Layers, Loss, Transport
from engine.extensions.transport import SOLVERS

if TYPE_CHECKING:
    from torch import Tensor


class TransportLoss:
    """Mean transport cost of the pairs; plans are constants in the gradient.

    Over several layers it is a weighted sum with one transport problem a layer, all with the same masses. The
    price of unbalanced transport is part of the cost. Learned masses are constants here: if they followed the
    cost of the pairs, they would move to the tokens that cost least.

    Parameters
    ----------
    transport : Transport
        Costs, masses and plans.
    layers : Layers, optional
        The layers that are compared; none takes the last layers.
    """

    def __init__(self, transport: Transport, layers: Layers | None = None) -> None:
        self.transport, self.layers = transport, layers or Layers()

    def __call__(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Return the weighted sum over layers of the mean of <T, C>, and figures of the last plan."""
        targets = batch.targets.first(len(batch.tokens))
        problems: list[tuple[str, float, Tensor, Tensor]] = []
        if batch.layers is not None and targets.layers is not None:
            names = (
                f"{one}_{other}" for one, other in zip(self.layers.student, self.layers.teacher, strict=True)
            )
            problems += zip(names, self.layers.weights, batch.layers, targets.layers, strict=True)
        if self.layers.last:
            problems.append(("last", self.layers.last, batch.tokens, targets.tokens))
        source, target = self.transport.masses(batch).detach(), self.transport.masses(targets).detach()
        loss = batch.tokens.new_zeros(())
        figures: dict[str, float] = {}
        for name, weight, student, teacher in problems:
            plan = self.transport.solve(self.transport.cost(student, teacher), source, target)
            cost = plan.objective.mean()
            loss = loss + weight * cost
            if len(problems) > 1:
                figures[f"transport_cost_{name}"] = float(cost.detach())
        figures |= {
            "transport_cost": float(loss.detach()),
            "effective_matches": float(plan.effective_matches().mean()),
            "converged": float(plan.converged.float().mean()),
        }
        if SOLVERS[self.transport.config.solver].mass_varies:
            figures["mass_moved"] = float(plan.mass.mean())
        return loss, figures


TRANSPORT = Loss(
    name="transport",
    meaning="<T, C>: the transport cost between the tokens of student and teacher in a sentence pair "
    "(OPTICAL).",
    build=lambda inputs: TransportLoss(inputs.transport, inputs.layers),
    layers=True,
)
