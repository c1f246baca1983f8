"""``compare``: compare systems with a baseline per language, with intervals and significance tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from engine.cli.grids import compared_grid, format_option, latex, markdown
from engine.cli.options import complete_run, json_option, print_json, refreshed, results_option
from engine.cli.output import check_raw, raw_option, warn, write
from engine.cli.published_tables import print_published, published_records, published_tables
from engine.cli.score_groups import Group, Key, language_of, read_groups
from engine.cli.tables import interval_text, print_csv, print_facts, print_line, print_table, score_text
from engine.errors import InputError, nearest
from engine.results.alignment import align_scorings
from engine.results.headline import Headline, read_headlines
from engine.results.queries import query_scores_of, run_record
from engine.results.run_facts import passages_of
from engine.results.systems import RunSystem, Systems
from engine.results.topics import clusters_of, topics_of

if TYPE_CHECKING:
    from engine.evaluation.seed_model import System

#: The score of every query, by run, language and query id.
Values = dict[str, dict[str, dict[str, float]]]


class Matched(NamedTuple):
    """The scores of all runs that are shown in one table: a group for each run, the baseline's first."""

    measure: str
    languages: list[str]
    left_out: list[str]
    groups: list[Group]


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN...", shell_complete=complete_run)
@click.option(
    "--baseline", metavar="RUN", multiple=True, help="Compare with this run instead of the first; repeatable."
)
@click.option("--measure", metavar="M", help="The measure. The default is each protocol's main measure.")
@click.option("--collection", metavar="C", help="Only this collection.")
@click.option("--scoring", metavar="S", help="Only this scoring, such as maxsim or dense.")
@click.option("--direction", metavar="D", help="Only this direction, such as xx-en.")
@click.option(
    "--topics", metavar="KIND=VALUE", help="Only topics with this mark in table topics, such as clean=yes."
)
@click.option(
    "--margin",
    type=click.FloatRange(min=0, min_open=True),
    default=0.01,
    show_default=True,
    help="Differences below this count as equivalent.",
)
@click.option(
    "--published",
    is_flag=True,
    help="Also print published scores of other models on the same tasks; one run suffices. With --csv: only "
    "these, per language.",
)
@results_option
@json_option
@format_option
@click.option("--csv", "as_csv", is_flag=True, help="The same as --format csv.")
@raw_option
def compare(
    runs: tuple[str, ...],
    baseline: tuple[str, ...],
    measure: str | None,
    collection: str | None,
    scoring: str | None,
    direction: str | None,
    topics: str | None,
    margin: float,
    published: bool,
    results: Path,
    as_json: bool,
    form: str,
    as_csv: bool,
    raw: bool,
) -> None:
    """Compare systems with a baseline, which is the first run, per language and by the mean over languages.

    RUN is an id, the beginning of one, a name, a pattern of names ('contrast-*') or @ and the key of a
    system. Runs that differ in the seed only are one system: the finished runs with other seeds are added to
    those that are named. Two runs of one system are compared as checkpoints.

    Each difference has a 95 % interval and a p value of a mixed model in which topics and seeds are crossed,
    Holm-corrected over all systems, languages and means of a table; a verdict, which includes a test of
    equivalence; and the smallest difference that could be seen. The p value over topics alone is for these
    checkpoints. Scores on different revisions of a collection are not compared.

    With --format latex or markdown, a row is a system, the best value of a column is bold, and a mark says
    from which baseline a value differs at p < .05.
    """
    if as_csv and form not in ("text", "csv"):
        raise InputError(f"--csv and --format {form} exclude each other; choose one")
    as_csv = as_csv or form == "csv"
    if as_json and (as_csv or form != "text"):
        raise InputError(f"--json and --{'csv' if as_csv else 'format'} exclude each other; choose one")
    if published and form in ("latex", "markdown"):
        raise InputError("--published has no --format latex or markdown; leave one of them out")
    check_raw(raw, as_csv)
    refreshed(results)
    stored = Systems.read(results)
    systems = stored.choose([*baseline, *runs])
    if len(systems) < 2 and not published:
        raise InputError("compare takes at least two different runs")
    ids = [system.lead for system in systems]
    base = list(dict.fromkeys(_of_argument(stored, systems, name).lead for name in baseline or runs[:1]))
    records = [run_record(results, run) for run in ids]
    found = read_groups(results, [run for system in systems for run in system.runs])
    wanted = {"collection": collection, "scoring": scoring, "direction": direction}
    groups = [_chosen(identity, found.get(identity, []), wanted) for identity in ids]
    others: list[dict[str, Any]] = []
    if published:
        others = [
            table
            for identity, own in zip(ids, groups, strict=True)
            for table in published_tables(identity, own)
            if measure in (None, table["measure"])
        ]
        if as_csv or len(systems) < 2:
            if as_json:
                print_json({"published": others})
            elif as_csv:
                print_csv(published_records(others), raw=raw)
            else:
                print_published(others)
            return
    heads = read_headlines(results, records)
    asked = Asked(results, systems, found, base, _mark(topics), margin)
    tables = compared_tables(asked, groups, measure, heads.get(base[0]))
    if as_json:
        compared = [
            {
                **{"id": record["id"], "name": record["name"]},
                **{"system": system.key, "runs": system.runs, "seeds": system.seeds, "label": system.name},
                "headline": _as_json(heads.get(record["id"])),
                "passages": record["summary"].get("passages") or {},
            }
            for record, system in zip(records, systems, strict=True)
        ]
        answer = {"baseline": base[0], "baselines": base, "runs": compared, "tables": tables}
        print_json({**answer, **({"published": others} if published else {})})
        return
    if as_csv:
        print_csv([{**_place(table), **row} for table in tables for row in table["rows"]], raw=raw)
        return
    if form != "text":
        from engine.evaluation.comparisons import LOWER_IS_BETTER

        names = _distinct_names(systems)
        render = latex if form == "latex" else markdown
        write(
            "\n".join(
                render(compared_grid(table, names, lower_is_better=table["measure"] in LOWER_IS_BETTER))
                for table in tables
            )
        )
        return
    letters = dict(zip(ids, _letters(len(ids)), strict=True))
    print_facts(
        (
            letters[system.lead],
            f"{system.lead}  {system.name}{_seeds_text(system)}"
            f"{'  (baseline)' * (system.lead in base)}{_told(heads.get(system.lead))}"
            f"{'  ' * bool(passages_of(record))}{passages_of(record)}",
        )
        for record, system in zip(records, systems, strict=True)
    )
    for table in tables:
        print_line()
        _print(table, letters)
    if published:
        print_published(others)


