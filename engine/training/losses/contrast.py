"""InfoNCE: a query's own translation against every other English sentence at hand.

One score for each loss: MaxSim, minus the transport cost, or the cosine of sentence vectors. The first two
are averages over the query's tokens, so that one temperature suits queries of any length.
"""

from __future__ import annotations

import torch
from torch import Tensor

from engine.retrieval.maxsim import maxsim_scores
from engine.training.losses.base import Batch
from engine.training.losses.masses import Masses
from engine.training.losses.problem import solve


def info_nce(scores: Tensor, excluded: Tensor, temperature: float) -> tuple[Tensor, float]:
    """Return the mean cross-entropy of each row's own column, and the share of rows that rank it first.

    Parameters
    ----------
    scores : Tensor (B, N)
        Scores of N >= B sentences for B queries; column i is right for row i.
    excluded : Tensor (B, N), bool
        Columns that are no negatives for a row.
    temperature : float
        Divides the scores (van den Oord et al. 2018, arXiv 1807.03748).
    """
    logits = scores.masked_fill(excluded, float("-inf")) / temperature
    labels = torch.arange(len(scores), device=scores.device)
    first = (logits.detach().argmax(1) == labels).float().mean()
    return torch.nn.functional.cross_entropy(logits, labels), float(first)


class MaxSimContrastLoss:
    """InfoNCE over MaxSim scores."""

    def __init__(self, temperature: float) -> None:
        self.temperature = temperature

    def __call__(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Return the contrast and how often a query's own translation scores highest."""
        targets = batch.targets
        scores = maxsim_scores(batch.tokens, batch.mask, targets.tokens, targets.mask)
        loss, first = info_nce(scores, targets.excluded, self.temperature)
        return loss, {"maxsim_contrast": float(loss.detach()), "in_batch_accuracy": first}


class TransportContrastLoss:
    """InfoNCE over minus the transport cost between a query and each sentence, plans held constant.

    With unbalanced transport the price of mass left behind belongs to the cost, or a sentence that has
    nothing to do with the query would be the cheapest. With `hardest` only so many sentences are compared
    with a query's own, those of the highest MaxSim scores.
    """

    def __init__(self, temperature: float, masses: Masses, hardest: int | None = None) -> None:
        self.temperature, self.masses, self.config = temperature, masses, masses.config
        self.hardest = hardest

    def __call__(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Return the contrast and how often a query's own translation is cheapest."""
        targets, excluded = batch.targets, batch.targets.excluded
        similarity = torch.einsum("bqh,ndh->bnqd", batch.tokens, targets.tokens)
        source, target = self.masses(batch), self.masses(targets)
        met = self._met(similarity.detach(), batch)
        chosen = similarity.gather(1, met[:, :, None, None].expand(-1, -1, *similarity.shape[2:]))
        cost = (1 - chosen if self.config.cost == "cosine" else 2 - 2 * chosen).flatten(0, 1)
        plan = solve(self.config, cost, source.repeat_interleave(met.shape[1], 0), target[met].flatten(0, 1))
        scores = cost.new_zeros(excluded.shape).scatter(1, met, -plan.objective.view(met.shape))
        left_out = torch.ones_like(excluded).scatter(1, met, excluded.gather(1, met))
        loss, first = info_nce(scores, left_out, self.temperature)
        return loss, {"transport_contrast": float(loss.detach()), "in_batch_accuracy_transport": first}

    def _met(self, similarity: Tensor, batch: Batch) -> Tensor:
        """Return the places (B, n) of the sentences that a query is transported to, its own among them.

        Sentences far from a query hardly weigh in the softmax, and cost a transport problem each.
        """
        targets, rows = batch.targets, torch.arange(len(batch.tokens), device=batch.tokens.device)
        if self.hardest is None:
            return torch.arange(len(targets.tokens), device=rows.device).expand(len(rows), -1)
        best = similarity.masked_fill(~targets.mask[:, None], -torch.inf).amax(3)
        scores = (best * batch.mask[:, None]).sum(2)  # each row has one number of tokens to divide by
        scores = scores.masked_fill(targets.excluded, -torch.inf)
        scores[rows, rows] = torch.inf
        return scores.topk(min(self.hardest + 1, scores.shape[1])).indices


class PooledContrastLoss:
    """InfoNCE over the cosine of sentence vectors."""

    def __init__(self, temperature: float) -> None:
        self.temperature = temperature

    def __call__(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Return the contrast and how often a query's own translation has the highest cosine."""
        scores = batch.sentences @ batch.targets.sentences.T
        loss, first = info_nce(scores, batch.targets.excluded, self.temperature)
        return loss, {"pooled_contrast": float(loss.detach()), "in_batch_accuracy_pooled": first}
