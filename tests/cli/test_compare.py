from __future__ import annotations

import json

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from engine.config import EncoderConfig


@pytest.fixture
def two(make_run, zero, better):
    return make_run("zero-shot", zero, zero_shot=True), make_run("student", better)


def test_figures_are_those_of_the_queries(call, two, zero, better):
    code, out, err = call("compare", "zero-shot", "student", "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert told.keys() == {"baseline", "baselines", "runs", "tables"} and told["baseline"] == two[0].id
    assert [(run["id"], run["name"]) for run in told["runs"]] == [(run.id, run.record["name"]) for run in two]
    listed = {run["id"]: run["headline"] for run in json.loads(call("runs", "--json").out)}
    assert all(run["headline"] == listed[run["id"]] for run in told["runs"])
    (table,) = told["tables"]
    rows = table.pop("rows")
    reason = "student has one seed, so the variation between trainings is not known"
    assert table == {
        "heading": "no p value over trainings; units: 6 topics",
        "notes": [f"{reason}; the p value and interval are for these checkpoints only"],
        "tests": 0,
        "margin": 0.01,
        "collection": "bitext",
        "protocol": "bitext",
        "scoring": "maxsim",
        "direction": "xx-en",
        "revisions": {"so": "rev1", "sw": "rev1"},
        "measure": "RR",
        "left_out": [],
    }
    assert [row["language"] for row in rows] == ["so", "sw", None]
    assert rows[0].keys() == {
        *("run", "system", "baseline_run", "seeds", "language", "baseline", "value", "delta", "low", "high"),
        *("p", "p_holm", "p_equivalent", "p_equivalent_holm", "verdict", "smallest", "error", "df", "units"),
        *("seed_sd", "topic_sd", "reason", "checkpoints", "wins", "ties", "losses", "queries"),
    }
    for row in rows[:2]:
        before, after = np.array(zero[row["language"]]), np.array(better[row["language"]])
        assert row["run"] == two[1].id and row["queries"] == 6
        assert row["baseline"] == pytest.approx(before.mean()) and row["value"] == pytest.approx(after.mean())
        assert row["delta"] == pytest.approx((after - before).mean())
        # One seed does not say what another one would give.
        assert row["p"] is row["low"] is row["smallest"] is None and row["reason"] == reason
        assert row["checkpoints"]["low"] < row["delta"] < row["checkpoints"]["high"]
    assert [(row["wins"], row["ties"], row["losses"]) for row in rows] == [(5, 1, 0), (2, 3, 1), (7, 4, 1)]
    # All signs flipped together are 2 of the 32 ways that five differences can have signs.
    assert rows[0]["checkpoints"]["p"] == pytest.approx(2 / 32, abs=0.01)
    assert rows[2]["delta"] == pytest.approx((rows[0]["delta"] + rows[1]["delta"]) / 2)
    assert rows[2]["value"] == pytest.approx((rows[0]["value"] + rows[1]["value"]) / 2)


def test_the_table(call, two):
    code, out, err = call("compare", "zero-shot", "student")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert (code, err) == (0, "")
    place = "bitext · bitext · maxsim · xx-en"  # as `show` says it
    assert lines[0] == f"A {two[0].id} zero-shot (baseline) RR 0.608 on {place}"
    assert lines[1] == f"B {two[1].id} student seed 7 RR 0.767 on {place}"
    assert lines[3] == "bitext · bitext · maxsim · xx-en · revision rev1 · RR"
    assert lines[4].startswith("no p value over trainings;")
    assert lines[5] == "system seeds language queries A value Δ these checkpoints (Holm) W/T/L"
    assert lines[6].startswith("B 1 so 6 0.425 0.700 +0.275 [+0.1") and lines[6].endswith(" 5/1/0")
    assert lines[8].startswith("B 1 mean 12 0.608 0.767 +0.158 [")
    assert lines[9].startswith("student has one seed")


def test_another_baseline_and_three_runs(call, two, make_run, zero):
    third = make_run("third", zero)
    flipped = json.loads(call("compare", "zero-shot", "--baseline", "student", "--json").out)
    assert flipped["baseline"] == two[1].id and flipped["tables"][0]["rows"][0]["delta"] == pytest.approx(
        -0.275
    )
    told = json.loads(call("compare", "zero-shot", "student", "third", "--json").out)
    rows = told["tables"][0]["rows"]
    assert [row["run"] for row in rows] == [two[1].id] * 3 + [third.id] * 3
    same = [row for row in rows if row["run"] == third.id]
    assert all(row["delta"] == 0 and row["ties"] == row["queries"] for row in same)
    assert all(row["checkpoints"]["p"] == 1 for row in same)


def test_english_queries_are_told_apart_by_the_documents(call, make_run, zero, better, add_scores):
    figure = {"collection": "tatoeba", "protocol": "xtreme-r", "direction": "en-xx", "measure": "Success@1"}
    make_run("a", zero, **figure)
    make_run("b", better, **figure)
    (table,) = json.loads(call("compare", "a", "b", "--json").out)["tables"]
    assert table["revisions"] == {"so": "rev1-so", "sw": "rev1-sw"} and table["measure"] == "Success@1"
    assert [(row["language"], row["wins"]) for row in table["rows"]] == [("so", 5), ("sw", 2), (None, 7)]
    assert "tatoeba · xtreme-r · maxsim · en-xx · 2 revisions" in call("compare", "a", "b").out


def test_a_table_for_all_that_is_shared(call, two, zero, better, add_scores):
    for run, values in zip(two, (zero, better), strict=True):
        add_scores(run, values, measure="R@1")
        add_scores(run, values, scoring="dense")
    add_scores(two[1], better, collection="lareqa", protocol="xtreme-r", measure="AP")
    code, out, err = call("compare", "zero-shot", "student", "--json")
    tables = json.loads(out)["tables"]
    assert code == 0
    assert [(table["scoring"], table["measure"]) for table in tables] == [("maxsim", "RR"), ("dense", "RR")]
    assert err.count("\n") == 1 and "lareqa · xtreme-r · maxsim · xx-en: left out" in err
    only = json.loads(call("compare", "zero-shot", "student", "--scoring", "dense", "--json").out)
    assert [table["scoring"] for table in only["tables"]] == ["dense"]
    _, out, err = call("compare", "zero-shot", "student", "--measure", "R@1", "--json")
    assert [table["scoring"] for table in json.loads(out)["tables"]] == ["maxsim"] and "dense" in err


def refused(call, *arguments: str) -> str:
    code, out, err = call("compare", *arguments)
    assert (code, out) == (2, "") and err.startswith("optical-workbench: ")
    return err.splitlines()[-1]


def test_another_revision_is_refused(call, two, make_run, better):
    other = make_run("other", better, revision="rev2")
    said = refused(call, "zero-shot", "student", "other")
    assert (
        two[0].id in said and other.id in said and "rev1" in said and "rev2" in said and two[1].id not in said
    )


@pytest.mark.parametrize(
    "figure", [{"protocol": "other"}, {"scoring": "dense"}, {"direction": "en-xx"}, {"collection": "tico"}]
)
def test_other_terms_are_refused(call, two, make_run, better, figure):
    other = make_run("other", better, **figure)
    said = refused(call, "zero-shot", "other")
    assert two[0].id in said and other.id in said and next(iter(figure.values())) in said


def test_other_measures_are_refused(call, two, make_run, better):
    other = make_run("other", better, measure="nDCG@10")
    said = refused(call, "zero-shot", "other")
    assert two[0].id in said and other.id in said and "no measure in common" in said
    said = refused(call, "zero-shot", "student", "--measure", "RR@1")
    assert "no measure 'RR@1'" in said and "did you mean" in said and two[0].id in said


def test_other_queries_are_refused(call, two, make_run, better, add_scores):
    shorter = make_run("shorter", {code: values[:4] for code, values in better.items()})
    said = refused(call, "zero-shot", "shorter")
    assert two[0].id in said and shorter.id in said and "queries in 'so'" in said


def test_what_is_asked_for_must_be_there(call, two, make_run):
    empty = make_run("empty", state="running")
    assert f"run {empty.id} has no scores" in refused(call, "zero-shot", "empty")
    assert "at least two" in refused(call, "zero-shot")
    assert "at least two" in refused(call, "zero-shot", two[0].id)
    said = refused(call, "zero-shot", "student", "--collection", "bitxt")
    assert "no collection 'bitxt' (did you mean 'bitext'?)" in said
    assert call("compare").code == 2


def test_languages_that_one_run_lacks_are_told(call, make_run, zero, better):
    make_run("both", zero)
    make_run("one", {"so": better["so"]})
    code, out, err = call("compare", "both", "one", "--json")
    (table,) = json.loads(out)["tables"]
    assert code == 0 and table["left_out"] == ["sw"] and "sw left out" in err
    assert [row["language"] for row in table["rows"]] == ["so", None]
    assert table["rows"][1]["baseline"] == pytest.approx(0.425)


def test_two_revisions_in_one_run_are_never_mixed(call, make_run, zero, better, add_scores):
    runs = make_run("a", zero), make_run("b", better)
    add_scores(runs[0], better, revision="rev2")
    add_scores(runs[1], zero, revision="rev2")
    tables = json.loads(call("compare", "a", "b", "--json").out)["tables"]
    deltas = {table["revisions"]["so"]: table["rows"][0]["delta"] for table in tables}
    assert deltas == {"rev1": pytest.approx(0.275), "rev2": pytest.approx(-0.275)}
    assert call("show", "a").out.count("revision rev") == 2


def test_a_run_without_an_encoder_stands_beside_either_scoring(call, make_run, add_scores, zero, better):
    encoder = make_run("encoder", zero, zero_shot=True)
    add_scores(encoder, better, scoring="dense")
    make_run("words", better, scoring="bm25")
    code, out, err = call("compare", "encoder", "words", "--json")
    assert (code, err) == (0, "")
    tables = {table["scoring"]: table for table in json.loads(out)["tables"]}
    assert tables.keys() == {"maxsim", "dense"}
    assert tables["maxsim"]["rows"][-1]["delta"] == pytest.approx(0.158, abs=1e-3)
    assert all(row["delta"] == 0 for row in tables["dense"]["rows"])
    make_run("characters", zero, scoring="tfidf")
    (table,) = json.loads(call("compare", "words", "characters", "--json").out)["tables"]
    assert table["scoring"] == "bm25 / tfidf" and table["rows"][0]["delta"] < 0


def test_the_results_screen_puts_them_there_too(results, call, make_run, zero, better):
    from workbench.results.figures import compare_runs, load_figures, query_scores

    encoder, words = make_run("encoder", zero, zero_shot=True), make_run("words", better, scoring="bm25")
    call("runs")  # ingests
    figures = load_figures(results, [encoder.id, words.id])
    ((setting, measures),) = figures.table.items()
    assert setting.scoring == "maxsim" and measures["RR"].keys() == {encoder.id, words.id}
    assert [*query_scores(results, setting, "RR", words.id)["so"].values()] == better["so"]
    compared = compare_runs(results, figures, setting, "RR", encoder.id, [words.id])[words.id]
    assert compared.mean is not None
    assert compared.mean.difference.delta == pytest.approx(0.158, abs=1e-3)
    (alone,) = load_figures(results, [words.id]).table
    assert alone.scoring == "bm25"


def test_dense_and_dense_ivf_of_one_run_are_never_mixed(results, call, make_run, add_scores, zero, better):
    from workbench.results.figures import compare_runs, load_figures, query_scores

    first, second = make_run("first", zero, scoring="dense"), make_run("second", better, scoring="dense")
    add_scores(first, better, scoring="dense-ivf")
    add_scores(second, zero, scoring="dense-ivf")
    words = make_run("words", zero, scoring="bm25")
    tables = {
        table["scoring"]: table["rows"][-1]["delta"]
        for table in json.loads(call("compare", "first", "second", "--json").out)["tables"]
    }
    assert tables == {"dense": pytest.approx(0.158, abs=1e-3), "dense-ivf": pytest.approx(-0.158, abs=1e-3)}

    figures = load_figures(results, [first.id, second.id, words.id])
    assert sorted(setting.scoring for setting in figures.table) == ["dense", "dense-ivf"]
    for setting, measures in figures.table.items():
        assert measures["RR"].keys() == {first.id, second.id, words.id}
        values = zero if setting.scoring == "dense" else better
        assert [*query_scores(results, setting, "RR", first.id)["so"].values()] == values["so"]
        compared = compare_runs(results, figures, setting, "RR", first.id, [second.id])[second.id]
        assert compared.mean is not None
        assert compared.mean.difference.delta == pytest.approx(tables[setting.scoring])


def test_figures_that_are_not_of_queries_do_not_stand_in_the_way(call, two):
    """Shares of languages in a pool, say, are stored as means alone."""
    share = {
        **{"collection": "bitext", "revision": "rev1", "protocol": "bitext/share", "scoring": "maxsim"},
        **{"direction": "xx-en", "query_language": "so", "document_language": "en"},
        **{"measure": "Share@10:en", "value": 0.5, "low": None, "high": None, "queries": 6},
    }
    for run in two:
        run.write_table("scores", [share], append=True)
    code, out, err = call("compare", "zero-shot", "student", "--json")
    assert code == 0 and [table["protocol"] for table in json.loads(out)["tables"]] == ["bitext"]
    assert err.count("\n") == 1 and "bitext/share" in err and "no scores of single queries" in err
    assert "single queries" in refused(call, "zero-shot", "student", "--measure", "Share@10:en")


def seeded(make_run, name, values, seeds, shifts=(0.0, 0.02, -0.02), **settings):
    """Make runs that differ in the seed only; their scores differ by a shift."""
    return [
        make_run(
            f"{name}-{seed}",
            {code: [score + shift for score in scores] for code, scores in values.items()},
            config={"seed": seed, **settings},
        )
        for seed, shift in zip(seeds, shifts, strict=False)
    ]


def test_runs_that_differ_in_the_seed_only_are_one_system(call, make_run, zero, better):
    """The noise of seeds is not taken for an effect: the difference of 0.02 is one of seeds."""
    first = make_run("zero-shot", zero, zero_shot=True)
    runs = seeded(make_run, "student", better, (0, 1, 2))
    told = json.loads(call("compare", "zero-shot", "student-1", "--json").out)
    system = told["runs"][1]
    assert system["id"] == runs[1].id and system["label"] == "student-[0 1 2]"
    assert system["runs"] == [run.id for run in runs] and system["seeds"] == ["0", "1", "2"]
    (table,) = told["tables"]
    assert table["tests"] == 3 and table["notes"] == []
    mean = table["rows"][-1]
    assert mean["seeds"] == ["0", "1", "2"] and mean["baseline_run"] == first.id
    assert mean["delta"] == pytest.approx(0.158, abs=1e-3)
    assert mean["seed_sd"] == pytest.approx(0.02) and mean["low"] < mean["delta"] < mean["high"]
    corrected = multipletests([row["p"] for row in table["rows"]], method="holm")[1]
    assert [row["p_holm"] for row in table["rows"]] == pytest.approx(list(corrected))
    for wanted in ("student-*", f"@{system['system']}"):
        again = json.loads(call("compare", "zero-shot", wanted, "--json").out)
        assert again["tables"][0]["rows"][-1]["p"] == mean["p"]
    text = call("compare", "zero-shot", "student-*").out
    assert "student-[0 1 2]  seeds 0, 1, 2" in text and "Holm over 3 comparisons" in text


def test_runs_that_differ_in_more_than_the_seed_are_no_system(call, make_run, zero, better):
    make_run("zero-shot", zero, zero_shot=True)
    seeded(make_run, "student", better, (0, 1))
    make_run("student-cased", better, config={"student": EncoderConfig(query_length=12)})
    said = refused(call, "zero-shot", "student-*")
    assert "are not one system: they differ in student" in said


def test_two_runs_of_one_system_are_compared_as_checkpoints(call, make_run, zero):
    runs = seeded(make_run, "student", zero, (0, 1))
    told = json.loads(call("compare", "student-0", "student-1", "--json").out)
    assert [run["runs"] for run in told["runs"]] == [[runs[0].id], [runs[1].id]]
    assert "checkpoints only" in told["tables"][0]["notes"][0]


def test_students_that_were_evaluated_elsewhere_are_one_system(call, make_run, zero, better):
    make_run("zero-shot", zero, zero_shot=True)
    trained = [make_run(f"student-{seed}", config={"seed": seed}) for seed in (0, 1)]
    for seed, run in enumerate(trained):
        folder = run.path / "checkpoints" / "student"
        config = {"encoder": EncoderConfig(checkpoint=str(folder)), "seed": 0}
        make_run(f"elsewhere-{seed}", better, zero_shot=True, config=config)
    told = json.loads(call("compare", "zero-shot", "elsewhere-0", "--json").out)
    assert told["runs"][1]["seeds"] == ["0", "1"]


def test_several_baselines(call, make_run, zero, better):
    first, second = make_run("a", zero, zero_shot=True), make_run("b", better, scoring="maxsim")
    third = make_run("c", better, config={"student": EncoderConfig(query_length=12)})
    told = json.loads(call("compare", "c", "--baseline", "a", "--baseline", "b", "--json").out)
    assert told["baselines"] == [first.id, second.id]
    assert {(row["baseline_run"], row["run"]) for row in told["tables"][0]["rows"]} == {
        (first.id, third.id),
        (second.id, third.id),
    }
    assert "every system is a baseline" in refused(call, "a", "--baseline", "a", "--baseline", "b")


def mark(run, **kinds):
    """Write rows of table topics: the value of each topic by kind."""
    common = {"collection": "bitext", "revision": "rev1"}
    run.write_table(
        "topics",
        [
            {**common, "topic": topic, "kind": kind, "value": value}
            for kind, values in kinds.items()
            for topic, value in values.items()
        ],
    )


def test_clusters_are_the_units(call, make_run, zero, better):
    clusters = {str(place): f"d{place // 2}" for place in range(6)}
    runs = make_run("a", zero, zero_shot=True), make_run("b", better, scoring="maxsim", zero_shot=True)
    for run in runs:
        mark(run, cluster=clusters, clean={str(place): "yes" if place < 4 else "no" for place in range(6)})
    (table,) = json.loads(call("compare", "a", "b", "--json").out)["tables"]
    assert table["rows"][0]["units"] == 3 and "3 clusters of topics" in table["heading"]
    (clean,) = json.loads(call("compare", "a", "b", "--topics", "clean=yes", "--json").out)["tables"]
    assert clean["rows"][0]["queries"] == 4 and clean["rows"][0]["units"] == 2
    assert clean["rows"][0]["value"] == pytest.approx(np.mean(better["so"][:4]))
    assert "no mark 'cleen'; they have clean, cluster" in refused(call, "a", "b", "--topics", "cleen=yes")
    assert "KIND=VALUE" in refused(call, "a", "b", "--topics", "clean")


def test_one_cluster_gives_a_sentence_and_no_number(call, make_run, zero, better):
    runs = make_run("a", zero, zero_shot=True), make_run("b", better, zero_shot=True)
    for run in runs:
        mark(run, cluster=dict.fromkeys(map(str, range(6)), "Super Bowl 50"))
    (table,) = json.loads(call("compare", "a", "b", "--json").out)["tables"]
    assert table["notes"] == ["all queries are one cluster, which shows no variation"]
    assert all(row[name] is None for row in table["rows"] for name in ("low", "p", "p_holm", "smallest"))
    assert all(
        row["checkpoints"] == {"low": None, "high": None, "p": None, "p_holm": None} for row in table["rows"]
    )


def test_rows_as_csv(call, two):
    import csv
    import io

    code, out, _ = call("compare", "zero-shot", "student", "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0 and [row["language"] for row in rows] == ["so", "sw", ""]
    assert rows[0]["collection"] == "bitext" and float(rows[0]["delta"]) == pytest.approx(0.275)
    assert rows[0]["p"] == "" and float(rows[0]["checkpoints.p"]) < 0.1


def test_the_results_screen_folds_seeds_and_shows_the_same_figures(results, call, make_run, zero, better):
    from workbench.results.figures import compare_runs, load_figures

    first = make_run("zero-shot", zero, zero_shot=True)
    runs = seeded(make_run, "student", better, (0, 1, 2), shifts=(0.0, 0.03, -0.06))
    told = json.loads(call("compare", "zero-shot", "student-0", "--json").out)["tables"][0]
    figures = load_figures(results, [first.id, runs[0].id, runs[2].id])
    assert figures.runs == [first.id, runs[0].id] and figures.names[runs[0].id] == "student-[0 1 2]"
    ((setting, measures),) = figures.table.items()
    compared = compare_runs(results, figures, setting, "RR", first.id, [runs[0].id])[runs[0].id]
    assert compared.heading == told["heading"] and not compared.reason
    for row in told["rows"][:2]:
        assert measures["RR"][runs[0].id][row["language"]].value == pytest.approx(row["value"])
        found = compared.languages[row["language"]].difference
        for name in ("delta", "low", "high", "p_holm", "verdict", "smallest"):
            assert getattr(found, name) == row[name]


def test_published_scores_stand_beside_those_of_one_run(call, make_run, zero, better):
    figure = {"collection": "tatoeba", "protocol": "xtreme-r", "direction": "xx-en", "measure": "Success@1"}
    make_run("a", zero, **figure)
    assert "compare takes at least two different runs" in call("compare", "a").err
    code, out, _ = call("compare", "a", "--published")
    lines = [" ".join(line.split()) for line in out.splitlines() if line.strip()]
    assert code == 0 and "beside MTEB's results repository (Tatoeba)" in " ".join(lines)
    mean = sum(zero["sw"]) / len(zero["sw"])  # there is no Somali in Tatoeba
    # mean of LaBSE, this run's, and the difference
    (labse,) = [line for line in lines if line.startswith("sentence-transformers/LaBSE")]
    assert labse == f"sentence-transformers/LaBSE 1 0.874 {mean:.3f} {mean - 0.87436:+.3f}"
    told = json.loads(call("compare", "a", "--published", "--json").out)["published"]
    assert {row["language"] for row in told[0]["rows"]} == {"sw"} and told[0]["tasks"] == ["Tatoeba"]
    assert call("compare", "a", "--published", "--csv").out.startswith("run,collection,protocol")
    make_run("b", better, **figure)
    both = json.loads(call("compare", "a", "b", "--published", "--json").out)
    assert len(both["published"]) == 2 and both["tables"]
    make_run("c", zero)
    assert "No published scores are known" in call("compare", "c", "--published").out
