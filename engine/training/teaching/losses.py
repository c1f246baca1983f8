"""The losses of a teacher: contrast over a batch's passages, and given scores of a question's own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.config.teacher import TeacherLossConfig
from engine.encoders.encoder import Encoded
from engine.extensions.scorings import SCORINGS
from engine.training.losses.score_kl import score_divergence


@dataclass(frozen=True)
class Scored:
    """Which of a batch's N distinct passages belong to which of its B questions.

    Attributes
    ----------
    labels : Tensor (B,), int64
        The passage that answers each question.
    excluded : Tensor (B, N), bool
        Other passages that are known to answer it, which are no negatives.
    own : Tensor (B, K), int64
        The passages of each question, its answer first; -1 is padding.
    given : Tensor (B, K), optional
        Their given scores.
    """

    labels: Tensor
    excluded: Tensor
    own: Tensor
    given: Tensor | None = None

    def to(self, device: torch.device) -> Scored:
        """Return the batch on `device`, the device of the scores."""
        given = None if self.given is None else self.given.to(device)
        return Scored(self.labels.to(device), self.excluded.to(device), self.own.to(device), given)


def scores_of(scoring: str, questions: Encoded, passages: Encoded) -> Tensor:
    """Return the scores (B, N) of passages under one of `engine.extensions.scorings.TRAINED_SCORINGS`.

    MaxSim is that of ColBERT (Khattab and Zaharia 2020, arXiv 2004.12832, equation 3), divided by the number
    of query tokens; with [MASK] expansion to 32 tokens that is a constant factor.
    """
    scores: Tensor = SCORINGS[scoring].resolve_batch_scores()(questions, passages)
    return scores


class TeacherLoss:
    """The sum of InfoNCE and score KL with the weights of `TeacherLossConfig`."""

    def __init__(self, config: TeacherLossConfig) -> None:
        self.config = config

    def __call__(self, scores: Tensor, batch: Scored) -> tuple[Tensor, dict[str, float]]:
        """Return the weighted loss of `scores` (B, N), and figures to log.

        InfoNCE is a cross-entropy of each question's own passage among all of the batch (van den Oord et al.
        2018, arXiv 1807.03748). The KL divergence is that of the given from the encoder's distribution over a
        question's own passages, as ColBERTv2 learns from a cross-encoder (Santhanam et al. 2022, arXiv
        2112.01488, section 3.2).
        """
        config = self.config
        total = scores.new_zeros(())
        figures: dict[str, float] = {}
        if config.contrast:
            logits = scores.masked_fill(batch.excluded, -torch.inf) / config.temperature
            contrast = torch.nn.functional.cross_entropy(logits, batch.labels)
            total = total + config.contrast * contrast
            first = (logits.detach().argmax(1) == batch.labels).float().mean()
            figures |= {"contrast": float(contrast.detach()), "in_batch_accuracy": float(first)}
        if config.score_kl and batch.given is not None:
            own = scores.gather(1, batch.own.clamp_min(0))
            # the divergence has one temperature for both sides
            given = batch.given * (config.temperature / config.given_temperature)
            divergence = score_divergence(own, given, batch.own < 0, config.temperature)
            total = total + config.score_kl * divergence
            figures["score_kl"] = float(divergence.detach())
        return total, figures
