"""Torn, cut and overwritten files of a run: a command reads the rest, or says what is damaged."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.cli.commands import run as run_command
from engine.config import parse_config
from engine.errors import InputError
from engine.jobs.resume import reopen
from engine.reporting import Reporter
from engine.runs.execute import execute, resume
from tests.faults.conftest import KILLS, first_seed
from tests.faults.kinds import settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]

Tell = Callable[[str, int, str], None]
TRIES = 8 * KILLS


@pytest.fixture(scope="module")
def home(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run that is about to be damaged, and a good one."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPTICAL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        config = settings("distil", tiny, folder)
        config["training"] |= {"steps": 4, "evaluate_every": 2}
        for name in ("odd", "good"):
            execute(parse_config({**config, "name": name}), folder / "runs", ["test"], run_id=name)
    return folder


def ways(generator: random.Random, content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield damaged copies: what a crash, a full disk or a bad sector leaves."""
    place = generator.randrange(len(content) + 1)
    yield "cut", content[:place]
    yield "empty", b""
    block = min(len(content), 512)
    start = generator.randrange(len(content) - block + 1)
    yield "zeros", content[:start] + bytes(block) + content[start + block :]
    yield "foreign", content[:start] + generator.randbytes(block) + content[start + block :]


def test_files_of_runs(home: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, tell: Tell) -> None:
    seed = first_seed()
    generator = random.Random(seed)
    runs = home / "runs"
    files = sorted(path for path in (runs / "odd").rglob("*") if path.is_file() and path.stat().st_size)
    others = [
        ("show", "odd"), ("show", "good"), ("compare", "odd", "good"), ("logs", "odd"),
        ("sql", "SELECT * FROM per_language"), ("query", "odd", "revir enots", "--language", "sw"),
        ("run", "--resume", "odd"),
    ]  # fmt: skip
    tried = 0
    while tried < TRIES:
        file = generator.choice(files)
        content = file.read_bytes()
        for how, damaged in ways(generator, content):
            if file.suffix == ".safetensors" and how in ("zeros", "foreign"):
                continue  # other weights are weights
            tried += 1
            file.write_bytes(damaged)
            results = tmp_path / f"{tried}.duckdb"
            (tmp_path / "runs").unlink(missing_ok=True)
            (tmp_path / "runs").symlink_to(runs)
            for command in [("runs",), *generator.sample(others, 2)]:
                code = run_command([*command, "--results", str(results)])
                out, err = capsys.readouterr()
                place = (file.name, how, command, code, err)
                assert code in (0, 1, 2), place
                assert "Traceback" not in err and (code == 0 or err), place
                if command == ("show", "good"):
                    assert code == 0, place
                if command == ("runs",):
                    assert " good " in out, place
            file.write_bytes(content)
    tell(
        f"a file of a run cut, emptied or overwritten, seed {seed}",
        tried,
        "the rest is read, or one sentence",
    )


def test_saved_states(tiny: Any, tmp_path: Path, tell: Tell) -> None:
    """A state of which a part is missing is refused, and nothing trains from it."""

    class StopAt(Reporter):
        left = 8

        def advance(self, parts: int = 1) -> None:
            self.left -= self.here
            if not self.left:
                raise KeyboardInterrupt

        here = False

        def stage(self, name: str, total: int) -> None:
            self.here = name == "training"

    config = parse_config(settings("distil", tiny, tmp_path))
    with pytest.raises(KeyboardInterrupt):
        execute(config, tmp_path, ["test"], run_id="cut", reporter=StopAt())
    state = tmp_path / "cut" / "checkpoints" / "state.safetensors"
    content = state.read_bytes()
    generator = random.Random(1)
    for number in range(TRIES):
        state.write_bytes(content[: 0 if number == 0 else generator.randrange(len(content))])
        with pytest.raises(InputError, match="the saved state is damaged"):
            resume(reopen(tmp_path / "cut", ["again"]))
    state.write_bytes(content)
    resume(reopen(tmp_path / "cut", ["again"]))
    shutil.rmtree(tmp_path / "cut")
    tell("a saved state cut anywhere", TRIES, "refused in one sentence; with the whole one it goes on")
