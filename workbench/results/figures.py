"""Scores and comparisons of several runs: the data of the results screen.

The functions read the database, so they are called in threads. They import the engine's modules for the
database and for statistics when they are called, which keeps the start of the app short.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import OpticalError
from engine.languages import language

if TYPE_CHECKING:
    from engine.evaluation.seed_model import Difference
    from engine.evaluation.significance import Comparison
    from engine.results.systems import RunSystem

GROUPS = ("none", "script", "family", "resource")
"""The properties that languages can be grouped by."""


class Setting(NamedTuple):
    """What must agree for two figures to share a table."""

    collection: str
    revision: str
    protocol: str
    scoring: str
    direction: str

    def describe(self) -> str:
        """Return the setting as text for a heading."""
        return f"{self.collection} ({self.protocol}, {self.direction}, {self.scoring})"


class Figure(NamedTuple):
    """The mean score over the queries of a language, with its 95 % interval if one is stored."""

    value: float
    low: float | None
    high: float | None
    queries: int


@dataclass
class Figures:
    """The mean scores of some runs.

    Attributes
    ----------
    runs : list of str
        Ids of the runs that have scores.
    names : dict
        The name of each run, by id.
    table : dict
        The figures by setting, measure, run and query language.
    systems : dict
        The system of each run, by id.
    published : dict
        Published scores of other models on the same tasks, by setting, measure, model and query language.
    """

    runs: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    table: dict[Setting, dict[str, dict[str, dict[str, Figure]]]] = field(default_factory=dict)
    systems: dict[str, RunSystem] = field(default_factory=dict)
    published: dict[Setting, dict[str, dict[str, dict[str, float]]]] = field(default_factory=dict)

    def measures(self, setting: Setting) -> list[str]:
        """Return the measures of `setting`, the main measure of its protocol first."""
        from engine.results.headline import order_measures

        return order_measures(setting.protocol, self.table.get(setting, ()))

    def languages(self, setting: Setting, measure: str) -> list[str]:
        """Return the query languages that at least one run has."""
        runs = self.table.get(setting, {}).get(measure, {})
        return sorted({code for figures in runs.values() for code in figures})


def load_figures(results: Path, runs: Sequence[str]) -> Figures:
    """Read the scores of `runs` (ids), or of the newest run that has scores if `runs` is empty.

    Of several runs, those that differ in the seed only are shown as one system, with the means over its
    seeds. Its first run stands for it.
    """
    from engine.results.published import published_of
    from engine.results.queries import ask, scores_of
    from engine.results.systems import Systems

    figures = Figures()
    if not runs:
        newest = ask(
            results,
            "SELECT id FROM runs WHERE id IN (SELECT run FROM scores) ORDER BY created DESC LIMIT 1",
        )
        runs = [row[0] for row in newest.rows]
    having = {row[0] for row in ask(results, "SELECT DISTINCT run FROM scores").rows}
    runs = [run for run in runs if run in having]
    systems = Systems.read(results).choose(runs) if runs else []
    stands_for = {run: system.lead for system in systems for run in system.runs if run in having}
    found: dict[tuple[Setting, str, str, str], dict[str, Figure]] = {}
    for record in scores_of(results, list(stands_for)).records():
        setting = Setting(*(record[name] for name in Setting._fields))
        figure = Figure(record["value"], record["low"], record["high"], record["queries"])
        place = setting, record["measure"], stands_for[record["run"]], record["query_language"]
        found.setdefault(place, {})[record["run"]] = figure
        for score in published_of(record):
            by_model = figures.published.setdefault(setting, {}).setdefault(record["measure"], {})
            by_model.setdefault(score.model, {})[record["query_language"]] = score.value
    for (setting, measure, lead, code), by_run in found.items():
        if lead not in by_run:
            continue  # only the other seeds were evaluated so
        by_system = figures.table.setdefault(setting, {}).setdefault(measure, {})
        by_system.setdefault(lead, {})[code] = _mean_figure(list(by_run.values()))
    figures.systems = {system.lead: system for system in systems}
    figures.names = {system.lead: system.name for system in systems}
    figures.runs = [run for run in runs if run in figures.systems]
    _align(figures)
    return figures


def _mean_figure(figures: Sequence[Figure]) -> Figure:
    """Return the mean over seeds; an interval over queries is that of one run."""
    if len(figures) == 1:
        return figures[0]
    return Figure(fmean(figure.value for figure in figures), None, None, figures[0].queries)


def _align(figures: Figures) -> None:
    """Move the figures of runs without an encoder into the tables of the encoder scorings."""
    from engine.results.alignment import align_scorings

    tables = align_scorings(figures.table)
    moved = {setting: figures.table.pop(setting) for setting in tables if tables[setting] != [setting]}
    for setting, by_measure in moved.items():
        for target in tables[setting]:
            for measure, by_run in by_measure.items():
                figures.table.setdefault(target, {}).setdefault(measure, {}).update(by_run)


class Tested(NamedTuple):
    """A difference to the baseline.

    Attributes
    ----------
    difference : Difference
        By the model of topics and seeds.
    checkpoints : Comparison
        By tests over topics, for these checkpoints only.
    """

    difference: Difference
    checkpoints: Comparison


@dataclass
class RunComparison:
    """A system compared with the baseline.

    Attributes
    ----------
    languages : dict
        The comparison of each language.
    mean : Tested, optional
        The comparison of the means over languages.
    heading : str
        What was corrected together, and the units of the tests.
    reason : str
        Why there is no comparison, or none over trainings; empty if there is one.
    """

    languages: dict[str, Tested] = field(default_factory=dict)
    mean: Tested | None = None
    heading: str = ""
    reason: str = ""


def compare_runs(
    results: Path, figures: Figures, setting: Setting, measure: str, baseline: str, others: Sequence[str]
) -> dict[str, RunComparison]:
    """Compare systems with the baseline, as one family, on the queries of the languages that all have.

    Systems are named by the runs that stand for them. The result has an entry for each of `others`.
    """
    from engine.evaluation.comparisons import LOWER_IS_BETTER, compare_family
    from engine.evaluation.seed_model import System
    from engine.results.topics import clusters_of, topics_of

    leads = [baseline, *others]
    systems: dict[str, System] = {}
    scores = {
        lead: [query_scores(results, setting, measure, run) for run in figures.systems[lead].runs]
        for lead in leads
    }
    shared = sorted(set.intersection(*(set(runs[0]) for runs in scores.values())))
    if not shared:
        reason = "the runs share no language with stored query scores"
        return {run: RunComparison(reason=reason) for run in others}
    for lead, runs in scores.items():
        whole = [{code: run[code] for code in shared} for run in runs if set(shared) <= set(run)]
        systems[lead] = System(figures.names[lead], whole, figures.systems[lead].trained)
    runs_of_all = [run for lead in leads for run in figures.systems[lead].runs]
    clusters = clusters_of(
        topics_of(results, run, setting.collection, [setting.revision]) for run in runs_of_all
    )
    try:
        lower = measure in LOWER_IS_BETTER
        family = compare_family(systems, [baseline], clusters=clusters, lower_is_better=lower)
    except OpticalError as error:
        return {run: RunComparison(reason=str(error)) for run in others}
    compared = {}
    for pair in family.pairs:
        tests = {code: Tested(difference, tested) for code, difference, tested in pair.rows()}
        mean = tests.pop("")
        compared[pair.system] = RunComparison(tests, mean, family.heading, mean.difference.reason)
    return compared


def query_scores(
    results: Path, setting: Setting, measure: str, run: str, code: str | None = None
) -> dict[str, dict[str, float]]:
    """Return the scores of a run's queries by language and query id, of one language if `code` is given."""
    from engine.results.alignment import scoring_condition
    from engine.results.queries import ask

    condition, parameters = scoring_condition(setting.scoring)
    equal = {name: value for name, value in setting._asdict().items() if name != "scoring"}
    equal |= {"measure": measure, "run": run}
    if code is not None:
        equal["query_language"] = code
    where = " AND ".join([condition, *(f"{name} = ?" for name in equal)])
    rows = ask(
        results,
        f"SELECT query_language, query_id, value FROM query_scores WHERE {where}",  # nosec B608
        [*parameters, *equal.values()],
    ).rows
    found: dict[str, dict[str, float]] = {}
    for query_language, query, value in rows:
        found.setdefault(query_language, {})[query] = value
    return found


