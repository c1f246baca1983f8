"""Estimate a run of any kind that can be estimated."""

from __future__ import annotations

import time

import psutil
import torch

from engine.config import RunHeader
from engine.errors import InputError
from engine.estimate.records import Estimate
from engine.estimate.sheet import Cost, Given, Meter, Sheet
from engine.extensions.runs import RUN_KINDS
from engine.registry import resolve_reference


def estimate(config: RunHeader, given: Given = Given(), meter: Meter | None = None) -> Estimate:  # noqa: B008
    """Return what a run with this configuration will need, from parts of it that are measured here.

    Some real batches of the run's own texts are encoded, a few steps are trained and a few queries searched,
    with the run's own encoders and lengths; the times grow with what the whole run has of each. The cache is
    taken for empty. Nothing is written but vectors in the cache.

    Parameters
    ----------
    config : RunHeader
        The run's configuration.
    given : Given
        Throughputs of another machine, which replace the measured time of training.
    meter : Meter, optional
        Measures the work.

    Raises
    ------
    InputError
        If runs of its kind cannot be estimated, something that it reads is missing or broken, or a
        throughput is given that it has no use for.
    """
    process = psutil.Process()
    sheet = Sheet(meter or Meter(), given)
    started = Cost(time.time() - process.create_time(), sum(process.cpu_times()[:2]))
    sheet.add("starting the program", 1, "process", started)
    add_run(config, sheet)
    _check_used(given, sheet)
    device = sheet.meter.device
    return Estimate(
        config.name,
        config.kind,
        torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
        torch.get_num_threads(),
        sheet.stages,
        sum(stage.seconds for stage in sheet.stages),
        sum(stage.cpu_seconds for stage in sheet.stages),
        sheet.memory,
        sheet.device_memory,
        dict(sheet.disk),
        sheet.notes,
    )


def _check_used(given: Given, sheet: Sheet) -> None:
    """Refuse a throughput that no stage of training has.

    Raises
    ------
    InputError
        If there is one.
    """
    units = {stage.unit for stage in sheet.stages if stage.basis == "given"}
    if given.pairs_per_second is not None and not units & {"pairs", "questions"}:
        raise InputError("the run trains on no pairs or questions, so leave out --pairs-per-second")
    if given.tokens_per_second is not None and "tokens" not in units:
        raise InputError("the run pre-trains no encoder, so leave out --tokens-per-second")


def add_run(config: RunHeader, sheet: Sheet) -> None:
    """Add a run of any kind to an estimate.

    Raises
    ------
    InputError
        If runs of its kind cannot be estimated, or something that it reads is missing or broken.
    """
    how = RUN_KINDS[config.kind].estimate
    if how is None:
        able = ", ".join(name for name, kind in RUN_KINDS.items() if kind.estimate is not None)
        raise InputError(
            f"what a run of kind {config.kind!r} needs cannot be estimated; it can for the kinds {able}"
        )
    resolve_reference(how)(config, sheet)
