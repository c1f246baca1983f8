"""Default locations: the results database, run folders, the cache, the data home and the packaged files.

One environment variable changes each location. A command-line option takes precedence over the variable.
"""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

DEFAULT_RESULTS = Path("results.duckdb")
"""The results database of the working folder."""


def expanded(path: str | Path) -> Path:
    """Return `path` with the home folder for a ``~`` at its beginning; as it is if there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # ~nosuchuser: what opens it says that it does not exist
        return Path(path)


def results_path() -> Path:
    """Return the results database: ``$OPTICAL_RESULTS``, or ``results.duckdb`` in the working folder."""
    return Path(os.environ.get("OPTICAL_RESULTS") or DEFAULT_RESULTS)


def runs_folder(results: Path | None = None) -> Path:
    """Return the folder of run folders: ``runs``, in the folder of the database `results`."""
    return (results or results_path()).parent / "runs"


def run_log(folder: Path) -> Path:
    """Return the log of the run in `folder`, with what it printed."""
    return folder / "log.txt"


def cache_home() -> Path:
    """Return the cache (converted checkpoints, document vectors): ``$OPTICAL_CACHE`` or the user's cache."""
    return Path(os.environ.get("OPTICAL_CACHE") or platformdirs.user_cache_path("optical-workbench"))


def settings_home() -> Path:
    """Return the folder of the user's settings of the app: ``$OPTICAL_CONFIG`` or the user's own folder."""
    return Path(os.environ.get("OPTICAL_CONFIG") or platformdirs.user_config_path("optical-workbench"))


def data_home() -> Path:
    """Return the data home: ``$OPTICAL_DATA`` or the user's data folder."""
    return Path(os.environ.get("OPTICAL_DATA") or platformdirs.user_data_path("optical-workbench"))


def use_data_home(home: Path) -> None:
    """Make `home` the data home of this process and of the processes that it starts."""
    os.environ["OPTICAL_DATA"] = str(expanded(home).absolute())


def assets_folder() -> Path:
    """Return the folder of files that are part of the package: presets, checksums and reference results."""
    return Path(__file__).parent / "assets"
