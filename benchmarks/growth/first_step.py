"""Measure how long a distillation takes until its first step, and what memory it takes until its last.

    OPTICAL_DATA=../shared/data python benchmarks/growth/first_step.py --sources
    python benchmarks/growth/first_step.py --bitext pairs.tsv --language sw --steps 200

``--sources`` takes the real pairs of TICO-19, NTREX-128 and MAFAND-MT in Hausa, Igbo and Swahili (research
use only): about 16,000 distinct English sentences. ``--bitext`` takes one file of pairs. The cache is a new
folder unless ``--cache`` names one, so that nothing was computed before. Prints seconds (and CPU seconds)
since the start of the process, and the resident memory.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from engine.reporting import Reporter

SOURCES: list[dict[str, Any]] = [
    {"path": "tico-19/all.en-sw.tmx.zip", "language": "sw", "start": 971},
    *({"path": "ntrex-128", "language": code, "part": "train"} for code in ("ha", "ig", "sw")),
    {"path": "lafand-mt/en-hau/train.json", "language": "ha"},
    {"path": "lafand-mt/en-ibo/train.json", "language": "ig"},
]


class Watch(Reporter):
    """Prints what is said and when each stage begins; notes the first and the last step."""

    def __init__(self) -> None:
        self.process = psutil.Process()
        self.name, self.steps, self.largest = "", 0, 0

    def say(self, sentence: str) -> None:
        """Print a sentence."""
        self._print(sentence)

    def stage(self, name: str, total: int) -> None:
        """Print that a stage begins."""
        self.name = name
        self._print(f"── {name} ({total:,})")

    def advance(self, parts: int = 1) -> None:
        """Note a step."""
        self.largest = max(self.largest, self.process.memory_info().rss)
        if self.name == "training":
            self.steps += parts
            if self.steps == 1:
                self._print("FIRST STEP")

    def _print(self, text: str) -> None:
        own = self.process
        seconds, cpu = time.time() - own.create_time(), sum(own.cpu_times()[:2])
        memory = own.memory_info().rss
        self.largest = max(self.largest, memory)
        print(f"{seconds:7.1f} s {cpu:7.1f} s of CPU {memory / 2**30:5.2f} GiB  {text}", flush=True)


def main() -> None:
    """Train for a few steps, and print when and with what memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sources", action="store_true")
    parser.add_argument("--bitext", type=Path)
    parser.add_argument("--language", default="sw")
    parser.add_argument("--preset", default="optical")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--set", nargs="*", default=[], help="settings, such as loss.negatives=64")
    parser.add_argument("--cache", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["OPTICAL_CACHE"] = str(arguments.cache or Path(folder, "cache"))
        from engine.config import over_preset, overridden, parse_config
        from engine.runs.execute import execute

        sources = SOURCES if arguments.sources else []
        if arguments.bitext:
            sources = [*sources, {"path": str(arguments.bitext), "language": arguments.language}]
        settings: dict[str, Any] = {
            "preset": arguments.preset,
            "name": "first step",
            "bitext": sources,
            "training": {"steps": arguments.steps, "evaluate_every": arguments.steps},
        }
        settings = overridden(settings, arguments.set)
        watch = Watch()
        watch.say("start")
        execute(parse_config(over_preset(settings)), Path(folder, "runs"), sys.argv, reporter=watch)
        watch.say(f"the end, at most {watch.largest / 2**30:.2f} GiB")


if __name__ == "__main__":
    main()
