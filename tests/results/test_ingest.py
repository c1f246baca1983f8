from __future__ import annotations

import fcntl
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine import hashes
from engine.errors import BusyError, InputError, OpticalError
from engine.jobs.edit import delete
from engine.paths import cache_home
from engine.results import ingest as ingesting
from engine.results import run_rows as reading
from engine.results.database import SCHEMA_VERSION, connect, exclusive
from engine.results.draft import drafted
from engine.results.ingest import ingest
from engine.results.queries import ask
from engine.results.tables import KEYS, RUNS, STEPS, TABLES


def dump(results: Path) -> dict[str, list[str]]:
    """Every row of every table, whatever its order."""
    connection = duckdb.connect(results, read_only=True)
    try:
        names = [
            row[0]
            for row in connection.execute("SELECT table_name FROM duckdb_tables() ORDER BY ALL").fetchall()
        ]
        return {name: sorted(map(repr, connection.execute(f"FROM {name}").fetchall())) for name in names}
    finally:
        connection.close()


def change(results: Path, sql: str) -> None:
    connection = duckdb.connect(results)
    connection.execute(sql)
    connection.close()


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_the_schema_and_the_declared_tables_agree(results, runs):
    ingest(results, runs)
    connection = duckdb.connect(results, read_only=True)
    declared = {"runs": RUNS, "steps": STEPS, **TABLES}
    assert set(KEYS) == {"steps", *TABLES}
    for name, schema in declared.items():
        described = connection.execute(f"DESCRIBE {name}").fetchall()
        stored = {row[0]: (row[1].replace("JSON", "VARCHAR"), row[2] == "YES") for row in described}
        if name != "runs":
            assert stored.pop("run") == ("VARCHAR", False)
        assert list(stored) == schema.names
        empty = schema.empty_table()
        kinds = connection.execute("SELECT * FROM empty").description
        assert empty.num_rows == 0
        expected = {field.name: (str(kinds[i][1]), field.nullable) for i, field in enumerate(schema)}
        assert stored == expected, name
    connection.close()


def test_every_row_arrives(make_run, results, runs):
    run = make_run()
    report = ingest(results, runs)
    assert report.added == [run.id] and report.rebuilt and not report.problems
    counts = {
        "runs": 1,
        "steps": 6,
        "scores": 3,
        "query_scores": 2,
        "rankings": 2,
        "texts": 2,
        "plans": 2,
        "bitext": 1,
    }
    stored = dump(results)
    assert {name: len(stored[name]) for name in counts} == counts
    row = ask(results, "SELECT plan, cost, run FROM plans WHERE pair = 'p2'").rows[0]
    assert row[1:] == ([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], run.id) and len(row[0]) == 3
    assert ask(results, "SELECT config->>'$.training.steps', commit FROM runs").rows[0][0] == "300"
    assert ask(results, "SELECT (dropped->>'empty')::INT FROM bitext").rows == [(3,)]


def test_a_run_from_before_a_column_was_added_is_read_with_nulls(make_run, results, runs):
    run = make_run()
    (file,) = run.path.glob("rankings*.parquet")
    pq.write_table(pq.read_table(file).drop_columns(["revision", "protocol"]), file)
    assert not ingest(results, runs).problems
    assert ask(results, "SELECT rank, revision, protocol FROM rankings ORDER BY rank").rows == [
        (1, None, None), (2, None, None),
    ]  # fmt: skip
    pq.write_table(pq.read_table(file).drop_columns(["score"]), file)
    (problem,) = ingest(results, runs).problems
    assert "column 'score' is missing" in problem


def test_deleting_and_rebuilding_gives_equal_tables(make_run, results, runs):
    first, second = make_run("first"), make_run("second", value=0.1)
    ingest(results, runs)
    second.log(9, {"loss": 0.01}, 9.0)
    second.write_table("plans", [], append=False)
    third = make_run("third")
    delete(first.path, runs)
    ingest(results, runs)
    assert not list(runs.glob(".*"))
    third.update(note="later")
    ingest(results, runs)
    grown = dump(results)
    assert len(grown["runs"]) == 2
    results.unlink()
    report = ingest(results, runs)
    assert sorted(report.added) == sorted([second.id, third.id])
    assert dump(results) == grown


