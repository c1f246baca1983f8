"""Distillation losses: what an entry declares, and what a loss is called with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, model_validator
from pydantic_core import core_schema

from engine.errors import InputError
from engine.extensions.scorings import TRAINED_SCORINGS
from engine.extensions.transport import Side
from engine.registry import OneOf, Registry, describe

if TYPE_CHECKING:
    import torch
    from torch import Tensor


# -- what a loss is called with ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Targets:
    """Teacher vectors of N English sentences; the first B are the translations of the batch's queries.

    Parameters
    ----------
    tokens : Tensor (N, D, H)
        Unit token vectors.
    mask : Tensor (N, D), bool
        The counted tokens.
    sentences : Tensor (N, H')
        Unit sentence vectors.
    norms : Tensor (N, D)
        Lengths of the token vectors before normalisation.
    ids : Tensor (N, D)
        Ids of the tokens in the vocabulary.
    excluded : Tensor (B, N), bool
        Sentences that are not negatives of a query: their text equals that of its own translation.
    attention : Tensor (N, D), optional
        Attention that each token receives; given if the marginals need it.
    layers : Tensor (L, B, D, W), optional
        Unit vectors of the queries' own sentences in lower layers, for transport over several layers.
    """

    tokens: Tensor
    mask: Tensor
    sentences: Tensor
    norms: Tensor
    ids: Tensor
    excluded: Tensor
    attention: Tensor | None = None
    layers: Tensor | None = None

    def first(self, count: int) -> Targets:
        """Return the first `count` sentences, such as the translations of the batch's queries."""
        across = ("excluded", "layers")
        return self._map(lambda name, tensor: tensor[:, :count] if name in across else tensor[:count])

    def to(self, device: torch.device) -> Targets:
        """Return the targets on `device`, where the student's vectors are."""
        return self._map(lambda _, tensor: tensor.to(device))

    def _map(self, function: Callable[[str, Tensor], Tensor]) -> Targets:
        tensors = {field.name: getattr(self, field.name) for field in fields(self)}
        mapped: dict[str, Any] = {n: t if t is None else function(n, t) for n, t in tensors.items()}
        return Targets(**mapped)


@dataclass(frozen=True)
class Passages:
    """The teacher's vectors of P passages that all queries of a batch are scored on.

    Parameters
    ----------
    tokens : Tensor (P, D, H)
        Unit token vectors; of width 0 where the configuration needs none.
    mask : Tensor (P, D), bool
        The counted tokens.
    sentences : Tensor (P, H')
        Unit sentence vectors.
    """

    tokens: Tensor
    mask: Tensor
    sentences: Tensor

    def to(self, device: torch.device) -> Passages:
        """Return the passages on `device`."""
        return Passages(*(part.to(device) for part in (self.tokens, self.mask, self.sentences)))


@dataclass(frozen=True)
class Batch:
    """The student's vectors of one training step, and the teacher's.

    Parameters
    ----------
    tokens, mask, sentences, norms, ids, attention, layers : Tensor
        As in `Targets`, of B queries with at most Q tokens; they carry the gradient of the student.
    targets : Targets
        The teacher's vectors.
    passages : Passages, optional
        Passages of a collection; given if a loss that is used needs them (`Loss.passages`).
    """

    tokens: Tensor
    mask: Tensor
    sentences: Tensor
    norms: Tensor
    ids: Tensor
    targets: Targets
    attention: Tensor | None = None
    layers: Tensor | None = None
    passages: Passages | None = None


class LossFunction(Protocol):
    """Computes a loss of a batch."""

    def __call__(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Return the mean loss over the batch, a scalar, and named figures that are logged."""


# -- what a loss is built from ----------------------------------------------------------------------------


class LossSettings(BaseModel):
    """Base of the settings that belong to one loss. In TOML a number stands for the weight alone."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, use_attribute_docstrings=True)

    weight: float = Field(0.0, ge=0)
    """Weight of the loss; with weight 0 it is not computed."""

    @model_validator(mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return {"weight": value} if is_number else value

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [{"type": "number", "minimum": 0}, handler(schema)]}


class PassageSettings(LossSettings):
    """Settings of a loss over passages of a collection.

    A batch is scored on one set of passages: the nearest ones of all its queries, and random ones.
    """

    nearest: int = Field(3, ge=0)
    """Number of passages taken for each query: those whose sentence vectors have the highest cosine with
    the teacher's vector of the query's translation."""
    random: int = Field(32, ge=0)
    """Number of passages drawn at random for each batch."""
    limit: int = Field(10_000, ge=2)
    """Use at most this many passages, sampled with the run's seed, because the teacher's vectors of all of
    them are in memory (0.1 MB for a passage of 130 tokens of width 384)."""
    temperature: float = Field(0.03, gt=0)
    """Temperature that divides the scores of student and teacher."""
    scoring: list[Annotated[str, OneOf(TRAINED_SCORINGS)]] = Field(
        ["maxsim"],
        min_length=1,
        description=describe(
            "How passages are scored; with several scorings, their divergences are added.", TRAINED_SCORINGS
        ),
    )

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.nearest + self.random < 2:
            raise ValueError("scores over fewer than two passages teach nothing; raise nearest or random")
        if len(set(self.scoring)) < len(self.scoring):
            raise ValueError("scoring names a scoring twice; name each once")
        return self


class SharedLossSettings(BaseModel):
    """The settings ``[loss]``: what several losses share, and access to the weights of all."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, use_attribute_docstrings=True)

    temperature: float = Field(0.03, gt=0)
    """Temperature of the contrastive losses and of score distillation, for scores that are means over query
    tokens."""
    negatives: int = Field(0, ge=0)
    """Number of English sentences that are added to every batch as negatives, with the teacher's vectors."""
    hardest: int | None = Field(None, ge=1)
    """Number of negatives that a contrast by transport cost compares with a query's own sentence, those with
    the highest MaxSim scores; none takes all."""
    negatives_from: Literal["nearest", "random"] = "nearest"
    """Draw the added negatives among the teacher's nearest neighbours of the batch's own sentences, or from
    all sentences."""
    negatives_among: int = Field(50_000, ge=2)
    """Number of English sentences among which nearest neighbours are searched; of more, this many are drawn.
    The teacher encodes all of them before the first step. More than 50,000 are searched approximately."""

    def weight(self, name: str) -> float:
        """Return the weight of the loss `name`."""
        value = getattr(self, name, 0.0)  # these settings may be older than the loss
        return value.weight if isinstance(value, LossSettings) else float(value)

    def own_settings(self, name: str) -> LossSettings | None:
        """Return the settings that belong to the loss `name` only, None if it has no such settings."""
        value = getattr(self, name, None)
        return value if isinstance(value, LossSettings) else None

    def over_passages(self) -> dict[str, PassageSettings]:
        """Return the settings of the losses over passages that are used, by name."""
        return {
            name: own
            for name, entry in LOSSES.items()
            if entry.passages and self.weight(name)
            if isinstance(own := self.own_settings(name), PassageSettings)
        }


class Transport(Protocol):
    """The transport problem of the configuration (`engine.transport.TokenTransport`)."""

    @property
    def config(self) -> Any:
        """The settings ``[transport]``."""

    def masses(self, side: Side) -> Tensor:
        """Return the masses (B, T) of encoded texts."""

    def cost(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the costs (..., Q, D) between token vectors (..., Q, H) and (..., D, H)."""

    def solve(self, cost: Tensor, source: Tensor, target: Tensor) -> Any:
        """Return the `engine.transport.Plan` of costs (B, Q, D) and masses (B, Q) and (B, D)."""


@dataclass(frozen=True)
class Layers:
    """The layers that transport compares.

    Parameters
    ----------
    student, teacher : tuple of int
        Pairs of layers below the last, or of a last layer and another one. Their states are compared without
        a projection.
    weights : tuple of float
        Weight of each of these pairs.
    last : float
        Weight of the token vectors, which come from the last layer of both; 0 leaves them out.
    """

    student: tuple[int, ...] = ()
    teacher: tuple[int, ...] = ()
    weights: tuple[float, ...] = ()
    last: float = 1.0


@dataclass(frozen=True)
class LossInputs:
    """What a loss is built from.

    Parameters
    ----------
    shared : SharedLossSettings
        The settings that losses share.
    settings : LossSettings or None
        The loss's own settings, an instance of the model that it declares.
    transport : Transport
        Costs, masses and plans as the configuration describes them.
    layers : Layers
        The layers that transport compares.
    """

    shared: SharedLossSettings
    settings: Any
    transport: Transport
    layers: Layers


# -- what is declared -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Loss:
    """A distillation loss.

    Parameters
    ----------
    name : str
        The name in settings: an identifier.
    meaning : str
        One sentence, which describes the setting in the form, the schema and the documentation.
    build : callable
        ``build(inputs)`` returns a `LossFunction`; `inputs` is a `LossInputs`.
    compares : {"pairs", "batches"}
        Whether the loss looks at one sentence pair at a time, or compares a query with several sentences, so
        that a batch needs more than one.
    sentence_vectors : bool
        Whether sentence vectors of student and teacher are compared, which must then have one width.
    layers : bool
        Whether the loss uses ``transport.layers``.
    trains_masses : bool
        Whether the loss has a gradient in the masses, which learned marginals need.
    passages : bool
        Whether the loss needs passages of a collection (`Batch.passages`). Its settings are then a subclass
        of `PassageSettings`.
    settings : type of LossSettings, optional
        The model of settings of its own, which are written ``[loss.NAME]``.

    Raises
    ------
    InputError
        If the name is not an identifier, or is that of a setting that losses share, or a loss over passages
        has no settings for them.
    """

    name: str
    meaning: str
    build: Callable[[LossInputs], LossFunction]
    compares: Literal["pairs", "batches"] = "pairs"
    sentence_vectors: bool = False
    layers: bool = False
    trains_masses: bool = False
    passages: bool = False
    settings: type[LossSettings] | None = None

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or self.name.startswith("_"):
            raise InputError(f"a loss cannot be called {self.name!r}; use letters, digits and underscores")
        if self.name in SharedLossSettings.model_fields or hasattr(SharedLossSettings, self.name):
            raise InputError(
                f"a loss cannot be called {self.name!r}: [loss] has another setting of that name"
            )
        if self.passages and not (self.settings and issubclass(self.settings, PassageSettings)):
            raise InputError(
                f"the loss {self.name!r} needs passages, so its settings must be a subclass of "
                "PassageSettings"
            )


LOSSES: Registry[Loss] = Registry(
    "loss",
    Loss,
    "engine.training.losses",
    "optical_workbench.losses",
    first=(
        "transport",
        "pooled_mse",
        "pooled_jsd",
        "maxsim_contrast",
        "transport_contrast",
        "pooled_contrast",
        "greedy_mse",
        "maxsim_alignment",
        "score_kl",
        "passages",
    ),
)
"""All losses, by name."""
