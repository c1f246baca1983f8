from __future__ import annotations

import json

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests


@pytest.fixture
def two(make_run, zero, better):
    return make_run("zero-shot", zero, zero_shot=True), make_run("student", better)


def test_figures_are_those_of_the_queries(call, two, zero, better):
    code, out, err = call("compare", "zero-shot", "student", "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert told.keys() == {"baseline", "runs", "tables"} and told["baseline"] == two[0].id
    assert [(run["id"], run["name"]) for run in told["runs"]] == [(run.id, run.record["name"]) for run in two]
    listed = {run["id"]: run["headline"] for run in json.loads(call("runs", "--json").out)}
    assert all(run["headline"] == listed[run["id"]] for run in told["runs"])
    (table,) = told["tables"]
    rows = table.pop("rows")
    assert table == {
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
        *("run", "language", "baseline", "value", "delta", "low", "high", "p", "p_holm"),
        *("wins", "ties", "losses", "queries"),
    }
    for row in rows[:2]:
        before, after = np.array(zero[row["language"]]), np.array(better[row["language"]])
        assert row["run"] == two[1].id and row["queries"] == 6
        assert row["baseline"] == pytest.approx(before.mean()) and row["value"] == pytest.approx(after.mean())
        assert row["delta"] == pytest.approx((after - before).mean())
        assert row["low"] < row["delta"] < row["high"]
    assert [(row["wins"], row["ties"], row["losses"]) for row in rows] == [(5, 1, 0), (2, 3, 1), (7, 4, 1)]
    # All signs flipped together are 2 of the 32 ways that five differences can have signs.
    assert rows[0]["p"] == pytest.approx(2 / 32, abs=0.01)
    corrected = multipletests([row["p"] for row in rows[:2]], method="holm")[1]
    assert [row["p_holm"] for row in rows[:2]] == pytest.approx(list(corrected))
    assert rows[2]["delta"] == pytest.approx((rows[0]["delta"] + rows[1]["delta"]) / 2)
    assert rows[2]["value"] == pytest.approx((rows[0]["value"] + rows[1]["value"]) / 2)


def test_the_table(call, two):
    code, out, err = call("compare", "zero-shot", "student")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert (code, err) == (0, "")
    place = "bitext · bitext · maxsim · xx-en"  # as `show` says it
    assert lines[0] == f"A {two[0].id} zero-shot (baseline) RR 0.608 on {place}"
    assert lines[1] == f"B {two[1].id} student RR 0.767 on {place}"
    assert lines[3] == "bitext · bitext · maxsim · xx-en · revision rev1 · RR"
    assert lines[4] == "run language queries A value Δ 95 % interval p W/T/L"
    assert lines[5].startswith("B so 6 0.425 0.700 +0.275 [+0.1") and lines[5].endswith(" 5/1/0")
    assert lines[7].startswith("B mean 12 0.608 0.767 +0.158 [")


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
    assert all(row["delta"] == 0 and row["p"] == 1 and row["ties"] == row["queries"] for row in same)


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
    compared = compare_runs(results, setting, "RR", encoder.id, words.id)
    assert compared.mean is not None and compared.mean.delta == pytest.approx(0.158, abs=1e-3)
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
        compared = compare_runs(results, setting, "RR", first.id, second.id)
        assert compared.mean is not None
        assert compared.mean.delta == pytest.approx(tables[setting.scoring])


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
