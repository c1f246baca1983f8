"""Load checkpoints: a packaged name, a folder, a run's best student, or a hub id."""

from __future__ import annotations

from typing import Any

from engine.encoders.characters import CharacterTokenizer
from engine.encoders.places import FITTED_FILE, looks_like_path, resolve, saved_config
from engine.encoders.safe_loading import CheckpointFiles, check_pieces
from engine.errors import InputError

__all__ = ["FITTED_FILE", "T5_TYPES", "load_model", "looks_like_path", "resolve", "saved_config"]

#: Architectures whose decoder is not needed for encoding and is not loaded.
T5_TYPES = ("t5", "mt5", "umt5")


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
