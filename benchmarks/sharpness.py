"""Measure how sharp the transport plans of many pairs are. Used by `where.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.config import TransportConfig
from engine.encoders.encoder import Encoder, Role
from engine.transport import TokenTransport


@dataclass(frozen=True)
class Sharpness:
    """Figures of one pair's transport plan.

    Attributes
    ----------
    source_tokens, target_tokens : int
        Number of counted tokens.
    cost : float
        <T, C>.
    entropy : float
        Mean entropy of the plan's rows in nats, from 0 (a hard alignment) to ln `target_tokens` (no
        alignment).
    epsilon : float
        The regularisation, in the unit of the costs.
    """

    source_tokens: int
    target_tokens: int
    cost: float
    entropy: float
    epsilon: float


@torch.inference_mode()
def sharpness(
    student: Encoder,
    teacher: Encoder,
    pairs: Sequence[tuple[str, str]],
    config: TransportConfig,
    *,
    target_role: Role = "passage",
    idf: Tensor | None = None,
    batch_size: int = 32,
) -> list[Sharpness | None]:
    """Return the figures of `pairs` (query of the student, English sentence of the teacher), in their order.

    The figures of a pair without a counted token on one side are None.

    Raises
    ------
    InputError
        If an input that the marginals need is missing.
    """
    transport = TokenTransport(config, idf, student.mass_head)
    attention = config.needs("attention")
    student.eval()
    teacher.eval()
    found: list[Sharpness | None] = [None] * len(pairs)
    queries = student.tokenize([source for source, _ in pairs], "query")
    sentences = teacher.tokenize([target for _, target in pairs], target_role)
    full = [i for i in range(len(pairs)) if any(queries[i].counted) and any(sentences[i].counted)]
    for start in range(0, len(full), batch_size):
        rows = full[start : start + batch_size]
        query = student([queries[i] for i in rows], "query", attention=attention)
        document = teacher([sentences[i] for i in rows], target_role, attention=attention)
        plan = transport.plan(query, document)
        entropy = plan.row_entropy().sum(1) / (plan.source_marginal > 0).sum(1)
        columns = (query.mask.sum(1), document.mask.sum(1), plan.value, entropy, plan.epsilon)
        for i, *figures in zip(rows, *(column.tolist() for column in columns), strict=True):
            found[i] = Sharpness(*figures)
    return found
