"""Executes and resumes runs in forked children and kills them, so that a kill costs no import of torch.

Reads tasks from stdin and writes replies to stdout, both one JSON object a line.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any


def warm() -> None:
    """Import what a run imports. Nothing is computed, because threads do not survive a fork."""
    from transformers.models.bert import modeling_bert  # noqa: F401

    from engine.extensions.runs import RUN_KINDS
    from engine.registry import resolve_reference

    for kind in RUN_KINDS:
        resolve_reference(RUN_KINDS[kind].execute)


def work(task: dict[str, Any]) -> int:
    """Execute the run of `task`, or resume it if it exists; return 0 unless it fails."""
    from engine.config import parse_config
    from engine.errors import OpticalError
    from engine.jobs.resume import reopen
    from engine.jobs.state import state_of
    from engine.runs.execute import execute, resume

    if task.get("largest"):  # no file may be larger, as on a full disk
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (task["largest"], resource.RLIM_INFINITY))
    runs = Path(task["runs"])
    folder = runs / task["id"]
    try:
        if not (folder / "run.json").is_file():
            execute(parse_config(task["config"]), runs, ["test"], run_id=task["id"])
        elif state_of(folder) != "finished":
            resume(reopen(folder, ["again"]))
    except OpticalError as error:
        Path(task["errors"]).write_text(str(error), "utf-8")
        return 1
    except BaseException:
        Path(task["errors"]).write_text(traceback.format_exc(), "utf-8")
        return 2
    return 0


def carry_out(task: dict[str, Any]) -> dict[str, Any]:
    """Fork a child that does the work, and kill it after ``kill_after`` seconds if it still runs."""
    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        code = 3
        try:
            code = work(task)
        finally:
            os._exit(code)
    ended = os.pidfd_open(child)
    if not select.select([ended], [], [], task.get("kill_after"))[0]:
        os.kill(child, signal.SIGKILL)
    os.close(ended)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {"code": code, "seconds": time.monotonic() - begun}


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    warm()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        print(json.dumps(carry_out(json.loads(line))), flush=True)
