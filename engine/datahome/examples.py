"""How a configuration names a data set, and an example of what is in it."""

from __future__ import annotations

import json
from pathlib import Path

from engine.collections.base import Collection
from engine.datahome.datasets import Dataset, open_pairs
from engine.errors import InputError
from engine.extensions.collections import COLLECTIONS

_WIDTH = 200


def usage(dataset: Dataset) -> str:
    """Return the lines of a run's TOML file that use a data set; empty if no run can use it.

    The language is the first one that is available locally, or else the first published one.
    """
    codes = sorted(dataset.files) or (dataset.published.languages if dataset.published else [])
    if dataset.kind == "collection":
        return _collection_usage(dataset)
    if not codes:
        return ""
    code = codes[0]
    if dataset.files:
        path = dataset.path(code)
    elif dataset.published and dataset.published.published_files:
        published = next(file for file in dataset.published.published_files if file.language == code)
        path = f"{dataset.folder}/{published.path}"
    else:
        path = dataset.name
    lines = ["[[bitext]]", f"path = {_quoted(path)}", f'language = "{code}"']
    if dataset.manifest is not None:
        lines.insert(2, f'format = "{dataset.manifest.reader}"')
        target = dataset.manifest.languages[code].target_language
        if target != "en":
            lines.append(f'target_language = "{target}"')
    return "\n".join(lines)


def _collection_usage(dataset: Dataset) -> str:
    if dataset.collection not in COLLECTIONS:
        return ""
    lines = ["[[collections]]", f'name = "{dataset.collection}"']
    if dataset.manifest is not None:
        lines.append(f"path = {_quoted(dataset.folder)}")
        layout = COLLECTIONS[dataset.collection].layout
        if layout.usage is not None:
            settings = layout.usage(dataset.place(), dataset.manifest.languages)
            lines += [f"{name} = {_quoted(value)}" for name, value in settings.items()]
    if dataset.published is not None:
        lines += [f"{name} = {json.dumps(list(value))}" for name, value in dataset.published.usage.items()]
    return "\n".join(lines)


def _quoted(value: str | list[str]) -> str:
    return json.dumps(value, ensure_ascii=False)  # JSON strings and lists of strings are also TOML


def example(dataset: Dataset) -> str:
    """Return an entry of a local data set: its first pair, or its first query and a relevant document.

    A data set that cannot be read has no example; `engine.datahome.check.check` tells why.
    """
    if not dataset.files:
        return ""
    code = min(dataset.files)
    try:
        if dataset.kind != "collection":
            return _pair(dataset, code)
        reader = COLLECTIONS.get(dataset.collection)
        if reader is not None and reader.layout.load_language is not None:
            return _query(reader.layout.load_language(dataset.place(), code))
        topics = [file for file in dataset.files[code] if "topics" in file.name]
        return f"topic: {_first_line(topics[0])}" if topics else ""
    except (InputError, OSError):
        return ""


def _pair(dataset: Dataset, code: str) -> str:
    pair = next(open_pairs(dataset, code))
    return f"{code}: {_short(pair.source)}\n{pair.target_language}: {_short(pair.target)}"


def _query(collection: Collection) -> str:
    query = collection.queries[0]
    relevant = collection.judgements[query.id]
    # A document in another language is the better example of a cross-lingual collection.
    found = [document for document in collection.documents if relevant.get(document.id)]
    document = next((one for one in found if one.language != query.language), found[0])
    return f"{query.language}: {_short(query.text)}\n{document.language}: {_short(document.text)}"


def _first_line(file: Path) -> str:
    with file.open(encoding="utf-8", errors="replace") as stream:
        return _short(" ".join(stream.readline(4 * _WIDTH).split()))


def _short(text: str) -> str:
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"
