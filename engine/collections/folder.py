"""Collections in a folder of the user, with files in BEIR's or TREC's format.

BEIR's format is ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/<split>.tsv``. TREC's format is documents,
topics and judgements in files called ``documents``, ``topics`` and ``qrels`` (or ``corpus``, ``collection``,
``docs``, ``queries``), each in any format that `engine.collections.trec` reads, compressed by gzip or not.

The files of TREC's format may have an ending or none (``qrels``, ``qrels.txt``). The name of a file may
contain its language (``documents.sw.tsv``, ``topics.so.tsv``), that of the judgements a split
(``qrels.dev.tsv``), and an object in JSON Lines may have its own language under ``language``. Documents in
several languages form one multilingual pool. Topics with the same id in several languages are translations of
each other. They share the judgements of ``qrels``, unless that file too is given by language. Documents with
the same id in several languages share a judgement too.

In BEIR's format a document with the id of a query is taken out of the ranking of that query, as BEIR does
(``ignore_identical_ids``). Unlike there, it stays if it is judged relevant to the query: then the two ids are
equal by chance, as those of a sentence and its translation.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from engine.bitext.files import find, is_companion
from engine.collections.base import Collection, Direction, Document, Query
from engine.collections.build import (
    CollectionFacts,
    IgnoreIdentical,
    build_collection,
    published_id,
)
from engine.collections.text_files import language_code_at
from engine.collections.trec import Judgement, read_documents, read_judgements, read_topics
from engine.config.base import Settings
from engine.counted import counted
from engine.errors import InputError
from engine.extensions.collections import CollectionReader, FolderLayout
from engine.extensions.published import Counts, LanguageFiles, RecognisedData
from engine.languages import language, looks_like_language

if TYPE_CHECKING:
    from engine.config import CollectionConfig

_DOCUMENTS = ("documents", "corpus", "collection", "docs")
_TOPICS = ("topics", "queries")
_ENDINGS = (".jsonl", ".tsv", ".txt", ".trec", ".xml", ".sgml")

#: Language of judged documents that are not in a pool of several languages.
_UNKNOWN = "und"

_PROTOCOL = "trec"
MEASURES = ("nDCG@10", "AP", "RR", "R@100", "Judged@10")


class FolderSettings(Settings):
    """Settings that only a folder has."""

    ignore_identical_ids: bool | None = None
    """Whether a document with the id of a query is taken out of the ranking of that query. Without it, this
    is done in BEIR's format, as BEIR does, unless the document is judged relevant to the query."""
    unknown_judgements: Literal["count", "refuse"] = "count"
    """What to do with judgements of documents and topics that are not there: ``count`` reports how many there
    are, relevant documents count as not found, and topics are left out, as in trec_eval; ``refuse`` makes the
    first one an error."""


def load_folder(
    folder: Path,
    split: str | None = None,
    languages: Sequence[str] = (),
    document_languages: Sequence[str] = (),
    pool_limit: int | None = None,
    settings: FolderSettings | None = None,
) -> Collection:
    """Read the collection in a folder of the user.

    Parameters
    ----------
    folder : path
    split : str, optional
        Name of the file with the judgements in a folder ``qrels``; without it ``test``, or the only file.
    languages, document_languages : sequence of str
        Languages of the queries and documents to use; empty takes all. A single language here is also the
        language of files that do not give theirs.
    pool_limit : int, optional
        As in `build_collection`.
    settings : FolderSettings, optional
        The default is ``FolderSettings()``.

    Raises
    ------
    InputError
        If a file is missing or broken, a language is unknown, no judged topic or document is there, or a
        single one is not, if `settings` refuse that; it names the file and the line.
    """
    settings = settings or FolderSettings()
    if not folder.is_dir():
        raise InputError(
            "it is not a folder; give one with documents, topics and qrels (or BEIR's files)", path=folder
        )
    query_codes, document_codes = _codes(languages), _codes(document_languages)
    documents = [
        document
        for path, tag in _files(folder, _DOCUMENTS, "documents")
        for document in _pool(path, tag, document_languages)
    ]
    topics = [
        query for path, tag in _files(folder, _TOPICS, "topics") for query in _queries(path, tag, languages)
    ]
    judged = _judgements(_qrels_files(folder, split), topics, documents, settings.unknown_judgements)
    judgements = judged.by_query
    topics = [query for query in topics if not query_codes or query.language in query_codes]
    documents = [
        document for document in documents if not document_codes or document.language in document_codes
    ]
    if document_codes:
        kept = judged.unknown | {document.id for document in documents}
        judgements = {
            query: left
            for query, some in judgements.items()
            if (left := [judgement for judgement in some if judgement.document in kept])
        }
    queried = list(dict.fromkeys(query.language for query in topics))
    pool = list(dict.fromkeys(document.language for document in documents))
    facts = CollectionFacts("folder", _PROTOCOL, _direction(queried, pool), MEASURES, str(folder))
    return build_collection(
        facts,
        topics,
        judgements,
        documents,
        pool_limit=pool_limit,
        strict=settings.unknown_judgements == "refuse",
        notes=judged.notes,
        ignore_identical=_ignore_identical(folder, settings.ignore_identical_ids),
        path=folder,
    )


