"""A sweep: runs that differ in some settings and in the seed, each executed once."""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol

from engine.config import RunHeader, parse_config
from engine.config.choices import describe_choice, leaves
from engine.config.sweep import OPTUNA, SweepConfig, member
from engine.counted import counted
from engine.errors import InputError, OpticalError, nearest
from engine.evaluation.scores import Scores
from engine.reporting import Reporter
from engine.results.headline import HELD_OUT, headline
from engine.results.run_folder import RunFolder, read_part, read_record, run_folders, table_files
from engine.results.systems import IGNORED
from engine.runs.members import execute_member, recorded_state, seconds_of


def check_optuna(sampler: str) -> None:
    """Check that Optuna, which has the sampler, is installed.

    Raises
    ------
    InputError
        If it is not.
    """
    if importlib.util.find_spec("optuna") is None:
        raise InputError(
            f"{sampler!r} is a sampler of Optuna, which is not installed: "
            "pip install 'optical-workbench[sweeps]'"
        )


@dataclass
class Member:
    """A run of a sweep.

    Attributes
    ----------
    number : int
        The number of its combination, from 1.
    settings : dict
        The combination, by dotted key.
    seed : int
    config : RunHeader
    folder : Path
        Its run folder, which need not exist yet.
    """

    number: int
    settings: dict[str, Any]
    seed: int
    config: RunHeader
    folder: Path


class Progress(Protocol):
    """What is told of the runs of a sweep."""

    def begun(self, one: Member) -> None:
        """Note that a run begins."""

    def ended(self, one: Member, failure: str) -> None:
        """Note that a run ended; `failure` is a sentence, or empty if it is finished."""


Executor = Callable[[Sequence[Member], RunFolder, Reporter, Progress], None]
"""Executes runs of the sweep in a run folder, each from its saved state if it was interrupted."""


def execute_here(members: Sequence[Member], run: RunFolder, reporter: Reporter, progress: Progress) -> None:
    """Execute the runs one after another in this process.

    Raises
    ------
    KeyboardInterrupt
        If it is told to stop.
    """
    for one in members:
        progress.begun(one)
        failure = ""
        try:
            execute_member(one.config, one.folder, run.record["argv"], reporter)
        except OpticalError as error:
            failure = str(error)
        progress.ended(one, failure)


def sweep_run(
    config: SweepConfig, run: RunFolder, reporter: Reporter, executor: Executor = execute_here
) -> list[Scores]:
    """Execute all runs of the sweep in `run` that are not finished.

    The id of a run is made of the sweep's id, the number of its combination and the seed. A finished run in
    the same folder with the same settings is used instead of a new one. A run that fails does not end the
    sweep. Table ``sweep_runs`` has the combination, the seed and the id of every run.

    Raises
    ------
    OpticalError
        If a run failed, after the others were executed. A resumed sweep executes only those that are not
        finished.
    KeyboardInterrupt
        If it is told to stop.
    """
    if config.sampler in OPTUNA:
        check_optuna(config.sampler)
    sweep = _Sweep(config, run, reporter)
    for members in sweep.batches():
        missing = {one.folder: one for one in members if recorded_state(one.folder) != "finished"}
        executor(list(missing.values()), run, reporter, sweep)
        sweep.note()
    run.update(summary={"doing": "done", "seconds_left": 0.0})
    if failed := sweep.failed:
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        raise OpticalError(
            f"{len(failed)} of {counted(len(sweep.members), 'run')} failed: {failed[0]}{more}; resume the "
            "sweep to execute them again"
        )
    return []


