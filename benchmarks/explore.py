"""Variants that were tried before the recipe: one short run each, compared only by held-out retrieval.

    OPTICAL_DATA=../shared/data python benchmarks/explore.py contrast "hard negatives" [--held-out 150]

Without names, all variants run. The table in docs/recipe.md was made with these settings.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from engine.config import parse_config, preset_settings
from engine.paths import runs_folder
from engine.results.run_folder import tail
from engine.runs.execute import execute

LANGUAGES = ("so", "sw", "tl", "mr")
CONTRAST = {"maxsim_contrast": 1.0}
HARD = {**CONTRAST, "negatives": 64}
SHARP = {"epsilon": 0.05, "iterations": 50}

#: Variant -> the sections of settings that differ from the common ones.
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "contrast": {"loss": CONTRAST},
    "contrast, tau .02": {"loss": {**CONTRAST, "temperature": 0.02}},
    "contrast, lr 1e-4": {"loss": CONTRAST, "training": {"learning_rate": 1e-4}},
    "contrast, as the file has the pairs": {"loss": CONTRAST, "training": {"alignment": "trust"}},
    "96 random negatives": {"loss": {**CONTRAST, "negatives": 96, "negatives_from": "random"}},
    "whitening": {"loss": CONTRAST, "teacher": {"projection": "whitening"}},
    "contrast + transport": {"loss": {**CONTRAST, "transport": 1.0}, "transport": SHARP},
    "contrast + .2 transport": {"loss": {**CONTRAST, "transport": 0.2}, "transport": SHARP},
    "both contrasts": {"loss": {**CONTRAST, "transport_contrast": 1.0}, "transport": SHARP},
    "hard negatives": {"loss": HARD},
    "hard negatives + transport": {"loss": {**HARD, "transport": 1.0}},
    "hard negatives + .1 transport": {"loss": {**HARD, "transport": 0.1}},
    "hard negatives, both contrasts": {
        "loss": {**HARD, "maxsim_contrast": 0.5, "transport_contrast": 0.5},
        "transport": {"epsilon": 0.1, "iterations": 50},
    },
    "transport alone": {"loss": {"transport": 1.0}, "transport": SHARP},
}


def main() -> None:
    """Run the named variants; print held-out MRR before training and at its best."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help=", ".join(VARIANTS))
    parser.add_argument("--held-out", type=int, default=80)
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--results", type=Path, default=Path("recipe/results.duckdb"))
    arguments = parser.parse_args()
    if unknown := set(arguments.variants) - set(VARIANTS):
        parser.error(f"unknown variant {', '.join(sorted(unknown))}; known are {', '.join(VARIANTS)}")
    for name in arguments.variants or VARIANTS:
        settings = preset_settings("contrast")
        settings["loss"] = {}
        settings["training"] |= {
            "steps": arguments.steps,
            "evaluate_every": arguments.steps,
            "held_out": arguments.held_out,
        }
        for section, values in VARIANTS[name].items():
            settings[section] = settings[section] | values
        settings["bitext"] = [
            {"path": f"tico-19/all.en-{code}.tmx.zip", "language": code, "start": 971} for code in LANGUAGES
        ]
        config = parse_config({**settings, "name": name, "tags": ["explore"]})
        run, _ = execute(config, runs_folder(arguments.results), sys.argv)
        found = [
            record.metrics for record in tail(run.metrics_path).records if "held_out_rr" in record.metrics
        ]
        best = max(found, key=lambda metrics: metrics["held_out_rr"])
        cells = [
            f"{code or 'mean'} {found[0][key]:.4f} -> {best[key]:.4f}"
            for code in (*LANGUAGES, "")
            for key in [f"held_out_rr_{code}".rstrip("_")]
        ]
        print(f"{name:34}", *cells, sep="  ", flush=True)


if __name__ == "__main__":
    main()
