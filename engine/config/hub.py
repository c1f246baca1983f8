"""Checkpoints of a model hub: the files that describe them, in the local cache of ``huggingface_hub``.

Reading the cache needs no network. `fetch_descriptions` is the only function that asks the hub.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from engine.paths import expanded

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
#: Files that say what a checkpoint is. The presence of one of them decides how it is read.
_DECIDING = ("modules.json", "artifact.metadata", "optical.json")
#: Files that are fetched before settings are validated.
_DESCRIBING = (
    *("config.json", *_DECIDING, "config_sentence_transformers.json", "sentence_bert_config.json"),
    *("tokenizer_config.json", "tokenizer.json", "optical.safetensors"),
)


def snapshot(checkpoint: str) -> Path | None:
    """Return the folder of the cached files of a hub id; None if the cache has none of the files it needs."""
    found = (_cached(checkpoint, name) for name in ("config.json", *_DECIDING))
    return next((Path(path).parent for path in found if isinstance(path, str)), None)


def snapshot_with_weights(checkpoint: str) -> Path | None:
    """Return the folder of the cached files of a hub id if its configuration and weights are complete."""
    folder = snapshot(checkpoint)
    if folder is None or not (folder / "config.json").is_file():
        return None
    names = {"model.safetensors"}
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            names = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return folder  # what is wrong with it is found and said when it is opened
    return folder if all((folder / str(name)).is_file() for name in names) else None


def is_described(checkpoint: str) -> bool:
    """Return whether the cache tells which library wrote a hub id: by a file, or because there is none."""
    states = [_cached(checkpoint, name) for name in _DECIDING]
    return any(isinstance(state, str) for state in states) or None not in states


def fetch_descriptions(settings: Any) -> None:
    """Fetch the small files that describe the hub ids in `settings`, so that left-out settings follow them.

    What cannot be fetched is left out: opening the checkpoint says why.

    Parameters
    ----------
    settings : mapping, list or scalar
        Settings of a run before validation. Every text under a key ``checkpoint`` that names no local folder
        is taken for a hub id.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return
    for checkpoint in sorted(set(_checkpoints(settings))):
        if _HUB_ID.fullmatch(checkpoint) and not expanded(checkpoint).exists():
            _fetch(checkpoint)


def _fetch(checkpoint: str) -> None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError

    def fetch(name: str) -> str | None:
        try:
            return str(hf_hub_download(checkpoint, name))  # nosec B615
        except EntryNotFoundError as error:
            if isinstance(
                error, FileNotFoundError
            ):  # it is missing in the cache, and the hub cannot be asked
                raise
            return None

    try:
        fetched = {name: fetch(name) for name in _DESCRIBING}
        modules = fetched["modules.json"]
        for module in [] if modules is None else json.loads(Path(modules).read_text("utf-8")):
            if place := str(module.get("path", "")):
                fetch(f"{place}/config.json")
                if str(module.get("type", "")).endswith("Dense"):
                    fetch(f"{place}/model.safetensors")
    except (HfHubHTTPError, OSError, ValueError, TypeError, AttributeError):
        return


def _checkpoints(settings: Any) -> Iterator[str]:
    if isinstance(settings, Mapping):
        if isinstance(named := settings.get("checkpoint"), str):
            yield named
        for value in settings.values():
            yield from _checkpoints(value)
    elif isinstance(settings, list):
        for item in settings:
            yield from _checkpoints(item)


def _cached(checkpoint: str, name: str) -> Any:
    """Return the path of a cached file, None if it is unknown, or another object if the hub has none."""
    if not _HUB_ID.fullmatch(checkpoint):
        return None
    from huggingface_hub import try_to_load_from_cache

    try:
        return try_to_load_from_cache(checkpoint, name)
    except ValueError:  # no hub has such an id
        return None
