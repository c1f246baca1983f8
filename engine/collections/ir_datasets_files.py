"""The files of collections that the library ir_datasets lists: addresses, sizes, checksums and counts.

These files lie in the home of the library, where it looks for them; it then fetches nothing itself. The
library is not imported.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from engine.errors import InputError
from engine.extensions.published import PublishedFile
from engine.languages import language


def listed_files(name: str, patterns: Sequence[str]) -> list[PublishedFile]:
    """Return the published files of a collection.

    Parameters
    ----------
    name : str
        Its name in the library.
    patterns : sequence of str
        Regular expressions for the keys of its files. A group ``language`` gives the language of a file.

    Returns
    -------
    list of PublishedFile
        Empty if the library is not installed. A file without a path of its own is an archive, which the
        library unpacks into a folder that is called as the key.
    """
    entries: Mapping[str, Any] = _table("downloads.json").get(name, {})
    files = {}
    for pattern in patterns:
        for key, entry in entries.items():
            if (found := re.fullmatch(pattern, key)) and "url" in entry:
                md5 = entry.get("expected_md5", "")
                files[key] = PublishedFile(
                    entry["url"],
                    entry.get("cache_path", key),
                    _code(found.groupdict().get("language", "")),
                    int(entry.get("size_hint") or 0),
                    f"md5:{md5}" if md5 else "",
                    archive="cache_path" not in entry,
                )
    return list(files.values())


def listed_counts(pattern: str) -> dict[str, dict[str, int]]:
    """Return the published counts of documents, topics and judgements.

    Parameters
    ----------
    pattern : str
        Regular expression for the ids of the data sets, with the groups ``language`` and ``part``. The counts
        of a part are named after it.
    """
    counts: dict[str, dict[str, int]] = {}
    for name, entry in _table("metadata.json").items():
        if not (found := re.fullmatch(pattern, name)):
            continue
        code = _code(found["language"])
        part = (found["part"] or "").strip("/")
        suffix = f" ({part})" if part else ""
        for key, what in (("docs", "documents"), ("queries", "topics"), ("qrels", "judgements")):
            count = entry.get(key, {}).get("count")
            if count is not None:
                counts.setdefault(what + suffix, {})[code] = count
    return counts


@cache
def _table(name: str) -> dict[str, Any]:
    """Return a table of the library; an empty one if it is not installed."""
    found = importlib.util.find_spec("ir_datasets")
    if found is None or found.origin is None:
        return {}
    read: dict[str, Any] = json.loads((Path(found.origin).parent / "etc" / name).read_text("utf-8"))
    return read


def _code(tag: str) -> str:
    """Return the code of the language that the library means by `tag`; its tag for Dutch is ``dt``."""
    try:
        return language({"dt": "nl"}.get(tag, tag)).code if tag else ""
    except InputError:
        return tag
