"""Compare two systems by a mixed model in which topics and seeds are crossed.

A system is a recipe; a run is one outcome of it with one seed. The score of run k of system i on topic j is

    y_ijk = mean of system i + topic_ij + seed_k(i) + error_ijk

where all but the first are random. The topics are the same in both systems, so the difference between the
means has the variance

    topics / n + (seed_A / s_A + seed_B / s_B) + (error_A / (n s_A) + error_B / (n s_B))

for n topics and s seeds. A test over topics alone leaves out the middle term: it tests whether these
checkpoints differ, not whether the recipes do. The components are estimated from sums of squares, which for
complete data is the estimate of REML where no component is negative. The variance of seeds is pooled over
the two systems. A system without training has no component of seeds.

The variance has two parts: that of the mean over topics between seeds, which includes the errors, and that of
the difference over topics beyond the errors. The t distribution has as many degrees of freedom as make the
squared half width of the 95 % interval the sum of both, each times its own squared t quantile.
``benchmarks/calibration.py`` measures how often this rejects a true null hypothesis.

Topics that depend on each other (sentences of a document, questions about a paragraph) form a cluster, and
the clusters are the units then: what a cluster adds to the mean is summed first. If clusters differ in size,
their squares have the weights of CR2 (Bell and McCaffrey 2002), and the degrees of freedom are those of
clusters that differ as wholes. In the mean over languages each language has the same weight, and the queries
of a topic in all languages are one unit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np
import numpy.typing as npt

from engine.errors import InputError
from engine.evaluation.significance import holm, topic_of

Array = npt.NDArray[np.float64]
Scores = Mapping[str, Mapping[str, float]]
"""Scores by language and query id."""

MARGIN = 0.01
"""Differences up to this size count as nothing gained in equivalence tests."""
LEVEL = 0.05
POWER = 0.8

BETTER, WORSE, SAME, OPEN = "better", "worse", "equivalent", "undecided"


@dataclass(frozen=True)
class System:
    """The scores of a system.

    Attributes
    ----------
    name : str
        What messages call it.
    runs : sequence of Scores
        The scores of each of its runs, which differ in the seed only.
    trained : bool
        Whether a seed had an effect. A system without training may have one run.
    """

    name: str
    runs: Sequence[Scores]
    trained: bool = True


def average_runs(runs: Sequence[Scores]) -> dict[str, dict[str, float]]:
    """Return the score of each query averaged over the runs of a system."""
    if len(runs) == 1:
        return {code: dict(values) for code, values in runs[0].items()}
    return {
        code: {query: fmean(run[code][query] for run in runs) for query in values}
        for code, values in runs[0].items()
    }


@dataclass(frozen=True)
class Difference:
    """The difference between a system and a baseline in one language or in the mean over languages.

    Attributes
    ----------
    delta : float
        Mean of the system minus mean of the baseline, averaged over seeds.
    low, high : float, optional
        Ends of the 95 % interval; None where the model cannot be estimated, see `reason`.
    p : float, optional
        Two-sided p value.
    p_holm : float, optional
        The p value after Holm's correction over the family of comparisons (`correct`).
    p_equivalent : float, optional
        p value of two one-sided tests (TOST) that the difference is smaller than the margin.
    p_equivalent_holm : float, optional
        The same after Holm's correction over the same family.
    verdict : str
        ``better`` or ``worse`` if `p_holm` is below .05; ``equivalent`` if `p_equivalent_holm` is; both, as
        in ``better, equivalent``, for a difference that is there and smaller than the margin; else
        ``undecided``. Empty without a p value.
    smallest : float, optional
        The smallest difference that this comparison shows at the 5 % level, uncorrected, with a probability
        of 80 %.
    error, df : float, optional
        Standard error and degrees of freedom.
    seed_sd, topic_sd : float, optional
        Standard deviation between seeds, and of the difference between units, both without the errors.
    units : int
        Number of topics or clusters.
    reason : str
        Why there is no p value; empty if there is one.
    """

    delta: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    p_equivalent: float | None = None
    p_equivalent_holm: float | None = None
    verdict: str = ""
    smallest: float | None = None
    error: float | None = None
    df: float | None = None
    seed_sd: float | None = None
    topic_sd: float | None = None
    units: int = 0
    reason: str = ""


@dataclass(frozen=True)
class SystemComparison:
    """Differences by language and in the mean over languages, corrected over all of them."""

    languages: dict[str, Difference]
    mean: Difference

    @property
    def family(self) -> list[Difference]:
        """The differences that are corrected together; the mean of one language is not another one."""
        return [*self.languages.values(), *([self.mean] if len(self.languages) > 1 else [])]


def compare_systems(
    baseline: System,
    system: System,
    *,
    clusters: Mapping[str, str] | None = None,
    margin: float = MARGIN,
) -> SystemComparison:
    """Compare two systems in each language and by their mean over languages.

    Parameters
    ----------
    baseline, system : System
    clusters : mapping of topic to cluster, optional
        Topics that depend on each other. A topic without an entry is a cluster of its own.
    margin : float
        The margin of the equivalence tests.

    Returns
    -------
    SystemComparison
        Corrected over its own comparisons. For more systems or baselines, correct all of them together with
        `correct`.

    Raises
    ------
    InputError
        If the runs do not have the same languages and queries, or there is no query.
    """
    tables = _tables(baseline, system)
    groups = [[code] for code in tables] + [list(tables)]
    *languages, mean = (
        _difference(
            [(tables[code], 1 / len(group)) for code in group], baseline, system, clusters or {}, margin
        )
        for group in groups
    )
    return correct_together([SystemComparison(dict(zip(tables, languages, strict=True)), mean)])[0]


def contrast(
    baseline: System,
    system: System,
    weights: Mapping[str, float],
    *,
    clusters: Mapping[str, str] | None = None,
    margin: float = MARGIN,
) -> Difference:
    """Compare two systems in a weighted sum of the means of languages, such as the gap between two groups.

    Parameters and errors are those of `compare_systems`; languages without a weight are ignored. The result
    is not corrected.
    """
    sides = [
        replace(side, runs=[{code: run[code] for code in weights} for run in side.runs])
        for side in (baseline, system)
    ]
    tables = _tables(sides[0], sides[1])
    weighted = [(table, weights[code]) for code, table in tables.items()]
    return _difference(weighted, sides[0], sides[1], clusters or {}, margin)


def correct_together(comparisons: Sequence[SystemComparison]) -> list[SystemComparison]:
    """Return `comparisons` with Holm's correction over all their languages and means."""
    found = iter(correct([one for comparison in comparisons for one in comparison.family]))
    corrected = []
    for comparison in comparisons:
        languages = {code: next(found) for code in comparison.languages}
        mean = next(found) if len(languages) > 1 else next(iter(languages.values()))
        corrected.append(SystemComparison(languages, mean))
    return corrected


