"""The history of SQL statements: a file in the user's cache folder, newest first, without repetitions."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from engine.errors import OpticalError
from engine.paths import cache_home

MAX_STATEMENTS = 200


def _file() -> Path:
    return cache_home() / "sql-history.json"


def read_history() -> list[str]:
    """Return the statements, newest first; an empty list if there is no readable file."""
    try:
        found = json.loads(_file().read_text("utf-8"))
    except (OSError, ValueError):
        return []
    return [text for text in found if isinstance(text, str)] if isinstance(found, list) else []


def add_to_history(sql: str) -> None:
    """Put `sql` first. Errors of writing are ignored, since the history is not essential."""
    from engine.atomic import write_file

    kept = [sql, *(text for text in read_history() if text != sql)][:MAX_STATEMENTS]
    with suppress(OSError, OpticalError):
        _file().parent.mkdir(parents=True, exist_ok=True)
        write_file(_file(), json.dumps(kept, ensure_ascii=False, indent=1).encode())
