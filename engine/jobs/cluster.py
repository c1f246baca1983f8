"""Runs as jobs of a cluster, through submitit: of SLURM, or of this machine to try it.

A run is recorded as queued before its job is submitted, so that its settings are fixed. The job starts
``run --resume`` in a process of its own. When SLURM pre-empts the job, or its time is over, submitit calls
`RunJob.checkpoint`: the process saves its state and ends, and the job is queued again. The file ``job.json``
in the run folder names the job.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from engine.atomic import write_file
from engine.config import RunHeader
from engine.config.base import ClusterConfig
from engine.errors import InputError, OpticalError
from engine.extensions.runs import RUN_KINDS
from engine.jobs.child import child_environment, find_program, python_command
from engine.jobs.state import JOB_FILE, state_of
from engine.paths import run_log
from engine.results import run_lock
from engine.results.run_folder import RunFolder

Place = Literal["slurm", "local"]
"""Where jobs run: on a SLURM cluster, or as processes of this machine that submitit starts."""

_FOLDER = ".jobs"
_SECONDS = 60.0  # for a command of the cluster


def check_place(place: Place) -> None:
    """Check that jobs can be submitted.

    Raises
    ------
    InputError
        If submitit or SLURM's ``sbatch`` is missing.
    """
    if importlib.util.find_spec("submitit") is None:
        raise InputError(
            f"--on {place} needs submitit, which is not installed: pip install 'optical-workbench[cluster]'"
        )
    if place == "slurm" and find_program("sbatch") is None:
        raise InputError(
            "--on slurm needs sbatch, which this machine does not have; start the command on a machine of "
            "the cluster, or try --on local"
        )


class RunJob:
    """What a job does: it executes a run, from its saved state if it has one.

    Parameters
    ----------
    folder : Path
        The run folder.
    results : Path
        The results database.
    directory : Path
        The working folder, from which paths in the settings count.
    """

    def __init__(self, folder: Path, results: Path, directory: Path) -> None:
        self.folder, self.results, self.directory = folder, results, directory
        self._process: subprocess.Popen[bytes] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_process": None}

    def __call__(self) -> str:
        """Execute the run, wait for its end, and return its state.

        Raises
        ------
        OpticalError
            If it failed.
        """
        run = RunFolder.open(self.folder)
        if run.record["state"] != "finished":
            argv = self._command(run.record)
            with run_log(self.folder).open("ab") as log:
                self._process = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self.directory,
                    preexec_fn=_ignore_notice,
                    env={**child_environment(), "PYTHONUNBUFFERED": "1"},
                )
            _wait(self._process)
            run = RunFolder.open(self.folder)
        state = state_of(self.folder, run.record)
        if state != "finished":
            raise OpticalError(f"run {self.folder.name} {state}: {run.record['failure'] or 'see its log'}")
        return state

    def _command(self, record: Mapping[str, Any]) -> list[str]:
        """Return the command that executes the run, in a process for each GPU if its kind can be shared."""
        argv = python_command("engine.cli", "run", "--results", str(self.results))
        argv += ["--resume", self.folder.name, "--submitted"]
        gpus = ((record["config"] or {}).get("cluster") or {}).get("gpus", 0)
        kind = RUN_KINDS.get(record["kind"])
        return [*argv, "--processes", str(gpus)] if gpus > 1 and kind is not None and kind.shared else argv

    def checkpoint(self) -> Any:
        """End the run's process, which saves its state, and return what is queued again."""
        import submitit

        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)
            _wait(self._process)
        run = RunFolder.open(self.folder)
        if run.record["state"] != "finished":
            run.update(state="queued", failure=None, ended=None)
        return submitit.helpers.DelayedSubmission(self)


def _wait(process: subprocess.Popen[bytes]) -> None:
    """Wait until a child has ended. A handler may do so, too, while the code that it interrupted waits.

    `Popen.wait` holds a lock, for which the handler would wait for ever.
    """
    with suppress(ChildProcessError):
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


def _ignore_notice() -> None:
    """Ignore the signal of a pre-emption, which SLURM sends to all processes of a job."""
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)


