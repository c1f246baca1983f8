"""A study: pre-training, transfer and distillation of every arm with every seed, each in its own run."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from engine.bitext.source import open_source
from engine.collections.load import load_collections
from engine.config import DistilConfig, PretrainConfig, StudyConfig
from engine.config.pretraining import PRETRAINED
from engine.config.study import ArmConfig, Stage, distillation, planned, pretraining
from engine.encoders.checkpoints import resolve
from engine.encoders.random_weights import save_random_weights
from engine.errors import InputError, OpticalError
from engine.evaluation.scores import Scores
from engine.reporting import Reporter
from engine.results.run_folder import RunFolder, read_record
from engine.runs.members import execute_member, recorded_state, seconds_of


def study_run(config: StudyConfig, run: RunFolder, reporter: Reporter) -> list[Scores]:
    """Execute all stages of the study in `run` that are not finished.

    Each stage is a run in the same folder as the study's; its id is made of the study's id (`Stage.run_id`).
    Finished stages are skipped, a stage that was interrupted is continued, and the others are started. The
    study's record has its progress, an estimate of the remaining time, and the ids of its runs.

    Raises
    ------
    OpticalError
        If a stage fails. Finished stages are kept, and a resumed study continues with that stage.
    KeyboardInterrupt
        If it is told to stop.
    """
    _check_sources(config, reporter)
    study = _Study(config, run)
    stages = list(planned(config))
    for number, stage in enumerate(stages, 1):
        folder = study.folder(stage)
        label = f"stage {number} of {len(stages)}: {stage.arm}, seed {stage.seed}, {stage.name}"
        if study.state(stage) == "finished":
            study.note(number, len(stages))
            continue
        reporter.say(f"── {label}{study.left(stages[number - 1 :])} ──")
        run.update(summary={"doing": label})
        try:
            settings = study.settings(stage)
        except OpticalError as error:
            raise OpticalError(f"{label} failed: {error}") from error
        try:
            execute_member(settings, folder, run.record["argv"], reporter)
        except OpticalError as error:
            raise OpticalError(f"{label} failed: {error}") from error
        study.note(number, len(stages))
    run.update(summary={"doing": "done", "seconds_left": 0.0})
    return []


@dataclass
class _Study:
    """The runs of a study, and how long its stages take."""

    config: StudyConfig
    run: RunFolder
    started: float = field(default_factory=time.monotonic)

    def folder(self, stage: Stage) -> Path:
        """Return the folder of a stage's run."""
        return self.run.path.resolve().parent / stage.run_id(self.run.id)

    def state(self, stage: Stage) -> str | None:
        """Return the state in the record of a stage's run; None if there is no such run."""
        return recorded_state(self.folder(stage))

    def settings(self, stage: Stage) -> PretrainConfig | DistilConfig:
        """Return the configuration of a stage's run."""
        arm = next(arm for arm in self.config.arms if arm.name == stage.arm)
        if stage.name == "pretrain":
            shared = None if stage == next(planned(self.config)) else self._first_encoder()
            return pretraining(self.config, arm, stage.seed, shared)
        if stage.name == "transfer":
            return distillation(self.config, stage, self._encoder(arm, stage.seed))
        earlier = self.folder(Stage(stage.arm, stage.seed, "transfer"))
        return distillation(self.config, stage, str(earlier / "checkpoints" / "student"))

    def _first_encoder(self) -> str:
        """Return the folder of the first pre-trained encoder."""
        return str(self.folder(next(planned(self.config))) / "checkpoints" / PRETRAINED)

    def _encoder(self, arm: ArmConfig, seed: int) -> str:
        """Return the checkpoint from which the transfer of an arm starts; random weights are written first.

        Raises
        ------
        OpticalError
            If random weights cannot be drawn or written.
        """
        if arm.sampling is not None:
            return str(self.folder(Stage(arm.name, seed, "pretrain")) / "checkpoints" / PRETRAINED)
        if not arm.random_weights:
            assert arm.checkpoint is not None
            return arm.checkpoint
        folder = self.run.path.resolve() / "checkpoints" / f"{arm.name}.s{seed}"
        if not folder.is_dir():
            save_random_weights(arm.checkpoint or self._first_encoder(), seed, folder)
        return str(folder)

    def note(self, done: int, of: int) -> None:
        """Record that `done` of all stages are finished."""
        stages = list(planned(self.config))
        runs = [self.folder(stage).name for stage in stages if self.state(stage) is not None]
        seconds = self.seconds(stages[done:])
        summary: dict[str, Any] = {"stages": f"{done} of {of}", "runs": runs}
        if seconds is not None:
            summary["seconds_left"] = round(seconds)
        self.run.update(summary=summary)
        self.run.log(done, {"stages": done, "seconds_left": seconds or 0.0}, time.monotonic() - self.started)

    def left(self, stages: list[Stage]) -> str:
        """Return how long `stages` will take, in words; an empty string if it is not known."""
        seconds = self.seconds(stages)
        return "" if seconds is None else f", about {max(1, round(seconds / 60))} min left"

    def seconds(self, stages: list[Stage]) -> float | None:
        """Return the seconds that `stages` will take, estimated by finished ones; None if it is not known."""
        taken: dict[str, list[float]] = {}
        for stage in planned(self.config):
            if self.state(stage) == "finished":
                taken.setdefault(stage.name, []).append(seconds_of(read_record(self.folder(stage))))
        if any(stage.name not in taken for stage in stages):
            return None
        return sum(fmean(taken[stage.name]) for stage in stages)


def _check_sources(config: StudyConfig, reporter: Reporter) -> None:
    """Open everything that the stages will read, because the last stage may start hours later.

    Raises
    ------
    InputError
        If something is missing or broken; the message names the stage.
    """
    reporter.say("checking what the study reads")
    for name in ("transfer", "distil"):
        for place, source in enumerate(getattr(config, name).bitext):
            try:
                open_source(source)
            except InputError as error:
                raise InputError(f"{name}.bitext.{place}: {error}") from error
    for collection in config.collections:
        load_collections(collection)
    resolve(config.transfer.teacher.checkpoint)
    for place, arm in enumerate(config.arms):
        if arm.checkpoint is not None:
            try:
                resolve(arm.checkpoint)
            except InputError as error:
                raise InputError(f"arms.{place}.checkpoint: {error}") from error