class Asked(NamedTuple):
    """What a comparison was asked for.

    Attributes
    ----------
    results : Path
        The results database.
    systems : list of RunSystem
    groups : mapping of run to list of Group
        The scores of all runs of the systems (`read_groups`).
    baselines : list of str
        The first runs of the systems that the others are compared with.
    mark : (str, str), optional
        Only topics with this mark count.
    margin : float
        The margin of the equivalence tests.
    """

    results: Path
    systems: list[RunSystem]
    groups: Mapping[str, list[Group]]
    baselines: list[str]
    mark: tuple[str, str] | None = None
    margin: float = 0.01


def compared_tables(
    asked: Asked, groups: Sequence[Sequence[Group]], measure: str | None, first: Headline | None
) -> list[dict[str, Any]]:
    """Return a table for each collection, protocol, scoring and direction that all systems have.

    Parameters
    ----------
    asked : Asked
    groups : sequence of sequences of Group
        The scores of the first run of each system that are compared.
    measure : str, optional
        None takes the main measure of each protocol.
    first : Headline, optional
        What the first table is of.

    Raises
    ------
    InputError
        If the systems cannot be compared.
    """
    ids = [system.lead for system in asked.systems]
    tables = []
    for matched in sorted(_match(ids, _align(groups), measure), key=partial(_is_other, first)):
        table = _compared(asked, matched)
        if table is not None:
            tables.append(table)
        else:
            warn(f"{matched.groups[0].key}: left out, because it has no scores of single queries")
    if not tables:
        raise InputError(f"{' and '.join(ids)} cannot be compared: no measure has scores of single queries")
    return tables


