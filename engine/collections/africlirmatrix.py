"""AfriCLIRMatrix (Ogundepo et al. 2022): English queries, African Wikipedia articles.

The grades, 1 to 6, are classes of the BM25 score of the English article that corresponds to a document; 6 is
for the article that the query is the title of. nDCG@10 and R@100 are reported. Each language has its own
pool.
"""

from __future__ import annotations

from functools import partial

from engine.collections.african import AfricanCollection
from engine.collections.build import CollectionFacts
from engine.collections.checksums import published_file
from engine.collections.recognition import recognise_published_names
from engine.extensions.collections import CollectionReader, FolderLayout
from engine.extensions.published import PublishedData, PublishedFile

AFRICLIRMATRIX = AfricanCollection(
    "AfriCLIRMatrix",
    CollectionFacts(
        "africlirmatrix",
        "africlirmatrix",
        "en-xx",
        ("nDCG@10", "R@100"),
        "AfriCLIRMatrix v1.0, github.com/castorini/africlirmatrix, Apache 2.0",
    ),
    {
        "af": ("afr", "afrikaans"),
        "am": ("amh", "amharic"),
        "ary": ("ary", "moroccan_arabic"),
        "arz": ("arz", "egyptian_arabic"),
        "ha": ("hau", "hausa"),
        "ig": ("ibo", "igbo"),
        "nso": ("nso", "northern_sotho"),
        "sn": ("sna", "shona"),
        "so": ("som", "somali"),
        "sw": ("swa", "swahili"),
        "ti": ("tir", "tigrinya"),
        "tw": ("twi", "twi"),
        "wo": ("wol", "wolof"),
        "yo": ("yor", "yoruba"),
        "zu": ("zul", "zulu"),
    },
    ("test",),
    "topics.africlirmatrix-v1.0.en.{code}.tsv",
    "qrels.africlirmatrix-v1.0.en.{code}.txt",
    "africlirmatrix-v1.0-{name}/corpus.jsonl",
)

_ADDRESS = (
    "https://raw.githubusercontent.com/castorini/africlirmatrix/29941eca075cc5488f1260af54165b3e6a2282d5/test"
)


def _files() -> list[PublishedFile]:
    return [
        published_file(f"{_ADDRESS}/{folder}/{name}", "africlirmatrix", name, code)
        for code, (short, _) in AFRICLIRMATRIX.languages.items()
        for folder, template in (("queries", AFRICLIRMATRIX.topics), ("qrels", AFRICLIRMATRIX.judgements))
        for name in (template.format(code=short),)
    ]


PUBLISHED = PublishedData(
    "africlirmatrix",
    "africlirmatrix",
    "Apache 2.0",
    "github.com/castorini/africlirmatrix",
    _files,
    {
        "topics": {"ha": 1500, "so": 1000, "sw": 1500},
        "judgements": {"ha": 1876, "so": 1049, "sw": 1891},
    },
    remark="these are the topics and judgements; the documents, Wikipedia articles, are published separately "
    "and go into africlirmatrix-v1.0-<language>/corpus.jsonl in the same folder",
    documents="africlirmatrix-v1.0-*/corpus.jsonl*",
    lines={"topics": r"topics\..+", "judgements": r"qrels\..+"},
)

READER = CollectionReader(
    name="africlirmatrix",
    meaning="AfriCLIRMatrix: English queries, Wikipedia articles in 15 African languages.",
    load=AFRICLIRMATRIX.load,
    measures={AFRICLIRMATRIX.facts.protocol: AFRICLIRMATRIX.facts.measures},
    optional_settings=("document_languages", "pool_limit"),
    published=PUBLISHED,
    layout=FolderLayout(recognise=partial(recognise_published_names, PUBLISHED)),
)
