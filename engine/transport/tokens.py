"""Transport between the tokens of encoded texts, as a configuration describes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import InputError
from engine.extensions.transport import COSTS, MARGINALS, MassInputs, Side
from engine.transport.plan import Plan
from engine.transport.solvers import solve

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from engine.config import TransportConfig

_MISSING = {
    "document_frequencies": "there are no document frequencies",
    "attention": "the encoder gives no attention weights",
    "mass_head": "no head was trained for them",
}


@dataclass(frozen=True)
class TokenTransport:
    """The cost, the marginals and the solver of a configuration.

    Parameters
    ----------
    config : TransportConfig
    idf : Tensor (V,), optional
        Inverse document frequency of each token of the vocabulary, for marginals by them.
    head : torch.nn.Linear, optional
        Maps a token vector to the logit of its mass, for learned marginals. Student and teacher share it,
        because their tokens share a space.
    """

    config: TransportConfig
    idf: Tensor | None = None
    head: torch.nn.Linear | None = None

    def masses(self, side: Side) -> Tensor:
        """Return the masses (B, T) of encoded texts; rows sum to one over the counted tokens.

        Raises
        ------
        InputError
            If what the masses are computed from is missing, or a row has no mass.
        """
        marginal = MARGINALS[self.config.marginals]
        available = {
            "document_frequencies": self.idf is not None,
            "attention": side.attention is not None,
            "mass_head": self.head is not None,
        }
        for source in marginal.needs:
            if not available[source]:
                raise InputError(
                    f"transport.marginals = '{marginal.name}' cannot be used, since {_MISSING[source]}; "
                    "choose other marginals"
                )
        return marginal.function(side, MassInputs(self.idf, self.head))

    def cost(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the costs (..., Q, D) between token vectors (..., Q, H) and (..., D, H)."""
        return COSTS[self.config.cost].function(x, y)

    def solve(self, cost: Tensor, source: Tensor, target: Tensor) -> Plan:
        """Solve problems with costs (B, Q, D) and masses (B, Q) and (B, D); see `engine.transport.solve`."""
        config = self.config
        return solve(
            cost,
            source,
            target,
            solver=config.solver,
            epsilon=config.epsilon,
            epsilon_scale=config.epsilon_scale,
            anneal_from=config.anneal_from,
            iterations=config.iterations,
            tolerance=config.tolerance,
            penalty=config.penalty,
            mass=config.mass,
        )

    def plan(self, source: Side, target: Side) -> Plan:
        """Return the plans between B pairs of encoded texts.

        Raises
        ------
        InputError
            As `masses`.
        """
        return self.solve(self.cost(source.tokens, target.tokens), self.masses(source), self.masses(target))
