"""What ``data fetch`` shows on stderr: a bar for the file under way, or a line for each in a log."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.progress import TransferSpeedColumn as SpeedColumn

from engine.datahome.download import Progress as Hears


class FetchDisplay:
    """Draws the file under way on a terminal; into a file it writes one line a file."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=16),
            DownloadColumn(),
            SpeedColumn(),
            TimeRemainingColumn(compact=True),
            console=self.console,
            disable=not self.console.is_terminal,
            transient=True,
        )

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def file(self, name: str, number: int, count: int) -> Hears:
        """Begin a file and return what hears of its bytes."""
        title = f"{number}/{count} {name.rpartition('/')[2]}"
        if not self.console.is_terminal:
            self.say(title)
        for task in self.progress.task_ids:
            self.progress.remove_task(task)
        task = self.progress.add_task(title, total=None)

        def hear(here: int, total: int | None) -> None:
            self.progress.update(task, completed=here, total=total)

        return hear

    def say(self, sentence: str) -> None:
        """Print a sentence above the bar."""
        self.progress.console.print(sentence, soft_wrap=True, markup=False)
