"""``optical-workbench run``: run the configuration in a TOML file or preset, or resume a run."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.exceptions import Exit

from engine.cli.options import (
    data_option,
    json_option,
    on_option,
    print_json,
    read_in_finished,
    refreshed,
    results_option,
    set_option,
)
from engine.cli.output import out, say
from engine.cli.tables import print_table
from engine.config import load_config
from engine.errors import InputError, OpticalError
from engine.paths import run_log, runs_folder
from engine.reporting import SILENT

if TYPE_CHECKING:
    from engine.config import RunHeader
    from engine.evaluation.scores import Scores
    from engine.jobs.cluster import Place
    from engine.results.run_folder import RunFolder
    from engine.runs.execute import Execute


@click.command()
@click.argument("config", required=False)
@set_option
@click.option(
    "--detach",
    is_flag=True,
    help="Run in a process of its own and return at once. Detached runs wait for one another in a queue.",
)
@click.option("--now", is_flag=True, help="With --detach: start at once, without waiting in the queue.")
@click.option("--resume", metavar="RUN", help="Resume a run that was stopped, failed or crashed.")
@on_option
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=1,
    help="Train in this many processes, one for each GPU or some CPU cores. The batch is divided among them.",
)
@click.option("--run-id", hidden=True, help="The id of the new run; --detach chooses it.")
@click.option(
    "--queued", type=int, hidden=True, help="Wait in the queue; write the place to this descriptor."
)
@click.option("--submitted", is_flag=True, hidden=True, help="This process is the job of the run.")
@data_option
@results_option
@json_option
def run(
    config: str | None,
    overrides: Sequence[str],
    detach: bool,
    now: bool,
    resume: str | None,
    place: Place | None,
    processes: int,
    run_id: str | None,
    queued: int | None,
    submitted: bool,
    results: Path,
    as_json: bool,
) -> None:
    """Start the run that CONFIG describes, a TOML file or the name of a preset.

    --resume continues a run from its last saved state, with its own settings; CONFIG is not needed. RUN is an
    id, the beginning of an id, or a name, which means the newest run of that name.

    Of the runs started with --detach one runs at a time; the others are queued, also if the terminal is
    closed. `queue` shows them and changes their order, and `stop` takes a run out. A queued run starts when
    2 GiB of memory are available, or what the last run of the same kind and encoder used.

    With --on slurm the run is a job of the cluster: [cluster] in CONFIG has its partition, time, memory and
    GPUs. A job that is pre-empted or reaches its time is queued again and goes on from its saved state.

    With --processes N, runs of the kinds distil, teacher and pretrain are trained by N processes, with the
    same batches and losses as by one. `torchrun ... -m engine.cli run CONFIG` does the same on several
    machines that share the results folder.
    """
    if _number():
        _take_part()
        return
    if now and not detach:
        raise InputError("--now is for --detach; a run in the foreground never waits in the queue")
    if config is None and resume is None:
        raise InputError("run needs a CONFIG (a TOML file or the name of a preset) or --resume RUN")
    if config is None and overrides:
        raise InputError("--set changes a CONFIG, and a resumed run keeps its own settings; leave --set out")
    # Wrong settings are rejected before anything starts.
    parsed = load_config(config, overrides, fetch=True) if config is not None else None
    if place is not None and detach:
        raise InputError("--on and --detach exclude each other; a job does not need this terminal")
    folder = None
    if resume is not None:
        folder = runs_folder(results) / resume if submitted else _resumable_folder(resume, results)
    if folder is not None and parsed is not None:
        from engine.jobs.resume import check_unchanged
        from engine.results.run_folder import RunFolder

        check_unchanged(RunFolder.open(folder), parsed, str(config))
    what = Started(parsed, config, tuple(overrides), folder, results, run_id, submitted)
    if processes > 1:
        if detach or place is not None:
            other = "--detach" if detach else "--on"
            raise InputError(f"--processes and {other} exclude each other; leave one of them out")
        raise Exit(_run_processes(what, processes, as_json))
    if place is not None:
        start_job(what, place, as_json)
        return
    if detach:
        start_detached(what, now, as_json)
        return
    finished = run_here(what, queued)
    if finished is not None:
        print_finished(*finished, as_json)


@dataclass(frozen=True)
class Started:
    """A run that a command starts or resumes.

    Attributes
    ----------
    config : RunHeader, optional
        The configuration; None if the run is resumed.
    source : str, optional
        The file or preset of the configuration.
    overrides : sequence of str
        ``key=value``, which `config` has already.
    folder : Path, optional
        The folder of the run that is resumed.
    results : Path
        The results database.
    run_id : str, optional
        The id of a new run.
    submitted : bool
        Whether this process is the run's job on a cluster.
    """

    config: RunHeader | None
    source: str | None
    overrides: Sequence[str]
    folder: Path | None
    results: Path
    run_id: str | None = None
    submitted: bool = False


def _run_processes(what: Started, count: int, as_json: bool) -> int:
    """Execute a run in several processes, and return the exit status.

    Raises
    ------
    InputError
        If its kind is not trained by several processes, or there are too few GPUs or cores.
    OpticalError
        As `engine.jobs.processes.run_processes`.
    """
    from engine.jobs.child import python_command
    from engine.jobs.processes import check_count, run_processes

    _check_shared(what)
    check_count(count)
    argv = python_command("engine.cli", "run", "--results", str(what.results))
    if what.folder is not None:
        argv += ["--resume", what.folder.name, *(["--submitted"] if what.submitted else [])]
    else:
        assert what.source is not None
        argv.append(what.source)
        for override in what.overrides:
            argv += ["--set", override]
    return run_processes([*argv, *(["--json"] if as_json else [])], count)


def _check_shared(what: Started) -> None:
    """Check that several processes can train the run.

    Raises
    ------
    InputError
        If its kind is not trained by several processes.
    """
    from engine.extensions.runs import RUN_KINDS
    from engine.results.run_folder import read_record

    if what.folder is not None:
        kind = str(read_record(what.folder)["kind"])
    else:
        assert what.config is not None
        kind = what.config.kind
    if kind in RUN_KINDS and not RUN_KINDS[kind].shared:
        able = ", ".join(repr(name) for name, entry in RUN_KINDS.items() if entry.shared)
        raise InputError(f"several processes train runs of the kinds {able}, and this is {kind!r}; use one")


def start_job(what: Started, place: Place, as_json: bool) -> None:
    """Submit a run as a job of a cluster, and print its id.

    Raises
    ------
    InputError
        If it would not start, or there is no such cluster here.
    OpticalError
        If the cluster does not take the job.
    """
    from engine.jobs.cluster import check_place, submit
    from engine.results.run_folder import RunFolder, new_run_id

    check_place(place)
    if what.folder is not None:
        from engine.evaluation.finished_run import config_of

        folder, config = what.folder, config_of(RunFolder.open(what.folder))
    else:
        from engine.runs.checks import check_start

        assert what.config is not None
        check_start(what.config, runs_folder(what.results))
        config, folder = what.config, runs_folder(what.results) / new_run_id(what.config.name)
    job = submit(config, folder, ["optical-workbench", *sys.argv[1:]], what.results, place)
    if as_json:
        print_json({"run": folder.name, "job": job})
        return
    out(folder.name)
    say(f"job {job}; `optical-workbench logs {folder.name} -f` follows it")


def start_detached(what: Started, now: bool, as_json: bool) -> None:
    """Start a run as a process that outlives the terminal, and print its id.

    Raises
    ------
    InputError
        If it would not start.
    OpticalError
        If its process or its log cannot be made.
    """
    from engine.jobs.child import python_command
    from engine.jobs.launch import enqueue, launch
    from engine.results.run_folder import new_run_id

    argv = python_command("engine.cli", "run", "--results", str(what.results))
    if what.folder is not None:
        identity = what.folder.name
        argv += ["--resume", identity]
    else:
        assert what.config is not None and what.source is not None
        # What would fail in the background is reported here.
        from engine.runs.checks import check_start

        check_start(what.config, runs_folder(what.results))
        identity = new_run_id(what.config.name)
        argv += [what.source, "--run-id", identity]
        for override in what.overrides:
            argv += ["--set", override]
    log = run_log(runs_folder(what.results) / identity)
    pid, place = (launch(argv, log), 0) if now else enqueue(argv, log)
    if as_json:
        print_json({"run": identity, "pid": pid, "place": place})
        return
    out(identity)
    if place:
        say(f"queued, place {place}; `optical-workbench queue list` shows the queue, --now does not wait")


def run_here(
    what: Started, queued: int | None = None, how: Execute | None = None
) -> tuple[RunFolder, Sequence[Scores]] | None:
    """Execute a run in this process and read it into the results database.

    Parameters
    ----------
    what : Started
    queued : int, optional
        The descriptor to which its place in the queue is written, if it waits there.
    how : callable, optional
        As in `engine.runs.execute.execute_in`.

    Returns
    -------
    run, scores : RunFolder, sequence of Scores
        None if the output of this process is the run's log.

    Raises
    ------
    OpticalError, KeyboardInterrupt
        As `engine.runs.execute.execute`.
    """
    from engine.cli.console import ConsoleReporter
    from engine.jobs.resume import reopen
    from engine.results.run_folder import RunFolder

    together = _number() is not None
    if together:
        from engine.training import processes

        _check_shared(what)
        processes.join()
    if queued is None:  # a queued run loads torch when its turn has come
        importlib.import_module("engine.runs.execute")

    argv = ["optical-workbench", *_asked(sys.argv[1:])]
    folder, run_id, results = what.folder, what.run_id, what.results
    own = folder or (None if run_id is None else runs_folder(results) / run_id)
    detached = own is not None and _is_output(run_log(own))
    with contextlib.ExitStack() as stack:
        # The output of a detached run is its log, which the run writes itself.
        reporter = SILENT if detached else stack.enter_context(ConsoleReporter())
        if detached:
            assert own is not None
            stack.enter_context(_told(own))
        if folder is not None:
            started = reopen(folder, argv, queued=queued is not None, submitted=what.submitted)
        else:
            assert what.config is not None
            started = RunFolder.create(
                runs_folder(results), what.config, argv, run_id, queued=queued is not None
            )
        if together:
            stack.callback(processes.leave)
            processes.from_first(str(started.path.resolve()))
        if queued is not None:
            stack.enter_context(_turn(started, queued))
        from engine.runs.execute import execute_in
        from engine.runs.execute import resume as carry_on

        if folder is not None:
            scores = carry_on(started, reporter, how)
        else:
            assert what.config is not None
            scores = execute_in(what.config, started, reporter, how)
    read_in_finished(results, started.path)
    return None if detached else (started, scores)


def _number() -> int | None:
    """Return the number of this process among those that train a run together; None if it is alone."""
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ
    return int(os.environ["RANK"]) if several else None


def _take_part() -> None:
    """Take part in the training of the run that the first process executes.

    Raises
    ------
    OpticalError
        If it fails here.
    """
    from engine.runs.together import follow
    from engine.training import processes

    try:
        processes.join()
        follow()
    except processes.LostProcessError as error:  # the first process says so
        raise Exit(error.exit_code) from error
    except KeyboardInterrupt as error:
        raise Exit(130) from error
    finally:
        processes.leave()


def _asked(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of a command without those that `--detach` adds for its own process."""
    added = {"--run-id", "--queued"}
    return [
        argument
        for before, argument in zip(("", *arguments), arguments, strict=False)
        if argument not in added and before not in added
    ]


