"""The speed of a pre-training, compared with the machine's speed at matrix products."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

#: Width of the square matrices that the speed is measured with, and the minimum time in seconds.
SIDE, SECONDS = 1024, 0.3


def flops_of(work: Callable[[], Tensor]) -> int:
    """Return the floating-point operations of the matrix products in `work` and its backward pass.

    `work` returns the loss. A multiplication with its addition counts as two operations.
    """
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with counter:
        work().backward()  # type: ignore[no-untyped-call]
    return int(counter.get_total_flops())


def matmul_rate(device: torch.device, precision: torch.dtype) -> float:
    """Return the operations per second of products of square matrices in `precision`, the best of several."""
    left = torch.randn(SIDE, SIDE, device=device).to(precision)
    right = torch.randn(SIDE, SIDE, device=device).to(precision)
    product = left @ right
    best, begun = 0.0, time.perf_counter()
    while time.perf_counter() - begun < SECONDS:
        _wait(device)
        start = time.perf_counter()
        torch.mm(left, right, out=product)
        _wait(device)
        best = max(best, 2.0 * SIDE**3 / (time.perf_counter() - start))
    return best


def peak_memory(device: torch.device) -> int:
    """Return the maximum memory in bytes: of the device's allocator, or of this process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