def _ignore_identical(folder: Path, given: bool | None) -> IgnoreIdentical:
    if given is not None:
        return "always" if given else "never"
    beir = (
        (folder / "qrels").is_dir()
        and any(_files(folder, ("corpus",), "documents", required=False))
        and any(_files(folder, ("queries",), "topics", required=False))
    )
    return "unless-relevant" if beir else "never"


class _Judged(NamedTuple):
    """Judgements by query, the ids of documents that are not in the pool, and notes about left-out ones."""

    by_query: dict[str, list[Judgement]]
    unknown: set[str]
    notes: list[str]


def _judgements(
    files: Sequence[tuple[Path, str | None]],
    topics: Sequence[Query],
    documents: Sequence[Document],
    unknown: Literal["count", "refuse"],
) -> _Judged:
    """Return the judgements by query; an id that occurs in several languages is judged in all of them."""
    queries, pool = _by_published_id(topics), _by_published_id(documents)
    codes = {document.language for document in documents}
    missing_code = codes.pop() if len(codes) == 1 else _UNKNOWN
    found: dict[str, list[Judgement]] = {}
    missing: set[str] = set()
    left_out: Counter[str] = Counter()
    for path, tag in files:
        code = language(tag).code if tag else None
        for judgement in read_judgements(path):
            ids = [one for one in queries.get(judgement.topic, ()) if code in (None, one.partition(":")[0])]
            for known, name, what in (
                (ids, judgement.topic, "topic"),
                (pool.get(judgement.document, ()), judgement.document, "document"),
            ):
                if not known and unknown == "refuse":
                    raise InputError(
                        f"{what} {name!r} is judged and not among the {what}s; fetch the file that "
                        "contains it, or remove the judgement",
                        path=path,
                        line=judgement.line,
                    )
            if judgement.topic not in queries:
                left_out[judgement.topic] += 1
            names = pool.get(judgement.document)
            if names is None:
                names = [f"{missing_code}:{judgement.document}"]
                missing.update(names)
            for query in ids:
                found.setdefault(query, []).extend(
                    judgement._replace(document=document) for document in names
                )
    if not found and left_out:
        raise InputError(
            f"none of its {counted(len(left_out), 'topic')} is among the topics; check that topics and "
            "judgements "
            "belong together",
            path=files[0][0],
        )
    notes = []
    if left_out:
        notes.append(
            f"{READER.name}: {counted(left_out.total(), 'judgement')} of "
            f"{counted(len(left_out), 'topic that is', 'topics that are')} not among the topics "
            f"{'is' if left_out.total() == 1 else 'are'} left out"
        )
    return _Judged(found, missing, notes)


