"""Settings of a distillation: the transport problem, the losses, the loop."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    create_model,
    model_serializer,
    model_validator,
)
from pydantic_core import core_schema

from engine.config.base import Fraction, Settings
from engine.config.optimisation import LoopConfig
from engine.extensions.losses import LOSSES, SharedLossSettings
from engine.extensions.transport import COSTS, MARGINALS, SOLVERS, MassSource
from engine.registry import OneOf, describe


class TransportConfig(Settings):
    """The optimal transport problem between the student's and the teacher's tokens."""

    solver: Annotated[str, OneOf(SOLVERS)] = Field(
        "sinkhorn", description=describe("Solver of the transport problem.", SOLVERS)
    )
    cost: Annotated[str, OneOf(COSTS)] = Field(
        "cosine", description=describe("Cost of matching two tokens.", COSTS)
    )
    marginals: Annotated[str, OneOf(MARGINALS)] = Field(
        "uniform", description=describe("Mass of each token.", MARGINALS)
    )
    epsilon: float = Field(0.05, gt=0)
    """Entropic regularisation ε, for solvers that have one."""
    epsilon_scale: Literal["absolute", "spread"] = "spread"
    """Whether ε is absolute, or a multiple of the standard deviation of the costs of each problem."""
    anneal_from: float | None = Field(None, gt=0)
    """Start the solver with this ε and halve it down to `epsilon` (ε-scaling); none starts with `epsilon`."""
    iterations: int = Field(500, ge=1, le=100_000)
    """Maximum number of iterations of the solver; if it is left out, ``ipot`` does 50, which are all done."""
    tolerance: float = Field(1e-3, gt=0)
    """Stop when the marginals of the plan are this close: the sum of absolute errors, as a share of the mass.
    A plan with a larger error is reported as not converged."""
    penalty: float = Field(0.5, gt=0)
    """Price of mass that is left or added, in the unit of the cost, for solvers that may leave mass: tokens
    that cost more than twice this price are left rather than matched."""
    mass: float = Field(0.8, gt=0, le=1)
    """Share of the mass that is moved, for solvers that move a part of it."""
    layers: list[Annotated[int, Field(ge=1)]] = Field(default_factory=list)
    """Transformer layers of the student (1 is the lowest) over which `loss.transport` sums the cost; empty
    takes only the last. States of layers below the last are centred and normalised before."""
    teacher_layers: list[Annotated[int, Field(ge=1)]] = Field(default_factory=list)
    """Layer of the teacher for each of `layers`; empty takes the same numbers."""
    layer_weights: list[Annotated[float, Field(gt=0)]] = Field(default_factory=list)
    """Weight of the cost in each of `layers`; empty takes their mean."""

    @model_validator(mode="after")
    def _usual_iterations(self) -> Self:
        """Take the solver's own number of iterations if none is set."""
        if "iterations" not in self.model_fields_set:
            self.__dict__["iterations"] = SOLVERS[self.solver].iterations
        return self

    @model_validator(mode="after")
    def _layers(self) -> Self:
        if len(set(self.layers)) < len(self.layers):
            raise ValueError("layers names a layer twice; name each layer once")
        for name in ("teacher_layers", "layer_weights"):
            count = len(getattr(self, name))
            if count and count != len(self.layers):
                raise ValueError(
                    f"{name} has {count} numbers where layers has {len(self.layers)}; give one for each layer"
                )
        return self

    def needs(self, source: MassSource) -> bool:
        """Return whether the marginals are computed from `source`."""
        return source in MARGINALS[self.marginals].needs


class LossConfig(SharedLossSettings):
    """Weights of the losses, and settings that they share. A loss of weight 0 is not computed.

    Each registered loss has a field of its name: its weight, or its own settings if it declares some.
    """

    @model_validator(mode="after")
    def _check_weights(self) -> Self:
        if not any(self.weight(name) for name in LOSSES):
            raise ValueError("every loss has weight 0, so there is nothing to learn; give one a weight")
        return self

    @model_serializer(mode="wrap")
    def _serialize(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out unused losses of other distributions: a recorded run can be read without them."""
        settings: dict[str, Any] = handler(self)
        unused = [name for name in LOSSES if name not in LOSSES.built_in and not self.weight(name)]
        return {name: value for name, value in settings.items() if name not in unused}

    @classmethod
    def add_losses(cls) -> None:
        """Give the model a field for each loss that is registered now."""
        weights: dict[str, Any] = {}
        for name, loss in LOSSES.items():
            if loss.settings is None:
                weights[name] = (float, Field(0.0, ge=0, description=loss.meaning))
            else:
                weights[name] = (
                    loss.settings,
                    Field(default_factory=loss.settings, description=loss.meaning),
                )
        of_losses = create_model("_Weights", **weights).model_fields
        cls.__pydantic_fields__ = {**of_losses, **SharedLossSettings.model_fields}
        cls.model_rebuild(force=True)


LossConfig.add_losses()
LOSSES.subscribe(LossConfig.add_losses)


class CurrentLosses:
    """Annotation of a setting of type `LossConfig`: its fields are those of the losses registered now.

    The schema of a model holds the fields of its parts as they were when the class was defined, so a part
    whose fields change is validated by a call.
    """

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(LossConfig.model_validate)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return handler(LossConfig.__pydantic_core_schema__)


class TrainingConfig(LoopConfig):
    """The training loop."""

    anchor: Fraction = 0.0
    """Share of each batch that is English on both sides, which keeps the student close to the teacher."""
    sampling: float = Field(0.5, ge=0)
    """α of language sampling: a language with n pairs is drawn in proportion to n^α. 1 follows the data, 0
    draws all languages equally."""
    longest_target: int | None = Field(None, ge=1)
    """Train only on pairs whose English side has at most this many characters; none takes all. Questions are
    short, and so are the steps on short pairs."""
    longest_source: int | None = Field(None, ge=1)
    """The same for the other side."""
    averaging: Fraction = 0.0
    """Share w of the initial weights in the final student: (1 - w) student + w initial (WiSE-FT)."""
    ema: float = Field(0.0, ge=0, lt=1)
    """Decay of an exponential moving average of the weights, which is measured and saved instead of the
    weights of a single step; 0.99 averages over about 100 steps, 0 has no average."""
    alignment: Literal["repair", "trust"] = "repair"
    """Repair shifts in files whose lines are out of step, as after a lost line, or trust all pairs."""
    student_role: Literal["query", "passage", "both"] = "query"
    """Role in which the student encodes its side of a pair. With ``both``, the roles alternate from step to
    step, for a student that also encodes the documents (`evaluation.documents`)."""
    target_role: Literal["query", "passage"] = "query"
    """Role, and therefore prefix and length, in which the teacher encodes the English side of a pair. If it
    is left out and `student_role` is not ``query``, it is ``passage``. Held-out retrieval searches the same
    vectors."""
    trim_vocabulary: bool = True
    """Train only with the word pieces that occur in the texts; the checkpoint is saved with all."""

    @model_validator(mode="after")
    def _follow_student_role(self) -> Self:
        if "target_role" not in self.model_fields_set:
            self.__dict__["target_role"] = "query" if self.student_role == "query" else "passage"
        return self
