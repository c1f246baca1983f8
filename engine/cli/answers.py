"""What each command prints with ``--json``, as types, and their JSON Schema (``optical-workbench schema``).

The commands import these types to check what they build, and never at run time. Keys are added to them;
a key is renamed or removed, or gets another meaning, only together with a new `VERSION`.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NotRequired

from pydantic import ConfigDict, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema
from typing_extensions import TypedDict, is_typeddict  # pydantic needs this one before Python 3.12

from engine.cli.doctor import Finding
from engine.config.explain import Explanation
from engine.datahome.check import Checked
from engine.datahome.preview import Preview
from engine.estimate.records import Estimate
from engine.evaluation.study import DocumentDifference, Study
from engine.evaluation.study import Estimate as SeedEstimate
from engine.extensions.published import LanguageFiles
from engine.inspect.records import Hit, Match
from engine.results.headline import Headline

VERSION = 1
"""The version of all schemas."""


class Step(TypedDict):
    """How far a run that is training has come."""

    done: int
    """The last step."""
    steps: int
    """The number of steps that it has."""


class ListedRun(TypedDict):
    """A run in a list."""

    id: str
    name: str
    kind: str
    state: str
    """``running``, ``queued``, ``finished``, ``failed``, ``stopped`` or ``interrupted``."""
    failure: str | None
    """The error that ended it."""
    tags: list[str] | None
    note: str | None
    created: datetime
    started: datetime | None
    ended: datetime | None
    place: int | None
    """Its place in the queue."""
    unchanged: bool
    """Whether training found nothing better than what it started from."""
    folder_missing: bool
    """Whether only the database knows it."""
    encoder: str
    languages: list[str]
    headline: Headline | None
    bytes: NotRequired[dict[str, int]]
    """With ``--sizes``: the bytes on disk by kind of file."""


class BitextUsed(TypedDict):
    """The pairs that a run used of one source."""

    name: str
    source_language: str
    target_language: str
    pairs: int
    dropped: dict[str, int]
    """Numbers of pairs by the reason for dropping them."""
    hash: str


class HeldOut(TypedDict):
    """The figure on held-out pairs by step."""

    best_step: int | None
    figure: str
    steps: list[int]
    values: list[float]


class Figure(TypedDict):
    """A mean over queries."""

    language: str
    query_language: str
    document_language: str
    revision: str
    """The version of the collection's texts and judgements."""
    measure: str
    value: float
    low: float | None
    """The end of its 95 % interval, as `high`."""
    high: float | None
    queries: int


class Place(TypedDict):
    """What the scores in one table have in common."""

    collection: str
    protocol: str
    scoring: str
    direction: str


class ScoreTable(Place):
    """The scores of a run in one place."""

    reference: str
    """A published figure to compare with, in words."""
    means: dict[str, float]
    """Means over languages, by measure."""
    figures: list[Figure]


class ShownRun(TypedDict):
    """All that is known of a run."""

    id: str
    name: str
    kind: str
    state: str
    failure: str | None
    argv: list[str] | None
    """The command that started it."""
    config: dict[str, Any] | None
    """All its settings; `optical-workbench config schema` describes them."""
    seed: int | None
    tags: list[str] | None
    note: str | None
    summary: dict[str, Any]
    """What it reports of itself, by kind of run."""
    versions: dict[str, Any]
    commit: str | None
    host: str | None
    platform: str | None
    device: str | None
    pid: int | None
    process_started: float | None
    """In seconds since the epoch."""
    boot: str | None
    created: datetime
    started: datetime | None
    ended: datetime | None
    folder_missing: bool
    headline: Headline | None
    step: Step | None
    place: int | None
    unchanged: bool
    bitext: list[BitextUsed]
    held_out: HeldOut
    scores: list[ScoreTable]


class StoppedRun(TypedDict):
    """A run that was asked to stop."""

    id: str
    state: str


class QueuedRun(TypedDict):
    """A run that waits for its turn."""

    place: int
    id: str
    name: str
    kind: str
    created: datetime


