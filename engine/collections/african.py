"""Reading collections with English queries and a pool of documents for each African language.

`engine.collections.ciral` and `engine.collections.africlirmatrix` describe the two collections of this kind.
Their files may be in any subfolder of the collection's folder, under their published names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.bitext.files import find
from engine.collections.base import Collection, Document, Query
from engine.collections.build import CollectionFacts, build_collection
from engine.collections.trec import Judgement, read_documents, read_judgements, read_topics
from engine.errors import InputError, nearest
from engine.languages import language

if TYPE_CHECKING:
    from engine.config import CollectionConfig


@dataclass(frozen=True)
class AfricanCollection:
    """How such a collection is published.

    Attributes
    ----------
    title : str
        Its name, in messages.
    facts : CollectionFacts
    languages : mapping of str to (str, str)
        For each language code, the code in the names of files and the language's name in them.
    splits : tuple of str
        Its splits; the first one is the default.
    topics, judgements, documents : str
        Names of the files, with ``{code}``, ``{name}`` and ``{split}``.
    """

    title: str
    facts: CollectionFacts
    languages: Mapping[str, tuple[str, str]]
    splits: tuple[str, ...]
    topics: str
    judgements: str
    documents: str

    def load(self, config: CollectionConfig, seed: int) -> list[Collection]:
        """Read the collections that `config` describes.

        Raises
        ------
        InputError
            If the queries should be in another language than English, or as `load_african`.
        """
        if any(language(code).code != "en" for code in config.languages):
            raise InputError(
                f"{self.title} has English queries; name the languages of the documents in document_languages"
            )
        return load_african(
            self, find(config.folder), config.document_languages, config.split, config.pool_limit
        )


def load_african(
    published: AfricanCollection,
    folder: Path,
    document_languages: Sequence[str] = (),
    split: str | None = None,
    pool_limit: int | None = None,
) -> list[Collection]:
    """Read one collection for each language of documents.

    Parameters
    ----------
    published : AfricanCollection
    folder : path
    document_languages : sequence of str
        Without any, those languages whose topics are in `folder`.
    split : str, optional
        Without it, the first split.
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
            code
            for code in published.languages
            if _find_file(folder, _file_name(published, "topics", code, chosen))
        ]
        if not codes:
            raise InputError(
                f"no topics of {published.title} are in this folder; put its files into it, "
                f"{published.topics} first",
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


def _load(
    published: AfricanCollection, folder: Path, code: str, split: str, pool_limit: int | None
) -> Collection:
    topics, judged, corpus = (
        _need_file(folder, _file_name(published, what, code, split), published.title)
        for what in ("topics", "judgements", "documents")
    )
    # The ids of queries contain the language of the documents, because each language has its own topics.
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


def _file_name(published: AfricanCollection, what: str, code: str, split: str) -> str:
    short, name = published.languages[code]
    return str(getattr(published, what)).format(code=short, name=name, split=split)


def _find_file(folder: Path, name: str) -> Path | None:
    """Return the file called `name`, or `name` with ``.gz``, in any subfolder of `folder`."""
    return next((path for end in ("", ".gz") for path in sorted(folder.rglob(f"{name}{end}"))), None)


def _need_file(folder: Path, name: str, title: str) -> Path:
    path = _find_file(folder, name)
    if path is None:
        raise InputError(
            f"{title}'s file {name} is not here; fetch it and put it into this folder", path=folder
        )
    return path