def test_only_what_changed_is_written_again(make_run, results, runs):
    one, two = make_run("one"), make_run("two")
    ingest(results, runs)
    before = results.stat().st_mtime_ns
    report = ingest(results, runs)
    assert sorted(report.unchanged) == sorted([one.id, two.id]) and results.stat().st_mtime_ns == before
    one.log(3, {"loss": 0.1}, 3.0)
    report = ingest(results, runs)
    assert (report.updated, report.unchanged, report.added) == ([one.id], [two.id], [])
    delete(two.path, runs)
    report = ingest(results, runs)
    assert (report.removed, report.unchanged) == ([two.id], [one.id])
    assert not any(two.id in row for rows in dump(results).values() for row in rows)


def test_a_change_that_keeps_size_and_time_is_seen(make_run, results, runs):
    run = make_run()
    ingest(results, runs)
    file = run.path / "run.json"
    old = file.stat()
    file.write_text(file.read_text().replace('"first"', '"tsrif"'))
    os.utime(file, ns=(old.st_atime_ns, old.st_mtime_ns))
    assert file.stat().st_size == old.st_size
    assert ingest(results, runs).updated == [run.id]
    assert ask(results, "SELECT name FROM runs").rows == [("tsrif",)]


def test_a_file_that_nobody_touched_is_not_read_again(make_run, results, runs, monkeypatch):
    monkeypatch.setattr(hashes, "SETTLED_SECONDS", 0.0)
    one, two = make_run("one"), make_run("two")
    ingest(results, runs)
    read = []
    true = reading.read_file
    monkeypatch.setattr(reading, "read_file", lambda path, **most: read.append(path) or true(path, **most))
    assert sorted(ingest(results, runs).unchanged) == sorted([one.id, two.id]) and not read
    # The same size at the same time, and back to what it was: both are seen.
    file = two.path / "run.json"
    old, text = file.stat(), file.read_text()
    for content, name in ((text.replace('"two"', '"owt"'), "owt"), (text, "two")):
        file.write_text(content)
        os.utime(file, ns=(old.st_atime_ns, old.st_mtime_ns))
        assert ingest(results, runs).updated == [two.id]
        assert ask(results, "SELECT name FROM runs WHERE id = ?", [two.id]).rows == [(name,)]
        assert read == [file]
        read.clear()
    # What is remembered may be lost, damaged or of another folder.
    (kept,) = (path for path in (cache_home() / "hashes").iterdir() if two.id in path.read_text())
    for content in ("[1, 2", "[1, 2]", '{"a": 3}', json.dumps({f"{two.id}/run.json": "x"})):
        kept.write_text(content)
        assert sorted(ingest(results, runs).unchanged) == sorted([one.id, two.id]) and file in read
    results.unlink()
    assert sorted(ingest(results, runs).added) == sorted([one.id, two.id])


def test_what_has_just_changed_is_read_again(make_run, results, runs, monkeypatch):
    run = make_run()
    monkeypatch.setattr(hashes, "SETTLED_SECONDS", 3600.0)
    ingest(results, runs)
    read = []
    true = reading.read_file
    monkeypatch.setattr(reading, "read_file", lambda path, **most: read.append(path) or true(path, **most))
    assert ingest(results, runs).unchanged == [run.id] and run.metrics_path in read


def test_a_loss_that_is_not_a_number_stays_one(make_run, results, runs):
    run = make_run(full=False)
    run.log(1, {"loss": float("nan"), "norm": float("inf"), "down": float("-inf")}, 0.5)
    ingest(results, runs)
    found = dict(ask(results, "SELECT metric, value::VARCHAR FROM steps").rows)
    assert found == {"loss": "nan", "norm": "inf", "down": "-inf"}
    assert ask(results, "SELECT count(*) FROM steps WHERE isnan(value)").rows == [(1,)]


def test_a_figure_written_twice_counts_as_last_written(make_run, score, results, runs):
    run = make_run()
    run.log(2, {"loss": 77.0}, 1.0)
    run.write_table("scores", [score(value=0.9), score(value=0.91)], append=True)
    ingest(results, runs)
    assert ask(results, "SELECT value FROM steps WHERE step = 2 AND metric = 'loss'").rows == [(77.0,)]
    assert ask(results, "SELECT value FROM scores WHERE query_language = 'so'").rows == [(0.91,)]
    assert ask(results, "SELECT count(*) FROM scores").rows == [(3,)]