def correct(found: Sequence[Difference]) -> list[Difference]:
    """Return `found` with Holm's correction over all of them, and with their verdicts."""
    tested = [place for place, one in enumerate(found) if one.p is not None]
    different = holm([found[place].p or 0.0 for place in tested])
    equivalent = holm([found[place].p_equivalent or 0.0 for place in tested])
    corrected = list(found)
    for place, p, p_equivalent in zip(tested, different, equivalent, strict=True):
        verdicts = [BETTER if found[place].delta > 0 else WORSE] * (p < LEVEL) + [SAME] * (
            p_equivalent < LEVEL
        )
        corrected[place] = replace(
            found[place], p_holm=p, p_equivalent_holm=p_equivalent, verdict=", ".join(verdicts) or OPEN
        )
    return corrected


@dataclass(frozen=True)
class _Table:
    """The scores of both systems in one language: (runs, queries), with the topic of each query."""

    baseline: Array
    system: Array
    topics: list[str]


def _tables(baseline: System, system: System) -> dict[str, _Table]:
    """Return the scores by language.

    Raises
    ------
    InputError
        If the runs do not have the same languages and queries.
    """
    if not baseline.runs or not system.runs:
        raise InputError("there are no runs to compare")
    first = baseline.runs[0]
    if not first:
        raise InputError("there are no languages to compare")
    for side in (baseline, system):
        for run in side.runs:
            _same(first, run, "languages", baseline.name, side.name)
    tables = {}
    for code in sorted(first):
        queries = sorted(first[code])
        for side in (baseline, system):
            for run in side.runs:
                _same(first[code], run[code], f"queries in {code!r}", baseline.name, side.name)
        if not queries:
            raise InputError(f"there are no queries in {code!r} to compare")
        before, after = (
            np.array([[run[code][query] for query in queries] for run in side.runs])
            for side in (baseline, system)
        )
        tables[code] = _Table(before, after, [topic_of(query) for query in queries])
    return tables


