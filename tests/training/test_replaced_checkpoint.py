"""A run that began with other weights is not continued or used, so that no result mixes two models."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from engine.config import parse_config
from engine.errors import InputError
from engine.evaluation.finished_run import saved_encoders
from engine.hashes import hash_of
from engine.jobs.resume import reopen
from engine.jobs.state import state_of
from engine.reporting import Reporter
from engine.results.run_folder import RunFolder
from engine.runs.execute import execute, resume
from engine.training.state import STATE_FILE


class Interrupted(Reporter):
    """Closes the terminal of the run in the middle of its training."""

    def figures(self, values: Any) -> None:
        if "held_out_rr" in values:
            os.kill(os.getpid(), signal.SIGHUP)


def change_one_weight(file: Path) -> None:
    weights = load_file(file)
    name = next(iter(weights))
    weights[name].view(-1)[0] += 1
    save_file(weights, file, {"format": "pt"})


@pytest.fixture
def terminal() -> Iterator[None]:
    """Give SIGHUP its default meaning, which tests that run under nohup do not have."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("terminal")
def test_a_replaced_checkpoint_is_noticed(tiny: Any, tmp_path: Path) -> None:
    teacher = tmp_path / "teacher"
    shutil.copytree(tiny.checkpoint, teacher)
    weights = teacher / "model.safetensors"
    original = weights.read_bytes()
    settings = tiny.settings(teacher=tiny.encoder(checkpoint=str(teacher)))
    with pytest.raises(KeyboardInterrupt):
        execute(parse_config(settings), tmp_path / "runs", ["x"], reporter=Interrupted())
    (folder,) = (tmp_path / "runs").iterdir()
    # SIGHUP ends the run as SIGTERM does: its state is saved.
    assert state_of(folder) == "stopped" and (folder / "checkpoints" / STATE_FILE).is_file()
    recorded = RunFolder.open(folder).record["summary"]["weights"]["teacher.checkpoint"]
    assert recorded["model.safetensors"] == hash_of(original)

    change_one_weight(weights)
    with pytest.raises(InputError) as caught:
        resume(reopen(folder, ["x"]))
    sentence = str(caught.value)
    assert sentence.startswith(f"{weights}: this file of teacher.checkpoint has changed since run ")
    assert "two models would be mixed; restore it, or start a new run" in sentence
    assert state_of(folder) == "failed" and RunFolder.open(folder).record["failure"] == sentence

    weights.write_bytes(original)
    resume(reopen(folder, ["x"]))
    run = RunFolder.open(folder)
    assert run.record["state"] == "finished" and saved_encoders(run)
    (teacher / "config.json").write_text((teacher / "config.json").read_text() + " ")
    with pytest.raises(InputError, match=r"config.json: this file of teacher.checkpoint has changed"):
        saved_encoders(run)
