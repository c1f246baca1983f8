"""<T, C>: move the student's tokens to where the teacher's are (Huang, Yu and Allan, WSDM 2023)."""

from __future__ import annotations

from torch import Tensor

from engine.config import TransportConfig
from engine.training.losses.base import Batch
from engine.training.losses.problem import COSTS, marginal, solve


class TransportLoss:
    """Mean transport cost of the pairs, with the plan held constant in the gradient.

    Parameters
    ----------
    config : TransportConfig
        The problem and its solver.
    idf : Tensor (V,), optional
        Inverse document frequencies, for marginals that need them.
    """

    def __init__(self, config: TransportConfig, idf: Tensor | None = None) -> None:
        self.config, self.idf = config, idf

    def __call__(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Return the mean of <T, C> and the plan's sharpness."""
        size = len(batch.tokens)
        targets = batch.targets
        cost = COSTS[self.config.cost](batch.tokens, targets.tokens[:size])
        plan = solve(
            self.config,
            cost,
            marginal(self.config, batch.mask, batch.norms, batch.ids, self.idf),
            marginal(self.config, targets.mask[:size], targets.norms[:size], targets.ids[:size], self.idf),
        )
        loss = plan.value.mean()
        return loss, {
            "transport_cost": float(loss.detach()),
            "effective_matches": float(plan.effective_matches().mean()),
            "converged": float(plan.converged.float().mean()),
        }
