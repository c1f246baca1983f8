"""A disk that is full at any moment costs a run one sentence and nothing else: with room again it goes on.

The runs are on a small tmpfs. Where a test may not mount one, no file may grow beyond a size instead.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.errors import OpticalError
from engine.results.ingest import ingest
from engine.results.queries import ask
from tests.faults.conftest import KILLS, Runner, first_seed
from tests.faults.kinds import assert_equal, settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]

Tell = Callable[[str, int, str], None]
SIZE = 48 << 20


class SmallDisk:
    """A tmpfs, or a folder if none can be mounted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
        self.mounted = shutil.which("mount") is not None and not subprocess.run(
            command, capture_output=True, check=False
        ).returncode  # fmt: skip
        self.ballast = folder / "ballast"

    def leave(self, room: int) -> None:
        """Fill the disk up, but for `room` bytes."""
        self.ballast.unlink(missing_ok=True)
        free = os.statvfs(self.folder)
        with self.ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, free.f_bavail * free.f_frsize - room))

    def unmount(self) -> None:
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.folder)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    disk = SmallDisk(tmp_path / "disk")
    yield disk
    disk.unmount()


def sentence(error: str) -> None:
    assert error and "\n" not in error and "Traceback" not in error, error


def test_a_run(runner: Runner, tiny: Any, tmp_path: Path, disk: SmallDisk, tell: Tell) -> None:
    seed = first_seed()
    generator = random.Random(seed)
    config, whole = settings("distil", tiny, tmp_path), tmp_path / "whole"
    assert runner.run(config, whole, "run")[0] == 0
    size = sum(path.stat().st_size for path in whole.rglob("*") if path.is_file())
    largest = max(path.stat().st_size for path in whole.rglob("*"))
    full = 0
    for number in range(KILLS):
        runs = disk.folder / f"runs-{number}"
        runs.mkdir()
        for _ in range(3):  # it is full again when the run is resumed
            if disk.mounted:
                disk.leave(int(generator.random() * 1.3 * size))
                code, _, error = runner.run(config, runs, "run")
                disk.ballast.unlink()
            else:
                code, _, error = runner.run(config, runs, "run", largest=generator.randrange(largest))
            assert code in (0, 1), error
            if code == 0:
                break
            full += 1
            sentence(error)
            assert "No space left" in error or "too large" in error
        code, _, error = runner.run(config, runs, "run")
        assert (code, error) == (0, "")
        assert_equal(runs, whole)
        shutil.rmtree(runs)
    how = "tmpfs" if disk.mounted else "RLIMIT_FSIZE"
    tell(f"a full disk during `distil` ({how}), seed {seed}", full, "one sentence; resumed, ended equal")


def test_the_database(runner: Runner, tiny: Any, tmp_path: Path, disk: SmallDisk, tell: Tell) -> None:
    """The old content stays readable, and with room again everything is read in."""
    if not disk.mounted:
        pytest.skip("no tmpfs can be mounted")
    runs, results = tmp_path / "runs", disk.folder / "results.duckdb"
    assert runner.run(settings("distil", tiny, tmp_path), runs, "first")[0] == 0
    ingest(results, runs)
    before = ask(results, "SELECT id FROM runs").rows
    shutil.copytree(runs / "first", runs / "second")
    refused = 0
    for room in range(0, 2 * results.stat().st_size, 4096 * 64):
        disk.leave(room)
        try:
            ingest(results, runs)
        except OpticalError as error:
            refused += 1
            sentence(str(error))
            assert ask(results, "SELECT id FROM runs").rows == before
        disk.ballast.unlink()
        ingest(results, runs)
        assert len(ask(results, "SELECT id FROM runs").rows) == 2
        shutil.move(runs / "second", tmp_path / "aside")
        results.unlink()
        ingest(results, runs)
        shutil.move(tmp_path / "aside", runs / "second")
    assert refused
    tell("a full disk while runs are read in", refused, "one sentence; the database stays as it was")
