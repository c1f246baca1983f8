r"""Where the time of a distillation step goes: its parts, its matrix products, and its padding.

    OPTICAL_DATA=../shared/data OMP_NUM_THREADS=1 python benchmarks/step_parts.py [--preset NAME]

Trains on the Somali, Swahili, Tagalog and Marathi segments 971 to 3070 of TICO-19. Times are CPU seconds, so
other processes have little influence. The speed of the matrix products is compared with that of one large
product of the same type in the same process, which is what the processor can do at best.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from engine.config import DistilConfig, parse_config, preset_settings
from engine.results.run_folder import RunFolder
from engine.training.distillation.task import Distillation, prepare_distillation
from engine.training.runtime import Runtime

LANGUAGES = ("so", "sw", "tl", "mr")
WARM_UP = 4  # steps that compile kernels
PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm")
PARTS = ("teacher's vectors", "student and loss", "backward pass", "optimiser")


def prepare(preset: str, folder: str) -> tuple[Distillation, Runtime]:
    """Return the preset's distillation on TICO-19 before its first step, and where it computes."""
    settings = preset_settings(preset)
    bitext = [
        {"path": f"tico-19/all.en-{code}.tmx.zip", "language": code, "start": 971, "stop": 3071}
        for code in LANGUAGES
    ]
    config = parse_config({**settings, "bitext": bitext, "collections": []})
    if not isinstance(config, DistilConfig):
        raise SystemExit(f"preset {preset!r} is no distillation")
    RunFolder.create(Path(folder), config, ["benchmarks/step_parts.py"], preset)
    runtime = Runtime.start(config.seed, config.training)
    return prepare_distillation(config, runtime), runtime


def parts_of(task: Distillation, step: int, batch: list, generator: np.random.Generator) -> list[float]:
    """Run a step; return the CPU seconds of its parts."""
    marks = [time.process_time()]
    task.vectors.make(task.vectors.missing(task._ahead))  # as the loss does for several batches at once
    task._ahead = []
    marks.append(time.process_time())
    loss, _ = task.loss(step, batch, generator)
    marks.append(time.process_time())
    loss.backward()  # type: ignore[no-untyped-call]
    marks.append(time.process_time())
    task.optimiser.step()
    task.optimiser.zero_grad()
    marks.append(time.process_time())
    return np.diff(marks).tolist()


def best_speed(precision: torch.dtype, size: int = 2048, repeats: int = 5) -> float:
    """Return the operations a second of one large matrix product, the best of several."""
    one = torch.randn(size, size).to(precision)
    seconds = []
    for _ in range(repeats):
        begin = time.process_time()
        one @ one
        seconds.append(time.process_time() - begin)
    return 2 * size**3 / min(seconds)


def main() -> None:
    """Run the steps and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--preset", default="optical")
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--profiled", type=int, default=4, help="further steps whose products are counted")
    arguments = parser.parse_args()
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        task, runtime = prepare(arguments.preset, folder)
        batches = task.batches()
        for step in range(WARM_UP):
            parts_of(task, step, next(batches), generator)
        seconds, pieces, padded = [], 0, 0
        for step in range(arguments.steps):
            batch = next(batches)
            seconds.append(parts_of(task, step, batch, generator))
            lengths = [example.length for example in batch]
            pieces += sum(lengths)
            padded += -(-max(lengths) // 8) * 8 * len(lengths)
        with profile(activities=[ProfilerActivity.CPU], with_flops=True) as profiled:
            for step in range(arguments.profiled):
                parts_of(task, step, next(batches), generator)
    events = profiled.key_averages()
    products = [event for event in events if event.key in PRODUCTS]
    busy = sum(event.self_cpu_time_total for event in products) / 1e6
    all_busy = sum(event.self_cpu_time_total for event in events) / 1e6
    speed = sum(event.flops for event in products) / busy
    best = best_speed(runtime.precision)
    mean = np.mean(seconds, 0)
    print("| part of a step | CPU seconds | share |\n|---|---|---|")
    for name, value in zip(PARTS, mean, strict=True):
        print(f"| {name} | {value:.3f} | {value / mean.sum():.0%} |")
    print(
        f"| all, {task.config.training.batch_size / mean.sum():.1f} pairs a second | {mean.sum():.3f} | |\n"
    )
    print(f"padding: {1 - pieces / padded:.1%} of the student's pieces")
    print(f"matrix products: {busy / all_busy:.0%} of the time, at {speed / 1e9:.0f} GFLOP/s")
    print(
        f"one product of 2,048 x 2,048 in {runtime.precision}: {best / 1e9:.0f} GFLOP/s ({speed / best:.0%})"
    )


if __name__ == "__main__":
    main()
