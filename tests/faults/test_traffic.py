"""Runs that write, processes that read in and processes that ask, all at once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.results.ingest import ingest
from tests.faults.conftest import TRAFFIC_SECONDS
from tests.results.test_ingest import dump

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]

PROGRAM = f"""
import json, sys, time
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from pathlib import Path
from engine.config import BitextConfig, DistilConfig
from engine.errors import BusyError
from engine.results.ingest import ingest
from engine.results.queries import ask, list_runs
from engine.results.run_folder import RunFolder
role, results, seconds = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
runs = results.parent / "runs"
config = DistilConfig(name=role, bitext=[BitextConfig(path="x.tsv", language="so")])
score = dict(collection="c", revision="r", protocol="bitext", scoring="maxsim", direction="xx-en",
             query_language="so", document_language="en", value=0.5, low=None, high=None, queries=3)
done = busy = seen = 0
print("ready", flush=True)
sys.stdin.readline()
end = time.monotonic() + seconds
while time.monotonic() < end:
    try:
        if role.startswith("write"):
            run = RunFolder.create(runs, config, [], f"{{role}}-{{done}}")
            for step in range(5):
                run.log(step, {{"loss": 1.0 / (step + 1)}}, float(step))
            for measure in ("RR", "R@1", "R@10"):
                run.write_table("scores", [{{**score, "measure": measure}}], append=True)
            run.finish("finished")
            if done % 3 == 0:
                run.update(note="changed")
        elif role.startswith("ingest"):
            problems = ingest(results, runs).problems
            # a run whose record is about to be written is left out, and said
            assert all("it has no run.json" in problem for problem in problems), problems
        else:
            # what is finished is there with all its rows, and stays there
            sql = ("SELECT count(*), count(*) FILTER (n <> 3) FROM runs LEFT JOIN (SELECT run, count(*) "
                   "AS n FROM scores GROUP BY run) ON run = id WHERE state = 'finished'")
            (finished, torn), = ask(results, sql).rows
            assert torn == 0 and finished >= seen, (finished, torn, seen)
            seen = finished
            list_runs(results)
        done += 1
    except BusyError:
        busy += 1
print(json.dumps({{"done": done, "busy": busy}}), flush=True)
"""


def test_readers_and_writers_together(tmp_path: Path, tell: Callable[[str, int, str], None]) -> None:
    results = tmp_path / "results.duckdb"
    (tmp_path / "runs").mkdir()
    ingest(results, tmp_path / "runs")
    # A program in a file: DuckDB takes `python -c` for an interactive session and draws progress bars.
    program = tmp_path / "traffic.py"
    program.write_text(PROGRAM, "utf-8")
    roles = ["write-a", "write-b", "ingest-a", "ingest-b", "read-a", "read-b", "read-c"]
    processes = {
        role: subprocess.Popen(
            [sys.executable, str(program), role, str(results), str(TRAFFIC_SECONDS)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for role in roles
    }  # fmt: skip
    for process in processes.values():  # all begin at once
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == "ready\n"
    counts = {}
    for process in processes.values():
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for role, process in processes.items():
        out, err = process.communicate()
        assert process.returncode == 0, (role, err)
        counts[role] = json.loads(out)
        assert counts[role]["done"] or counts[role]["busy"], role
    ingest(results, tmp_path / "runs")
    again = tmp_path / "again" / "results.duckdb"
    again.parent.mkdir()
    (again.parent / "runs").symlink_to(tmp_path / "runs")
    ingest(again, tmp_path / "runs")
    assert dump(results) == dump(again)
    number = {
        what: sum(count["done"] for role, count in counts.items() if role.startswith(what))
        for what in ("write", "ingest", "read")
    }
    busy = sum(count["busy"] for count in counts.values())
    tell(
        f"2 writers, 2 ingests and 3 readers for {TRAFFIC_SECONDS:g} s",
        sum(number.values()),
        f"{number['write']:,} runs, {number['ingest']:,} ingests, {number['read']:,} reads, {busy} times "
        "busy; no torn read, the database is that of a rebuild",
    )
