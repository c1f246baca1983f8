"""Text of runs, corpora and users is shown as it is: never markup, and no control character has an effect."""

from __future__ import annotations

import ast
import contextlib
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
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from rich.segment import Segment
from rich.text import Text
from textual.color import Color
from textual.widgets import Input

import workbench
from engine.cli.tables import one_line
from engine.results.ingest import ingest
from engine.results.run_folder import RunFolder
from engine.visible import visible
from workbench.app import Workbench
from workbench.widgets.table import Table
from workbench.widgets.text import inert, plain
from workbench.widgets.text_view import ControlFilter

#: Textual's own widgets that the app uses. Their text is typed, is ours, or is made plain in the call.
WITHOUT_MARKUP = {"ContentSwitcher", "Footer", "Input", "Markdown", "TextArea", "Tree"}
SOURCES = sorted(Path(workbench.__file__).parent.rglob("*.py"))
HOSTILE = [
    "[/b]", "x [/", "[/]", "[", "\\[", "[@click=app.quit]q[/]", "[bold red]letter[/]", "[$primary]",
    "[link=x",
    "\x1b[31mred\x1b[0m", "\x1b]0;owned\x07", "\u202eevil\u202c", "a\u2066b", "c1\x9b2J", "line\nbreak",
    "del\x7f",
]  # fmt: skip
ALL = " ".join(HOSTILE)


def test_one_function_makes_control_characters_visible() -> None:
    assert visible("a\x1b[31mb") == "a\\x1b[31mb"
    assert visible("\u202eevil\u2069") == "\\u202eevil\\u2069"
    assert visible("\x9b2J\x7f\u2028") == "\\x9b2J\\x7f\\u2028"
    assert visible("a\nb\tc", keep="\n") == "a\nb\\tc"
    for text in ("क्‍ष", "می\u200cخواهم", "\u200fעברית\u200f", "👩‍👩‍👧‍👦", "🏴\U000e0067\U000e007f", "漢字"):
        assert visible(text) == text
    assert one_line("\u202eevil\x1b") == plain("\u202eevil\x1b") == "\\u202eevil\\x1b"


def test_styles_stay_where_they_were() -> None:
    text = Text("a\x1bb ").append("\u202ebold", "bold").append(" c")
    shown = inert(text)
    assert shown.plain == "a\\x1bb \\u202ebold c"
    assert [(shown.plain[start:end], style) for start, end, style in shown.spans] == [("\\u202ebold", "bold")]
    assert inert(Text("x [/")).plain == inert("x [/").plain == "x [/"


def test_what_is_painted_has_no_control_characters() -> None:
    painted = ControlFilter().apply([Segment("a\x1b[31m\u202eb"), Segment("c👩‍🔬")], Color(0, 0, 0))
    assert [segment.text for segment in painted] == ["a[31mb", "c👩‍🔬"]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: "/".join(path.parts[-2:]))
def test_the_app_makes_text_by_the_functions_that_parse_no_markup(path: Path) -> None:
    """Widgets of Textual that parse markup, titles set directly and markup itself are in one module only."""
    if path.name == "text_view.py":
        return
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        place = f"{path}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("textual"):
            names = {alias.name for alias in node.names}
            if node.module == "textual.widgets":
                assert names <= WITHOUT_MARKUP, f"{place}: does this widget show data as markup?"
            assert not {"Static", "Label", "Button", "OptionList", "Rule"} & names, place
        if isinstance(node, ast.Attribute):
            assert node.attr not in ("from_markup", "markup"), place
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Attribute):
                    assert target.attr not in ("border_title", "border_subtitle", "sub_title"), place
                    if target.attr == "tooltip":
                        assert "inert(" in ast.unparse(node), place
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            given = {keyword.arg: keyword.value for keyword in node.keywords}
            if node.func.attr in ("add", "add_leaf") and node.args:
                assert not isinstance(node.args[0], ast.JoinedStr), place
            markup = given.get("markup")
            assert markup is None or (isinstance(markup, ast.Constant) and markup.value is False), place


def hostile_folder(folder: Path, tools: Any) -> Path:
    """Runs whose names, tags, notes, texts and tokens are all hostile, and the database made from them."""
    runs = [tools.make_run(folder / "runs", place, "plain", scored=place < 2) for place in range(3)]
    for place, run in enumerate(runs):
        record = json.loads((run.path / "run.json").read_text("utf-8"))
        record |= {"name": f"{place} {ALL}", "tags": HOSTILE, "note": ALL, "argv": HOSTILE}
        record["config"]["name"] = ALL
        for source in record["config"]["bitext"]:
            source.update(path=f"{ALL}.tmx", language="[/b]")
        if place == 2:
            record |= {"state": "failed", "failure": ALL}
        (run.path / "run.json").write_text(json.dumps(record), "utf-8")
        (run.path / "log.txt").write_text("\n".join(HOSTILE), "utf-8")
        for name, columns in (("texts", ("text",)), ("plans", ("source_text", "target_text"))):
            path = run.path / f"{name}.parquet"
            if path.is_file():
                table = parquet.read_table(path)
                for column in columns:
                    values = pa.array([f"{ALL} {n}" for n in range(len(table))], pa.string())
                    table = table.set_column(table.column_names.index(column), column, values)
                parquet.write_table(table, path)
        if (run.path / "plans.parquet").is_file():
            path = run.path / "plans.parquet"
            rows = parquet.read_table(path)
            for column, count in (("source_tokens", 6), ("target_tokens", 5)):
                kind = rows.schema.field(column).type
                rows = rows.set_column(
                    rows.column_names.index(column), column, pa.array([HOSTILE[-count:]], kind)
                )
            parquet.write_table(rows, path)
    ingest(folder / "results.duckdb", folder / "runs")
    return folder


