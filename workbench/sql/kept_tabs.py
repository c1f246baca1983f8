"""The texts of the SQL tabs between two starts of the app: a file in the user's cache folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from engine.errors import OpticalError
from engine.paths import cache_home

MOST_TABS = 50
LONGEST = 100_000
"""Longest text that is kept, in characters."""


def tabs_file() -> Path:
    """Return the file."""
    return cache_home() / "sql-tabs.json"


def read_tabs() -> tuple[list[str], int]:
    """Return the texts and the number of the open tab; no text if there is no readable file."""
    try:
        found = json.loads(tabs_file().read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return [], 0
    texts = found.get("tabs") if isinstance(found, dict) else None
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        return [], 0
    kept = [text[:LONGEST] for text in texts[:MOST_TABS]]
    here = found.get("open")
    return kept, here if isinstance(here, int) and 0 <= here < len(kept) else 0


def write_tabs(texts: Sequence[str], here: int) -> None:
    """Keep the texts and the number of the open tab. Errors of writing are ignored, as for the history."""
    from engine.atomic import write_file

    content = {"open": here, "tabs": [text[:LONGEST] for text in texts[:MOST_TABS]]}
    with suppress(OSError, OpticalError, UnicodeEncodeError):
        tabs_file().parent.mkdir(parents=True, exist_ok=True)
        write_file(tabs_file(), json.dumps(content, ensure_ascii=False, indent=1).encode())
