"""Save an encoder as a folder that plain transformers opens, with our settings beside it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from engine.encoders.checkpoints import FITTED_FILE, SETTINGS_FILE, resolve
from engine.errors import InputError, OpticalError

if TYPE_CHECKING:
    from engine.encoders.encoder import Encoder


def save_encoder(encoder: Encoder, folder: Path) -> None:
    """Write the model, tokenizer, settings and fitted vectors to `folder`, which appears only when whole.

    Raises
    ------
    OpticalError
        If the vocabulary is trimmed (call `untrim` first) or the disk is full.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()
    if encoder.trimming is not None:
        raise OpticalError(
            "a trimmed encoder is not saved, since plain transformers could not read it; untrim it"
        )
    with whole_folder(folder) as building:
        encoder.model.save_pretrained(building, safe_serialization=True)
        encoder.tokenizer.save_pretrained(str(building))
        _write_fitted(encoder, building)


def save_fitted(encoder: Encoder, folder: Path) -> None:
    """Write the settings and fitted vectors alone, for an encoder whose weights lie elsewhere.

    Raises
    ------
    OpticalError
        If the disk is full.
    """
    with whole_folder(folder) as building:
        _write_fitted(encoder, building)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Give a folder to fill, which takes the place of `folder` in the end, or vanishes."""
    building = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(parents=True)
        yield building
        if folder.exists():
            shutil.rmtree(folder)
        building.rename(folder)
    except (OSError, SafetensorError) as error:  # safetensors tells of a full disk by its own error
        reason = getattr(error, "strerror", None) or error
        raise OpticalError(f"{folder}: the checkpoint could not be written: {reason}") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _write_fitted(encoder: Encoder, folder: Path) -> None:
    from safetensors.torch import save_file

    fitted = {"mean": encoder.mean.contiguous()}
    if encoder.projection is not None:
        fitted["projection"] = encoder.projection.weight.detach().contiguous()
    if encoder.mass_head is not None:
        fitted["mass_head"] = encoder.mass_head.weight.detach().contiguous()
    save_file(fitted, str(folder / FITTED_FILE))
    settings = encoder.config.model_dump(mode="json")
    (folder / SETTINGS_FILE).write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", "utf-8")


def load_fitted(encoder: Encoder, folder: Path | None = None) -> bool:
    """Load the mean, projection and mass head that lie in `folder`, or beside the checkpoint; tell if so.

    Raises
    ------
    InputError
        If they have another width than the checkpoint or the configuration.
    """
    from safetensors.torch import load_file

    if folder is None:
        named = Path(encoder.config.checkpoint).expanduser()
        folder = named if named.is_dir() else Path(resolve(encoder.config.checkpoint))
    path = folder / FITTED_FILE
    if not path.is_file():
        return False
    fitted = load_file(str(path))
    if fitted["mean"].shape != encoder.mean.shape:
        raise InputError(
            f"the mean has width {fitted['mean'].shape[0]}, the checkpoint {encoder.width}", path=path
        )
    encoder.mean.copy_(fitted["mean"])
    if encoder.projection is not None and "projection" in fitted:
        if fitted["projection"].shape != encoder.projection.weight.shape:
            raise InputError(
                f"the projection has width {fitted['projection'].shape[0]}, "
                f"the configuration projection_dim = {encoder.config.projection_dim}",
                path=path,
            )
        encoder.projection.weight.data.copy_(fitted["projection"])
        encoder.fresh_projection = False
    # a head of another width belongs to another projection; none is needed to encode
    if "mass_head" in fitted and fitted["mass_head"].shape[1] == encoder.dim:
        encoder.add_mass_head().weight.data.copy_(fitted["mass_head"])
    return True
