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

from engine.datahome.fetch import RemoteFile
from engine.datahome.resources import Resource
from engine.errors import InputError
from engine.languages import language

_Files = Mapping[str, Any]


def shared_resources() -> Iterator[Resource]:
    """Yield what ir_datasets reads of the cross-lingual collections."""
    downloads, metadata = _table("downloads.json"), _table("metadata.json")
    if not downloads:
        return
    # mMARCO's second translation is the one that its authors recommend; evaluation takes dev/small.
    mmarco = {
        **_matching(downloads["mmarco"], r"v2/(?P<language>\w+)/(docs|queries/dev)"),
        **_matching(downloads["mmarco"], r"dev/qrels(-small)?"),
    }
    yield Resource(
        "mmarco",
        "collection",
        "mmarco",
        "Apache 2.0",
        "huggingface.co/datasets/unicamp-dl/mmarco, through ir_datasets",
        tuple(mmarco.values()),
        _counts(metadata, r"mmarco/v2/(?P<language>\w+)(?P<part>/dev/small)?"),
        remark="MS MARCO's own terms hold too: for research that is not commercial",
        shared=True,
        collection="mmarco",
    )
    miracl = _matching(downloads["miracl"], r"v1\.0/(?P<language>\w+)/(corpus/\d+|dev/(topics|qrels))")
    yield Resource(
        "miracl",
        "collection",
        "miracl",
        "Apache 2.0",
        "huggingface.co/datasets/miracl, through ir_datasets",
        tuple(miracl.values()),
        _counts(metadata, r"miracl/(?P<language>\w\w)(?P<part>/dev)?"),
        shared=True,
        collection="miracl",
    )
    neuclir = {
        **_matching(downloads["neuclir"], r"1/(?P<language>\w+)/docs"),
        **_matching(downloads["neuclir"], r"trec-2022/(queries|qrels)"),
    }
    yield Resource(
        "neuclir",
        "collection",
        "neuclir",
        "ODC-BY 1.0",
        "huggingface.co/datasets/neuclir/neuclir1 and trec.nist.gov, through ir_datasets",
        tuple(neuclir.values()),
        _counts(metadata, r"neuclir/1/(?P<language>\w\w)(?P<part>/trec-2022)?"),
        remark="Common Crawl's terms hold for the documents",
        shared=True,
        collection="neuclir",
    )
    hc4 = {
        **_matching(downloads["hc4"], r"(?P<language>\w\w)/(dev|test)/qrels"),
        **_matching(downloads["hc4"], r"(dev|test)/topics"),
    }
    yield Resource(
        "hc4",
        "collection",
        "hc4",
        "see its source",
        "github.com/hltcoe/HC4, through ir_datasets",
        tuple(hc4.values()),
        _counts(metadata, r"hc4/(?P<language>\w\w)(?P<part>/test)?"),
        remark="these are topics and judgements; the tool at github.com/hltcoe/HC4 downloads the documents "
        "from Common Crawl, for the files hc4/<l3>/hc4_docs.jsonl",
        shared=True,
        collection="hc4",
    )
    wikiclir = downloads["wikiclir"]["source"]
    yield Resource(
        "wikiclir",
        "collection",
        "wikiclir",
        "Wikipedia's, CC BY-SA",
        "www.cs.jhu.edu/~kevinduh/a/wikiclir2018, through ir_datasets",
        (
            RemoteFile(
                wikiclir["url"],
                "source",
                size=int(wikiclir["size_hint"]),
                checksum=f"md5:{wikiclir['expected_md5']}",
                archive=True,
            ),
        ),
        _counts(metadata, r"wikiclir/(?P<language>\w\w)(-simple)?(?P<part>)"),
        shared=True,
        collection="wikiclir",
    )
    yield Resource(
        "clirmatrix",
        "collection",
        "clirmatrix",
        "Wikipedia's, CC BY-SA",
        "www.cs.jhu.edu/~shuosun/clirmatrix, through ir_datasets",
        remark="two collections, bi-139 and multi-8; ir_datasets fetches its 19,182 language pairs, each "
        "when a run first asks for it",
        shared=True,
        collection="bi-139",
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
    """Return the files whose keys match; a group ``language`` of the pattern says whose they are."""
    chosen = {}
    for key, entry in entries.items():
        if (found := re.fullmatch(pattern, key)) and "url" in entry and "cache_path" in entry:
            code = _code(found.groupdict().get("language", ""))
            md5 = entry.get("expected_md5", "")
            chosen[key] = RemoteFile(
                entry["url"],
                entry["cache_path"],
                code,
                int(entry.get("size_hint") or 0),
                f"md5:{md5}" if md5 else "",
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
