from __future__ import annotations

import csv
import io
import json
import math

import duckdb
import pyarrow.parquet as pq
import pytest


@pytest.fixture
def stored(make_run, zero, call):
    run = make_run("one", zero)
    run.log(3, {"loss": float("nan")}, 1.5)
    assert call("runs").code == 0
    return run


def test_a_table(call, stored):
    code, out, err = call("sql", "SELECT query_language, value, NULL AS n FROM scores ORDER BY ALL")
    assert (code, err) == (0, "")
    assert [line.split() for line in out.splitlines()] == [
        ["query_language", "value", "n"],
        ["so", "0.425", "NULL"],
        ["sw", "0.791667", "NULL"],
    ]


def test_json_holds_every_type(call, stored):
    question = """
        SELECT name, created, seed, tags, config, 1.50::DECIMAL(9, 2) AS d, 7::DECIMAL(9, 2) AS i,
            'NaN'::DOUBLE AS x, '\\x01'::BLOB AS b, {'k': [1, 2]} AS s,
            170141183460469231731687::HUGEINT AS h,
            DATE '2026-02-01' AS day, TIMESTAMPTZ '2026-02-01 00:00:00+02' AS zoned
        FROM runs
    """
    (row,) = json.loads(call("sql", question, "--json").out)
    assert row["config"]["training"]["steps"] == 300  # a column of type JSON is what it holds
    del row["config"]
    assert row.pop("zoned") == "2026-01-31T22:00:00+00:00"
    assert row == {
        "name": "one",
        "created": "2026-01-01T10:00:00",
        "seed": 7,
        "tags": [],
        "d": 1.5,
        "i": 7,
        "x": "NaN",
        "b": "01",
        "s": {"k": [1, 2]},
        "h": 170141183460469231731687,
        "day": "2026-02-01",
    }


def test_csv_reads_back(call, stored):
    question = (
        "SELECT query_id, value, [1, 2] AS l, 'a,\"b\nc' AS t, NULL AS n FROM query_scores ORDER BY ALL"
    )
    read = list(csv.reader(io.StringIO(call("sql", question, "--csv").out)))
    assert read[0] == ["query_id", "value", "l", "t", "n"] and len(read) == 13
    assert read[1][2:] == ["[1, 2]", 'a,"b\nc', ""]
    assert sum(float(row[1]) for row in read[1:]) == pytest.approx(6 * 0.425 + 4.75)


def test_a_limit_is_never_silent(call, stored):
    code, out, err = call("sql", "FROM query_scores", "--limit", "5", "--json")
    assert code == 0 and len(json.loads(out)) == 5 and "the first 5 of 12 rows" in err
    code, out, err = call("sql", "FROM query_scores", "--limit", "12", "--json")
    assert len(json.loads(out)) == 12 and err == ""
    assert call("sql", "FROM query_scores", "--limit", "0").code == 2


@pytest.mark.parametrize(
    ("question", "code", "words"),
    [
        ("SELEC 1", 1, "syntax error"),
        ("FROM rusn", 1, "rusn"),
        ("DELETE FROM runs", 1, "read-only"),
        ("SELECT * FROM read_text('/etc/hostname')", 1, "disabled"),
        ("SELECT 1; SELECT 2", 2, "one SQL statement"),
        ("", 2, "one SQL statement"),
    ],
)
def test_what_is_refused_is_one_sentence(call, stored, question, code, words):
    found, out, err = call("sql", question)
    assert (found, out) == (code, "") and words in err and err.count("\n") == 1 and "Traceback" not in err


def test_columns_of_one_name_are_refused_where_one_would_be_lost(call, stored, tmp_path):
    question = "SELECT 1 AS a, 2 AS a"
    assert call("sql", question).out.splitlines() == ["a  a", "1  2"]
    assert call("sql", question, "--csv").out == "a,a\n1,2\n"
    for arguments in (
        ["sql", question, "--json"],
        *(["export", question, str(tmp_path / f"x.{e}")] for e in ("json", "parquet")),
    ):
        code, out, err = call(*arguments)
        assert (code, out) == (2, "") and "two columns have the name 'a'" in err
    assert not list(tmp_path.glob("*x.*"))
    assert call("sql", "SELECT 1", "--csv", "--json").code == 2


def test_exports_read_back(call, stored, tmp_path):
    for ending in ("csv", "json", "parquet"):
        code, out, err = call("export", "query_scores", str(tmp_path / f"q.{ending}"))
        assert (code, out) == (0, "") and "12 rows" in err
        found = duckdb.sql(f"SELECT count(*), sum(value) FROM '{tmp_path}/q.{ending}'").fetchall()
        assert found == [(12, pytest.approx(6 * 0.425 + 4.75))], ending
    # Parquet keeps types, of empty answers and of dates and times with a zone as well.
    question = "SELECT id, created, tags, config, now() AS n, NULL AS e FROM runs"
    for limit, count in (("", 1), (" LIMIT 0", 0)):
        assert call("export", question + limit, str(tmp_path / "r.parquet")).code == 0
        table = pq.read_table(tmp_path / "r.parquet")
        assert table.num_rows == count
        assert [str(kind) for kind in table.schema.types[:4]] == [
            "string",
            "timestamp[us]",
            "list<element: string>",
            "string",
        ]
    assert call("export", "SELECT value FROM steps", str(tmp_path / "n.parquet")).code == 0
    assert math.isnan(pq.read_table(tmp_path / "n.parquet")["value"][0].as_py())
    # A view is a table too, and a file that was there is replaced.
    assert call("export", "leaderboard", str(tmp_path / "q.csv")).code == 0
    assert (tmp_path / "q.csv").read_text().startswith("run,name,collection,")


def test_an_export_that_fails_leaves_what_was_there(call, stored, tmp_path):
    target = tmp_path / "kept.parquet"
    target.write_text("mine")
    for question, code in (("rusn", 1), ("SELECT INTERVAL 1 DAY AS i", 1)):
        found, _, err = call("export", question, str(target))
        assert found == code and err.count("\n") == 1
    assert target.read_text() == "mine"
    for name, words in (("x.xlsx", "must end in"), ("x", "must end in"), ("no/x.csv", "does not exist")):
        code, _, err = call("export", "runs", str(tmp_path / name))
        assert code == 2 and words in err
    assert sorted(file.name for file in tmp_path.iterdir() if "kept" in file.name) == ["kept.parquet"]
