"""``runs``, ``show`` and ``stop``: list, show and stop the runs of a results database."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from engine.cli.grids import Grid, Value, format_option, latex, markdown
from engine.cli.options import (
    complete_run,
    json_option,
    print_json,
    refreshed,
    results_option,
    with_time_zone,
)
from engine.cli.output import check_raw, raw_option, say, write
from engine.cli.score_groups import Group, languages_of, read_groups
from engine.cli.tables import (
    Column,
    figure_text,
    print_csv,
    print_facts,
    print_fitted_table,
    print_line,
    print_table,
    score_text,
    size_text,
    sparkline,
)
from engine.counted import counted
from engine.durations import age_text, duration_text
from engine.errors import InputError
from engine.jobs import disk
from engine.languages import language
from engine.paths import runs_folder
from engine.results.filters import parse_filter
from engine.results.headline import Headline, read_headlines
from engine.results.queries import ask, list_runs, run_record
from engine.results.record import known_settings
from engine.results.run_facts import (
    FIGURES,
    LIVING,
    UNCHANGED,
    cut_of,
    deciding_figure,
    encoder_of,
    is_unchanged,
    passages_of,
    state_of_record,
)

#: A table of runs shows only the number of languages if a run has more than this.
_NAMED = 8
#: The columns of the table of runs.
_COLUMNS = (
    Column("state"),
    Column("id", least=16),
    Column("name", least=12),
    Column("kind", leave_out=2),
    Column("encoder", least=12, leave_out=3),
    Column("languages", least=12, leave_out=4),
    Column("score", right=True),
    Column("on", least=8, leave_out=1),
    Column("age", right=True),
)


@click.command()
@click.option(
    "--filter",
    "expression",
    default="",
    metavar="EXPR",
    help="Only matching runs, such as 'tico training.steps>100 AND NOT state=failed' or 'RR>0.8'.",
)
@click.option("--sizes", is_flag=True, help="Show the disk that each run takes, by kind of file.")
@results_option
@json_option
def runs(expression: str, sizes: bool, results: Path, as_json: bool) -> None:
    """List runs, newest first.

    The score is the run's headline: the mean over languages of the main measure on its first collection, with
    its first scoring. Collections and scorings are never averaged.

    On a narrow terminal long ids and names are cut in the middle and some columns are left out; commands take
    an id as it is shown. In a pipe or file nothing is cut.
    """
    selected = parse_filter(expression)
    from engine.jobs.queue import places

    records = [_with_current_state(results, record) for record in list_runs(refreshed(results))]
    queue = places(runs_folder(results))
    selected.check_fields(records)
    records = [record for record in records if selected.matches(record)]
    groups = read_groups(results, [record["id"] for record in records])
    heads = read_headlines(results, records)
    listed = [
        _listed(record, groups.get(record["id"], []), heads.get(record["id"]), queue.get(record["id"]))
        for record in records
    ]
    if sizes:
        for run in listed:
            run["bytes"] = disk.sizes(runs_folder(results) / run["id"])
    if as_json:
        print_json(listed)
        return
    if not listed:
        say("no run matches" if expression else "there is no run yet")
        return
    if sizes:
        _print_sizes(listed)
    else:
        print_fitted_table(
            _COLUMNS, [_line(run, record) for run, record in zip(listed, records, strict=True)]
        )


def _print_sizes(listed: Sequence[dict[str, Any]]) -> None:
    """Print the disk that runs take, the largest first."""
    largest = sorted(listed, key=lambda run: -sum(run["bytes"].values()))
    kinds = [kind for kind in disk.KINDS if any(run["bytes"][kind] for run in listed)]
    cells = [[run["bytes"][kind] for kind in kinds] for run in largest]
    rows = [
        (run["id"], run["state"], *(size_text(size) if size else "" for size in sizes), size_text(sum(sizes)))
        for run, sizes in zip(largest, cells, strict=True)
    ]
    sums = [sum(column) for column in zip(*cells, strict=True)]
    rows.append((counted(len(listed), "run"), "", *map(size_text, sums), size_text(sum(sums))))
    columns = ("run", "state", *kinds, "all")
    print_table(columns, rows, right=columns[2:])


@click.command()
@click.argument("run", shell_complete=complete_run)
@results_option
@json_option
@format_option
@raw_option
def show(run: str, results: Path, as_json: bool, form: str, raw: bool) -> None:
    """Show a run: its record, its bitext and its scores with 95 % intervals.

    RUN is an id, the beginning of an id, or a name, which means the newest run of that name. With --format
    latex, markdown or csv only the scores are printed.
    """
    check_raw(raw, form == "csv")
    if as_json and form != "text":
        raise InputError("--json and --format exclude each other; choose one")
    record = _with_current_state(results, run_record(refreshed(results), run))
    groups = read_groups(results, [record["id"]]).get(record["id"], [])
    if form != "text":
        _print_scores(groups, record, form, raw)
        return
    bitext = ask(
        results, "SELECT * EXCLUDE run FROM bitext WHERE run = ? ORDER BY ALL", [record["id"]]
    ).records()
    for source in bitext:
        source["dropped"] = json.loads(source["dropped"])
    deciding = deciding_figure(record)
    curve = ask(
        results,
        "SELECT step, value FROM steps WHERE run = ? AND metric = ? ORDER BY step",
        [record["id"], deciding],
    ).rows
    steps, values = [row[0] for row in curve], [row[1] for row in curve]
    best = record["summary"].get("best_step")
    head = read_headlines(results, [record]).get(record["id"])
    step = _step(results, record)
    place = _place(results, record)
    if as_json:
        facts = {key: value for key, value in with_time_zone(record).items() if key != "measures"}
        held_out = {"best_step": best, "figure": deciding, "steps": steps, "values": values}
        scores = [_scores(group, record) for group in groups]
        facts["headline"] = None if head is None else vars(head)
        facts["step"] = step
        facts["place"] = place
        facts["unchanged"] = is_unchanged(record)
        print_json({**facts, "bitext": bitext, "held_out": held_out, "scores": scores})
        return
    _print_record(record, best, head, step, place)
    if values:
        print_line()
        print_line(
            f"{FIGURES[deciding]}  {score_text(values[0])} {sparkline(values)} {score_text(values[-1])}  "
            f"(steps {steps[0]} to {steps[-1]}, best {score_text(max(values))})"
        )
    if bitext:
        print_line()
        print_table(
            ("bitext", "languages", "pairs", "dropped"),
            [
                (
                    source["name"],
                    f"{source['source_language']}-{source['target_language']}",
                    f"{source['pairs']:,}",
                    ", ".join(f"{reason} {count:,}" for reason, count in source["dropped"].items() if count),
                )
                for source in bitext
            ],
            right=("pairs",),
        )
    for group in groups:
        print_line()
        _print_group(group, _reference(group, record))


@click.command()
@click.argument("run", shell_complete=complete_run)
@results_option
@json_option
def stop(run: str, results: Path, as_json: bool) -> None:
    """Stop a running run, which keeps its best checkpoint so far, or take a queued run out of the queue.

    RUN is an id, the beginning of an id, or a name, which means the newest run of that name.
    """
    from engine.jobs import launch

    identity = run_record(refreshed(results), run)["id"]
    say(f"asking {identity} to stop")
    state = launch.stop(runs_folder(results) / identity)
    refreshed(results)
    if as_json:
        print_json({"id": identity, "state": state})
    else:
        print_line(f"{identity} {state}")


def _with_current_state(results: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Return a record with the state of the run's process, and whether its folder is missing."""
    from engine.jobs.state import state_of

    folder = runs_folder(results) / record["id"]
    missing = not folder.is_dir()
    state = record["state"] if missing or record["state"] not in LIVING else state_of(folder)
    return {**record, "state": state, "folder_missing": missing}


