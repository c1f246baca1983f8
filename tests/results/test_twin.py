"""The twin of a large database: it takes turns with the database, so that nothing is copied."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys

import duckdb
import pytest

from engine.jobs.edit import delete
from engine.results import draft
from engine.results.ingest import ingest
from engine.results.queries import ask
from tests.results.test_ingest import IMPATIENT, KILLED, change, dump, killed_writer, python


@pytest.fixture(autouse=True)
def every_database_is_large(monkeypatch):
    monkeypatch.setattr(draft, "TWIN_BYTES", 0)
    monkeypatch.setattr(draft, "LARGE_SHARE", 0)
    monkeypatch.setattr(draft, "RETIRED_SECONDS", 0.01)


@pytest.fixture
def copies(monkeypatch):
    """The files that were copied."""
    made = []
    true = draft._copy
    monkeypatch.setattr(
        draft, "_copy", lambda source, target: (made.append(source.name), true(source, target))
    )
    return made


def rebuilt(results, runs):
    fresh = results.with_name("fresh.duckdb")
    for path in (fresh, draft.twin_of(fresh)):
        path.unlink(missing_ok=True)
    ingest(fresh, runs)
    return dump(fresh)


def test_one_more_run_copies_nothing(make_run, results, runs, copies):
    make_run()
    ingest(results, runs)
    for name in ("second", "third", "fourth"):
        run = make_run(name)
        before = results.stat().st_ino, draft.twin_of(results).stat().st_ino
        assert ingest(results, runs).added == [run.id]
        assert (results.stat().st_ino, draft.twin_of(results).stat().st_ino) == before[::-1]
        assert dump(results) == rebuilt(results, runs)
    assert [name for name in copies if "results" in name] == [".results.duckdb.draft"]  # when it was built


def test_a_large_change_makes_a_new_twin(make_run, results, runs, copies, monkeypatch):
    monkeypatch.setattr(draft, "LARGE_SHARE", 10**9)
    make_run()
    ingest(results, runs)
    assert copies == [".results.duckdb.draft"]
    assert dump(draft.twin_of(results)) == dump(results)


@pytest.mark.parametrize("seed", range(2))
def test_any_changes_give_what_a_rebuild_gives(make_run, results, runs, seed):
    draw = random.Random(seed)
    made, seen, vanished, before = [], {}, [], {}
    for step in range(12):
        forgotten = []
        for _ in range(draw.randint(1, 3)):
            what = draw.choice(["add", "add", "add", "note", "remove", "vanish", "forget", "break", "table"])
            if what == "add" or not made:
                made.append(make_run(f"r{step}"))
            elif what == "note":
                draw.choice(made).update(note=str(step))
            elif what == "remove":
                delete(made.pop(draw.randrange(len(made))).path, runs)
            elif what == "vanish":
                run = made.pop(draw.randrange(len(made)))
                shutil.rmtree(run.path)
                vanished += [run.id] * (run.id in seen)
            elif what == "forget":
                if vanished:
                    forgotten.append(vanished.pop(draw.randrange(len(vanished))))
            elif what == "break":
                (made.pop(draw.randrange(len(made))).path / "scores.parquet").write_bytes(b"no table")
            else:
                draw.choice(made).log(step + 10, {"loss": 0.1}, step)
        report = ingest(results, runs, forget=forgotten)
        now = {key: sorted(rows) for key, rows in _by_run(results).items()}
        assert report.missing == sorted(vanished)
        assert set(report.added) == now.keys() - seen.keys()
        assert set(report.removed) == seen.keys() - now.keys()
        assert set(report.updated) == {run for run in now.keys() & seen.keys() if now[run] != seen[run]}
        same = {run for run in now.keys() & seen.keys() if now[run] == seen[run]}
        assert set(report.unchanged) == same - set(vanished) and same >= set(vanished)
        # What vanished is as it was, and all else is what the folders have.
        after = dump(results)
        kept = _rows_of(after, vanished)
        assert not vanished or kept == _rows_of(before, vanished)
        assert {table: sorted(set(rows) - set(kept[table])) for table, rows in after.items()} == {
            table: sorted(set(rows)) for table, rows in rebuilt(results, runs).items()
        }
        seen, before = now, after


def _rows_of(tables, runs):
    return {name: [row for row in rows if any(run in row for run in runs)] for name, rows in tables.items()}


def _by_run(results):
    found = {}
    for run, file, digest in ask(results, "SELECT run, file, hash FROM ingested").rows:
        found.setdefault(run, []).append((file, digest))
    return found


def test_what_another_program_wrote_stays(make_run, results, runs):
    for name in ("first", "second", "third"):
        make_run(name)
        ingest(results, runs)
    change(results, "CREATE TABLE theirs AS SELECT 1 AS answer")
    for name in ("fourth", "fifth", "sixth"):
        make_run(name)
        ingest(results, runs)
        assert dump(results)["theirs"] == ["(1,)"]
    killed_writer(results)  # leaves what it committed in a log
    make_run("seventh")
    ingest(results, runs)
    assert ask(results, "SELECT count(*) FROM runs WHERE note = 'committed'").rows == [(6,)]
    assert dump(results)["theirs"] == ["(1,)"]


def test_a_backup_by_hard_link_stays_as_it_is(make_run, results, runs):
    for name in ("first", "second"):
        make_run(name)
        ingest(results, runs)
    backup = results.with_name("backup.duckdb")
    os.link(results, backup)
    before = dump(backup)
    for name in ("third", "fourth", "fifth"):
        make_run(name)
        ingest(results, runs)
    assert dump(backup) == before


READER = """
import duckdb, sys
c = duckdb.connect(sys.argv[1], read_only=True)
for line in sys.stdin:
    print(c.execute("SELECT count(*), (SELECT count(*) FROM scores) FROM runs").fetchone(), flush=True)
