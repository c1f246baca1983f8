"""Save an encoder as a folder that plain transformers opens, together with its settings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from engine.atomic import replacing_folder
from engine.config.declared import SETTINGS_FILE
from engine.encoders.checkpoints import FITTED_FILE
from engine.encoders.encoder import Encoder
from engine.errors import OpticalError


def save_encoder(encoder: Encoder, folder: Path) -> None:
    """Write the model, tokenizer, settings and fitted vectors to `folder`, which appears when it is complete.

    Raises
    ------
    OpticalError
        If the vocabulary is trimmed (call `untrim` first) or the disk is full.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()
    if encoder.trimming is not None:
        raise OpticalError(
            "a trimmed encoder cannot be saved, because plain transformers could not read it; untrim it"
        )
    with whole_folder(folder) as building:
        encoder.model.save_pretrained(building, safe_serialization=True)
        encoder.tokenizer.save_pretrained(str(building))
        _write_fitted(encoder, building)


def save_fitted(encoder: Encoder, folder: Path) -> None:
    """Write only the settings and fitted vectors of an encoder whose weights are in another folder.

    Raises
    ------
    OpticalError
        If the disk is full.
    """
    with whole_folder(folder) as building:
        _write_fitted(encoder, building)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Give a new folder to fill. It replaces `folder` at the end, or is removed if an error is raised."""
    try:
        with replacing_folder(folder) as building:
            yield building
    except (OSError, SafetensorError) as error:  # safetensors reports a full disk with its own error
        reason = getattr(error, "strerror", None) or error
        raise OpticalError(f"{folder}: the checkpoint could not be written: {reason}") from error


def _write_fitted(encoder: Encoder, folder: Path) -> None:
    from safetensors.torch import save_file

    fitted = {"mean": encoder.mean.contiguous()}
    if encoder.projection is not None:
        fitted["projection"] = encoder.projection.weight.detach().contiguous()
    if encoder.mass_head is not None:
        fitted["mass_head"] = encoder.mass_head.weight.detach().contiguous()
    if encoder.sentence_head is not None:
        fitted |= encoder.sentence_head.tensors()
    save_file(fitted, str(folder / FITTED_FILE))
    settings = encoder.config.model_dump(mode="json")
    (folder / SETTINGS_FILE).write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", "utf-8")
