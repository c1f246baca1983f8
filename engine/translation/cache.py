"""Cache of translations on disk: an append-only JSON Lines file for each translator and language.

Each line is one translation. A crash can therefore damage only the line that was being written, and damaged
lines are skipped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path


def read_translations(path: Path) -> dict[str, str]:
    """Return the translations in the file `path` by their source text; damaged lines are skipped."""
    try:
        content = path.read_bytes()
    except OSError:
        return {}
    found = {}
    for line in content.split(b"\n"):
        try:
            record = json.loads(line)
            text, translation = record["text"], record["translation"]
        except (ValueError, KeyError, TypeError):
            continue
        if isinstance(text, str) and isinstance(translation, str):
            found[text] = translation
    return found


def append_translations(path: Path, translations: Mapping[str, str]) -> None:
    """Append `translations` (by source text) in one write; a file that cannot be written is ignored."""
    lines = [
        json.dumps({"text": text, "translation": translation}, ensure_ascii=False)
        for text, translation in translations.items()
    ]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            os.write(descriptor, ("\n" * torn + "".join(f"{line}\n" for line in lines)).encode())
        finally:
            os.close(descriptor)
    except OSError:
        return
