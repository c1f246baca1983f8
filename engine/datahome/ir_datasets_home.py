"""The collections that the library ir_datasets reads, in its own home.

Addresses, sizes, checksums and counts are those that the installed library carries. What is fetched lies
where it looks for it, so that it finds everything there and fetches nothing itself.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from engine.datahome.download import RemoteFile
from engine.datahome.resource import Resource
from engine.errors import InputError
from engine.languages import language

_Files = Mapping[str, Any]


def shared_resources() -> Iterator[Resource]:
    """Yield what ir_datasets reads of the cross-lingual collections."""
    if not _table("downloads.json"):
        return
    # mMARCO's second translation is the one that its authors recommend; evaluation takes dev/small.
    yield _resource(
        "mmarco",
        "Apache 2.0",
        "huggingface.co/datasets/unicamp-dl/mmarco",
        (r"v2/(?P<language>\w+)/(docs|queries/dev)", r"dev/qrels(-small)?"),
        r"mmarco/v2/(?P<language>\w+)(?P<part>/dev/small)?",
        "MS MARCO's own terms hold too: for research that is not commercial",
    )
    yield _resource(
        "miracl",
        "Apache 2.0",
        "huggingface.co/datasets/miracl",
        (r"v1\.0/(?P<language>\w+)/(corpus/\d+|dev/(topics|qrels))",),
        r"miracl/(?P<language>\w\w)(?P<part>/dev)?",
    )
    yield _resource(
        "neuclir",
        "ODC-BY 1.0",
        "huggingface.co/datasets/neuclir/neuclir1 and trec.nist.gov",
        (r"1/(?P<language>\w+)/docs", r"trec-2022/(queries|qrels)"),
        r"neuclir/1/(?P<language>\w\w)(?P<part>/trec-2022)?",
        "Common Crawl's terms hold for the documents",
    )
    yield _resource(
        "hc4",
        "see its source",
        "github.com/hltcoe/HC4",
        (r"(?P<language>\w\w)/(dev|test)/qrels", r"(dev|test)/topics"),
        r"hc4/(?P<language>\w\w)(?P<part>/test)?",
        "these are topics and judgements; the tool at github.com/hltcoe/HC4 downloads the documents from "
        "Common Crawl, for the files hc4/<l3>/hc4_docs.jsonl",
    )
    yield _resource(
        "wikiclir",
        "Wikipedia's, CC BY-SA",
        "www.cs.jhu.edu/~kevinduh/a/wikiclir2018",
        ("source",),
        r"wikiclir/(?P<language>\w\w)(-simple)?(?P<part>)",
    )
    yield _resource(
        "clirmatrix",
        "Wikipedia's, CC BY-SA",
        "www.cs.jhu.edu/~shuosun/clirmatrix",
        remark="two collections, bi-139 and multi-8; ir_datasets fetches its 19,182 language pairs, each "
        "when a run first asks for it",
        collection="bi-139",
    )


def _resource(
    name: str,
    licence: str,
    source: str,
    files: tuple[str, ...] = (),
    counts: str = "",
    remark: str = "",
    collection: str = "",
) -> Resource:
    """Return a collection by patterns of its files' keys and of the names that its counts stand under."""
    remotes: dict[str, RemoteFile] = {}
    for pattern in files:
        remotes |= _matching(_table("downloads.json")[name], pattern)
    return Resource(
        name,
        "collection",
        name,
        licence,
        f"{source}, through ir_datasets",
        tuple(remotes.values()),
        _counts(_table("metadata.json"), counts),
        remark,
        shared=True,
        collection=collection or name,
    )


@cache
def _table(name: str) -> dict[str, Any]:
    """Return a table that ir_datasets carries, without importing it; nothing if it is not installed."""
    found = importlib.util.find_spec("ir_datasets")
    if found is None or found.origin is None:
        return {}
    read: dict[str, Any] = json.loads((Path(found.origin).parent / "etc" / name).read_text("utf-8"))
    return read


def _matching(entries: _Files, pattern: str) -> dict[str, RemoteFile]:
    """Return the files whose keys match; a group ``language`` of the pattern says whose they are.

    What ir_datasets gives no place of its own is an archive, which it unpacks to a folder of the key's name.
    """
    chosen = {}
    for key, entry in entries.items():
        if (found := re.fullmatch(pattern, key)) and "url" in entry:
            code = _code(found.groupdict().get("language", ""))
            md5 = entry.get("expected_md5", "")
            chosen[key] = RemoteFile(
                entry["url"],
                entry.get("cache_path", key),
                code,
                int(entry.get("size_hint") or 0),
                f"md5:{md5}" if md5 else "",
                archive="cache_path" not in entry,
            )
    return chosen


def _counts(metadata: _Files, pattern: str) -> dict[str, dict[str, int]]:
    """Return the counts of the datasets whose names match: documents of a language, and what its part has."""
    counts: dict[str, dict[str, int]] = {}
    for name, entry in metadata.items():
        if not (found := re.fullmatch(pattern, name)):
            continue
        code = _code(found["language"])
        part = (found["part"] or "").strip("/")
        behind = f" ({part})" if part else ""
        for key, what in (("docs", "documents"), ("queries", "topics"), ("qrels", "judgements")):
            count = entry.get(key, {}).get("count")
            if count is not None:
                counts.setdefault(what + behind, {})[code] = count
    return counts


def _code(tag: str) -> str:
    """Return the code of the language that ir_datasets means by `tag`; it calls Dutch ``dt``."""
    try:
        return language({"dt": "nl"}.get(tag, tag)).code if tag else ""
    except InputError:
        return tag
