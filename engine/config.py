"""The run configurations, declared once.

TOML files, command-line flags, the app's launch form and the JSON schema all come from these models; a
setting that is not here does not exist. Every field carries its meaning, unit and default, and unknown
keys are refused with the nearest spelling.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from engine.errors import InputError, nearest
from engine.validation import sentence

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
BitextFormat = Literal[
    "auto",
    "tmx",
    "xliff",
    "gettext",
    "moses",
    "tsv",
    "sentence-transformers",
    "jsonl",
    "parquet",
    "huggingface",
]
"""Formats of sentence pairs; ``auto`` tells one from the name."""


class Settings(BaseModel):
    """Base of all settings: unknown keys are errors, values are validated on assignment."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, use_attribute_docstrings=True)


class EncoderConfig(Settings):
    """How a checkpoint turns text into token vectors."""

    checkpoint: str = "multilingual-e5-small"
    """A packaged checkpoint's name, a folder (such as a run's ``checkpoints/student``), or a hub id."""
    query_prefix: str = "query: "
    """Text put in front of every query (E5's convention; empty for encoders that have none)."""
    passage_prefix: str = "passage: "
    """Text put in front of every document."""
    query_length: int = Field(64, ge=4, le=8192)
    """Longest query in tokens, prefix and special tokens included; the rest is cut off."""
    passage_length: int = Field(192, ge=4, le=8192)
    """Longest document in tokens, prefix and special tokens included."""
    query_expansion: bool = False
    """Pad queries with [MASK] tokens to `query_length`; they are scored but not attended to (ColBERT)."""
    special_tokens: bool = False
    """Whether [CLS] and [SEP] count as token vectors."""
    prefix_tokens: bool = False
    """Whether the tokens of the prefix count as token vectors."""
    punctuation: bool = True
    """Whether tokens made of punctuation only count as token vectors."""
    centring: bool = True
    """Subtract the mean token vector, fitted on unlabelled text, before normalising to unit length."""
    projection: Literal["none", "linear", "whitening"] = "none"
    """Map of the token vectors: none, a trained linear layer, or whitening fitted on unlabelled text."""
    projection_dim: int = Field(128, ge=2)
    """Width of the projected token vectors, when there is a projection."""
    pooling: Literal["mean", "cls"] = "mean"
    """How a sentence vector is made from the last layer's token vectors."""


class BitextConfig(Settings):
    """One source of sentence pairs, the second language being English unless it says otherwise."""

    path: str
    """A file or folder (inside the data home when relative), or ``package:NAME`` for installed catalogues."""
    format: BitextFormat = "auto"
    """The file format; ``auto`` tells it from the name."""
    language: str
    """ISO 639 code of the language that queries come in."""
    target_language: str = "en"
    """ISO 639 code of the teacher's language."""
    start: int = Field(0, ge=0)
    """First pair to use, counted in the source's order before anything is dropped."""
    stop: int | None = Field(None, ge=1)
    """Pair to stop before; none reads to the end."""
    limit: int | None = Field(None, ge=1)
    """Use at most this many pairs, drawn with the run's seed."""
    part: Literal["all", "train", "test"] = "all"
    """All pairs, or one side of a split by a hash of the English sentence, the same in every language."""
    test_share: Fraction = 0.3
    """Share of the English sentences on the test side of that split."""
    max_characters: int = Field(1000, ge=1)
    """Drop pairs with a longer side."""
    max_ratio: float = Field(9.0, ge=1.0)
    """Drop pairs whose sides differ in length by more than this factor."""
    min_score: float | None = None
    """Drop scored pairs below this score (1.04 is WikiMatrix's and CCMatrix's usual threshold)."""
    identify: bool = False
    """Drop pairs with a side that a language identifier takes for another language (4,000 pairs a second)."""


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


