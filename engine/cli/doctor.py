"""``doctor``: check the installation: packages, machine, folders and encoders."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click
import psutil

from engine.cli.options import json_option, print_json, results_option
from engine.cli.output import warn
from engine.cli.tables import print_table, size_text
from engine.encoders.packaged import PACKAGED, package_of, ready_folder
from engine.paths import cache_home, data_home, runs_folder, settings_home

_DISTRIBUTION = "optical-workbench"

#: Free disk space in bytes for a run with a converted checkpoint, its students and cached vectors.
_DISK_SPACE = 4_000_000_000


@dataclass(frozen=True)
class Finding:
    """The result of one check. Without what is ``missing`` nothing works; a ``warning`` limits what works."""

    what: str
    found: str
    state: Literal["ok", "warning", "missing"] = "ok"
    advice: str = ""


@click.command()
@results_option
@json_option
def doctor(results: Path, as_json: bool) -> None:
    """Check this installation. The command exits with status 1 if something essential is missing."""
    findings = [*_packages(), *_machine(), *_places(results), *_encoders(), *_extensions()]
    missing = [finding for finding in findings if finding.state == "missing"]
    if as_json:
        print_json({"ok": not missing, "findings": [vars(finding) for finding in findings]})
    else:
        print_table(
            ("what", "state", "found", "advice"),
            [(finding.what, finding.state, finding.found, finding.advice) for finding in findings],
        )
    if missing:
        warn(f"missing: {', '.join(one.what for one in missing)}")
        click.get_current_context().exit(1)


def _packages() -> Iterator[Finding]:
    """Compare the installed packages with the requirements of this distribution."""
    from packaging.requirements import Requirement

    yield Finding("python", platform.python_version())
    try:
        own = importlib.metadata.distribution(_DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        yield Finding(_DISTRIBUTION, "not installed", "missing", "pip install '.[demo]' in its folder")
        return
    yield Finding(_DISTRIBUTION, own.version)
    for requirement in map(Requirement, own.requires or ()):
        marker = requirement.marker
        demo = marker is not None and not marker.evaluate({"extra": ""})
        if demo and marker is not None and not marker.evaluate({"extra": "demo"}):
            continue
        severity: Literal["warning", "missing"] = "warning" if demo else "missing"
        advice = f"pip install '{requirement.name}{requirement.specifier}'" + (", for the demo" * demo)
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            yield Finding(requirement.name, "not installed", severity, advice)
            continue
        if requirement.specifier.contains(version, prereleases=True):
            yield Finding(requirement.name, version)
        else:
            yield Finding(requirement.name, version, severity, advice)


def _machine() -> Iterator[Finding]:
    """Check the processor, the memory and the GPU, which needs torch."""
    try:
        import torch

        from engine.training.precision import autocast_dtype
    except (ImportError, OSError) as error:
        yield Finding("torch loads", str(error).splitlines()[0], "missing", "reinstall torch")
        return
    yield Finding("threads", f"{torch.get_num_threads()} of {os.cpu_count()} processors")
    yield Finding("memory", size_text(psutil.virtual_memory().total))
    native = autocast_dtype("auto", torch.device("cpu")) == torch.bfloat16
    yield Finding("bf16 on the CPU", "yes" if native else "no, training runs in fp32")
    if torch.cuda.is_available():
        yield Finding("GPU", torch.cuda.get_device_name())
    else:
        yield Finding("GPU", "none, training runs on the CPU")


def _places(results: Path) -> Iterator[Finding]:
    for what, place, variable in (
        ("cache", cache_home(), "OPTICAL_CACHE"),
        ("runs", runs_folder(results), "OPTICAL_RESULTS"),
    ):
        reason = _unwritable(place)
        advice = f"set {variable} to another folder" if reason else ""
        yield Finding(what, f"{place}{reason}", "missing" if reason else "ok", advice)
    settings = settings_home() / "app.toml"
    yield Finding("settings of the app", f"{settings}{'' if settings.is_file() else ' (there is none)'}")
    home = data_home()
    if home.is_dir():
        yield Finding("data home", str(home))
    else:
        yield Finding("data home", f"{home} is not a folder", "warning", "set OPTICAL_DATA to the folder")
    free = shutil.disk_usage(_existing(cache_home())).free
    yield Finding(
        "free disk",
        size_text(free),
        "ok" if free > _DISK_SPACE else "warning",
        "" if free > _DISK_SPACE else f"free some space; a run needs {size_text(_DISK_SPACE)}",
    )


def _encoders() -> Iterator[Finding]:
    for name, entry in PACKAGED.items():
        if package_of(name) is None:
            yield Finding(name, "not installed", "warning", f"pip install {entry.distribution}")
        else:
            ready = ready_folder(name)
            yield Finding(name, "installed, converted on first use" if ready is None else str(ready))


def _extensions() -> Iterator[Finding]:
    """Report the entry points of other distributions that cannot be loaded."""
    from engine.extensions import registries

    for registry in registries():
        len(registry)  # loads the entries
        for problem in registry.problems:
            yield Finding("extensions", problem, "warning", "reinstall or remove its distribution")


def _unwritable(place: Path) -> str:
    """Return the reason why no file can be written in `place`, or an empty text."""
    try:
        with tempfile.TemporaryFile(dir=_existing(place)):
            return ""
    except OSError as error:
        return f": {error.strerror}"


def _existing(place: Path) -> Path:
    """Return `place`, or the nearest folder above it that exists."""
    place = place.absolute()
    return next(folder for folder in (place, *place.parents) if folder.exists())
