"""The environment that a run records: versions, commit, machine and process."""

from __future__ import annotations

import os
import platform
import subprocess
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
    installed = versions()
    return {"schema": schema, **{name: installed[name] for name in _COMPUTING}}


def git_commit(folder: Path | None = None) -> str | None:
    """Return the commit of `folder` (by default the working folder), with ``-dirty`` if files differ from it.

    None if there is no repository, no commit or no git. It never raises.
    """
    # With a pattern that matches no tag, `describe` prints the full commit.
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--match", "no tag is named so"]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=5, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError, UnicodeError):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def this_process() -> dict[str, str | int | float]:
    """Return host, platform, process id and start (seconds since 1970) of the calling process."""
    return {
        "host": platform.node(),
        "platform": platform.platform(),
        "pid": os.getpid(),
        "process_started": psutil.Process().create_time(),
    }
