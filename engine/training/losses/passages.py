"""Score distillation over passages: the student scores passages of a collection as the teacher does.

The teacher scores passages for the English side of a pair, the student for the other side. No passage is
judged: the teacher's scores are the target (Translate-Distill, Yang et al. 2024, arXiv 2401.04810, with the
query translated and not the passages).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from engine.extensions.losses import Batch, Loss, LossInputs, PassageSettings
from engine.extensions.scorings import SCORINGS
from engine.lazy import LazyModule
from engine.training.losses.score_kl import score_divergence

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")


class PassagesLoss:
    """KL divergence of the student's scores over the passages of a batch from the teacher's.

    Parameters
    ----------
    scorings : mapping of str to callable
        Functions of encoded queries and encoded passages that return scores (B, P), by their name.
    temperature : float
        Divides all scores.
    """

    def __init__(self, scorings: Mapping[str, Callable[[Any, Any], Tensor]], temperature: float) -> None:
        self.scorings, self.temperature = scorings, temperature

    def __call__(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Return the sum over scorings of the mean divergence, in nats, and the figures of each scoring."""
        passages, own = batch.passages, batch.targets.first(len(batch.tokens))
        assert passages is not None
        all_of_them = torch.zeros(
            len(batch.tokens), len(passages.sentences), dtype=torch.bool, device=batch.tokens.device
        )
        total = batch.tokens.new_zeros(())
        figures: dict[str, float] = {}
        for name, scores in self.scorings.items():
            with torch.no_grad():
                teacher = scores(own, passages)
            student = scores(batch, passages)
            loss = score_divergence(student, teacher, all_of_them, self.temperature)
            total = total + loss
            agreed = (student.detach().argmax(1) == teacher.argmax(1)).float().mean()
            figures[f"passages_kl_{name}"] = float(loss.detach())
            figures[f"passages_agreement_{name}"] = float(agreed)
        return total, figures


def _build(inputs: LossInputs) -> PassagesLoss:
    settings: PassageSettings = inputs.settings
    scorings = {name: SCORINGS[name].resolve_batch_scores() for name in settings.scoring}
    return PassagesLoss(scorings, settings.temperature)


PASSAGES = Loss(
    name="passages",
    meaning="KL divergence of the student's scores over passages of a collection from those that the teacher "
    "gives the passages for the query's translation. No judgement is read.",
    build=_build,
    passages=True,
    settings=PassageSettings,
)
