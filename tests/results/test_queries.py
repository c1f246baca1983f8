from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

import duckdb
import pytest

from engine.errors import BusyError, InputError, OpticalError
from engine.results.database import exclusive
from engine.results.ingest import ingest
from engine.results.queries import ask, list_runs, query_scores_of, run_record, scores_of


@pytest.fixture
def stored(make_run, results, runs, score):
    """Two runs called first and one called second, ingested; the second `first` is newer and better."""
    old, new, second = (
        make_run("first"),
        make_run("first", value=0.7, seed=1),
        make_run("second", tags=["t1"]),
    )
    for day, run in enumerate((old, new, second)):
        run.update(created=f"2026-0{day + 1}-01T00:00:00+00:00")
    rows = [score(measure="R@1", value=0.25, query_language=code) for code in ("so", "de", "xx-unknown")]
    second.write_table("scores", rows, append=True)
    ingest(results, runs)
    return results, old.id, new.id, second.id


def test_an_answer_has_columns_types_and_rows(stored):
    results, *_ = stored
    answer = ask(
        results,
        "SELECT step, avg(value) AS mean FROM steps WHERE metric = ? GROUP BY ALL ORDER BY 1",
        ["loss"],
    )
    assert (answer.columns, answer.types) == (["step", "mean"], ["BIGINT", "DOUBLE"])
    assert answer.rows == [(0, 1.0), (1, 0.5), (2, pytest.approx(1 / 3))]
    assert answer.records()[1] == {"step": 1, "mean": 0.5}
    assert ask(results, "FROM runs WHERE false").rows == []
    # Works without pytz, and with two columns of one name.
    found = ask(results, "SELECT now() AS t, 1 AS a, 2 AS a")
    assert found.columns == ["t", "a", "a"] and found.rows[0][1:] == (1, 2)
    assert abs(found.rows[0][0] - datetime.now().astimezone()) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELEC 1", "syntax error at or near"),
        ("SELECT * FROM run", 'Table with name run does not exist! Did you mean "runs"'),
        ("SELECT valu FROM scores", "not found in FROM clause"),
        ("SELECT ? + 1", "parameters"),
    ],
)
def test_a_wrong_question_is_one_sentence(stored, sql, message):
    with pytest.raises(OpticalError) as caught:
        ask(stored[0], sql)
    assert message in str(caught.value) and "\n" not in str(caught.value) and caught.value.exit_code == 1


@pytest.mark.parametrize("sql", ["", "-- nothing", "SELECT 1; SELECT 2"])
def test_a_question_is_one_statement(stored, sql):
    with pytest.raises(InputError, match="one SQL statement"):
        ask(stored[0], sql)


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM runs",
        "DROP TABLE scores",
        "CREATE TABLE mine (a INT)",
        "UPDATE runs SET note = 'x'",
        "COPY runs TO '{folder}/out.csv'",
        "EXPORT DATABASE '{folder}/out'",
        "ATTACH '{folder}/out.duckdb'",
        "SELECT * FROM read_text('{folder}/secret.txt')",
        "SELECT * FROM '{folder}/secret.txt'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
    ],
)
def test_no_question_changes_anything_or_reads_other_files(stored, tmp_path, sql):
    (tmp_path / "secret.txt").write_text("secret")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OpticalError):
        ask(stored[0], sql.format(folder=tmp_path))
    assert sorted(tmp_path.iterdir()) == before
    assert ask(stored[0], "SELECT count(*) FROM runs").rows == [(3,)]


def test_no_database(tmp_path):
    with pytest.raises(InputError, match=r"no such results database .*; `optical-workbench \w+` makes one"):
        ask(tmp_path / "none.duckdb", "SELECT 1")
    assert not list(tmp_path.iterdir())


def test_a_reader_needs_no_lock_file_but_waits_for_a_writer(stored):
    results = stored[0]
    with exclusive(results):
        assert ask(results, "SELECT 1").rows == [(1,)]
    writer = duckdb.connect(results)
    with pytest.raises(BusyError) as caught:
        ask(results, "SELECT 1", wait=0.05)
    assert caught.value.exit_code == 3
    writer.close()
    assert ask(results, "SELECT 1").rows == [(1,)]


def test_list_runs_is_newest_first_and_filtered(stored):
    results, old, new, second = stored
    assert [record["id"] for record in list_runs(results)] == [second, new, old]
    record = list_runs(results, "second")[0]
    assert record["config"]["training"]["steps"] == 300 and record["summary"] == {}
    assert record["measures"]["R@1"] == [0.25]
    assert record["measures"]["RR"] == [pytest.approx((0.5 + 0.6 + 0.7) / 3)]
    for expression, expected in {
        "RR>0.75": [new],
        "name=first AND RR<0.75": [old],
        "R@1<=0.25": [second],
        "created>=2026-02-01 name=first": [new],
        "tags=t1 OR seed=1": [second, new],
        "NOT training.learning_rate>1e-5": [],
        "bitext.language=so": [second, new, old],
        "name='); DROP TABLE runs; --'": [],
    }.items():
        assert [record["id"] for record in list_runs(results, expression)] == expected, expression
    with pytest.raises(InputError, match=r"no run has a field 'training.learning_rat' .did you mean"):
        list_runs(results, "training.learning_rat>1")


