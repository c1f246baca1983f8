"""How much mass each token brings to transport, as a configuration wants it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from engine import transport
from engine.config import TransportConfig
from engine.errors import InputError


class Side(Protocol):
    """One side of a batch of pairs: the student's queries, the teacher's sentences, or anything encoded."""

    @property
    def tokens(self) -> Tensor:
        """Unit token vectors (B, T, H)."""

    @property
    def mask(self) -> Tensor:
        """The tokens that count (B, T)."""

    @property
    def norms(self) -> Tensor:
        """Lengths of the token vectors before normalisation (B, T)."""

    @property
    def ids(self) -> Tensor:
        """Piece ids (B, T)."""

    @property
    def attention(self) -> Tensor | None:
        """Attention that each token receives (B, T)."""


@dataclass(frozen=True)
class Masses:
    """The marginals of a side.

    Attributes
    ----------
    config : TransportConfig
        Says which.
    idf : Tensor (V,), optional
        Inverse document frequencies, for marginals by them.
    head : torch.nn.Linear, optional
        Gives a token vector the logit of its mass, for learned marginals. Student and teacher share it, as
        their tokens share a space.
    """

    config: TransportConfig
    idf: Tensor | None = None
    head: torch.nn.Linear | None = None

    def __call__(self, side: Side) -> Tensor:
        """Return token masses (B, T) that sum to one over the tokens that count.

        Raises
        ------
        InputError
            If what the configuration asks for is not at hand, or a row has no mass.
        """
        kind = self.config.marginals
        if kind == "norm":
            return transport.norm_marginal(side.norms.detach().unsqueeze(-1), side.mask)
        if kind == "idf":
            if self.idf is None:
                raise _lacking(kind, "there are no document frequencies")
            return transport.idf_marginal(self.idf.to(side.ids.device)[side.ids], side.mask)
        if kind == "attention":
            if side.attention is None:
                raise _lacking(kind, "the encoder gives no attention weights")
            return transport.attention_marginal(side.attention, side.mask)
        if kind == "learned":
            if self.head is None:
                raise _lacking(kind, "no head was trained for them")
            return transport.learned_marginal(self.head(side.tokens).squeeze(-1), side.mask)
        return transport.uniform_marginal(side.mask)


def _lacking(kind: str, why: str) -> InputError:
    return InputError(f"transport.marginals = '{kind}' cannot be used, since {why}; take another")
