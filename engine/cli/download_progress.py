"""The progress of ``data fetch`` on stderr."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.progress import TransferSpeedColumn as SpeedColumn

from engine.cli.output import progress_console
from engine.datahome.download import Progress as OnProgress
from engine.visible import visible


class DownloadProgress:
    """Shows a bar for the current file on a terminal; writes a line for each file elsewhere."""

    def __init__(self) -> None:
        self.console = progress_console()
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=16),
            DownloadColumn(),
            SpeedColumn(),
            TimeRemainingColumn(compact=True),
            console=self.console,
            disable=not self.console.is_terminal,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,  # it would obey escapes
        )

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def file(self, name: str, number: int, count: int) -> OnProgress:
        """Show a new file, and return the function that receives its progress in bytes."""
        title = visible(f"{number}/{count} {name.rpartition('/')[2]}")
        if not self.console.is_terminal:
            self.say(title)
        for task in self.progress.task_ids:
            self.progress.remove_task(task)
        task = self.progress.add_task(title, total=None)

        def update(received: int, total: int | None) -> None:
            self.progress.update(task, completed=received, total=total)

        return update

    def say(self, sentence: str) -> None:
        """Print a sentence above the bar."""
        self.progress.console.print(visible(sentence, keep="\n"), soft_wrap=True, markup=False)