"""


def test_a_reader_that_stays_keeps_the_twin_from_being_used(make_run, results, runs):
    for name in ("first", "second"):
        make_run(name)
        ingest(results, runs)
    with python(READER, results) as reader:
        for count in range(3, 7):
            print(file=reader.stdin, flush=True)
            assert reader.stdout.readline() == "(2, 6)\n"
            make_run(f"run {count}")
            ingest(results, runs)
            assert ask(results, "SELECT count(*) FROM runs").rows == [(count,)]


def test_a_plain_client_in_a_loop_is_never_refused(make_run, results, runs, monkeypatch):
    monkeypatch.setattr(draft, "RETIRED_SECONDS", 0.25)
    run = make_run()
    ingest(results, runs)
    with python(IMPATIENT, results) as client:
        assert client.stdout.readline() == "ready\n"
        for step in range(3, 13):
            run.log(step, {"loss": 1 / step}, step)
            assert ingest(results, runs).updated == [run.id]
        looks, states = client.communicate()[0].split()
        assert client.returncode == 0
    assert int(looks) > 10 and int(states) > 3


@pytest.mark.parametrize("damage", ["torn", "other", "link"])
def test_a_twin_that_is_none_is_not_used(make_run, results, runs, damage):
    for name in ("first", "second"):
        make_run(name)
        ingest(results, runs)
    twin = draft.twin_of(results)
    match = results.stat().st_mtime_ns
    if damage == "torn":
        twin.write_bytes(twin.read_bytes()[:5000])
    elif damage == "other":
        twin.write_bytes(b"no database")
    else:  # a writer was killed after it had linked the database
        twin.unlink()
        os.link(results, twin)
    os.utime(twin, ns=(match, match))
    run = make_run("third")
    assert ingest(results, runs).added == [run.id]
    assert dump(results) == rebuilt(results, runs)


LARGE = """
from engine.jobs.edit import delete
from engine.results import draft
draft.TWIN_BYTES = draft.LARGE_SHARE = 0
draft.RETIRED_SECONDS = 0.01
"""


@pytest.mark.parametrize(
    "after",
    ["draft._open_twin", "ingest._write", "draft.flush", "draft._make_twin", "Path.replace", "draft._match"],
)
def test_an_ingest_killed_at_any_step_leaves_a_whole_database(make_run, results, runs, after):
    run = make_run()
    ingest(results, runs)
    run.update(note="more")
    ingest(results, runs)
    for name in ("second", "third"):
        before = dump(results)
        make_run(name)
        with python(LARGE + KILLED, results, runs, after) as process:
            process.communicate()
        assert process.returncode == 9
        assert dump(results) in (before, rebuilt(results, runs))
        ingest(results, runs)
        assert dump(results) == rebuilt(results, runs)
    assert not list(results.parent.glob(".results*draft*"))


KILL = """
import sys
from pathlib import Path
from engine.results.ingest import ingest
print(flush=True)
while True:
    ingest(Path(sys.argv[1]), Path(sys.argv[2]))
    for run in Path(sys.argv[2]).iterdir():
        with (run / "metrics.jsonl").open("a") as file:
            file.write('{"step": 9, "elapsed": 1.0, "loss": 0.5}\\n')
        break
"""


@pytest.mark.slow
def test_kills_at_random_moments(make_run, results, runs):
    make_run()
    make_run("second")
    ingest(results, runs)
    draw = random.Random(0)
    for _ in range(30):
        process = subprocess.Popen(
            [sys.executable, "-c", LARGE + KILL, str(results), str(runs)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(draw.uniform(0, 0.4))
        process.kill()
        process.communicate()
        with duckdb.connect(results, read_only=True) as plain:
            assert plain.execute("SELECT count(*) FROM runs").fetchone() == (2,)
            assert plain.execute("SELECT count(*) FROM scores").fetchone() == (6,)
    ingest(results, runs)
    assert dump(results) == rebuilt(results, runs)