class TrainingConfig(Settings):
    """The training loop."""

    steps: int = Field(300, ge=1)
    """Optimiser steps."""
    batch_size: int = Field(32, ge=1)
    """Sentence pairs a step."""
    learning_rate: float = Field(2e-5, gt=0)
    """Peak learning rate of AdamW."""
    warmup: Fraction = 0.1
    """Share of the steps over which the learning rate rises from zero."""
    decay: Literal["linear", "cosine", "none"] = "linear"
    """How the learning rate falls to zero after the warm-up."""
    weight_decay: float = Field(0.01, ge=0)
    """AdamW's weight decay."""
    clip: float = Field(1.0, gt=0)
    """Largest norm of the gradient."""
    dropout: Fraction = 0.0
    """Dropout of the student while it trains."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """bf16 autocast or fp32; auto takes bf16 where the processor computes in it."""
    frozen_layers: int = Field(0, ge=0)
    """Lowest transformer layers that keep their weights, the embeddings below them too."""
    frozen_embeddings: bool = False
    """Whether the embeddings of words and positions keep their weights."""
    anchor: Fraction = 0.0
    """Share of each batch that is English on both sides, which holds the student to the teacher."""
    sampling: float = Field(1.0, ge=0)
    """α of language sampling: a language with n pairs is drawn in proportion to n^α."""
    averaging: Fraction = 0.0
    """Weight of the teacher's weights in the final student: (1 - w) student + w teacher (WiSE-FT)."""
    held_out: int = Field(100, ge=0)
    """English sentences set aside with all their pairs, to measure retrieval on during training."""
    alignment: Literal["repair", "trust"] = "repair"
    """Undo shifts in files whose lines got out of step (a lost line), or trust every pair as it stands."""
    overlap: Literal["drop", "keep"] = "drop"
    """Drop pairs with a sentence that is in an evaluation collection, spelled the same or nearly."""
    student_role: Literal["query", "passage", "both"] = "query"
    """The role in which the student encodes its side of a pair; both takes turns from step to step, for a
    student that encodes the documents too (`evaluation.documents`)."""
    target_role: Literal["query", "passage"] = "passage"
    """The role, and so the prefix, in which the teacher encodes the English side of a pair."""
    evaluate_every: int = Field(50, ge=1)
    """Steps between two held-out retrievals."""
    patience: int | None = Field(None, ge=1)
    """Stop after this many held-out retrievals without a gain; none trains all steps."""
    threads: int | None = Field(None, ge=1)
    """CPU threads; none takes all."""
    trim_vocabulary: bool = True
    """Train with only the word pieces that the texts at hand use; the checkpoint is saved whole."""


CollectionName = Literal[
    "bitext",
    "lareqa",
    "mlqa-r",
    "tatoeba",
    "mewsli-x",
    "mmarco",
    "miracl",
    "bi-139",
    "multi-8",
    "wikiclir",
    "ciral",
    "africlirmatrix",
    "neuclir",
    "hc4",
    "folder",
    "ir-datasets",
]

_POOLED = ("mewsli-x", "mmarco", "bi-139", "multi-8", "wikiclir", "ciral", "africlirmatrix", "neuclir", "hc4")

#: Settings that only some collections have.
COLLECTIONS_WITH: dict[str, tuple[str, ...]] = {
    "dataset": ("ir-datasets",),
    "split": ("mewsli-x", "miracl", "bi-139", "multi-8", "ciral", "neuclir", "hc4", "folder"),
    "document_languages": (*_POOLED, "folder", "ir-datasets"),
    "pool_limit": (*_POOLED, "miracl", "folder", "ir-datasets"),
    "mining": ("bitext", "tatoeba"),
}


