"""Weight averaging (WiSE-FT, Wortsman et al. 2022) of trained weights with those before training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def averaged(live: Mapping[str, Tensor], origin: Mapping[str, Tensor] | None, share: float) -> Iterator[None]:
    """Within, the `live` weights have the values (1 - share) live + share origin, if `origin` is given."""
    if origin is None:
        yield
        return
    saved = {name: value.clone() for name, value in live.items()}
    try:
        for name, value in live.items():
            value.copy_(torch.lerp(value, origin[name], share))
        yield
    finally:
        for name, value in saved.items():
            live[name].copy_(value)
