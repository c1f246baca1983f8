"""Measure how long a distillation takes until its first step, and what memory it takes until its last.

    OPTICAL_DATA=../shared/data python benchmarks/growth/first_step.py --sources
    python benchmarks/growth/first_step.py --bitext pairs.tsv --language sw --steps 200 --tiny

``--sources`` takes the real pairs of TICO-19, NTREX-128 and MAFAND-MT in Hausa, Igbo and Swahili (research
use only): about 16,000 distinct English sentences. ``--bitext`` takes one file of pairs. ``--searched`` keeps
the sentences of a collection of the data home, such as ``lareqa``, out of the training data. ``--tiny``
trains a random encoder with the preset's tokenizer instead of the preset's, so that preparing the data is
measured. The cache is a new folder unless ``--cache`` names one, so that nothing was computed before, but the
checkpoint is there. Prints seconds (and CPU seconds) since the start of the process, and the resident memory.
"""

from __future__ import annotations

import argparse
import os
import subprocess
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


def tiny(folder: Path) -> Path:
    """Write a random encoder with the tokenizer of the default checkpoint; return its folder."""
    import torch
    from transformers import BertConfig, BertModel

    from engine.config import EncoderConfig
    from engine.encoders.encoder import Encoder

    tokenizer = Encoder.load(EncoderConfig()).tokenizer
    config = BertConfig(
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
    )
    torch.manual_seed(0)
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def main() -> None:
    """Train for a few steps, and print when and with what memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sources", action="store_true")
    parser.add_argument("--bitext", type=Path)
    parser.add_argument("--language", default="sw")
    parser.add_argument("--preset", default="optical")
    parser.add_argument("--searched", nargs="*", default=[])
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--set", nargs="*", default=[], help="settings, such as loss.negatives=64")
    parser.add_argument("--cache", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.cache is None:
            os.environ["OPTICAL_CACHE"] = folder
            from engine.encoders.checkpoints import resolve

            resolve("multilingual-e5-small")  # converts it
            sys.exit(subprocess.call([sys.executable, *sys.argv, "--cache", folder]))
        os.environ["OPTICAL_CACHE"] = str(arguments.cache)
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
            "collections": [{"name": name} for name in arguments.searched],
        }
        watch = Watch()
        watch.say("start")
        if arguments.tiny:
            settings["teacher"] = {"checkpoint": str(tiny(Path(folder, "tiny")))}
        settings = overridden(settings, arguments.set)
        execute(parse_config(over_preset(settings)), Path(folder, "runs"), sys.argv, reporter=watch)
        watch.say(f"the end, at most {watch.largest / 2**30:.2f} GiB")


if __name__ == "__main__":
    main()
