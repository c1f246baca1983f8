"""Open a finished run: its encoders and the collections it was evaluated on."""

from __future__ import annotations

from pathlib import Path

from engine.config import AnyConfig, parse_config
from engine.encoders.checkpoints import FITTED_FILE
from engine.encoders.encoder import Encoder
from engine.encoders.saving import load_fitted
from engine.errors import InputError
from engine.results.spool import RunFolder


def config_of(run: RunFolder) -> AnyConfig:
    """Return the configuration that a run recorded."""
    return parse_config(run.record["config"] or {}, run.path / "run.json")


def encoders_of(run: RunFolder) -> tuple[Encoder, Encoder]:
    """Load the query encoder and the document encoder of a run.

    Raises
    ------
    InputError
        If the run has no encoders, because it has not come so far or they were deleted.
    """
    config = config_of(run)
    folder: Path = run.path / "checkpoints"
    if not (folder / "teacher" / FITTED_FILE).is_file() or not (folder / "student" / FITTED_FILE).is_file():
        raise InputError(
            f"run {run.id!r} has no encoders in checkpoints/; it did not come so far", path=run.path
        )
    if config.kind == "distil":
        teacher_config = config.teacher
        student_config = (config.student or config.teacher).model_copy(
            update={"checkpoint": str(folder / "student")}
        )
    else:
        teacher_config, student_config = config.teacher or config.encoder, config.encoder
    teacher, student = Encoder.load(teacher_config), Encoder.load(student_config)
    load_fitted(teacher, folder / "teacher")
    load_fitted(student, folder / "student")
    return student, teacher