def test_a_run_is_found_by_id_name_or_the_beginning_of_its_id(stored):
    results, old, new, second = stored
    assert run_record(results, old)["id"] == old
    assert run_record(results, "first")["id"] == new
    assert run_record(results, second[:-1])["id"] == second
    with pytest.raises(InputError, match="3 runs begin with '20'"):
        run_record(results, "20")
    with pytest.raises(InputError, match=r"no run 'secon' .did you mean 'second'"):
        run_record(results, "secon")


def test_scores_of_runs(stored):
    results, old, _, second = stored
    answer = scores_of(results, [old, second], measure="RR", collection="tico")
    found = {(row["run"], row["query_language"]): row for row in answer.records()}
    assert len(found) == 6 and found[second, "sw"]["value"] == pytest.approx(0.6)
    assert found[old, "so"]["language_name"] == "Somali" and found[old, "so"]["resource"] == "low"
    assert scores_of(results, [old], measure="nDCG@10").rows == [] == scores_of(results, []).rows
    scores = query_scores_of(results, [old], scoring=None, measure="RR").records()
    assert [(row["query_id"], row["value"]) for row in scores] == [("q1", 1.0), ("q2", 0.5)]
    assert query_scores_of(results, [old], scoring="maxsim", measure="RR").records() == scores
    # the scores of another scoring of the same queries are not among them
    assert query_scores_of(results, [old], scoring="dense-ivf", measure="RR").rows == []
    assert scores_of(results, [old], scoring="dense-ivf").rows == []


def test_views(stored):
    results, old, new, second = stored
    assert {row[0] for row in ask(results, "SELECT id FROM latest").rows} == {new, second}
    rows = ask(results, "SELECT run, measure, value, languages, queries FROM leaderboard").rows
    assert [row[0] for row in rows if row[1] == "RR"] == [new, *sorted([old, second])]
    assert (second, "R@1", 0.25, 3, 12) in rows
    # A language that nobody knows stays, without a class.
    unknown = ask(
        results, "SELECT value, language_name FROM per_language WHERE query_language = 'xx-unknown'"
    )
    assert unknown.rows == [(0.25, None)]
    gaps = ask(
        results,
        "SELECT run, high_resource, low_resource, gap, high_languages, low_languages "
        "FROM high_low_gap WHERE measure = 'R@1'",
    )
    assert gaps.rows == [(second, 0.25, 0.25, 0.0, 1, 1)]


def test_rows_of_other_languages_are_not_ranked_together(stored, make_run, runs, score):
    """Two runs with as many languages, of which one has the easier ones."""
    results, *_ = stored
    common = {"collection": "news", "measure": "nDCG@10"}
    for name, codes in {"hard": ("so", "ha"), "easy": ("de", "fr"), "better": ("so", "ha")}.items():
        value = {"hard": 0.4, "easy": 0.9, "better": 0.5}[name]
        run = make_run(name, full=False)
        run.write_table("scores", [score(**common, query_language=code, value=value) for code in codes])
    ingest(results, runs)
    rows = ask(results, "SELECT name, language_set, place FROM leaderboard WHERE collection = 'news'").rows
    assert rows == [("easy", "de fr", 1), ("better", "ha so", 1), ("hard", "ha so", 2)]
    many = ask(results, "SELECT language_set([chr(97 + i::INT) FOR i IN range(20)])").rows[0][0]
    assert many.startswith("a b c d … 20 ")


def test_a_pool_for_each_language_is_one_row_of_the_leaderboard(stored, make_run, runs, score):
    results, *_ = stored
    both = make_run("both", full=False)
    common = {"collection": "tatoeba", "direction": "en-xx", "query_language": "en"}
    both.write_table(
        "scores",
        [
            score(**common, document_language="sw", revision="a", value=0.2),
            score(**common, document_language="de", revision="b", value=0.6),
        ],
    )
    ingest(results, runs)
    question = "SELECT value, languages, revision FROM leaderboard WHERE collection = 'tatoeba'"
    ((value, languages, revision),) = ask(results, question).rows
    assert (value, languages) == (pytest.approx(0.4), 2)
    assert revision == hashlib.md5(b"a b").hexdigest()[:12]
    ((gap, high, low),) = ask(
        results, "SELECT gap, high_languages, low_languages FROM high_low_gap WHERE collection = 'tatoeba'"
    ).rows
    assert (gap, high, low) == (pytest.approx(0.4), 1, 1)
