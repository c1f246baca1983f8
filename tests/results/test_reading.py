"""What is read of a run folder's Parquet files."""

from __future__ import annotations

import tempfile
from pathlib import Path
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.hashes import Hashes
from engine.results import run_rows as reading
from engine.results.ingest import ingest
from engine.results.queries import ask
from engine.results.tables import KEYS, TABLES, conform

SMALL = st.sampled_from("ab")
RANKING = st.fixed_dictionaries(
    {
        "collection": SMALL,
        "revision": st.just("1"),
        "protocol": st.sampled_from(["p", None]),
        "scoring": SMALL,
        "direction": st.just("xx-en"),
        "query_language": SMALL,
        "query_id": st.sampled_from("abcdef"),
        "rank": st.integers(1, 3),
        "document_id": SMALL,
        "score": st.integers(0, 9).map(float),
        "grade": st.none(),
    }
)


@given(st.lists(st.lists(RANKING, max_size=4), min_size=2, max_size=7))
@settings(deadline=None, max_examples=60)
def test_a_table_read_in_groups_of_parts_is_the_same_table(parts):
    """The reference is a dictionary: by its key, the last row of the last file."""
    expected = {}
    for row in (row for part in parts for row in part):
        expected[tuple(row[key] for key in KEYS["rankings"])] = {**row, "run": "r"}
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(reading, "LARGE", 0):
        run = Path(folder) / "r"
        run.mkdir()
        (run / "run.json").touch()
        for number, part in enumerate(parts):
            name = f"rankings-{number}.parquet" if number else "rankings.parquet"
            pq.write_table(conform("rankings", part, TABLES["rankings"]), run / name)
        with mock.patch.object(reading, "_run_row", return_value=pa.table({})):
            rows = reading.read_run(run, {}, Hashes(run)).tables["rankings"]
    pieces = [piece.to_pylist() for piece in rows]
    found = [row for piece in pieces for row in piece]
    assert len(found) == len(expected)
    assert {tuple(row[key] for key in KEYS["rankings"]): row for row in found} == expected
    keys = [{tuple(row[key] for key in KEYS["rankings"]) for row in piece} for piece in pieces]
    assert sum(map(len, keys)) == len(set().union(*keys))


def test_a_run_too_large_to_hold_is_ingested_part_by_part(make_run, score, results, runs, monkeypatch):
    """Parts without a query in common are decoded one at a time; a table with a broken part is left out."""
    monkeypatch.setattr(reading, "LARGE", 10)
    run = make_run("large", full=False)
    for language in ("so", "sw", "mr"):
        rows = [score(query_language=language, measure=f"R@{cut}") for cut in range(1, 9)]
        run.write_table("scores", rows, append=True)
    assert ingest(results, runs).added == [run.id]
    query = "SELECT query_language, count(*) FROM scores WHERE measure LIKE 'R@%' GROUP BY ALL ORDER BY ALL"
    assert ask(results, query).rows == [("mr", 8), ("so", 8), ("sw", 8)]
    piece = reading.read_run(run.path, {}, Hashes(runs)).tables["scores"]
    assert isinstance(piece, reading.Rows) and len(piece.groups) == 3

    (run.path / "scores-1.parquet").write_bytes((run.path / "scores-1.parquet").read_bytes()[:-20])
    report = ingest(results, runs)
    assert report.updated == [run.id] and "scores-1.parquet" in report.problems[0]
    assert ask(results, "SELECT count(*) FROM scores").rows == [(0,)]
    assert ask(results, "SELECT id FROM runs").rows == [(run.id,)]