class RankedDocument(NamedTuple):
    """One rank of a stored ranking.

    `grade` is None if the document was not judged, `text` is None if the run stored no texts.
    """

    rank: int
    document: str
    score: float
    grade: int | None
    text: str | None


def read_ranking(results: Path, setting: Setting, run: str, code: str, query: str) -> list[RankedDocument]:
    """Return the stored first ranks of a query."""
    from engine.results.alignment import scoring_condition
    from engine.results.queries import ask

    condition, parameters = scoring_condition(setting.scoring)
    answer = ask(
        results,
        f"""SELECT rank, document_id, score, grade, text FROM rankings AS ranked
        LEFT JOIN texts ON texts.run = ranked.run AND texts.collection = ranked.collection
            AND texts.revision = ranked.revision AND texts.role = 'document' AND texts.id = document_id
        WHERE {condition} AND ranked.run = ? AND ranked.collection = ?
            AND coalesce(ranked.revision, ?) = ? AND coalesce(ranked.protocol, ?) = ? AND direction = ?
            AND query_language = ? AND query_id = ?
        ORDER BY rank""",  # nosec B608
        [
            *(*parameters, run, setting.collection, setting.revision, setting.revision),
            *(setting.protocol, setting.protocol, setting.direction, code, query),
        ],
    )
    return [RankedDocument(*row) for row in answer.rows]


