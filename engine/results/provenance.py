"""The environment that a run records: versions, machine and process."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path

import psutil

_PACKAGES = ("optical-workbench", "torch", "transformers", "pot", "duckdb")
_COMPUTING = ("optical-workbench", "torch", "transformers")


def versions() -> dict[str, str | None]:
    """Return the versions of packages that influence results, from metadata, without importing them."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found


def made_by(schema: int) -> dict[str, str | int | None]:
    """Return what a file in the cache says about its maker: `schema`, its format, and versions of libraries.

    What another maker computed is not used: the same weights may give other values there.
    """
    return {"schema": schema, **dict(_computing())}


@cache
def _computing() -> tuple[tuple[str, str | None], ...]:
    """Return the versions of the packages that compute, read once: every cached file asks."""
    installed = versions()
    return tuple((name, installed[name]) for name in _COMPUTING)


def this_process() -> dict[str, str | int | float]:
    """Return host, platform, process id, start (seconds since 1970) and `boot` of the calling process."""
    return {
        "host": platform.node(),
        "platform": platform.platform(),
        "pid": os.getpid(),
        "process_started": psutil.Process().create_time(),
        "boot": boot(),
    }


def boot() -> str:
    """Return what identifies the last start of this machine: Linux's boot id, elsewhere its time."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return f"{datetime.fromtimestamp(psutil.boot_time(), UTC):%Y-%m-%dT%H:%MZ}"
