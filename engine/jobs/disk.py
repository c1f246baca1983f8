"""The disk that runs and the cache take, and what of it can be computed again and deleted."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from engine.atomic import staging
from engine.errors import OpticalError
from engine.extensions.runs import RUN_KINDS
from engine.jobs.state import state_of
from engine.paths import cache_home
from engine.results.run_folder import deleted_folders, read_record, run_folders

#: Kinds of file in a run's folder, in the order in which they are shown.
KINDS = ("encoders", "state", "rankings", "scores", "texts", "other")

#: The tables by the kind of file that they are shown as.
_TABLES = {
    **dict.fromkeys(("scores", "query_scores"), "scores"),
    "rankings": "rankings",
    **dict.fromkeys(("texts", "plans", "bitext", "pretraining", "topics"), "texts"),
}
#: The parts of the cache that are made again when they are needed. Converted checkpoints are left alone.
CACHES = ("vectors", "pairs", "overlap", "translations", "studies", "hashes")

Part = Literal["caches", "states", "encoders"]


def sizes(folder: Path) -> dict[str, int]:
    """Return the bytes on disk of each kind of file (`KINDS`) in the run folder `folder`.

    ``encoders`` are the trained weights and what is saved with them, ``state`` is what a stopped run resumes
    from, ``scores`` and ``rankings`` are those tables, ``texts`` the tables of texts, plans and bitext, and
    ``other`` the record, curves and log.
    """
    found = dict.fromkeys(KINDS, 0)
    for file, size in _files(folder):
        place = file.relative_to(folder)
        if place.parts[0] == "checkpoints":
            kind = "state" if len(place.parts) == 2 and place.name.startswith("state") else "encoders"
        else:
            table = place.stem.partition("-")[0] if place.suffix == ".parquet" else ""
            kind = _TABLES.get(table, "other")
        found[kind] += size
    return found


@dataclass(frozen=True)
class Removable:
    """Files that can be deleted.

    Attributes
    ----------
    part : str
        ``caches``, ``states`` or ``encoders``.
    owner : str
        The id of the run, or the name of a part of the cache.
    paths : tuple of Path
        The files and folders.
    size : int
        Their bytes on disk.
    kept : str
        Why they are not deleted; ``""`` if they are.
    """

    part: Part
    owner: str
    paths: tuple[Path, ...]
    size: int
    kept: str = ""


def removable(runs: Path, chosen: Sequence[str], parts: Iterable[Part]) -> list[Removable]:
    """Return what can be deleted of the runs with the ids `chosen` in the folder `runs`, and of the cache.

    Parameters
    ----------
    runs : Path
        The folder of run folders.
    chosen : sequence of str
        The ids of the runs to look at.
    parts : iterable of str
        ``caches`` are vectors, translations, hashes and figures of studies in the cache. ``states`` are
        states that finished runs do not resume from any more, and what interrupted writing and deletions
        left. ``encoders`` are the trained encoders of finished runs; those that another run's configuration
        names are kept.
    """
    wanted = set(parts)
    found: list[Removable] = []
    if "caches" in wanted:
        places = [cache_home() / name for name in CACHES]
        found += [_found("caches", place.name, [place]) for place in places if place.is_dir()]
    if "states" in wanted:
        left = sorted(deleted_folders(runs).values())
        found += [_found("states", place.name, [place]) for place in left if place.is_dir()]
    known = {folder.name: _record(folder) for folder in run_folders(runs)}
    for identity in chosen:
        folder = runs / identity
        checkpoints, record = folder / "checkpoints", known.get(identity)
        if not record or state_of(folder, record) != "finished" or checkpoints.is_symlink():
            continue
        if "states" in wanted:
            rests = [place for place in checkpoints.glob(".*.part") if place.is_dir()]
            states = [*checkpoints.glob("state.safetensors"), *checkpoints.glob(".state.*"), *rests]
            if states:
                found.append(_found("states", identity, sorted(states)))
        trained = _trained(checkpoints, record)
        if "encoders" in wanted and trained:
            users = [other for other, used in known.items() if other != identity and _names(used, folder)]
            kept = f"{users[0]} uses them" if users else ""
            found.append(_found("encoders", identity, trained, kept))
    return [item for item in found if item.size]


def remove(items: Iterable[Removable]) -> int:
    """Delete the files of `items` that are not kept, and return their bytes.

    Raises
    ------
    OpticalError
        If a file cannot be deleted.
    """
    freed = 0
    for item in items:
        if item.kept:
            continue
        for path in item.paths:
            try:
                if not path.is_dir() or path.is_symlink():
                    path.unlink(missing_ok=True)
                elif item.part == "encoders":
                    with staging(path.parent) as hidden:  # so that nobody finds half a folder
                        shutil.rmtree(path.rename(hidden / path.name))
                else:
                    shutil.rmtree(path)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise OpticalError(
                    f"{error.filename or path}: cannot be deleted: {error.strerror}"
                ) from error
        freed += item.size
    return freed


def _trained(checkpoints: Path, record: Mapping[str, Any]) -> list[Path]:
    """Return the folders with trained weights of a run; what its evaluation chose and fitted is small."""
    kind = RUN_KINDS.get(str(record.get("kind")))
    if kind is None or kind.trained is None:
        return []
    folder = checkpoints / kind.trained.folder
    return [folder] if folder.is_dir() and any(folder.glob("model*.safetensors")) else []


def _names(record: Mapping[str, Any], folder: Path) -> bool:
    """Return whether a run's configuration names the run folder `folder` or something in it."""
    config = record.get("config") or {}
    settings = [value for key, value in config.items() if key not in ("name", "note", "tags")]
    return any(folder.name in Path(text).parts for text in _texts(settings))


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(part)


def _record(folder: Path) -> dict[str, Any]:
    try:
        return read_record(folder)
    except OpticalError:
        return {}


def _found(part: Part, owner: str, paths: Sequence[Path], kept: str = "") -> Removable:
    size = sum(size for path in paths for _, size in _files(path))
    return Removable(part, owner, tuple(paths), size, kept)


def _files(place: Path) -> Iterable[tuple[Path, int]]:
    """Yield the files at `place` or below it with their bytes on disk; links are not followed."""
    for path in [place] if place.is_file() else place.rglob("*"):
        try:
            if path.is_symlink() or not path.is_file():
                continue
            yield path, path.stat().st_size
        except OSError:  # it was deleted meanwhile
            continue
