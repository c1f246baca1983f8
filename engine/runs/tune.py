"""A run that chooses settings of an evaluation on held-out queries, then evaluates with the best."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from engine.atomic import write_file
from engine.collections.base import Collection
from engine.collections.load import load_collections
from engine.config import CollectionConfig
from engine.config.tune import CHOSEN_FILE, Try, TuneConfig, tried
from engine.counted import counted
from engine.errors import InputError, nearest
from engine.evaluation.held_out_queries import held_out_queries, restricted
from engine.evaluation.language_removal import COMPONENTS_FILE
from engine.evaluation.runner import evaluate_loaded
from engine.evaluation.scores import Scores
from engine.reporting import Reporter
from engine.results.run_folder import RunFolder, read_part, table_files
from engine.runs.evaluate import FittedState, evaluate_run, open_encoders, passage_key, removal_of
from engine.training.runtime import Runtime


def tune_run(config: TuneConfig, run: RunFolder, reporter: Reporter) -> list[Scores]:
    """Evaluate every try on the held-out collections, record all, and evaluate the best on the others.

    Of equal tries the first is chosen. A resumed run does not repeat finished tries.

    Raises
    ------
    OpticalError, KeyboardInterrupt
        As `engine.runs.execute.execute`.
    """
    tries = tried(config)
    held_out = _held_out(config, run, reporter)
    measure = _measure(config, held_out)
    runtime = Runtime.start(config.seed)
    run.update(device=str(runtime.device))
    trials = _Trials(held_out, measure, runtime, reporter)
    values = _stored(run)
    started = time.monotonic()
    for group in _groups([one for one in tries if one.text not in values]):
        reporter.say(f"try {len(values) + 1} of {len(tries)}")
        rows = []
        for one, value in zip(group, trials.values(group), strict=True):
            values[one.text] = value
            number = tries.index(one) + 1
            rows.append({"number": number, "settings": one.text, "measure": measure, "value": value})
            curve = {f"held_out_{measure}": value, f"best_{measure}": max(values.values())}
            run.log(len(values), curve, time.monotonic() - started)
            reporter.say(f"held-out {measure} {value:.4f} with {one.text}")
        run.write_table("tries", rows, append=True)
    best = max(tries, key=lambda one: values[one.text])
    chosen = best.config.model_copy(update={"name": config.name, "collections": config.collections})
    write_file(run.checkpoints / CHOSEN_FILE, chosen.model_dump_json(indent=1).encode() + b"\n")
    value = values[best.text]
    told = {"tries": len(tries), "measure": measure, "held_out": value, "chosen": best.settings}
    run.update(summary=told)
    reporter.say(
        f"chosen of {counted(len(tries), 'try', 'tries')}, held-out {measure} {value:.4f}: {best.text}"
    )
    return evaluate_run(chosen, run, reporter)


Loaded = list[tuple[Collection, CollectionConfig]]


def _held_out(config: TuneConfig, run: RunFolder, reporter: Reporter) -> Loaded:
    """Load the held-out collections without the topics that are reported.

    Raises
    ------
    InputError
        If nothing is left of one.
    """
    reported = [one for entry in config.collections for one in load_collections(entry, config.seed)]
    loaded = []
    counts = {}
    for entry in config.held_out:
        for collection in load_collections(entry, config.seed):
            part = restricted(collection, held_out_queries(collection, reported))
            for note in part.notes[len(collection.notes) :]:
                reporter.say(note)
            counts[collection.name] = len(part.queries)
            loaded.append((replace(part, notes=()), entry))  # reported once, and not again by every try
    run.update(summary={"held_out_queries": counts})
    return loaded


def _measure(config: TuneConfig, held_out: Loaded) -> str:
    """Return the measure that decides.

    Raises
    ------
    InputError
        If a held-out collection does not have it.
    """
    measure = config.measure or held_out[0][0].measures[0]
    for collection, _ in held_out:
        if measure not in collection.measures:
            near = nearest(measure, collection.measures)
            raise InputError(
                f"measure: {collection.name!r} has no measure {measure!r}{near}; "
                f"it has {', '.join(collection.measures)}"
            )
    return measure


def _stored(run: RunFolder) -> dict[str, float]:
    """Return the values of finished tries by their settings."""
    rows = [row for file in table_files(run.path, "tries") for row in read_part(file).to_pylist()]
    return {row["settings"]: row["value"] for row in rows}


def _groups(tries: Sequence[Try]) -> Iterator[list[Try]]:
    """Yield the tries that share all vectors, those with the same document vectors in succession."""
    groups: dict[str, dict[str, list[Try]]] = {}
    for one in tries:
        shared = one.config.model_dump_json(exclude={"evaluation": {"scoring"}})
        groups.setdefault(passage_key(one.config.document_encoder), {}).setdefault(shared, []).append(one)
    for group in groups.values():
        yield from group.values()


@dataclass
class _Trials:
    """Evaluates tries, and keeps what the next one may need: what was fitted, and document vectors."""

    held_out: Loaded
    measure: str
    runtime: Runtime
    reporter: Reporter
    fitted: dict[str, FittedState] = field(default_factory=dict)
    vectors: dict[str, tempfile.TemporaryDirectory[str]] = field(default_factory=dict)

    def values(self, group: Sequence[Try]) -> list[float]:
        """Return the value of each try of a group that shares all vectors.

        Raises
        ------
        OpticalError
            If they cannot be evaluated.
        """
        first = group[0].config
        scorings = [one.config.evaluation.scoring[0] for one in group]
        queries, documents = open_encoders(first, self.runtime.precision, self.reporter, self.fitted)
        key = passage_key(first.document_encoder)
        if key not in self.vectors:
            self.vectors.clear()  # the next tries do not need them, and they take gigabytes
            self.vectors[key] = tempfile.TemporaryDirectory(prefix="optical-tune-")
        folder = Path(self.vectors[key].name)
        with tempfile.TemporaryDirectory() as components:
            scores = evaluate_loaded(
                self.held_out,
                first.evaluation.model_copy(update={"scoring": scorings}),
                queries=queries.to(self.runtime.device),
                documents=documents.to(self.runtime.device),
                precision=self.runtime.precision,
                seed=first.seed,
                reporter=self.reporter,
                translation=first.translation,
                isolation=removal_of(first, Path(components) / COMPONENTS_FILE, queries, documents),
                cache=folder,
            )
        # one result for each collection and scoring, the scorings of a collection in succession
        return [
            float(np.mean([one.macro(self.measure) for one in scores[place :: len(scorings)]]))
            for place in range(len(scorings))
        ]
