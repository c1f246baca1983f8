"""Human translations of a collection's queries: the upper bound for translating queries by a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.collections.base import Collection
from engine.collections.load import load_collections
from engine.errors import InputError
from engine.languages import same_language

if TYPE_CHECKING:
    from engine.config import CollectionConfig


def human_translations(collection: Collection, config: CollectionConfig, target: str, seed: int) -> list[str]:
    """Return every query of `collection` in the language `target`, as people translated it.

    Where the topics are the same questions in several languages, the translation is the query of the same
    topic, or the one that its file gives. Where each query has a sentence pair, the translation is also the
    document to find, as the pool spells it: query and document are then equal, and retrieval fails only where
    two documents are equal.

    Parameters
    ----------
    collection : Collection
        One of the collections that `config` loads.
    config : CollectionConfig
        Its settings.
    target : str
        ISO 639 code.
    seed : int
        Seed of the run, with which the collection was loaded.

    Raises
    ------
    InputError
        If the collection has no translations into that language.
    """
    foreign = [query for query in collection.queries if not same_language(query.language, target)]
    if not foreign:
        return [query.text for query in collection.queries]
    source = config.reader.translations
    if source == "topics":
        known = _same_topics(collection, config, target, seed)
    elif source == "documents" and same_language(collection.document_language, target):
        texts = {document.id: document.text for document in collection.documents}
        known = {query.id: texts[next(iter(collection.judgements[query.id]))] for query in foreign}
    elif source == "queries" and same_language(collection.document_language, target):
        known = {query.id: query.translation for query in foreign}
    else:
        raise InputError(
            f"the collection {collection.name!r} has no human translations of its queries into {target!r}; "
            "give translation.checkpoint a model, or leave the collection out"
        )
    return [known.get(query.id, query.text) for query in collection.queries]


def _same_topics(collection: Collection, config: CollectionConfig, target: str, seed: int) -> dict[str, str]:
    """Return the queries of the same topics in `target`, by the id of the foreign query."""
    plain = config.model_copy(update={"languages": [target], "limit": None, "first": None, "label": None})
    translations = {
        query.id.partition(":")[2]: query.text
        for loaded in load_collections(plain, seed)
        for query in loaded.queries
    }
    known = {}
    for query in collection.queries:
        topic = query.id.partition(":")[2]
        if not same_language(query.language, target):
            if topic not in translations:
                raise InputError(
                    f"the collection {collection.name!r} has query {topic!r} in {query.language!r} but not "
                    f"in {target!r}, so it has no human translation; leave that language out"
                )
            known[query.id] = translations[topic]
    return known
