"""Collections of one's own: a folder in BEIR's or TREC's shape.

BEIR's has ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/<split>.tsv``. TREC's has documents, topics and
judgements, in files called ``documents``, ``topics`` and ``qrels`` (or ``corpus``, ``collection``, ``docs``,
``queries``), in any format that `engine.collections.trec` reads, gzipped or not. A file's name may carry
its language before the ending (``documents.sw.tsv``, ``topics.so.tsv``), and an object in JSON Lines its
own under ``language``; several languages of documents make one multilingual pool. Topics of one id in
several languages are translations, judged by the one ``qrels`` unless that too is given by language, and
so are documents of one id: all of them are what the judgement says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from engine.collections.base import Collection, Direction, Document, Query
from engine.collections.build import CollectionFacts, build_collection
from engine.collections.trec import Judgement, read_documents, read_judgements, read_topics
from engine.errors import InputError
from engine.languages import language

_DOCUMENTS = ("documents", "corpus", "collection", "docs")
_TOPICS = ("topics", "queries")
_ENDINGS = (".jsonl", ".tsv", ".txt", ".trec", ".xml", ".sgml")

MEASURES = ("nDCG@10", "AP", "RR", "R@100", "Judged@10")


def load_folder(
    folder: Path,
    split: str | None = None,
    languages: Sequence[str] = (),
    document_languages: Sequence[str] = (),
    pool_limit: int | None = None,
) -> Collection:
    """Read a collection of one's own.

    Parameters
    ----------
    folder : path
    split : str, optional
        Which file of a ``qrels`` folder judges; none takes ``test``, or the only one.
    languages, document_languages : sequence of str
        Languages to take, all without any. Where files do not say theirs, the one that is given here is it.
    pool_limit : int, optional
        As in `build_collection`.

    Raises
    ------
    InputError
        If a file is missing or broken, a language is unknown, or a judgement names an unknown topic or
        document; it names the file and the line.
    """
    if not folder.is_dir():
        raise InputError(
            "it is no folder; give one with documents, topics and qrels (or BEIR's files)", path=folder
        )
    asked, chosen = _codes(languages), _codes(document_languages)
    documents = [
        document
        for path, tag in _files(folder, _DOCUMENTS, "documents")
        for document in _pool(path, tag, document_languages)
    ]
    topics = [
        query for path, tag in _files(folder, _TOPICS, "topics") for query in _queries(path, tag, languages)
    ]
    judgements = _judged(_qrels(folder, split), topics, documents)
    topics = [query for query in topics if not asked or query.language in asked]
    documents = [document for document in documents if not chosen or document.language in chosen]
    if chosen:
        kept = {document.id for document in documents}
        judgements = {
            query: left
            for query, some in judgements.items()
            if (left := [j for j in some if j.document in kept])
        }
    queried = list(dict.fromkeys(query.language for query in topics))
    pool = list(dict.fromkeys(document.language for document in documents))
    facts = CollectionFacts("folder", "trec", _direction(queried, pool), MEASURES, str(folder))
    return build_collection(facts, topics, judgements, documents, pool_limit=pool_limit)


def _judged(
    files: Sequence[tuple[Path, str | None]], topics: Sequence[Query], documents: Sequence[Document]
) -> dict[str, list[Judgement]]:
    """Return the judgements by query; ids that stand in several languages are judged in all of them."""
    queries, pool = _by_published_id(topics), _by_published_id(documents)
    found: dict[str, list[Judgement]] = {}
    for path, tag in files:
        code = language(tag).code if tag else None
        for judgement in read_judgements(path):
            ids = [one for one in queries.get(judgement.topic, ()) if code in (None, one.partition(":")[0])]
            for known, name, what in (
                (ids, judgement.topic, "topic"),
                (pool.get(judgement.document, ()), judgement.document, "document"),
            ):
                if not known:
                    raise InputError(
                        f"{what} {name!r} is judged and not among the {what}s; fetch the file that has it, "
                        "or remove the judgement",
                        path=path,
                        line=judgement.line,
                    )
            for query in ids:
                found.setdefault(query, []).extend(
                    judgement._replace(document=document) for document in pool[judgement.document]
                )
    return found


def _files(folder: Path, stems: Sequence[str], what: str) -> list[tuple[Path, str | None]]:
    """Return the files of the first of `stems` that there is, each with the language in its name."""
    for stem in stems:
        found = []
        for path in sorted(folder.iterdir()):
            name = path.name.removesuffix(".gz")
            start, *middle = name.split(".")
            if path.is_file() and start == stem and name.endswith(_ENDINGS) and len(middle) <= 2:
                found.append((path, middle[0] if len(middle) == 2 else None))
        if found:
            return found
    raise InputError(
        f"it has no {what}; put them into a file such as {stems[0]}.jsonl or {stems[0]}.tsv", path=folder
    )


def _qrels(folder: Path, split: str | None) -> list[tuple[Path, str | None]]:
    inner = folder / "qrels"
    if not inner.is_dir():
        if split is not None:
            raise InputError(f"it has no folder qrels, so there is no split {split!r}; drop it", path=folder)
        return _files(folder, ("qrels",), "judgements")
    files = {
        path.name.removesuffix(".gz").rpartition(".")[0]: path
        for path in sorted(inner.iterdir())
        if path.is_file()
    }
    chosen = split or ("test" if "test" in files else next(iter(files), "") if len(files) == 1 else "")
    if chosen not in files:
        raise InputError(
            f"qrels has no {chosen or 'test'!r}; name a split, one of {', '.join(files) or 'none'}",
            path=folder,
        )
    return [(files[chosen], None)]


def _queries(path: Path, tag: str | None, languages: Sequence[str]) -> Iterator[Query]:
    for text in read_topics(path):
        code = _language(text.language or tag, languages, "languages", path, text.line)
        yield Query(f"{code}:{text.id}", text.text, code)


def _pool(path: Path, tag: str | None, languages: Sequence[str]) -> Iterator[Document]:
    for text in read_documents(path):
        code = _language(text.language or tag, languages, "document_languages", path, text.line)
        yield Document(f"{code}:{text.id}", text.text, code)


def _language(spoken: str | None, given: Sequence[str], setting: str, path: Path, line: int) -> str:
    if spoken is None and len(given) == 1:
        spoken = given[0]
    if spoken is None:
        raise InputError(
            f"its language is not said; call the file {path.name.partition('.')[0]}.<language>… or give "
            f"one in {setting}",
            path=path,
            line=line,
        )
    try:
        return language(spoken).code
    except InputError as error:
        raise InputError(str(error), path=path, line=line) from error


def _codes(languages: Sequence[str]) -> list[str]:
    return [language(code).code for code in languages]


def _by_published_id(texts: Sequence[Query] | Sequence[Document]) -> dict[str, list[str]]:
    """Return the ids of the collection by published id; several languages may share one."""
    found: dict[str, list[str]] = {}
    for text in texts:
        found.setdefault(text.id.partition(":")[2], []).append(text.id)
    return found


def _direction(queries: Sequence[str], pool: Sequence[str]) -> Direction:
    if list(pool) == ["en"]:
        return "xx-en"
    return "en-xx" if list(queries) == ["en"] and len(pool) == 1 else "xx-xx"
