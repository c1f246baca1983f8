"""All six screens by keyboard in a real terminal, on real runs; meanwhile a run trains and a client reads."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyte
import pytest

from engine.results.queries import ask

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-P", "-m", "engine.cli"]
STARTED = "by-the-form"
QUERY = "Tafadhali sahihisha makosa yafuatayo"
KEYS = {
    "enter": "\r", "escape": "\x1b", "down": "\x1b[B", "right": "\x1b[C", "left": "\x1b[D",
    "home": "\x1b[H", "end": "\x1b[F",  "backspace": "\x7f", "ctrl+u": "\x15",
    "f2": "\x1bOQ", "f5": "\x1b[15~", "ctrl+q": "\x11", "ctrl+s": "\x13", "space": " ",
}  # fmt: skip
TEST = "".join(
    f'[[collections.bitext]]\npath = "package:django"\nlanguage = "{code}"\npart = "test"\nlimit = 60\n'
    for code in ("sw", "mr")
)
COLLECTION = f'[[collections]]\nname = "bitext"\nlabel = "catalogues"\n{TEST}'
ZERO_SHOT = f"""kind = "evaluate"
name = "zero-shot"
[encoder]
checkpoint = "multilingual-e5-small"
query_length = 48
passage_length = 48
{COLLECTION}"""
DISTILLED = f"""preset = "demo"
name = "transport"
[training]
steps = 6
batch_size = 8
evaluate_every = 3
held_out = 10
threads = 1
[[bitext]]
path = "package:django"
language = "sw"
part = "train"
limit = 100
[[bitext]]
path = "package:django"
language = "mr"
part = "train"
limit = 100
{COLLECTION}"""
# A plain client: each look opens the database and closes it, until its input ends. It has no patience, so a
# refused look ends it; it prints how many looks there were.
CLIENT = """
import select, sys, duckdb
looks = 0
while not select.select([sys.stdin], [], [], 0.02)[0]:
    with duckdb.connect(sys.argv[1], read_only=True) as database:
        database.execute("SELECT count(*) FROM runs").fetchone()
    looks += 1
print(looks)
"""


class Terminal:
    """The app in a pseudo-terminal, and what a terminal would show."""

    def __init__(self, folder: Path, environment: dict[str, str], columns: int, lines: int) -> None:
        self.screen = pyte.Screen(columns, lines)
        self.sent = b""
        self._stream = pyte.ByteStream(self.screen)
        self._news = threading.Condition()
        self.keyboard, self.end = pty.openpty()
        fcntl.ioctl(self.end, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.before = termios.tcgetattr(self.end)
        self.process = subprocess.Popen(
            COMMAND, cwd=folder, env=environment, stdin=self.end, stdout=self.end, stderr=self.end,
            start_new_session=True,
        )  # fmt: skip
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self.keyboard, 65536)
            except OSError:
                return
            with self._news:
                self.sent += data
                self._stream.feed(data)
                self._news.notify_all()

    @property
    def lines(self) -> list[str]:
        """What is on the screen."""
        return [line.rstrip() for line in self.screen.display]

    def wait(self, *texts: str, seconds: float = 60) -> None:
        """Wait until all of `texts` are on the screen."""
        self.until(lambda lines: all(text in "\n".join(lines) for text in texts), texts, seconds)

    def until(self, holds: Callable[[list[str]], Any], about: Any = "", seconds: float = 60) -> None:
        with self._news:
            if not self._news.wait_for(lambda: holds(self.lines), seconds):
                pytest.fail(f"not within {seconds} s: {about}\n" + "\n".join(self.lines))

    def press(self, *keys: str) -> None:
        """Press keys by their names."""
        for key in keys:
            os.write(self.keyboard, KEYS.get(key, key).encode())

    def quit(self) -> None:
        """Leave by the key; the terminal must be as it was, and nothing may go on."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        self.press("ctrl+q")
        assert self.process.wait(30) == 0
        assert psutil.wait_procs(children, 10)[1] == []
        self.until(lambda lines: self.sent.rfind(b"\x1b[?1049l") > self.sent.rfind(b"\x1b[?1049h"), "left", 5)
        assert self.sent.rfind(b"\x1b[?25h") > self.sent.rfind(b"\x1b[?25l")
        assert termios.tcgetattr(self.end) == self.before
        assert b"Traceback" not in self.sent

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.end)
        os.close(self.keyboard)


