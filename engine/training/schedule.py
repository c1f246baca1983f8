"""The schedule of the learning rate."""

from __future__ import annotations

import math


def learning_rate_factor(step: int, steps: int, warmup: float, decay: str) -> float:
    """Return the factor on the peak learning rate at `step` (from 0) of `steps`.

    It rises linearly from 1/w over the first w = warmup * steps steps. Then it is constant (``none``), or
    falls to zero linearly (``linear``) or as half a cosine (``cosine``).
    """
    rising = round(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    if decay == "none":
        return 1.0
    done = (step - rising) / max(1, steps - rising)
    return 1.0 - done if decay == "linear" else 0.5 * (1 + math.cos(math.pi * done))
