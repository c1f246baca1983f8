"""Masked language modelling on held-out sentences; the same tokens are masked every time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from engine.training.pretraining.corpus import Corpus, all_blocks
from engine.training.pretraining.masking import Masked, Masking
from engine.training.pretraining.model import masked_logits
from engine.training.runtime import Runtime

#: Number of blocks that are measured at once.
AT_ONCE = 64


class HeldOut:
    """Held-out text of several languages, masked once.

    Parameters
    ----------
    corpora : mapping
        Held-out sentences by language; languages without any are left out.
    masking : Masking
        The masking of the training.
    first, length : int
        The first token of a block, and its length.
    runtime : Runtime
        Where it computes.
    """

    def __init__(
        self, corpora: Mapping[str, Corpus], masking: Masking, first: int, length: int, runtime: Runtime
    ) -> None:
        self.runtime = runtime
        self.batches: dict[str, list[Masked]] = {}
        for language, corpus in corpora.items():
            if corpus.sentences:
                generator = np.random.default_rng(0)  # the same masks in every run, so that runs compare
                blocks = all_blocks(corpus, first, length)
                self.batches[language] = [
                    masking(blocks[start : start + AT_ONCE], generator)
                    for start in range(0, len(blocks), AT_ONCE)
                ]

    def __len__(self) -> int:
        """Return the number of languages."""
        return len(self.batches)

    @torch.no_grad()
    def measure(self, model: Any) -> dict[str, float]:
        """Return loss (nats per token) and accuracy on masked tokens: by language, and their means."""
        figures: dict[str, float] = {}
        for language, batches in self.batches.items():
            loss = right = tokens = 0.0
            for batch in batches:
                ids, places, targets = (
                    torch.from_numpy(array).to(self.runtime.device)
                    for array in (batch.ids, batch.places, batch.targets)
                )
                with self.runtime.autocast():
                    logits = masked_logits(model, ids, places)
                loss += float(torch.nn.functional.cross_entropy(logits.float(), targets, reduction="sum"))
                right += float((logits.argmax(-1) == targets).sum())
                tokens += len(targets)
            figures[f"held_out_loss_{language}"] = loss / tokens
            figures[f"held_out_accuracy_{language}"] = right / tokens
        for name in ("held_out_loss", "held_out_accuracy"):
            figures[name] = sum(figures[f"{name}_{language}"] for language in self.batches) / len(self)
        return figures
