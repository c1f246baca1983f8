"""Reading collections with the library ir_datasets: families of data sets, or any data set by its id.

`engine.collections.ir_datasets_families` describes the families. ir_datasets keeps its files in its own home,
``$IR_DATASETS_HOME`` or ``~/.ir_datasets``, and fetches what is missing there. Document stores that it may
have built there are not used, because they are pickles.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from engine.collections.base import Collection, Direction, Document, Query
from engine.collections.build import (
    CollectionFacts,
    IgnoreIdentical,
    build_collection,
    published_id,
)
from engine.collections.trec import Judgement
from engine.config.base import Settings
from engine.counted import counted
from engine.errors import InputError, nearest
from engine.extensions.collections import CollectionReader
from engine.languages import known_code, language

if TYPE_CHECKING:
    from engine.config import CollectionConfig

_MEASURES = ("nDCG@10", "AP", "RR", "R@100", "Judged@10")


@dataclass(frozen=True, kw_only=True)
class Family:
    """A collection that consists of several data sets of ir_datasets, and its protocol.

    Attributes
    ----------
    name : str
        Its name, which is also that of its protocol.
    dataset : str
        Id of the queries and judgements, with ``{query}``, ``{document}`` and ``{split}``.
    documents : str
        Id of the documents, with ``{document}``.
    query_languages : tuple of str
        Languages of the queries; empty if the queries are in the language of the documents.
    document_languages : tuple of str
        Languages of the documents that are used when none are named; empty if some have to be named.
    splits : tuple of str
        Its splits; the first one is the default.
    measures : tuple of str
        Its measures, as ir-measures spells them.
    licence : str
        Its terms.
    spelling : mapping
        Codes that ir_datasets spells otherwise, by ours.
    instead : mapping
        Ids to use instead of those that the templates give.
    one_pool : bool
        Whether its protocol searches the documents of all languages in one pool.
    shared_topics : bool
        Whether topics with the same id in several languages are translations of each other.
    """

    name: str
    dataset: str
    documents: str
    query_languages: tuple[str, ...] = ()
    document_languages: tuple[str, ...] = ()
    splits: tuple[str, ...]
    measures: tuple[str, ...]
    licence: str
    spelling: Mapping[str, str] = field(default_factory=dict)
    instead: Mapping[str, str] = field(default_factory=dict)
    one_pool: bool = False
    shared_topics: bool = True


def load_family(
    family: Family,
    languages: Sequence[str] = (),
    document_languages: Sequence[str] = (),
    split: str | None = None,
    pool: Literal["all", "own"] = "all",
    pool_limit: int | None = None,
) -> list[Collection]:
    """Read the collections of a family.

    Parameters
    ----------
    family : Family
    languages : sequence of str
        Languages of the queries; empty takes those of the family. In NeuCLIR and HC4 the language of the
        documents selects the human translation of the topics into it.
    document_languages : sequence of str
        Empty takes those of the family, or the languages of the queries if it has no others.
    split : str, optional
        Without it, the first split of the family.
    pool : {"all", "own"}
        Whether to search the documents of all languages in one pool, if the protocol does so.
    pool_limit : int, optional
        As in `build_collection`, for each pool.

    Returns
    -------
    list of Collection
        One for each pool: one for every pair of languages, or one for every language of queries if all its
        documents form one pool.

    Raises
    ------
    InputError
        If the family has no such language or split, or ir_datasets cannot read or fetch a file.
    """
    chosen = split or family.splits[0]
    if chosen not in family.splits:
        raise InputError(
            f"{family.name} has no split {chosen!r}{nearest(chosen, family.splits)}; "
            f"it has {', '.join(family.splits)}"
        )
    query_codes, document_codes = _codes(languages), _codes(document_languages)
    if family.query_languages:
        query_codes = query_codes or list(family.query_languages)
        document_codes = document_codes or list(family.document_languages)
        if not document_codes:
            raise InputError(f"{family.name} has all pairs of languages; name some in document_languages")
        pairs = [(query, document_codes) for query in query_codes]
    else:
        # Queries are in the language of the documents, unless other documents are asked for.
        codes = query_codes or document_codes or family.document_languages
        pairs = [(query, document_codes or [query]) for query in codes]
    one_pool = family.one_pool and pool == "all"
    return [
        _collection(family, query, group, chosen, pool_limit)
        for query, documents in pairs
        for group in ([documents] if one_pool else [[document] for document in documents])
    ]


class DatasetSettings(Settings):
    """Settings that only a data set of ir_datasets has."""

    ignore_identical_ids: bool | None = None
    """Whether a document with the id of a query is taken out of the ranking of that query, as BEIR does.
    Without it, this is done in the data sets of BEIR (``beir/…``)."""


def load_dataset(
    dataset: str,
    languages: Sequence[str] = (),
    document_languages: Sequence[str] = (),
    pool_limit: int | None = None,
    ignore_identical_ids: bool | None = None,
) -> Collection:
    """Read any data set of ir_datasets that has documents, queries and judgements.

    Parameters
    ----------
    dataset : str
        Its id, such as ``beir/scifact/test``.
    languages, document_languages : sequence of str
        The language of the queries and that of the documents, if ir_datasets does not give it.
    pool_limit : int, optional
        As in `build_collection`.
    ignore_identical_ids : bool, optional
        As in `DatasetSettings`.

    Raises
    ------
    InputError
        If there is no such data set, it lacks documents, queries or judgements, a language is not known, or a
        file cannot be read or fetched.
    """
    opened = _open(dataset)
    if not (opened.has_docs() and opened.has_queries() and opened.has_qrels()):
        raise InputError(
            f"ir_datasets' {dataset!r} has no documents, queries or judgements; name a split of it"
        )
    query = _one_language(languages, opened.queries_lang(), "languages", dataset)
    document = _one_language(document_languages, opened.docs_lang(), "document_languages", dataset)
    family = Family(
        name=READER.name,
        dataset=dataset,
        documents=dataset,
        query_languages=(query,),
        document_languages=(document,),
        splits=("all",),
        measures=_MEASURES,
        licence="ir-datasets.com names its terms",
    )
    if ignore_identical_ids is None:
        ignore_identical_ids = dataset.startswith("beir/")
    return _collection(
        family, query, [document], "all", pool_limit, "always" if ignore_identical_ids else "never"
    )


def _collection(
    family: Family,
    query: str,
    targets: Sequence[str],
    split: str,
    pool_limit: int | None,
    ignore_identical: IgnoreIdentical = "never",
) -> Collection:
    """Read the collection of one query language and one pool of documents."""
    name = family.name
    label = targets[0] if len(targets) == 1 else "all"
    direction: Direction = (
        "xx-en" if label == "en" else "en-xx" if (query == "en" and label != "all") else "xx-xx"
    )
    if family.shared_topics:
        prefix = f"{label}-" if direction == "en-xx" else ""
    else:
        prefix = f"{query}-" if label == query else f"{query}-{label}-"
    queries: dict[str, Query] = {}
    judgements: dict[str, list[Judgement]] = {}
    pools, notes = [], []
    for target in targets:
        place = {
            "query": family.spelling.get(query, query),
            "document": family.spelling.get(target, target),
            "split": split,
        }
        dataset, documents = (
            family.instead.get(identifier, identifier)
            for identifier in (family.dataset.format(**place), family.documents.format(**place))
        )
        if label == "all" and target == query and not _exists(dataset):
            notes.append(f"{name}: it has no judgements of documents in {query} for queries in {query}")
            continue
        pools.append((documents, target))
        for topic, text in _topics(dataset, query, target):
            queries.setdefault(topic, Query(f"{query}:{prefix}{topic}", text, query))
        for judgement in _judgements(dataset, target):
            judgements.setdefault(f"{query}:{prefix}{judgement.topic}", []).append(judgement)
    numbers: dict[str, int] = {}
    collection = build_collection(
        CollectionFacts(
            name if label in (query, "all", "en") or direction == "en-xx" else f"{name}-{label}",
            name,
            direction,
            family.measures,
            f"ir_datasets {family.dataset}, {family.licence}",
        ),
        queries.values(),
        judgements,
        (document for identifier, target in pools for document in _documents(identifier, target, numbers)),
        pool_limit=pool_limit,
        strict=False,
        notes=notes,
        ignore_identical=ignore_identical,
        topic_id=lambda identifier: published_id(identifier).removeprefix(prefix),
    )
    return collection.with_notes(_count_notes(numbers))


def _topics(dataset: str, query: str, target: str) -> Iterator[tuple[str, str]]:
    """Yield the ids and texts of topics, translated by people if they are in the documents' language."""
    for record in _records(dataset, "queries"):
        translated = query == target and query != "en" and hasattr(record, "ht_title")
        yield record.query_id, str(record.ht_title if translated else record.default_text()).strip()


