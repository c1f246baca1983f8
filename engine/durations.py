"""Durations and ages as short text."""

from __future__ import annotations

from datetime import UTC, datetime


def current_time() -> datetime:
    """Return the time in UTC."""
    return datetime.now(UTC)


def age_text(then: datetime | None, now: datetime | None = None) -> str:
    """Return how long ago `then` was in its largest fitting unit: ``12 s``, ``5 min``, ``3 h``, ``9 d``.

    Times without a zone are UTC. The text is empty if `then` is None.
    """
    if then is None:
        return ""
    return duration_text((_aware(now or current_time()) - _aware(then)).total_seconds())


def duration_text(seconds: float) -> str:
    """Return a duration in its largest fitting unit."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size or (unit != "min" and seconds >= 1.5 * size):
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)
