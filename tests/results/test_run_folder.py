from __future__ import annotations

import errno
import json
import math
import os
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config import BitextConfig, DistilConfig
from engine.errors import InputError, OpticalError
from engine.results.metrics_log import parse_lines
from engine.results.run_folder import FIELDS, RunFolder, new_run_id, read_part, tail
from engine.results.run_rows import _part
from engine.results.tables import to_table


def test_run_json_says_what_ran_where(make_run, runs):
    run = make_run("Soomaali één", full=False, seed=7, tags=["a"], note="n")
    record = json.loads((run.path / "run.json").read_text())
    assert tuple(record) == FIELDS
    assert run.path.parent == runs and record["id"] == run.path.name
    assert (record["name"], record["seed"], record["tags"], record["note"]) == ("Soomaali één", 7, ["a"], "n")
    assert (record["kind"], record["state"], record["ended"]) == ("distil", "running", None)
    assert record["versions"]["torch"] == metadata.version("torch")
    assert record["versions"]["pot"] == metadata.version("pot")
    assert record["pid"] == os.getpid()
    assert abs(record["process_started"] - time.time()) < 24 * 3600
    # The recorded configuration is enough to make the same run again.
    assert DistilConfig.model_validate(record["config"]).model_dump(mode="json") == record["config"]


def test_ids_sort_by_time_and_are_readable():
    assert new_run_id("Kiswahili: mara ya 2!").split("-", 2)[2].startswith("kiswahili-mara-ya-2-")
    assert new_run_id("सफल").split("-")[2] == "run"
    assert len({new_run_id("same") for _ in range(50)}) > 45
    assert len(new_run_id("x" * 80)) < 70


def test_the_launcher_may_choose_the_id_once(runs):
    config = DistilConfig(bitext=[BitextConfig(path="x", language="so")])
    (runs / "mine").mkdir(parents=True)
    (runs / "mine" / "log.txt").write_text("starting")
    assert RunFolder.create(runs, config, [], run_id="mine").id == "mine"
    with pytest.raises(InputError, match="there is already a run"):
        RunFolder.create(runs, config, [], run_id="mine")
    for wrong in ("../up", "a/b", ".hidden"):
        with pytest.raises(InputError, match="cannot be the id of a run"):
            RunFolder.create(runs, config, [], run_id=wrong)


def test_update_merges_the_summary_and_refuses_unknown_fields(make_run):
    run = make_run(full=False)
    run.update(device="cpu", summary={"best_step": np.int64(3)})
    run.update(summary={"gain": math.nan, "shape": np.zeros(2)})
    record = RunFolder.open(run.path).record
    assert record["device"] == "cpu"
    assert record["summary"] == {"best_step": 3, "gain": "NaN", "shape": [0.0, 0.0]}
    with pytest.raises(OpticalError, match="did you mean 'device'"):
        run.update(devise="cpu")


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_record_whole(make_run, monkeypatch, call):
    run = make_run(full=False)
    before = (run.path / "run.json").read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full) if call == "fsync" else monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OpticalError, match=r"run\.json: cannot be written: No space left"):
        run.update(device="cpu")
    with pytest.raises(OpticalError, match=r"bitext\.parquet: cannot be written"):
        run.write_table("bitext", [])
    assert (run.path / "run.json").read_bytes() == before
    assert sorted(file.name for file in run.path.iterdir()) == ["heartbeat", "lock", "run.json"]


def test_finish_and_resume(make_run):
    run = make_run(full=False)
    run.finish("failed", "the disk is full")
    record = RunFolder.open(run.path).record
    assert (record["state"], record["failure"]) == ("failed", "the disk is full") and record["ended"]
    again = RunFolder.open(run.path)
    again.resume(["optical-workbench", "run", "--resume", run.id])
    record = RunFolder.open(run.path).record
    assert (record["state"], record["failure"], record["ended"]) == ("running", None, None)
    assert record["argv"][-1] == run.id and record["started"] >= record["created"]


values = st.floats(allow_nan=True, allow_infinity=True)
metric_names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
logs = st.lists(
    st.tuples(st.integers(0, 10**6), st.dictionaries(metric_names, values, max_size=4)), max_size=6
)


def same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


@settings(deadline=None, max_examples=60)
@given(logs, st.data())
def test_tail_gives_back_what_was_logged_wherever_it_is_cut(tmp_path_factory, written, data):
    folder = tmp_path_factory.mktemp("run")
    run = RunFolder(folder, {})
    for step, metrics in written:
        run.log(step, metrics, elapsed=1.5)
    whole = run.metrics_path.read_bytes() if written else b""
    for line in whole.decode().split("\n"):
        assert "NaN" not in line.replace('"NaN"', "") and "Infinity" not in line.replace('Infinity"', "")
    cut = data.draw(st.integers(0, len(whole)))
    torn = folder / "torn.jsonl"
    torn.write_bytes(whole[:cut])
    first = tail(torn)
    torn.write_bytes(whole)
    second = tail(torn, first.offset)
    assert first.corrupt == second.corrupt == 0 and second.offset == len(whole)
    read = first.records + second.records
    assert [record.step for record in read] == [step for step, _ in written]
    for record, (_, metrics) in zip(read, written, strict=True):
        assert record.metrics.keys() == metrics.keys() and record.elapsed == 1.5
        assert all(same(record.metrics[name], metrics[name]) for name in metrics)


