"""An estimate of the memory that a step of training needs, before the first step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psutil
import torch
from torch import Tensor

from engine.errors import InputError

#: AdamW's moments and the gradient of each weight, in values.
_OF_OPTIMISER = 3
#: Control groups limit the memory of a container (versions 2 and 1): the limit and the usage.
_LIMITS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def check_memory(
    learner: torch.nn.Module,
    loss: Callable[[], Tensor],
    share: float,
    *,
    setting: str,
    batch_size: int,
    copies: int = 0,
) -> None:
    """Check that a step of training fits into the memory that is available now.

    What the forward pass keeps for the backward pass is measured on a part of a batch and grows with the
    batch. Temporary results are not counted, so a step needs somewhat more.

    Parameters
    ----------
    learner : Module
        The module that is trained, on its device. Its mode and the states of random generators do not change.
    loss : callable
        Returns the loss of a part of a batch.
    share : float
        The part's share of the batch.
    setting : str
        The name of the setting `batch_size`, for the message.
    batch_size : int
        Examples in a batch.
    copies : int
        Copies of the trained weights that are kept.

    Raises
    ------
    InputError
        If it does not fit; the message has a batch size that would.
    """
    trained = [value for value in learner.parameters() if value.requires_grad]
    if not trained:
        return
    device = trained[0].device
    mode = learner.training
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        batch = _kept_bytes(learner, loss) / share
    learner.train(mode)
    fixed = sum(value.numel() * value.element_size() for value in trained) * (_OF_OPTIMISER + copies)
    free = available_memory(device)
    if fixed + batch <= free:
        return
    fits = int((free - fixed) / (batch / batch_size))
    advice = (
        f"lower {setting} from {batch_size} to {fits} or less"
        if fits >= 1
        else "freeze layers or embeddings, shorten the texts, or train a smaller encoder"
    )
    raise InputError(
        f"a step needs about {_size(fixed + batch)} more memory than the run has now, and {_size(free)} are "
        f"available; {advice}"
    )


def available_memory(device: torch.device) -> int:
    """Return the bytes that this process can still allocate on `device`."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + cached
    free = int(psutil.virtual_memory().available)
    for limit, usage in _LIMITS:
        try:
            free = min(free, int(Path(limit).read_text()) - int(Path(usage).read_text()))
        except (OSError, ValueError):  # another version, another system, or no limit ("max")
            continue
    return max(0, free)


def _kept_bytes(learner: torch.nn.Module, loss: Callable[[], Tensor]) -> int:
    """Return the bytes of the tensors that the graph of `loss` keeps, besides the weights."""
    weights = {value.untyped_storage().data_ptr() for value in (*learner.parameters(), *learner.buffers())}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        graph = loss()  # keeps the tensors, so that no two of them share an address
    del graph
    return sum(kept.values())


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB"