def _listed(
    record: dict[str, Any], groups: Sequence[Group], head: Headline | None, place: int | None
) -> dict[str, Any]:
    kept = ("id", "name", "kind", "state", "failure", "tags", "note", "created", "started", "ended")
    return {
        **{name: value for name, value in with_time_zone(record).items() if name in kept},
        "place": place,
        "unchanged": is_unchanged(record),
        "folder_missing": record["folder_missing"],
        "encoder": encoder_of(record),
        "languages": languages_of(record, groups),
        "headline": None if head is None else vars(head),
    }


def _line(run: dict[str, Any], record: dict[str, Any]) -> tuple[str, ...]:
    known, head = run["languages"], run["headline"]
    return (
        _state_text(state_of_record(record), run["place"]),
        run["id"],
        run["name"],
        run["kind"],
        run["encoder"],
        " ".join(known) if len(known) <= _NAMED else f"{len(known)} languages",
        "" if head is None else f"{head['measure']} {score_text(head['value'])}",
        "" if head is None else head["collection"],
        age_text(run["created"]),
    )


def _state_text(state: str, place: int | None) -> str:
    """Return the state, with the place in the queue of a queued run."""
    return f"{state} {place}" if place else state


def _step(results: Path, record: dict[str, Any]) -> dict[str, int] | None:
    """Return the last step of a run that is training, and how many steps it has."""
    from engine.extensions.runs import RUN_KINDS
    from engine.results.run_folder import RunFolder, tail

    kind = RUN_KINDS.get(record["kind"])
    if record["state"] != "running" or kind is None or kind.loop is None:
        return None
    records = tail(RunFolder(runs_folder(results) / record["id"], record).metrics_path).records
    total = known_settings(record).get(kind.loop, {}).get("steps")
    return {"done": records[-1].step, "steps": int(total)} if records and total else None


def _place(results: Path, record: dict[str, Any]) -> int | None:
    """Return the place in the queue of a run that waits."""
    from engine.jobs.queue import places

    return places(runs_folder(results)).get(record["id"]) if record["state"] == "queued" else None


