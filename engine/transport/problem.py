"""The checked form of a batch of transport problems, which every solver takes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.errors import InputError

TOTALS_AGREE = 1e-3  # largest relative difference between the two total masses of a problem


class TransportError(InputError, ValueError):
    """A transport problem that has no meaning: shapes, masses or settings that contradict each other."""


def working_dtype(tensor: Tensor) -> torch.dtype:
    """Return the type to compute in: float64 stays, everything narrower becomes float32."""
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32


@dataclass(frozen=True)
class Problem:
    """A batch of balanced transport problems, detached from autograd and free of masked garbage.

    Parameters
    ----------
    cost : Tensor (B, Q, D)
        Costs less their row and then column minima on the support, 0 off it. The plan does not depend on
        what is subtracted from a row or a column, and small numbers lose less in float32.
    source : Tensor (B, Q)
        Mass of each source token; 0 marks a masked position.
    target : Tensor (B, D)
        Mass of each target token, scaled to the very total of `source`.
    epsilon : Tensor (B,)
        Entropic regularisation of each problem, in the unit of its costs.
    """

    cost: Tensor
    source: Tensor
    target: Tensor
    epsilon: Tensor


def support_of(source: Tensor, target: Tensor) -> Tensor:
    """Return where both marginals have mass: (B, Q), (B, D) -> bool (B, Q, D)."""
    return (source > 0).unsqueeze(-1) & (target > 0).unsqueeze(-2)


def check_marginals(cost: Tensor, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return both marginals in the working type with equal totals.

    Raises
    ------
    TransportError
        When shapes disagree, or a mass is negative, not finite, or the totals differ or vanish.
    """
    shapes = f"cost {tuple(cost.shape)}, source marginal {tuple(source.shape)}, target marginal {tuple(target.shape)}"
    if cost.ndim != 3 or source.shape != cost.shape[:2] or target.shape != (cost.shape[0], cost.shape[2]):
        raise TransportError(f"shapes must be (B, Q, D), (B, Q) and (B, D), but they are {shapes}")
    dtype = working_dtype(cost)
    source, target = source.detach().to(dtype), target.detach().to(dtype)
    for name, marginal in (("source", source), ("target", target)):
        if not bool(((marginal >= 0) & marginal.isfinite()).all()):
            raise TransportError(
                f"the {name} marginal holds a negative or non-finite mass; masses must be >= 0"
            )
    totals, others = source.sum(-1), target.sum(-1)
    if not bool((totals > 0).all()):
        empty = int((totals <= 0).nonzero()[0, 0])
        raise TransportError(f"problem {empty} has no mass at all; give every problem at least one token")
    if not bool(((totals - others).abs() <= TOTALS_AGREE * totals).all()):
        worst = int(((totals - others).abs() / totals).argmax())
        raise TransportError(
            f"problem {worst} has source mass {float(totals[worst]):.6g} but target mass "
            f"{float(others[worst]):.6g}; balanced transport needs equal totals"
        )
    return source, target * (totals / others).unsqueeze(-1)


def reduced(cost: Tensor, support: Tensor) -> Tensor:
    """Subtract from the costs their row minima, then column minima, on the support; 0 off the support."""
    cost = cost.masked_fill(~support, torch.inf)
    for dim in (2, 1):
        least = cost.amin(dim, keepdim=True)
        cost = cost - least.masked_fill(least.isinf(), 0.0)
    return cost.masked_fill_(~support, 0.0)


def spread(cost: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Return the standard deviation of each problem's costs under the independent coupling: (B,).

    It has a floor of a few units of float precision at the largest cost, so that equal costs, whose
    spread is rounding error, stay equal when divided by it.
    """
    weight = source.unsqueeze(-1) * target.unsqueeze(-2)
    weight = weight / weight.sum((1, 2), keepdim=True)
    mean = (weight * cost).sum((1, 2), keepdim=True)
    deviation = (weight * (cost - mean).square()).sum((1, 2)).sqrt()
    limits = torch.finfo(cost.dtype)
    floor = 16 * limits.eps * cost.abs().amax((1, 2))
    return torch.maximum(deviation, floor.clamp_min(limits.tiny**0.5))