class ChangedRun(TypedDict):
    """A run whose record was changed: the fields that have new values."""

    id: str
    tags: NotRequired[list[str]]
    note: NotRequired[str]
    name: NotRequired[str]


class DeletedRun(TypedDict):
    """A run that was deleted."""

    id: str
    deleted: bool


class ForgottenRun(TypedDict):
    """A run that was removed from the database."""

    id: str
    forgotten: bool


class Removable(TypedDict):
    """What can be computed again."""

    part: str
    owner: str
    """The run or the part of the cache."""
    bytes: int
    kept: str
    """Why it is kept; empty if it goes."""


class Pruned(TypedDict):
    """What `prune` deleted, or would delete."""

    deleted: bool
    bytes: int
    items: list[Removable]


class FinishedRun(TypedDict):
    """A run that has finished."""

    run: str
    state: str
    summary: dict[str, Any]


class DetachedRun(TypedDict):
    """A run that goes on in a process of its own."""

    run: str
    pid: int
    place: int
    """Its place in the queue; 0 if it runs."""


class SubmittedRun(TypedDict):
    """A run that is a job of a cluster."""

    run: str
    job: str


class System(TypedDict):
    """The runs that differ in the seed only, and their first run."""

    id: str
    """The first run."""
    name: str
    system: str
    """The key of the system, as `@KEY` on the command line."""
    runs: list[str]
    seeds: list[str]
    label: str
    headline: Headline | None
    passages: dict[str, Any]


class Checkpoints(TypedDict):
    """A test over topics, for these checkpoints only."""

    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None


class Compared(TypedDict):
    """The difference between a system and a baseline in a language, or in the mean over languages.

    `engine.evaluation.seed_model.Difference` describes the figures of the model of topics and seeds.
    """

    run: str
    system: str
    baseline_run: str
    seeds: list[str]
    language: str | None
    """None is the mean over languages."""
    baseline: float
    value: float
    delta: float
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    p_equivalent: float | None
    p_equivalent_holm: float | None
    verdict: str
    smallest: float | None
    error: float | None
    df: float | None
    seed_sd: float | None
    topic_sd: float | None
    units: int
    reason: str
    checkpoints: Checkpoints
    wins: int
    ties: int
    losses: int
    queries: int


class ComparedTable(Place):
    """All differences in one place by one measure."""

    revisions: dict[str, str]
    measure: str
    left_out: list[str]
    heading: str
    tests: int
    margin: float
    notes: list[str]
    rows: list[Compared]


class PublishedScore(TypedDict):
    """A published score of a model beside that of the run."""

    model: str
    language: str
    ours: float
    value: float
    difference: float
    split: str
    subset: str


class PublishedTable(Place):
    """Published scores on the task of a run."""

    run: str
    measure: str
    tasks: list[str]
    rows: list[PublishedScore]


class Comparison(TypedDict):
    """Systems compared with baselines."""

    baseline: str
    baselines: list[str]
    runs: list[System]
    tables: list[ComparedTable]
    published: NotRequired[list[PublishedTable]]


class Published(TypedDict):
    """Published scores beside those of one run."""

    published: list[PublishedTable]


class Combination(TypedDict):
    """A system of a sweep. Differences are to the first one, which has none."""

    number: int
    settings: dict[str, Any]
    seeds: list[str]
    runs: list[str]
    system: str
    value: float | None
    delta: NotRequired[float]
    low: NotRequired[float | None]
    high: NotRequired[float | None]
    p: NotRequired[float | None]
    p_holm: NotRequired[float | None]
    verdict: NotRequired[str]
    smallest: NotRequired[float | None]
    reason: NotRequired[str]
    checkpoints: NotRequired[Checkpoints]


class SweepTable(TypedDict):
    """The systems of a sweep."""

    sweep: str
    name: str
    state: str
    runs: int
    unfinished: list[str]
    place: str | None
    measure: str | None
    heading: str
    notes: list[str]
    rows: list[Combination]