def submit(config: RunHeader, folder: Path, argv: Sequence[str], results: Path, place: Place) -> str:
    """Record a run as queued, submit its job, and return the job's id.

    Parameters
    ----------
    config : RunHeader
        The configuration of a new run; that of an interrupted one is in its record.
    folder : Path
        The run folder. An interrupted run is resumed.
    argv : sequence of str
        The command that started it.
    results : Path
        The results database.
    place : {"slurm", "local"}

    Raises
    ------
    InputError
        If the run runs already.
    OpticalError
        If the cluster does not take the job; the run is then recorded as failed.
    """
    if (folder / "run.json").is_file():
        run = RunFolder.open(folder)
        run.resume(argv, queued=True)
    else:
        run = RunFolder.create(folder.parent, config, argv, folder.name, queued=True)
    write_file(folder / JOB_FILE, json.dumps({"on": place}).encode())
    run_lock.release(folder)
    job = RunJob(folder.resolve(), results.resolve(), Path.cwd())
    try:
        identity = _submit(job, config.cluster or ClusterConfig(), config.name, place)
    except Exception as error:
        (folder / JOB_FILE).unlink(missing_ok=True)
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        sentence = f"the job of run {folder.name} was not taken: {reason}"
        run.finish("failed", sentence)
        raise OpticalError(sentence) from error
    write_file(folder / JOB_FILE, json.dumps({"on": place, "job": identity}).encode())
    return identity


def _submit(job: RunJob, wanted: ClusterConfig, name: str, place: Place) -> str:
    import submitit

    folder = job.folder.parent / _FOLDER
    python = f"{shlex.quote(sys.executable)} -P"
    executor: Any
    if place == "slurm":
        executor = submitit.SlurmExecutor(folder, max_num_timeout=wanted.requeues, python=python)
        executor.update_parameters(
            job_name=f"optical-{job.folder.name}"[:60],
            time=wanted.time,
            mem=f"{wanted.memory}GB",
            cpus_per_task=wanted.cpus,
            nodes=1,
            ntasks_per_node=1,
            additional_parameters={"chdir": str(job.directory), **wanted.options},
            **({"gpus_per_node": wanted.gpus} if wanted.gpus else {}),
            **({"partition": wanted.partition} if wanted.partition else {}),
            **({"account": wanted.account} if wanted.account else {}),
        )
    else:
        executor = submitit.LocalExecutor(folder, max_num_timeout=wanted.requeues, python=python)
        executor.update_parameters(timeout_min=wanted.time, gpus_per_node=wanted.gpus)
    with _environment():
        return str(executor.submit(job).job_id)


@contextmanager
def _environment() -> Iterator[None]:
    """Let jobs import this program's packages, and nothing from the working folder."""
    before = dict(os.environ)
    os.environ.update(child_environment(), PYTHONSAFEPATH="1")
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def job_of(folder: Path) -> dict[str, str]:
    """Return where the job of a run is (``on``) and its id (``job``); empty if the run is no job."""
    try:
        found = json.loads((folder / JOB_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def cancel(folder: Path) -> bool:
    """Cancel the job of a run on a cluster, and return whether it has one.

    Raises
    ------
    OpticalError
        If the cluster refuses.
    """
    job = job_of(folder)
    if job.get("on") != "slurm" or not job.get("job"):
        return False
    try:
        done = call("scancel", job["job"])
    except (OSError, subprocess.SubprocessError) as error:
        raise OpticalError(f"job {job['job']} was not cancelled: {error}") from error
    if done is None:
        raise OpticalError("scancel is missing here; stop the run on a machine of the cluster")
    if done.returncode:
        raise OpticalError(f"job {job['job']} was not cancelled: {done.stderr.strip()}")
    return True


def call(name: str, *arguments: str) -> subprocess.CompletedProcess[str] | None:
    """Call a command of the cluster and wait for it at most a minute; None if there is no such command.

    Raises
    ------
    OSError, subprocess.SubprocessError
        If it cannot be started, or takes longer.
    """
    program = find_program(name)
    if program is None:
        return None
    return subprocess.run(
        [program, *arguments],
        capture_output=True, text=True, timeout=_SECONDS, check=False, env=child_environment(),
    )  # fmt: skip
