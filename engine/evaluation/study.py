"""The findings of a study, computed from the results database.

Scores of the stage ``transfer`` are scores *before* distillation, those of the stage ``distil`` are scores
*after* it. Only seeds that every arm has finished are used, so that the arms have the same seeds. The first
arm is the baseline. The primary comparison, which the configuration names, is tested alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

from engine.config.study import STUDY, Stage, StageName, stages_of
from engine.errors import InputError
from engine.evaluation.contrasts import Contrast, contrasts, sign_flip
from engine.evaluation.seed_model import Difference, System, average_runs, correct
from engine.evaluation.seed_model import contrast as seed_contrast
from engine.evaluation.significance import RESAMPLES, topic_of
from engine.evaluation.study_facts import StudyFacts, read_curves, read_facts, read_text_sizes
from engine.languages import language
from engine.results.queries import ask, run_record

BEFORE, AFTER, GAIN = "before", "after", "gain"
_STAGE_OF = {BEFORE: "transfer", AFTER: "distil"}
#: Measures by which a collection is reported; the first that it has is used.
_MEASURES = ("mAP@20", "nDCG@10", "Success@1", "RR")
_OF_BITEXT = ("RR", "Success@1")


class Estimate(NamedTuple):
    """A mean over seeds and its standard deviation, which is None for a single seed."""

    mean: float
    sd: float | None
    seeds: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Estimate:
        """Return the estimate of values that have one value for each seed."""
        return cls(fmean(values), stdev(values) if len(values) > 1 else None, tuple(values))


@dataclass(frozen=True)
class Effect:
    """The difference between an arm and the first arm in one quantity.

    Attributes
    ----------
    arm : str
    scope : str
        ``mean`` over languages, or the name of a gap (`LanguageGroups.name`).
    when : str
        ``before`` or ``after`` distillation, or ``gain``, which is after minus before. The difference of
        gains between arms is the interaction of balance and distillation.
    difference : Difference
        By the model of topics and seeds, corrected over all effects of the table.
    contrast : Contrast
        For these checkpoints only: computed from scores averaged over seeds, with topics as units. Corrected
        over the arms.
    seeds : Estimate
        The same difference for each seed.
    p_languages : float or None
        The p value of the sign-flip test with languages as units; None for gaps.
    """

    arm: str
    scope: str
    when: str
    difference: Difference
    contrast: Contrast
    seeds: Estimate
    p_languages: float | None


class DocumentDifference(NamedTuple):
    """The difference after distillation in one document, or other cluster of topics, averaged over seeds.

    Attributes
    ----------
    document : str
    topics : int
        Number of topics in it.
    delta : float
        The mean over languages of the difference in its queries.
    without : float
        The same in all other queries.
    adds : float
        What the document adds to the difference in all queries; these sum to it over all documents.
    """

    document: str
    topics: int
    delta: float
    without: float
    adds: float


@dataclass(frozen=True)
class Primary:
    """The primary comparison of a study: the mean over languages after distillation.

    Attributes
    ----------
    arm, baseline : str
        The difference is `arm` minus `baseline`.
    table : str
        The title of the table from which it is.
    difference : Difference
        By the model of topics and seeds, not corrected, because it is the only primary one.
    seeds : Estimate
        The difference for each seed.
    documents : list of DocumentDifference
    """

    arm: str
    baseline: str
    table: str
    difference: Difference
    seeds: Estimate
    documents: list[DocumentDifference]


@dataclass(frozen=True)
class LanguageGroups:
    """Two groups of languages. The difference of their means is a gap."""

    name: str
    high: list[str]
    low: list[str]

    def weights(self) -> dict[str, float]:
        """Return the weight of each language in the gap."""
        return {code: 1 / len(self.high) for code in self.high} | {
            code: -1 / len(self.low) for code in self.low
        }


@dataclass
class StudyTable:
    """The scores of a study on one collection by one measure.

    Attributes
    ----------
    collection, protocol, scoring, direction, measure : str
    queries : dict of language to number of queries
    values : dict
        By arm, ``before`` or ``after``, and language.
    means, gaps : dict
        By arm, and ``before`` or ``after``: the mean over languages, and by the name of the groups, the gaps.
    groups : list of LanguageGroups
        The groups that have a language on both sides in this table.
    effects : list of Effect
    interactions : dict
        By arm and language: the difference to the first arm in the gain, corrected over languages and arms.
    units : int
        Number of topics, or of clusters of topics that depend on each other.
    documents : dict of arm to list of DocumentDifference
        The differences to the first arm by cluster; empty if topics do not depend on each other.
    """

    collection: str
    protocol: str
    scoring: str
    direction: str
    measure: str
    queries: dict[str, int]
    values: dict[str, dict[str, dict[str, Estimate]]]
    means: dict[str, dict[str, Estimate]]
    groups: list[LanguageGroups]
    gaps: dict[str, dict[str, dict[str, Estimate]]]
    effects: list[Effect] = field(default_factory=list)
    interactions: dict[str, dict[str, Difference]] = field(default_factory=dict)
    units: int = 0
    documents: dict[str, list[DocumentDifference]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The collection, scoring and measure of the table."""
        return f"{self.collection} ({self.protocol}, {self.direction}, {self.scoring}), {self.measure}"