@dataclass
class ReportedStudy(Study):
    """A study, its findings, and these as sentences."""

    primary_answer: list[str] = field(default_factory=list)
    answers: dict[str, list[str]] = field(default_factory=dict)
    caveats: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ExplainedHit(Hit):
    """A document that a query found, and which of its tokens each query token matches."""

    matches: list[Match] = field(default_factory=list)


class Answered(TypedDict):
    """The documents that a query found."""

    run: str
    collection: str
    revision: str
    query: str
    language: str
    translation: str | None
    hits: list[Hit | ExplainedHit]


class ShownPlan(TypedDict):
    """A transport plan between the tokens of two sentences."""

    pair: str
    """``typed``, because the sentences are of no stored pair."""
    source_text: str
    target_text: str
    source_language: str
    source_tokens: list[str]
    target_tokens: list[str]
    plan: list[list[float]]
    """Mass by source token and target token."""
    cost: list[list[float]]
    solver: str
    epsilon: float
    iterations: int
    marginal_error: float
    converged: bool
    value: float
    entropy: float
    """In nats."""


class ListedData(TypedDict):
    """A dataset."""

    name: str
    kind: str
    available: bool
    whole: bool
    languages: list[str]
    size: int
    """In bytes, as `published_size`."""
    licence: str
    source: str
    advice: str
    published_languages: list[str]
    published_size: int
    remark: str


class LanguageData(TypedDict):
    """The files of a dataset in one language."""

    language: str
    name: str
    files: int
    size: int
    path: str


class ShownData(ListedData):
    """A dataset with its files."""

    files: list[LanguageData]
    other_locales: list[str]
    published: dict[str, dict[str, int]]
    use: str
    """The lines of a configuration that use it."""


class ImportedData(TypedDict):
    """Data that was recognised, and imported without ``--dry-run``."""

    name: str
    folder: str
    format: str
    kind: str
    reader: str
    known: bool
    left_out: int
    languages: dict[str, LanguageFiles]


class ListedEncoder(TypedDict):
    """An encoder."""

    name: str
    kind: str
    installed: bool
    ready: bool
    languages: str
    parameters: str
    licence: str
    origin: str
    folder: str | None
    run_name: NotRequired[str]
    architecture: NotRequired[str]
    sampling: NotRequired[str]
    balance: NotRequired[str]
    source: NotRequired[str]


class DeclaredSettings(TypedDict):
    """What the folder of another library says."""

    library: str
    settings: dict[str, Any]
    projection: list[str]
    behind_pooling: list[str]
    refused: str


class ShownEncoder(ListedEncoder):
    """An encoder with its settings."""

    size: int
    """In bytes."""
    model: dict[str, Any]
    """Its ``config.json``."""
    settings: dict[str, Any]
    declared: DeclaredSettings
    changes_of: str | None
    """The checkpoint whose changes the folder holds."""


class RoutedEncoder(TypedDict):
    """A folder with an encoder for queries and one for documents."""

    name: str
    kind: Literal["two encoders"]
    routes: dict[str, list[str]]


class ExportedEncoder(TypedDict("_For", {"for": str})):
    """The folders of an exported encoder."""

    run: str
    scoring: str | None
    folders: list[str]


class PushedEncoder(TypedDict):
    """A folder that was uploaded to a hub."""

    repository: str
    address: str
    private: bool
    files: int
    bytes: int


class ListedPreset(TypedDict):
    """A preset."""

    name: str
    kind: str
    preset: Literal["complete", "recipe"]
    about: str
    file: str


class ExplainedSetting(TypedDict):
    """A setting."""

    key: str
    settings: list[Explanation]
    presets: dict[str, Any]
    """The values by the presets that set it."""
    value: NotRequired[Any]
    value_from: NotRequired[Literal["--set", "file", "preset", "default"]]


class CheckedCollection(TypedDict):
    """A collection that a run would be evaluated on."""

    collection: str
    protocol: str
    direction: str
    languages: int
    queries: int
    documents: int
    revision: str


