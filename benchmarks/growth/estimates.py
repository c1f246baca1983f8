"""Compare what `config estimate` says with what runs need.

    OMP_NUM_THREADS=1 OPTICAL_DATA=../shared/data python benchmarks/growth/estimates.py distil evaluate

Each run is estimated in one process and executed in another one, each with a cache that holds the converted
checkpoint alone. Prints CPU seconds, which other processes on the machine change little, the largest resident
memory, and the bytes that the run left in its folder and in the cache, each estimated and measured.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

TICO = {"path": "tico-19/all.en-sw.tmx.zip", "language": "sw"}
RUNS: dict[str, dict[str, Any]] = {
    "distil": {
        "preset": "optical",
        "name": "distil",
        "bitext": [{**TICO, "start": 971}],
        "training": {"steps": 48, "evaluate_every": 24},
        "collections": [{"name": "bitext", "label": "tico", "bitext": [{**TICO, "stop": 971}], "limit": 400}],
    },
    "evaluate": {
        "kind": "evaluate",
        "name": "evaluate",
        "encoder": {"passage_length": 32},  # several times as fast
        "collections": [{"name": "afriqa", "languages": ["sw"]}],
    },
    "pretrain": {
        "kind": "pretrain",
        "name": "pretrain",
        "text": [
            {
                "path": f"ntrex-128/NTREX-128/newstest2019-ref.{code}.txt",
                "format": "text",
                "language": language,
            }
            for code, language in (("swa", "sw"), ("hau", "ha"), ("ibo", "ig"))
        ],
        "pretraining": {"steps": 40},
    },
}


def main() -> None:
    """Estimate and execute the runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("runs", nargs="+", choices=RUNS)
    parser.add_argument("--work", choices=["estimate", "run"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work is not None:
        work(arguments.work, arguments.runs[0])
        return
    with tempfile.TemporaryDirectory() as folder:
        converted = Path(folder, "converted")
        compare(arguments.runs, converted, Path(folder, "cache"))


def compare(names: list[str], converted: Path, cache: Path) -> None:
    """Estimate and execute runs, each in a process of its own with a copy of the cache `converted`."""
    convert = "from engine.encoders.checkpoints import resolve; resolve('multilingual-e5-small')"
    environment = {**os.environ, "OPTICAL_CACHE": str(converted)}
    subprocess.run([sys.executable, "-c", convert], env=environment, check=True)
    for name in names:
        found = {}
        for how in ("estimate", "run"):
            shutil.rmtree(cache, ignore_errors=True)
            shutil.copytree(converted, cache)
            environment = {**os.environ, "OPTICAL_CACHE": str(cache)}
            command = [sys.executable, __file__, name, "--work", how]
            output = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout
            found[how] = json.loads(output.splitlines()[-1])
            print(f"{name}: {how} {json.dumps(found[how])}", flush=True)
        ratios = {key: found["estimate"][key] / max(1, found["run"][key]) for key in found["run"]}
        print(f"{name}: estimated / measured {json.dumps({key: round(r, 2) for key, r in ratios.items()})}")


def work(how: str, name: str) -> None:
    """Estimate or execute a run; print what it needs as a line of JSON."""
    from engine.config import over_preset, parse_config
    from engine.estimate.any_kind import estimate
    from engine.runs.execute import execute

    cache = Path(os.environ["OPTICAL_CACHE"])
    empty = size(cache)
    config = parse_config(over_preset(RUNS[name]))
    if how == "estimate":
        found = estimate(config)
        for stage in found.stages:
            print(f"{stage.cpu_seconds:8.1f}  {stage.name} ({stage.count:,} {stage.unit})", file=sys.stderr)
        needs = {
            "cpu_seconds": found.cpu_seconds,
            "memory": found.memory,
            "run folder": found.disk.get("run folder", 0),
            "cache": found.disk.get("cache", 0),
        }
        own = resource.getrusage(resource.RUSAGE_SELF)
        print(f"{own.ru_utime + own.ru_stime:8.1f}  CPU seconds of the estimate", file=sys.stderr)
    else:
        with tempfile.TemporaryDirectory() as folder:
            run, _ = execute(config, Path(folder), sys.argv)
            own = resource.getrusage(resource.RUSAGE_SELF)
            needs = {
                "cpu_seconds": own.ru_utime + own.ru_stime,
                "memory": own.ru_maxrss * 1024,
                "run folder": size(run.path),
                "cache": size(cache) - empty,
            }
    print(json.dumps(needs))


def size(folder: Path) -> int:
    """Return the bytes of the files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


if __name__ == "__main__":
    main()
