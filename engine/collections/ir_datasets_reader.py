"""Collections that the library ir_datasets reads: the families, and any data set by its id.

ir_datasets keeps its files in its own home, ``$IR_DATASETS_HOME`` or ``~/.ir_datasets``, and fetches what
is missing there. It is read without the document stores it may have built, since those are pickles.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from engine.collections.base import Collection, Direction, Document, Query
from engine.collections.build import CollectionFacts, build_collection
from engine.collections.ir_datasets_families import FAMILIES, Family
from engine.collections.trec import Judgement
from engine.errors import InputError, nearest
from engine.languages import known_code, language

_ANY = ("nDCG@10", "AP", "RR", "R@100", "Judged@10")


def load_family(
    name: str,
    languages: Sequence[str] = (),
    document_languages: Sequence[str] = (),
    split: str | None = None,
    pool: Literal["all", "own"] = "all",
    pool_limit: int | None = None,
) -> list[Collection]:
    """Read one of `FAMILIES`.

    Parameters
    ----------
    name : str
    languages : sequence of str
        Of the queries; none takes the family's own. With NeuCLIR and HC4 a document language takes the
        topics' human translation into it.
    document_languages : sequence of str
        None takes the family's own, which are the queries' where it has no others.
    split : str, optional
        None takes the family's first.
    pool : {"all", "own"}
        Where the protocol puts all languages of documents into one pool, whether to do so.
    pool_limit : int, optional
        As in `build_collection`, for each pool.

    Returns
    -------
    list of Collection
        One for each pool: every pair of languages, or every language of queries with one pool of documents.

    Raises
    ------
    InputError
        If a language or split is not the family's, or ir_datasets cannot read or fetch a file.
    """
    family = FAMILIES[name]
    chosen = split or family.splits[0]
    if chosen not in family.splits:
        has = f"; it has {', '.join(family.splits)}"
        raise InputError(f"{name} has no split {chosen!r}{nearest(chosen, family.splits)}{has}")
    asked, targets = _codes(languages), _codes(document_languages)
    if family.queries:
        asked, targets = asked or list(family.queries), targets or list(family.pool)
        if not targets:
            raise InputError(f"{name} has all pairs of languages; name some in document_languages")
        pairs = [(query, targets) for query in asked]
    else:
        # Queries are in the documents' language, unless other documents are asked for.
        pairs = [(query, targets or [query]) for query in asked or targets or family.pool]
    together = family.pools_together and pool == "all"
    return [
        _collection(name, family, query, group, chosen, pool_limit)
        for query, group_of in pairs
        for group in ([group_of] if together else [[target] for target in group_of])
    ]


def load_dataset(
    dataset: str,
    languages: Sequence[str] = (),
    document_languages: Sequence[str] = (),
    pool_limit: int | None = None,
) -> Collection:
    """Read any dataset of ir_datasets that has documents, queries and judgements, by its id.

    Parameters
    ----------
    dataset : str
        Such as ``beir/scifact/test``.
    languages, document_languages : sequence of str
        The language of the queries and of the documents, where ir_datasets does not say it.
    pool_limit : int, optional
        As in `build_collection`.

    Raises
    ------
    InputError
        If there is no such dataset, it lacks one of the three, a language is unknown, or a file cannot be
        read or fetched.
    """
    opened = _open(dataset)
    if not (opened.has_docs() and opened.has_queries() and opened.has_qrels()):
        raise InputError(
            f"ir_datasets' {dataset!r} has no documents, queries or judgements; name a split of it"
        )
    query = _said(languages, opened.queries_lang(), "languages", dataset)
    document = _said(document_languages, opened.docs_lang(), "document_languages", dataset)
    family = Family(
        dataset, dataset, (query,), (document,), ("all",), _ANY, "ir-datasets.com names its terms"
    )
    return _collection("ir-datasets", family, query, [document], "all", pool_limit)


def _collection(
    name: str, family: Family, query: str, targets: Sequence[str], split: str, pool_limit: int | None
) -> Collection:
    """Read the queries of one language and one pool of documents."""
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
    counted: dict[str, int] = {}
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
        (document for identifier, target in pools for document in _documents(identifier, target, counted)),
        pool_limit=pool_limit,
        strict=False,
        notes=notes,
    )
    return collection.noted(_published(counted))


def _topics(dataset: str, query: str, target: str) -> Iterator[tuple[str, str]]:
    """Yield the ids and texts of topics; news topics in the documents' language are their translations."""
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
                    f"ir_datasets' {dataset} judges document {key[1]!r} twice for topic {key[0]!r}, as "
                    f"{grades[key]} and {record.relevance}; fetch its files again"
                )
            continue
        grades[key] = record.relevance
        yield Judgement(key[0], f"{target}:{key[1]}", int(record.relevance), None, None)


