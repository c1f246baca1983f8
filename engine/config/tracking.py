"""Settings of trackers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from engine.config.base import Settings
from engine.extensions.trackers import TRACKERS
from engine.registry import OneOf, describe


class TrackingConfig(Settings):
    """Other programs that receive the run's curves and scores."""

    to: list[Annotated[str, OneOf(TRACKERS)]] = Field(
        default_factory=list,
        description=describe(
            "The programs; each is installed on its own and writes to this machine, if not told otherwise.",
            TRACKERS,
        ),
    )
    project: str = Field("optical-workbench", min_length=1)
    """The project or experiment that the run belongs to there."""
