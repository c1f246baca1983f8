"""What runs that execute other runs will need: studies and sweeps."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from engine.config import RunHeader
from engine.config.pretraining import PRETRAINED
from engine.config.study import ArmConfig, Stage, StudyConfig, distillation, pretraining, stages_of
from engine.config.sweep import OPTUNA, SweepConfig, member
from engine.encoders.random_weights import save_random_weights
from engine.estimate.any_kind import add_run
from engine.estimate.distil import estimate_distil
from engine.estimate.pretrain import pretrain
from engine.estimate.sheet import Sheet

#: The most combinations of a sweep that are measured; of more, evenly spaced ones stand for all.
COMBINATIONS = 6


def estimate_study(config: StudyConfig, sheet: Sheet) -> None:
    """Add all stages of a study to an estimate: each stage of an arm is measured once, for all seeds.

    Raises
    ------
    InputError
        If something that a stage reads is missing or broken.
    """
    seeds = len(config.seeds)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint: str | None = None
        for arm in sorted(config.arms, key=lambda arm: arm.sampling is None):
            if arm.sampling is not None:
                own = _part(sheet)
                settings = pretraining(config, arm, config.seeds[0], checkpoint)
                place = Path(folder, arm.name)
                pretrain(settings, own, place)
                checkpoint = checkpoint or str(place / PRETRAINED)
                sheet.absorb(own, seeds, f"{arm.name}, pretrain")
            for name in stages_of(False):
                start = _start(arm, checkpoint, Path(folder))
                own = _part(sheet)
                estimate_distil(distillation(config, Stage(arm.name, config.seeds[0], name), start), own)
                sheet.absorb(own, seeds, f"{arm.name}, {name}")
    sheet.note(f"each stage of an arm was measured once, for its {seeds} seeds")


def _part(sheet: Sheet) -> Sheet:
    """Return an empty estimate that is measured as `sheet`."""
    return Sheet(meter=sheet.meter, given=sheet.given)


def _start(arm: ArmConfig, pretrained: str | None, folder: Path) -> str:
    """Return the checkpoint that an arm starts from, or another one of its architecture."""
    if arm.sampling is not None:
        return str(folder / arm.name / PRETRAINED)
    origin = arm.checkpoint or pretrained
    assert origin is not None
    if not arm.random_weights:
        return origin
    place = folder / f"{arm.name}-random"
    if not place.is_dir():
        save_random_weights(origin, 0, place)
    return str(place)


def estimate_sweep(config: SweepConfig, sheet: Sheet) -> None:
    """Add the runs of a sweep to an estimate: some of the combinations, each for all seeds.

    Raises
    ------
    InputError
        If a run cannot be estimated.
    """
    combinations = config.checked()
    total = config.tries if config.sampler in OPTUNA else len(combinations)
    chosen = combinations[:: -(-len(combinations) // COMBINATIONS)]
    members: Sequence[RunHeader] = [member(config, settings, config.seeds[0]) for settings in chosen]
    for one in members:
        own = _part(sheet)
        add_run(one, own)
        sheet.absorb(own, 1)
    sheet.multiply(total * len(config.seeds) / len(members))
    if len(members) < total:
        sheet.note(f"{len(members)} of {total} combinations were measured and stand for all")
    sheet.note(f"each combination was measured once, for {len(config.seeds)} seeds")
