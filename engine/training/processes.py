"""Several processes that train one encoder together, started by ``run --processes`` or by torchrun.

Every process draws the same batches and encodes its share of each one. What they encoded is gathered, so
that every process computes the loss of the whole batch, with all in-batch negatives. A gradient is the mean
over the processes, and each process multiplies the gradient of its share by their number (`gather`). So the
sum is the gradient of one process with the whole batch, for any loss, and for weights that are used outside
the encoder. The first process writes to the run folder; the others read from it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from engine.encoders.encoder import Encoded, Encoder, Role, Tokens
from engine.errors import OpticalError

_PATIENCE = timedelta(days=2)  # the others wait while the first process reads data and measures


class LostProcessError(OpticalError):
    """Another process of the run ended before the training did (exit status 1)."""


def started_with_others() -> bool:
    """Return whether this process was started as one of several, by torchrun or ``run --processes``."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


def join() -> None:
    """Wait until all processes of the run are there, if this one was started with others.

    Raises
    ------
    LostProcessError
        If one of them does not come.
    """
    if not started_with_others() or dist.is_initialized():
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    with _together():
        dist.init_process_group(backend, timeout=_PATIENCE)
        dist.barrier()


def leave() -> None:
    """Part from the other processes."""
    if dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    """Return the number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def size() -> int:
    """Return how many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def share(count: int) -> tuple[int, int]:
    """Return the first of `count` rows that are this process's, and the one behind its last."""
    each = -(-count // size())
    return min(count, rank() * each), min(count, (rank() + 1) * each)


def mean(value: float) -> float:
    """Return the mean of a number over the processes."""
    return average((), torch.tensor(value))


@contextmanager
def _together() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # a connection that was closed, or a store that does not answer
        raise LostProcessError(
            "another process of the run ended before the training did; resume the run, which goes on from "
            "the last saved state"
        ) from error


def barrier() -> None:
    """Wait for the other processes."""
    if size() > 1:
        with _together():
            dist.all_reduce(torch.zeros(1))  # on the CPU, whatever the backend


@contextmanager
def first_alone() -> Iterator[None]:
    """Let the first process go through the block before the others, which find its caches filled."""
    if rank() > 0:
        barrier()
    yield
    if rank() == 0:
        barrier()


def any_of(flag: bool) -> bool:
    """Return whether `flag` is true in some process."""
    if size() == 1:
        return flag
    told = torch.tensor([float(flag)])
    with _together():
        dist.all_reduce(told)
    return bool(told.item() > 0)


def from_first(value: Any) -> Any:
    """Return the value, which JSON can express, that the first process gives."""
    if size() == 1:
        return value
    content = json.dumps(value).encode() if rank() == 0 else b""
    length = torch.tensor([len(content)])
    with _together():
        dist.broadcast(length, 0)
        sent = torch.zeros(int(length), dtype=torch.uint8)
        if rank() == 0:
            sent.copy_(torch.frombuffer(bytearray(content), dtype=torch.uint8))
        dist.broadcast(sent, 0)
    return json.loads(bytes(sent.tolist()))


def average(parameters: Iterable[Tensor], loss: Tensor) -> float:
    """Replace the gradients by their means over the processes, and return the mean of the loss."""
    value = loss.detach().float().reshape(1)
    if size() == 1:
        return float(value)
    gradients = [one.grad for one in parameters if one.grad is not None]
    flat = torch.cat([value, *(gradient.float().reshape(-1) for gradient in gradients)])
    with _together():
        dist.all_reduce(flat)
    flat /= size()
    place = 1
    for gradient in gradients:
        part = flat[place : place + gradient.numel()]
        gradient.copy_(part.reshape(gradient.shape))
        place += gradient.numel()
    return float(flat[0])


def seed_step(seed: int, step: int) -> None:
    """Seed dropout for a step, so that no two processes drop the same and a resumed run drops the same."""
    if size() > 1:
        torch.manual_seed(((seed * 1_000_003 + step) * size() + rank()) % (1 << 63))


class _Gather(torch.autograd.Function):
    """The rows of all processes, one after another."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        own = own.contiguous()
        ctx.rows = len(own)
        parts = [torch.empty_like(own) for _ in range(size())]
        with _together():
            dist.all_gather(parts, own)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        begin = rank() * ctx.rows
        return gradients[0][begin : begin + ctx.rows] * size()


def gather(own: Tensor) -> Tensor:
    """Return the rows (W n, ...) of W processes, n of each; the gradient of its own is multiplied by W."""
    if size() == 1:
        return own
    gathered: Tensor = _Gather.apply(own)  # type: ignore[no-untyped-call]
    return gathered


def encode(
    encoder: Encoder,
    batch: Sequence[Tokens],
    role: Role,
    *,
    attention: bool = False,
    layers: Sequence[int] = (),
) -> Encoded:
    """Encode texts, each process its share, and return the vectors of all; as `Encoder.forward`."""
    if size() == 1:
        encoded: Encoded = encoder(batch, role, attention=attention, layers=layers)
        return encoded
    share = -(-len(batch) // size())
    begin = rank() * share
    # Every process has as many rows, of the same length; those behind the last text repeat the first one.
    own = [batch[place] if place < len(batch) else batch[0] for place in range(begin, begin + share)]
    longest = max(len(item.ids) for item in batch)
    mine: Encoded = encoder(own, role, attention=attention, layers=layers, longest=longest)
    ids, _, counted = encoder.pad(batch, role)

    def whole(part: Tensor | None) -> Tensor | None:
        return None if part is None else gather(part)[: len(batch)]

    tokens, sentences, norms = whole(mine.tokens), whole(mine.sentences), whole(mine.norms)
    assert tokens is not None and sentences is not None and norms is not None
    inner = None if mine.layers is None else whole(mine.layers.transpose(0, 1))
    return Encoded(
        tokens,
        counted,
        sentences,
        norms,
        ids,
        whole(mine.attention),
        None if inner is None else inner.transpose(0, 1),
    )