def _documents(dataset: str, target: str, counted: dict[str, int]) -> Iterator[Document]:
    """Yield the documents and keep their number in `counted`."""
    counted[dataset] = 0
    for record in _records(dataset, "docs"):
        counted[dataset] += 1
        yield Document(f"{target}:{record.doc_id}", record.default_text().strip(), known_code(target))


def _records(dataset: str, what: Literal["queries", "qrels", "docs"]) -> Iterator[Any]:
    """Yield records of a dataset; whatever ir_datasets says is wrong becomes one sentence."""
    count = 0
    try:
        if what == "docs":
            handler = _open(dataset).docs_handler()
            # The function behind the decorator reads the files even where a document store was built: that
            # is made of pickles, and who may write it may run code here.
            iterate = type(handler).docs_iter
            records = getattr(iterate, "__wrapped__", iterate)(handler)
        else:
            records = getattr(_open(dataset), f"{what}_iter")()
        for record in records:
            count += 1
            yield record
    except InputError:
        raise
    except Exception as error:  # the library and its downloads raise exceptions of many kinds
        after = f" after {count:,} {what}" if count else ""
        raise InputError(f"ir_datasets cannot read {dataset}{after}{_why(error)}") from error


def _open(dataset: str) -> Any:
    import ir_datasets

    try:
        return ir_datasets.load(dataset)
    except KeyError:
        known = [name for name in ir_datasets.registry if name.partition("/")[0] == dataset.partition("/")[0]]
        raise InputError(f"ir_datasets has no {dataset!r}{nearest(dataset, known)}") from None
    except Exception as error:  # CLIRMatrix fetches a list of its files first
        raise InputError(f"ir_datasets cannot open {dataset}{_why(error)}") from error


def _exists(dataset: str) -> bool:
    import ir_datasets

    try:
        ir_datasets.load(dataset)
    except KeyError:
        return False
    return True


def _published(counted: Mapping[str, int]) -> list[str]:
    """Return a note for each dataset with another number of documents than ir_datasets knows of."""
    notes = []
    for dataset, count in counted.items():
        expected = published_documents(dataset)
        if expected not in (None, count):
            notes.append(f"{dataset}: {count:,} documents where {expected:,} were published; fetch it again")
    return notes


def published_documents(dataset: str) -> int | None:
    """Return how many documents a dataset of ir_datasets was published with, None where it does not say."""
    if dataset.startswith("clirmatrix/"):
        return None  # these are on a server, not in the package
    metadata = _open(dataset).metadata()
    count = metadata.get("docs", {}).get("count")
    return None if count is None else int(count)


def _why(error: Exception) -> str:
    from ir_datasets.util import home_path

    address = getattr(getattr(error, "request", None), "url", None)
    said = f"it gets nothing from {address}" if address else f"{type(error).__name__}: {error}"
    text = " ".join(said.split())[:240]
    return f" ({text}); it keeps its files in {home_path()} and what it cannot fetch must be put there"


def _codes(languages: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(known_code(code) for code in languages))


def _said(given: Sequence[str], known: str | None, setting: str, dataset: str) -> str:
    if len(given) > 1 or (not given and known is None):
        raise InputError(f"name the one language of {dataset} in {setting}")
    return language(given[0]).code if given else known_code(str(known))
