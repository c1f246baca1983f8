"""Optimal transport between two sets of token vectors: costs, marginals, solvers, plans.

Importing this package does not import torch.
"""

from engine.transport.cost import cosine_cost, squared_euclidean_cost
from engine.transport.marginals import (
    attention_marginal,
    idf_marginal,
    inverse_document_frequencies,
    learned_marginal,
    norm_marginal,
    uniform_marginal,
)
from engine.transport.plan import Plan
from engine.transport.problem import TransportError
from engine.transport.solvers import EpsilonScale, solve
from engine.transport.tokens import TokenTransport

__all__ = [
    "EpsilonScale",
    "Plan",
    "TokenTransport",
    "TransportError",
    "attention_marginal",
    "cosine_cost",
    "idf_marginal",
    "inverse_document_frequencies",
    "learned_marginal",
    "norm_marginal",
    "solve",
    "squared_euclidean_cost",
    "uniform_marginal",
]
