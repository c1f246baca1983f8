"""Language information removal: vectors without the directions that a language's vectors have in common.

LIR (Yang, Yang, Cer and Darve 2021, arXiv 2109.04727): what a language's vectors share most is the language,
and it stands in the way of search across languages. No training is needed, only unlabelled text of each
language.
"""

from __future__ import annotations

import torch
from torch import Tensor

from engine.errors import InputError

_ROWS = 1 << 16  # vectors that are turned into fp64 at once


@torch.no_grad()
def principal_components(vectors: Tensor, count: int) -> Tensor:
    """Return the first right singular vectors of a language's vectors, which are not centred first.

    Parameters
    ----------
    vectors : Tensor of shape (N, H)
    count : int
        Components R to return.

    Returns
    -------
    Tensor of shape (R, H), float32
        Orthonormal rows, the most common direction first.

    Raises
    ------
    InputError
        If the vectors are too few or too narrow for anything to be left without the components.
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


@torch.no_grad()
def remove_components(vectors: Tensor, components: Tensor) -> Tensor:
    """Return ``v - C^T C v``, scaled to unit length again, for `vectors` (N, H) and `components` C (R, H).

    Without components the vectors themselves; one that lies among the components becomes zero.
    """
    if not len(components):
        return vectors
    exact = vectors.float()
    left = exact - (exact @ components.T) @ components
    # what rounding leaves of a vector that lies among the components is no direction
    length = left.norm(dim=-1, keepdim=True)
    unit = torch.where(length > 1e-5, left / length.clamp_min(1e-12), torch.zeros_like(left))
    return unit.to(vectors.dtype)
