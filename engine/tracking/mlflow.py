"""MLflow, in a SQLite file beside the runs unless its own variable names a server."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.extensions.trackers import Tracker
from engine.flatten import flatten

#: The longest value of a parameter that MLflow stores.
_LONGEST = 6000
_STATES = {"finished": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}


class MLflow:
    """A run of MLflow in ``mlflow.db`` beside the folder of run folders."""

    def __init__(self, folder: Path, project: str, name: str, config: Mapping[str, Any]) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow.tracking import MlflowClient

        place = f"sqlite:///{(folder.parent.parent / 'mlflow.db').absolute()}"
        self._client: Any = MlflowClient(tracking_uri=os.environ.get("MLFLOW_TRACKING_URI", place))
        known = self._client.get_experiment_by_name(project)
        experiment = self._client.create_experiment(project) if known is None else known.experiment_id
        self._id: str = self._client.create_run(experiment, run_name=name).info.run_id
        for key, value in flatten(dict(config)).items():
            self._client.log_param(self._id, _name(key), str(value)[:_LONGEST])

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """Write the figures of a step; MLflow stores no infinities in SQLite."""
        for name, value in figures.items():
            if math.isfinite(value):
                self._client.log_metric(self._id, _name(name), value, step=step)

    def finish(self, figures: Mapping[str, float], state: str) -> None:
        """Write the scores and end the run."""
        self.log(0, figures)
        self._client.set_terminated(self._id, status=_STATES.get(state, "FAILED"))


def _name(text: str) -> str:
    """Return a name that MLflow accepts: letters, digits, and some signs."""
    return "".join(char if char.isalnum() or char in "_-. /" else "_" for char in text)


MLFLOW = Tracker(
    name="mlflow",
    meaning="MLflow; mlflow.db beside the folder runs, or the server that MLFLOW_TRACKING_URI names",
    distributions="mlflow-skinny sqlalchemy alembic",
    open=MLflow,
)