@dataclass
class _Sweep:
    """The runs of a sweep so far."""

    config: SweepConfig
    run: RunFolder
    reporter: Reporter
    members: list[Member] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    @cached_property
    def runs(self) -> Path:
        """The folder of run folders."""
        return self.run.path.resolve().parent

    @cached_property
    def total(self) -> int:
        """The number of combinations."""
        return self.config.tries if self.config.sampler in OPTUNA else len(self.config.drawn())

    def batches(self) -> Iterator[list[Member]]:
        """Yield the runs of all combinations, or of one after another if each depends on those before."""
        seeds = self.config.seeds
        if self.config.sampler not in OPTUNA:
            drawn = enumerate(self.config.drawn(), 1)
            found = [self.member(number, settings, seed) for number, settings in drawn for seed in seeds]
            self._record()
            yield found
            return
        chooser = _Optuna(self.config)
        for number in range(1, self.total + 1):
            settings = chooser.next()
            found = [self.member(number, settings, seed) for seed in seeds]
            self._record()
            yield found
            values = [
                value for one in found if (value := _value(one.folder, self.config.measure)) is not None
            ]
            chooser.tell(fmean(values) if values else None)

    def member(self, number: int, settings: dict[str, Any], seed: int) -> Member:
        """Return the run of a combination and a seed, which may be a finished one of other name."""
        try:
            config = member(self.config, settings, seed)
        except ValueError as error:
            raise InputError(str(error)) from error
        text = _identity(config)
        folder = self.runs / f"{self.run.id}.{number:03}.s{seed}"
        if recorded_state(folder) != "finished" and (known := self._finished.get(text)) is not None:
            self.reporter.say(f"{known.name} has the settings of combination {number} with seed {seed}")
            folder = known
        self._finished.setdefault(text, folder)
        self.members.append(Member(number, settings, seed, config, folder))
        return self.members[-1]

    def begun(self, one: Member) -> None:
        """Say and record which run begins."""
        label = self._label(one)
        self.reporter.say(f"── {label}{self.left()} ──")
        self.run.update(summary={"doing": label})

    def ended(self, one: Member, failure: str) -> None:
        """Record that a run ended."""
        if failure:
            self.reporter.say(f"{self._label(one)} failed: {failure}")
            self.failed.append(f"{one.folder.name}: {failure}")
        self.note()

    def _label(self, one: Member) -> str:
        return f"combination {one.number} of {self.total}, seed {one.seed}: {describe_choice(one.settings)}"

    @cached_property
    def _finished(self) -> dict[str, Path]:
        """The finished runs in the folder by what identifies their settings."""
        found: dict[str, Path] = {}
        for folder in run_folders(self.runs):
            try:
                record = read_record(folder)
                if record["state"] == "finished":
                    found[_identity(parse_config(record["config"] or {}))] = folder
            except OpticalError:  # of another version, or damaged
                continue
        return found

    def _record(self) -> None:
        """Write table ``sweep_runs``."""
        rows = [
            {
                "number": one.number,
                "seed": one.seed,
                "settings": json.dumps(one.settings, ensure_ascii=False),
                "member": one.folder.name,
            }
            for one in self.members
        ]
        self.run.write_table("sweep_runs", rows)

    def _states(self) -> list[bool]:
        return [recorded_state(one.folder) == "finished" for one in self.members]

    def note(self) -> None:
        """Record how many runs are finished, and an estimate of the remaining time."""
        done, total = sum(self._states()), self.total * len(self.config.seeds)
        names = list(dict.fromkeys(one.folder.name for one in self.members))
        seconds = self.seconds()
        summary: dict[str, Any] = {"stages": f"{done} of {total}", "runs": names}
        if seconds is not None:
            summary["seconds_left"] = round(seconds)
        self.run.update(summary=summary)
        figures = {"stages": float(done), "seconds_left": seconds or 0.0}
        self.run.log(done, figures, time.monotonic() - self.started)

    def left(self) -> str:
        """Return how long the other runs will take, in words; an empty string if it is not known."""
        seconds = self.seconds()
        return "" if seconds is None else f", about {max(1, round(seconds / 60))} min left"

    def seconds(self) -> float | None:
        """Return the seconds that the other runs will take, estimated by finished ones; None if none is."""
        done = zip(self.members, self._states(), strict=True)
        taken = [seconds_of(read_record(one.folder)) for one, finished in done if finished]
        if not taken:
            return None
        return fmean(taken) * (self.total * len(self.config.seeds) - len(taken))


