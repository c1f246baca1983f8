"""``completion`` and ``man``: what shells and manual readers need to know of the command line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib.metadata import version

import click
from click.shell_completion import get_completion_class

from engine.cli.output import write

PROGRAM = "optical-workbench"
#: The variable by which the shell's function asks for completions.
VARIABLE = "_OPTICAL_WORKBENCH_COMPLETE"
#: How each shell is told of the completions for good.
_ADVICE = {
    "bash": "echo 'eval \"$(optical-workbench completion bash)\"' >> ~/.bashrc",
    "zsh": "echo 'eval \"$(optical-workbench completion zsh)\"' >> ~/.zshrc",
    "fish": "optical-workbench completion fish > ~/.config/fish/completions/optical-workbench.fish",
}


@click.command()
@click.argument("shell", type=click.Choice(list(_ADVICE)))
def completion(shell: str) -> None:
    """Print the code by which SHELL completes commands, options and ids of runs.

    \b
    bash: echo 'eval "$(optical-workbench completion bash)"' >> ~/.bashrc
    zsh:  echo 'eval "$(optical-workbench completion zsh)"' >> ~/.zshrc
    fish: optical-workbench completion fish > ~/.config/fish/completions/optical-workbench.fish
    """
    from engine.cli.commands import cli

    found = get_completion_class(shell)
    assert found is not None
    write(f"# {_ADVICE[shell]}\n{found(cli, {}, PROGRAM, VARIABLE).source()}\n")


@click.command()
def man() -> None:
    """Print the manual page of all commands, which ``man`` shows.

    \b
    optical-workbench man > ~/.local/share/man/man1/optical-workbench.1
    man optical-workbench
    """
    from engine.cli.commands import cli

    write("\n".join(_page(cli)) + "\n")


def _page(cli: click.Group) -> Iterator[str]:
    context = click.Context(cli, info_name=PROGRAM)
    yield f'.TH OPTICAL-WORKBENCH 1 "" "optical-workbench {_roff(version(PROGRAM))}" "User commands"'
    yield from (".SH NAME", f"optical-workbench \\- {_roff(cli.get_short_help_str(200))}")
    yield from (".SH SYNOPSIS", ".B optical-workbench", "[\\fICOMMAND\\fR [\\fIARGUMENTS\\fR]]")
    yield from (".SH DESCRIPTION", *_paragraphs(cli.help or ""))
    yield ".SH COMMANDS"
    for command, inner in _commands(cli, context):
        yield from _command(command, inner)
    yield ".SH EXIT STATUS"
    for status, meaning in (
        ("0", "Success."),
        ("1", "The run or query failed."),
        ("2", "Wrong usage or configuration."),
        ("3", "Busy; the same call may work in a moment."),
        ("130", "Interrupted."),
    ):
        yield from (".TP", f".B {status}", meaning)
    yield ".SH ENVIRONMENT"
    for name, meaning in (
        ("OPTICAL_RESULTS", "The results database."),
        ("OPTICAL_DATA", "The data home."),
        ("OPTICAL_CACHE", "The cache."),
    ):
        yield from (".TP", f".B {name}", meaning)


def _commands(group: click.Group, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        inner = click.Context(command, info_name=name, parent=context)
        yield command, inner
        if isinstance(command, click.Group):
            yield from _commands(command, inner)


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    usage = " ".join(command.collect_usage_pieces(context))
    yield from (f".SS {_roff(context.command_path.removeprefix(PROGRAM + ' '))}", f".B {_roff(usage)}", ".PP")
    yield from _paragraphs(command.help or "")
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            yield from (".TP", f".B {_roff(record[0])}", _roff(" ".join(record[1].split())))


def _paragraphs(text: str) -> Iterator[str]:
    """Yield the lines of a help text; a paragraph that begins with \\b keeps its lines."""
    for place, paragraph in enumerate(re.split(r"\n\s*\n", text.strip())):
        lines: Sequence[str] = [line.strip() for line in paragraph.splitlines()]
        if place:
            yield ".PP"
        if lines and lines[0] == "\b":
            yield from (".nf", *map(_roff, lines[1:]), ".fi")
        else:
            yield _roff(" ".join(lines))


def _roff(text: str) -> str:
    """Return `text` as troff prints it: no line is a request, and hyphens can be copied."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + escaped if escaped[:1] in (".", "'") else escaped