def _files(
    folder: Path, stems: Sequence[str], what: str, *, required: bool = True
) -> list[tuple[Path, str | None]]:
    """Return the files of the first of `stems` that has any, each with what its name says besides.

    That is a language, or the split of judgements. A name may have no ending, but not a language alone.
    """
    for stem in stems:
        found: list[tuple[Path, str | None]] = []
        for path in sorted(folder.iterdir()):
            name = path.name.removesuffix(".gz")
            start, *middle = name.split(".")
            if not path.is_file() or start != stem:
                continue
            if not middle:
                found.append((path, None))
            elif name.endswith(_ENDINGS):
                found.append((path, ".".join(middle[:-1]) or None))
        if found:
            return found
    if not required:
        return []
    raise InputError(
        f"this folder has no {what}; put them into a file such as {stems[0]}.jsonl or {stems[0]}.tsv",
        path=folder,
    )


def _qrels_files(folder: Path, split: str | None) -> list[tuple[Path, str | None]]:
    """Return the files with the judgements of a split, each with the language in its name."""
    inner = folder / "qrels"
    if inner.is_dir():
        files = {
            _without_ending(path.name): path
            for path in sorted(inner.iterdir())
            if path.is_file() and not is_companion(path.name)
        }
    else:
        every = _files(folder, ("qrels",), "judgements")
        by_language = [(path, tag) for path, tag in every if tag is None or looks_like_language(tag)]
        files = {tag: path for path, tag in every if tag and not looks_like_language(tag)}
        if by_language and split is None:
            return by_language
        if not files:
            raise InputError(
                f"the judgements of this folder have no split {split!r}; leave split out", path=folder
            )
    chosen = split or ("test" if "test" in files else next(iter(files), "") if len(files) == 1 else "")
    if chosen not in files:
        raise _SplitMissing(
            f"qrels has no {chosen or 'test'!r}; set split to one of {', '.join(files) or 'none'}",
            folder,
            files,
        )
    return [(files[chosen], None)]


def _without_ending(name: str) -> str:
    """Return the name of a file without its ending, if it has one."""
    name = name.removesuffix(".gz")
    return name.rpartition(".")[0] or name


def _queries(path: Path, tag: str | None, languages: Sequence[str]) -> Iterator[Query]:
    for text in read_topics(path):
        code = _language(text.language or tag, languages, "languages", path, text.line)
        yield Query(f"{code}:{text.id}", text.text, code)


def _pool(path: Path, tag: str | None, languages: Sequence[str]) -> Iterator[Document]:
    for text in read_documents(path):
        code = _language(text.language or tag, languages, "document_languages", path, text.line)
        yield Document(f"{code}:{text.id}", text.text, code)


def _language(tag: str | None, given: Sequence[str], setting: str, path: Path, line: int) -> str:
    if tag is None and len(given) == 1:
        tag = given[0]
    if tag is None:
        raise _LanguageMissing(
            f"its language is not given; call the file {path.name.partition('.')[0]}.<language>… or name one "
            f"language in {setting}",
            path=path,
            line=line,
        )
    return language_code_at(tag, path, line)


def _codes(languages: Sequence[str]) -> list[str]:
    return [language(code).code for code in languages]


def _by_published_id(texts: Sequence[Query] | Sequence[Document]) -> dict[str, list[str]]:
    """Return the ids of the collection by published id, which several languages may share."""
    found: dict[str, list[str]] = {}
    for text in texts:
        found.setdefault(published_id(text.id), []).append(text.id)
    return found


def _direction(queries: Sequence[str], pool: Sequence[str]) -> Direction:
    if list(pool) == ["en"]:
        return "xx-en"
    return "en-xx" if list(queries) == ["en"] and len(pool) == 1 else "xx-xx"


def _load(config: CollectionConfig, seed: int) -> list[Collection]:
    folder = find(config.folder)
    settings = config.own_settings
    assert isinstance(settings, FolderSettings)
    return [
        load_folder(
            folder,
            config.split,
            config.languages,
            config.document_languages,
            config.pool_limit,
            settings,
        )
    ]


def _check(config: CollectionConfig) -> None:
    if not config.path:
        raise ValueError("a folder collection needs its path")


# -- data in a folder --------------------------------------------------------------------------------

