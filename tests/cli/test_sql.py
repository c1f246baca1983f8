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


def test_a_long_result_is_printed_in_parts_as_one_table(call, stored):
    question = "SELECT range AS n, 'w' || range AS word FROM range(1000, 6000)"
    lines = call("sql", question).out.splitlines()
    assert lines[:2] == ["   n  word", "1000  w1000"] and lines[-1] == "5999  w5999" and len(lines) == 5001
    assert len({len(line) for line in lines[1:]}) == 1
    assert json.loads(call("sql", question, "--json").out)[-1] == {"n": 5999, "word": "w5999"}
    assert call("sql", question, "--csv").out.endswith("\n5998,w5998\n5999,w5999\n")
    _, out, err = call("sql", question, "--limit", "3000")
    assert len(out.splitlines()) == 3001 and "the first 3,000 of 5,000 rows" in err
    zoned = "SELECT TIMESTAMPTZ '2026-02-01 00:00:00+02' AS t FROM range(4100)"
    assert len(call("sql", zoned, "--csv").out.splitlines()) == 4101


def test_a_result_without_rows(call, stored):
    question = "SELECT id, seed FROM runs WHERE false"
    assert call("sql", question).out == "id  seed\n"
    assert call("sql", question, "--csv").out == "id,seed\n"
    assert call("sql", question, "--json").out == "[]\n"


def test_a_wide_cell_after_the_first_part_is_kept_whole(call, stored):
    question = (
        "SELECT range AS n, repeat('x', CASE range WHEN 4000 THEN 500 ELSE 1 END) AS t FROM range(4100)"
    )
    assert "4000  " + "x" * 500 in call("sql", question).out.splitlines()


def test_a_result_that_fails_half_way_is_not_closed_as_if_it_were_whole(call, stored):
    question = "SELECT CASE range WHEN 50000 THEN 'x' ELSE '1' END::INT AS n FROM range(60000)"
    code, out, err = call("sql", question, "--json")
    assert code == 1 and not out.endswith("]\n") and "Could not convert" in err and "Traceback" not in err
