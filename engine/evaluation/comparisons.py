"""Compare several systems with one or more baselines, as one family of tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from engine.counted import counted
from engine.errors import InputError
from engine.evaluation.seed_model import (
    BETTER,
    MARGIN,
    WORSE,
    Difference,
    System,
    SystemComparison,
    average_runs,
    compare_systems,
    correct_together,
)
from engine.evaluation.significance import (
    RESAMPLES,
    Comparison,
    LanguageComparison,
    compare_languages,
    holm,
)

LOWER_IS_BETTER = ("RankDistance", "Max@R")
"""The measures of which a lower value is better (`engine.evaluation.bias`)."""


@dataclass(frozen=True)
class Pair:
    """A system compared with a baseline.

    Attributes
    ----------
    baseline, system : str
        Their names in the family.
    difference : SystemComparison
        Differences by the model of topics and seeds, corrected over the family.
    checkpoints : LanguageComparison
        The same differences by tests over topics, which are for these checkpoints only, corrected over as
        many comparisons.
    """

    baseline: str
    system: str
    difference: SystemComparison
    checkpoints: LanguageComparison

    def rows(self) -> list[tuple[str, Difference, Comparison]]:
        """Return (language, difference, comparison of checkpoints) of each language and the mean (``""``)."""
        return [
            *(
                (code, self.difference.languages[code], self.checkpoints.languages[code])
                for code in self.difference.languages
            ),
            ("", self.difference.mean, self.checkpoints.mean),
        ]


@dataclass(frozen=True)
class Family:
    """Comparisons that are corrected together.

    Attributes
    ----------
    pairs : list of Pair
    margin : float
        The margin of the equivalence tests.
    tests : int
        The number of comparisons that Holm's correction counts.
    size : str
        Where this number comes from, such as ``2 systems x (3 languages and the mean)``.
    units : str
        The units of the tests, such as ``971 topics in 6 clusters``.
    notes : list of str
        Why comparisons have no p value, or a rough one, one sentence each.
    """

    pairs: list[Pair]
    margin: float
    tests: int
    size: str
    units: str
    notes: list[str]

    @property
    def heading(self) -> str:
        """One line that says what was corrected together and what the units are."""
        if not self.tests:
            return f"no p value over trainings; {self.units}"
        family = f"Holm over {self.tests} comparisons, {self.size}" if self.tests > 1 else "one comparison"
        return f"p: {family}; equivalent: smaller than {self.margin:g}; {self.units}"


def compare_family(
    systems: Mapping[str, System],
    baselines: Sequence[str],
    *,
    clusters: Mapping[str, str] | None = None,
    margin: float = MARGIN,
    lower_is_better: bool = False,
    resamples: int = RESAMPLES,
) -> Family:
    """Compare each system that is no baseline with each baseline.

    Parameters
    ----------
    systems : mapping of str to System
    baselines : sequence of str
        Names of some of the systems.
    clusters : mapping of topic to cluster, optional
        Topics that depend on each other.
    margin : float
        The margin of the equivalence tests.
    lower_is_better : bool
        Whether a negative difference is an improvement; verdicts follow it.
    resamples : int
        Number of resamples of the tests and intervals over topics.

    Raises
    ------
    InputError
        If all systems are baselines, or two systems do not have the same languages and queries.
    """
    others = [name for name in systems if name not in baselines]
    if not others:
        raise InputError("every system is a baseline; name one that is compared with them")
    found = [
        compare_systems(systems[base], systems[name], clusters=clusters, margin=margin)
        for base in baselines
        for name in others
    ]
    together = correct_together(found)
    corrected = iter(map(_turned, together) if lower_is_better else together)
    averaged = {name: average_runs(systems[name].runs) for name in (*baselines, *others)}
    tested_topics = iter(
        _corrected(
            [
                compare_languages(averaged[base], averaged[name], clusters=clusters, resamples=resamples)
                for base in baselines
                for name in others
            ]
        )
    )
    pairs = [Pair(base, name, next(corrected), next(tested_topics)) for base in baselines for name in others]
    tested = [pair for pair in pairs if pair.difference.mean.p is not None]
    return Family(
        pairs,
        margin,
        sum(one.p is not None for pair in pairs for one in pair.difference.family),
        _size(tested),
        _units(pairs[0], clusters),
        [
            *dict.fromkeys(_note(one) for pair in pairs for _, one, _ in pair.rows() if one.reason),
            *_few([systems[name] for name in (*baselines, *others)]),
        ],
    )


def _turned(one: SystemComparison) -> SystemComparison:
    """Return the comparison with the verdicts of a measure of which a lower value is better."""
    other = {BETTER: WORSE, WORSE: BETTER}

    def turn(found: Difference) -> Difference:
        words = [other.get(word, word) for word in found.verdict.split(", ")]
        return replace(found, verdict=", ".join(words))

    return SystemComparison({code: turn(found) for code, found in one.languages.items()}, turn(one.mean))


def _corrected(found: Sequence[LanguageComparison]) -> list[LanguageComparison]:
    """Return the comparisons with Holm's correction over all of their languages and means."""
    single = len(found[0].languages) == 1
    flat = [[*one.languages.values(), *([] if single else [one.mean])] for one in found]
    p_values = iter(holm([one.p for some in flat for one in some]))
    corrected = []
    for one in found:
        languages = {
            code: replace(compared, p_holm=next(p_values)) for code, compared in one.languages.items()
        }
        mean = next(iter(languages.values())) if single else replace(one.mean, p_holm=next(p_values))
        corrected.append(LanguageComparison(languages, mean))
    return corrected


def _few(systems: Sequence[System]) -> list[str]:
    names = [system.name for system in systems if system.trained and len(system.runs) == 2]
    if not names:
        return []
    verb = "has" if len(names) == 1 else "have"
    return [f"{' and '.join(names)} {verb} two seeds, from which p is rough; three or more are better"]


def _note(one: Difference) -> str:
    if one.units < 2:
        return one.reason
    return f"{one.reason}; the p value and interval are for these checkpoints only"


def _size(pairs: Sequence[Pair]) -> str:
    if not pairs:
        return ""
    languages = len(pairs[0].difference.languages)
    each = f"{languages} languages and the mean" if languages > 1 else "1 language"
    baselines = len({pair.baseline for pair in pairs})
    systems = len({pair.system for pair in pairs})
    against = f" against {baselines} baselines" if baselines > 1 else ""
    return f"{systems} system{'s' if systems > 1 else ''}{against} × ({each})"


def _units(pair: Pair, clusters: Mapping[str, str] | None) -> str:
    units = pair.difference.mean.units
    what = ("cluster of topics", "clusters of topics") if clusters else ("topic", "topics")
    return f"units: {counted(units, *what)}"
