"""Child processes import our packages in any working folder."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import pty
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.jobs.child import child_environment, python_command
from workbench.data.warm_process import Reply, WarmProcess

ROOT = Path(__file__).parents[2]
HOSTILE = ("engine.py", "psutil.py", "workbench/__init__.py", "assets/__init__.py", "optical_workbench.py")


#: PYTHONPATH without a value, and with two entries that mean the working folder; the others are slow.
PATHS = [None, ":{root}:.", *(pytest.param(path, marks=pytest.mark.slow) for path in ("", ".", "{root}:"))]


@pytest.fixture(params=PATHS, ids=str)
def hostile(request: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder whose modules are called as ours, under several values of PYTHONPATH."""
    folder = tmp_path / "hostile"
    for name in HOSTILE:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("import os\nos._exit(99)\n")
    monkeypatch.chdir(folder)
    if request.param is None:
        monkeypatch.delenv("PYTHONPATH", raising=False)
    else:
        monkeypatch.setenv("PYTHONPATH", request.param.format(root=ROOT))
    return folder


def test_no_other_module_builds_a_command_line_of_python() -> None:
    """The interpreter is named in one module only, and every child is given its environment."""
    found = []
    for package in ("engine", "workbench", "optical_workbench"):
        for path in sorted((ROOT / package).rglob("*.py")):
            text = path.read_text("utf-8")
            place = str(path.relative_to(ROOT))
            if place != "engine/jobs/child.py" and "[sys.executable" in text:
                found.append(f"{place} begins a command line with sys.executable")
            for node in ast.walk(ast.parse(text)):
                if not isinstance(node, ast.Call):
                    continue
                called = ast.unparse(node.func)
                if called in ("subprocess.run", "subprocess.Popen", "subprocess.check_output"):
                    given = {keyword.arg for keyword in node.keywords}
                    if "env" not in given or "shell" in given:
                        found.append(f"{place}:{node.lineno} {called} without env or with a shell")
                elif called.startswith(("os.system", "os.popen", "os.spawn", "os.exec", "os.posix_spawn")):
                    if called != "os.execve":
                        found.append(f"{place}:{node.lineno} {called}")
                elif called.startswith(("multiprocessing.", "ProcessPoolExecutor")):
                    found.append(f"{place}:{node.lineno} {called}")
    assert not found


def test_a_child_imports_our_packages(hostile: Path) -> None:
    done = subprocess.run(
        python_command("engine.cli", "config", "presets"),
        capture_output=True, text=True, env=child_environment(),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "") and "optical-contrast" in done.stdout


def test_the_warm_process_starts(hostile: Path) -> None:
    from queue import SimpleQueue

    replies: SimpleQueue[Reply] = SimpleQueue()
    worker = WarmProcess()
    try:
        worker.request("no-such-operation", replies.put)
        assert replies.get(timeout=60).error.startswith("there is no operation ")
    finally:
        worker.close()


@pytest.mark.slow
def test_a_detached_run_and_the_app_start_from_the_command(hostile: Path, tmp_path: Path) -> None:
    """The command starts a detached child, which finishes the run."""
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("maji safi\tclean water\nmaji\twater\n")
    config = tmp_path / "run.toml"
    config.write_text(
        'kind = "lexical"\n[[collections]]\nname = "bitext"\n[[collections.bitext]]\n'
        f'path = "{pairs}"\nlanguage = "sw"\n'
    )
    results = tmp_path / "results.duckdb"
    done = subprocess.run(
        python_command("engine.cli", "run", str(config), "--detach", "--json", "--results", str(results)),
        capture_output=True, text=True, env=child_environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    started = json.loads(done.stdout)
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(started["pid"]).wait(120)
    record = json.loads((tmp_path / "runs" / started["run"] / "run.json").read_text("utf-8"))
    assert record["state"] == "finished"


def test_the_app_opens(hostile: Path) -> None:
    """``optical-workbench`` replaces itself by the app; the child's own path must not be the folder's."""
    keyboard, end = pty.openpty()
    termios.tcsetwinsize(end, (24, 80))
    app = subprocess.Popen(
        python_command("engine.cli"), stdin=end, stdout=end, stderr=end, env=child_environment(),
        start_new_session=True, preexec_fn=lambda: os.login_tty(end),
    )  # fmt: skip
    try:
        os.close(end)
        seen = b""
        while b"Quit" not in seen:  # the footer: the first screen is painted
            seen += os.read(keyboard, 1 << 16)
    finally:
        app.kill()
        app.wait()
        os.close(keyboard)


def test_the_search_path_keeps_the_users_other_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["lib", "/elsewhere", "", str(tmp_path)]))
    path = child_environment()["PYTHONPATH"].split(os.pathsep)
    assert path[-2:] == [str(tmp_path / "lib"), "/elsewhere"] and str(tmp_path) not in path
    assert path[:-2] in ([], [str(ROOT)])


def test_a_deleted_working_folder_is_no_error(tmp_path: Path) -> None:
    program = (
        "import os, sys; from engine.jobs.child import child_environment; os.mkdir('gone'); os.chdir('gone');"
        "os.rmdir('../gone'); child_environment(); print('done')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, env=child_environment()
    )
    assert done.stderr == "" and done.stdout == "done\n"
