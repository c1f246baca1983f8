"""InfoNCE: the own translation of a query against the other English sentences of the batch.

The losses differ in the score: MaxSim, minus the transport cost, or the cosine of sentence vectors. The first
two are means over the tokens of the query, so that one temperature suits queries of any length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.extensions.losses import Batch, Loss, LossInputs, Transport
from engine.extensions.transport import COSTS
from engine.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")


def info_nce(scores: Tensor, excluded: Tensor, temperature: float) -> tuple[Tensor, float]:
    """Return the mean cross-entropy of the own column of each row, and the share of rows that rank it first.

    Parameters
    ----------
    scores : Tensor (B, N)
        Scores of N >= B sentences for B queries; column i is the own sentence of row i.
    excluded : Tensor (B, N), bool
        Columns that are not negatives of a row.
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
        """Return the contrast and the share of queries whose own translation scores highest."""
        from engine.retrieval.maxsim import maxsim_scores

        targets = batch.targets
        scores = maxsim_scores(batch.tokens, batch.mask, targets.tokens, targets.mask)
        loss, first = info_nce(scores, targets.excluded, self.temperature)
        return loss, {"maxsim_contrast": float(loss.detach()), "in_batch_accuracy": first}


class TransportContrastLoss:
    """InfoNCE with minus the transport cost between a query and a sentence as the score.

    Plans are constants in the gradient. With unbalanced transport the price of mass that is left behind is
    part of the cost; otherwise a sentence that is unrelated to the query would cost least.

    Parameters
    ----------
    temperature : float
    transport : Transport
        Costs, masses and plans.
    hardest : int, optional
        Number of sentences that are compared with the own sentence of a query, those with the highest MaxSim
        scores; none takes all.
    """

    def __init__(self, temperature: float, transport: Transport, hardest: int | None = None) -> None:
        self.temperature, self.transport, self.hardest = temperature, transport, hardest

    def __call__(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Return the contrast and the share of queries whose own translation costs least."""
        targets, excluded = batch.targets, batch.targets.excluded
        similarity = torch.einsum("bqh,ndh->bnqd", batch.tokens, targets.tokens)
        source, target = self.transport.masses(batch), self.transport.masses(targets)
        chosen = self._choose(similarity.detach(), batch)
        entry = COSTS[self.transport.config.cost]
        if entry.of_similarity is not None:
            kept = similarity.gather(1, chosen[:, :, None, None].expand(-1, -1, *similarity.shape[2:]))
            cost = entry.of_similarity(kept).flatten(0, 1)
        else:
            cost = entry.function(batch.tokens[:, None], targets.tokens[chosen]).flatten(0, 1)
        plan = self.transport.solve(
            cost, source.repeat_interleave(chosen.shape[1], 0), target[chosen].flatten(0, 1)
        )
        scores = cost.new_zeros(excluded.shape).scatter(1, chosen, -plan.objective.view(chosen.shape))
        left_out = torch.ones_like(excluded).scatter(1, chosen, excluded.gather(1, chosen))
        loss, first = info_nce(scores, left_out, self.temperature)
        return loss, {"transport_contrast": float(loss.detach()), "in_batch_accuracy_transport": first}

    def _choose(self, similarity: Tensor, batch: Batch) -> Tensor:
        """Return the indices (B, n) of the sentences that are compared with a query, its own among them.

        Sentences far from a query have little weight in the softmax, and each needs a transport problem.
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
        """Return the contrast and the share of queries whose own translation has the highest cosine."""
        scores = batch.sentences @ batch.targets.sentences.T
        loss, first = info_nce(scores, batch.targets.excluded, self.temperature)
        return loss, {"pooled_contrast": float(loss.detach()), "in_batch_accuracy_pooled": first}


MAXSIM_CONTRAST = Loss(
    name="maxsim_contrast",
    meaning="InfoNCE with MaxSim between a query and the English sentences of the batch as the score.",
    build=lambda inputs: MaxSimContrastLoss(inputs.shared.temperature),
    compares="batches",
)


def _transport_contrast(inputs: LossInputs) -> TransportContrastLoss:
    return TransportContrastLoss(inputs.shared.temperature, inputs.transport, inputs.shared.hardest)


TRANSPORT_CONTRAST = Loss(
    name="transport_contrast",
    meaning="InfoNCE with minus the transport cost to each English sentence of the batch as the score.",
    build=_transport_contrast,
    compares="batches",
    trains_masses=True,
)

POOLED_CONTRAST = Loss(
    name="pooled_contrast",
    meaning="InfoNCE with the cosine of sentence vectors as the score.",
    build=lambda inputs: PooledContrastLoss(inputs.shared.temperature),
    compares="batches",
    sentence_vectors=True,
)
