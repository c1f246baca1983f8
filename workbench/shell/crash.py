"""The log of an error that ended the app."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from engine.durations import current_time
from engine.paths import cache_home
from engine.visible import visible


def write_crash_log(error: BaseException) -> str:
    """Write the traceback of `error` to a file in the cache; return a sentence that names the file."""
    import platform
    import traceback
    from importlib.metadata import version

    versions = [f"{name} {version(name)}" for name in ("optical-workbench", "textual", "rich")]
    lines = [
        f"{current_time():%Y-%m-%d %H:%M:%S} UTC",
        f"Python {platform.python_version()}, {', '.join(versions)}",
        f"{platform.platform()}, TERM={os.environ.get('TERM', '')}",
        "",
        "".join(traceback.format_exception(error)),
    ]
    text = visible("\n".join(lines), keep="\n")
    what = visible(f"{type(error).__name__}: {error}".splitlines()[0])
    name = f"crash-{current_time():%Y%m%d-%H%M%S}-{os.getpid()}.txt"
    for folder in (cache_home() / "crashes", Path(tempfile.gettempdir())):
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, "utf-8", errors="backslashreplace")
            return (
                f"optical-workbench: the app ended with an error, {what}. The log is {folder / name}. "
                "Runs continue; no data is lost."
            )
    return f"optical-workbench: the app ended with an error, and no log could be written.\n{text}"