def painted(app: Workbench) -> str:
    """Return what is on the screen."""
    width, height = app.size
    strips = app.screen._compositor.render_strips()
    assert len(strips) == height and width
    for segment in (segment for strip in strips for segment in strip):
        if segment.style is not None:  # what a click does, as [@click=...] in markup says
            assert segment.style.link is None and "@click" not in segment.style.meta
    return "\n".join(strip.text for strip in strips)


@pytest.mark.slow
async def test_hostile_text_on_every_screen_and_in_every_dialog(
    tmp_path: Path, tools: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = hostile_folder(tmp_path / "x [b]y[", tools)
    monkeypatch.chdir(folder)
    app = Workbench(folder / "results.duckdb")
    async with app.run_test(size=(140, 45), notifications=True) as pilot:
        await tools.settled(pilot)

        def check() -> str:
            shown = painted(app)
            assert not [hex(ord(c)) for c in shown if c in "\x1b\x07\x9b\x7f\u202e\u2066\u202c"]
            assert app.is_running
            return shown

        async def press(*keys: str) -> str:
            for key in keys:
                await pilot.press(key)
            await pilot.pause(0.1)
            return check()

        assert "[/b] x [/" in check()
        await press("space", "down", "space", "v", "v", "v", "l", "m")
        for key in ("d", "t", "n", "N", "D", "f1", "question_mark", "ctrl+p"):
            await press(key)
            assert app.screen.is_modal, key
            for field in app.screen.query(Input):
                field.value = ALL.replace("\n", " ")
            await press("escape")
        await press("down", "down", "r")
        await press("escape")
        await press("slash", *"[/b] AND", "escape")
        await press("home", "enter")
        await tools.until(pilot, lambda: app.screen.query("#results-table"))
        await tools.until(pilot, lambda: app.screen.query_one(Table).rows)
        assert "[/b] x [/" in check()
        for key in ("r", "c", "m"):
            await press(key)
            await tools.until(pilot, lambda: app.screen.is_modal)
            check()
            await press("escape")
        await press("end", "enter")
        await tools.until(pilot, lambda: app.screen.query("#queries-table"))
        await tools.until(pilot, lambda: app.screen.query_one(Table).rows)
        check()
        await press("enter")
        await press("escape", "escape", "y", "escape")
        for mode in ("2", "4", "5", "6"):
            await press(mode)
            await pilot.pause(0.3)
            check()
        await press("f6")
        await tools.until(pilot, lambda: app.screen.sides.left.plan is not None)
        assert "[/b]" in check()
        for key in ("right", "n", "s", "o", "t"):
            await press(key)
            check()
            await press("escape")
        for note in HOSTILE:
            app.notify(note, title=note, markup=True)
        app.screen.notify(ALL)
        app.screen.show_status(ALL, "bad")
        await press("f2")
        check()
    assert app.return_code in (0, None)


CRASH = """
import sys
sys.argv = ["workbench"]
from workbench.app import Workbench

def broken(self):
    raise RuntimeError("it broke at [/b] \\x1b[31m")

Workbench._start_polling = broken
from workbench.__main__ import main
main()
"""


def test_an_error_ends_the_app_with_status_1_and_a_log(made: Path, tmp_path: Path) -> None:
    (tmp_path / "crash.py").write_text(CRASH, "utf-8")
    keyboard, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    (tmp_path / "tour-seen").touch()
    environment = {**os.environ, "OPTICAL_CACHE": str(tmp_path), "TERM": "xterm-256color"}
    command = [sys.executable, str(tmp_path / "crash.py")]
    process = subprocess.Popen(
        command, cwd=made, env=environment, stdin=end, stdout=end, stderr=end, start_new_session=True
    )
    os.close(end)
    timer = threading.Timer(40, process.kill)
    timer.start()
    sent = b""
    with contextlib.suppress(OSError):  # the terminal of a process that ended
        while data := os.read(keyboard, 65536):
            sent += data
    timer.cancel()
    os.close(keyboard)
    assert process.wait(10) == 1
    (log,) = (tmp_path / "crashes").iterdir()
    said = sent[sent.rfind(b"\x1b[?1049l") :].decode()
    # The log's path may be so long that the terminal breaks the sentence anywhere.
    joined = re.sub(r"\s", "", said)
    assert r"RuntimeError:itbrokeat[/b]\x1b[31m" in joined and "Traceback" not in said
    assert str(log) in joined
    text = log.read_text("utf-8")
    assert "Traceback" in text and "RuntimeError: it broke at" in text and "\x1b" not in text


def test_the_record_of_a_run_keeps_its_name(tmp_path: Path, tools: Any) -> None:
    """Only what is shown is escaped; what is stored is not changed."""
    run = tools.make_run(tmp_path / "runs", 0, "plain", scored=False)
    RunFolder.open(run.path).update(name=ALL)
    assert json.loads((run.path / "run.json").read_text("utf-8"))["name"] == ALL
