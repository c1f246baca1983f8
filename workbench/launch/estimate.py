"""How long a run will train, by the speed that a run like it reached on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.durations import duration_text
from workbench.data.runs import Run

#: Settings that change the speed; of several runs the one that shares most of them is asked.
_SPEED = (
    *("training.threads", "training.batch_size", "training.precision", "training.trim_vocabulary"),
    *("training.frozen_layers", "training.frozen_embeddings", "loss", "transport.solver"),
)


def estimate(settings: dict[str, Any], runs: Sequence[Run], host: str) -> str:
    """Return a sentence on the time that training as `settings` say takes; none for what does not train.

    `runs` are in the order of the app, the newest first; `host` is this machine's name.
    """
    training = settings.get("training")
    if not training:
        return ""
    measured = [
        run
        for run in runs
        if run.get("speed") and run.get("host") == host and _encoders(run["config"]) == _encoders(settings)
    ]
    if not measured:
        return "no run of this encoder was timed on this machine, so how long it takes is not known"
    best = max(measured, key=lambda run: _alike(run["config"] or {}, settings))
    seconds = training["steps"] * training["batch_size"] / best["speed"]
    return (
        f"training takes about {duration_text(seconds)}, at the {best['speed']:.3g} pairs/s of {best['name']}"
    )


def _encoders(config: dict[str, Any] | None) -> tuple[Any, Any]:
    """Return the checkpoints of teacher and student."""
    teacher = (config or {}).get("teacher") or {}
    student = (config or {}).get("student") or teacher
    return teacher.get("checkpoint"), student.get("checkpoint")


def _alike(config: dict[str, Any], settings: dict[str, Any]) -> int:
    return sum(_at(config, key) == _at(settings, key) for key in _SPEED)


def _at(config: dict[str, Any], key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
