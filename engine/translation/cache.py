"""Cache of translations on disk: an append-only JSON Lines file for each translator and language.

The first line says what made the file (`engine.results.provenance.made_by`); a file of another maker is
ignored. Each further line is one translation. A crash can therefore damage only the line that was being
written, and damaged lines are skipped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from engine.results.provenance import made_by

SCHEMA = 1
"""The format of the file. Files of other formats are ignored."""


def read_translations(path: Path) -> dict[str, str]:
    """Return the translations in the file `path` by their source text; damaged lines are skipped.

    A file that another version made, or that does not say what made it, is removed.
    """
    try:
        first, *lines = path.read_bytes().split(b"\n")
        if first.decode("utf-8", "replace") != _first_line():
            path.unlink()
            return {}
    except OSError:
        return {}
    found = {}
    for line in lines:
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
            start = f"{_first_line()}\n".encode()
            if os.pread(descriptor, len(start), 0) != start:
                os.ftruncate(descriptor, 0)
                size = 0
                lines.insert(0, _first_line())
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            os.write(descriptor, ("\n" * torn + "".join(f"{line}\n" for line in lines)).encode())
        finally:
            os.close(descriptor)
    except OSError:
        return


def _first_line() -> str:
    return json.dumps({"made_by": made_by(SCHEMA)})
