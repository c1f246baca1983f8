"""The hashes of the checkpoints that a run was begun with, by which it notices that one was replaced."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from engine.encoders.places import resolve
from engine.encoders.weights import checkpoint_files
from engine.errors import InputError
from engine.flatten import flatten
from engine.hashes import Hashes, hash_file, stamp_of

Recorded = Mapping[str, Mapping[str, str]]


def checkpoints_of(config: BaseModel) -> dict[str, str]:
    """Return the checkpoints that `config` names, by the key of the setting (``teacher.checkpoint``)."""
    settings = flatten(config.model_dump(mode="json"))
    return {
        key: value
        for key, value in settings.items()
        if key.rpartition(".")[2] == "checkpoint" and isinstance(value, str)
    }


def weights_of(checkpoints: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the hash of every file of `checkpoints` that determines what it computes, by key and path.

    A file is read only if it changed since it was hashed last (`engine.hashes`). Checkpoints that are not in
    a folder are left out.
    """
    found: dict[str, dict[str, str]] = {}
    known: dict[str, dict[str, str]] = {}
    for key, checkpoint in checkpoints.items():
        with suppress(InputError, OSError):  # what opens the checkpoint says what is wrong with it
            folder = Path(resolve(checkpoint))
            if folder.is_dir():
                place = str(folder.absolute())
                known[place] = known.get(place) or _hashes(folder)
                found[key] = known[place]
    return found


def check_weights(recorded: Recorded, checkpoints: Mapping[str, str], what: str) -> dict[str, dict[str, str]]:
    """Return the hashes of `checkpoints`, which must be those that were `recorded`.

    Parameters
    ----------
    recorded : mapping
        What `weights_of` returned before; empty for a run that recorded nothing.
    checkpoints : mapping
        As for `weights_of`.
    what : str
        What the checkpoints belong to, for the message.

    Raises
    ------
    InputError
        If a file differs, is missing or was added, because two models would be mixed.
    """
    if not recorded:
        return weights_of(checkpoints)
    now = weights_of({key: name for key, name in checkpoints.items() if key in recorded})
    for key, files in now.items():
        before = recorded[key]
        for path in sorted({*files, *before}):
            if files.get(path) != before.get(path):
                if path not in files:
                    happened = "is missing"
                else:
                    happened = "has changed" if path in before else "was added"
                raise InputError(
                    f"this file of {key} {happened} since {what} began, so two models would be mixed; "
                    "restore it, or start a new run",
                    path=Path(resolve(checkpoints[key])) / path,
                )
    return now


def recorded_weights(record: Mapping[str, Any]) -> Recorded:
    """Return the hashes in the record of a run; empty for a run of an older version."""
    found: Recorded = (record.get("summary") or {}).get("weights") or {}
    return found


def _hashes(folder: Path) -> dict[str, str]:
    hashes, found = Hashes(folder), {}
    for file in checkpoint_files(folder):
        stamp = stamp_of(file) or ""
        digest = hashes.recall(file, stamp) or hash_file(file)
        hashes.remember(file, stamp, digest)
        found[file.relative_to(folder).as_posix()] = digest
    hashes.save()
    return found