def _print_record(
    record: dict[str, Any],
    best: Any,
    head: Headline | None,
    step: dict[str, int] | None,
    place: int | None,
) -> None:
    versions = (f"{name} {version}" for name, version in record["versions"].items() if version)
    started, ended = record["started"], record["ended"]
    summary = {
        key: value
        for key, value in record["summary"].items()
        if key not in ("best_step", "references", "notes", "passages", "cut", "cut_in_training", "weights")
    }
    print_facts(
        [
            ("run", record["id"]),
            ("name", record["name"]),
            (
                "state",
                _state_text(state_of_record(record), place)
                if step is None
                else "{state}, step {done:,} of {steps:,}".format(state=record["state"], **step),
            ),
            ("failure", record["failure"] or ""),
            ("kind", record["kind"]),
            ("headline", "" if head is None else f"{head} on {head.place}"),
            ("encoder", encoder_of(record)),
            ("preset", known_settings(record).get("preset", "")),
            ("command", shlex.join(record["argv"] or ())),
            ("seed", "" if record["seed"] is None else str(record["seed"])),
            ("tags", " ".join(record["tags"] or ())),
            ("note", record["note"] or ""),
            ("created", f"{record['created']:%Y-%m-%d %H:%M:%S} UTC, {age_text(record['created'])} ago"),
            ("took", duration_text((ended - started).total_seconds()) if started and ended else ""),
            ("host", ", ".join(filter(None, (record["host"], record["platform"], record["device"])))),
            ("process", _process(record)),
            ("versions", ", ".join(versions)),
            ("commit", record["commit"] or ""),
            ("best step", "" if best is None else f"{best}{UNCHANGED if is_unchanged(record) else ''}"),
            *(("cut texts", sentence) for sentence in cut_of(record)),
            ("passages", passages_of(record)),
            *(("noted", str(note)) for note in record["summary"].get("notes") or ()),
            ("summary", json.dumps(summary, ensure_ascii=False) if summary else ""),
        ]
    )


def _process(record: dict[str, Any]) -> str:
    """Return the process id of a run, and which start of the machine it belongs to."""
    boot = f" since boot {record['boot']}" if record["boot"] else ""
    return "" if record["pid"] is None else f"{record['pid']}{boot}"


def _print_group(group: Group, reference: str) -> None:
    measures = group.measures
    lines = [
        (code, _name(code), f"{queries:,}", *map(figure_text, rows)) for code, queries, rows in group.lines()
    ]
    lines.append(("mean", "", "", *(score_text(group.mean(measure)) for measure in measures)))
    revisions = sorted(set(group.revisions.values()))
    revision = f"revision {revisions[0]}" if len(revisions) == 1 else f"{len(revisions)} revisions"
    print_table(
        ("", "language", "queries", *measures), lines, right=("queries",), title=f"{group.key} · {revision}"
    )
    if reference:
        print_line(reference)


def _print_scores(groups: Sequence[Group], record: dict[str, Any], form: str, raw: bool) -> None:
    """Print the scores of a run in another form than text."""
    if not groups:
        raise InputError(f"run {record['id']} has no scores; wait until it is finished")
    if form == "csv":
        rows = [
            {"run": record["id"], **group.key._asdict(), **figure}
            for group in groups
            for figure in _scores(group, record)["figures"]
        ]
        print_csv(rows, raw=raw)
        return
    render = latex if form == "latex" else markdown
    write("\n".join(render(_grid(group, record)) for group in groups))


def _grid(group: Group, record: dict[str, Any]) -> Grid:
    """Return the scores of a run under one key: a row for each language, a column for each measure."""
    measures = group.measures
    rows: list[list[str | Value]] = []
    for code, queries, found in group.lines():
        cells = (Value(figure_text(row)) for row in found)
        rows.append([f"{_name(code)} ({code})" if _name(code) else code, Value(f"{queries}"), *cells])
    rows.append(["mean", "", *(Value(score_text(group.mean(measure))) for measure in measures)])
    reference = _reference(group, record)
    revisions = ", ".join(sorted(set(group.revisions.values())))
    return Grid(
        f"{record['name']}: {group.key}",
        ["language", "queries", *measures],
        rows,
        [f"Brackets: 95 % intervals. Revision {revisions}.", *([reference] if reference else [])],
    )


def _scores(group: Group, record: dict[str, Any]) -> dict[str, Any]:
    kept = ("query_language", "document_language", "revision", "measure", "value", "low", "high", "queries")
    return {
        **group.key._asdict(),
        "reference": _reference(group, record),
        "means": {measure: group.mean(measure) for measure in group.measures},
        "figures": [
            {"language": code, **{name: row[name] for name in kept}}
            for measure in group.measures
            for code, row in group.of(measure).items()
        ],
    }


def _reference(group: Group, record: dict[str, Any]) -> str:
    """Return the line that the collection shows with its scores, which the run's summary holds by name."""
    references = record["summary"].get("references")
    if "/" in group.key.protocol:  # the line is about the collection's own measures, not bias or mining
        return ""
    return str(references.get(group.key.collection, "")) if isinstance(references, dict) else ""


def _name(code: str) -> str:
    try:
        return language(code).name
    except InputError:
        return ""
