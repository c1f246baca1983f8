"""Figures of several runs side by side: what the results screen shows, without the screen.

Called in threads only; the engine's modules for the database and for statistics are imported late.
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
    from engine.evaluation.significance import Comparison

# A run without an encoder has one scoring of its own, under whatever setting its figures stand.
_SCORED = "(scoring = ? OR scoring NOT IN ('maxsim', 'dense'))"

GROUPS = ("none", "script", "family", "resource")


class Setting(NamedTuple):
    """What must agree for two figures to share a table."""

    collection: str
    revision: str
    protocol: str
    scoring: str
    direction: str

    def words(self) -> str:
        """Return the setting as people read it."""
        return f"{self.collection} ({self.protocol}, {self.direction}, {self.scoring})"


class Figure(NamedTuple):
    """A mean score over a language's queries, with its interval where one is stored."""

    value: float
    low: float | None
    high: float | None
    queries: int


@dataclass
class Figures:
    """All mean scores of some runs: by setting, measure, run and query language."""

    runs: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    table: dict[Setting, dict[str, dict[str, dict[str, Figure]]]] = field(default_factory=dict)

    def measures(self, setting: Setting) -> list[str]:
        """Return the measures of `setting`, reciprocal rank first."""
        return sorted(self.table.get(setting, ()), key=lambda name: (name != "RR", name))

    def languages(self, setting: Setting, measure: str) -> list[str]:
        """Return the query languages that any run has."""
        runs = self.table.get(setting, {}).get(measure, {})
        return sorted({code for figures in runs.values() for code in figures})


def load_figures(results: Path, runs: Sequence[str]) -> Figures:
    """Read the scores of `runs` (ids), or of the newest run that has scores when none is given."""
    from engine.results.queries import ask, scores_of

    figures = Figures()
    if not runs:
        newest = ask(
            results,
            "SELECT id FROM runs WHERE id IN (SELECT run FROM scores) ORDER BY created DESC LIMIT 1",
        )
        runs = [row[0] for row in newest.rows]
    for record in scores_of(results, list(runs)).records():
        setting = Setting(*(record[name] for name in Setting._fields))
        run = record["run"]
        figures.names[run] = record["name"]
        by_run = figures.table.setdefault(setting, {}).setdefault(record["measure"], {})
        figure = Figure(record["value"], record["low"], record["high"], record["queries"])
        by_run.setdefault(run, {})[record["query_language"]] = figure
    figures.runs = [run for run in runs if run in figures.names]
    _beside(figures)
    return figures


def _beside(figures: Figures) -> None:
    """Put runs that have no encoder, each with one scoring of its own, into the tables of those that have."""
    from engine.results.scorings import own

    targets: dict[Setting, list[Setting]] = {}
    for setting in (found for found in figures.table if own(found.scoring)):
        rivals = [found for found in figures.table if found._replace(scoring=setting.scoring) == setting]
        encoders = [found for found in rivals if not own(found.scoring)]
        named = setting._replace(scoring=" / ".join(sorted(found.scoring for found in rivals)))
        targets[setting] = encoders or [named]
    apart = {setting: figures.table.pop(setting) for setting in targets}
    for setting, by_measure in apart.items():
        for target in targets[setting]:
            for measure, by_run in by_measure.items():
                figures.table.setdefault(target, {}).setdefault(measure, {}).update(by_run)


@dataclass
class Tests:
    """The comparison of each language with the baseline, and of the mean; or why there is none."""

    languages: dict[str, Comparison] = field(default_factory=dict)
    mean: Comparison | None = None
    reason: str = ""


def test_runs(results: Path, setting: Setting, measure: str, baseline: str, system: str) -> Tests:
    """Compare two runs on the queries of the languages that both have."""
    from engine.evaluation.significance import compare_languages

    scores = {run: query_scores(results, setting, measure, run) for run in (baseline, system)}
    shared = sorted(set(scores[baseline]) & set(scores[system]))
    if not shared:
        return Tests(reason="the runs share no language with stored query scores")
    try:
        compared = compare_languages(
            {code: scores[baseline][code] for code in shared}, {code: scores[system][code] for code in shared}
        )
    except OpticalError as error:
        return Tests(reason=str(error))
    return Tests(compared.languages, compared.mean)