class Made:
    """A folder with two finished runs, made by the command line."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder, self.results = folder, folder / "results.duckdb"
        cache.mkdir(parents=True, exist_ok=True)
        (cache / "tour-seen").touch()
        taken = ("OPTICAL_RESULTS", "NO_COLOR", "COLUMNS", "LINES")
        self.environment = {name: value for name, value in os.environ.items() if name not in taken} | {
            "OPTICAL_CACHE": str(cache), "TERM": "xterm-256color", "COLORTERM": "truecolor",
            "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "LANG": "C.UTF-8",
        }  # fmt: skip

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [*COMMAND, *arguments], cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ask(self, question: str, *values: Any) -> list[tuple[Any, ...]]:
        return ask(self.results, question, list(values)).rows


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("walk")
    made = Made(folder, tmp_path_factory.getbasetemp() / "cache")
    for name, text in (("zero", ZERO_SHOT), ("short", DISTILLED)):
        (folder / f"{name}.toml").write_text(text, "utf-8")
        made.run("run", f"{name}.toml")
    return made


@pytest.fixture
def terminal(real: Made) -> Iterator[Callable[[int, int], Terminal]]:
    opened: list[Terminal] = []

    def start(columns: int, lines: int) -> Terminal:
        opened.append(Terminal(real.folder, real.environment, columns, lines))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def test_wide_start(real: Made, terminal: Callable[[int, int], Terminal]) -> None:
    app = terminal(120, 40)
    app.wait("transport", "zero-shot", "multilingual-e5-small", "held-out RR", "learning rate")
    app.quit()


def test_walk(real: Made, terminal: Callable[[int, int], Terminal]) -> None:
    log = real.folder / "third.txt"
    with log.open("w", encoding="utf-8") as output:
        third = subprocess.Popen(
            [*COMMAND, "run", "short.toml", "--set", "name=third", "--set", "training.steps=20"],
            cwd=real.folder, env=real.environment, stdout=output, stderr=output,
        )  # fmt: skip
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(real.results)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        app = terminal(80, 24)
        _look_at_runs(app, real)
        _look_at_launch(app)
        _look_at_results(app, real)
        _look_at_plan(app, real)
        _look_at_ask(app, real)
        _look_at_sql(app, third)
        _see_it_finish(app, real)
        app.quit()
        looks, complaints = client.communicate("", timeout=20)
        assert client.returncode == 0, complaints
        assert int(looks) > 50
        for said in (app.sent, log.read_bytes()):
            assert b"holds the" not in said and b"set lock on" not in said
    finally:
        for process in (third, client):
            if process.poll() is None:
                process.kill()
                process.wait()


def _look_at_runs(app: Terminal, real: Made) -> None:
    """The names and measures of both, the third under way; the curves of the distilled one."""
    app.wait("transport", "zero-shot")
    app.until(lambda lines: any("third" in line and "running" in line for line in lines), "third runs")
    for name, value in real.ask("SELECT name, value FROM leaderboard WHERE measure = 'RR'"):
        row = (name, f"RR {value:.3f}")
        app.until(lambda lines, row=row: any(all(cell in line for cell in row) for line in lines), row)
    app.press("home", "down")
    app.wait("step 6 of 6", "loss")
    ((loss,),) = real.ask(
        """SELECT value FROM steps JOIN runs ON runs.id = run
        WHERE name = 'transport' AND metric = 'loss' ORDER BY step DESC LIMIT 1"""
    )
    app.wait(f"loss {loss:.3g}")
    app.press("space", "down", "space")
    app.until(lambda lines: sum("●" in line for line in lines) == 2, "two are marked")


def _look_at_launch(app: Terminal) -> None:
    app.press("2")
    app.wait("Setting", "$ optical-workbench run")
    app.press("p")
    app.wait("Start from")
    app.press(*"preset", "space", *"demo")
    app.wait("preset demo")
    app.press("enter")
    app.wait("$ optical-workbench run configs/demo.toml --detach --results")
    # the run without training once more, under a name of its own, started by the form
    app.press("p")
    app.wait("Start from")
    app.press(*"run zero-shot", "enter")
    app.wait("kind", "evaluate", "$ optical-workbench run configs/zero-shot.toml")
    app.press("home", "down", "enter")
    app.wait("A short name of the run", "accept")
    app.press("ctrl+u", *STARTED, "enter")
    app.wait(f"$ optical-workbench run configs/{STARTED}.toml", "ready")
    app.press("ctrl+s")
    app.wait("Start this run?")
    app.press("y")
    app.wait("shows it among the runs")


def _see_it_finish(app: Terminal, real: Made) -> None:
    """The run that the form started found what the same settings found before."""
    app.press("f2")
    ((value,),) = real.ask("SELECT value FROM leaderboard WHERE name = 'zero-shot' AND measure = 'RR'")
    app.until(
        lambda lines: any(
            STARTED in line and "finished" in line and f"RR {value:.3f}" in line for line in lines
        ),
        (STARTED, value),
        120,
    )
    ((argv,),) = real.ask("SELECT argv FROM runs WHERE name = ?", STARTED)
    assert f"configs/{STARTED}.toml" in argv and (real.folder / "configs" / f"{STARTED}.toml").is_file()


def _look_at_results(app: Terminal, real: Made) -> None:
    app.press("1")
    app.wait("Measure", "●")
    app.press("enter")
    figures = real.ask(
        """SELECT name, value FROM scores JOIN runs ON runs.id = run
        WHERE measure = 'RR' AND query_language = 'sw' AND name IN ('zero-shot', 'transport')"""
    )
    values = {name: f"{value:.3f}" for name, value in figures}
    app.until(
        lambda lines: any("Swahili" in line and all(v in line for v in values.values()) for line in lines),
        values,
    )
    app.press("end", "enter")
    app.wait("Swahili: catalogues", "zero-shot → transport", "improved")
    ((worst,),) = real.ask(
        """SELECT a.query_id FROM query_scores a JOIN query_scores b USING (query_id, measure)
        JOIN runs x ON x.id = a.run JOIN runs y ON y.id = b.run
        WHERE x.name = 'zero-shot' AND y.name = 'transport' AND measure = 'RR' AND a.query_language = 'sw'
        ORDER BY b.value - a.value, a.query_id LIMIT 1"""
    )
    ranks = dict(
        real.ask(
            """SELECT name, min(rank) FROM rankings JOIN runs ON runs.id = run
            WHERE query_id = ? AND grade > 0 GROUP BY name""",
            worst,
        )
    )
    ((said,),) = real.ask(
        """SELECT text FROM texts JOIN runs ON runs.id = run
        WHERE name = 'transport' AND role = 'query' AND texts.id = ?""",
        worst,
    )
    app.wait(said.split("\n")[0][:20].strip())
    app.press("enter")
    app.wait("Move")
    if max(ranks.values()) > 12:  # below the dialog's rows; its last line has both ranks
        app.until(
            lambda lines: any(f"rank {ranks['zero-shot']} → {ranks['transport']}" in line for line in lines),
            ranks,
        )
    else:
        app.until(
            lambda lines: (
                {int(found[1]) for line in lines if "✓" in line and (found := re.search(r"│ +(\d+) ", line))}
                == set(ranks.values())
            ),
            ranks,
        )
    app.press("escape")
    app.wait("improved")
    app.press("escape")
    app.wait("mean of 2")


def _look_at_plan(app: Terminal, real: Made) -> None:
    ((sources, targets, mass, cost),) = real.ask(
        """SELECT source_tokens, target_tokens, plan, cost FROM plans JOIN runs ON runs.id = run
        WHERE name = 'transport' ORDER BY source_language, pair, solver, epsilon LIMIT 1"""
    )
    mass, cost = np.array(mass, dtype=float), np.array(cost, dtype=float)
    row, column = divmod(int(mass.argmax()), mass.shape[1])
    app.press("4")
    app.wait("plan 1 of", f"{row + 1} {sources[row][0]}", f"→ {column + 1} {targets[column]}")
    wide = mass.shape[1] > 1
    way = ("right" if column + 1 < mass.shape[1] else "left") if wide else "down"
    column += {"right": 1, "left": -1, "down": 0}[way]
    row += not wide
    app.press(way)
    share = mass[row, column] / mass[row].sum()
    app.wait(
        f"{row + 1} {sources[row][0]}",
        f"→ {column + 1} {targets[column]}",
        f"mass {mass[row, column]:.4g}",
        f"{share:.0%} of the row",
        f"cost {cost[row, column]:.3f}",
    )


def _look_at_ask(app: Terminal, real: Made) -> None:
    """The warm process, which the app starts, finds what the command finds."""
    (run,) = [row[0] for row in real.ask("SELECT id FROM runs WHERE name = 'transport'")]
    expected = json.loads(real.run("query", run, QUERY, "--language", "sw", "--k", "5", "--json"))["hits"]
    app.press("5")
    app.wait("Swahili (sw) → catalogues", seconds=120)
    app.press(*QUERY, "enter")
    for hit in expected:
        shown = f"{hit['score']:.4f} {hit['text'][:10]}"
        app.until(lambda lines, shown=shown: any(shown in line for line in lines), shown, 120)
    found = [[line.find(f"{hit['score']:.4f}") >= 0 for line in app.lines].index(True) for hit in expected]
    assert found == sorted(found)


def _look_at_sql(app: Terminal, third: subprocess.Popen[bytes]) -> None:
    """The third run has ended meanwhile, and its scores can be asked for."""
    assert third.wait(120) == 0
    app.press("6")
    app.wait("FROM leaderboard", "ORDER BY value DESC")
    app.press(*["down"] * 4, "end", *["ctrl+u", "backspace"] * 8)
    app.press(
        *"SELECT name, 1000 * queries AS thousand FROM scores JOIN runs ON id = run WHERE measure = 'RR' "
        f"AND name <> '{STARTED}'",
        "f5",
    )
    app.wait("6 rows, 2 columns", "third", "60000")
