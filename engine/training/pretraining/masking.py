"""Masking: the tokens to predict, and what replaces them (Devlin et al. 2019, section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: Share of the tokens to predict that become the mask, and another piece; the rest stays unchanged.
MASKED, REPLACED = 0.8, 0.1


@dataclass(frozen=True)
class Masked:
    """A masked batch.

    Attributes
    ----------
    ids : array (B, T)
        The batch as the model sees it.
    places : array (M,)
        Positions of the tokens to predict in the flattened batch.
    targets : array (M,)
        Their original ids.
    """

    ids: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]

    def rows(self, begin: int, end: int) -> Masked:
        """Return the part of the batch with the rows from `begin` to before `end`."""
        length = self.ids.shape[1]
        own = (self.places >= begin * length) & (self.places < end * length)
        return Masked(self.ids[begin:end], self.places[own] - begin * length, self.targets[own])


class Masking:
    """Masks batches at random.

    Parameters
    ----------
    rate : float
        Share of the ordinary (not special) tokens to predict.
    mask : int
        Id of the mask.
    special : sequence of int
        Ids that are never predicted and never replace another token.
    vocabulary : int
        Number of ids.
    """

    def __init__(self, rate: float, mask: int, special: Sequence[int], vocabulary: int) -> None:
        self.rate, self.mask = rate, mask
        self.ordinary = np.ones(vocabulary, bool)
        self.ordinary[[*special, mask]] = False
        self.others = self.ordinary.nonzero()[0]

    def __call__(self, ids: npt.NDArray[np.int64], generator: np.random.Generator) -> Masked:
        """Mask exactly the share `rate` (rounded, at least one) of the ordinary tokens of `ids` (B, T)."""
        flat = ids.reshape(-1)
        candidates = self.ordinary[flat].nonzero()[0]
        count = min(len(candidates), max(1, round(self.rate * len(candidates))))
        places = np.sort(generator.permutation(candidates)[:count])
        draw = generator.random(count)
        shown = flat.copy()
        shown[places[draw < MASKED]] = self.mask
        replaced = places[(draw >= MASKED) & (draw < MASKED + REPLACED)]
        shown[replaced] = generator.choice(self.others, size=len(replaced))
        return Masked(shown.reshape(ids.shape), places, flat[places])