def query_scores(
    results: Path, setting: Setting, measure: str, run: str, code: str | None = None
) -> dict[str, dict[str, float]]:
    """Return the scores of a run's queries, by language and query."""
    from engine.results.queries import ask

    where = " AND ".join(
        _SCORED if name == "scoring" else f"{name} = ?" for name in (*Setting._fields, "measure", "run")
    )
    parameters = [*setting, measure, run]
    if code is not None:
        where += " AND query_language = ?"
        parameters.append(code)
    answer = ask(
        results, f"SELECT query_language, query_id, value FROM query_scores WHERE {where}", parameters
    )
    found: dict[str, dict[str, float]] = {}
    for query_language, query, value in answer.rows:
        found.setdefault(query_language, {})[query] = value
    return found


class Hit(NamedTuple):
    """One rank of a ranking; `grade` is None where the document was not judged, `text` where not stored."""

    rank: int
    document: str
    score: float
    grade: int | None
    text: str | None


def ranking(results: Path, setting: Setting, run: str, code: str, query: str) -> list[Hit]:
    """Return the stored top of a query's ranking."""
    from engine.results.queries import ask

    answer = ask(
        results,
        f"""SELECT rank, document_id, score, grade, text FROM rankings AS ranked
        LEFT JOIN texts ON texts.run = ranked.run AND texts.collection = ranked.collection
            AND texts.revision = ranked.revision AND texts.role = 'document' AND texts.id = document_id
        WHERE ranked.run = ? AND ranked.collection = ? AND coalesce(ranked.revision, ?) = ?
            AND coalesce(ranked.protocol, ?) = ? AND {_SCORED} AND direction = ?
            AND query_language = ? AND query_id = ?
        ORDER BY rank""",
        [
            *(run, setting.collection, setting.revision, setting.revision, setting.protocol),
            *(setting.protocol, setting.scoring, setting.direction, code, query),
        ],
    )
    return [Hit(*row) for row in answer.rows]


def query_texts(results: Path, setting: Setting, run: str, code: str) -> dict[str, str]:
    """Return what a language's queries say, by query; empty for runs from before texts were stored.

    Where the run translates queries, what was searched for stands behind an arrow.
    """
    from engine.results.queries import ask

    answer = ask(
        results,
        """SELECT asked.id, asked.text || coalesce(' → ' || said.text, '') FROM texts AS asked
        LEFT JOIN texts AS said ON said.run = asked.run AND said.collection = asked.collection
            AND said.revision = asked.revision AND said.role = 'translation' AND said.id = asked.id
        WHERE asked.run = ? AND asked.collection = ? AND asked.revision = ? AND asked.role = 'query'
            AND asked.language = ?""",
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


def name_of(code: str) -> str:
    """Return a language's English name, or its code when it is unknown."""
    try:
        return language(code).name
    except OpticalError:
        return code


def grouped(codes: Sequence[str], by: str) -> dict[str, list[str]]:
    """Return languages by group, larger resources first, else by name."""
    if by == "none":
        return {"": list(codes)}
    order = {"high": 0, "medium": 1, "low": 2, "unknown": 3}
    names = sorted({group_of(code, by) for code in codes}, key=lambda name: (order.get(name, 0), name))
    return {name: [code for code in codes if group_of(code, by) == name] for name in names}


def mean_of(figures: Mapping[str, Figure], codes: Sequence[str]) -> float | None:
    """Return the mean over those of `codes` that have a figure, each weighing the same."""
    values = [figures[code].value for code in codes if code in figures]
    return fmean(values) if values else None


def gap(figures: Mapping[str, Figure]) -> float | None:
    """Return the mean of high-resource languages less that of low-resource ones."""
    high = mean_of(figures, [code for code in figures if group_of(code, "resource") == "high"])
    low = mean_of(figures, [code for code in figures if group_of(code, "resource") == "low"])
    return None if high is None or low is None else high - low


def runs_with_scores(results: Path) -> list[tuple[Any, ...]]:
    """Return id, name, kind, time and collections of every run that has scores, newest first."""
    from engine.results.queries import ask

    return ask(
        results,
        """SELECT runs.id, runs.name, runs.kind, runs.created, string_agg(DISTINCT scores.collection, ' ')
        FROM runs JOIN scores ON scores.run = runs.id GROUP BY ALL ORDER BY runs.created DESC, runs.id""",
    ).rows
