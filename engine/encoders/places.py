"""Find checkpoints: a packaged name, a folder, a run's best student, or a hub id."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from engine.config.declared import SETTINGS_FILE
from engine.config.hub import snapshot_with_weights
from engine.encoders.packaged import PACKAGED, packaged_folder
from engine.errors import InputError, nearest
from engine.paths import expanded

#: Our fitted vectors, next to our settings in the folder that plain transformers reads.
FITTED_FILE = "optical.safetensors"
#: What names the checkpoint that the weights in a folder are changes of.
BASE_FILE = "base.json"
#: Maximum number of folders without weights, each naming the next, before the one with weights.
_LONGEST_CHAIN = 10


@dataclass(frozen=True)
class Base:
    """The checkpoint that a folder holds the changes of.

    Attributes
    ----------
    checkpoint : str
        A packaged name, an absolute folder, or a hub id.
    weights, tokenizer : str
        Hashes of its weights and of its tokenizer; the latter is ``""`` if the folder has one of its own.
    """

    checkpoint: str
    weights: str
    tokenizer: str


def base_of(folder: Path) -> Base | None:
    """Return the checkpoint that `folder` holds the changes of; None if its weights are whole.

    Raises
    ------
    InputError
        If the file that names it is damaged.
    """
    path = folder / BASE_FILE
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text("utf-8"))
        base = Base(content["checkpoint"], content["weights"], content["tokenizer"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError("this file should name the checkpoint that was trained", path=path) from error
    if not all(isinstance(value, str) for value in vars(base).values()):
        raise InputError("this file should name the checkpoint that was trained", path=path)
    if (folder / "model.safetensors").exists():
        raise InputError(
            f"this folder holds whole weights (model.safetensors) and changes of others ({BASE_FILE}); "
            "remove one of these files",
            path=folder,
        )
    return base


def resolve_base(folder: Path, base: Base) -> str:
    """Return the folder or hub id with the weights that `folder` holds the changes of.

    Raises
    ------
    InputError
        If they are not found.
    """
    try:
        found = _place(base.checkpoint)
        if not Path(found).is_dir() or not (Path(found) / BASE_FILE).exists():
            return found
        reason = "it holds only changes itself"
    except InputError as error:
        reason = str(error)
    raise InputError(
        f"this folder holds only what training changed in {base.checkpoint!r}, which cannot be used: "
        f"{reason}; put it back, or write its new place into {BASE_FILE} (key 'checkpoint')",
        path=folder,
    )


def weight_folders(checkpoint: str) -> list[Path]:
    """Return the folders on this machine that the weights of `checkpoint` are read from.

    These are its own folder, and that of the checkpoint that it holds the changes of.

    Raises
    ------
    InputError
        As `resolve`.
    """
    folder = Path(resolve(checkpoint))
    if not folder.is_dir():
        return []
    base = base_of(folder)
    found = [folder] if base is None else [folder, Path(resolve_base(folder, base))]
    return [place for place in found if place.is_dir()]


def resolve(checkpoint: str) -> str:
    """Return the folder with the weights of `checkpoint`; a hub id whose weights are not cached, as it is.

    A folder without weights, such as a run's ``teacher``, names the checkpoint with them in its settings.

    Raises
    ------
    InputError
        If there is no such checkpoint and the name cannot be a hub id, or if it holds changes of a checkpoint
        that is not found.
    """
    found = _place(checkpoint)
    if (base := base_of(Path(found))) is not None:
        resolve_base(Path(found), base)
    return found


def named(checkpoint: str) -> str:
    """Return the packaged name, folder or hub id with weights that `checkpoint` names in the end.

    Raises
    ------
    InputError
        If folders name each other.
    """
    asked = checkpoint
    for _ in range(_LONGEST_CHAIN):
        folder = expanded(checkpoint)
        if checkpoint in PACKAGED or (folder / "config.json").is_file():
            break
        if (elsewhere := saved_config(folder).get("checkpoint")) is None:
            break
        checkpoint = str(elsewhere)
    else:
        raise InputError("the folder's settings name no checkpoint with weights", path=asked)
    return checkpoint


def _place(checkpoint: str) -> str:
    checkpoint = named(checkpoint)
    folder = expanded(checkpoint)
    if checkpoint in PACKAGED:
        return str(packaged_folder(checkpoint))
    if folder.is_dir():
        _check_folder(folder)
        return str(folder)
    if looks_like_path(checkpoint):
        raise InputError("there is no such checkpoint folder", path=checkpoint)
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", checkpoint):
        raise InputError(f"{checkpoint!r} is neither a folder, a packaged checkpoint nor a hub id")
    if "/" not in checkpoint and nearest(checkpoint, list(PACKAGED)):
        raise InputError(f"there is no checkpoint {checkpoint!r}{nearest(checkpoint, list(PACKAGED))}")
    cached = snapshot_with_weights(checkpoint)
    return checkpoint if cached is None else str(cached)


def saved_config(folder: Path) -> dict[str, object]:
    """Return the settings that an encoder was saved with; an empty dictionary if it was not saved by us.

    Raises
    ------
    InputError
        If they cannot be read.
    """
    path = folder / SETTINGS_FILE
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (OSError, TypeError, ValueError) as error:
        raise InputError(f"the encoder's settings cannot be read: {error}", path=path) from error


def looks_like_path(text: str) -> bool:
    """Return whether `text` can only be a path."""
    return text.startswith((".", "/", "~", os.sep)) or text.count("/") > 1 or "\\" in text


def _check_folder(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        two = (folder / "router_config.json").is_file()
        why = "has an encoder for queries and one for documents; name one of its folders" if two else ""
        raise InputError(f"the checkpoint folder {why or 'has no config.json'}", path=folder)
    weights = [*folder.glob("*.safetensors"), *folder.glob("*.safetensors.index.json")]
    if not any(path.name.startswith("model") for path in weights):
        other = next((p.name for p in folder.iterdir() if p.suffix in {".bin", ".pt", ".pth", ".h5"}), None)
        extra = f"; {other} is not read, because such files can run code; convert it" if other else ""
        raise InputError(f"the checkpoint folder has no weights (model.safetensors){extra}", path=folder)