def _judgements(dataset: str, target: str) -> Iterator[Judgement]:
    grades: dict[tuple[str, str], int] = {}
    for record in _records(dataset, "qrels"):
        key = record.query_id, record.doc_id
        if key in grades:
            if grades[key] != record.relevance:
                raise InputError(
                    f"ir_datasets' {dataset} judges document {key[1]!r} twice for topic {key[0]!r}, with "
                    f"{grades[key]} and {record.relevance}; fetch its files again"
                )
            continue
        grades[key] = record.relevance
        yield Judgement(key[0], f"{target}:{key[1]}", int(record.relevance), None, None)


def _documents(dataset: str, target: str, numbers: dict[str, int]) -> Iterator[Document]:
    """Yield the documents of a data set and count them in `numbers`."""
    numbers[dataset] = 0
    for record in _records(dataset, "docs"):
        numbers[dataset] += 1
        yield Document(f"{target}:{record.doc_id}", record.default_text().strip(), known_code(target))


def _records(dataset: str, what: Literal["queries", "qrels", "docs"]) -> Iterator[Any]:
    """Yield the records of a data set. Any error of ir_datasets becomes an InputError of one sentence."""
    count = 0
    try:
        if what == "docs":
            handler = _open(dataset).docs_handler()
            # The undecorated function reads the files even if a document store was built. The store consists
            # of pickles, and whoever can write them could run code here.
            iterate = type(handler).docs_iter
            records = getattr(iterate, "__wrapped__", iterate)(handler)
        else:
            records = getattr(_open(dataset), f"{what}_iter")()
        for record in records:
            count += 1
            yield record
    except InputError:
        raise
    except Exception as error:  # the library and its downloads raise many types of exceptions
        after = f" after {count:,} {what}" if count else ""
        raise InputError(f"ir_datasets cannot read {dataset}{after}{_why(error)}") from error