class CollectionConfig(Settings):
    """One collection to evaluate on."""

    name: CollectionName
    """Bitext retrieval on sources named in `bitext`, a benchmark, a ``folder`` of one's own in BEIR's or
    TREC's shape, or any dataset that the library ir_datasets reads."""
    path: str | None = None
    """Its folder; none takes that of its name in the data home (``xquad-r`` for LAReQA)."""
    dataset: str | None = None
    """Id of ir_datasets, such as ``beir/scifact/test``, when `name` is ``ir-datasets``."""
    split: str | None = None
    """Which of the collection's parts asks, such as ``dev``; none takes the one that papers report."""
    languages: list[str] = Field(default_factory=list)
    """Query languages; empty takes all that the collection has. Tatoeba's (of the side that is not English)
    may be ``xtreme`` (36), ``xtreme-r`` (41) or ``all`` (112) together."""
    document_languages: list[str] = Field(default_factory=list)
    """Document languages, of collections that have several; empty takes the collection's own."""
    bitext: list[BitextConfig] = Field(default_factory=list)
    """The pairs of a bitext collection: queries on one side, their translations relevant."""
    distractors: list[str] = Field(default_factory=list)
    """English sentences that join the pool: files of one a line, or Tatoeba's folder."""
    distractor_bitext: list[BitextConfig] = Field(default_factory=list)
    """Bitext sources whose English sides join the pool (of direction xx-en)."""
    upper_line: bool = False
    """Also ask for bitext's English sentences in English, as another collection: what transfer can reach."""
    pool: Literal["all", "own"] = "all"
    """One pool of all document languages (LAReQA, MLQA-R, MULTI-8, NeuCLIR), or one for each alone."""
    pool_limit: int | None = Field(None, ge=0)
    """Search the judged documents and at most this many others, drawn by hash, to fit a small machine;
    figures then compare with no other pool's (recorded with the scores)."""
    context: bool = False
    """Encode LAReQA's sentences with their paragraph behind them, as XTREME does (slower)."""
    label: str | None = None
    """Name under which the scores are stored; none takes `name`."""
    directions: list[Literal["xx-en", "en-xx"]] = ["xx-en"]
    """Retrieval directions of bitext and Tatoeba."""
    mining: bool = False
    """Also mine the pairs of bitext and Tatoeba out of all sentences: F1 with margin scores, as LASER does,
    and of nearest neighbours, as MTEB does (searches once more)."""
    limit: int | None = Field(None, ge=1)
    """Use only the first queries of each language (a quick look; recorded with the scores)."""

    @model_validator(mode="after")
    def _pairs(self) -> Self:
        if self.name == "bitext" and not self.bitext:
            raise ValueError("a bitext collection needs at least one [[bitext]] source")
        if self.name == "folder" and not self.path:
            raise ValueError("a folder collection needs its path")
        if self.name == "ir-datasets" and not self.dataset:
            raise ValueError("an ir-datasets collection needs the dataset's id")
        for setting, value in (
            ("dataset", self.dataset),
            ("split", self.split),
            ("document_languages", self.document_languages),
            ("pool_limit", self.pool_limit),
            ("mining", self.mining or None),
        ):
            if value not in (None, []) and self.name not in COLLECTIONS_WITH[setting]:
                raise ValueError(f"the collection {self.name!r} has no {setting}; leave it out")
        return self


class EvaluationConfig(Settings):
    """How every collection is searched and scored."""

    scoring: list[Literal["maxsim", "dense"]] = ["maxsim"]
    """Late interaction over token vectors, or cosine of sentence vectors."""
    documents: Literal["teacher", "student"] = "teacher"
    """Who encodes the documents; OPTICAL leaves them with the teacher."""
    depth: int = Field(100, ge=1)
    """Ranks kept for each query."""
    batch_size: int = Field(64, ge=1)
    """Texts encoded at once."""


class RunConfig(Settings):
    """What every run has."""

    name: str = Field("run", min_length=1, max_length=80)
    """A short name for people."""
    seed: int = Field(0, ge=0, le=2**32 - 1)
    """Seed of every random choice of the run."""
    tags: list[str] = Field(default_factory=list)
    """Words to find the run by."""
    note: str = ""
    """A remark, kept with the run."""
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig)
    """How collections are searched."""
    collections: list[CollectionConfig] = Field(default_factory=list)
    """Collections to evaluate on, after training if there is any."""