@contextlib.contextmanager
def _turn(run: RunFolder, teller: int) -> Iterator[None]:
    """Wait in the queue and hold the turn during the block; write the place to the descriptor `teller`."""
    from engine.jobs.queue import turn
    from engine.runs.log import LoggedReporter
    from engine.training.interrupts import terminable

    log = LoggedReporter(run_log(run.path), SILENT)

    def told(place: int) -> None:
        with contextlib.suppress(OSError):  # who started it has ended
            os.write(teller, str(place).encode())
            os.close(teller)
        if place:
            log.say(f"queued, place {place}")

    with terminable(), turn(run, log.say, told):
        yield


def _is_output(log: Path) -> bool:
    """Return whether this process writes its messages to `log`, as a detached run does."""
    try:
        return os.path.samestat(os.fstat(sys.stderr.fileno()), log.stat())
    except (OSError, ValueError):
        return False


@contextlib.contextmanager
def _told(folder: Path) -> Iterator[None]:
    """End the command without a message if the run in `folder` fails or is stopped; its log says why."""
    from engine.results.run_folder import read_record

    try:
        yield
    except (OpticalError, KeyboardInterrupt) as error:
        try:
            logged = read_record(folder)["pid"] == os.getpid()
        except InputError:  # it ended before it was a run
            logged = False
        if not logged:
            raise
        raise Exit(error.exit_code if isinstance(error, OpticalError) else 130) from error


