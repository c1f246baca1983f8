"""``tag``, ``note``, ``rename``, ``delete`` and ``forget``: change or remove a run that has ended."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from engine.cli.options import ask_first, complete_run, json_option, print_json, refreshed, results_option
from engine.cli.tables import print_line
from engine.errors import InputError
from engine.paths import runs_folder
from engine.results.queries import run_record
from engine.results.run_facts import LIVING

Fields = Callable[[dict[str, Any]], dict[str, Any]]


@click.command()
@click.argument("run", shell_complete=complete_run)
@click.argument("tags", nargs=-1)
@click.option("--remove", multiple=True, metavar="TAG", help="Remove a tag. Can be repeated.")
@results_option
@json_option
def tag(run: str, tags: Sequence[str], remove: Sequence[str], results: Path, as_json: bool) -> None:
    """Add TAGS to a run, words to find it by, or remove tags.

    RUN is an id, the beginning of an id, or a name, which means the newest run of that name.
    """
    added = [word for text in tags for word in text.split()]
    removed = {word for text in remove for word in text.split()}
    if not added and not removed:
        raise InputError("give the words to add as tags, or --remove TAG")

    def changed(record: dict[str, Any]) -> dict[str, Any]:
        before = record["tags"] or []
        if absent := sorted(removed.difference(before)):
            raise InputError(f"{record['id']} has no tag {absent[0]!r}; it has {' '.join(before) or 'none'}")
        return {"tags": [word for word in dict.fromkeys([*before, *added]) if word not in removed]}

    _change(run, changed, results, as_json)


@click.command()
@click.argument("run", shell_complete=complete_run)
@click.argument("text")
@results_option
@json_option
def note(run: str, text: str, results: Path, as_json: bool) -> None:
    """Replace a run's note, a remark that is kept with it. The empty TEXT '' removes the note.

    RUN is an id, the beginning of an id, or a name, which means the newest run of that name.
    """
    _change(run, lambda record: {"note": text.strip()}, results, as_json)


@click.command()
@click.argument("run", shell_complete=complete_run)
@click.argument("name")
@results_option
@json_option
def rename(run: str, name: str, results: Path, as_json: bool) -> None:
    """Give a run another NAME. Its id and its folder do not change.

    RUN is an id, the beginning of an id, or a name, which means the newest run of that name.
    """
    _change(run, lambda record: {"name": name.strip()}, results, as_json)


@click.command()
@click.argument("run", shell_complete=complete_run)
@click.option("--yes", is_flag=True, help="Do not ask.")
@results_option
@json_option
def delete(run: str, yes: bool, results: Path, as_json: bool) -> None:
    """Delete a run's folder, with its checkpoints and scores, after asking.

    RUN is an id, the beginning of an id, or a name, which means the newest run of that name. A run that is
    running or queued is not deleted.
    """
    from engine.jobs import edit
    from engine.jobs.state import state_of

    record = run_record(refreshed(results), run)
    folder = runs_folder(results) / record["id"]
    if not yes and state_of(folder) not in LIVING:  # a running run is refused without asking
        ask_first(f"Delete {record['id']} ({record['name']}) with its checkpoints and scores?", "delete")
    sentence = edit.delete(folder, runs_folder(results))
    refreshed(results)
    if as_json:
        print_json({"id": record["id"], "deleted": True})
    else:
        print_line(sentence)


@click.command()
@click.argument("run")
@click.option("--yes", is_flag=True, help="Do not ask.")
@results_option
@json_option
def forget(run: str, yes: bool, results: Path, as_json: bool) -> None:
    """Remove a run whose folder is missing from the results database, after asking on a terminal.

    The database keeps the scores of such a run until it is forgotten, because its folder may be on a disk
    that is not mounted. If the folder comes back, so do its scores. RUN is an id, the beginning of an id, or
    a name, which means the newest run of that name.
    """
    from engine.jobs import edit

    record = run_record(refreshed(results), run)
    folder = runs_folder(results) / record["id"]
    if not yes and not folder.exists() and sys.stdin.isatty():
        question = f"Remove {record['id']} ({record['name']}), whose folder is missing, with its scores?"
        ask_first(question, "forget")
    sentence = edit.forget(results, record["id"])
    if as_json:
        print_json({"id": record["id"], "forgotten": True})
    else:
        print_line(sentence)


def _change(run: str, fields: Fields, results: Path, as_json: bool) -> None:
    """Change the fields that `fields` makes from a run's record."""
    from engine.jobs import edit

    record = run_record(refreshed(results), run)
    changed = fields(record)
    sentence = edit.update(runs_folder(results) / record["id"], **changed)
    refreshed(results)
    if as_json:
        print_json({"id": record["id"], **changed})
    else:
        print_line(sentence)