def _mark(topics: str | None) -> tuple[str, str] | None:
    if topics is None:
        return None
    kind, equals, value = topics.partition("=")
    if not (kind and equals and value):
        raise InputError(f"--topics {topics!r} is not KIND=VALUE, such as clean=yes")
    return kind, value


def _of_argument(stored: Systems, systems: Sequence[RunSystem], argument: str) -> RunSystem:
    found = stored.find(argument)
    return next(system for system in systems if any(run in system.asked for run in found))


def _distinct_names(systems: Sequence[RunSystem]) -> dict[str, str]:
    """Return the name of each system by its first run; equal names are told apart by the run."""
    names = [system.name for system in systems]
    return {
        system.lead: f"{system.name} ({system.lead})" if names.count(system.name) > 1 else system.name
        for system in systems
    }


def _seeds_text(system: RunSystem) -> str:
    if not system.trained:
        return ""
    return f"  seed{'s' if len(system.seeds) > 1 else ''} {', '.join(system.seeds)}"


def _place(table: Mapping[str, Any]) -> dict[str, Any]:
    return {name: table[name] for name in (*Key._fields, "measure")}


def _is_other(head: Headline | None, matched: Matched) -> bool:
    """Return whether a table is not that of the baseline's headline, which is shown first."""
    return head is None or matched.groups[0].key != (
        head.collection,
        head.protocol,
        head.scoring,
        head.direction,
    )


def _as_json(head: Headline | None) -> dict[str, Any] | None:
    return None if head is None else vars(head)


def _told(head: Headline | None) -> str:
    return "" if head is None else f"  {head} on {head.place}"


def _chosen(run: str, groups: Sequence[Group], wanted: Mapping[str, str | None]) -> list[Group]:
    """Return the groups that the options select.

    Raises
    ------
    InputError
        If the run has no scores, or none that an option selects.
    """
    if not groups:
        raise InputError(f"run {run} has no scores; wait until it is finished, or give it [[collections]]")
    kept = list(groups)
    for name, value in wanted.items():
        if value is not None:
            known = sorted({getattr(group.key, name) for group in kept})
            kept = [group for group in kept if getattr(group.key, name) == value]
            if not kept:
                raise InputError(
                    f"run {run} has no {name} {value!r}{nearest(value, known)}; it has {', '.join(known)}"
                )
    return kept


def _align(chosen: Sequence[Sequence[Group]]) -> list[list[Group]]:
    """Return the groups of each run with the keys of the tables in which they are shown.

    The rows of a group keep their own scoring.
    """
    tables = align_scorings(group.key for groups in chosen for group in groups)
    return [[replace(group, key=key) for group in groups for key in tables[group.key]] for groups in chosen]


def _match(ids: Sequence[str], chosen: Sequence[Sequence[Group]], measure: str | None) -> list[Matched]:
    """Return the scores that all runs have, one item for each table.

    Raises
    ------
    InputError
        If the runs have no collection, protocol, scoring, direction, revision and measure in common.
    """
    shared = [key for key in _keys(chosen[0]) if all(key in _keys(groups) for groups in chosen)]
    for identity, groups in zip(ids[1:], chosen[1:], strict=True):
        if not shared or not set(_keys(groups)) & set(_keys(chosen[0])):
            raise InputError(
                f"nothing to compare between {ids[0]}, which has {_listed(chosen[0])}, and {identity}, which "
                f"has {_listed(groups)}; collection, protocol, scoring and direction must agree"
            )
    for key in dict.fromkeys(key for groups in chosen for key in _keys(groups)):
        if key not in shared:
            warn(f"{key}: left out, because not every run has it")
    matched = []
    for key in shared:
        for groups in _same_revision(
            ids, key, [[group for group in some if group.key == key] for some in chosen]
        ):
            measures = [
                name for name in groups[0].measures if all(name in group.measures for group in groups)
            ]
            if measure in measures or (measure is None and measures):
                matched.append(_matched(measure or measures[0], groups))
            elif len(shared) > 1:
                warn(f"{key}: left out, because not every run has {measure or 'a common measure'} there")
    if not matched:
        raise _no_measure(ids, chosen, measure)
    return matched


