"""Cost matrices between two sets of token vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.extensions.transport import Cost
from engine.lazy import LazyModule
from engine.transport.problem import working_dtype

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")


def cosine_cost(x: Tensor, y: Tensor) -> Tensor:
    """Return 1 - cos(x, y) for every pair of tokens.

    Vectors are normalised, so their lengths have no effect. A zero vector has cosine 0 and cost 1 with every
    other vector, and gets no gradient. Leading dimensions broadcast: ``x[:, None], y[None]`` gives all
    pairs of sentences in one matrix product.

    Parameters
    ----------
    x : Tensor (..., Q, H)
    y : Tensor (..., D, H)

    Returns
    -------
    Tensor (..., Q, D)
        Costs in [0, 2], in float32 (float64 for float64 inputs), also under autocast.
    """
    with torch.autocast(x.device.type, enabled=False):
        dtype = torch.promote_types(working_dtype(x), working_dtype(y))
        similarity = torch.einsum("...qh,...dh->...qd", _unit(x.to(dtype)), _unit(y.to(dtype)))
        return 1.0 - similarity


def squared_euclidean_cost(x: Tensor, y: Tensor) -> Tensor:
    """Return the squared Euclidean distance between every pair of tokens.

    Leading dimensions broadcast as in `cosine_cost`.

    Parameters
    ----------
    x : Tensor (..., Q, H)
    y : Tensor (..., D, H)

    Returns
    -------
    Tensor (..., Q, D)
        Costs >= 0 in the squared unit of the vectors, in float32 (float64 for float64 inputs).
    """
    with torch.autocast(x.device.type, enabled=False):
        dtype = torch.promote_types(working_dtype(x), working_dtype(y))
        x, y = x.to(dtype), y.to(dtype)
        product = torch.einsum("...qh,...dh->...qd", x, y)
        norms = x.square().sum(-1).unsqueeze(-1) + y.square().sum(-1).unsqueeze(-2)
        return (norms - 2.0 * product).clamp_min(0.0)


def _unit(x: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    # a zero vector would otherwise be divided by a tiny number and get a huge gradient
    return x / norm.masked_fill(norm == 0, torch.inf)


COSINE = Cost("cosine", "1 - cosine", cosine_cost, of_similarity=lambda similarity: 1 - similarity)

SQUARED_EUCLIDEAN = Cost(
    "squared_euclidean",
    "squared Euclidean distance",
    squared_euclidean_cost,
    of_similarity=lambda similarity: 2 - 2 * similarity,
)
