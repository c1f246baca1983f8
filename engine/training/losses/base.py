"""What every distillation loss sees, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Protocol

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
    excluded : Tensor (B, N), bool
        Sentences that are no negatives of a query: the same English text as its own translation.
    """

    tokens: Tensor
    mask: Tensor
    sentences: Tensor
    norms: Tensor
    ids: Tensor
    excluded: Tensor

    def to(self, device: torch.device) -> Targets:
        """Return the targets on `device`, where the student's vectors are."""
        return Targets(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


@dataclass(frozen=True)
class Batch:
    """One step's student vectors beside its targets.

    Attributes
    ----------
    tokens, mask, sentences, norms, ids : Tensor
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


class Loss(Protocol):
    """A distillation loss: a scalar to minimise and figures worth logging."""

    def __call__(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Return the mean loss over the batch (scalar) and named diagnostics."""
