"""Find and load checkpoints: a packaged name, a folder, a run's best student, or a hub id."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from engine.config.declared import SETTINGS_FILE
from engine.config.hub import snapshot_with_weights
from engine.encoders.characters import CharacterTokenizer
from engine.encoders.packaged import PACKAGED, packaged_folder
from engine.encoders.safe_loading import CheckpointFiles, check_pieces
from engine.errors import InputError, nearest

#: Our fitted vectors, next to our settings in the folder that plain transformers reads.
FITTED_FILE = "optical.safetensors"
#: Maximum number of folders without weights, each naming the next, before the one with weights.
_LONGEST_CHAIN = 10

#: Architectures whose decoder is not needed for encoding and is not loaded.
T5_TYPES = ("t5", "mt5", "umt5")


def resolve(checkpoint: str) -> str:
    """Return the folder with the weights of `checkpoint`; a hub id whose weights are not cached, as it is.

    A folder without weights, such as a run's ``teacher``, names the checkpoint with them in its settings.

    Raises
    ------
    InputError
        If there is no such checkpoint and the name cannot be a hub id.
    """
    asked = checkpoint
    for _ in range(_LONGEST_CHAIN):
        folder = Path(checkpoint).expanduser()
        if checkpoint in PACKAGED or (folder / "config.json").is_file():
            break
        if (elsewhere := saved_config(folder).get("checkpoint")) is None:
            break
        checkpoint = str(elsewhere)
    else:
        raise InputError("the folder's settings name no checkpoint with weights", path=asked)
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
        raise InputError("the checkpoint folder has no config.json", path=folder)
    weights = [*folder.glob("*.safetensors"), *folder.glob("*.safetensors.index.json")]
    if not any(path.name.startswith("model") for path in weights):
        other = next((p.name for p in folder.iterdir() if p.suffix in {".bin", ".pt", ".pth", ".h5"}), None)
        extra = f"; {other} is not read, because such files can run code; convert it" if other else ""
        raise InputError(f"the checkpoint folder has no weights (model.safetensors){extra}", path=folder)


def load_model(checkpoint: str, *, dropout: float = 0.0) -> tuple[Any, Any]:
    """Load the transformers model, in float32, and the tokenizer of `checkpoint`.

    Only safetensors are read and no remote code runs.

    Raises
    ------
    InputError
        If the checkpoint is missing, incomplete, or needs its own code.
    """
    from transformers import AutoModel, AutoModelForTextEncoding

    files = CheckpointFiles(f"checkpoint {checkpoint!r}", resolve(checkpoint))
    config = files.config(dropout)
    loader = AutoModelForTextEncoding if config.model_type in T5_TYPES else AutoModel
    model, missing, mismatched = files.weights(loader, config)
    tokenizer = files.tokenizer()
    if config.model_type == "canine":
        tokenizer = CharacterTokenizer(tokenizer)
    _check_whole(checkpoint, model, missing, mismatched, tokenizer)
    if getattr(config, "is_encoder_decoder", False) and config.model_type not in T5_TYPES:
        model = model.get_encoder()
    return model, tokenizer


def _check_whole(
    checkpoint: str, model: Any, missing: list[str], mismatched: list[str], tokenizer: Any
) -> None:
    """Refuse what transformers opens without an error: random weights, and a tokenizer that does not fit.

    The pooler is not used here, and many checkpoints do not have one.
    """
    for names, what in ((mismatched, "do not fit its config.json"), (missing, "are missing")):
        lacking = [name for name in names if not name.startswith("pooler.")]
        if lacking:
            first = f"{lacking[0]} and {len(lacking) - 1} more" if len(lacking) > 1 else lacking[0]
            raise InputError(f"weights of checkpoint {checkpoint!r} {what} ({first}); they would be random")
    if isinstance(tokenizer, CharacterTokenizer):
        return
    pieces = set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens)
    if not getattr(tokenizer, "is_fast", False) or not pieces:
        raise InputError(f"checkpoint {checkpoint!r} has no fast tokenizer (tokenizer.json), which is needed")
    check_pieces(f"checkpoint {checkpoint!r}", model, tokenizer)
