"""The model of topics and seeds against REML (statsmodels), scipy, enumeration and simulation."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from engine.errors import InputError
from engine.evaluation.comparisons import compare_family
from engine.evaluation.seed_model import System, _degrees_of_freedom, compare_systems, contrast, correct

Generator = np.random.Generator


def system(name: str, scores: Any, prefix: str = "so:", trained: bool = True) -> System:
    """Return a system of one language from scores of shape (runs, queries)."""
    runs = [{"so": {f"{prefix}{place}": float(value) for place, value in enumerate(run)}} for run in scores]
    return System(name, runs, trained)


def draw(
    generator: Generator, topics: int, seeds: int, *, topic: float, seed: float, error: float
) -> np.ndarray:
    """Draw scores of two systems that do not differ: (systems, seeds, topics)."""
    scores = generator.normal(0.5, 0.2, topics) + generator.normal(0, topic, (2, 1, topics))
    return np.asarray(
        scores + generator.normal(0, seed, (2, seeds, 1)) + generator.normal(0, error, (2, seeds, topics))
    )


def test_error_and_components_are_those_of_reml() -> None:
    import pandas as pd
    from statsmodels.regression.mixed_linear_model import MixedLM

    scores = draw(np.random.default_rng(0), 40, 3, topic=0.1, seed=0.04, error=0.05)
    found = compare_systems(system("a", scores[0]), system("b", scores[1])).mean
    table = pd.DataFrame(
        [
            {"y": scores[i, k, j], "x": float(i), "seed": f"{i} {k}", "topic": j, "both": f"{i} {j}"}
            for i in range(2)
            for k in range(3)
            for j in range(40)
        ]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MixedLM.from_formula(
            "y ~ x",
            table,
            groups=np.ones(len(table)),
            re_formula="0",
            vc_formula={"seed": "0 + C(seed)", "both": "0 + C(both)", "topic": "0 + C(topic)"},
        ).fit(reml=True)
    assert found.delta == pytest.approx(model.params["x"], abs=1e-8)
    assert found.error == pytest.approx(model.bse["x"], rel=1e-4)
    components = dict(zip(model.model.exog_vc.names, model.vcomp, strict=True))
    assert found.seed_sd is not None
    assert found.seed_sd**2 == pytest.approx(components["seed"], rel=1e-3)


def test_error_and_degrees_of_freedom_are_those_of_mean_squares() -> None:
    """The textbook's quasi F: MS(seed) + MS(system x topic) - MS(error)."""
    scores = draw(np.random.default_rng(1), 30, 4, topic=0.1, seed=0.05, error=0.05)
    s, n = 4, 30
    of_run, of_topic, of_system = scores.mean(2), scores.mean(1), scores.mean((1, 2))
    ms_seed = n * ((of_run - of_system[:, None]) ** 2).sum() / (2 * (s - 1))
    inner = of_topic - of_system[:, None] - scores.mean((0, 1)) + scores.mean()
    ms_topic = s * (inner**2).sum() / (n - 1)
    rest = scores - of_run[:, :, None] - of_topic[:, None, :] + of_system[:, None, None]
    ms_error = (rest**2).sum() / (2 * (s - 1) * (n - 1))
    assert ms_seed > ms_error
    total = ms_seed + ms_topic - ms_error
    found = compare_systems(system("a", scores[0]), system("b", scores[1])).mean
    assert found.error == pytest.approx(math.sqrt(2 * total / (n * s)))
    half = math.sqrt(
        2 / (n * s) * (ms_topic - ms_error) * stats.t.ppf(0.975, n - 1) ** 2
        + 2 / (n * s) * ms_seed * stats.t.ppf(0.975, 2 * (s - 1)) ** 2
    )
    assert found.high == pytest.approx(found.delta + half)
    assert found.low == pytest.approx(found.delta - half)
    assert found.df is not None and 2 * (s - 1) < found.df < n - 1
    t = found.delta / math.sqrt(2 * total / (n * s))
    assert found.p == pytest.approx(2 * stats.t.sf(abs(t), found.df))


def test_without_training_it_is_the_paired_t_test() -> None:
    scores = np.random.default_rng(2).normal(0.02, 0.1, (2, 1, 50))
    one, other = (system(name, x, trained=False) for name, x in zip("ab", scores, strict=True))
    found = compare_systems(one, other).mean
    theirs = stats.ttest_rel(scores[1, 0], scores[0, 0])
    assert found.p == pytest.approx(theirs.pvalue) and found.df == pytest.approx(49)
    assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval()))
    assert found.seed_sd is None


def test_a_system_without_training_needs_no_seeds_and_adds_no_variance() -> None:
    scores = draw(np.random.default_rng(3), 60, 3, topic=0.0, seed=0.05, error=0.0)
    fixed, trained = system("zero-shot", scores[0][:1], trained=False), system("b", scores[1])
    found = compare_systems(fixed, trained).mean
    # No variation over topics is left: this is the t test of three values.
    seeds = scores[1].mean(1) - scores[0, 0].mean()
    assert found.p == pytest.approx(stats.ttest_1samp(seeds, 0).pvalue, rel=1e-6)
    assert found.df == pytest.approx(2)


