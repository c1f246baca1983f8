"""Where a run computes: device, precision, threads, and which of several processes this one is."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from engine.training import processes
from engine.training.precision import autocast_dtype


class LoopSettings(Protocol):
    """The settings of a training loop that a runtime depends on."""

    @property
    def precision(self) -> str:
        """``auto``, ``bf16`` or ``fp32``."""

    @property
    def threads(self) -> int | None:
        """CPU threads; None leaves torch's number."""


@dataclass(frozen=True)
class Runtime:
    """Where a run computes. A run creates one and hands it to everything that computes.

    Attributes
    ----------
    device : torch.device
        Where models and batches are.
    precision : torch.dtype
        Autocast type of the matrix products; float32 means no autocast.
    seed : int
        The run's seed.
    threads : int, optional
        CPU threads that were set; None if torch's number was left.
    rank, world_size : int
        This process among those that train together. Only the first one (rank 0) writes to the run folder.
    """

    device: torch.device
    precision: torch.dtype
    seed: int
    threads: int | None = None
    rank: int = 0
    world_size: int = 1

    @classmethod
    def start(cls, seed: int, loop: LoopSettings | None = None) -> Runtime:
        """Seed torch, set up the process for a run, and return its runtime.

        Parameters
        ----------
        seed : int
            Seed of torch's random numbers.
        loop : LoopSettings, optional
            The settings of the run's training loop, if it trains.
        """
        torch.manual_seed(seed)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        if loop is None:
            return cls(device, autocast_dtype("auto", device), seed)
        if loop.threads:
            torch.set_num_threads(loop.threads)
        torch.set_flush_denormal(True)  # denormals slow CPU kernels many times over
        precision = autocast_dtype(loop.precision, device)
        return cls(device, precision, seed, loop.threads, processes.rank(), processes.size())

    @property
    def is_main(self) -> bool:
        """Whether this process writes to the run folder."""
        return self.rank == 0

    def autocast(self) -> AbstractContextManager[Any]:
        """Return a context in which matrix products compute in `precision`."""
        enabled = self.precision != torch.float32
        return torch.autocast(self.device.type, dtype=self.precision, enabled=enabled)


def use_training_attention(model: Any, runtime: Runtime) -> None:
    """Let a transformers model train with the attention kernel that is the fastest one there.

    On a CPU in bf16 the backward pass of the fused kernel is slower than that of the plain one: a step of a
    student of 12 layers takes 1.00 s with it and 0.79 s without.
    """
    if runtime.device.type == "cpu" and runtime.precision == torch.bfloat16:
        model.set_attn_implementation("eager")


def use_inference_attention(model: Any) -> None:
    """Let a transformers model use the fused attention kernel, which is the fastest one without gradients."""
    model.set_attn_implementation("sdpa")