def _same(here: Mapping[str, object], there: Mapping[str, object], what: str, one: str, other: str) -> None:
    """Raise if the keys of two mappings differ."""
    if here.keys() == there.keys():
        return
    lacking = sorted(here.keys() - there.keys())
    who, which = (other, lacking) if lacking else (one, sorted(there.keys() - here.keys()))
    raise InputError(
        f"the runs cannot be compared: {who} lacks {len(which):,} of the {what}, such as {which[0]!r}"
    )


def _difference(
    weighted: Sequence[tuple[_Table, float]],
    baseline: System,
    system: System,
    clusters: Mapping[str, str],
    margin: float,
) -> Difference:
    """Return the difference in the weighted sum of the means of languages."""
    tables, weights = [table for table, _ in weighted], [weight for _, weight in weighted]
    number: dict[str, int] = {}
    units = [
        np.array(
            [number.setdefault(clusters.get(topic, f"topic {topic}"), len(number)) for topic in table.topics]
        )
        for table in tables
    ]
    delta = sum(
        weight * float(table.system.mean() - table.baseline.mean()) for table, weight in weighted
    )  # the tables are complete: means over runs and queries
    single = [side.name for side in (baseline, system) if side.trained and len(side.runs) < 2]
    if single:
        verb = "has one seed" if len(single) == 1 else "have one seed each"
        reason = f"{' and '.join(single)} {verb}, so the variation between trainings is not known"
        return Difference(delta, units=len(number), reason=reason)
    if len(number) < 2:
        what = "cluster" if clusters else "query"
        return Difference(
            delta, units=len(number), reason=f"all queries are one {what}, which shows no variation"
        )
    share = _Shares(units, len(number), weights)
    of_topics = share.sums([table.system.mean(0) - table.baseline.mean(0) for table in tables])
    topics = share.variance(of_topics)
    runs, squares, expected, freedom = 0.0, 0.0, 0.0, 0
    for side, name in ((baseline, "baseline"), (system, "system")):
        if not side.trained:
            continue
        found: list[Array] = [getattr(table, name) for table in tables]
        count = len(side.runs)
        runs += 1 / count
        freedom += count - 1
        means = sum(weight * scores.mean(1) for weight, scores in zip(weights, found, strict=True))
        squares += float(((means - means.mean()) ** 2).sum())
        for run in range(count):
            expected += share.variance(share.sums([scores[run] - scores.mean(0) for scores in found]))
    seeds, noise = (squares / freedom, expected / freedom) if freedom else (0.0, 0.0)
    between = max(0.0, seeds - noise)
    interaction = max(0.0, topics - runs * noise)
    variance = interaction + runs * seeds
    without_tests = Difference(
        delta,
        seed_sd=math.sqrt(between) if freedom else None,
        topic_sd=math.sqrt(interaction * len(number)),
        units=len(number),
    )
    df = _combined([(interaction, share.freedom), (runs * seeds, float(freedom))])
    if variance <= _NOTHING:
        # Each query differs by the same amount. No t statistic exists; the signs of the units still tell
        # something.
        p = 1.0 if abs(delta) <= _NOTHING else min(1.0, 2.0 ** (1 - len(number)))
        return _tested(without_tests, 0.0, df, margin, p)
    return _tested(without_tests, math.sqrt(variance), df, margin)


