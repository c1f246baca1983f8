"""TensorBoard, by torch's writer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.extensions.trackers import Tracker


class TensorBoard:
    """Event files in ``tensorboard/`` of the run's folder."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder / "tensorboard"))

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """Write the figures of a step."""
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)

    def finish(self, figures: Mapping[str, float], state: str) -> None:
        """Write the scores at step 0 and close the files."""
        for name, value in figures.items():
            self._writer.add_scalar(name, value, 0)
        self._writer.close()


def open_tensorboard(folder: Path, project: str, name: str, config: Mapping[str, Any]) -> TensorBoard:
    """Open TensorBoard for a run."""
    return TensorBoard(folder)


TENSORBOARD = Tracker(
    name="tensorboard",
    meaning="TensorBoard; event files in the run's folder (tensorboard --logdir runs)",
    distributions="tensorboard",
    open="engine.tracking.tensorboard:open_tensorboard",
)
