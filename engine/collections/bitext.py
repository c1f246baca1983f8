"""Bitext as a test collection: find the translation of a sentence among all sentences of the other side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from engine.bitext.split import sentence_key
from engine.collections.base import Collection, Document, Query, revision_of
from engine.errors import InputError
from engine.extensions.bitext import SentencePair


def make_bitext_collection(
    name: str,
    pairs: Sequence[SentencePair],
    direction: Literal["xx-en", "en-xx"] = "xx-en",
    distractors: Iterable[str] = (),
    source: str = "",
) -> Collection:
    """Make a collection of sentence pairs whose documents are in one language.

    Each pair gives a query. The pool holds the distinct sentences of the other side, of all pairs together,
    and after them the distractors. Relevant are all translations that the pairs give for the query's text.

    Sentences of the pairs that differ in nothing but case, punctuation, spacing and escaped characters are
    one document, spelled as the first: the files of one catalogue differ so from language to language, and
    a query's translation must not compete with its own double. A distractor that doubles such a document
    is left out; distractors are otherwise distinct by their text alone, and none of them is relevant.

    Parameters
    ----------
    name : str
        Name under which the figures are stored.
    pairs : sequence of SentencePair
        Pairs of any source languages and one target language.
    direction : {"xx-en", "en-xx"}
        "xx-en" queries with the source side, "en-xx" with the target side; for the latter all pairs must
        have one source language.
    distractors : iterable of str
        Further documents, in the documents' language.
    source : str
        Where the pairs come from.

    Returns
    -------
    Collection
        Queries are called ``<language>:<pair>``, documents ``<language>:<number>`` in the pool's order, so
        that more distractors change no number.

    Raises
    ------
    InputError
        When there are no pairs, or the documents would be in several languages.
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
    languages = list(dict.fromkeys(language for *_, language in sides))
    if len(languages) > 1:
        raise InputError(
            f"collection {name!r} would mix documents in {', '.join(languages)}; give each its own collection"
        )
    language = languages[0]
    pool: dict[bytes, str] = {}
    texts: list[str] = []
    relevant: dict[tuple[str, str], dict[str, int]] = {}
    for text, asking, answer, _ in sides:
        key = sentence_key(answer)
        if key not in pool:
            pool[key] = f"{language}:{len(texts)}"
            texts.append(answer)
        relevant.setdefault((asking, text), {})[pool[key]] = 1
    texts += [text for text in dict.fromkeys(distractors) if text and sentence_key(text) not in pool]
    # Queries in English are named by the documents' language too: other collections ask the same.
    topic = "" if forward else f"{language}-"
    ids = _distinct(f"{asking}:{topic}{pair.id}" for (_, asking, *_), pair in zip(sides, pairs, strict=True))
    queries = tuple(
        Query(identifier, text, asking) for identifier, (text, asking, *_) in zip(ids, sides, strict=True)
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
        protocol="bitext",
        direction=direction,
        queries=queries,
        documents=tuple(Document(f"{language}:{place}", text, language) for place, text in enumerate(texts)),
        judgements=judgements,
        measures=("RR", "R@1", "R@10", "Success@1"),
        source=source,
    )


def _distinct(ids: Iterable[str]) -> list[str]:
    """Return `ids` with a number put behind those that came before, as pairs of two files may share names."""
    seen: dict[str, int] = {}
    named = []
    for identifier in ids:
        seen[identifier] = seen.get(identifier, 0) + 1
        named.append(identifier if seen[identifier] == 1 else f"{identifier}#{seen[identifier]}")
    return named
