"""The number format of matrix products."""

from __future__ import annotations

import torch

from engine.config import RunHeader
from engine.extensions.runs import RUN_KINDS


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the autocast type for ``auto``, ``bf16`` or ``fp32``.

    ``auto`` is bf16 if the hardware computes in it; emulated bf16 is slower than float32.
    """
    if precision == "fp32":
        return torch.float32
    if precision == "bf16":
        return torch.bfloat16
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    if device.type == "cpu":
        native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        return torch.bfloat16 if native else torch.float32
    return torch.float32


def precision_of(config: RunHeader, device: torch.device) -> torch.dtype:
    """Return the autocast type on `device` that a run with this configuration evaluates in."""
    loop = RUN_KINDS[config.kind].loop
    return autocast_dtype("auto" if loop is None else getattr(config, loop).precision, device)
