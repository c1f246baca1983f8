"""The other processes of a run that several processes train (`engine.training.processes`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import OpticalError, is_out_of_memory
from engine.evaluation.finished_run import config_of
from engine.extensions.runs import RUN_KINDS
from engine.registry import resolve_reference
from engine.reporting import SILENT
from engine.results.run_folder import RunFolder
from engine.training import processes
from engine.training.interrupts import terminable

if TYPE_CHECKING:
    import pyarrow as pa


class _ReadFolder(RunFolder):
    """A run folder that this process reads only, because the first process writes to it."""

    def log(self, step: int, metrics: Mapping[str, float], elapsed: float) -> None:
        """Write nothing."""

    def heartbeat(self) -> None:
        """Write nothing."""

    def write_table(
        self, name: str, rows: Sequence[Mapping[str, Any]] | pa.Table, *, append: bool = False
    ) -> Path:
        """Write nothing."""
        return self.path / f"{name}.parquet"

    def _save(self) -> None:
        """Write nothing."""


def follow() -> None:
    """Take part in the training of the run that the first process executes, and return when it is over.

    Raises
    ------
    OpticalError
        If it fails here, or another process ended.
    KeyboardInterrupt
        If the run is told to stop.
    """
    path = processes.from_first(None)
    run = _ReadFolder.open(Path(path))
    config = config_of(run)
    try:
        with terminable():
            resolve_reference(RUN_KINDS[config.kind].execute)(config, run, SILENT)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise OpticalError(
            f"process {processes.rank()} has not enough memory; lower batch_size, the lengths of queries and "
            "passages, or the number of processes"
        ) from error