def test_torn_and_corrupt_lines(make_run, results, runs):
    run = make_run(full=False)
    run.log(1, {"loss": 1.0}, 0.1)
    with run.metrics_path.open("ab") as stream:
        stream.write(b'garbage\n{"step": 2, "elapsed": 1, "metri')
    report = ingest(results, runs)
    assert report.added == [run.id] and "1 corrupt line" in report.problems[0]
    assert ask(results, "SELECT step FROM steps").rows == [(1,)]
    with run.metrics_path.open("ab") as stream:
        stream.write(b'cs": {"loss": 0.5}}\n')
    ingest(results, runs)
    assert ask(results, "SELECT step FROM steps ORDER BY step").rows == [(1,), (2,)]


def broken(run: Path, how: str) -> None:
    record = json.loads((run / "run.json").read_text())
    if how == "no record":
        (run / "run.json").unlink()
    elif how == "half a record":
        (run / "run.json").write_text('{"id": "x", "na')
    elif how == "not parquet":
        (run / "scores.parquet").write_bytes(b"PAR1 but not really")
    elif how == "truncated parquet":
        content = (run / "plans.parquet").read_bytes()
        (run / "plans.parquet").write_bytes(content[: len(content) // 2])
    elif how == "another table":
        shutil.copy(run / "bitext.parquet", run / "scores.parquet")
    elif how == "a folder":
        (run / "metrics.jsonl").unlink()
        (run / "metrics.jsonl").mkdir()
    elif how == "bad JSON inside":
        import pyarrow.parquet as pq

        table = pq.read_table(run / "bitext.parquet")
        bad = pa.array(["{not json"])
        pq.write_table(
            table.set_column(table.column_names.index("dropped"), "dropped", bad), run / "bitext.parquet"
        )
    else:
        field, value = {
            "no name": ("name", None),
            "wrong seed": ("seed", "seven"),
            "wrong state": ("state", "walking"),
            "wrong time": ("created", "yesterday"),
            "no time": ("created", None),
            "wrong tags": ("tags", {"a": 1}),
            "half a character": ("note", "\ud800"),
        }[how]
        (run / "run.json").write_text(json.dumps({**record, field: value}))


RECORDS = ["no record", "half a record", "no name", "wrong seed", "wrong state", "wrong time", "no time"]
RECORDS += ["wrong tags", "half a character"]
TABLES_DAMAGED = {
    "not parquet": "scores",
    "truncated parquet": "plans",
    "another table": "scores",
    "a folder": "steps",
    "bad JSON inside": "bitext",
}


def test_runs_with_a_broken_record_are_left_out_alone(make_run, results, runs):
    good = make_run("good")
    names = {how: how.replace(" ", "-") for how in RECORDS}
    for name in names.values():
        shutil.copytree(good.path, runs / name)
    assert len(ingest(results, runs).added) == 1 + len(RECORDS)
    for how, name in names.items():
        broken(runs / name, how)
    other = make_run("other", full=False)
    report = ingest(results, runs)
    assert (report.added, report.unchanged) == ([other.id], [good.id])
    assert sorted(report.removed) == sorted(names.values())
    assert len(report.problems) == len(RECORDS) and not any("\n" in problem for problem in report.problems)
    for name in names.values():
        assert any(problem.startswith(f"run {name} was left out: ") for problem in report.problems)
    grown = dump(results)
    assert grown["scores"] and {row[0] for row in ask(results, "SELECT id FROM runs").rows} == {
        good.id,
        other.id,
    }
    for table in KEYS:
        assert ask(results, f"SELECT count(*) FROM {table} WHERE run NOT IN (SELECT id FROM runs)").rows == [
            (0,)
        ]
    results.unlink()
    assert ingest(results, runs).problems == report.problems
    assert dump(results) == grown


def test_a_damaged_table_is_left_out_alone_and_said_each_time(make_run, results, runs):
    good = make_run("good")
    names = {how: how.replace(" ", "-") for how in TABLES_DAMAGED}
    for name in names.values():
        shutil.copytree(good.path, runs / name)
    ingest(results, runs)
    whole = {table: len(ask(results, f"FROM {table} WHERE run = ?", [good.id]).rows) for table in KEYS}
    for how, name in names.items():
        broken(runs / name, how)
    report = ingest(results, runs)
    assert sorted(report.updated) == sorted(names.values()) and not report.removed
    for how, table in TABLES_DAMAGED.items():
        (said,) = [problem for problem in report.problems if problem.startswith(f"run {names[how]}: ")]
        assert said.startswith(f"run {names[how]}: table {table!r} was left out: ") and "\n" not in said
        found = {name: len(ask(results, f"FROM {name} WHERE run = ?", [names[how]]).rows) for name in KEYS}
        assert found == {**whole, table: 0}
    grown = dump(results)
    again = ingest(results, runs)
    assert sorted(again.problems) == sorted(report.problems) and not again.updated
    # A table that is whole again is read again.
    shutil.copy(good.path / "scores.parquet", runs / names["not parquet"])
    mended = ingest(results, runs)
    assert mended.updated == [names["not parquet"]] and len(mended.problems) == len(TABLES_DAMAGED) - 1
    broken(runs / names["not parquet"], "not parquet")
    ingest(results, runs)
    assert dump(results) == grown
    results.unlink()
    assert sorted(ingest(results, runs).problems) == sorted(report.problems)
    assert dump(results) == grown


def test_a_copied_folder_is_another_run(make_run, results, runs):
    run = make_run()
    shutil.copytree(run.path, runs / "copy")
    ingest(results, runs)
    assert ask(results, "SELECT id FROM runs ORDER BY id").rows == sorted([(run.id,), ("copy",)])
    assert ask(results, "SELECT count(*) FROM scores WHERE run = 'copy'").rows == [(3,)]


def test_times_are_utc(make_run, results, runs):
    run = make_run()
    run.update(started="2026-01-01T10:00:00+03:00")
    ingest(results, runs)
    assert ask(results, "SELECT started::VARCHAR FROM runs").rows == [("2026-01-01 07:00:00",)]


def test_a_missing_folder_of_runs_does_not_empty_the_database(make_run, results, runs):
    run = make_run()
    ingest(results, runs)
    before = dump(results)
    assert ingest(results, runs.with_name("elsewhere")).missing == [run.id]
    assert dump(results) == before


def test_a_run_that_is_deleted_while_ingest_reads_is_gone_the_next_time(make_run, results, runs, monkeypatch):
    first, second = make_run("a"), make_run("b")
    ingest(results, runs)
    read_run = ingesting.read_run

    def reads_and_deletes(folder, *known):
        found = read_run(folder, *known)
        if folder == first.path:
            delete(folder, runs)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(ingesting, "read_run", reads_and_deletes)
        ingest(results, runs)
    report = ingest(results, runs)
    assert (report.removed, report.missing) == ([first.id], [])
    assert ask(results, "SELECT id FROM runs").rows == [(second.id,)]
    assert [path.name for path in runs.iterdir()] == [second.id]


def test_ingest_and_delete_empty_a_folder_together(make_run, results, runs, monkeypatch):
    run = make_run("a")
    (run.checkpoints / "student").mkdir()
    ingest(results, runs)
    rmtree = shutil.rmtree

    def meets_ingest(path, **how):
        if Path(path).name == "checkpoints":
            monkeypatch.setattr(shutil, "rmtree", rmtree)
            assert ingest(results, runs).removed == [run.id]
        rmtree(path, **how)

    monkeypatch.setattr(shutil, "rmtree", meets_ingest)
    assert delete(run.path, runs) == f"{run.id} is deleted"
    assert list(runs.iterdir()) == [] and ask(results, "SELECT id FROM runs").rows == []


def test_schema_versions(make_run, results, runs):
    run = make_run()
    ingest(results, runs)
    before = dump(results)
    change(results, f"UPDATE meta SET schema_version = {SCHEMA_VERSION + 1}")
    for action in (lambda: ingest(results, runs), lambda: ask(results, "SELECT 1")):
        with pytest.raises(InputError, match=r"newer Optical Workbench made it .*upgrade"):
            action()
    # An older one has other tables; it is rebuilt if every run it holds is still there.
    change(results, "UPDATE meta SET schema_version = 0; DROP TABLE plans; ALTER TABLE runs DROP COLUMN note")
    shutil.move(run.path, runs.with_name("away"))
    with pytest.raises(InputError, match=f"1 of its runs .{re.escape(run.id)}, .* are missing"):
        ingest(results, runs)
    shutil.move(runs.with_name("away"), run.path)
    report = ingest(results, runs)
    assert report.rebuilt and report.added == [run.id]
    assert dump(results) == before
    # So is one of this version that another list of languages went into.
    change(results, "UPDATE meta SET built_from = 'another'")
    assert ingest(results, runs).rebuilt and dump(results) == before


def test_what_is_not_ours_is_not_touched(results, runs):
    results.write_bytes(b"my thesis" * 1000)
    with pytest.raises(InputError, match="not a valid DuckDB database"):
        ingest(results, runs)
    assert results.read_bytes() == b"my thesis" * 1000
    results.unlink()
    change(results, "CREATE TABLE mine AS SELECT 42 AS answer")
    with pytest.raises(InputError, match="not a results database of Optical Workbench"):
        ingest(results, runs)
    assert dump(results) == {"mine": ["(42,)"]}


WRITER = """
import duckdb, sys
c = duckdb.connect(sys.argv[1])
c.execute("PRAGMA disable_checkpoint_on_shutdown")
c.execute("UPDATE runs SET note = 'committed'")
c.begin()
c.execute("DELETE FROM scores"); c.execute("DELETE FROM runs")
print("ready", flush=True); sys.stdin.read()
"""


def killed_writer(results: Path) -> None:
    with python(WRITER, results) as writer:
        assert writer.stdout.readline() == "ready\n"
        with pytest.raises(BusyError, match=f"process {writer.pid} holds"):
            ask(results, "SELECT 1", wait=0.05)
        writer.send_signal(signal.SIGKILL)


def test_a_writer_killed_midway_leaves_the_database_usable(make_run, results, runs):
    run = make_run()
    ingest(results, runs)
    killed_writer(results)
    assert ask(results, "SELECT note, (SELECT count(*) FROM scores) FROM runs").rows == [("committed", 3)]
    run.log(5, {"loss": 0.1}, 5.0)
    assert ingest(results, runs).updated == [run.id]
    assert ask(results, "SELECT max(step) FROM steps").rows == [(5,)]


def test_the_log_of_a_deleted_database_is_not_replayed(make_run, results, runs):
    make_run()
    ingest(results, runs)
    before = dump(results)
    killed_writer(results)
    assert results.with_name("results.duckdb.wal").exists()
    results.unlink()
    ingest(results, runs)
    assert dump(results) == before


# What another program does: it opens, asks and closes, and has no patience with a database that is locked.
IMPATIENT = """
import duckdb, sys, threading
done = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), done.set()), daemon=True).start()
print("ready", flush=True)
seen = []
while not done.is_set():
    with duckdb.connect(sys.argv[1], read_only=True) as database:
        seen.append(database.execute("SELECT count(DISTINCT run), max(step) FROM steps").fetchone())
runs, steps = zip(*seen)
assert set(runs) == {1} and list(steps) == sorted(steps), seen
print(len(seen), len(set(steps)))
"""


def test_a_plain_client_in_a_loop_is_never_refused(make_run, results, runs):
    run = make_run()
    ingest(results, runs)
    with python(IMPATIENT, results) as client:
        assert client.stdout.readline() == "ready\n"
        for step in range(3, 13):
            run.log(step, {"loss": 1 / step}, step)
            assert ingest(results, runs, wait=0).updated == [run.id]
        looks, states = client.communicate()[0].split()
        assert client.returncode == 0
    assert int(looks) > 10 and int(states) > 3


def test_a_reader_that_stays_goes_on_reading_what_it_opened(make_run, results, runs):
    run = make_run()
    ingest(results, runs)
    run.update(note="more")
    code = """
import duckdb, sys
c = duckdb.connect(sys.argv[1], read_only=True)
for line in sys.stdin:
    print(c.execute("SELECT count(*) FROM runs WHERE note = 'more'").fetchone()[0], flush=True)
"""
    with python(code, results) as reader:
        for _ in range(2):
            print(file=reader.stdin, flush=True)
            assert reader.stdout.readline() == "0\n"
            assert ingest(results, runs, wait=0).updated == [run.id] * (not _)
            assert ask(results, "SELECT note FROM runs").rows == [("more",)]


def test_a_reader_in_this_process_is_waited_for(make_run, results, runs):
    # DuckDB gives a process one view of a file; readers that come later would see the old one with the first.
    run = make_run()
    ingest(results, runs)
    run.update(note="more")
    reader = connect(results)
    with pytest.raises(BusyError, match="another part of this process holds the results database") as caught:
        ingest(results, runs, wait=0.1)
    assert caught.value.exit_code == 3
    reader.close()
    assert ingest(results, runs).updated == [run.id]
    assert ask(results, "SELECT note FROM runs").rows == [("more",)]


KILLED = """
import os, sys
from pathlib import Path
from engine.results import draft, ingest
module, _, name = sys.argv[3].partition(".")
owner = {"draft": draft, "ingest": ingest, "Path": Path}[module]
true = getattr(owner, name)
def then_die(*arguments, **options):
    true(*arguments, **options)
    if name != "unlink" or arguments[0].name == "results.duckdb.wal":
        os._exit(9)
setattr(owner, name, then_die)
ingest.ingest(Path(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.mark.parametrize(
    "after", ["draft._copy", "ingest._write", "draft.flush", "Path.unlink", "Path.replace"]
)
def test_an_ingest_killed_at_any_step_leaves_a_whole_database(make_run, results, runs, after):
    run = make_run()
    ingest(results, runs)
    before = dump(results)
    run.update(note="more")
    make_run("second")
    if after == "Path.unlink":
        killed_writer(results)  # so that there is a log to remove, and what is in it to lose
    with python(KILLED, results, runs, after) as process:
        process.communicate()
    assert process.returncode == 9
    assert (dump(results) == before) == (after != "Path.replace")
    ingest(results, runs)
    assert sorted(path.name for path in results.parent.iterdir()) == [
        "results.duckdb", "results.duckdb.lock", "runs",
    ]  # fmt: skip
    after_all = dump(results)
    assert len(after_all["runs"]) == 2
    results.unlink()
    ingest(results, runs)
    assert dump(results) == after_all


def test_what_another_program_writes_meanwhile_is_not_overwritten(make_run, results, runs):
    run = make_run()
    ingest(results, runs)
    run.update(note="more")
    with (
        pytest.raises(BusyError, match="another program wrote to it at the same time"),
        exclusive(results),
        drafted(results, empty=False, wait=1),
    ):
        change(results, "CREATE TABLE theirs AS SELECT 1")
    assert dump(results)["theirs"] == ["(1,)"]
    assert not list(results.parent.glob(".*"))


def test_links_and_permissions_stay(make_run, results, runs):
    run = make_run()
    ingest(results, runs)
    results.chmod(0o600)
    link = results.with_name("link.duckdb")
    link.symlink_to(results)
    run.update(note="more")
    assert ingest(link, runs).updated == [run.id]
    assert link.is_symlink() and results.stat().st_mode & 0o777 == 0o600
    assert ask(results, "SELECT note FROM runs").rows == [("more",)]


def test_two_ingesters_take_turns(make_run, results, runs):
    make_run()
    code = """
import sys
from pathlib import Path
from engine.results.database import exclusive
with exclusive(Path(sys.argv[1])):
    print(flush=True); sys.stdin.read()
"""
    with python(code, results) as other:
        other.stdout.readline()
        with pytest.raises(BusyError, match=f"process {other.pid} is writing"):
            ingest(results, runs, wait=0.05)
        other.kill()
    # The lock ends with its process, even a killed one.
    assert ingest(results, runs).added
    with results.with_name("results.duckdb.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


LIMITED = """
import resource, signal, sys
from pathlib import Path
from engine.errors import OpticalError
from engine.results.ingest import ingest
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
try:
    ingest(Path(sys.argv[1]), Path(sys.argv[2]))
except OpticalError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize("room", ["for no log", "for the log alone"])
def test_a_full_disk_fails_in_one_sentence_and_leaves_the_database_whole(make_run, results, runs, room):
    # A limit on the size of files stands in for the disk: DuckDB meets an error of the same kind in write().
    run = make_run()
    ingest(results, runs)
    before = dump(results)
    for step in range(20_000):
        run.log(step, {"a": math.sin(step), "b": math.cos(step)}, step)
    fresh = results.with_name("fresh.duckdb")
    limit = 20_000 if room == "for no log" else results.stat().st_size
    for target in (results, fresh) if room == "for no log" else (fresh,):
        with python(LIMITED, target, runs, limit) as process:
            said = process.communicate()[0]
        assert f"{target}: cannot be written" in said and said.count("\n") == 1
    assert not fresh.exists() and not list(results.parent.glob(".*draft*"))
    assert dump(results) == before
    assert ingest(results, runs).updated == [run.id]


def test_an_unwritable_place_is_one_sentence(runs, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OpticalError, match="cannot be created"):
        ingest(tmp_path / "file" / "results.duckdb", runs)


def test_parts_of_killed_writers_are_removed_from_run_folders(make_run, results, runs):
    run = make_run(full=False)
    for folder in (run.path, run.checkpoints):
        left = folder / ".optical-1-abcd.part"
        left.mkdir()
        (left / "state.safetensors").write_bytes(b"0" * 100)
    ingest(results, runs)
    assert not list(run.path.rglob(".optical*"))