def _matched(measure: str, groups: list[Group]) -> Matched:
    of = [group.of(measure) for group in groups]
    languages = [code for code in of[0] if all(code in rows for rows in of)]
    every = dict.fromkeys(code for rows in of for code in rows)
    return Matched(measure, languages, [code for code in every if code not in languages], groups)


def _same_revision(ids: Sequence[str], key: Key, candidates: Sequence[Sequence[Group]]) -> list[list[Group]]:
    """Return tables with a group for each run, of one revision of the collection in the common languages."""
    tables = []
    for first in candidates[0]:
        agreeing = [[group for group in groups if _agree(first, group)] for groups in candidates[1:]]
        if all(agreeing):
            tables.append([first, *(groups[0] for groups in agreeing)])
    if tables:
        return tables
    first = candidates[0][0]
    identity, other = next(
        (identity, groups[0])
        for identity, groups in zip(ids[1:], candidates[1:], strict=True)
        if not any(_agree(first, group) for group in groups)
    )
    ours, theirs = first.revisions, other.revisions
    differing = [code for code in ours if code in theirs and ours[code] != theirs[code]]
    if not differing:
        raise InputError(
            f"nothing to compare between {ids[0]} and {identity} on {key}: they share no language"
        )
    code = differing[0]
    raise InputError(
        f"{ids[0]} and {identity} do not compare on {key}: in {code!r} the first was scored on revision "
        f"{ours[code]} of the collection and the second on {theirs[code]}; evaluate both on the same files, "
        "or choose another --collection"
    )


def _agree(one: Group, other: Group) -> bool:
    ours, theirs = one.revisions, other.revisions
    common = ours.keys() & theirs.keys()
    return bool(common) and all(ours[code] == theirs[code] for code in common)


def _no_measure(ids: Sequence[str], chosen: Sequence[Sequence[Group]], measure: str | None) -> InputError:
    """Return the error that says which run has not the measure."""
    for identity, groups in zip(ids, chosen, strict=True):
        known = list(dict.fromkeys(name for group in groups for name in group.measures))
        if measure is not None and measure not in known:
            guess = nearest(measure, known)
            return InputError(f"run {identity} has no measure {measure!r}{guess}; it has {', '.join(known)}")
    return InputError(
        f"{' and '.join(ids)} have no measure in common on the same collection; the first has "
        f"{_listed(chosen[0])} with {', '.join(chosen[0][0].measures)}"
    )