def print_finished(finished: RunFolder, scores: Sequence[Scores], as_json: bool) -> None:
    """Print what a finished run found, and its id."""
    if as_json:
        print_json({"run": finished.id, "state": "finished", "summary": finished.record["summary"]})
        return
    print_scores(scores)
    out(finished.id)
    say(f"`optical-workbench show {finished.id}` shows the scores again")


def print_scores(scores: Sequence[Scores]) -> None:
    """Print a table for each collection and scoring: a row for each language, and one for the mean."""
    for result in scores:
        collection = result.collection
        measures = list(result.values)
        means = {(mean.query_language, mean.measure): mean for mean in result.means}
        rows = []
        for language in collection.query_languages:
            cells = [means[language, measure] for measure in measures]
            rows.append([language, f"{cells[0].queries:,}", *(f"{cell.value:.4f}" for cell in cells)])
        if len(rows) > 1:
            rows.append(["mean", "", *(f"{result.macro(measure):.4f}" for measure in measures)])
        print_table(
            ["language", "queries", *measures],
            rows,
            right=["queries", *measures],
            title=f"{collection.name} ({collection.protocol}, {collection.direction}, {result.scoring})",
        )
        if collection.reference:
            out(collection.reference)
        out()


def _resumable_folder(run: str, results: Path) -> Path:
    """Return the folder of the run that `run` names, if it can be resumed."""
    from engine.jobs.resume import resumable
    from engine.results.queries import run_record

    folder = runs_folder(results) / str(run_record(refreshed(results), run)["id"])
    return resumable(folder).path
