"""CIRAL (Adeyemi et al. 2024) and AfriCLIRMatrix (Ogundepo et al. 2022): English queries, African documents.

CIRAL's documents are passages of news; people judged them relevant (1) or not (0), and nDCG@20 and R@100
are reported. AfriCLIRMatrix's are Wikipedia articles; its grades, 1 to 6, are classes of BM25 scores that an
article's English counterpart had, 6 for the query's own article, and nDCG@10 and R@100 are reported. Both
give each language its own pool. Their files may lie anywhere below the folder under their published names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.collections.base import Collection, Document, Query
from engine.collections.build import CollectionFacts, build_collection
from engine.collections.trec import Judgement, read_documents, read_judgements, read_topics
from engine.errors import InputError, nearest
from engine.languages import language


@dataclass(frozen=True)
class African:
    """How one of the two was published.

    `languages` gives for each language's code the one in file names and the corpus's name; the names of
    files hold them as ``{code}`` and ``{name}``, and ``{split}`` where there are several.
    """

    title: str
    facts: CollectionFacts
    languages: Mapping[str, tuple[str, str]]
    splits: tuple[str, ...]
    topics: str
    judgements: str
    documents: str


CIRAL = African(
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

AFRICLIRMATRIX = African(
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


def load_african(
    published: African,
    folder: Path,
    document_languages: Sequence[str] = (),
    split: str | None = None,
    pool_limit: int | None = None,
) -> list[Collection]:
    """Read CIRAL or AfriCLIRMatrix, one collection for each language of documents.

    Parameters
    ----------
    published : African
        `CIRAL` or `AFRICLIRMATRIX`.
    folder : path
    document_languages : sequence of str
        None takes those whose topics are there.
    split : str, optional
        None takes the first of its splits.
    pool_limit : int, optional
        As in `build_collection`.

    Raises
    ------
    InputError
        If it has no such language or split, or a file is missing or broken.
    """
    chosen = split or published.splits[0]
    if chosen not in published.splits:
        raise InputError(
            f"{published.title} has no split {chosen!r}{nearest(chosen, published.splits)}; "
            f"it has {', '.join(published.splits)}"
        )
    if document_languages:
        codes = list(dict.fromkeys(language(code).code for code in document_languages))
    else:
        codes = [
            code for code in published.languages if _look(folder, _name(published, "topics", code, chosen))
        ]
        if not codes:
            raise InputError(
                f"no topics of {published.title} are here; put its files, {published.topics} first, below it",
                path=folder,
            )
    collections = []
    for code in codes:
        if code not in published.languages:
            raise InputError(
                f"{published.title} has no documents in {code!r}; it has {', '.join(published.languages)}"
            )
        collections.append(_load(published, folder, code, chosen, pool_limit))
    return collections


def _load(published: African, folder: Path, code: str, split: str, pool_limit: int | None) -> Collection:
    topics, judged, corpus = (
        _find(folder, _name(published, what, code, split), published.title)
        for what in ("topics", "judgements", "documents")
    )
    # Queries are named by the documents' language too: other languages' collections ask other questions.
    queries = [Query(f"en:{code}-{text.id}", text.text, "en") for text in read_topics(topics)]
    known = {query.id for query in queries}
    by_query: dict[str, list[Judgement]] = {}
    for judgement in read_judgements(judged):
        query = f"en:{code}-{judgement.topic}"
        if query not in known:
            raise InputError(
                f"topic {judgement.topic!r} is judged and not in {topics.name}; fetch both files again",
                path=judged,
                line=judgement.line,
            )
        by_query.setdefault(query, []).append(judgement._replace(document=f"{code}:{judgement.document}"))
    return build_collection(
        published.facts, queries, by_query, _documents(corpus, code), pool_limit=pool_limit
    )


def _documents(corpus: Path, code: str) -> Iterator[Document]:
    return (Document(f"{code}:{text.id}", text.text, code) for text in read_documents(corpus))


def _name(published: African, what: str, code: str, split: str) -> str:
    short, name = published.languages[code]
    return str(getattr(published, what)).format(code=short, name=name, split=split)


def _look(folder: Path, name: str) -> Path | None:
    """Return the file called `name`, or that with ``.gz`` behind, anywhere below `folder`."""
    return next((path for end in ("", ".gz") for path in sorted(folder.rglob(f"{name}{end}"))), None)


def _find(folder: Path, name: str, title: str) -> Path:
    path = _look(folder, name)
    if path is None:
        raise InputError(
            f"{title}'s file {name} is not here; fetch it and put it below this folder", path=folder
        )
    return path
