"""Estimates how long a run will train, from the speed of a similar run on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.durations import duration_text
from engine.results.record import known_settings
from workbench.data.runs import Run

#: Settings that change the speed. The run that shares most of them is the most similar.
_SPEED = (
    *("training.threads", "training.batch_size", "training.precision", "training.trim_vocabulary"),
    *("training.frozen_layers", "training.frozen_embeddings", "loss", "transport.solver"),
)


def estimate(settings: dict[str, Any], runs: Sequence[Run], host: str) -> str:
    """Return a sentence on how long training with `settings` takes; empty if the run does not train.

    Parameters
    ----------
    settings : dict
        A whole configuration.
    runs : sequence of dict
        The runs that may be similar, newest first.
    host : str
        The name of this machine.
    """
    training = settings.get("training")
    if not training:
        return ""
    measured = [
        run
        for run in runs
        if run.get("speed")
        and run.get("host") == host
        and _encoders(known_settings(run)) == _encoders(settings)
    ]
    if not measured:
        return "the time is not known: no run of this encoder was timed on this machine"
    best = max(measured, key=lambda run: _shared_settings(known_settings(run), settings))
    seconds = training["steps"] * training["batch_size"] / best["speed"]
    return (
        f"training takes about {duration_text(seconds)}, at the {best['speed']:.3g} pairs/s of {best['name']}"
    )


def _encoders(config: dict[str, Any] | None) -> tuple[Any, Any]:
    """Return the checkpoints of teacher and student."""
    teacher = (config or {}).get("teacher") or {}
    student = (config or {}).get("student") or teacher
    return teacher.get("checkpoint"), student.get("checkpoint")


def _shared_settings(config: dict[str, Any], settings: dict[str, Any]) -> int:
    return sum(_at(config, key) == _at(settings, key) for key in _SPEED)


def _at(config: dict[str, Any], key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
