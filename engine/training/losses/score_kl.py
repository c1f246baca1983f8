"""Score distillation: the student ranks sentences as the teacher does.

Translate-Distill (Yang et al. 2024, arXiv 2401.04810) distils the scores that a teacher gives an English
query and passages into a student that reads the passages' translations. Here the query is translated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.extensions.losses import Batch, Loss
from engine.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")


def score_divergence(student: Tensor, teacher: Tensor, excluded: Tensor, temperature: float) -> Tensor:
    """Return the mean over rows of KL(softmax(teacher / τ) | softmax(student / τ)).

    Parameters
    ----------
    student, teacher : Tensor (B, N)
        Scores of N sentences for B queries.
    excluded : Tensor (B, N), bool
        Columns that are left out of a row.
    temperature : float
        τ.
    """
    logs = [
        torch.log_softmax(scores.masked_fill(excluded, -torch.inf) / temperature, 1)
        # -inf - (-inf) would be NaN where a sentence is left out
        .masked_fill(excluded, 0.0)
        for scores in (student, teacher)
    ]
    kept = logs[1].exp().masked_fill(excluded, 0.0)
    return (kept * (logs[1] - logs[0])).sum(1).mean()


class ScoreKLLoss:
    """KL divergence of the student's MaxSim scores from the teacher's.

    The teacher scores each English sentence of the batch against the query's own translation. It encodes both
    in the role `training.target_role`.
    """

    def __init__(self, temperature: float) -> None:
        self.temperature = temperature

    def __call__(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Return the mean divergence over the batch, in nats."""
        from engine.retrieval.maxsim import maxsim_scores

        targets = batch.targets
        own = targets.first(len(batch.tokens))
        with torch.no_grad():
            teacher = maxsim_scores(own.tokens, own.mask, targets.tokens, targets.mask)
        student = maxsim_scores(batch.tokens, batch.mask, targets.tokens, targets.mask)
        loss = score_divergence(student, teacher, targets.excluded, self.temperature)
        return loss, {"score_kl": float(loss.detach())}


SCORE_KL = Loss(
    name="score_kl",
    meaning="KL divergence of the student's MaxSim scores over the English sentences of the batch from those "
    "that the teacher gives the query's translation (Translate-Distill).",
    build=lambda inputs: ScoreKLLoss(inputs.shared.temperature),
    compares="batches",
)
