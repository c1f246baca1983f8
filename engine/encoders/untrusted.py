"""Check what a checkpoint asks for before transformers reads it.

transformers decides by the files of a checkpoint what it does. An index can name files that are unpickled,
which runs code, and a configuration can ask for code from elsewhere: modules of its own, or kernels.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.errors import InputError

INDEX = "model.safetensors.index.json"
#: The files that decide, without the indices of weights. transformers asks the hub for the same files.
CONFIGS = ("config.json", "tokenizer_config.json", "adapter_config.json")

_KERNELS = re.compile(r"_?(attn|attention|experts)_implementation(_internal)?")
#: What is computed by torch and transformers themselves; every other name means another package or the hub.
_BUILT_IN = ("eager", "sdpa", "flex_attention", "batched_mm", "grouped_mm")
#: Keys that are refused, and why. Their values name something outside the checkpoint's usual files.
_REFUSED = {
    "auto_map": "asks for code of its own (auto_map), which is never run",
    "configuration_files": "names other files (configuration_files); rename the right one to config.json",
    "transformers_weights": "names other weights (transformers_weights); rename them to model.safetensors",
    "quantization_config": "says that the weights are quantized; save them as float32, bfloat16 or float16",
}


def check_files(what: str, files: list[Path]) -> None:
    """Check the `files` of a checkpoint; those with other names than this module knows are not read.

    Parameters
    ----------
    what : str
        The checkpoint, for messages.
    files : list of Path
        Files of one folder.

    Raises
    ------
    InputError
        If a file asks for code, kernels or weights that are not read, or if it is not JSON.
    """
    for path in files:
        if path.name == "adapter_config.json":
            raise InputError(
                f"{what} cannot be opened: it is an adapter (adapter_config.json) of other weights; "
                "merge it with them, save the merged model, and open that folder",
                path=path,
            )
        if path.name in CONFIGS:
            _check_config(what, path)
        elif path.name.endswith(".index.json"):
            _check_index(what, path)


def _check_config(what: str, path: Path) -> None:
    for key, value in _entries(_content(what, path)):
        if key in _REFUSED and value:
            raise InputError(f"{what} cannot be opened: {path.name} {_REFUSED[key]}", path=path)
        if _KERNELS.fullmatch(key):
            for name in value.values() if isinstance(value, dict) else [value]:
                if name is not None and name not in _BUILT_IN:
                    raise InputError(
                        f"{what} cannot be opened: {path.name} asks for {key} {name!r}, which is not part of "
                        f"torch and is not loaded; remove {key!r} from the file",
                        path=path,
                    )


def _check_index(what: str, path: Path) -> None:
    content = _content(what, path)
    shards = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(shards, dict):
        raise InputError(f"{what} cannot be opened: {path.name} has no weight_map", path=path)
    for name in shards.values():
        if not isinstance(name, str) or not re.fullmatch(r"[^/\\\0]+\.safetensors", name):
            raise InputError(
                f"{what} cannot be opened: {path.name} names {name!r}; weights are read only from "
                "safetensors files in the same folder, because other files can run code",
                path=path,
            )


def _content(what: str, path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{what} cannot be opened: {path.name} is not a valid JSON file", path=path
        ) from error


def _entries(content: Any) -> Iterator[tuple[str, Any]]:
    """Yield the keys and values of all dictionaries in `content`, at any depth."""
    waiting = [content]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield from part.items()
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
