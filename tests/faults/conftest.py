"""The standing proof that faults lose nothing: how often each is tried, and the table of what happened.

``OPTICAL_FAULT_KILLS`` is the number of kills of each kind of run, ``OPTICAL_FAULT_SECONDS`` the time in
seconds that readers and writers run against each other, and ``OPTICAL_FUZZ_SECONDS`` the time in seconds for
each parser. ``OPTICAL_FAULT_SEED`` is the first seed, 1 by default; ``random`` draws it, so that a repeated
run tries other faults. The defaults take minutes; docs/reliability.md has the figures of a long run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

KILLS = int(os.environ.get("OPTICAL_FAULT_KILLS", "4"))
TRAFFIC_SECONDS = float(os.environ.get("OPTICAL_FAULT_SECONDS", "10"))
FUZZ_SECONDS = float(os.environ.get("OPTICAL_FUZZ_SECONDS", "3"))


def first_seed() -> int:
    """Return the seed of a test, and print it, so that pytest shows the one of a test that failed."""
    asked = os.environ.get("OPTICAL_FAULT_SEED", "1")
    seed = time.time_ns() % 1_000_000 if asked == "random" else int(asked)
    print(f"OPTICAL_FAULT_SEED={seed}")
    return seed


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print a row for each fault that was tried."""
    rows = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == "fault" and report.when == "call"
    ]
    if rows:
        terminalreporter.section("faults")
        for row in sorted(rows):
            terminalreporter.write_line(row)


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str, int, str], None]:
    """A function that adds a row to the table: the fault, how often it was tried, and what happened."""

    def add(fault: str, times: int, outcome: str) -> None:
        record_property("fault", f"| {fault} | {times:,} | {outcome} |")

    return add


class Runner:
    """The process that forks, executes and kills runs (``runner.py``)."""

    def __init__(self, errors: Path) -> None:
        self.errors = errors
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("runner.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert self._hear() == {"ready": True}

    def _hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        reply: dict[str, Any] = json.loads(self.process.stdout.readline())
        return reply

    def run(
        self,
        config: dict[str, Any],
        runs: Path,
        identity: str,
        *,
        kill_after: float | None = None,
        largest: int | None = None,
    ) -> tuple[int, float, str]:
        """Execute or resume a run; return its exit status (-9: killed), the seconds, and its error."""
        assert self.process.stdin is not None
        task = {"config": config, "runs": str(runs), "id": identity, "errors": str(self.errors)}
        task |= {"kill_after": kill_after, "largest": largest}
        self.errors.unlink(missing_ok=True)
        self.process.stdin.write(json.dumps(task) + "\n")
        self.process.stdin.flush()
        reply = self._hear()
        error = self.errors.read_text("utf-8") if self.errors.exists() else ""
        return reply["code"], reply["seconds"], error


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """A runner whose children share a cache."""
    folder = tmp_path_factory.mktemp("runner")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPTICAL_CACHE", str(folder / "cache"))
        runner = Runner(folder / "error.txt")
    yield runner
    runner.process.kill()
    runner.process.communicate()
