"""How a run's file names a dataset, and what is in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

from engine.collections.base import Collection
from engine.collections.lareqa import load_lareqa
from engine.collections.tatoeba import load_tatoeba
from engine.config import CollectionConfig
from engine.datahome.datasets import Dataset, open_pairs
from engine.errors import InputError

_WIDTH = 200


def usage(dataset: Dataset) -> str:
    """Return the lines of a run's TOML file that use a dataset; nothing if no run can.

    The language is the first at hand, or published.
    """
    codes = sorted(dataset.files) or (dataset.resource.languages if dataset.resource else [])
    if dataset.kind == "collection":
        return _collection_usage(dataset, codes)
    if not codes:
        return ""
    code = codes[0]
    if dataset.files:
        path = dataset.path(code)
    elif dataset.resource and dataset.resource.remotes:
        remote = next(remote for remote in dataset.resource.remotes if remote.language == code)
        path = f"{dataset.folder}/{remote.path}"
    else:
        path = dataset.name
    lines = ["[[bitext]]", f"path = {_quoted(path)}", f'language = "{code}"']
    if dataset.manifest is not None:
        lines.insert(2, f'format = "{dataset.manifest.reader}"')
        target = dataset.manifest.languages[code].target_language
        if target != "en":
            lines.append(f'target_language = "{target}"')
    return "\n".join(lines)


def _collection_usage(dataset: Dataset, codes: list[str]) -> str:
    if dataset.reader not in get_args(CollectionConfig.model_fields["name"].annotation):
        return ""
    lines = ["[[collections]]", f'name = "{dataset.reader}"']
    if dataset.manifest is not None or dataset.name == "mlqa-r":
        lines.append(f"path = {_quoted(dataset.folder)}")
    if dataset.name == "clirmatrix":
        lines += ['languages = ["en"]', 'document_languages = ["sw"]']
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # what JSON quotes, TOML reads


def example(dataset: Dataset) -> str:
    """Return an entry of a dataset at hand: its first pair, or first query and what answers it.

    What cannot be read has no example; `check` says why.
    """
    if not dataset.files:
        return ""
    code = min(dataset.files)
    try:
        if dataset.kind != "collection":
            return _pair(dataset, code)
        place = dataset.place()
        if dataset.reader == "lareqa":
            return _answered(load_lareqa(place, [code]))
        if dataset.reader == "tatoeba":
            return _answered(load_tatoeba(place, [code])[0])
        topics = [file for file in dataset.files[code] if "topics" in file.name]
        return f"topic: {_first_line(topics[0])}" if topics else ""
    except (InputError, OSError):
        return ""


def _pair(dataset: Dataset, code: str) -> str:
    pair = next(open_pairs(dataset, code))
    return f"{code}: {_short(pair.source)}\n{pair.target_language}: {_short(pair.target)}"


def _answered(collection: Collection) -> str:
    query = collection.queries[0]
    relevant = collection.judgements[query.id]
    # One in another language shows best what is asked for.
    found = [document for document in collection.documents if relevant.get(document.id)]
    document = next((one for one in found if one.language != query.language), found[0])
    return f"{query.language}: {_short(query.text)}\n{document.language}: {_short(document.text)}"


def _first_line(file: Path) -> str:
    with file.open(encoding="utf-8", errors="replace") as stream:
        return _short(" ".join(stream.readline(4 * _WIDTH).split()))


def _short(text: str) -> str:
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"