_FILE_NAME = re.compile(rf"({'|'.join((*_DOCUMENTS, *_TOPICS, 'qrels'))})\b")
_QRELS_LINE = re.compile(rb"\S+[ \t]+(0|Q0)[ \t]+\S+[ \t]+-?\d+\s*")


class _SplitMissing(InputError):
    """The judgements have no split of the name that is asked for, or several and none is asked for."""

    def __init__(self, message: str, folder: Path, splits: Iterable[str]) -> None:
        super().__init__(message, path=folder)
        self.splits = list(splits)


class _LanguageMissing(InputError):
    """Neither a file nor a setting names the language of the file."""


def _usage(folder: Path, languages: Mapping[str, LanguageFiles]) -> dict[str, str | list[str]]:
    """Return the settings that read an imported folder."""
    settings: dict[str, str | list[str]] = {}
    if split := _first_split(folder):
        settings["split"] = split
    settings["languages"] = list(languages)
    if documents := sorted({part.target_language for part in languages.values()} - {""}):
        settings["document_languages"] = documents
    return settings


def _first_split(folder: Path) -> str | None:
    """Return the first split of the judgements if a configuration has to name one, otherwise None."""
    try:
        _qrels_files(folder, None)
    except _SplitMissing as error:
        return next(iter(error.splits), None)
    return None


def _load_unnamed(folder: Path, code: str | None) -> tuple[Collection, str]:
    """Read a folder in which `code` is the language of the files that do not name theirs.

    Returns
    -------
    collection : Collection
    document_language : str
        `code` if the files of the documents do not name their language, otherwise empty.

    Raises
    ------
    InputError
        As `load_folder`.
    """
    split, own = _first_split(folder), [code] if code else []
    for queries, documents in (([], []), (own, []), ([], own)):
        try:
            collection = load_folder(folder, split, queries, documents)
        except _LanguageMissing:
            if code is None:
                raise
        else:
            return collection, code if code and documents else ""
    return load_folder(folder, split, own, own), code or ""


def _count(folder: Path) -> Counts:
    collection = load_folder(folder)
    return {
        "topics": Counter(query.language for query in collection.queries),
        "documents": {"all": len(collection.documents)},
    }


def _recognise(folder: Path, names: Sequence[str], code: str | None) -> RecognisedData | None:
    """Recognise a folder by the names of its files: documents, topics and judgements."""
    files = [name for name in names if _FILE_NAME.match(name)]
    if len({found[1] for name in files if (found := _FILE_NAME.match(name))}) < 3:
        return None
    try:
        collection, document_language = _load_unnamed(folder, code)
    except _LanguageMissing as error:
        stem = Path(str(error.path)).name.partition(".")[0]
        raise InputError(
            f"its language is not given; import it with --language CODE, or call the file {stem}.<language>…",
            path=error.path,
            line=error.line,
        ) from error
    topics = Counter(query.language for query in collection.queries)
    languages = {
        one: LanguageFiles(
            files, "", {"topics": count, "documents": len(collection.documents)}, document_language
        )
        for one, count in topics.items()
    }
    return RecognisedData(
        "a folder of documents, topics and judgements",
        "collection",
        READER.name,
        folder,
        languages,
        left_out=len(names) - len(files),
    )


def _recognise_file(path: Path) -> RecognisedData | None:
    with path.open("rb") as file:
        lines = [line for line in file.readlines(1 << 16) if line.strip()][:100]
    if len(lines) > 1 and all(_QRELS_LINE.fullmatch(line) for line in lines[:-1]):
        raise InputError(
            "these are relevance judgements; import the folder that also contains the topics and documents "
            "(documents.*, topics.*, qrels.*)",
            path=path,
        )
    return None


READER = CollectionReader(
    name="folder",
    meaning="A folder of documents, topics and judgements in BEIR's or TREC's format.",
    load=_load,
    measures={_PROTOCOL: MEASURES},
    optional_settings=("split", "document_languages", "pool_limit"),
    settings=FolderSettings,
    check=_check,
    pool="all",
    layout=FolderLayout(
        recognise=_recognise, recognise_file=_recognise_file, general=True, count=_count, usage=_usage
    ),
)