def query_texts(results: Path, setting: Setting, run: str, code: str) -> dict[str, str]:
    """Return the texts of a language's queries by query id; empty if the run stored no texts.

    If the run translates queries, the translation follows the query after an arrow.
    """
    from engine.results.queries import ask

    answer = ask(
        results,
        """SELECT query.id, query.text || coalesce(' → ' || translation.text, '') FROM texts AS query
        LEFT JOIN texts AS translation
            ON translation.run = query.run AND translation.collection = query.collection
            AND translation.revision = query.revision AND translation.role = 'translation'
            AND translation.id = query.id
        WHERE query.run = ? AND query.collection = ? AND query.revision = ? AND query.role = 'query'
            AND query.language = ?""",
        [run, setting.collection, setting.revision, code],
    )
    return dict(answer.rows)


def group_of(code: str, by: str) -> str:
    """Return the group of a language: its script, top family or resource level."""
    try:
        entry = language(code)
    except OpticalError:
        return "unknown"
    if by == "family":
        return entry.family.partition(",")[0]
    return str({"script": entry.script, "resource": entry.resource}.get(by) or "unknown")


def group_languages(codes: Sequence[str], by: str) -> dict[str, list[str]]:
    """Return languages by group: resource levels from high to low, other groups by name."""
    if by == "none":
        return {"": list(codes)}
    order = {"high": 0, "medium": 1, "low": 2, "unknown": 3}
    names = sorted({group_of(code, by) for code in codes}, key=lambda name: (order.get(name, 0), name))
    return {name: [code for code in codes if group_of(code, by) == name] for name in names}


def mean_of(figures: Mapping[str, Figure], codes: Sequence[str]) -> float | None:
    """Return the unweighted mean over those of `codes` that have a figure; None if none has one."""
    values = [figures[code].value for code in codes if code in figures]
    return fmean(values) if values else None


def resource_gap(figures: Mapping[str, Figure]) -> float | None:
    """Return the mean over high-resource languages minus the mean over low-resource languages."""
    high = mean_of(figures, [code for code in figures if group_of(code, "resource") == "high"])
    low = mean_of(figures, [code for code in figures if group_of(code, "resource") == "low"])
    return None if high is None or low is None else high - low


def runs_with_scores(results: Path) -> list[tuple[Any, ...]]:
    """Return id, name, kind, creation time and collections of each run that has scores, newest first."""
    from engine.results.queries import ask

    return ask(
        results,
        """SELECT runs.id, runs.name, runs.kind, runs.created, string_agg(DISTINCT scores.collection, ' ')
        FROM runs JOIN scores ON scores.run = runs.id GROUP BY ALL ORDER BY runs.created DESC, runs.id""",
    ).rows
