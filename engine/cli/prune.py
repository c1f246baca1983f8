"""``prune``: delete what can be computed again, and keep scores and records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.cli.options import ask_first, json_option, print_json, refreshed, results_option
from engine.cli.output import say
from engine.cli.tables import print_table, size_text
from engine.paths import cache_home, runs_folder
from engine.results.filters import parse_filter
from engine.results.queries import list_runs

if TYPE_CHECKING:
    from engine.cli.answers import Removable


@click.command()
@click.option("--encoders", is_flag=True, help="Also the trained encoders of finished runs.")
@click.option(
    "--filter", "expression", default="", metavar="EXPR", help="Only matching runs, as `runs --filter`."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="List what would be deleted, and delete nothing.")
@results_option
@json_option
def prune(encoders: bool, expression: str, yes: bool, dry_run: bool, results: Path, as_json: bool) -> None:
    """List what can be computed again, and delete it after asking. Scores, rankings and records are kept.

    Deleted are the cache (vectors, sentence pairs, translations, hashes, figures of studies) and what
    finished runs and interrupted deletions left behind. With --encoders the trained encoders of finished
    runs go as well, but those that another run's configuration names; such a run can be trained again, but
    no longer searched with. Runs that are running or can be resumed are left alone.
    """
    from engine.jobs.disk import Part, removable, remove

    selected = parse_filter(expression)
    records = list_runs(refreshed(results)) if results.is_file() or runs_folder(results).is_dir() else []
    selected.check_fields(records)
    chosen = [record["id"] for record in records if selected.matches(record)]
    parts: list[Part] = ["states", "encoders"] if encoders else ["states"]
    if not expression:
        parts.insert(0, "caches")
    found = removable(runs_folder(results), chosen, parts)
    going = [item for item in found if not item.kept]
    total = sum(item.size for item in going)
    listed: list[Removable] = [
        {"part": item.part, "owner": item.owner, "bytes": item.size, "kept": item.kept} for item in found
    ]
    if as_json and (dry_run or not going):
        print_json({"deleted": False, "bytes": total, "items": listed})
        return
    if not as_json:
        print_table(
            ("what", "of", "size", ""),
            [
                (item.part, item.owner, size_text(item.size), f"kept: {item.kept}" if item.kept else "")
                for item in found
            ],
            right=("size",),
        )
    if not going:
        say("there is nothing to delete")
        return
    if dry_run:
        say(f"{size_text(total)} would be deleted; the cache is {cache_home()}")
        return
    if not yes:
        ask_first(f"Delete {size_text(total)}? Scores and records are kept.", "prune")
    freed = remove(going)
    if as_json:
        print_json({"deleted": True, "bytes": freed, "items": listed})
    else:
        say(f"{size_text(freed)} deleted")
