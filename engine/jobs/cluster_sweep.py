"""The runs of a sweep as jobs of a cluster."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from engine.errors import OpticalError
from engine.jobs.cluster import Place, call, job_of, submit
from engine.jobs.state import state_of
from engine.reporting import Reporter
from engine.results.run_facts import LIVING
from engine.results.run_folder import RunFolder
from engine.runs.sweep import Member, Progress

_SECONDS = 5.0  # between two looks at jobs, whose ends nobody announces


class OnCluster:
    """Executes runs of a sweep as jobs, all at once, and waits for them (`engine.runs.sweep.Executor`).

    Parameters
    ----------
    results : Path
        The results database.
    place : {"slurm", "local"}
    """

    def __init__(self, results: Path, place: Place) -> None:
        self.results, self.place = results, place

    def __call__(
        self, members: Sequence[Member], run: RunFolder, reporter: Reporter, progress: Progress
    ) -> None:
        """Submit the runs and wait for their ends; one whose job is there already is waited for only.

        Raises
        ------
        KeyboardInterrupt
            If it is told to stop. The jobs go on, and a resumed sweep waits for them.
        """
        waiting: list[Member] = []
        for one in members:
            progress.begun(one)
            if not _lives(one.folder):
                try:
                    identity = submit(one.config, one.folder, run.record["argv"], self.results, self.place)
                except OpticalError as error:
                    progress.ended(one, str(error))
                    continue
                reporter.say(f"run {one.folder.name} is job {identity}")
            waiting.append(one)
        while waiting:
            for one in [one for one in waiting if not _lives(one.folder)]:
                waiting.remove(one)
                state = state_of(one.folder)
                failure = str(RunFolder.open(one.folder).record["failure"] or state)
                progress.ended(one, "" if state == "finished" else failure)
            if waiting:
                run.heartbeat()
                time.sleep(_SECONDS)


def _lives(folder: Path) -> bool:
    """Return whether a run waits or runs; one whose job has ended does not."""
    if not (folder / "run.json").is_file():
        return False
    state = state_of(folder)
    return state in LIVING and not (state == "queued" and _has_ended(job_of(folder)))


def _has_ended(job: dict[str, str]) -> bool:
    """Return whether a job of SLURM has ended or is unknown, as ``squeue`` says."""
    if job.get("on") != "slurm" or "job" not in job:
        return False
    try:
        found = call("squeue", "-h", "-j", job["job"], "-o", "%T")
    except (OSError, subprocess.SubprocessError):
        return False
    if found is None:
        return False
    return not found.stdout.strip() and (found.returncode == 0 or "Invalid job id" in found.stderr)