@dataclass
class Study:
    """A study and its findings.

    Attributes
    ----------
    run, name : str
    arms : dict of name to sampling settings, or to the settings of an arm that is not pre-trained
        The first arm is the baseline.
    seeds : list of int
        Seeds that every arm has finished.
    left_out : list of int
        Configured seeds that some arm has not finished.
    sizes : dict
        Sentences and tokens of pre-training text by language, of the first run; empty without pre-training.
    tables : list of StudyTable
    curves : dict
        Means over seeds by ``pretrain`` or ``distil``, arm and step.
    facts : StudyFacts
        The size of the models and the length of the runs.
    primary : Primary or None
        None if the study's configuration names none.
    """

    run: str
    name: str
    arms: dict[str, dict[str, Any]]
    seeds: list[int]
    left_out: list[int]
    sizes: dict[str, dict[str, float]]
    tables: list[StudyTable]
    curves: dict[str, dict[str, dict[int, float]]]
    facts: StudyFacts
    primary: Primary | None = None


def compute_study(results: Path, run: str, *, resamples: int = RESAMPLES) -> Study:
    """Read the study `run` (an id, the beginning of one, or a name) and compute its findings.

    `engine.evaluation.study_cache.load_study` computes them only once.

    Raises
    ------
    InputError
        If there is no such run, it is not a study, or no seed was finished by every arm.
    """
    record = run_record(results, run)
    config = record["config"]
    if record["kind"] != STUDY.name:
        raise InputError(f"run {record['id']!r} is of kind {record['kind']!r}, not a study; choose a study")
    arms = {
        arm["name"]: arm["sampling"] or {key: arm[key] for key in ("checkpoint", "random_weights")}
        for arm in config["arms"]
    }
    stages = {arm["name"]: stages_of(arm["sampling"] is not None) for arm in config["arms"]}
    finished = {
        row[0]
        for row in ask(
            results,
            "SELECT id FROM runs WHERE starts_with(id, ?) AND state = 'finished'",
            [f"{record['id']}."],
        ).rows
    }
    ids: dict[tuple[str, int, StageName], str] = {
        (arm, seed, name): Stage(arm, seed, name).run_id(record["id"])
        for arm in arms
        for seed in config["seeds"]
        for name in stages[arm]
    }
    seeds = [
        seed
        for seed in config["seeds"]
        if all(run in finished for (_, of, _), run in ids.items() if of == seed)
    ]
    if not seeds:
        raise InputError(
            f"no seed of study {record['id']!r} has been finished by every arm yet; "
            f"`optical-workbench run --resume {record['id']}` continues it"
        )
    first = next((ids[arm, seeds[0], "pretrain"] for arm in arms if "pretrain" in stages[arm]), None)
    sizes = {} if first is None else read_text_sizes(results, first)
    scores = _Scores(results, ids, list(arms), seeds)
    order = {asked["label"] or asked["name"]: place for place, asked in enumerate(config["collections"])}
    keys = sorted(scores.keys(), key=lambda key: order.get(key[0], len(order)))
    tables = [_table(scores, key, sizes, resamples) for key in keys]
    pair = config.get("primary")  # studies of earlier versions have none
    return Study(
        record["id"],
        record["name"],
        arms,
        seeds,
        [seed for seed in config["seeds"] if seed not in seeds],
        sizes,
        tables,
        read_curves(results, ids, list(arms), seeds),
        read_facts(results, config, ids, seeds),
        _primary(scores, keys, tables, *pair) if pair and tables else None,
    )


