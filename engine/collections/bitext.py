"""Bitext as a test collection: find the translation of a sentence among all sentences of the other side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from engine.bitext.files import find
from engine.bitext.reader import normalise
from engine.bitext.split import sentence_key
from engine.collections.base import Collection, Document, Query, revision_of
from engine.collections.tatoeba import english_sentences, read_lines
from engine.errors import InputError
from engine.extensions.bitext import SentencePair
from engine.extensions.collections import CollectionReader
from engine.languages import language, same_language

if TYPE_CHECKING:
    from engine.config import CollectionConfig

_PROTOCOL = "bitext"
_MEASURES = ("RR", "R@1", "R@10", "Success@1")


def make_bitext_collection(
    name: str,
    pairs: Sequence[SentencePair],
    direction: Literal["xx-en", "en-xx"] = "xx-en",
    distractors: Iterable[str] = (),
    source: str = "",
) -> Collection:
    """Make a collection of sentence pairs whose documents are in one language.

    Each pair gives a query. The pool consists of the distinct sentences of the other side of all pairs,
    followed by the distractors. All translations that the pairs give for the text of a query are relevant.

    Sentences of the pairs that differ only in case, punctuation, spacing and escaped characters are one
    document, spelled as the first of them. The files of one software catalogue differ so between languages,
    and the translation of a query must not compete with a copy of itself. A distractor that equals such a
    document is left out. Distractors are otherwise distinct by their text; none of them is relevant.

    Parameters
    ----------
    name : str
        Name under which the scores are stored.
    pairs : sequence of SentencePair
        Pairs with any source languages and one target language.
    direction : {"xx-en", "en-xx"}
        "xx-en" takes the source side as queries, "en-xx" the target side; for the latter all pairs must
        have the same source language.
    distractors : iterable of str
        Further documents, in the language of the documents.
    source : str
        Where the pairs come from.

    Returns
    -------
    Collection
        The ids of queries are ``<language>:<pair>``, those of documents ``<language>:<number>`` in the order
        of the pool, so further distractors change no id.

    Raises
    ------
    InputError
        If there are no pairs, or the documents are in several languages.
    """
    if not pairs:
        raise InputError(f"collection {name!r} has no sentence pair; check its [[bitext]] sources")
    forward = direction == "xx-en"
    sides = [
        (pair.source, pair.source_language, pair.target, pair.target_language)
        if forward
        else (pair.target, pair.target_language, pair.source, pair.source_language)
        for pair in pairs
    ]
    languages = list(dict.fromkeys(code for *_, code in sides))
    if len(languages) > 1:
        raise InputError(
            f"collection {name!r} would mix documents in {', '.join(languages)}; give each language a "
            "collection of its own"
        )
    document_language = languages[0]
    pool: dict[bytes, str] = {}
    texts: list[str] = []
    relevant: dict[tuple[str, str], dict[str, int]] = {}
    for text, query_language, translation, _ in sides:
        key = sentence_key(translation)
        if key not in pool:
            pool[key] = f"{document_language}:{len(texts)}"
            texts.append(translation)
        relevant.setdefault((query_language, text), {})[pool[key]] = 1
    texts += [text for text in dict.fromkeys(distractors) if text and sentence_key(text) not in pool]
    # The ids of English queries contain the language of the documents, because other collections have the
    # same queries.
    prefix = "" if forward else f"{document_language}-"
    ids = _distinct(f"{code}:{prefix}{pair.id}" for (_, code, *_), pair in zip(sides, pairs, strict=True))
    # Queries whose translation is the same sentence depend on each other, as those of one document.
    queries = tuple(
        Query(identifier, text, code, group=pair.document or sentence_key(pair.target).hex()[:12])
        for identifier, (text, code, *_), pair in zip(ids, sides, pairs, strict=True)
    )
    judgements = {query.id: relevant[query.language, query.text] for query in queries}
    return Collection(
        name=name,
        revision=revision_of(
            [
                *(
                    f"{query.id}\t{query.text}\t{' '.join(judgements[query.id])}".encode()
                    for query in queries
                ),
                *(text.encode() for text in texts),
            ]
        ),
        protocol=_PROTOCOL,
        direction=direction,
        queries=queries,
        documents=tuple(
            Document(f"{document_language}:{place}", text, document_language)
            for place, text in enumerate(texts)
        ),
        judgements=judgements,
        measures=_MEASURES,
        source=source,
    )


def _distinct(ids: Iterable[str]) -> list[str]:
    """Return `ids` with a number added to repeated ones, because the pairs of two files may share ids."""
    seen: dict[str, int] = {}
    named = []
    for identifier in ids:
        seen[identifier] = seen.get(identifier, 0) + 1
        named.append(identifier if seen[identifier] == 1 else f"{identifier}#{seen[identifier]}")
    return named


def _load(config: CollectionConfig, seed: int) -> list[Collection]:
    from engine.bitext.source import read_source  # needs pyarrow, and a list of collections does not

    wanted = {language(code) for code in config.languages}
    sources = [source for source in config.bitext if not wanted or language(source.language) in wanted]
    if missing := wanted - {language(source.language) for source in sources}:
        names = ", ".join(sorted(entry.code for entry in missing))
        raise InputError(
            f"the collection has no [[bitext]] source in {names}; add one or leave the language out"
        )
    pairs: dict[str, list[SentencePair]] = {source.language: [] for source in sources}
    for source in sources:
        pairs[source.language] += read_source(source, seed)
    paths = ", ".join(dict.fromkeys(source.path for source in sources))
    collections = []
    if "xx-en" in config.directions:
        everything = [pair for some in pairs.values() for pair in some]
        distractors = _distractors(config, everything[0].target_language, seed)
        collections.append(make_bitext_collection(READER.name, everything, "xx-en", distractors, paths))
        if config.upper_line:
            first = pairs[sources[0].language]
            itself = [
                replace(pair, source=pair.target, source_language=pair.target_language) for pair in first
            ]
            pool = [document.text for document in collections[0].documents]
            collections.append(
                make_bitext_collection(f"{READER.name}-upper-line", itself, "xx-en", pool, paths)
            )
    if "en-xx" in config.directions:
        collections += [
            make_bitext_collection(READER.name, some, "en-xx", (), paths) for some in pairs.values()
        ]
    return collections


def _distractors(config: CollectionConfig, document_language: str, seed: int) -> list[str]:
    """Return the sentences to add to the English pool: of bitext first, then of Tatoeba and files."""
    from engine.bitext.source import read_source

    sentences: list[str] = []
    for source in config.distractor_bitext:
        if not same_language(source.target_language, document_language):
            raise InputError(
                f"the distractors are in {source.target_language!r} and the documents in "
                f"{document_language!r}",
                path=source.path,
            )
        sentences += [pair.target for pair in read_source(source, seed)]
    for name in config.distractors:
        place = find(name)
        sentences += english_sentences(place) if place.is_dir() else read_lines(place)
    return [normalise(sentence) for sentence in sentences]


def _check(config: CollectionConfig) -> None:
    if not config.bitext:
        raise ValueError("a bitext collection needs at least one [[bitext]] source")


READER = CollectionReader(
    name="bitext",
    meaning="Bitext retrieval: find the translation of a sentence among the sentences of [[bitext]] sources.",
    load=_load,
    measures={_PROTOCOL: _MEASURES},
    optional_settings=("mining",),
    check=_check,
    symmetric=True,
    translations="documents",
)