_NOTHING = 1e-15


def _combined(parts: Sequence[tuple[float, float]]) -> float:
    """Return the degrees of freedom of a sum of variances, each given with its own."""
    from scipy.special import stdtridf, stdtrit

    parts = [(variance, df) for variance, df in parts if variance > 0] or list(parts[:1])
    if len(parts) == 1:
        return parts[0][1]
    level = 1 - LEVEL / 2
    quantile = math.sqrt(
        sum(variance * float(stdtrit(df, level)) ** 2 for variance, df in parts)
        / sum(variance for variance, _ in parts)
    )
    return float(stdtridf(level, quantile))


def _tested(found: Difference, error: float, df: float, margin: float, p: float | None = None) -> Difference:
    """Return the difference with its tests and interval, from its standard error and degrees of freedom."""
    from scipy.special import stdtr, stdtrit

    def above(t: float) -> float:
        return float(stdtr(df, -t))

    half = float(stdtrit(df, 1 - LEVEL / 2)) * error
    if error:
        p = 2 * above(abs(found.delta) / error)
        equivalent = above((margin - abs(found.delta)) / error)
    else:
        equivalent = 0.0 if abs(found.delta) < margin else 1.0
    return replace(
        found,
        low=found.delta - half,
        high=found.delta + half,
        p=p,
        p_holm=p,
        p_equivalent=equivalent,
        p_equivalent_holm=equivalent,
        smallest=half + float(stdtrit(df, POWER)) * error,
        error=error,
        df=df,
    )


class _Shares:
    """What each unit adds to a weighted sum of the means of languages.

    Parameters
    ----------
    units : sequence of arrays of int
        The unit of each query, by language.
    count : int
        Number of units.
    weights : sequence of float
        The weight of each language.
    """

    def __init__(self, units: Sequence[npt.NDArray[np.int64]], count: int, weights: Sequence[float]) -> None:
        self.units, self.count = units, count
        self.scale = [weight / len(of) for of, weight in zip(units, weights, strict=True)]
        sizes = self._sum(
            [np.full(len(of), np.sign(weight)) for of, weight in zip(units, weights, strict=True)]
        )
        self.weights = sizes / sizes.sum()
        self.freedom = _degrees_of_freedom(self.weights)

    def _sum(self, values: Sequence[Array]) -> Array:
        total = np.zeros(self.count)
        for of, value, scale in zip(self.units, values, self.scale, strict=True):
            total += np.bincount(of, value * scale, self.count)
        return total

    def sums(self, values: Sequence[Array]) -> Array:
        """Return what each unit adds to the mean of `values` beyond its share of that mean."""
        return self._sum([value - value.mean() for value in values])

    def variance(self, sums: Array) -> float:
        """Return the variance of the mean of independent units, from `sums`."""
        return float((sums**2 / (1 - self.weights)).sum())


def _degrees_of_freedom(weights: Array) -> float:
    """Return the degrees of freedom of the variance of a mean of units with these shares of it.

    These are Satterthwaite's, where units differ as wholes: the variance of what a unit adds is proportional
    to the square of its share. For n equal units they are n - 1.
    """
    inverse = 1 / (1 - weights)
    squares = weights**2
    total = float(squares.sum())
    powers = [float((inverse * weights ** (2 + power)).sum()) for power in range(3)]
    trace = float((inverse * (squares - 2 * weights**3 + squares * total)).sum())
    crossed = (
        total**2 * powers[0] ** 2
        + 2 * powers[2] * powers[0]
        - 4 * total * powers[1] * powers[0]
        + 2 * powers[1] ** 2
    )
    alone = float((inverse**2 * squares * (squares + 2 * squares * (total - 2 * weights))).sum())
    return trace**2 / (crossed + alone)
