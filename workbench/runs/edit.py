"""Changes to a run from the table of runs: stop, resume, tags, note, name, delete."""

from __future__ import annotations

import math
import shlex
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual import on, work
from textual.message import Message

from engine.errors import InputError, OpticalError
from workbench.data.runs import Run
from workbench.data.start import last_words, start, started
from workbench.shell.screen import ModeScreen
from workbench.widgets.dialogs import ConfirmDialog, TextDialog

STATE = "checkpoints/state.safetensors"


class Editing(ModeScreen):
    """The part of the runs screen that changes runs; each change is done in a thread."""

    class Done(Message):
        """A change was made, or why it was not."""

        def __init__(self, sentence: str, failed: bool) -> None:
            super().__init__()
            self.sentence, self.failed = sentence, failed

    refused = -math.inf

    @property
    def run_here(self) -> Run | None:
        """The run under the cursor."""
        raise NotImplementedError

    def refuse(self, sentence: str) -> None:
        """Say why something is not done, for as long as it takes to read."""
        self.refused = time.monotonic()
        self.show_status(sentence, "warn")

    def _ended(self) -> Run | None:
        """Return the run under the cursor if it has ended; a run under way owns its record."""
        run = self.run_here
        if run is not None and run["state"] == "running":
            self.refuse(
                f"{run['name']} is running and would overwrite the change; wait for its end, or stop it"
            )
            return None
        return run

    def action_stop(self) -> None:
        """Ask, then stop the run."""
        run = self.run_here
        if run is None:
            return
        if run["state"] != "running":
            self.refuse(f"{run['name']} is {run['state']}; there is nothing to stop")
            return
        folder = run["folder"]

        def answered(yes: bool | None) -> None:
            if yes:
                self.show_status(f"stopping {run['name']} …")
                self._change(lambda: _stop(folder))

        consequence = "It is asked to save a checkpoint and end; after a minute it is ended by force."
        self.app.push_screen(ConfirmDialog(f"Stop {run['name']}?", consequence), answered)

    def action_resume(self) -> None:
        """Ask, then start the process that carries the run on."""
        run = self.run_here
        if run is None:
            return
        if run["state"] in ("running", "finished"):
            self.refuse(f"{run['name']} is {run['state']}; there is nothing to resume")
            return
        folder = run["folder"]
        command = ["optical-workbench", "run", "--resume", run["id"], "--detach"]
        command += ["--results", str(self.context.results)]
        whence = (
            "It goes on from its last saved state, as it was configured."
            if (folder / STATE).is_file()
            else "It saved no state, so it starts over, as it was configured."
        )
        if run["kind"] != "distil":
            whence = "It goes on with the searches that lack."

        def answered(yes: bool | None) -> None:
            if yes:
                self.show_status(f"resuming {run['name']} …")
                self._resume(command, folder)

        question = ConfirmDialog(f"Resume {run['name']}?", f"{whence}\n\n$ {shlex.join(command)}")
        self.app.push_screen(question, answered)

    @work(thread=True, group="resume", exit_on_error=False)
    def _resume(self, command: list[str], folder: Path) -> None:
        before = started(folder)
        try:
            start(command)
        except OpticalError as error:
            self.post_message(self.Done(str(error), True))
            return
        self.post_message(self.Done(f"{folder.name} goes on", False))
        words = last_words(folder, before, lambda: self.app.is_running)
        if words is not None:
            self.post_message(self.Done(f"{folder.name} ended: {words}", True))

    def action_tag(self) -> None:
        """Type the run's tags."""
        run = self._ended()
        if run is not None:
            text = " ".join(run["tags"] or ())
            self._edit(run, "Tags", text, lambda line: {"tags": line.split()}, "Words, separated by spaces.")

    def action_note(self) -> None:
        """Type the run's note."""
        run = self._ended()
        if run is not None:
            self._edit(run, "Note", run["note"] or "", lambda line: {"note": line.strip()})

    def action_rename(self) -> None:
        """Type the run's name; its id stays."""
        run = self._ended()
        if run is not None:
            self._edit(run, "Name", run["name"], lambda line: {"name": line.strip()}, check=_check_name)

    def _edit(
        self,
        run: Run,
        what: str,
        value: str,
        fields: Callable[[str], dict[str, Any]],
        hint: str = "",
        check: Callable[[str], str | None] = lambda text: None,
    ) -> None:
        folder = run["folder"]

        def answered(line: str | None) -> None:
            if line is not None:
                self._change(lambda: _update(folder, fields(line)))

        self.app.push_screen(TextDialog(f"{what} of {run['name']}", value, hint=hint, check=check), answered)

    def action_delete(self) -> None:
        """Ask, then delete the run's folder."""
        run = self._ended()
        if run is None:
            return
        folder, runs = run["folder"], self.context.store.folder

        def answered(yes: bool | None) -> None:
            if yes:
                self._change(lambda: _delete(folder, runs))

        consequence = f"Its folder {folder} goes, with its checkpoints and scores. This cannot be undone."
        self.app.push_screen(ConfirmDialog(f"Delete {run['name']}?", consequence), answered)

    @work(thread=True, group="change", exit_on_error=False)
    def _change(self, change: Callable[[], str]) -> None:
        try:
            self.post_message(self.Done(change(), False))
        except (OpticalError, OSError) as error:
            self.post_message(self.Done(str(error), True))

    @on(Done)
    def _done(self, message: Done) -> None:
        self.context.poll()
        look = "error" if message.failed else "information"
        self.app.notify(message.sentence, severity=look, markup=False)  # type: ignore[arg-type]


def _check_name(text: str) -> str | None:
    return None if 1 <= len(text.strip()) <= 80 else "a name has 1 to 80 characters"


def _stop(folder: Path) -> str:
    from engine.jobs.launch import stop

    return f"{folder.name} is {stop(folder)}"


def _update(folder: Path, fields: dict[str, Any]) -> str:
    from engine.jobs.state import state_of
    from engine.results.run_folder import RunFolder

    if state_of(folder) == "running":
        raise InputError("it is running again and would overwrite the change; wait for its end", path=folder)
    RunFolder.open(folder).update(**fields)
    return f"{folder.name}: {', '.join(fields)} changed"


def _delete(folder: Path, runs: Path) -> str:
    from engine.jobs.state import state_of

    if folder.parent != runs or folder.is_symlink() or not (folder / "run.json").is_file():
        raise InputError("it is not a run folder among the runs, so it is left alone", path=folder)
    if state_of(folder) == "running":
        raise InputError("it is running; stop it first", path=folder)
    # Out of the ingest's sight at once, however long the deletion takes.
    hidden = folder.with_name(f".deleted-{folder.name}")
    folder.rename(hidden)
    shutil.rmtree(hidden)
    return f"{folder.name} is deleted"
