"""Settings of a distillation: the transport problem, the losses, the loop."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from engine.config.base import Fraction, Settings
from engine.config.optimisation import LoopConfig


class TransportConfig(Settings):
    """The optimal transport problem between the student's and the teacher's tokens."""

    solver: Literal["sinkhorn", "ipot", "exact", "unbalanced", "partial"] = "sinkhorn"
    """Sinkhorn in the log domain, IPOT (proximal point), POT's exact network simplex, or Sinkhorn that may
    leave mass at a `penalty` (unbalanced) or moves a share `mass` of it (partial)."""
    cost: Literal["cosine", "squared_euclidean"] = "cosine"
    """Cost of matching two tokens: 1 - cosine, or squared Euclidean distance."""
    marginals: Literal["uniform", "norm", "idf", "attention", "learned"] = "uniform"
    """Mass of each token: equal, by vector norm before normalisation, by inverse document frequency, by the
    attention it receives in the last layer, or by a linear head that `loss.transport_contrast` trains."""
    epsilon: float = Field(0.05, gt=0)
    """Entropic regularisation; IPOT's step β when the solver is IPOT."""
    epsilon_scale: Literal["absolute", "spread"] = "spread"
    """Whether ε is absolute or a multiple of the standard deviation of each problem's costs."""
    anneal_from: float | None = Field(None, gt=0)
    """Start the solver's ε here and halve it down to `epsilon` (ε-scaling); none starts at `epsilon`."""
    iterations: int = Field(50, ge=1, le=100_000)
    """Most iterations of the solver."""
    tolerance: float = Field(1e-4, gt=0)
    """Stop when the plan's marginals are this close (sum of absolute errors)."""
    penalty: float = Field(0.5, gt=0)
    """The unbalanced solver's price of mass left or added, in the unit of the cost: tokens at more than
    twice this cost are left rather than matched."""
    mass: float = Field(0.8, gt=0, le=1)
    """Share of the mass that the partial solver moves."""
    layers: list[Annotated[int, Field(ge=1)]] = Field(default_factory=list)
    """The student's transformer layers (1 is the lowest) whose costs `loss.transport` sums; empty takes the
    last alone. Of layers below the last, centred unit states are compared."""
    teacher_layers: list[Annotated[int, Field(ge=1)]] = Field(default_factory=list)
    """The teacher's layer for each of `layers`; empty takes the same numbers."""
    layer_weights: list[Annotated[float, Field(gt=0)]] = Field(default_factory=list)
    """Weight of the cost in each of `layers`; empty takes their mean."""

    @model_validator(mode="after")
    def _layers(self) -> Self:
        if len(set(self.layers)) < len(self.layers):
            raise ValueError("layers names a layer twice; name each once")
        for name in ("teacher_layers", "layer_weights"):
            count = len(getattr(self, name))
            if count and count != len(self.layers):
                raise ValueError(
                    f"{name} has {count} numbers where layers has {len(self.layers)}; give one for each layer"
                )
        return self


class LossConfig(Settings):
    """Weights of the losses; a loss with weight zero is not computed."""

    transport: float = Field(0.0, ge=0)
    """<T, C>: the transport cost between student tokens and teacher tokens of a pair (OPTICAL)."""
    pooled_mse: float = Field(0.0, ge=0)
    """Mean squared error between sentence vectors (Reimers and Gurevych 2020)."""
    maxsim_contrast: float = Field(0.0, ge=0)
    """InfoNCE with MaxSim between a query and the batch's English sentences as the score."""
    transport_contrast: float = Field(0.0, ge=0)
    """InfoNCE with minus the transport cost to each of the batch's English sentences as the score."""
    pooled_contrast: float = Field(0.0, ge=0)
    """InfoNCE with the cosine of sentence vectors as the score."""
    greedy_mse: float = Field(0.0, ge=0)
    """Mean squared error between tokens matched one to one, the nearest first (DR.DECR)."""
    maxsim_alignment: float = Field(0.0, ge=0)
    """1 - MaxSim between a query and its own English sentence: each token to the nearest of the teacher's."""
    score_kl: float = Field(0.0, ge=0)
    """KL divergence of the student's MaxSim scores over the batch's English sentences from those that the
    teacher gives the query's translation (Translate-Distill)."""
    temperature: float = Field(0.03, gt=0)
    """Temperature of the contrastive losses and of `score_kl`, on scores averaged over query tokens."""
    negatives: int = Field(0, ge=0)
    """English sentences added to every batch as negatives, from the teacher's vectors at hand."""
    hardest: int | None = Field(None, ge=1)
    """Sentences that `transport_contrast` compares with a query's own, those of the highest MaxSim scores;
    none takes all."""
    negatives_from: Literal["nearest", "random"] = "nearest"
    """Draw them among the teacher's nearest neighbours of the batch's own sentences, or from all."""

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not any((*self.of_pairs(), *self.of_batches())):
            raise ValueError("every loss has weight 0, so there is nothing to learn; give one a weight")
        return self

    def of_pairs(self) -> tuple[float, ...]:
        """Return the weights of the losses that look at one pair at a time."""
        return self.transport, self.pooled_mse, self.greedy_mse, self.maxsim_alignment

    def of_batches(self) -> tuple[float, ...]:
        """Return the weights of the losses that compare a query with several English sentences."""
        return self.maxsim_contrast, self.transport_contrast, self.pooled_contrast, self.score_kl


class TrainingConfig(LoopConfig):
    """The training loop."""

    anchor: Fraction = 0.0
    """Share of each batch that is English on both sides, which holds the student to the teacher."""
    sampling: float = Field(1.0, ge=0)
    """α of language sampling: a language with n pairs is drawn in proportion to n^α."""
    averaging: Fraction = 0.0
    """Weight of the teacher's weights in the final student: (1 - w) student + w teacher (WiSE-FT)."""
    alignment: Literal["repair", "trust"] = "repair"
    """Undo shifts in files whose lines got out of step (a lost line), or trust every pair as it stands."""
    student_role: Literal["query", "passage", "both"] = "query"
    """The role in which the student encodes its side of a pair; both takes turns from step to step, for a
    student that encodes the documents too (`evaluation.documents`)."""
    target_role: Literal["query", "passage"] = "passage"
    """The role, and so the prefix, in which the teacher encodes the English side of a pair."""
    trim_vocabulary: bool = True
    """Train with only the word pieces that the texts at hand use; the checkpoint is saved whole."""
