"""From encoded tokens to transport problems: costs, plans, document frequencies."""

from __future__ import annotations

import torch
from torch import Tensor

from engine import transport
from engine.config import TransportConfig

COSTS = {"cosine": transport.cosine_cost, "squared_euclidean": transport.squared_euclidean_cost}


def solve(config: TransportConfig, cost: Tensor, source: Tensor, target: Tensor) -> transport.Plan:
    """Solve a batch of problems with the settings of `config`."""
    return transport.solve(
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


def document_frequencies(texts_ids: list[list[int]], vocabulary: int) -> Tensor:
    """Return the smoothed inverse document frequency of every piece, ln(1 + n / (1 + df)), shape (V,)."""
    counts = torch.zeros(vocabulary)
    for ids in texts_ids:
        counts[torch.tensor(sorted(set(ids)))] += 1
    return torch.log1p(len(texts_ids) / (1 + counts))
