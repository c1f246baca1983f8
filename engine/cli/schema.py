"""``schema``: print the JSON Schema of what commands print with ``--json``."""

from __future__ import annotations

from collections.abc import Sequence

import click

from engine.cli.options import print_json
from engine.errors import InputError, nearest


@click.command()
@click.argument("command", nargs=-1, metavar="[COMMAND]...")
def schema(command: Sequence[str]) -> None:
    """Print the JSON Schema of what COMMAND prints with --json, such as `schema runs` or `schema queue list`.

    Without COMMAND the schemas of all commands are printed, by command. They have a version. Keys are added
    in the same version; a key is renamed or removed, or gets another meaning, only in a new one.
    """
    from engine.cli.answers import ANSWERS, VERSION, schema_of

    name = " ".join(command)
    if not name:
        print_json({"version": VERSION, "commands": {known: schema_of(known) for known in ANSWERS}})
    elif name in ANSWERS:
        print_json(schema_of(name))
    else:
        raise InputError(
            f"no command {name!r} has --json{nearest(name, list(ANSWERS))}; those are {', '.join(ANSWERS)}"
        )