class _Scores:
    """The scores of every query, by the key of the table."""

    def __init__(
        self, results: Path, ids: Mapping[tuple[str, int, Any], str], arms: list[str], seeds: list[int]
    ) -> None:
        self.arms, self.seeds = arms, seeds
        cell = {
            ids[arm, seed, stage]: (arm, when, seed)
            for arm in arms
            for seed in seeds
            for when, stage in _STAGE_OF.items()
        }
        rows = ask(
            results,
            """
            SELECT query_scores.run, collection, protocol, scoring, direction, measure,
                CASE direction WHEN 'en-xx' THEN coalesce(document_language, query_language)
                    ELSE query_language END AS language, query_id, value
            FROM query_scores WHERE list_contains(?::VARCHAR[], run) ORDER BY ALL
            """,
            [list(cell)],
        ).rows
        self._clusters: dict[str, dict[str, str]] = {}
        marks = ask(
            results,
            "SELECT DISTINCT collection, topic, value FROM topics "
            "WHERE kind = 'cluster' AND list_contains(?::VARCHAR[], run) ORDER BY ALL",
            [list(cell)],
        ).rows
        for collection, topic, value in marks:
            self._clusters.setdefault(collection, {})[topic] = value
        #: By key of the table, measure, (arm, before or after), seed, language and query.
        self.found: dict[tuple[str, ...], dict[str, dict[tuple[str, str], dict[int, Any]]]] = {}
        for run, *key, measure, code, query, value in rows:
            arm, when, seed = cell[run]
            by_cell = self.found.setdefault(tuple(key), {}).setdefault(measure, {})
            by_language = by_cell.setdefault((arm, when), {}).setdefault(seed, {})
            by_language.setdefault(code, {})[query] = value

    def keys(self) -> list[tuple[str, ...]]:
        """Return the keys of the tables: collection, protocol, scoring and direction."""
        return list(self.found)

    def clusters(self, collection: str) -> dict[str, str]:
        """Return the cluster of each topic of a collection."""
        return self._clusters.get(collection, {})

    def measure(self, key: tuple[str, ...]) -> str:
        """Return the measure of a table."""
        has = self.found[key]
        wanted = _OF_BITEXT if key[1] == "bitext" else _MEASURES
        return next((name for name in wanted if name in has), min(has))


