"""What kinds of run read: the inputs that ``config check`` tries, and placeholders for a user's data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from engine.config.base import RunHeader
from engine.config.bitext import BitextConfig
from engine.config.encoders import EncoderConfig
from engine.config.tracking import TrackingConfig
from engine.extensions.runs import Input

#: Values of required settings that a preset leaves to its user.
ANY_BITEXT = [{"path": "any", "language": "any"}]
ANY_COLLECTION = [{"name": "bitext", "bitext": ANY_BITEXT}]


def checkpoint_input(key: str, checkpoint: str) -> Input:
    """Return a checkpoint as an input."""
    return Input(key, "engine.runs.checks:check_local", checkpoint)


def encoder_inputs(config: RunHeader, *names: str) -> Iterator[Input]:
    """Yield the encoders that the settings `names` of `config` describe, if any."""
    for name in names:
        encoder: EncoderConfig | None = getattr(config, name)
        if encoder is not None:
            yield Input(f"{name}.checkpoint", "engine.runs.checks:check_encoder", encoder)


def frozen_input(encoder: EncoderConfig, frozen: float) -> Input:
    """Return the number of frozen layers of an encoder that is trained, which depends on its checkpoint."""
    trained = encoder.projection != "none"
    return Input(
        "training.frozen_layers", "engine.runs.checks:check_frozen", (encoder.checkpoint, frozen, trained)
    )


def batch_input(sources: Sequence[Any], training: Any) -> Input:
    """Return the size of a batch, which the sources of bitext or of questions must fill."""
    return Input("training.batch_size", "engine.runs.checks:check_batch", (sources, training))


def rankings_input(key: str, run: str, scoring: str | None, depth: int | None = None) -> Input:
    """Return the rankings of a finished run, of which `depth` ranks are needed."""
    return Input(key, "engine.runs.checks:check_rankings", (run, scoring, depth), of_runs=True)


def tracking_input(tracking: TrackingConfig) -> Input:
    """Return the trackers of a run, which must be installed."""
    return Input("tracking.to", "engine.runs.tracking:check_trackers", tracking.to)


def bitext_inputs(sources: Sequence[BitextConfig]) -> Iterator[Input]:
    """Yield the sources of bitext."""
    for place, source in enumerate(sources):
        yield Input(f"bitext.{place}", "engine.runs.checks:check_bitext", source)