def _compared(asked: Asked, matched: Matched) -> dict[str, Any] | None:
    """Return a table with a row for each pair of systems and language; None without scores of queries."""
    from engine.evaluation.comparisons import LOWER_IS_BETTER, compare_family
    from engine.evaluation.seed_model import System

    key = matched.groups[0].key
    members = _members(asked, matched)
    values = _values(asked.results, members, matched)
    if not any(values.values()):
        return None
    if matched.left_out:
        warn(f"{key}: {', '.join(matched.left_out)} left out, because not every run has these languages")
    clusters, marked = _topics(asked, matched)
    if marked is not None:
        values = {run: _only(scores, marked) for run, scores in values.items()}
        if not any(scores for scores in values.values()):
            raise InputError(f"no query on {key} has the mark {'='.join(asked.mark or ())} in every language")
    systems = {
        system.lead: System(system.name, [values[run] for run in members[system.lead]], system.trained)
        for system in asked.systems
    }
    try:
        family = compare_family(
            systems,
            asked.baselines,
            clusters=clusters,
            margin=asked.margin,
            lower_is_better=matched.measure in LOWER_IS_BETTER,
        )
    except InputError as error:
        raise InputError(f"{' and '.join(systems)} on {key}: {error}") from error
    seeds = {
        system.lead: [system.seeds[system.runs.index(run)] for run in members[system.lead]]
        if system.trained
        else []
        for system in asked.systems
    }
    keys = {system.lead: system.key for system in asked.systems}
    rows = [
        {
            **{"run": pair.system, "system": keys[pair.system], "baseline_run": pair.baseline},
            "seeds": seeds[pair.system],
            "language": code or None,
            "baseline": mean_score(systems[pair.baseline], code),
            "value": mean_score(systems[pair.system], code),
            **vars(difference),
            "checkpoints": {
                name: getattr(tested, name) if difference.units > 1 else None
                for name in ("low", "high", "p", "p_holm")
            },
            **{name: getattr(tested, name) for name in ("wins", "ties", "losses", "queries")},
        }
        for pair in family.pairs
        for code, difference, tested in pair.rows()
    ]
    revisions = {code: matched.groups[0].revisions[code] for code in matched.languages}
    return {
        **key._asdict(),
        "revisions": revisions,
        "measure": matched.measure,
        "left_out": matched.left_out,
        **{"heading": family.heading, "tests": family.tests, "margin": family.margin, "notes": family.notes},
        "rows": rows,
    }


def mean_score(system: System, code: str) -> float:
    """Return the mean over seeds and queries of a language, or over all languages for an empty code."""
    return fmean(
        fmean(fmean(values.values()) for language, values in run.items() if code in ("", language))
        for run in system.runs
    )


def _members(asked: Asked, matched: Matched) -> dict[str, list[str]]:
    """Return the runs of each system that have the scores of a table, by the system's first run."""
    members = {}
    for system, lead in zip(asked.systems, matched.groups, strict=True):
        own = Key(*(lead.rows[0][name] for name in Key._fields))
        found = []
        for run in system.runs:
            like = [group for group in asked.groups.get(run, ()) if group.key == own and _agree(lead, group)]
            if any(set(matched.languages) <= group.of(matched.measure).keys() for group in like):
                found.append(run)
            else:
                warn(
                    f"{matched.groups[0].key}: {run} of {system.name} left out, because it has no such scores"
                )
        members[system.lead] = found
    return members


def _topics(asked: Asked, matched: Matched) -> tuple[Mapping[str, str], set[str] | None]:
    """Return the clusters of topics, and the topics that are wanted if there is a choice."""
    revisions = {matched.groups[0].revisions[code] for code in matched.languages}
    collection = matched.groups[0].key.collection
    # Only runs that were trained have marks such as "clean".
    every = [topics_of(asked.results, system.lead, collection, revisions) for system in asked.systems]
    clusters = clusters_of(every)
    if asked.mark is None:
        return clusters, None
    kind, value = asked.mark
    marks = [known[kind] for known in every if kind in known]
    if not marks:
        kinds = ", ".join(sorted({one for known in every for one in known})) or "none"
        raise InputError(f"topics of {collection} have no mark {kind!r}; they have {kinds}")
    # A topic counts if all systems that have the mark agree on it.
    return clusters, {topic for topic in marks[0] if all(own.get(topic) == value for own in marks)}


def _only(scores: Mapping[str, Mapping[str, float]], topics: set[str]) -> dict[str, dict[str, float]]:
    from engine.evaluation.significance import topic_of

    kept = {
        code: {query: value for query, value in values.items() if topic_of(query) in topics}
        for code, values in scores.items()
    }
    return {code: values for code, values in kept.items() if values}


