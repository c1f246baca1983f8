"""Collections that the library ir_datasets reads, each with the protocol that its paper reports.

========== ========================================== ============================ =====================
name       queries → documents                        grades                       measures
========== ========================================== ============================ =====================
mmarco     translated MS MARCO, 13 languages          1 marked by a worker         RR@10, R@1000
miracl     18 languages, each its own Wikipedia       0, 1 by native speakers      nDCG@10, R@100
bi-139     CLIRMatrix, 139 languages, all pairs       0-6 from BM25 in the query's nDCG@10
           (Wikipedia)                                language
multi-8    CLIRMatrix, 8 languages, one pool          the same                     nDCG@10
wikiclir   English → 25 Wikipedias                    2 the same article, 1        AP, nDCG@10, P@1
           (Sasaki et al. 2018)                       linked in both directions
neuclir    English → news in fa, ru, zh (TREC)        0, 1, 3 by assessors         nDCG@20, AP, R@100
hc4        English → news in fa, ru, zh               0, 1, 3 by assessors         nDCG@20, AP, R@100
========== ========================================== ============================ =====================
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from engine.collections.base import Collection
from engine.collections.ir_datasets_files import listed_counts, listed_files
from engine.collections.ir_datasets_reader import Family, load_family
from engine.extensions.collections import CollectionReader
from engine.extensions.published import PublishedData

if TYPE_CHECKING:
    from engine.config import CollectionConfig

_NEWS = ("fa", "ru", "zh")
_EIGHT = ("ar", "de", "en", "es", "fr", "ja", "ru", "zh")
_CLIRMATRIX = "Wikipedia's text, CC BY-SA"
_ALEMANNIC = {"gsw": "als"}  # Wikipedia's own code, which means Tosk Albanian in ISO 639-3
_NEWS_MEASURES = ("nDCG@20", "AP", "R@100", "Judged@20")


def _reader(
    family: Family, meaning: str, optional_settings: tuple[str, ...], published: PublishedData | None = None
) -> CollectionReader:
    def load(config: CollectionConfig, seed: int) -> list[Collection]:
        return load_family(
            family, config.languages, config.document_languages, config.split, config.pool, config.pool_limit
        )

    return CollectionReader(
        name=family.name,
        meaning=meaning,
        load=load,
        measures={family.name: family.measures},
        optional_settings=optional_settings,
        pool="all" if family.one_pool else "own",
        published=published,
    )


def _published(
    name: str,
    licence: str,
    source: str,
    files: tuple[str, ...] = (),
    counts: str = "",
    remark: str = "",
    lines: Mapping[str, str] | None = None,
    usage: Mapping[str, list[str]] | None = None,
) -> PublishedData:
    """Return published data by patterns of the keys of its files and of the names of its counts."""
    return PublishedData(
        name,
        name,
        licence,
        f"{source}, through ir_datasets",
        partial(listed_files, name, files),
        partial(listed_counts, counts) if counts else {},
        remark,
        shared=True,
        lines=lines or {},
        usage=usage or {},
    )


# The second translation is the one that the authors of mMARCO recommend; dev/small is the usual evaluation.
MMARCO = Family(
    name="mmarco",
    dataset="mmarco/v2/{query}/dev/small",
    documents="mmarco/v2/{document}",
    document_languages=("ar", "de", "es", "fr", "hi", "id", "it", "ja", "nl", "pt", "ru", "vi", "zh"),
    splits=("dev-small",),
    measures=("RR@10", "R@1000"),
    licence="Apache 2.0 (translations), MS MARCO's terms",
    spelling={"nl": "dt"},
    instead={"mmarco/v2/en": "msmarco-passage", "mmarco/v2/en/dev/small": "msmarco-passage/dev/small"},
)
MIRACL = Family(
    name="miracl",
    dataset="miracl/{query}/{split}",
    documents="miracl/{document}",
    document_languages=(
        *("ar", "bn", "de", "en", "es", "fa", "fi", "fr", "hi", "id", "ja", "ko", "ru", "sw", "te", "th"),
        *("yo", "zh"),
    ),
    splits=("dev", "train"),
    measures=("nDCG@10", "R@100"),
    licence="Apache 2.0",
    shared_topics=False,
)
BI_139 = Family(
    name="bi-139",
    dataset="clirmatrix/{document}/bi139-base/{query}/{split}",
    documents="clirmatrix/{document}",
    query_languages=("en",),
    splits=("test1", "test2", "dev", "train"),
    measures=("nDCG@10",),
    licence=_CLIRMATRIX,
    spelling=_ALEMANNIC,
    shared_topics=False,
)
MULTI_8 = Family(
    name="multi-8",
    dataset="clirmatrix/{document}/multi8/{query}/{split}",
    documents="clirmatrix/{document}",
    query_languages=_EIGHT,
    document_languages=_EIGHT,
    splits=("test1", "test2", "dev", "train"),
    measures=("nDCG@10",),
    licence=_CLIRMATRIX,
    spelling=_ALEMANNIC,
    one_pool=True,
    shared_topics=False,
)
WIKICLIR = Family(
    name="wikiclir",
    dataset="wikiclir/{document}",
    documents="wikiclir/{document}",
    query_languages=("en",),
    document_languages=(
        *("ar", "ca", "cs", "de", "es", "fi", "fr", "it", "ja", "ko", "nl", "nn", "no", "pl", "pt", "ro"),
        *("ru", "sv", "sw", "tl", "tr", "uk", "vi", "zh"),
    ),
    splits=("all",),
    measures=("AP", "nDCG@10", "P@1"),
    licence="Wikipedia's text, CC BY-SA",
)
NEUCLIR = Family(
    name="neuclir",
    dataset="neuclir/1/{document}/{split}",
    documents="neuclir/1/{document}",
    query_languages=("en",),
    document_languages=_NEWS,
    splits=("trec-2022", "trec-2023", "hc4-filtered"),
    measures=_NEWS_MEASURES,
    licence="TREC's terms, documents from Common Crawl",
    one_pool=True,
)
HC4 = Family(
    name="hc4",
    dataset="hc4/{document}/{split}",
    documents="hc4/{document}",
    query_languages=("en",),
    document_languages=_NEWS,
    splits=("test", "dev", "train"),
    measures=_NEWS_MEASURES,
    licence="github.com/hltcoe/HC4, documents from Common Crawl",
)

FAMILIES = (MMARCO, MIRACL, BI_139, MULTI_8, WIKICLIR, NEUCLIR, HC4)

READERS = (
    _reader(
        MMARCO,
        "mMARCO: MS MARCO's passages and queries, translated by machine into 13 languages.",
        ("document_languages", "pool_limit"),
        _published(
            "mmarco",
            "Apache 2.0",
            "huggingface.co/datasets/unicamp-dl/mmarco",
            (r"v2/(?P<language>\w+)/(docs|queries/dev)", r"dev/qrels(-small)?"),
            r"mmarco/v2/(?P<language>\w+)(?P<part>/dev/small)?",
            "MS MARCO's own terms apply too: for non-commercial research",
            {"documents": r".+_collection\.tsv"},
        ),
    ),
    _reader(
        MIRACL,
        "MIRACL: queries by native speakers in 18 languages, each on its own Wikipedia.",
        ("split", "pool_limit"),
        _published(
            "miracl",
            "Apache 2.0",
            "huggingface.co/datasets/miracl",
            (r"v1\.0/(?P<language>\w+)/(corpus/\d+|dev/(topics|qrels))",),
            r"miracl/(?P<language>\w\w)(?P<part>/dev)?",
            lines={
                "documents": r".+/docs-\d+\.jsonl\.gz",
                "topics (dev)": r".+/dev/topics\.tsv",
                "judgements (dev)": r".+/dev/qrels\.tsv",
            },
        ),
    ),
    _reader(
        BI_139,
        "BI-139 of CLIRMatrix: titles of Wikipedia articles as queries, all pairs of 139 languages.",
        ("split", "document_languages", "pool_limit"),
        # Both collections of CLIRMatrix read this data.
        _published(
            "clirmatrix",
            "Wikipedia's, CC BY-SA",
            "www.cs.jhu.edu/~shuosun/clirmatrix",
            remark="two collections, bi-139 and multi-8; ir_datasets fetches its 19,182 language pairs, each "
            "when a run first needs it",
            usage={"languages": ["en"], "document_languages": ["sw"]},
        ),
    ),
    _reader(
        MULTI_8,
        "MULTI-8 of CLIRMatrix: queries in 8 languages, Wikipedia articles of all 8 in one pool.",
        ("split", "document_languages", "pool_limit"),
    ),
    _reader(
        WIKICLIR,
        "WikiCLIR: English queries, Wikipedia articles in 24 languages.",
        ("document_languages", "pool_limit"),
        _published(
            "wikiclir",
            "Wikipedia's, CC BY-SA",
            "www.cs.jhu.edu/~kevinduh/a/wikiclir2018",
            ("source",),
            r"wikiclir/(?P<language>\w\w)(-simple)?(?P<part>)",
            lines={"documents": r".+/wiki_{code}\.documents", "judgements": r".+/en2{code}\.rel"},
        ),
    ),
    _reader(
        NEUCLIR,
        "NeuCLIR of TREC: English topics, news in Persian, Russian and Chinese in one pool.",
        ("split", "document_languages", "pool_limit"),
        _published(
            "neuclir",
            "ODC-BY 1.0",
            "huggingface.co/datasets/neuclir/neuclir1 and trec.nist.gov",
            (r"1/(?P<language>\w+)/docs", r"trec-2022/(queries|qrels)"),
            r"neuclir/1/(?P<language>\w\w)(?P<part>/trec-2022)?",
            "Common Crawl's terms apply to the documents",
            {"documents": r".+/docs\.jsonl\.gz"},
        ),
    ),
    _reader(
        HC4,
        "HC4: English topics, news in Persian, Russian and Chinese.",
        ("split", "document_languages", "pool_limit"),
        _published(
            "hc4",
            "see its source",
            "github.com/hltcoe/HC4",
            (r"(?P<language>\w\w)/(dev|test)/qrels", r"(dev|test)/topics"),
            r"hc4/(?P<language>\w\w)(?P<part>/test)?",
            "these are the topics and judgements; the tool at github.com/hltcoe/HC4 downloads the documents "
            "from Common Crawl, for the files hc4/<l3>/hc4_docs.jsonl",
            {"judgements (test)": r".+/test\.qrels.+"},
        ),
    ),
)