def _table(
    scores: _Scores, key: tuple[str, ...], sizes: Mapping[str, Mapping[str, float]], resamples: int
) -> StudyTable:
    measure = scores.measure(key)
    cells = scores.found[key][measure]
    whole = [cells[arm, when][seed] for arm in scores.arms for when in _STAGE_OF for seed in scores.seeds]
    # English is the teacher's language, so its queries are not cross-lingual.
    codes = sorted(code for code in set.intersection(*map(set, whole)) if code != "en")
    if not codes:
        raise InputError(f"the runs of the study share no language on {key[0]}")
    groups = [group for group in _groups(codes, sizes) if group.high and group.low]
    scopes = {"mean": {code: 1 / len(codes) for code in codes}} | {g.name: g.weights() for g in groups}

    def by_seed(arm: str, when: str, weights: Mapping[str, float]) -> Estimate:
        return Estimate.of(
            [
                sum(weight * fmean(cells[arm, when][seed][code].values()) for code, weight in weights.items())
                for seed in scores.seeds
            ]
        )

    def of_arms(weights: Mapping[str, float]) -> dict[str, dict[str, Estimate]]:
        return {arm: {when: by_seed(arm, when, weights) for when in _STAGE_OF} for arm in scores.arms}

    collection, protocol, scoring, direction = key
    table = StudyTable(
        collection,
        protocol,
        scoring,
        direction,
        measure,
        {code: len(whole[0][code]) for code in codes},
        {
            arm: {when: {code: by_seed(arm, when, {code: 1.0}) for code in codes} for when in _STAGE_OF}
            for arm in scores.arms
        },
        of_arms(scopes["mean"]),
        groups,
        {group.name: of_arms(scopes[group.name]) for group in groups},
    )
    runs = {
        cell: [{code: found[seed][code] for code in codes} for seed in scores.seeds]
        for cell, found in cells.items()
    }
    averaged = {cell: average_runs(found) for cell, found in runs.items()}
    clusters = scores.clusters(collection)
    _compare(table, scopes, runs, averaged, clusters, resamples)
    base, *others = scores.arms
    table.documents = {
        arm: _documents(_difference(averaged[base, AFTER], averaged[arm, AFTER]), clusters) for arm in others
    }
    return table


def _primary(
    scores: _Scores, keys: Sequence[tuple[str, ...]], tables: Sequence[StudyTable], arm: str, baseline: str
) -> Primary:
    """Return the difference between `arm` and `baseline` on the first collection, by MaxSim if possible."""
    here = [place for place, key in enumerate(keys) if key[0] == keys[0][0]]
    place = min(here, key=lambda at: (tables[at].scoring != "maxsim", tables[at].direction == "en-xx"))
    table, cells = tables[place], scores.found[keys[place]][tables[place].measure]
    codes, clusters = list(table.queries), scores.clusters(table.collection)
    before, after = (
        System(name, [{code: cells[name, AFTER][seed][code] for code in codes} for seed in scores.seeds])
        for name in (baseline, arm)
    )
    found = seed_contrast(before, after, {code: 1 / len(codes) for code in codes}, clusters=clusters)
    averaged = [average_runs(system.runs) for system in (before, after)]
    return Primary(
        arm,
        baseline,
        table.title,
        correct([found])[0],
        _seeds(table, "mean", arm, baseline, AFTER),
        _documents(_difference(*averaged), clusters),
    )


def _documents(
    differences: Mapping[str, Mapping[str, float]], clusters: Mapping[str, str]
) -> list[DocumentDifference]:
    """Return the difference in each cluster, those first that add most to the mean, or take most from it.

    `differences` are by language and query.
    """
    inside: dict[str, dict[str, list[float]]] = {}
    topics: dict[str, set[str]] = {}
    sums = {code: sum(values.values()) for code, values in differences.items()}
    for code, values in differences.items():
        for query, value in values.items():
            topic = topic_of(query)
            if topic in clusters:
                inside.setdefault(clusters[topic], {}).setdefault(code, []).append(value)
                topics.setdefault(clusters[topic], set()).add(topic)
    found = []
    for document, by_language in inside.items():
        left = [
            (sums[code] - sum(by_language.get(code, ()))) / rest
            for code, values in differences.items()
            if (rest := len(values) - len(by_language.get(code, ())))
        ]
        if left:
            delta = fmean(fmean(values) for values in by_language.values())
            adds = sum(sum(values) / len(differences[code]) for code, values in by_language.items())
            found.append(
                DocumentDifference(
                    document, len(topics[document]), delta, fmean(left), adds / len(differences)
                )
            )
    return sorted(found, key=lambda one: (-abs(one.adds), one.document))


