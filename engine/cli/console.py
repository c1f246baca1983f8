"""Progress on stderr: stages with their step, speed, metrics and remaining time."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from engine.cli.output import progress_console
from engine.reporting import Reporter, figures_text
from engine.visible import visible


class ConsoleReporter(Reporter):
    """Shows a progress bar on a terminal; writes plain lines where stderr is a file or a pipe."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or progress_console()
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),  # a collection's label may contain brackets
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}", markup=False),
            TimeRemainingColumn(compact=True),
            console=self.console,
            disable=not self.console.is_terminal,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,  # it would obey escapes
        )
        self.task: TaskID | None = None

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def say(self, sentence: str) -> None:
        """Print a sentence above the bar."""
        self.progress.console.print(visible(sentence, keep="\n"), soft_wrap=True, markup=False)

    def stage(self, name: str, total: int) -> None:
        """Replace the bar by one for another stage."""
        if self.task is not None:
            self.progress.remove_task(self.task)
        self.task = self.progress.add_task(visible(name), total=total, figures="")
        if not self.console.is_terminal:
            self.console.print(f"{visible(name)} ({total:,})", markup=False, soft_wrap=True)

    def advance(self, parts: int = 1) -> None:
        """Move the bar."""
        if self.task is not None:
            self.progress.advance(self.task, parts)

    def figures(self, values: Mapping[str, float]) -> None:
        """Show the latest metrics next to the bar."""
        if self.task is not None:
            self.progress.update(self.task, figures=visible(figures_text(values)))
