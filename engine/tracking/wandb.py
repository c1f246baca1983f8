"""Weights & Biases, offline unless its own variables say otherwise."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.extensions.trackers import Tracker


class WeightsAndBiases:
    """A run of Weights & Biases with files in ``wandb/`` of the run's folder."""

    def __init__(self, folder: Path, project: str, name: str, config: Mapping[str, Any]) -> None:
        import wandb

        self._run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", project),
            name=name,
            dir=str(folder),
            config=dict(config),
            mode=os.environ.get("WANDB_MODE", "offline"),
            settings=wandb.Settings(silent=True, console="off", save_code=False, disable_git=True),
        )

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """Write the figures of a step."""
        self._run.log(dict(figures), step=step)

    def finish(self, figures: Mapping[str, float], state: str) -> None:
        """Write the scores into the summary and close the run."""
        self._run.summary.update(dict(figures))
        self._run.finish(exit_code=0 if state == "finished" else 1)


WANDB = Tracker(
    name="wandb",
    meaning="Weights & Biases; files in the run's folder for wandb sync, or online with WANDB_MODE=online",
    distributions="wandb",
    open=WeightsAndBiases,
)
