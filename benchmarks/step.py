"""Measure a distillation step with and without vocabulary trimming: time and peak memory.

    python benchmarks/step.py [--steps 12]

Uses ten languages of Django's catalogues and the demo's settings, but trains the embeddings (`frozen_layers =
0`), because frozen embeddings cost the same in both cases. The steps of the two students alternate in one
process. Prints pairs per second (median), their ratio, each student's size, and the peak memory of a separate
process that prepares and trains only that student (Linux).
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from engine.cli.demo import CATALOGUES, LANGUAGES
from engine.config import DistilConfig, parse_config, preset_settings
from engine.results.run_folder import RunFolder
from engine.training.distillation.task import Distillation, prepare_distillation
from engine.training.runtime import Runtime
from engine.training.trainer import Trainer

WARM_UP = 2  # steps that compile kernels
NAMES = {True: "trimmed", False: "whole"}


def prepare(trimmed: bool, folder: str) -> tuple[Distillation, Trainer]:
    """Return the demo's distillation before its first step, and its trainer."""
    bitext = [{"path": CATALOGUES, "language": code, "part": "train"} for code in LANGUAGES]
    recipe = preset_settings("demo")
    recipe["training"] |= {"trim_vocabulary": trimmed, "frozen_layers": 0}
    config = parse_config({**recipe, "bitext": bitext})
    if not isinstance(config, DistilConfig):
        raise TypeError("the demo's preset is a distillation")
    run = RunFolder.create(Path(folder), config, ["benchmarks/step.py"], NAMES[trimmed])
    runtime = Runtime.start(config.seed, config.training)
    return prepare_distillation(config, runtime), Trainer(config.training, runtime, run)


def main() -> None:
    """Time both students in this process, and measure the memory of each in its own process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--alone", choices=NAMES.values(), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.alone:
        print_peak_memory(arguments.alone == NAMES[True])
        return
    with tempfile.TemporaryDirectory() as folder:
        students = {trimmed: prepare(trimmed, folder) for trimmed in (True, False)}
        batches = students[True][0].batches()
        seconds: dict[bool, list[float]] = {True: [], False: []}
        for step in range(1, arguments.steps + WARM_UP + 1):
            batch = next(batches)
            for trimmed, (distillation, trainer) in students.items():
                started = time.perf_counter()
                trainer.train_step(distillation, step, batch)
                if step > WARM_UP:
                    seconds[trimmed].append(time.perf_counter() - started)
    for trimmed, found in seconds.items():
        size = sum(p.numel() for p in students[trimmed][0].student.parameters())
        speed = students[trimmed][0].config.training.batch_size / statistics.median(found)
        command = [sys.executable, __file__, "--alone", NAMES[trimmed]]
        peak = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(
            f"{NAMES[trimmed]:8} {speed:6.1f} pairs/s  {size / 1e6:6.1f}M parameters  {peak:5.2f} GiB at most"
        )
    ratios = [whole / trimmed for trimmed, whole in zip(seconds[True], seconds[False], strict=True)]
    print(f"a step over the whole vocabulary takes {statistics.median(ratios):.2f} times as long")


def print_peak_memory(trimmed: bool) -> None:
    """Print the peak memory, in GiB, of preparing one student and training it for a few steps."""
    with tempfile.TemporaryDirectory() as folder:
        distillation, trainer = prepare(trimmed, folder)
        for step, batch in zip(range(1, 6), distillation.batches(), strict=False):
            trainer.train_step(distillation, step, batch)
    # not getrusage: its maximum of a child process starts with that of the parent
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    print(int(peak) / 2**20)


if __name__ == "__main__":
    main()
