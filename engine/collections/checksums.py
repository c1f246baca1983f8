"""Sizes and checksums of published files whose publishers give none."""

from __future__ import annotations

import tomllib
from functools import cache

from engine.extensions.published import PublishedFile
from engine.paths import assets_folder


@cache
def checksums() -> dict[str, dict[str, tuple[int, str]]]:
    """Return the size in bytes and the SHA-256 of published files, by folder and name."""
    table = tomllib.loads((assets_folder() / "checksums.toml").read_text("utf-8"))
    return {
        folder: {name: (size, digest) for name, (size, digest) in entries.items()}
        for folder, entries in table.items()
    }


def published_file(address: str, folder: str, path: str, code: str = "") -> PublishedFile:
    """Return a published file with the size and checksum that are known of it.

    Parameters
    ----------
    address : str
        Its https address.
    folder : str
        The folder of its data set in the data home.
    path : str
        Its path in that folder.
    code : str
        Code of its language; empty if it belongs to all.
    """
    size, digest = checksums().get(folder, {}).get(path, (0, ""))
    return PublishedFile(address, path, code, size, f"sha256:{digest}" if digest else "")
