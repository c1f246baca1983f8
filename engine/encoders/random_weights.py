"""Encoders with the architecture and tokenizer of a checkpoint and random weights, as controls."""

from __future__ import annotations

from pathlib import Path

from engine.encoders.checkpoints import T5_TYPES, resolve
from engine.encoders.safe_loading import CheckpointFiles
from engine.encoders.saving import whole_folder


def save_random_weights(checkpoint: str, seed: int, folder: Path) -> None:
    """Write into `folder` an encoder like `checkpoint` whose weights are drawn with `seed`.

    The weights are drawn as the architecture initialises them before a pre-training.

    Raises
    ------
    InputError
        If the checkpoint's configuration or tokenizer cannot be read.
    OpticalError
        If the disk is full.
    """
    import torch
    from transformers import AutoModel, AutoModelForTextEncoding
    from transformers.utils import logging

    files = CheckpointFiles(f"checkpoint {checkpoint!r}", resolve(checkpoint))
    config, tokenizer = files.config(), files.tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        loader = AutoModelForTextEncoding if config.model_type in T5_TYPES else AutoModel
        model = loader.from_config(config)
    logging.disable_progress_bar()
    with whole_folder(folder) as building:
        model.float().save_pretrained(building, safe_serialization=True)
        tokenizer.save_pretrained(str(building))
