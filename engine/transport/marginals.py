"""Marginals: the mass of each token in a transport problem."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.extensions.transport import Marginal, MassInputs, Side
from engine.lazy import LazyModule
from engine.transport.problem import TransportError, working_dtype

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")


def uniform_marginal(mask: Tensor) -> Tensor:
    """Give every unmasked token the same mass.

    Parameters
    ----------
    mask : Tensor (B, T)
        Non-zero for counted tokens.

    Returns
    -------
    Tensor (B, T)
        Rows that sum to one; masked positions have mass 0.

    Raises
    ------
    TransportError
        When a row has no token.
    """
    return _normalised(torch.ones(mask.shape, device=mask.device), mask)


def norm_marginal(vectors: Tensor, mask: Tensor) -> Tensor:
    """Give every unmasked token mass in proportion to the Euclidean norm of its vector.

    The norms are those before normalisation: frequent, uninformative tokens tend to have short vectors (Yokoi
    et al. 2020, "Word Rotator's Distance", arXiv 2004.15003). No gradient flows through the masses.

    Parameters
    ----------
    vectors : Tensor (B, T, H)
    mask : Tensor (B, T)
        Non-zero for counted tokens.

    Returns
    -------
    Tensor (B, T)
        Rows that sum to one; masked positions have mass 0.

    Raises
    ------
    TransportError
        When a row has no token, or only zero vectors.
    """
    if vectors.shape[:-1] != mask.shape:
        raise TransportError(f"vectors {tuple(vectors.shape)} and mask {tuple(mask.shape)} disagree in shape")
    return _normalised(torch.linalg.vector_norm(vectors.detach().to(working_dtype(vectors)), dim=-1), mask)


def idf_marginal(idf: Tensor, mask: Tensor) -> Tensor:
    """Give every unmasked token mass in proportion to its inverse document frequency.

    Parameters
    ----------
    idf : Tensor (B, T)
        Inverse document frequency of each token, >= 0.
    mask : Tensor (B, T)
        Non-zero for counted tokens.

    Returns
    -------
    Tensor (B, T)
        Rows that sum to one; masked positions have mass 0.

    Raises
    ------
    TransportError
        When a row has no token, an idf is negative or not finite, or all of a row's are zero.
    """
    if idf.shape != mask.shape:
        raise TransportError(f"idf {tuple(idf.shape)} and mask {tuple(mask.shape)} disagree in shape")
    return _normalised(idf.detach().to(working_dtype(idf)), mask)


def attention_marginal(attention: Tensor, mask: Tensor) -> Tensor:
    """Give every unmasked token mass in proportion to the attention it received.

    Parameters
    ----------
    attention : Tensor (B, T)
        Attention that each token received, >= 0.
    mask : Tensor (B, T)
        Non-zero for counted tokens.

    Returns
    -------
    Tensor (B, T)
        Rows that sum to one; masked positions have mass 0, and no gradient flows through the masses.

    Raises
    ------
    TransportError
        When a row has no token, or none of its tokens received any attention.
    """
    if attention.shape != mask.shape:
        raise TransportError(
            f"attention {tuple(attention.shape)} and mask {tuple(mask.shape)} disagree in shape"
        )
    return _normalised(attention.detach().to(working_dtype(attention)), mask)


def learned_marginal(logits: Tensor, mask: Tensor) -> Tensor:
    """Give every unmasked token mass by a softmax of its logit, through which the gradient flows.

    Parameters
    ----------
    logits : Tensor (B, T)
    mask : Tensor (B, T)
        Non-zero for counted tokens.

    Returns
    -------
    Tensor (B, T)
        Rows that sum to one; masked positions have mass 0.

    Raises
    ------
    TransportError
        When a row has no token.
    """
    if logits.shape != mask.shape:
        raise TransportError(f"logits {tuple(logits.shape)} and mask {tuple(mask.shape)} disagree in shape")
    keep = mask != 0
    if not bool(keep.any(-1).all()):
        row = int((~keep.any(-1)).nonzero()[0, 0])
        raise _no_token(row)
    return logits.to(working_dtype(logits)).masked_fill(~keep, -torch.inf).softmax(-1)


def _no_token(row: int) -> TransportError:
    return TransportError(f"row {row} has no token that counts, so it has no mass to transport; leave it out")


def _normalised(weights: Tensor, mask: Tensor) -> Tensor:
    keep = mask != 0
    weights = torch.where(keep, weights, 0.0)
    if not bool(((weights >= 0) & weights.isfinite()).all()):
        raise TransportError("a token's weight is negative or not finite; weights of tokens must be >= 0")
    totals = weights.sum(-1, keepdim=True)
    if not bool((totals > 0).all()):
        row = int((totals.squeeze(-1) <= 0).nonzero()[0, 0])
        if bool(keep[row].any()):
            raise TransportError(f"all tokens of row {row} have weight zero, so none has mass; leave it out")
        raise _no_token(row)
    return weights / totals


def inverse_document_frequencies(texts: Sequence[Sequence[int]], vocabulary: int) -> Tensor:
    """Return the smoothed inverse document frequency ln(1 + n / (1 + df)) of every token (V,).

    Parameters
    ----------
    texts : sequence of sequence of int
        Token ids of n texts; df counts the texts that contain a token.
    vocabulary : int
        V, the number of tokens in the vocabulary.
    """
    counts = torch.zeros(vocabulary)
    for ids in texts:
        counts[torch.tensor(sorted(set(ids)))] += 1
    return torch.log1p(len(texts) / (1 + counts))


def _uniform(side: Side, _: MassInputs) -> Tensor:
    return uniform_marginal(side.mask)


def _norm(side: Side, _: MassInputs) -> Tensor:
    return norm_marginal(side.norms.detach().unsqueeze(-1), side.mask)


def _idf(side: Side, inputs: MassInputs) -> Tensor:
    assert inputs.idf is not None
    return idf_marginal(inputs.idf.to(side.ids.device)[side.ids], side.mask)


def _attention(side: Side, _: MassInputs) -> Tensor:
    assert side.attention is not None
    return attention_marginal(side.attention, side.mask)


def _learned(side: Side, inputs: MassInputs) -> Tensor:
    assert inputs.head is not None
    return learned_marginal(inputs.head(side.tokens).squeeze(-1), side.mask)


BUILT_IN = (
    Marginal("uniform", "equal masses", _uniform),
    Marginal("norm", "by the length of the token vector before normalisation", _norm),
    Marginal("idf", "by inverse document frequency", _idf, needs=("document_frequencies",)),
    Marginal(
        "attention",
        "by the attention that the token receives in the last layer",
        _attention,
        needs=("attention",),
    ),
    Marginal("learned", "by a linear layer that is trained", _learned, needs=("mass_head",)),
)
