"""The questions asked before, kept in a file of the user's cache; the newest first, each once."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

from engine.paths import cache_home

KEPT = 200


def _file() -> Path:
    return cache_home() / "sql-history.json"


def read_history() -> list[str]:
    """Return the questions; none when there is no readable file."""
    try:
        found = json.loads(_file().read_text("utf-8"))
    except (OSError, ValueError):
        return []
    return [text for text in found if isinstance(text, str)] if isinstance(found, list) else []


def remember(sql: str) -> None:
    """Put `sql` in front; a cache that cannot be written is no reason to complain."""
    kept = [sql, *(text for text in read_history() if text != sql)][:KEPT]
    file = _file()
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(kept, ensure_ascii=False, indent=1), "utf-8")
        temporary.replace(file)
