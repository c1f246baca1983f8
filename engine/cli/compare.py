"""``compare``: compare runs with a baseline per language, with intervals and significance tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import click

from engine.cli.options import json_option, print_json, refreshed, results_option
from engine.cli.score_groups import Group, Key, language_of, read_groups
from engine.cli.tables import interval_text, print_facts, print_line, print_table, score_text
from engine.errors import InputError, nearest
from engine.results.alignment import align_scorings
from engine.results.headline import Headline, read_headlines
from engine.results.queries import query_scores_of, run_record

#: The score of every query, by run, language and query id.
Values = dict[str, dict[str, dict[str, float]]]


class Matched(NamedTuple):
    """The scores of all runs that are shown in one table: a group for each run, the baseline's first."""

    measure: str
    languages: list[str]
    left_out: list[str]
    groups: list[Group]


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN...")
@click.option("--baseline", metavar="RUN", help="Compare with this run instead of the first.")
@click.option("--measure", metavar="M", help="The measure. The default is each protocol's main measure.")
@click.option("--collection", metavar="C", help="Only this collection.")
@click.option("--scoring", metavar="S", help="Only this scoring, such as maxsim or dense.")
@click.option("--direction", metavar="D", help="Only this direction, such as xx-en.")
@results_option
@json_option
def compare(
    runs: tuple[str, ...],
    baseline: str | None,
    measure: str | None,
    collection: str | None,
    scoring: str | None,
    direction: str | None,
    results: Path,
    as_json: bool,
) -> None:
    """Compare runs with a baseline, which is the first run, per language and by the mean over languages.

    Each difference has a 95 % bootstrap interval and the p value of a paired randomisation test over the
    same queries, Holm-corrected over the languages. Scores on different revisions of a collection are not
    compared.
    """
    refreshed(results)
    named = [run_record(results, run) for run in ((baseline,) if baseline else ()) + runs]
    records = list({record["id"]: record for record in named}.values())
    if len(records) < 2:
        raise InputError("compare takes at least two different runs")
    ids = [record["id"] for record in records]
    found = read_groups(results, ids)
    wanted = {"collection": collection, "scoring": scoring, "direction": direction}
    chosen = _align([_chosen(identity, found.get(identity, []), wanted) for identity in ids])
    heads = read_headlines(results, records)
    tables = []
    for matched in sorted(_match(ids, chosen, measure), key=partial(_is_other, heads.get(ids[0]))):
        values = _values(results, ids, matched)
        if any(values.values()):
            tables.append(_compared(values, ids, matched))
        else:
            _say(f"{matched.groups[0].key}: left out, because it has no scores of single queries")
    if not tables:
        raise InputError(f"{' and '.join(ids)} cannot be compared: no measure has scores of single queries")
    if as_json:
        compared = [
            {"id": record["id"], "name": record["name"], "headline": _as_json(heads.get(record["id"]))}
            for record in records
        ]
        print_json({"baseline": ids[0], "runs": compared, "tables": tables})
        return
    letters = dict(zip(ids, _letters(len(ids)), strict=True))
    print_facts(
        (
            letters[record["id"]],
            f"{record['id']}  {record['name']}{'  (baseline)' * (not place)}{_told(heads.get(record['id']))}",
        )
        for place, record in enumerate(records)
    )
    for table in tables:
        print_line()
        _print(table, letters, ids[0])


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
            _say(f"{key}: left out, because not every run has it")
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
                _say(f"{key}: left out, because not every run has {measure or 'a common measure'} there")
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


def _compared(values: Values, ids: Sequence[str], matched: Matched) -> dict[str, Any]:
    """Return a table with a row for each language and for the mean, for each run except the baseline."""
    from engine.evaluation.significance import compare_languages

    key = matched.groups[0].key
    if matched.left_out:
        _say(f"{key}: {', '.join(matched.left_out)} left out, because not every run has these languages")
    means = {
        identity: {code: group.of(matched.measure)[code]["value"] for code in matched.languages}
        for identity, group in zip(ids, matched.groups, strict=True)
    }
    for identity in ids:
        means[identity][""] = sum(means[identity].values()) / len(matched.languages)
    rows: list[dict[str, Any]] = []
    for identity in ids[1:]:
        try:
            compared = compare_languages(values[ids[0]], values[identity])
        except InputError as error:
            raise InputError(f"{ids[0]} and {identity} on {key}: {error}") from error
        for code, comparison in [*compared.languages.items(), ("", compared.mean)]:
            rows.append(
                {
                    "run": identity,
                    "language": code or None,
                    "baseline": means[ids[0]][code],
                    "value": means[identity][code],
                    **vars(comparison),
                }
            )
    revisions = {code: matched.groups[0].revisions[code] for code in matched.languages}
    return {
        **key._asdict(),
        "revisions": revisions,
        "measure": matched.measure,
        "left_out": matched.left_out,
        "rows": rows,
    }


def _values(results: Path, ids: Sequence[str], matched: Matched) -> Values:
    """Return the score of every query, by run, language and query id."""
    # The row of a query does not name the documents' language; the revision of the collection determines it.
    keys = {
        identity: Key(*(group.rows[0][name] for name in Key._fields))
        for identity, group in zip(ids, matched.groups, strict=True)
    }
    language = {
        (identity, row["revision"], row["query_language"]): language_of(row)
        for identity, group in zip(ids, matched.groups, strict=True)
        for row in group.rows
    }
    values: Values = {identity: {} for identity in ids}
    answer = query_scores_of(
        results, ids, scoring=None, measure=matched.measure, collection=matched.groups[0].key.collection
    )
    for row in answer.records():
        code = language.get((row["run"], row["revision"], row["query_language"]))
        key = keys[row["run"]]
        if code in matched.languages and all(row[name] == getattr(key, name) for name in Key._fields):
            values[row["run"]].setdefault(str(code), {})[row["query_id"]] = row["value"]
    return values


def _print(table: Mapping[str, Any], letters: Mapping[str, str], baseline: str) -> None:
    revisions = sorted(set(table["revisions"].values()))
    revision = f"revision {revisions[0]}" if len(revisions) == 1 else f"{len(revisions)} revisions"
    title = " · ".join([*(table[name] for name in Key._fields), revision, table["measure"]])
    lines = [
        (
            letters[row["run"]],
            row["language"] or "mean",
            f"{row['queries']:,}",
            score_text(row["baseline"]),
            score_text(row["value"]),
            f"{row['delta']:+.3f}",
            interval_text(row["low"], row["high"], "+"),
            f"{row['p_holm']:.4f}",
            f"{row['wins']}/{row['ties']}/{row['losses']}",
        )
        for row in table["rows"]
    ]
    numbers = ("queries", letters[baseline], "value", "Δ", "p", "W/T/L")
    print_table(
        ("run", "language", "queries", letters[baseline], "value", "Δ", "95 % interval", "p", "W/T/L"),
        lines,
        right=numbers,
        title=title,
    )


def _say(sentence: str) -> None:
    click.echo(f"optical-workbench: {sentence}", err=True)


def _keys(groups: Sequence[Group]) -> list[Key]:
    return list(dict.fromkeys(group.key for group in groups))


def _listed(groups: Sequence[Group]) -> str:
    return "; ".join(str(key) for key in _keys(groups))


def _letters(count: int) -> list[str]:
    """Return A, B, ..., Z, A1, B1, ...: short names of the runs in tables."""
    return [chr(ord("A") + place % 26) + (str(place // 26) if place >= 26 else "") for place in range(count)]