def _open(dataset: str) -> Any:
    import ir_datasets

    try:
        return ir_datasets.load(dataset)
    except KeyError:
        known = [name for name in ir_datasets.registry if name.partition("/")[0] == dataset.partition("/")[0]]
        raise InputError(f"ir_datasets has no {dataset!r}{nearest(dataset, known)}") from None
    except Exception as error:  # opening CLIRMatrix fetches a list of its files
        raise InputError(f"ir_datasets cannot open {dataset}{_why(error)}") from error


def _exists(dataset: str) -> bool:
    import ir_datasets

    try:
        ir_datasets.load(dataset)
    except KeyError:
        return False
    return True


def _count_notes(numbers: Mapping[str, int]) -> list[str]:
    """Return a note for each data set whose number of documents is not the published one."""
    notes = []
    for dataset, count in numbers.items():
        expected = published_documents(dataset)
        if expected not in (None, count):
            notes.append(
                f"{dataset}: {counted(count, 'document')} where {expected:,} were published; fetch it again"
            )
    return notes


def published_documents(dataset: str) -> int | None:
    """Return the published number of documents of a data set; None if ir_datasets does not give it."""
    if dataset.startswith("clirmatrix/"):
        return None  # its counts are on a server and not in the package
    metadata = _open(dataset).metadata()
    count = metadata.get("docs", {}).get("count")
    return None if count is None else int(count)


def _why(error: Exception) -> str:
    from ir_datasets.util import home_path

    address = getattr(getattr(error, "request", None), "url", None)
    reason = f"it gets nothing from {address}" if address else f"{type(error).__name__}: {error}"
    text = " ".join(reason.split())[:240]
    return f" ({text}); it keeps its files in {home_path()} and what it cannot fetch must be put there"


def _codes(languages: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(known_code(code) for code in languages))


def _one_language(given: Sequence[str], known: str | None, setting: str, dataset: str) -> str:
    if len(given) > 1 or (not given and known is None):
        raise InputError(f"name the one language of {dataset} in {setting}")
    return language(given[0]).code if given else known_code(str(known))


def _load(config: CollectionConfig, seed: int) -> list[Collection]:
    settings = config.own_settings
    assert isinstance(settings, DatasetSettings)
    return [
        load_dataset(
            str(config.dataset),
            config.languages,
            config.document_languages,
            config.pool_limit,
            settings.ignore_identical_ids,
        )
    ]


def _check(config: CollectionConfig) -> None:
    if not config.dataset:
        raise ValueError("an ir-datasets collection needs the id of a data set in dataset")


READER = CollectionReader(
    name="ir-datasets",
    meaning="Any data set of the library ir_datasets with documents, queries and judgements.",
    load=_load,
    measures={"ir-datasets": _MEASURES},
    optional_settings=("dataset", "document_languages", "pool_limit"),
    settings=DatasetSettings,
    check=_check,
)
