"""Sending a run's curves and scores to the trackers that its configuration names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.config import RunHeader
from engine.config.tracking import TrackingConfig
from engine.errors import InputError
from engine.extensions.trackers import TRACKERS, Tracking
from engine.registry import resolve_reference
from engine.reporting import Reporter
from engine.results.run_folder import RunFolder

if TYPE_CHECKING:
    from engine.evaluation.scores import Scores


@contextmanager
def tracked(config: RunHeader, run: RunFolder, reporter: Reporter) -> Iterator[list[Scores]]:
    """Send what `run` logs to its trackers; yield a list for the scores that are sent at the end.

    A tracker that fails while the run goes on is reported once and left out; the run does not end by it.

    Raises
    ------
    InputError
        If a tracker is not installed or cannot be opened.
    """
    scores: list[Scores] = []
    opened = _opened(config, run)

    def send(step: int, figures: Mapping[str, float]) -> None:
        for name, tracker in list(opened.items()):
            try:
                tracker.log(step, figures)
            except Exception as error:  # whatever another program raises
                del opened[name]
                reporter.say(f"{name} failed and receives nothing more: {_reason(error)}")

    run.observer = send if opened else None
    state = "failed"
    try:
        yield scores
        state = "finished"
    except KeyboardInterrupt:
        state = "stopped"
        raise
    finally:
        run.observer = None
        for name, tracker in opened.items():
            try:
                tracker.finish(_figures(scores), state)
            except Exception as error:
                reporter.say(f"{name} failed at the end: {_reason(error)}")


def check_trackers(names: Sequence[str]) -> None:
    """Check that trackers are installed, by their names.

    Raises
    ------
    InputError
        If one is not.
    """
    from importlib.metadata import PackageNotFoundError, distribution

    for name in names:
        for needed in TRACKERS[name].distributions.split():
            try:
                distribution(needed)
            except PackageNotFoundError:
                raise _missing(name) from None


def _opened(config: RunHeader, run: RunFolder) -> dict[str, Tracking]:
    settings = getattr(config, "tracking", None)
    found: dict[str, Tracking] = {}
    if not isinstance(settings, TrackingConfig):
        return found
    for name in dict.fromkeys(settings.to):
        opens = TRACKERS[name].open
        open_ = resolve_reference(opens) if isinstance(opens, str) else opens
        try:
            found[name] = open_(run.path, settings.project, run.id, config.model_dump(mode="json"))
        except ImportError as error:
            raise _missing(name) from error
        except Exception as error:
            raise InputError(f"tracking.to: {name} cannot be opened: {_reason(error)}") from error
    return found


def _missing(name: str) -> InputError:
    return InputError(f"tracking.to: {name} is not installed; pip install {TRACKERS[name].distributions}")


def _figures(scores: Sequence[Scores]) -> dict[str, float]:
    """Return the scores of a run by collection, scoring, measure and language."""
    found = {}
    for result in scores:
        place = f"scores/{result.collection.name}/{result.scoring}"
        for mean in result.means:
            found[f"{place}/{mean.measure}/{mean.query_language}"] = mean.value
        for measure in result.values:
            found[f"{place}/{measure}/mean"] = result.macro(measure)
    return found


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:300]
