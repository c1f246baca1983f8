"""Checks and transformations of a batch of transport problems, before it is solved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import InputError
from engine.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")

TOTALS_AGREE = 1e-3  # largest relative difference between the total masses of a problem
CHECK_EVERY = 10  # iterations between two checks of the marginals


class TransportError(InputError, ValueError):
    """A transport problem that is not valid: shapes, masses or settings contradict each other."""


def working_dtype(tensor: Tensor) -> torch.dtype:
    """Return the type of computations: float64 for float64, otherwise float32."""
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32


def support_of(source: Tensor, target: Tensor) -> Tensor:
    """Return where both tokens have mass: (B, Q), (B, D) -> bool (B, Q, D)."""
    return (source > 0).unsqueeze(-1) & (target > 0).unsqueeze(-2)


def balanced_marginals(cost: Tensor, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Check both marginals; return them detached, in the working type, with equal totals (the source's).

    Raises
    ------
    TransportError
        When shapes disagree, or a mass is negative or not finite, or the totals differ or are zero.
    """
    if cost.ndim != 3 or source.shape != cost.shape[:2] or target.shape != (len(cost), cost.shape[2]):
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in (cost, source, target))
        raise TransportError(
            f"cost, source and target marginal must be (B, Q, D), (B, Q), (B, D), not {shapes}"
        )
    dtype = working_dtype(cost)
    source, target = source.detach().to(dtype), target.detach().to(dtype)
    for name, marginal in (("source", source), ("target", target)):
        if not bool(((marginal >= 0) & marginal.isfinite()).all()):
            raise TransportError(f"the {name} marginal contains a mass that is negative or not finite")
    total, other = source.sum(-1), target.sum(-1)
    bad = (total <= 0) | ((total - other).abs() > TOTALS_AGREE * total)
    if bool(bad.any()):
        worst = int(bad.nonzero()[0, 0])
        raise TransportError(
            f"problem {worst} of the batch has source mass {float(total[worst]):.6g} and target mass "
            f"{float(other[worst]):.6g}; the two must be equal and above zero"
        )
    return source, target * (total / other).unsqueeze(-1)


def reduced(cost: Tensor, support: Tensor) -> Tensor:
    """Subtract from the costs their row minima, then their column minima, over the support; 0 elsewhere.

    Subtracting a constant from a row or a column changes no plan. The reduced costs are smaller, so float32
    represents them more exactly, and each row and column of the support has a zero, so no row or column of
    exp(-C/ε) becomes zero.
    """
    cost = cost.masked_fill(~support, torch.inf)
    for dim in (2, 1):
        least = cost.amin(dim, keepdim=True)
        cost = cost - least.masked_fill_(least.isinf(), 0.0)
    return cost.masked_fill_(~support, 0.0)


def spread(cost: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Return the standard deviation of each problem's costs under the independent coupling: (B,).

    It is at least a few units of float precision at the largest cost of the problem: the spread of equal
    costs is rounding error, and division by it would produce an arbitrary alignment.
    """
    limits = torch.finfo(cost.dtype)
    # squares of the costs themselves could overflow or underflow
    scale = cost.abs().amax((1, 2), keepdim=True).clamp_min_(limits.tiny**0.5)
    weight = source.unsqueeze(-1) * target.unsqueeze(-2)
    weight = weight / weight.sum((1, 2), keepdim=True)
    relative = cost / scale
    mean = (weight * relative).sum((1, 2), keepdim=True)
    deviation = (weight * (relative - mean).square()).sum((1, 2)).sqrt()
    return deviation.clamp_min_(8 * limits.eps) * scale.flatten()