def _values(results: Path, members: Mapping[str, Sequence[str]], matched: Matched) -> Values:
    """Return the score of every query, by run, language and query id."""
    # The row of a query does not name the documents' language; the revision of the collection determines it.
    runs = [run for some in members.values() for run in some]
    keys, language = {}, {}
    for some, group in zip(members.values(), matched.groups, strict=True):
        for run in some:
            keys[run] = tuple(group.rows[0][name] for name in Key._fields)
            for row in group.rows:
                language[run, row["revision"], row["query_language"]] = language_of(row)
    values: Values = {run: {} for run in runs}
    answer = query_scores_of(
        results, runs, scoring=None, measure=matched.measure, collection=matched.groups[0].key.collection
    )
    place = {name: index for index, name in enumerate(answer.columns)}
    own = [place[name] for name in Key._fields]
    at = [place[name] for name in ("run", "revision", "query_language", "query_id", "value")]
    for cells in answer.rows:
        run, revision, query_language, query, value = (cells[index] for index in at)
        code = language.get((run, revision, query_language))
        if code in matched.languages and tuple(cells[index] for index in own) == keys[run]:
            values[run].setdefault(str(code), {})[query] = value
    return values


def _print(table: Mapping[str, Any], letters: Mapping[str, str]) -> None:
    revisions = sorted(set(table["revisions"].values()))
    revision = f"revision {revisions[0]}" if len(revisions) == 1 else f"{len(revisions)} revisions"
    title = " · ".join([*(table[name] for name in Key._fields), revision, table["measure"]])
    print_line(title, bold=True)
    print_line(table["heading"])
    for base in dict.fromkeys(row["baseline_run"] for row in table["rows"]):
        rows = [row for row in table["rows"] if row["baseline_run"] == base]
        # Without a p value over trainings there is nothing to put under these heads.
        model = ("95 % interval", "p (Holm)", "verdict", "visible") if table["tests"] else ()
        columns = ["system", "seeds", "language", "queries", letters[base], "value", "Δ", *model]
        columns += ["these checkpoints (Holm)", "W/T/L"]
        lines = [
            (
                letters[row["run"]],
                str(len(row["seeds"]) or "–"),
                row["language"] or "mean",
                f"{row['queries']:,}",
                score_text(row["baseline"]),
                score_text(row["value"]),
                f"{row['delta']:+.3f}",
                *(model_texts(row) if model else ()),
                checkpoints_text(row["checkpoints"]),
                f"{row['wins']}/{row['ties']}/{row['losses']}",
            )
            for row in rows
        ]
        left = ("system", "language", "95 % interval", "verdict", "these checkpoints (Holm)")
        print_table(columns, lines, right=[name for name in columns if name not in left])
    for note in table["notes"]:
        print_line(note)


def model_texts(row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Return the interval, p value, verdict and smallest visible difference of a row."""
    interval = interval_text(row["low"], row["high"], "+") or "–"
    return interval, p_text(row["p_holm"]), row["verdict"] or "–", score_text(row["smallest"]) or "–"


def checkpoints_text(tested: Mapping[str, float | None]) -> str:
    """Return the interval and p value of a row for these checkpoints only."""
    if tested["p"] is None:
        return "–"
    return f"{interval_text(tested['low'], tested['high'], '+')} p {p_text(tested['p_holm'])}"


def p_text(p: float | None) -> str:
    """Return a p value with four decimals, or a dash if there is none."""
    return "–" if p is None else "<.0001" if p < 0.0001 else f"{p:.4f}"


def _keys(groups: Sequence[Group]) -> list[Key]:
    return list(dict.fromkeys(group.key for group in groups))


def _listed(groups: Sequence[Group]) -> str:
    return "; ".join(str(key) for key in _keys(groups))


def _letters(count: int) -> list[str]:
    """Return A, B, ..., Z, A1, B1, ...: short names of the runs in tables."""
    return [chr(ord("A") + place % 26) + (str(place // 26) if place >= 26 else "") for place in range(count)]