class CheckedConfig(TypedDict):
    """A configuration that was checked."""

    file: str
    name: str
    kind: str
    collections: list[CheckedCollection]
    problems: list[str]


class Diagnosis(TypedDict):
    """The checks of an installation."""

    ok: bool
    findings: list[Finding]


for _type in list(globals().values()):  # the texts below keys are their descriptions
    if is_typeddict(_type):
        _type.__pydantic_config__ = ConfigDict(use_attribute_docstrings=True)

#: What each command prints with ``--json``.
ANSWERS: dict[str, Any] = {
    "run": FinishedRun | DetachedRun | SubmittedRun,
    "evaluate": FinishedRun,
    "import": FinishedRun,
    "runs": list[ListedRun],
    "show": ShownRun,
    "stop": StoppedRun,
    "queue list": list[QueuedRun],
    "queue up": list[QueuedRun],
    "queue first": list[QueuedRun],
    "tag": ChangedRun,
    "note": ChangedRun,
    "rename": ChangedRun,
    "delete": DeletedRun,
    "forget": ForgottenRun,
    "prune": Pruned,
    "compare": Comparison | Published,
    "study": ReportedStudy,
    "sweep": SweepTable | DetachedRun,
    "query": Answered,
    "plan": ShownPlan,
    "sql": list[dict[str, Any]],
    "data list": list[ListedData],
    "data show": ShownData | list[Preview],
    "data import": ImportedData,
    "data check": list[Checked],
    "encoders list": list[ListedEncoder],
    "encoders show": ShownEncoder | RoutedEncoder,
    "encoders export": ExportedEncoder,
    "encoders push": PushedEncoder,
    "config presets": list[ListedPreset],
    "config show": dict[str, Any],
    "config explain": ExplainedSetting,
    "config check": CheckedConfig,
    "config estimate": Estimate,
    "doctor": Diagnosis,
}


class _Schema(GenerateJsonSchema):
    """The schemas of what is printed: every key is there, and numbers that JSON lacks are strings."""

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        """Return the schema of a number, as `engine.results.metrics_log.to_json` writes it."""
        return {"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]}

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Return False: the titles would repeat the names of keys."""
        return False

    def field_is_required(
        self,
        field: core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField,
        total: bool,
    ) -> bool:
        """Return whether a key is always there: those of dataclasses are."""
        return field["type"] == "dataclass-field" or super().field_is_required(field, total)


def schema_of(command: str) -> dict[str, Any]:
    """Return the JSON Schema of what a command prints with ``--json``, such as ``queue list``."""
    found = TypeAdapter(ANSWERS[command]).json_schema(mode="serialization", schema_generator=_Schema)
    records = found.get("$defs", {})
    for kind in (SeedEstimate, DocumentDifference):  # named tuples, which are lists in JSON
        if record := records.get(kind.__name__):
            record["description"] = inspect.getdoc(kind)
            for name, item in zip(kind._fields, record["prefixItems"], strict=True):
                item["title"] = name
    for record in (found, *records.values()):
        _describe(record)
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        "$id": f"urn:optical-workbench:json:{VERSION}:{command.replace(' ', '-')}",
        "title": f"optical-workbench {command} --json",
        "version": VERSION,
        **{key: value for key, value in found.items() if key != "title"},
    }


def _describe(record: dict[str, Any]) -> None:
    """Move the attributes in the docstring of a dataclass to the keys that they describe."""
    meaning, _, attributes = record.get("description", "").partition("\n\nAttributes\n")
    if not attributes:
        return
    record["description"] = meaning
    keys = record.get("properties") or {item["title"]: item for item in record["prefixItems"]}
    for head, text in re.findall(r"^(\w[^\n]*)\n((?:    [^\n]*\n?)*)", attributes, re.MULTILINE):
        for key in head.partition(" : ")[0].split(", "):
            if key in keys and text:
                keys[key]["description"] = " ".join(text.split())
