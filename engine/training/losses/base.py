"""What every distillation loss sees, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class Targets:
    """Teacher vectors of N English sentences; the first B belong to the batch's queries, in order.

    Attributes
    ----------
    tokens : Tensor (N, D, H)
        Unit token vectors.
    mask : Tensor (N, D), bool
        The tokens that count.
    sentences : Tensor (N, H')
        Unit sentence vectors.
    norms : Tensor (N, D)
        Lengths of the token vectors before normalisation.
    ids : Tensor (N, D)
        Piece ids, for marginals by document frequency.
    attention : Tensor (N, D), optional
        Attention that each token receives, for marginals by it.
    layers : Tensor (L, B, D, W), optional
        Unit vectors of the queries' own sentences in other layers, for transport over several.
    excluded : Tensor (B, N), bool
        Sentences that are no negatives of a query: the same English text as its own translation.
    """

    tokens: Tensor
    mask: Tensor
    sentences: Tensor
    norms: Tensor
    ids: Tensor
    excluded: Tensor
    attention: Tensor | None = None
    layers: Tensor | None = None

    def first(self, count: int) -> Targets:
        """Return the first `count` sentences, such as those that belong to the batch's queries."""
        across = ("excluded", "layers")
        return self._each(lambda name, tensor: tensor[:, :count] if name in across else tensor[:count])

    def to(self, device: torch.device) -> Targets:
        """Return the targets on `device`, where the student's vectors are."""
        return self._each(lambda _, tensor: tensor.to(device))

    def _each(self, change: Callable[[str, Tensor], Tensor]) -> Targets:
        tensors = {field.name: getattr(self, field.name) for field in fields(self)}
        changed: dict[str, Any] = {n: t if t is None else change(n, t) for n, t in tensors.items()}
        return Targets(**changed)


@dataclass(frozen=True)
class Batch:
    """One step's student vectors beside its targets.

    Attributes
    ----------
    tokens, mask, sentences, norms, ids, attention, layers : Tensor
        As in `Targets`, of the B queries (B, Q, ...), with the student's gradient.
    targets : Targets
        The teacher's side.
    """

    tokens: Tensor
    mask: Tensor
    sentences: Tensor
    norms: Tensor
    ids: Tensor
    targets: Targets
    attention: Tensor | None = None
    layers: Tensor | None = None


class Loss(Protocol):
    """A distillation loss: a scalar to minimise and figures worth logging."""

    def __call__(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Return the mean loss over the batch (scalar) and named diagnostics."""
