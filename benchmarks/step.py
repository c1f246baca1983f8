"""One distillation step with and without vocabulary trimming, in one process, in turn.

    python benchmarks/step.py [--steps 12]

Ten languages of Django's catalogues and the demo's recipe, embeddings trained (`frozen_layers = 0`), since
frozen ones cost the same either way. Prints pairs a second (median), their ratio, and each student's size.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from engine.cli.demo import CATALOGUES, LANGUAGES
from engine.config import DistilConfig, parse_config, preset_settings
from engine.results.spool import RunFolder
from engine.training.batches import draw_batches
from engine.training.distil import Distillation


def main() -> None:
    """Time both students."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--steps", type=int, default=12)
    steps = parser.parse_args().steps
    bitext = [{"path": CATALOGUES, "language": code, "part": "train"} for code in LANGUAGES]
    with tempfile.TemporaryDirectory() as folder:
        students = {}
        for trimmed in (True, False):
            recipe = preset_settings("demo")
            recipe["training"] |= {"trim_vocabulary": trimmed, "frozen_layers": 0}
            config = parse_config({**recipe, "bitext": bitext})
            if not isinstance(config, DistilConfig):
                raise TypeError("the demo's preset is a distillation")
            run = RunFolder.create(Path(folder), config, ["benchmarks/step.py"], f"trim-{trimmed}")
            students[trimmed] = Distillation(config, run)
        settings = students[True].config.training
        batches = draw_batches(
            students[True].examples,
            batch_size=settings.batch_size,
            alpha=settings.sampling,
            anchor=settings.anchor,
            seed=0,
        )
        seconds: dict[bool, list[float]] = {True: [], False: []}
        for step in range(1, steps + 3):
            batch = next(batches)
            for trimmed, distillation in students.items():
                started = time.perf_counter()
                distillation._step(step, batch)
                if step > 2:  # the first two compile kernels
                    seconds[trimmed].append(time.perf_counter() - started)
    for trimmed, found in seconds.items():
        size = sum(p.numel() for p in students[trimmed].student.parameters())
        speed = settings.batch_size / statistics.median(found)
        print(f"{'trimmed' if trimmed else 'whole':8} {speed:6.1f} pairs/s  {size / 1e6:6.1f}M parameters")
    ratios = [whole / trimmed for trimmed, whole in zip(seconds[True], seconds[False], strict=True)]
    print(f"a step over the whole vocabulary takes {statistics.median(ratios):.2f} times as long")


if __name__ == "__main__":
    main()
