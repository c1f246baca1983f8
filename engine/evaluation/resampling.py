"""Sums over random resamples: bootstrap samples, and values with random signs.

They have the distribution of the resamples of ``scipy.stats.bootstrap`` and ``scipy.stats.monte_carlo_test``
with a sum as statistic, take half of the time or less, and do without scipy.stats, which is slow to import.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_BLOCK = 1 << 16  # the most values that are drawn at a time; they fit in the cache of a core

_FEW = 20  # a count of equal values takes as long to draw as so many single values


def bootstrap_sums(values: Array, generator: np.random.Generator, resamples: int) -> Array:
    """Return the sums of `resamples` samples of n values each, drawn from `values` (n,) with replacement."""
    count = len(values)
    sums = np.empty(resamples)
    distinct, often = np.unique(values, return_counts=True)
    if len(distinct) * _FEW <= count:
        # How often each value is in a sample is all that matters.
        for rows in _blocks(resamples, len(distinct)):
            sums[rows] = generator.multinomial(count, often / count, rows.stop - rows.start) @ distinct
        return sums
    # The smaller integers are drawn in less time.
    kind = np.uint32 if count <= np.iinfo(np.uint32).max else np.uint64
    blocks = _blocks(resamples, count)
    places = np.empty((blocks[0].stop, count), dtype=np.intp)
    drawn = np.empty(places.shape)
    for rows in blocks:
        size = rows.stop - rows.start
        np.copyto(places[:size], generator.integers(0, count, (size, count), dtype=kind), casting="unsafe")
        # All places are valid; to let NumPy check them takes four times as long.
        np.take(values, places[:size], mode="clip", out=drawn[:size])
        drawn[:size].sum(axis=1, out=sums[rows])
    return sums


def sign_flip_sums(values: Array, generator: np.random.Generator, resamples: int) -> Array:
    """Return `resamples` sums of `values` (n,), in which each value has a random sign.

    A random byte has the signs of eight values. The 256 sums of each eight values are computed once.
    """
    groups = -(-len(values) // 8)
    padded = np.zeros(groups * 8)
    padded[: len(values)] = values
    signs = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1) * 2.0 - 1.0
    table = (padded.reshape(groups, 8) @ signs.T).ravel()
    offsets = np.arange(groups) * 256
    sums = np.empty(resamples)
    for rows in _blocks(resamples, groups):
        size = rows.stop - rows.start
        drawn = np.frombuffer(generator.bytes(size * groups), dtype=np.uint8).reshape(size, groups)
        sums[rows] = np.take(table, drawn + offsets, mode="clip").sum(axis=1)
    return sums


def sign_flip_p(values: Array, generator: np.random.Generator, resamples: int) -> float:
    """Return the two-sided p value, twice the smaller tail, of giving `values` (n,) random signs."""
    sums = sign_flip_sums(values, generator, resamples)
    observed = float(values.sum())
    # Sums of the same values in another order differ by rounding.
    tolerance = 1e-12 * float(np.abs(values).sum())
    below = int((sums <= observed + tolerance).sum())
    above = int((sums >= observed - tolerance).sum())
    return min(1.0, 2 * (min(below, above) + 1) / (resamples + 1))


def _blocks(resamples: int, width: int) -> list[slice]:
    rows = max(1, _BLOCK // width)
    return [slice(start, min(start + rows, resamples)) for start in range(0, resamples, rows)]
