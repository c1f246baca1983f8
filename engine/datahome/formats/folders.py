"""The files in a folder."""

from __future__ import annotations

from pathlib import Path


def files_in(folder: Path) -> list[Path]:
    """Return the files in a folder and its subfolders, sorted by name, without hidden ones."""
    return sorted(
        file
        for file in folder.rglob("*")
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    )