@given(st.binary())
def test_no_bytes_break_the_reader(content):
    found = parse_lines(content)
    assert found.offset == content.rfind(b"\n") + 1
    assert found.corrupt + len(found.records) <= content.count(b"\n")


def test_corrupt_lines_are_skipped_and_counted(tmp_path):
    good = b'{"step": 1, "elapsed": 2.0, "metrics": {"loss": 3.0}}\n'
    bad = [b"nonsense", b"[1]", b'{"step": 1}', b"\xff\xfe", b'{"step": 1e400, "elapsed": 1, "metrics": {}}']
    bad += [b'{"step": %d, "elapsed": 1, "metrics": {}}' % 2**70, b"[" * 100_000]
    file = tmp_path / "metrics.jsonl"
    file.write_bytes(good + b"\n".join(bad) + b"\n\n" + good)
    found = tail(file)
    assert (len(found.records), found.corrupt) == (2, len(bad))
    assert tail(tmp_path / "none.jsonl") == ([], 0, 0)


def test_a_rewritten_file_is_read_from_its_start(tmp_path):
    file = tmp_path / "metrics.jsonl"
    file.write_bytes(b'{"step": 1, "elapsed": 2.0, "metrics": {}}\n')
    assert [record.step for record in tail(file, 10_000).records] == [1]


def test_a_resumed_run_does_not_glue_its_line_to_a_torn_one(make_run):
    run = make_run(full=False)
    run.log(1, {"loss": 1.0}, 0.1)
    with run.metrics_path.open("ab") as stream:
        stream.write(b'{"step": 2, "ela')
    RunFolder.open(run.path).log(2, {"loss": 0.5}, 0.2)
    found = tail(run.metrics_path)
    assert [record.step for record in found.records] == [1, 2] and found.corrupt == 1


def test_a_table_is_plain_parquet_in_parts(make_run):
    run = make_run()
    assert sorted(file.name for file in run.path.glob("plans*")) == ["plans-1.parquet", "plans.parquet"]
    rows = duckdb.execute("SELECT pair, plan, cost, iterations FROM read_parquet(?)", [f"{run.path}/plans*"])
    found = {row[0]: row[1:] for row in rows.fetchall()}
    assert found.keys() == {"p1", "p2"}
    np.testing.assert_allclose(found["p1"][0], np.full((3, 2), 1 / 6), rtol=1e-6)
    assert found["p2"][1:] == ([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], 50)
    # Writing the whole table again leaves no part of the old one.
    run.write_table("plans", to_table("plans", []))
    assert [file.name for file in run.path.glob("plans*")] == ["plans.parquet"]


def test_rows_that_do_not_fit_their_table_are_refused(make_run):
    run = make_run(full=False)
    row = {
        "name": "x",
        "source_language": "so",
        "target_language": "en",
        "pairs": 1,
        "dropped": "{}",
        "hash": "h",
    }
    wrong = {
        "did you mean 'bitext'": ("bitexts", row),
        "no column 'pair' .did you mean 'pairs'": ("bitext", {**row, "pair": 1}),
        "the run's id is added by ingest": ("bitext", {**row, "run": "r"}),
        "column 'hash' is missing": ("bitext", {key: row[key] for key in row if key != "hash"}),
        "does not fit its column": ("bitext", {**row, "pairs": "many"}),
        "column 'hash' has no value": ("bitext", {**row, "hash": None}),
    }
    for message, (name, bad) in wrong.items():
        with pytest.raises(OpticalError, match=message):
            run.write_table(name, [row, bad])
    assert not list(run.path.glob("*.parquet"))


def test_not_a_run_folder(tmp_path):
    with pytest.raises(InputError, match=r"no run\.json"):
        RunFolder.open(tmp_path)
    for content in ("{", "[]", "{}"):
        (tmp_path / "run.json").write_text(content)
        with pytest.raises(InputError, match="not the record of a run"):
            RunFolder.open(tmp_path)


def test_nothing_here_imports_torch():
    modules = "engine.results.queries, engine.results.ingest, engine.jobs.launch"
    code = f"import sys, {modules}; sys.exit(any(m in sys.modules for m in ('torch', 'transformers', 'ot')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_changed_byte_in_a_table_is_never_read(make_run):
    run = make_run()
    columns = ("collection", "revision", "topic", "kind", "value")
    rows = [{name: f"{name} {number * 7919 % 100}" for name in columns} for number in range(30)]
    file = run.write_table("topics", rows)
    whole = file.read_bytes()
    right = read_part(file)
    assert pq.read_table(file).equals(right)  # it is a plain Parquet file
    for place in range(0, len(whole), 3):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        for read in (read_part, lambda path: _part("topics", path, path.read_bytes())):
            try:
                assert read(file).to_pylist() == right.to_pylist()
            except InputError as error:
                assert str(file) in str(error) and "\n" not in str(error)