class DistilConfig(RunConfig):
    """Distil a student query encoder from a teacher with bitext, then evaluate it."""

    kind: Literal["distil"] = "distil"
    """The kind of run."""
    preset: str | None = None
    """Recipe this configuration started from; recorded with the run."""
    teacher: EncoderConfig = Field(default_factory=EncoderConfig)
    """The frozen English retriever; it also encodes all documents."""
    student: EncoderConfig | None = None
    """The student query encoder; none starts from the teacher."""
    bitext: list[BitextConfig] = Field(min_length=1)
    """Sentence pairs to learn from."""
    loss: LossConfig = Field(default_factory=lambda: LossConfig(transport=1.0))
    """What is minimised."""
    transport: TransportConfig = Field(default_factory=TransportConfig)
    """The transport problem inside the loss."""
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    """The loop."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        """Refuse settings that contradict each other before anything is loaded."""
        transport, loss, training = self.transport, self.loss, self.training
        if transport.marginals == "learned" and not (
            transport.solver == "sinkhorn" and loss.transport_contrast
        ):
            raise ValueError(
                "transport.marginals = 'learned' needs the solver 'sinkhorn', which alone gives masses a "
                "gradient, and a weight of loss.transport_contrast, which trains them"
            )
        if transport.anneal_from is not None and transport.solver != "sinkhorn":
            raise ValueError(
                f"transport.anneal_from belongs to the solver 'sinkhorn'; leave it out with "
                f"'{transport.solver}'"
            )
        if transport.anneal_from is not None and transport.anneal_from < transport.epsilon:
            raise ValueError(
                f"transport.anneal_from must be at least transport.epsilon ({transport.epsilon:g}), "
                f"not {transport.anneal_from:g}"
            )
        if any(loss.of_batches()) and training.batch_size == 1 and not loss.negatives:
            raise ValueError(
                "a contrast needs several sentences to compare, so raise training.batch_size above 1 or set "
                "loss.negatives"
            )
        if training.student_role != "query" and self.collections and self.evaluation.documents == "teacher":
            raise ValueError(
                f"training.student_role = '{training.student_role}' teaches the student documents, which "
                "evaluation.documents = 'teacher' never asks it for; set that to 'student'"
            )
        return self


class EvaluateConfig(RunConfig):
    """Evaluate an encoder as it is (zero-shot transfer when nothing was distilled)."""

    kind: Literal["evaluate"] = "evaluate"
    """The kind of run."""
    encoder: EncoderConfig = Field(default_factory=EncoderConfig)
    """Encodes the queries, and the documents unless `teacher` is given."""
    teacher: EncoderConfig | None = None
    """Encodes the documents, when they are another encoder's."""
    bitext: list[BitextConfig] = Field(default_factory=list)
    """Unlabelled text for centring and whitening: the English sides; none takes the first collection's."""
    collections: list[CollectionConfig] = Field(min_length=1)
    """Collections to evaluate on."""


AnyConfig = DistilConfig | EvaluateConfig
_adapter: TypeAdapter[AnyConfig] = TypeAdapter(Annotated[AnyConfig, Field(discriminator="kind")])


def presets() -> dict[str, Path]:
    """Return the presets that ship with the product, by name."""
    folder = Path(str(files("assets"))) / "presets"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def preset_settings(name: str) -> dict[str, Any]:
    """Return the settings of preset `name`, a recipe that still lacks its data."""
    known = presets()
    if name not in known:
        raise InputError(f"there is no preset {name!r}{nearest(name, list(known))}")
    return {**_read_toml(known[name]), "preset": name}


def load_config(path: Path | str, overrides: Sequence[str] = ()) -> AnyConfig:
    """Read a run configuration from TOML.

    Parameters
    ----------
    path : path or str
        A TOML file, or the name of a preset. A file's ``preset = "NAME"`` lays it over that preset.
    overrides : sequence of str
        ``key=value`` with a dotted key; the value is TOML, or text where it is not.

    Raises
    ------
    InputError
        If the file is missing or broken, or a key or value is not what the models declare; the sentence
        names the key and, for an unknown one, the nearest.
    """
    known = presets()
    source = known.get(str(path), Path(path))
    settings = _read_toml(source)
    for override in overrides:
        _override(settings, override)
    name = settings.get("preset")
    if source in known.values():
        settings["preset"] = source.stem
    elif name is not None:
        settings = _overlay(preset_settings(str(name)), settings)
    return parse_config(settings, source)


def parse_config(settings: Mapping[str, Any], source: Path | str | None = None) -> AnyConfig:
    """Validate `settings`; errors name `source`.

    Raises
    ------
    InputError
        As `load_config`.
    """
    settings = dict(settings)
    settings.setdefault("kind", "evaluate" if "bitext" not in settings else "distil")
    try:
        return _adapter.validate_python(settings)
    except ValidationError as error:
        model = EvaluateConfig if settings["kind"] == "evaluate" else DistilConfig
        raise InputError(sentence(error, model, skip=("distil", "evaluate")), path=source) from error


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"there is no such file or preset{nearest(str(path), list(presets()))}", path=path
        ) from None
    except UnicodeDecodeError as error:
        raise InputError("the file is not UTF-8 text", path=path) from error
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise InputError(str(getattr(error, "strerror", None) or error), path=path) from error


def _override(settings: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise InputError(f"--set takes key=value, not {override!r}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *parents, last = key.strip().split(".")
    for parent in parents:
        settings = settings.setdefault(parent, {})
        if not isinstance(settings, dict):
            raise InputError(f"--set {key}: {parent!r} holds no further keys")
    settings[last] = value


def _overlay(base: dict[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    for key, value in top.items():
        both_tables = isinstance(value, dict) and isinstance(base.get(key), dict)
        base[key] = _overlay(base[key], value) if both_tables else value
    return base
