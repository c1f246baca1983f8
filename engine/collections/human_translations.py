"""Human translations of a collection's queries, where it has them: what translating queries can reach."""

from __future__ import annotations

from engine.collections.base import Collection
from engine.collections.load import load_collections
from engine.config import CollectionConfig
from engine.errors import InputError
from engine.languages import same_language

#: Collections whose topics are the same questions in every language.
_PARALLEL = ("lareqa", "mlqa-r")
#: Collections that pair every query with its translation.
_PAIRED = ("bitext", "tatoeba")


def human_translations(collection: Collection, config: CollectionConfig, target: str, seed: int) -> list[str]:
    """Return every query of `collection` in the language `target`, as people translated it.

    XQuAD-R and MLQA-R put one question in several languages, so that of the same id is taken. Bitext and
    Tatoeba pair a query with its translation, which is also the document to be found (spelled as the pool
    has it): query and document are then equal, and retrieval fails only where two documents are.

    Parameters
    ----------
    collection : Collection
        One that `config` loads.
    config : CollectionConfig
        Its configuration.
    target : str
        ISO 639 code.
    seed : int
        The run's, with which the collection was loaded.

    Raises
    ------
    InputError
        If the collection has no translations in that language.
    """
    foreign = [query for query in collection.queries if not same_language(query.language, target)]
    if not foreign:
        return [query.text for query in collection.queries]
    if config.name in _PARALLEL:
        known = _questions(collection, config, target, seed)
    elif config.name in _PAIRED and same_language(collection.document_language, target):
        texts = {document.id: document.text for document in collection.documents}
        known = {query.id: texts[next(iter(collection.judgements[query.id]))] for query in foreign}
    else:
        raise InputError(
            f"the collection {collection.name!r} has no human translations of its queries into {target!r}; "
            "give translation.checkpoint a model, or leave the collection out"
        )
    return [known.get(query.id, query.text) for query in collection.queries]


def _questions(collection: Collection, config: CollectionConfig, target: str, seed: int) -> dict[str, str]:
    """Return the same questions as a parallel collection has them in `target`, by the id of the query."""
    plain = config.model_copy(update={"languages": [target], "limit": None, "label": None})
    questions = {
        query.id.partition(":")[2]: query.text
        for loaded in load_collections(plain, seed)
        for query in loaded.queries
    }
    known = {}
    for query in collection.queries:
        topic = query.id.partition(":")[2]
        if not same_language(query.language, target):
            if topic not in questions:
                raise InputError(
                    f"the collection {collection.name!r} has question {topic!r} in {query.language!r} and "
                    f"not in {target!r}, so there is no gold translation of it; leave that language out"
                )
            known[query.id] = questions[topic]
    return known
