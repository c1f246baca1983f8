"""Kinds of run: what a run configuration of each kind means, does and leaves behind."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from engine.registry import Registry

SettingsT = TypeVar("SettingsT", bound=BaseModel)


@dataclass(frozen=True)
class Input:
    """Something that a run reads, which ``config check`` reads too.

    Attributes
    ----------
    key : str
        The setting that names it, such as ``bitext.0``.
    check : str
        ``module:function``; the function takes `value` and raises `InputError` if it cannot be read.
    value : object
        The setting's value.
    of_runs : bool
        Whether it is about other runs; the function then takes the folder of run folders, too.
    """

    key: str
    check: str
    value: Any
    of_runs: bool = False


@dataclass(frozen=True)
class TrainedEncoder:
    """The encoder that a run trains, as lists of encoders show it.

    Attributes
    ----------
    folder : str
        Its folder in the run's ``checkpoints/``.
    label : str
        What it is, such as ``student``.
    method : str
        How it was trained, such as ``distilled``.
    """

    folder: str
    label: str
    method: str


def _no_inputs(settings: Any) -> Iterable[Input]:
    return ()


@dataclass(frozen=True)
class RunKind(Generic[SettingsT]):
    """A kind of run.

    Attributes
    ----------
    settings : type
        The settings model, a subclass of `engine.config.base.RunHeader` with a field
        ``kind: Literal[NAME] = NAME``. The first sentence of its docstring says what the kind does.
    execute : str
        ``module:function`` of the function that executes a run. It takes the settings, the run folder and a
        `Reporter`, and returns a list of `engine.evaluation.scores.Scores`.
    saves_state : bool
        Whether it saves its state while it trains, so that a resumed run continues from there.
    loop : str, optional
        The setting that holds the settings of the training loop, if it trains.
    trained : TrainedEncoder, optional
        The encoder that it trains.
    encoders : callable, optional
        Takes the settings and the run's ``checkpoints/`` folder and returns the `EncoderConfig` of the query
        encoder and of the document encoder. A kind without it leaves no encoders that can be searched with.
    collections_of : callable, optional
        Takes the settings and returns the name of the finished run whose collections it searches, if it has
        none of its own.
    searcher : str, optional
        ``module:function`` of what opens a finished run for single queries, an
        `engine.inspect.opening.RunSearcher`, if that is not the search by the run's own encoders.
    chosen : str, optional
        The file in the run's ``checkpoints/`` with the configuration that the run chose and evaluated, of a
        kind with `encoders`; a kind that chooses none leaves it out.
    shared : bool
        Whether several processes can train together (``run --processes``).
    several : bool
        Whether it executes other runs, whose ids are in ``runs`` of its record's summary.
    estimate : str, optional
        ``module:function`` of what says what a run needs, before it starts. It takes the settings and an
        `engine.estimate.sheet.Sheet`, and adds its stages. A kind without it cannot be estimated.
    inputs : callable
        Takes the settings and returns what the run reads besides its collections.
    placeholders : mapping
        Values of required settings that a preset may leave out. They stand for the user's data when the other
        settings of the preset are checked.
    """

    settings: type[SettingsT]
    execute: str
    saves_state: bool = False
    loop: str | None = None
    trained: TrainedEncoder | None = None
    encoders: Callable[[SettingsT, Path], tuple[Any, Any]] | None = None
    collections_of: Callable[[SettingsT], str] | None = None
    searcher: str | None = None
    chosen: str | None = None
    shared: bool = False
    several: bool = False
    estimate: str | None = None
    inputs: Callable[[SettingsT], Iterable[Input]] = _no_inputs
    placeholders: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The value of ``kind`` in a configuration."""
        return str(self.settings.model_fields["kind"].default)

    @property
    def meaning(self) -> str:
        """One sentence that says what it does."""
        return (inspect.getdoc(self.settings) or "").partition("\n\n")[0].replace("\n", " ")


#: All kinds of run. The built-in ones are declared next to their settings.
RUN_KINDS: Registry[RunKind[Any]] = Registry(
    "kind of run",
    RunKind,
    "engine.config",
    "optical_workbench.runs",
    first=(
        "distil",
        "evaluate",
        "teacher",
        "pretrain",
        "study",
        "lexical",
        "fuse",
        "cross-encoder",
        "tune",
        "sweep",
        "import",
    ),
)
