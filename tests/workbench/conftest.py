"""A small results database with fixed times and values, and functions that wait for the app."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from textual.pilot import Pilot

from engine.config import BitextConfig, DistilConfig
from engine.paths import run_log
from engine.results.ingest import ingest
from engine.results.run_folder import RunFolder
from workbench.app import Workbench
from workbench.data.runs import UPDATING


@pytest.fixture(autouse=True)
def own_sql_tabs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the SQL tabs of a test from the next one, which has the same cache."""
    monkeypatch.setattr("workbench.sql.kept_tabs.tabs_file", lambda: tmp_path / "sql-tabs.json")


LANGUAGES = ("ar", "de", "so", "th")
NOW = datetime(2026, 5, 4, 12, 0, 0)
WORDS = ("المكتبة", "ขอบคุณ", "क्षत्रिय", "机器翻译", "👩‍🔬", "biyo")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run tests that are coroutines, so that no plugin is needed."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


def make_run(runs: Path, number: int, name: str, *, scored: bool = True, **settings: Any) -> RunFolder:
    """Write one finished run; a larger `number` is newer and better."""
    bitext = [BitextConfig(path=f"tico/{code}.tmx", language=code) for code in LANGUAGES[: 2 + number]]
    config = DistilConfig(name=name, bitext=bitext, **settings)
    run = RunFolder.create(runs, config, ["optical-workbench"], run_id=f"20260504-10000{number}-{name}")
    for step in range(0, 41, 2):
        run.log(
            step, {"loss": 2 / (1 + step / 10) + number, "learning_rate": step * 1e-6}, elapsed=step * 3.0
        )
        if step % 10 == 0:
            held_out = {
                "held_out_rr": 0.5 + step / 100,
                "held_out_rr_so": 0.3 + step / 80,
                "plan_entropy": 0.6,
            }
            run.log(step, held_out, elapsed=step * 3.0)
    if scored:
        _write_scores(run, number)
    run_log(run.path).write_text("reading bitext\nstep 40 of 40\n", "utf-8")
    run.update(summary={"held_out_rr": 0.9})
    run.finish("finished")
    record = json.loads((run.path / "run.json").read_text("utf-8"))
    record.update(created=f"2026-05-04T10:00:0{number}+00:00", started=f"2026-05-04T10:00:0{number}+00:00")
    record.update(ended="2026-05-04T10:05:00+00:00", host="host", pid=1, commit=None)
    (run.path / "run.json").write_text(json.dumps(record), "utf-8")
    return run


def _write_scores(run: RunFolder, number: int) -> None:
    generator = np.random.default_rng(7)
    common = {"collection": "tico", "revision": "abc", "scoring": "maxsim", "direction": "xx-en"}
    scores, queries, rankings = [], [], []
    for place, code in enumerate(LANGUAGES):
        ranks = generator.integers(1, 6, 40) + place
        better = np.maximum(1, ranks - number * (generator.random(40) < 0.2 * (place + 1)))
        values = 1 / better
        scores.append(
            {**common, "protocol": "bitext", "query_language": code, "document_language": "en",
             "measure": "RR", "value": float(values.mean()), "low": None, "high": None, "queries": 40}
        )  # fmt: skip
        for query, value in enumerate(values):
            key = {**common, "protocol": "bitext", "query_language": code, "query_id": f"{code}:{query}"}
            queries.append({**key, "document_language": "en", "measure": "RR", "value": float(value)})
            for rank in range(1, 4):
                document = f"en:{(query + rank) % 40}"
                grade = 1 if rank == int(better[query]) else None
                rankings.append(
                    {**key, "rank": rank, "document_id": document, "score": 1 / rank, "grade": grade}
                )
    told = {"collection": "tico", "revision": "abc"}
    texts = [
        {
            **told,
            "role": "query",
            "id": row["query_id"],
            "language": row["query_language"],
            "text": f"swali {n}",
        }
        for n, row in enumerate(queries)
    ]
    texts += [
        {**told, "role": "document", "id": f"en:{n}", "language": "en", "text": f"Wash your hands, rule {n}."}
        for n in range(40)
    ]
    run.write_table("texts", texts)
    run.write_table("scores", scores)
    run.write_table("query_scores", queries)
    run.write_table("rankings", rankings)
    mass = generator.dirichlet(np.full(5, 0.3), len(WORDS)) / len(WORDS)
    run.write_table(
        "plans",
        [
            {"pair": "p1", "source_language": "ar", "source_text": " ".join(WORDS), "solver": "sinkhorn",
             "target_text": "thank you the library machine", "source_tokens": list(WORDS), "epsilon": 0.05,
             "target_tokens": ["thank", "you", "the", "library", "machine"], "plan": mass, "cost": 1 - mass,
             "iterations": 50, "marginal_error": 1e-5, "converged": True, "value": 0.4, "entropy": 0.7}
        ],
    )  # fmt: skip


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two scored runs, one without scores, and the database made from them."""
    folder = tmp_path_factory.mktemp("made")
    make_run(folder / "runs", 0, "baseline")
    make_run(folder / "runs", 1, "optical", tags=["tico"])
    make_run(folder / "runs", 2, "newest", scored=False, seed=3)
    ingest(folder / "results.duckdb", folder / "runs")
    return folder


@pytest.fixture(autouse=True)
def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fix the time, and use all colours."""
    monkeypatch.setattr("engine.durations.current_time", lambda: NOW)
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.fixture
def app(made: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    """The app on the database of `made`, which is the working folder."""
    monkeypatch.chdir(made)
    return Workbench(Path("results.duckdb"))


async def until(pilot: Pilot[None], holds: Callable[[], Any]) -> None:
    """Wait until `holds` returns true and the screen is painted; fail after a while."""
    for _ in range(600):
        if holds():
            await pilot.pause()
            await pilot.pause()
            return
        await pilot.pause(0.02)
    raise AssertionError("the condition did not become true in time")


async def settled(pilot: Pilot[None]) -> None:
    """Wait until the runs and the curves are read."""
    app = pilot.app
    await until(
        pilot, lambda: app.context.snapshot is not None and UPDATING not in app.context.snapshot.problems
    )  # type: ignore[attr-defined]
    await until(pilot, lambda: app.screen.query("Plot"))
    await until(pilot, lambda: app.screen.details.curves)  # type: ignore[attr-defined]


def status(pilot: Pilot[None]) -> str:
    """Return the sentence on the status line."""
    return str(pilot.app.screen.query_one("#status").render())


@pytest.fixture
def tools() -> SimpleNamespace:
    """The functions `until`, `settled` and `status`, and `make_run`."""
    return SimpleNamespace(until=until, settled=settled, status=status, make_run=make_run)
