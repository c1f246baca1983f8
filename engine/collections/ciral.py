"""CIRAL (Adeyemi et al. 2024): English queries, passages of African news.

People judged the passages relevant (1) or not (0). nDCG@20 and R@100 are reported. Each language has its own
pool.
"""

from __future__ import annotations

from functools import partial

from engine.collections.african import AfricanCollection
from engine.collections.build import CollectionFacts
from engine.collections.recognition import recognise_published_names
from engine.extensions.collections import CollectionReader, FolderLayout
from engine.extensions.published import PublishedData, PublishedFile

CIRAL = AfricanCollection(
    "CIRAL",
    CollectionFacts(
        "ciral",
        "ciral",
        "en-xx",
        ("nDCG@20", "R@100", "Judged@20"),
        "CIRAL v1.0, huggingface.co/datasets/CIRAL, Apache 2.0",
    ),
    {"ha": ("ha", "hausa"), "so": ("so", "somali"), "sw": ("sw", "swahili"), "yo": ("yo", "yoruba")},
    ("test-a", "test-b", "dev"),
    "topics.ciral-v1.0-{code}-{split}.tsv",
    "qrels.ciral-v1.0-{code}-{split}.tsv",
    "{name}_passages.jsonl",
)

_ADDRESS = "https://huggingface.co/datasets/CIRAL"
_PARTS = ("dev", "test-a", "test-b")

#: Published counts in Hausa, Somali, Swahili and Yoruba.
_COUNTS = {
    "passages": (715_355, 827_552, 949_013, 82_095),
    "topics (dev)": (10, 10, 10, 10),
    "judgements (dev)": (165, 187, 196, 185),
    "topics (test-a)": (80, 99, 85, 100),
    "judgements (test-a)": (1447, 1798, 1656, 1921),
    "topics (test-b)": (312, 239, 113, 554),
    "judgements (test-b)": (5930, 4324, 2175, 10_569),
}


def _files() -> list[PublishedFile]:
    files = []
    for code, (_, name) in CIRAL.languages.items():
        for part in _PARTS:
            for folder in ("topics", "qrels"):
                path = f"ciral-{name}/{folder}/{folder}.ciral-v1.0-{code}-{part}.tsv"
                files.append(PublishedFile(f"{_ADDRESS}/ciral/resolve/main/{path}", path, code))
        path = f"passages-v1.0/{name}_passages.jsonl"
        files.append(PublishedFile(f"{_ADDRESS}/ciral-corpus/resolve/main/{path}", path, code))
    return files


PUBLISHED = PublishedData(
    "ciral",
    "ciral",
    "Apache 2.0",
    "huggingface.co/datasets/CIRAL/ciral and CIRAL/ciral-corpus",
    _files,
    {what: dict(zip(CIRAL.languages, counts, strict=True)) for what, counts in _COUNTS.items()},
    lines={
        "passages": r"passages.+",
        **{
            f"{what} ({part})": rf".+/{folder}\..+-{part}\.tsv"
            for part in _PARTS
            for what, folder in (("topics", "topics"), ("judgements", "qrels"))
        },
    },
)

READER = CollectionReader(
    name="ciral",
    meaning="CIRAL: English queries, passages of news in Hausa, Somali, Swahili and Yoruba.",
    load=CIRAL.load,
    measures={CIRAL.facts.protocol: CIRAL.facts.measures},
    optional_settings=("split", "document_languages", "pool_limit"),
    published=PUBLISHED,
    layout=FolderLayout(recognise=partial(recognise_published_names, PUBLISHED)),
)
