"""The table of commands, and how a command is run: errors and exit status.

Data goes to stdout and messages go to stderr. Exit status: 0 success, 1 the run or query failed, 2 wrong
usage or configuration, 3 busy (the same call may work in a moment), 130 interrupted.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from engine.cli.output import InertStream, be_quiet, warn
from engine.errors import OpticalError, sentence_of

#: The module and the one-line help of each command. Modules are imported when their command is called, so
#: that help and the commands that read results start without torch.
COMMANDS = {
    "demo": ("engine.cli.demo", "Distil and evaluate on packaged encoders and data, without a network."),
    "run": ("engine.cli.run", "Start the run that a TOML file or preset describes."),
    "evaluate": ("engine.cli.evaluate", "Evaluate a finished run's encoders on other collections."),
    "import": ("engine.cli.importing", "Make a run of a TREC run file or of MTEB's results."),
    "runs": ("engine.cli.runs", "List runs."),
    "show": ("engine.cli.runs", "Show one run: its record and its scores."),
    "logs": ("engine.cli.logs", "Show a run's log, and follow it."),
    "stop": ("engine.cli.runs", "Stop a running run, or take a queued run out of the queue."),
    "queue": ("engine.cli.queue", "Show the runs that wait for their turn, and change their order."),
    "tag": ("engine.cli.edit", "Add tags to a run, or remove them."),
    "note": ("engine.cli.edit", "Replace a run's note."),
    "rename": ("engine.cli.edit", "Give a run another name."),
    "delete": ("engine.cli.edit", "Delete a run with its checkpoints and scores."),
    "forget": ("engine.cli.edit", "Remove a run whose folder is missing from the database."),
    "prune": ("engine.cli.prune", "Delete caches and encoders that can be made again; keep scores."),
    "compare": ("engine.cli.compare", "Compare runs per language, with intervals and tests."),
    "study": ("engine.cli.study", "Report a study: balance before and after distillation."),
    "sweep": ("engine.cli.sweep", "Run every combination of some settings, and compare them."),
    "query": ("engine.cli.query", "Search a collection with a run's encoders."),
    "plan": ("engine.cli.plan", "Show or export the transport plan of two sentences."),
    "web": ("engine.cli.web", "Open the app in a browser."),
    "serve": ("engine.cli.serve", "Answer the app's requests on stdin."),
    "sql": ("engine.cli.sql", "Query the results database in SQL."),
    "export": ("engine.cli.sql", "Write a table or query to CSV, JSON or Parquet."),
    "data": ("engine.cli.data", "List, fetch, import and check collections and bitext."),
    "encoders": ("engine.cli.encoders", "List, show, export and upload encoders."),
    "config": ("engine.cli.config", "Show presets, settings and the JSON schema."),
    "schema": ("engine.cli.schema", "Print the JSON Schema of what commands print with --json."),
    "doctor": ("engine.cli.doctor", "Check this installation."),
    "completion": ("engine.cli.completion", "Print the completion of commands for a shell."),
    "man": ("engine.cli.completion", "Print the manual page."),
}


def add_quiet(command: click.Command) -> None:
    """Add ``-q`` to a command and to the commands in it."""
    for inner in command.commands.values() if isinstance(command, click.Group) else ():
        add_quiet(inner)
    if isinstance(command, click.Group) or any("-q" in param.opts for param in command.params):
        return
    command.params.append(
        click.Option(
            ["-q", "--quiet"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=lambda context, parameter, value: be_quiet(context) if value else None,
            help="Print no progress and no messages on stderr but warnings and errors.",
        )
    )


class LazyGroup(click.Group):
    """A group of commands that imports a command's module when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(COMMANDS[cmd_name][0])
        command: click.Command = getattr(module, "import_command" if cmd_name == "import" else cmd_name)
        add_quiet(command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands without importing their modules."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find a command; the error for an unknown name suggests the most similar one."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from engine.errors import nearest

            ctx.fail(f"there is no command {args[0]!r}{nearest(args[0], list(COMMANDS))}")
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="optical-workbench")
def cli() -> None:
    """Cross-lingual retrieval by optimal transport distillation.

    Without a command the app opens. --results PATH opens it on another results database.
    """


def run(arguments: Sequence[str]) -> int:
    """Run a command and return its exit status. A user's mistake prints one sentence and no traceback."""
    try:
        code = cli.main(list(arguments), prog_name="optical-workbench", standalone_mode=False)
    except click.ClickException as error:
        error.show(InertStream(sys.stderr))  # type: ignore[arg-type]
        return 2
    except (KeyboardInterrupt, click.Abort):
        warn("interrupted")
        return 130
    except BrokenPipeError:
        # The reader of our output has closed the pipe; without this the interpreter reports it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        sentence = sentence_of(error)
        if sentence is None:
            raise
        warn(sentence)
        return error.exit_code if isinstance(error, OpticalError) else 1
    return int(code or 0)
