"""Collections that the library ir_datasets reads, each with the protocol its paper reports.

========== ========================================== ============================ =====================
name       queries → documents                        grades                       measures
========== ========================================== ============================ =====================
mmarco     translated MS MARCO, 13 languages          1 marked by a worker         RR@10, R@1000
miracl     18 languages, each its own Wikipedia       0, 1 by native speakers      nDCG@10, R@100
bi-139     CLIRMatrix, 139 languages, all pairs       0-6 from BM25 in the query's nDCG@10
           (Wikipedia)                                language
multi-8    CLIRMatrix, 8 languages, one pool          the same                     nDCG@10
wikiclir   English → 25 Wikipedias                    2 the article's mate, 1      AP, nDCG@10, P@1
           (Sasaki et al. 2018)                       linked both ways
neuclir    English → news in fa, ru, zh (TREC)        0, 1, 3 by assessors         nDCG@20, AP, R@100
hc4        English → news in fa, ru, zh               0, 1, 3 by assessors         nDCG@20, AP, R@100
========== ========================================== ============================ =====================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_NEWS = ("fa", "ru", "zh")
_EIGHT = ("ar", "de", "en", "es", "fr", "ja", "ru", "zh")
_MMARCO = ("ar", "de", "es", "fr", "hi", "id", "it", "ja", "nl", "pt", "ru", "vi", "zh")
_MIRACL = (
    *("ar", "bn", "de", "en", "es", "fa", "fi", "fr", "hi", "id", "ja", "ko", "ru", "sw", "te", "th"),
    *("yo", "zh"),
)
_WIKICLIR = (
    *("ar", "ca", "cs", "de", "es", "fi", "fr", "it", "ja", "ko", "nl", "nn", "no", "pl", "pt", "ro"),
    *("ru", "sv", "sw", "tl", "tr", "uk", "vi", "zh"),
)


@dataclass(frozen=True)
class Family:
    """How a collection stands in ir_datasets, and its protocol.

    Attributes
    ----------
    dataset : str
        Id of the queries and judgements, with ``{query}``, ``{document}`` and ``{split}``.
    documents : str
        Id of the documents, with ``{document}``.
    queries : tuple of str
        Languages of the queries; none where the queries are in the documents' language.
    pool : tuple of str
        Languages of the documents taken when none are named; none where they have to be.
    splits : tuple of str
        The first is taken when none is named.
    measures : tuple of str
    licence : str
    spelling : mapping
        Codes that ir_datasets spells otherwise, by ours.
    instead : mapping
        Ids to take instead of those that the templates make.
    pools_together : bool
        Whether the protocol searches all languages of documents in one pool.
    shared_topics : bool
        Whether topics of the same id in several languages are translations.
    """

    dataset: str
    documents: str
    queries: tuple[str, ...]
    pool: tuple[str, ...]
    splits: tuple[str, ...]
    measures: tuple[str, ...]
    licence: str
    spelling: Mapping[str, str] = field(default_factory=dict)
    instead: Mapping[str, str] = field(default_factory=dict)
    pools_together: bool = False
    shared_topics: bool = True


_GRADED = ("nDCG@20", "AP", "R@100", "Judged@20")
_CLIRMATRIX = "Wikipedia's text, CC BY-SA"
_ALEMANNIC = {"gsw": "als"}  # Wikipedia's own code, which is Tosk Albanian's in ISO 639-3

FAMILIES: Mapping[str, Family] = {
    "mmarco": Family(
        "mmarco/v2/{query}/dev/small",
        "mmarco/v2/{document}",
        (),
        _MMARCO,
        ("dev-small",),
        ("RR@10", "R@1000"),
        "Apache 2.0 (translations), MS MARCO's terms",
        {"nl": "dt"},
        {"mmarco/v2/en": "msmarco-passage", "mmarco/v2/en/dev/small": "msmarco-passage/dev/small"},
    ),
    "miracl": Family(
        "miracl/{query}/{split}",
        "miracl/{document}",
        (),
        _MIRACL,
        ("dev", "train"),
        ("nDCG@10", "R@100"),
        "Apache 2.0",
        shared_topics=False,
    ),
    "bi-139": Family(
        "clirmatrix/{document}/bi139-base/{query}/{split}",
        "clirmatrix/{document}",
        ("en",),
        (),
        ("test1", "test2", "dev", "train"),
        ("nDCG@10",),
        _CLIRMATRIX,
        _ALEMANNIC,
        shared_topics=False,
    ),
    "multi-8": Family(
        "clirmatrix/{document}/multi8/{query}/{split}",
        "clirmatrix/{document}",
        _EIGHT,
        _EIGHT,
        ("test1", "test2", "dev", "train"),
        ("nDCG@10",),
        _CLIRMATRIX,
        _ALEMANNIC,
        pools_together=True,
        shared_topics=False,
    ),
    "wikiclir": Family(
        "wikiclir/{document}",
        "wikiclir/{document}",
        ("en",),
        _WIKICLIR,
        ("all",),
        ("AP", "nDCG@10", "P@1"),
        "Wikipedia's text, CC BY-SA",
    ),
    "neuclir": Family(
        "neuclir/1/{document}/{split}",
        "neuclir/1/{document}",
        ("en",),
        _NEWS,
        ("trec-2022", "trec-2023", "hc4-filtered"),
        _GRADED,
        "TREC's terms, documents from Common Crawl",
        pools_together=True,
    ),
    "hc4": Family(
        "hc4/{document}/{split}",
        "hc4/{document}",
        ("en",),
        _NEWS,
        ("test", "dev", "train"),
        _GRADED,
        "github.com/hltcoe/HC4, documents from Common Crawl",
    ),
}
