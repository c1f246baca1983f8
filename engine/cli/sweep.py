"""``sweep``: execute the runs of a sweep, and compare its systems in one table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import click

from engine.cli.compare import Asked, checkpoints_text, compared_tables, model_texts
from engine.cli.options import (
    data_option,
    json_option,
    on_option,
    print_json,
    refreshed,
    results_option,
    set_option,
)
from engine.cli.output import say, warn
from engine.cli.run import Started, run_here, start_detached
from engine.cli.score_groups import read_groups
from engine.cli.tables import print_facts, print_line, print_table, score_text
from engine.config import RunHeader, load_config, presets
from engine.config.sweep import SWEEP
from engine.counted import counted
from engine.errors import InputError
from engine.paths import runs_folder
from engine.results.headline import read_headlines
from engine.results.queries import ask, records_of, run_record
from engine.results.systems import RunSystem, Systems

if TYPE_CHECKING:
    from engine.jobs.cluster import Place


@click.command()
@click.argument("source", metavar="FILE_OR_RUN")
@set_option
@click.option(
    "--detach",
    is_flag=True,
    help="Execute the runs in a process of its own and return at once. It waits in the queue, as a run does.",
)
@click.option("--now", is_flag=True, help="With --detach: start at once, without waiting in the queue.")
@on_option
@click.option("--measure", metavar="M", help="The measure of the table. The default is that of the headline.")
@data_option
@results_option
@json_option
def sweep(
    source: str,
    overrides: Sequence[str],
    detach: bool,
    now: bool,
    place: Place | None,
    measure: str | None,
    results: Path,
    as_json: bool,
) -> None:
    """Execute the runs of a sweep that do not exist yet, and print a table with a row for each combination.

    FILE_OR_RUN is a file with kind = "sweep", or a sweep that was started: its id, the beginning of its id,
    or its name. A file starts the sweep, or continues it; a finished run with the same settings and seed is
    not repeated. A sweep that was started is only shown.

    A row is a system: the runs of one combination, which differ in the seed only. The others are compared
    with the first as `compare` does, with Holm's correction over all systems, languages and means.

    With --on slurm each run is a job of the cluster ([cluster] in the file), and this command waits for all
    of them. If it is stopped, the jobs go on, and the same command waits for them again.
    """
    if now and not detach:
        raise InputError("--now is for --detach; a sweep in the foreground never waits in the queue")
    if Path(source).is_file() or source in presets():
        config = load_config(source, overrides, fetch=True)
        if config.kind != SWEEP.name:
            raise InputError(
                f"this is a run of kind {config.kind!r}; start it with `optical-workbench run`, or write a "
                'file with kind = "sweep"',
                path=source,
            )
        if place is not None and detach:
            raise InputError("--on and --detach exclude each other; leave one of them out")
        what = Started(config, source, overrides, None, results)
        identity = _execute(what, detach, now, place, as_json)
        if identity is None:
            return
    else:
        if overrides or detach or place:
            raise InputError(f"there is no file {source!r}; --set, --detach and --on are for a file")
        record = run_record(refreshed(results), source)
        if record["kind"] != SWEEP.name:
            raise InputError(f"run {record['id']!r} is of kind {record['kind']!r}, not a sweep")
        identity = record["id"]
    table = sweep_table(refreshed(results), identity, measure)
    if as_json:
        print_json(table)
    else:
        _print(table)


def _execute(what: Started, detach: bool, now: bool, place: Place | None, as_json: bool) -> str | None:
    """Execute what is missing of the sweep, and return its id; None if it goes on in another process."""
    from engine.jobs.resume import resumable

    assert what.config is not None
    known = _started(what.config, what.results)
    if known is not None and known["state"] in ("running", "queued"):
        say(f"{known['id']} is {known['state']}; its finished runs are shown")
        return str(known["id"])
    if known is not None and known["state"] == "finished":
        say(f"{known['id']} is finished; nothing is repeated")
        return str(known["id"])
    if known is not None:
        say(f"{known['id']} was {known['state']}; it goes on")
        what = replace(what, folder=resumable(runs_folder(what.results) / known["id"]).path)
    if detach:
        start_detached(what, now, as_json)
        return None
    how = None
    if place is not None:
        from engine.jobs.cluster import check_place
        from engine.jobs.cluster_sweep import OnCluster
        from engine.runs.sweep import sweep_run

        check_place(place)
        how = partial(sweep_run, executor=OnCluster(what.results, place))
    finished = run_here(what, how=how)
    assert finished is not None
    return finished[0].id


def _started(config: RunHeader, results: Path) -> dict[str, Any] | None:
    """Return the record of the newest sweep with the same settings, with its state; None if there is none."""
    from engine.config import parse_config
    from engine.jobs.state import state_of
    from engine.results.run_folder import read_record, run_folders

    wanted = config.model_dump(mode="json")
    for folder in reversed(run_folders(runs_folder(results))):
        try:
            record = read_record(folder)
            if record["kind"] != SWEEP.name:
                continue
            same = parse_config(record["config"] or {}).model_dump(mode="json") == wanted
        except InputError:  # it is damaged, or of another version
            continue
        if same:
            return {**record, "state": state_of(folder, record)}
    return None


def sweep_table(results: Path, sweep: str, measure: str | None = None) -> dict[str, Any]:
    """Return the table of a sweep: a row for each combination that has a finished run.

    Parameters
    ----------
    results : Path
        The results database.
    sweep : str
        The id of the sweep's run.
    measure : str, optional
        None takes the measure of the headline of the first combination.

    Returns
    -------
    dict
        ``place`` (collection, protocol, scoring, direction) and ``measure`` of the values, ``heading`` and
        ``notes`` of the tests, and ``rows``, each with ``number``, ``settings``, ``seeds``, ``runs``,
        ``value`` and, but for the first, the difference to the first (``delta``, ``low``, ``high``, ``p``,
        ``p_holm``, ``verdict``, ``smallest``, ``checkpoints``).

    Raises
    ------
    InputError
        If no run of the sweep is finished, or the systems have no scores in common.
    """
    record = run_record(results, sweep)
    combinations: dict[int, dict[str, Any]] = {}
    stored = Systems.read(results)
    found = ask(
        results,
        "SELECT number, settings, seed, member FROM sweep_runs WHERE run = ? ORDER BY number, seed",
        [sweep],
    ).rows
    unfinished = []
    for number, settings, _, member in found:
        one = combinations.setdefault(int(number), {"settings": json.loads(settings), "runs": []})
        known = stored.runs.get(str(member))
        if known is not None and known.state == "finished":
            one["runs"].append(str(member))
        else:
            unfinished.append(str(member))
    systems: dict[str, tuple[int, RunSystem]] = {}
    for number, one in combinations.items():
        if one["runs"]:
            system = stored.of(one["runs"])
            systems.setdefault(system.key, (number, system))  # Optuna may draw a combination twice
    if not systems:
        raise InputError(
            f"no run of sweep {sweep!r} is finished yet; `optical-workbench logs {sweep}` has its log"
        )
    chosen = [system for _, system in systems.values()]
    heads = read_headlines(results, records_of(results, [system.lead for system in chosen]))
    rows: list[dict[str, Any]] = [
        {
            "number": number,
            "settings": combinations[number]["settings"],
            "seeds": system.seeds,
            "runs": system.runs,
            "system": system.key,
            "value": None,
        }
        for number, system in systems.values()
    ]
    told = {
        "sweep": sweep,
        "name": record["name"],
        "state": record["state"],
        "runs": len(found),
        "unfinished": unfinished,
    }
    groups = read_groups(results, [run for system in chosen for run in system.runs])
    head = heads.get(chosen[0].lead)
    if len(chosen) < 2 or not all(groups.get(system.lead) for system in chosen):
        # Nothing to compare: the headlines, which have the same measure.
        for row, system in zip(rows, chosen, strict=True):
            own = read_headlines(results, records_of(results, system.runs)).values()
            row["value"] = fmean(one.value for one in own) if own else None
        return {
            **told,
            "place": None if head is None else head.place,
            "measure": None if head is None else head.measure,
            "heading": "",
            "notes": [],
            "rows": rows,
        }
    asked = Asked(results, chosen, groups, [chosen[0].lead])
    table = compared_tables(asked, [groups[system.lead] for system in chosen], measure, head)[0]
    by_run: dict[str, Mapping[str, Any]] = {}
    for compared in table["rows"]:  # the mean over languages is the last row of a system
        by_run[compared["run"]] = compared
    first = next(iter(by_run.values()))
    for row, system in zip(rows, chosen, strict=True):
        if system.lead == chosen[0].lead:
            row["value"] = first["baseline"]
            continue
        compared = by_run[system.lead]
        names = ("delta", "low", "high", "p", "p_holm", "verdict", "smallest", "reason", "checkpoints")
        row.update(value=compared["value"], **{name: compared[name] for name in names})
    place = " · ".join(table[name] for name in ("collection", "protocol", "scoring", "direction"))
    return {
        **told,
        "place": place,
        "measure": table["measure"],
        "heading": table["heading"],
        "notes": table["notes"],
        "rows": rows,
    }


def _print(table: Mapping[str, Any]) -> None:
    """Print the table of a sweep."""
    print_facts([("sweep", f"{table['sweep']}  {table['name']}"), ("state", table["state"])])
    if table["unfinished"]:
        warn(f"{counted(len(table['unfinished']), 'run')} of {table['runs']} not finished, such as "
             f"{table['unfinished'][0]}")  # fmt: skip
    print_line()
    if table["place"]:
        print_line(f"{table['place']} · {table['measure']}, mean over languages", bold=True)
    if table["heading"]:
        print_line(table["heading"])
    rows = table["rows"]
    keys = list(dict.fromkeys(key for row in rows for key in row["settings"]))
    names = _short(keys)
    compared = any("delta" in row for row in rows)
    tested = any(row.get("p") is not None for row in rows)
    columns = ["#", *names, "seeds", str(table["measure"] or "value")]
    if compared:
        columns += ["Δ", *(("95 % interval", "p (Holm)", "verdict", "visible") if tested else ())]
        columns += ["these checkpoints (Holm)"]
    lines = [_line(row, keys, compared, tested) for row in rows]
    left = (*names, "95 % interval", "verdict", "these checkpoints (Holm)")
    print_table(columns, lines, right=[name for name in columns if name not in left])
    for note in table["notes"]:
        print_line(note)


def _line(row: Mapping[str, Any], keys: Sequence[str], compared: bool, tested: bool) -> list[str]:
    """Return the cells of a combination."""
    settings = [row["settings"].get(key) for key in keys]
    cells = [
        str(row["number"]),
        *(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in settings),
        str(len(row["seeds"]) or "–"),
        "–" if row["value"] is None else score_text(row["value"]),
    ]
    if not compared:
        return cells
    if "delta" not in row:
        return [*cells, *["–"] * (6 if tested else 2)]
    return [
        *cells,
        f"{row['delta']:+.3f}",
        *(model_texts(row) if tested else ()),
        checkpoints_text(row["checkpoints"]),
    ]


def _short(keys: Sequence[str]) -> list[str]:
    """Return the last parts of dotted keys; the whole key where two have the same."""
    last = [key.rpartition(".")[2] for key in keys]
    return [short if last.count(short) == 1 else key for key, short in zip(keys, last, strict=True)]