def _identity(config: RunHeader) -> str:
    """Return what identifies the result of a run: its settings, with the seed."""
    settings = config.model_dump(mode="json")
    kept = {key: value for key, value in settings.items() if key == "seed" or key not in IGNORED}
    return json.dumps(kept, sort_keys=True, default=str)


def _value(folder: Path, measure: str | None) -> float | None:
    """Return the mean over languages of a run's `measure`, or of that of its headline.

    None if the run is not finished.

    Raises
    ------
    InputError
        If it is finished without a score, or has no such measure.
    """
    record = read_record(folder)
    if record["state"] != "finished":
        return None
    rows = [row for file in table_files(folder, "scores") for row in read_part(file).to_pylist()]
    values: dict[tuple[str, ...], list[float]] = {}
    names = ("collection", "protocol", "scoring", "direction", "measure")
    for row in rows:
        values.setdefault(tuple(row[name] for name in names), []).append(row["value"])
    means: list[dict[str, Any]] = [
        {**dict(zip(names, key, strict=True)), "value": fmean(found), "languages": len(found)}
        for key, found in values.items()
    ]
    head = headline(record, means)
    if head is None:
        raise InputError(f"run {folder.name} has no score to choose by; give base [[collections]]")
    if measure is None:
        return head.value
    place = (head.collection, head.protocol, head.scoring, head.direction)
    if (chosen := values.get((*place, measure))) is None:
        where = "held-out pairs" if head.collection == HELD_OUT else head.place
        known = sorted(key[-1] for key in values if key[:-1] == place)
        raise InputError(
            f"measure: run {folder.name} has no measure {measure!r} on {where}{nearest(measure, known)}; it "
            f"has {', '.join(known)}"
        )
    return fmean(chosen)


class _Optuna:
    """A sampler of Optuna, asked for one combination at a time.

    Each is drawn with a seed of its own, so it depends on the combinations and values before it only, and a
    resumed sweep draws what an uninterrupted one does.
    """

    def __init__(self, config: SweepConfig) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.config, self.trials = config, list[Any]()
        self.spans = config.spans()
        kinds = optuna.distributions
        self.distributions: dict[str, Any] = {}
        for key, values in config.choices.items():
            span = self.spans.get(key)
            if span is None:  # by place, because values may be lists or tables
                self.distributions[key] = kinds.CategoricalDistribution(list(range(len(values))))
            elif span.whole:
                self.distributions[key] = kinds.IntDistribution(int(span.low), int(span.high), log=span.log)
            else:
                self.distributions[key] = kinds.FloatDistribution(span.low, span.high, log=span.log)
        self.asked: dict[str, Any] = {}

    def next(self) -> dict[str, Any]:
        """Return the settings of the next combination, by dotted key."""
        import optuna

        seed = (self.config.seed + len(self.trials)) % 2**32
        samplers: Mapping[str, Any] = {"tpe": optuna.samplers.TPESampler, "gp": optuna.samplers.GPSampler}
        study = optuna.create_study(direction="maximize", sampler=samplers[self.config.sampler](seed=seed))
        study.add_trials(self.trials)
        self.asked = study.ask(self.distributions).params
        settings: dict[str, Any] = {}
        for key, value in self.asked.items():
            settings.update(leaves(key, value if key in self.spans else self.config.choices[key][value]))
        return settings

    def tell(self, value: float | None) -> None:
        """Take the value of the combination that was returned last; None if all of its runs failed."""
        import optuna

        failed = value is None
        states = optuna.trial.TrialState
        self.trials.append(
            optuna.trial.create_trial(
                state=states.FAIL if failed else states.COMPLETE,
                params=self.asked,
                distributions=self.distributions,
                value=value,
            )
        )
