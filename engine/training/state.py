"""The saved state of a training: everything that its next step depends on besides its configuration.

One safetensors file holds the trained weights, AdamW's moments, the best weights so far and the states of the
random generators; its header holds the counters as JSON. The file is replaced atomically, so a resumed run
finds either a whole state or none.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import Parameter

from engine.atomic import replacing
from engine.errors import DivergedError, InputError, OpticalError

STATE_FILE = "state.safetensors"
_HEADER = "optical"


@dataclass
class Progress:
    """How far a training is.

    Attributes
    ----------
    step : int
        Number of steps done.
    first, best_value : float
        The deciding figure before the first step, and its best value so far; NaN if there is none.
    best_step : int
        The step of the best weights.
    since : int
        Number of measurements since the best one.
    trained, elapsed : float
        Seconds in steps, and in the whole loop.
    """

    step: int = 0
    first: float = math.nan
    best_step: int = 0
    best_value: float = math.nan
    since: int = 0
    trained: float = 0.0
    elapsed: float = 0.0


@contextmanager
def dropped_on_divergence(path: Path) -> Iterator[None]:
    """Remove the state at `path` if training diverges, because it would diverge again from there."""
    try:
        yield
    except DivergedError:
        path.unlink(missing_ok=True)
        raise


def save_state(
    path: Path,
    progress: Progress,
    hashes: Sequence[str],
    weights: Mapping[str, Parameter],
    best: Mapping[str, Tensor],
    optimiser: torch.optim.Optimizer,
    generator: np.random.Generator,
    moving: Mapping[str, Tensor] | None = None,
) -> None:
    """Write the state to `path`.

    Parameters
    ----------
    path : Path
        The file.
    progress : Progress
        How far the training is.
    hashes : sequence of str
        Hashes of the training data.
    weights : mapping of str to Parameter
        The trained weights.
    best : mapping of str to Tensor
        The best weights so far.
    optimiser : Optimizer
        AdamW over the weights.
    generator : numpy Generator
        Draws what is random in a step, besides torch's generators.
    moving : mapping of str to Tensor, optional
        The moving average of the weights, if there is one; the best weights are its best values.

    Raises
    ------
    OpticalError
        If the disk is full; the previous state is kept.
    """
    tensors = {f"weights/{name}": value.detach().contiguous() for name, value in weights.items()}
    if progress.best_step != progress.step:  # otherwise they are the weights, or their moving average
        tensors |= {f"best/{name}": value.contiguous() for name, value in best.items()}
    tensors |= {f"moving/{name}": value.contiguous() for name, value in (moving or {}).items()}
    for name, value in weights.items():
        moments = optimiser.state.get(value, {})
        tensors |= {f"optimiser/{part}/{name}": tensor.contiguous() for part, tensor in moments.items()}
    tensors["random/cpu"] = torch.get_rng_state()
    if _on_cuda(weights):
        tensors["random/cuda"] = torch.cuda.get_rng_state()
    header = {
        "progress": asdict(progress),
        "bitext": list(hashes),
        "generator": generator.bit_generator.state,
    }
    try:
        path.parent.mkdir(exist_ok=True)
        with replacing(path) as building:
            save_file(tensors, str(building), metadata={_HEADER: json.dumps(header)})
    except (OSError, SafetensorError) as error:  # safetensors reports a full disk with its own error
        reason = getattr(error, "strerror", None) or error
        raise OpticalError(f"{path}: the state could not be saved: {reason}") from error


def load_state(
    path: Path,
    hashes: Sequence[str],
    weights: Mapping[str, Parameter],
    best: Mapping[str, Tensor],
    optimiser: torch.optim.Optimizer,
    generator: np.random.Generator,
    moving: Mapping[str, Tensor] | None = None,
) -> Progress:
    """Load a saved state into the objects that `save_state` took it from, and return the progress.

    Raises
    ------
    InputError
        If the file is damaged, or belongs to other data or another encoder.
    """
    try:
        with safe_open(str(path), "pt") as file:
            header: dict[str, Any] = json.loads((file.metadata() or {})[_HEADER])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dict
        progress = Progress(**header["progress"])
        known = header["bitext"]
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            "the saved state is damaged; delete it to start the run over, or start a new run", path=path
        ) from error
    if known != list(hashes):
        raise InputError("the training data has changed since the run began; start a new run", path=path)
    if any(
        tensors.get(f"weights/{name}", torch.empty(0)).shape != value.shape for name, value in weights.items()
    ):
        raise InputError("the state belongs to another encoder; start a new run", path=path)
    for name, value in weights.items():
        value.data.copy_(tensors[f"weights/{name}"])
        last = tensors.get(f"moving/{name}", tensors[f"weights/{name}"])
        best[name].copy_(tensors.get(f"best/{name}", last))
        if moving is not None:
            moving[name].copy_(last)
        moments = {
            part: tensors[key].to(value.device)
            for part in ("step", "exp_avg", "exp_avg_sq")
            if (key := f"optimiser/{part}/{name}") in tensors
        }
        if moments:
            optimiser.state[value] = moments
    torch.set_rng_state(tensors["random/cpu"])
    if "random/cuda" in tensors and _on_cuda(weights):
        torch.cuda.set_rng_state(tensors["random/cuda"])
    generator.bit_generator.state = header["generator"]
    return progress


def _on_cuda(weights: Mapping[str, Parameter]) -> bool:
    return any(value.is_cuda for value in weights.values())
