"""Changes to a run from the table of runs: stop, resume, tags, note, name, delete, forget."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from engine.counted import counted
from engine.errors import OpticalError
from engine.results.run_facts import LIVING
from workbench.context import Context
from workbench.data.runs import Run, saves_state
from workbench.data.start import place_in_queue, start, start_failure, start_time
from workbench.shell.screen import ModeScreen
from workbench.widgets.dialogs import ConfirmDialog, TextDialog

STATE = "checkpoints/state.safetensors"


class RunEditor:
    """Asks for a change to a run and makes it in a thread.

    Parameters
    ----------
    screen : ModeScreen
        The screen that shows the dialogs and whose thread workers make the changes.
    context : Context
        Names the results database and reads the runs after a change.
    refuse : callable
        Called with a sentence that says why a change is not possible.
    """

    def __init__(self, screen: ModeScreen, context: Context, refuse: Callable[[str], None]) -> None:
        self._screen, self._context, self._refuse = screen, context, refuse

    def stop(self, run: Run) -> None:
        """Ask, then stop the run."""
        if not self._has_folder(run):
            return
        if run["state"] not in LIVING:
            self._refuse(f"{run['name']} is {run['state']}; there is nothing to stop")
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self._screen.show_status(f"stopping {run['name']} …")
                self._change(partial(_stop, run["folder"]))

        consequence = "It saves a checkpoint and ends. If it has not ended after a minute, it is killed."
        if run["state"] == "queued":
            consequence = "It leaves the queue. It can be resumed, which queues it again."
        self._screen.app.push_screen(
            ConfirmDialog(f"Stop {run['name']}?", consequence, careful=True), answered
        )

    def stop_all(self, runs: Sequence[Run]) -> None:
        """Ask, then stop those of the marked `runs` that are running or queued."""
        living = [run for run in runs if run["state"] in LIVING and not run.get("folder_missing")]
        if not living:
            self._refuse(f"of {counted(len(runs), 'marked run')}, none is running or queued")
            return
        consequence = (
            f"{_names(living)}. Each that is running saves a checkpoint and ends; it is killed if it has not "
            "ended after a minute. Those that are queued leave the queue."
        )
        # Those that wait are stopped first. Otherwise the next of them would start.
        living.sort(key=lambda run: -(run.get("place") or 0))
        self._ask_for_all(
            f"Stop {counted(len(living), 'marked run')}?",
            consequence,
            [partial(_stop, run["folder"]) for run in living],
        )

    def delete_all(self, runs: Sequence[Run]) -> None:
        """Ask, then delete those of the marked `runs` that have ended, and forget those without a folder."""
        ended = [run for run in runs if run.get("folder_missing") or run["state"] not in LIVING]
        if not ended:
            self._refuse(
                f"{counted(len(runs), 'marked run')} cannot be deleted while running; stop them first"
            )
            return
        kept = [run for run in runs if run not in ended]
        consequence = (
            f"{_names(ended)}. Their folders are deleted, with checkpoints and scores. This cannot be undone."
        )
        if kept:
            consequence += f" Not deleted, because running or queued: {_names(kept)}."
        store, results = self._context.store, self._context.results
        changes = [
            partial(_forget, results, run["id"])
            if run.get("folder_missing")
            else partial(_delete, run["folder"], store.folder)
            for run in ended
        ]
        self._ask_for_all(f"Delete {counted(len(ended), 'marked run')}?", consequence, changes)

    def _ask_for_all(self, question: str, consequence: str, changes: Sequence[Callable[[], str]]) -> None:
        """Ask, then make all changes one after another in a thread; each that fails is reported."""

        def work() -> str:
            done = 0
            for change in changes:
                try:
                    change()
                    done += 1
                except (OpticalError, OSError) as error:
                    self._report(str(error), failed=True)
            return f"{done} of {counted(len(changes), 'run')} done"

        def answered(yes: bool | None) -> None:
            if yes:
                self._screen.show_status(f"{question.rstrip('?')} …")
                self._change(work)

        self._screen.app.push_screen(ConfirmDialog(question, consequence, careful=True), answered)

    def queue_up(self, run: Run) -> None:
        """Move the run up one place in the queue."""
        if run["state"] == "queued":
            self._change(partial(_queue_up, run["folder"]))
        else:
            self._refuse(f"{run['name']} is {run['state']}; it does not wait in the queue")

    def resume(self, run: Run) -> None:
        """Ask, then start a process that resumes the run."""
        if not self._has_folder(run):
            return
        if run["state"] in (*LIVING, "finished"):
            self._refuse(f"{run['name']} is {run['state']}; there is nothing to resume")
            return
        command = ["optical-workbench", "run", "--resume", run["id"], "--detach"]
        command += ["--results", str(self._context.results)]

        def answered(yes: bool | None) -> None:
            if yes:
                self._screen.show_status(f"resuming {run['name']} …")
                work = partial(self._resume, command, run["folder"])
                self._screen.run_worker(work, thread=True, group="resume", exit_on_error=False)

        question = f"{_resume_point(run)}\n\n$ {shlex.join(command)}"
        self._screen.app.push_screen(ConfirmDialog(f"Resume {run['name']}?", question), answered)

    def edit_tags(self, run: Run) -> None:
        """Ask for the run's tags."""
        text, hint = " ".join(run["tags"] or ()), "Words, separated by spaces."
        self._edit(run, "Tags", text, lambda line: {"tags": line.split()}, hint)

    def edit_note(self, run: Run) -> None:
        """Ask for the run's note."""
        self._edit(run, "Note", run["note"] or "", lambda line: {"note": line.strip()})

    def rename(self, run: Run) -> None:
        """Ask for the run's name; its id does not change."""
        self._edit(run, "Name", run["name"], lambda line: {"name": line.strip()}, check=_check_name)

    def delete(self, run: Run) -> None:
        """Ask, then delete the run's folder; forget the run if its folder is missing."""
        if run.get("folder_missing"):
            self._forget(run)
            return
        if not self._has_ended(run):
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self._change(partial(_delete, run["folder"], self._context.store.folder))

        consequence = (
            f"Its folder {run['folder']} is deleted, with its checkpoints and scores. This cannot be undone."
        )
        self._screen.app.push_screen(
            ConfirmDialog(f"Delete {run['name']}?", consequence, careful=True), answered
        )

    def _forget(self, run: Run) -> None:
        """Ask, then remove a run whose folder is missing from the database."""

        def answered(yes: bool | None) -> None:
            if yes:
                self._change(partial(_forget, self._context.results, run["id"]))

        consequence = (
            f"Its folder {run['folder']} is missing; the disk may not be mounted. The database keeps its "
            "scores until it is forgotten, and reads them again if the folder comes back."
        )
        self._screen.app.push_screen(
            ConfirmDialog(f"Forget {run['name']}?", consequence, careful=True), answered
        )

    def _has_folder(self, run: Run) -> bool:
        """Return whether the folder of the run exists."""
        if run.get("folder_missing"):
            self._refuse(f"the folder of {run['name']} is missing; restore it, or forget the run with Delete")
            return False
        return True

    def _has_ended(self, run: Run) -> bool:
        """Return whether the run can be changed; one that is running or queued writes its record itself."""
        if not self._has_folder(run):
            return False
        if run["state"] in LIVING:
            self._refuse(
                f"{run['name']} is {run['state']} and would overwrite the change; stop it or wait for its end"
            )
            return False
        return True

    def _edit(
        self,
        run: Run,
        what: str,
        value: str,
        fields: Callable[[str], dict[str, Any]],
        hint: str = "",
        check: Callable[[str], str | None] = lambda text: None,
    ) -> None:
        if not self._has_ended(run):
            return

        def answered(line: str | None) -> None:
            if line is not None:
                self._change(partial(_update, run["folder"], fields(line)))

        dialog = TextDialog(f"{what} of {run['name']}", value, hint=hint, check=check)
        self._screen.app.push_screen(dialog, answered)

    def _change(self, change: Callable[[], str]) -> None:
        """Make a change in a thread and report the sentence that it returns, or its error."""

        def work() -> None:
            try:
                self._report(change())
            except (OpticalError, OSError) as error:
                self._report(str(error), failed=True)

        self._screen.run_worker(work, thread=True, group="change", exit_on_error=False)

    def _resume(self, command: list[str], folder: Path) -> None:
        """Start the process that resumes the run in `folder`, and watch its start. Called in a thread."""
        before = start_time(folder)
        try:
            start(command)
        except OpticalError as error:
            self._report(str(error), failed=True)
            return
        place = place_in_queue(folder)
        self._report(f"{folder.name} is queued, place {place}" if place else f"{folder.name} is resumed")
        failure = start_failure(folder, before, lambda: self._screen.app.is_running)
        if failure is not None:
            self._report(f"{folder.name} ended: {failure}", failed=True)

    def _report(self, sentence: str, *, failed: bool = False) -> None:
        """Show what came of a change and read the runs again. Called in threads."""
        self._screen.call_later(self._show_report, sentence, failed)

    def _show_report(self, sentence: str, failed: bool) -> None:
        self._context.poll()
        severity = "error" if failed else "information"
        self._screen.app.notify(sentence, severity=severity)  # type: ignore[arg-type]


def _names(runs: Sequence[Run]) -> str:
    """Return the names of runs, at most ten of them."""
    names = [str(run["name"]) for run in runs]
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more


def _resume_point(run: Run) -> str:
    """Return a sentence that says from where a run continues."""
    if (run["folder"] / STATE).is_file():
        return "It continues from its last saved state, with the same configuration."
    if saves_state(run["kind"]):
        return "It saved no state, so it starts over, with the same configuration."
    return "It continues with the searches that are not done yet."


def _stop(folder: Path) -> str:
    from engine.jobs.launch import stop

    return f"{folder.name} is {stop(folder)}"


def _queue_up(folder: Path) -> str:
    from engine.jobs.queue import move

    return f"{folder.name} has place {move(folder.parent, folder.name)} in the queue"


def _update(folder: Path, fields: dict[str, Any]) -> str:
    from engine.jobs.edit import update

    return update(folder, **fields)


def _delete(folder: Path, runs: Path) -> str:
    from engine.jobs.edit import delete

    return delete(folder, runs)


def _forget(results: Path, run: str) -> str:
    from engine.jobs.edit import forget

    return forget(results, run)


def _check_name(text: str) -> str | None:
    from engine.jobs.edit import check_name

    return check_name(text)