def test_one_seed_gives_a_sentence_and_no_number() -> None:
    scores = draw(np.random.default_rng(4), 20, 2, topic=0.1, seed=0.1, error=0.1)
    found = compare_systems(system("contrast", scores[0]), system("transport", scores[1][:1])).mean
    assert found.p is found.low is found.smallest is None and found.verdict == ""
    assert found.reason == "transport has one seed, so the variation between trainings is not known"
    both = compare_systems(system("a", scores[0][:1]), system("b", scores[1][:1])).mean
    assert both.reason.startswith("a and b have one seed each")


def test_seeds_that_differ_are_no_effect() -> None:
    """Over topics alone, the noise of seeds looks like an effect in a quarter of comparisons."""
    generator = np.random.default_rng(5)
    rejected, over_topics = 0, 0
    trials = 400
    for _ in range(trials):
        scores = draw(generator, 200, 3, topic=0.1, seed=0.02, error=0.1)
        p = compare_systems(system("a", scores[0]), system("b", scores[1])).mean.p
        rejected += p is not None and p < 0.05
        over_topics += stats.ttest_rel(scores[0].mean(0), scores[1].mean(0)).pvalue < 0.05
    assert 0.02 <= rejected / trials <= 0.08
    assert over_topics / trials > 0.2


def test_clusters_are_the_units() -> None:
    """Eight paragraphs of five equal questions tell what eight questions tell."""
    paragraphs = np.random.default_rng(6).normal(0.05, 0.1, 8)
    after = np.repeat(paragraphs, 5)
    clusters = {str(place): str(place // 5) for place in range(40)}
    one = system("a", [np.zeros(40)], trained=False)
    found = compare_systems(one, system("b", [after], trained=False), clusters=clusters).mean
    assert found.units == 8 and found.df == pytest.approx(7)
    assert found.p == pytest.approx(stats.ttest_1samp(paragraphs, 0).pvalue)
    alone = compare_systems(one, system("b", [after], trained=False)).mean
    assert alone.p is not None and found.p is not None and alone.p < found.p


def test_one_cluster_gives_a_sentence_and_no_number() -> None:
    scores = np.random.default_rng(7).normal(0, 0.1, (2, 1, 10))
    one, other = (system(name, x, trained=False) for name, x in zip("ab", scores, strict=True))
    found = compare_systems(one, other, clusters={str(place): "Super Bowl 50" for place in range(10)}).mean
    assert found.p is found.low is None
    assert found.reason == "all queries are one cluster, which shows no variation"


@pytest.mark.parametrize("sizes", [[1] * 7, [5, 1, 1, 1], [141, 44, 276, 329, 64, 117]])
def test_degrees_of_freedom_follow_from_the_matrix(sizes: list[int]) -> None:
    weights = np.array(sizes) / sum(sizes)
    squares = weights**2
    covariance = (
        np.diag(squares)
        - np.outer(squares, weights)
        - np.outer(weights, squares)
        + np.outer(weights, weights) * squares.sum()
    )
    scale = np.diag((1 - weights) ** -0.5)
    values = np.linalg.eigvalsh(scale @ covariance @ scale)
    assert _degrees_of_freedom(weights) == pytest.approx(values.sum() ** 2 / (values**2).sum())


def test_unequal_clusters_are_not_taken_for_more_than_they_are() -> None:
    """TICO-19's evaluation part has six documents of 44 to 329 sentences."""
    generator = np.random.default_rng(8)
    sizes = [141, 44, 276, 329, 64, 117]
    of = np.repeat(np.arange(6), sizes)
    clusters = {str(place): str(document) for place, document in enumerate(of)}
    one = system("a", [np.zeros(len(of))], trained=False)
    for spread in (0.0, 0.05):
        rejected = 0
        for _ in range(300):
            values = generator.normal(0, spread, 6)[of] + generator.normal(0, 0.1, len(of))
            p = compare_systems(one, system("b", [values], trained=False), clusters=clusters).mean.p
            rejected += p is not None and p < 0.05
        assert rejected / 300 <= 0.085


def test_languages_have_the_same_weight_and_share_topics() -> None:
    generator = np.random.default_rng(9)
    values = generator.normal(0.05, 0.1, 30)
    copies = {code: {f"{code}:{place}": float(v) for place, v in enumerate(values)} for code in ("so", "sw")}
    zeros = {code: dict.fromkeys(scores, 0.0) for code, scores in copies.items()}
    found = compare_systems(System("a", [zeros], False), System("b", [copies], False))
    # Two copies of a language tell what one tells.
    assert found.mean.p == pytest.approx(found.languages["so"].p)
    assert found.mean.units == 30
    assert len(found.family) == 3


def test_a_gap_is_tested_as_its_topics_have_it() -> None:
    generator = np.random.default_rng(15)
    values = generator.normal(0, 0.1, (2, 40))
    after = {
        code: {f"{code}:{place}": float(v) for place, v in enumerate(row)}
        for code, row in zip(("de", "so"), values, strict=True)
    }
    zeros = {code: dict.fromkeys(scores, 0.0) for code, scores in after.items()}
    found = contrast(System("a", [zeros], False), System("b", [after], False), {"de": 1.0, "so": -1.0})
    theirs = stats.ttest_1samp(values[0] - values[1], 0)
    assert found.delta == pytest.approx((values[0] - values[1]).mean())
    assert found.p == pytest.approx(theirs.pvalue)


def test_holm_counts_systems_languages_and_means() -> None:
    generator = np.random.default_rng(10)
    codes = ("mr", "so", "sw")

    def made(shift: float) -> System:
        run = {
            code: {f"{code}:{place}": float(v) for place, v in enumerate(generator.normal(shift, 0.1, 40))}
            for code in codes
        }
        return System(f"{shift}", [run], trained=False)

    systems = {str(shift): made(shift) for shift in (0.0, 0.03, 0.05)}
    family = compare_family(systems, ["0.0"], resamples=99)
    found = [one for pair in family.pairs for one in pair.difference.family]
    assert family.tests == len(found) == 2 * 4 and "2 systems × (3 languages and the mean)" in family.heading
    corrected = multipletests([one.p for one in found], method="holm")[1]
    assert [one.p_holm for one in found] == pytest.approx(list(corrected))
    two = compare_family(systems, ["0.0", "0.03"], resamples=99)
    assert [(pair.baseline, pair.system) for pair in two.pairs] == [("0.0", "0.05"), ("0.03", "0.05")]


def test_a_lower_rank_is_better() -> None:
    values = np.random.default_rng(16).normal(-3, 1, 40)
    systems = {
        "a": system("a", [np.zeros(40)], trained=False),
        "b": system("b", [values], trained=False),
    }
    for lower, verdict in ((False, "worse"), (True, "better")):
        family = compare_family(systems, ["a"], lower_is_better=lower, resamples=99)
        assert family.pairs[0].difference.mean.verdict == verdict


def test_equivalence_is_two_one_sided_tests() -> None:
    from statsmodels.stats.weightstats import ttost_paired

    generator = np.random.default_rng(11)
    before = generator.normal(0.5, 0.2, 400)
    after = before + generator.normal(0.001, 0.03, 400)
    found = compare_systems(system("a", [before], trained=False), system("b", [after], trained=False)).mean
    theirs = ttost_paired(after, before, -0.01, 0.01)[0]
    assert found.p_equivalent == pytest.approx(theirs, rel=1e-6)
    assert found.verdict == "equivalent"
    wide = compare_systems(
        system("a", [before[:20]], trained=False), system("b", [after[:20]], trained=False), margin=0.001
    ).mean
    assert wide.verdict == "undecided"
    shifted = system("b", [before + 0.004 + generator.normal(0, 0.01, 400)], trained=False)
    assert compare_systems(system("a", [before], trained=False), shifted).mean.verdict == "better, equivalent"


def test_the_smallest_difference_is_seen_four_times_in_five() -> None:
    generator = np.random.default_rng(12)
    scores = draw(generator, 50, 4, topic=0.1, seed=0.02, error=0.05)
    shown = [
        compare_systems(system("a", one[0]), system("b", one[1])).mean.smallest
        for one in (draw(generator, 50, 4, topic=0.1, seed=0.02, error=0.05) for _ in range(200))
    ]
    effect = float(np.median([value for value in shown if value is not None]))
    seen = 0
    for _ in range(300):
        scores = draw(generator, 50, 4, topic=0.1, seed=0.02, error=0.05)
        p = compare_systems(system("a", scores[0]), system("b", scores[1] + effect)).mean.p
        seen += p is not None and p < 0.05
    assert 0.72 <= seen / 300 <= 0.9


def test_equal_systems_and_constant_differences() -> None:
    same = [np.random.default_rng(13).uniform(0, 1, 10)] * 2
    found = compare_systems(system("a", same), system("b", same)).mean
    assert (found.delta, found.p, found.verdict) == (0.0, 1.0, "equivalent")
    fixed = system("a", [np.zeros(4)], trained=False), system("b", [np.full(4, 0.25)], trained=False)
    assert compare_systems(*fixed).mean.p == pytest.approx(2 / 2**4)  # as the signs of four queries have it


def test_correction_leaves_what_has_no_p_value() -> None:
    scores = draw(np.random.default_rng(14), 20, 1, topic=0.1, seed=0.1, error=0.1)
    found = compare_systems(system("a", scores[0]), system("b", scores[1])).mean
    assert correct([found]) == [found]


def test_runs_over_other_queries_are_refused() -> None:
    one, other = system("a", [np.zeros(3)]), system("b", [np.zeros(2)])
    with pytest.raises(InputError, match="b lacks 1 of the queries in 'so', such as 'so:2'"):
        compare_systems(one, other)
    mixed = System("c", [*one.runs, *other.runs])
    with pytest.raises(InputError, match="c lacks 1 of the queries"):
        compare_systems(one, mixed)
