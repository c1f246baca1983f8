"""Save an encoder as a folder that plain transformers opens, together with its settings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError
from torch import Tensor

from engine.atomic import replacing_folder
from engine.config.declared import SETTINGS_FILE
from engine.encoders.changes import CHANGES_FILE, changes, tokenization, tokenizer_hash, weights_hash
from engine.encoders.characters import CharacterTokenizer
from engine.encoders.checkpoints import FITTED_FILE, load_model
from engine.encoders.encoder import COMPONENTS_PREFIX, Encoder
from engine.encoders.packaged import PACKAGED
from engine.encoders.places import BASE_FILE, Base, base_of, named, resolve, resolve_base
from engine.errors import InputError, OpticalError
from engine.lexicon import glossary
from engine.paths import expanded

#: Above this share of the whole weights the changes are not worth the dependence on another folder.
_LARGEST_SHARE = 0.7


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
        write_fitted(encoder, building)


def save_trained(encoder: Encoder, folder: Path) -> None:
    """Write an encoder that was trained: what differs from its checkpoint, or all if that is little more.

    The rest is read from the checkpoint when the folder is loaded (`engine.encoders.changes`), which gives
    the same weights bit by bit. All is written if the checkpoint is the folder of another run, which can be
    deleted, or if it has another architecture.

    Raises
    ------
    OpticalError
        As `save_encoder`.
    """
    found = _changes(encoder)
    if found is None:
        save_encoder(encoder, folder)
        return
    from safetensors.torch import save_file

    base, tensors = found
    with whole_folder(folder) as building:
        encoder.model.config.save_pretrained(building)
        save_file(tensors, str(building / CHANGES_FILE))
        (building / BASE_FILE).write_text(json.dumps(vars(base), indent=2) + "\n", "utf-8")
        if not base.tokenizer:
            encoder.tokenizer.save_pretrained(str(building))
        write_fitted(encoder, building)


def _changes(encoder: Encoder) -> tuple[Base, dict[str, Tensor]] | None:
    """Return what an encoder changed in which checkpoint; None if its weights are to be saved whole."""
    if encoder.trimming is not None:
        return None
    try:
        start = Path(resolve(encoder.config.checkpoint))
        known = base_of(start)
        name = named(encoder.config.checkpoint) if known is None else known.checkpoint
        source = str(start) if known is None else resolve_base(start, known)
        at = expanded(name)  # a hub id is kept, wherever its snapshot lies
        if name not in PACKAGED and at.is_dir():
            if any((place / "run.json").is_file() for place in at.absolute().parents):
                return None
            name = str(at.absolute())
        model, tokenizer = load_model(name)
    except InputError:  # it was deleted or replaced while the encoder was trained
        return None
    if type(model) is not type(encoder.model) or model is not model.base_model:
        return None
    before, after = model.state_dict(), encoder.model.state_dict()
    tensors = changes(before, after)
    if tensors is None or _size(tensors) > _LARGEST_SHARE * _size(after):
        return None
    same = tokenization(tokenizer) == tokenization(encoder.tokenizer)
    inner = tokenizer.inner if isinstance(tokenizer, CharacterTokenizer) else tokenizer
    return Base(name, weights_hash(before, source), tokenizer_hash(inner) if same else ""), tensors


def _size(tensors: Mapping[str, Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors.values())


def save_fitted(encoder: Encoder, folder: Path) -> None:
    """Write only the settings and fitted vectors of an encoder whose weights are in another folder.

    Raises
    ------
    OpticalError
        If the disk is full.
    """
    with whole_folder(folder) as building:
        write_fitted(encoder, building)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Give a new folder to fill. It replaces `folder` at the end, or is removed if an error is raised."""
    try:
        with replacing_folder(folder) as building:
            yield building
    except (OSError, SafetensorError) as error:  # safetensors reports a full disk with its own error
        reason = getattr(error, "strerror", None) or error
        raise OpticalError(f"{folder}: the checkpoint could not be written: {reason}") from error


def write_fitted(encoder: Encoder, folder: Path, *, checkpoint: bool = True) -> None:
    """Write the settings, fitted vectors and glossary into a folder; without `checkpoint`, not its name."""
    from safetensors.torch import save_file

    fitted = {"mean": encoder.mean.contiguous()}
    if encoder.projection is not None:
        fitted["projection"] = encoder.projection.weight.detach().contiguous()
    if encoder.mass_head is not None:
        fitted["mass_head"] = encoder.mass_head.weight.detach().contiguous()
    if encoder.sentence_head is not None:
        fitted |= encoder.sentence_head.tensors()
    fitted |= {COMPONENTS_PREFIX + name: found.contiguous() for name, found in encoder.components.items()}
    save_file(fitted, str(folder / FITTED_FILE))
    if encoder.glossary is not None:
        encoder.glossary.save(folder / glossary.FILE)
    settings = encoder.config.model_dump(mode="json", exclude=None if checkpoint else {"checkpoint"})
    (folder / SETTINGS_FILE).write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", "utf-8")
