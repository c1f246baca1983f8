"""Language information removal: vectors without the directions that are common to a language's vectors.

LIR (Yang, Yang, Cer and Darve 2021, arXiv 2109.04727): the first principal components of a language's vectors
encode the language, which harms search across languages. No training is needed, only unlabelled text of each
language.
"""

from __future__ import annotations

import torch
from torch import Tensor

from engine.errors import InputError

_ROWS = 1 << 16  # vectors that are converted to fp64 at once


@torch.no_grad()
def principal_components(vectors: Tensor, count: int) -> Tensor:
    """Return the first right singular vectors of a language's vectors, without centring.

    Parameters
    ----------
    vectors : Tensor of shape (N, H)
    count : int
        Components R to return.

    Returns
    -------
    Tensor of shape (R, H), float32
        Orthonormal rows; the one with the largest singular value comes first.

    Raises
    ------
    InputError
        If the vectors are too few or too narrow, so that nothing would be left of them.
    """
    rows, width = vectors.shape
    if count >= min(rows, width):
        raise InputError(
            f"language_components = {count} would leave nothing of {rows} vectors of width {width}; lower it"
        )
    second = torch.zeros(width, width, dtype=torch.float64, device=vectors.device)
    for start in range(0, rows, _ROWS):
        block = vectors[start : start + _ROWS].double()
        second += block.T @ block
    _, axes = torch.linalg.eigh(second)
    return axes[:, -count:].flip(1).T.float().contiguous() if count else vectors.new_zeros(0, width).float()


def remove_components(vectors: Tensor, components: Tensor) -> Tensor:
    """Return ``v - C^T C v``, scaled to unit length again, for `vectors` (N, H) and `components` C (R, H).

    Both may have a batch as their first dimension. Without components, `vectors` are returned. A vector in
    the span of the components becomes zero.
    """
    if not components.shape[-2]:
        return vectors
    exact = vectors.float()
    left = exact - (exact @ components.mT) @ components
    # the rest of a vector in the span of the components is rounding error, not a direction
    length = left.norm(dim=-1, keepdim=True)
    unit = torch.where(length > 1e-5, left / length.clamp_min(1e-12), torch.zeros_like(left))
    return unit.to(vectors.dtype)


def component_key(kind: str, role: str, language: str) -> str:
    """Return the name of a language's components: those of token or sentence vectors, in a role of texts."""
    return f"{kind} {role} {language}"


def role_of(key: str) -> str:
    """Return the role of texts in the name of components."""
    return key.split()[1]


def language_of(key: str) -> str:
    """Return the code of the language in the name of components."""
    return key.split()[2]