def _compare(
    table: StudyTable,
    scopes: Mapping[str, Mapping[str, float]],
    runs: Mapping[tuple[str, str], list[Any]],
    averaged: Mapping[tuple[str, str], Any],
    clusters: Mapping[str, str],
    resamples: int,
) -> None:
    """Add the effects and interactions to `table`.

    `runs` are the scores of each seed and `averaged` those averaged over seeds, by (arm, before or after).
    """
    base, *others = table.values
    systems = {(arm, when): System(arm, found) for (arm, when), found in runs.items()}
    scores = dict(averaged)
    for arm in table.values:
        pairs = zip(runs[arm, BEFORE], runs[arm, AFTER], strict=True)
        systems[arm, GAIN] = System(arm, [_difference(before, after) for before, after in pairs])
        scores[arm, GAIN] = _difference(averaged[arm, BEFORE], averaged[arm, AFTER])

    def by_model(arm: str, when: str, weights: Mapping[str, float]) -> Difference:
        return seed_contrast(systems[base, when], systems[arm, when], weights, clusters=clusters)

    asked = [(scope, when) for scope in scopes for when in (BEFORE, AFTER, GAIN)]
    modelled = iter(correct([by_model(arm, when, scopes[scope]) for scope, when in asked for arm in others]))
    for scope, when in asked:
        weights = scopes[scope]
        differences = [_difference(scores[base, when], scores[arm, when]) for arm in others]
        found = contrasts([(each, weights) for each in differences], resamples=resamples)
        for arm, each, contrast in zip(others, differences, found, strict=True):
            means = [fmean(each[code].values()) for code in weights]
            p_languages = sign_flip(means) if scope == "mean" else None
            seeds = _seeds(table, scope, arm, base, when)
            table.effects.append(Effect(arm, scope, when, next(modelled), contrast, seeds, p_languages))
    table.units = table.effects[0].difference.units if table.effects else 0
    cells = iter(correct([by_model(arm, GAIN, {code: 1.0}) for arm in others for code in table.queries]))
    table.interactions = {arm: {code: next(cells) for code in table.queries} for arm in others}


def _seeds(table: StudyTable, scope: str, arm: str, base: str, when: str) -> Estimate:
    by_arm = table.means if scope == "mean" else table.gaps[scope]

    def values(name: str) -> list[float]:
        if when == GAIN:
            return [b - a for a, b in zip(by_arm[name][BEFORE].seeds, by_arm[name][AFTER].seeds, strict=True)]
        return list(by_arm[name][when].seeds)

    return Estimate.of([b - a for a, b in zip(values(base), values(arm), strict=True)])


def _difference(before: Any, after: Any) -> Any:
    return {
        code: {query: after[code][query] - value for query, value in values.items()}
        for code, values in before.items()
    }


def _groups(codes: Sequence[str], sizes: Mapping[str, Mapping[str, float]]) -> list[LanguageGroups]:
    """Return two groupings of languages: by their resource level, and by the size of the study's text.

    The latter compares the third of the languages with the most text to the third with the least.
    """
    resource = {code: language(code).resource for code in codes}
    world = LanguageGroups(
        "resource level",
        [code for code in codes if resource[code] == "high"],
        [code for code in codes if resource[code] == "low"],
    )
    ordered = sorted(
        (code for code in sizes if code != "en"), key=lambda code: (-sizes[code]["tokens"], code)
    )
    third = max(1, len(ordered) // 3)
    large, small = set(ordered[:third]), set(ordered[third:][-third:])
    own = LanguageGroups(
        "text size", [code for code in codes if code in large], [code for code in codes if code in small]
    )
    return [world, own]
