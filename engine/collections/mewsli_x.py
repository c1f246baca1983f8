"""Mewsli-X: find the entity that a mention in the news means among a million descriptions.

XTREME-R's third retrieval task (Ruder et al. 2021, arXiv 2104.07412). Mentions are from WikiNews in 11
languages, candidates are entities with a description in one of 50 languages, drawn at random for each; one
entity is right, so mAP@20 is the mean reciprocal rank among the first 20. The data that was released
(2022-05-18) is not the paper's: figures on it do not compare with the paper's table.

The released mentions lack their articles' text, which ``get-mewsli-x.sh`` of the release puts back. A query
is the mention, a colon and the sentence around it, as XTREME-R leaves the encoding to the system.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from engine.collections.base import Collection, Document, Query
from engine.collections.build import CollectionFacts, build_collection
from engine.collections.text_files import read_objects, text_of
from engine.collections.trec import Judgement
from engine.errors import InputError
from engine.languages import language

CANDIDATES = "candidate_set_entities.jsonl"
SPLITS = {
    "test": "wikinews_mentions-test.jsonl",
    "dev": "wikinews_mentions-dev.jsonl",
    "wikipedia-dev": "wikipedia_pairs-dev.jsonl",
}
_RESTORE = (
    "run get-mewsli-x.sh of github.com/google-research/google-research "
    "(dense_representations_for_entity_retrieval/mel) and use the files it writes"
)
_FACTS = CollectionFacts(
    "mewsli-x",
    "xtreme-r",
    "xx-xx",
    ("mAP@20", "R@100"),
    "Mewsli-X 2022-05-18, github.com/google-research/google-research, code Apache 2.0, texts by the terms of "
    "Wikipedia and WikiNews",
)
_NOTES = (
    "mewsli-x: this is the release of 2022-05-18, whose figures do not compare with the paper's",
    'mewsli-x: search its million candidates by sentence vectors (scoring = ["dense"]), or fewer of them '
    "(pool_limit): token vectors of all take tens of gigabytes",
)


class Mention(NamedTuple):
    """A mention in its sentence, the entity it means, and its place in the file."""

    id: str
    text: str
    language: str
    entity: str
    line: int


def load_mewsli_x(
    folder: Path,
    languages: Sequence[str] = (),
    document_languages: Sequence[str] = (),
    split: str | None = None,
    pool_limit: int | None = None,
) -> Collection:
    """Read Mewsli-X: one pool of descriptions in all languages, as XTREME-R has it.

    Parameters
    ----------
    folder : path
        The folder of the release's JSON Lines files.
    languages : sequence of str
        Languages of the mentions; none takes all.
    document_languages : sequence of str
        Languages of the descriptions; none takes all. Mentions of entities described in others go too.
    split : {"test", "dev", "wikipedia-dev"}, optional
        WikiNews's test (none takes it) or dev part, or the dev part of the English Wikipedia mentions.
    pool_limit : int, optional
        As in `build_collection`.

    Raises
    ------
    InputError
        If a file is missing or broken, its articles' text was not restored, or an entity is no candidate.
    """
    chosen = split or "test"
    if chosen not in SPLITS:
        raise InputError(f"Mewsli-X has no split {chosen!r}; it has {', '.join(SPLITS)}")
    path = folder / SPLITS[chosen]
    if not path.is_file():
        bare = path.with_name(path.name.replace("mentions-", "mentions_no_text-"))
        if bare.is_file():
            raise InputError(f"its articles' text is not restored; {_RESTORE}", path=bare)
        raise InputError(f"{path.name} is not here; {_RESTORE}", path=folder)
    asked = {language(code).code for code in languages}
    if chosen == "wikipedia-dev":
        read = [mention for mention, _ in read_pairs(path)]
    else:
        read = list(read_mentions(path))
    seen: dict[str, int] = {}
    for mention in read:
        if mention.id in seen:
            raise InputError(
                f"mention {mention.id!r} comes twice, first in line {seen[mention.id]}; fetch the file again",
                path=path,
                line=mention.line,
            )
        seen[mention.id] = mention.line
    mentions = [mention for mention in read if not asked or mention.language in asked]
    if not mentions:
        raise InputError(
            f"there is no mention in {', '.join(sorted(asked)) or 'it'}; name other languages", path=path
        )
    documents = list(read_candidates(folder / CANDIDATES))
    if described := {language(code).code for code in document_languages}:
        other = {document.id for document in documents if document.language not in described}
        documents = [document for document in documents if document.id not in other]
        mentions = [mention for mention in mentions if mention.entity not in other]
    queries = [
        Query(f"{mention.language}:{mention.id}", mention.text, mention.language) for mention in mentions
    ]
    gold = {
        query.id: [Judgement(mention.id, mention.entity, 1, path, mention.line)]
        for query, mention in zip(queries, mentions, strict=True)
    }
    return build_collection(
        _FACTS,
        queries,
        gold,
        documents,
        pool_limit=pool_limit,
        notes=_NOTES if pool_limit is None else _NOTES[:1],
    )


def read_mentions(path: Path) -> Iterator[Mention]:
    """Yield the mentions of ``wikinews_mentions-<split>.jsonl``, articles' text restored.

    Raises
    ------
    InputError
        If a line is not of this shape, its text is not restored, or a mention is not where it says.
    """
    for number, record in read_objects(path):
        mentions = record.get("mentions")
        if not isinstance(mentions, list) or not mentions:
            raise InputError("it has no 'mentions'; fetch the file again", path=path, line=number)
        for mention in mentions:
            yield _mention(record.get("context"), mention, path, number)


def read_pairs(path: Path) -> Iterator[tuple[Mention, Document]]:
    """Yield the pairs of ``wikipedia_pairs-<split>.jsonl``: a mention and the description of its entity.

    Raises
    ------
    InputError
        If a line is not of this shape, or pairs a mention with another entity's description.
    """
    for number, record in read_objects(path):
        pair = record.get("contextual_mention")
        if not isinstance(pair, dict) or not isinstance(record.get("entity"), dict):
            raise InputError(
                "it has no 'contextual_mention' and 'entity'; fetch the file again", path=path, line=number
            )
        mention = _mention(pair.get("context"), pair.get("mention"), path, number)
        entity = _entity(record["entity"], path, number)
        if mention.entity != entity.id:
            raise InputError(
                f"the mention is of {mention.entity!r} and the description of {entity.id!r}",
                path=path,
                line=number,
            )
        yield mention, entity


def read_candidates(path: Path) -> Iterator[Document]:
    """Yield the entities of ``candidate_set_entities.jsonl``; a document's text is the description.

    Raises
    ------
    InputError
        If a line is not of this shape, an entity comes twice, or there is none.
    """
    seen: set[str] = set()
    for number, record in read_objects(path):
        document = _entity(record, path, number)
        if document.id in seen:
            raise InputError(
                f"entity {document.id!r} comes twice; fetch the file again", path=path, line=number
            )
        seen.add(document.id)
        yield document
    if not seen:
        raise InputError("it holds no entity; fetch the file again", path=path)


def _entity(record: dict[str, Any], path: Path, number: int) -> Document:
    name, text, spoken = (
        text_of(record, (key,), path, number) for key in ("entity_id", "description", "description_language")
    )
    if not text.strip():
        raise InputError(f"entity {name!r} has an empty description", path=path, line=number)
    return Document(name, text, _language(spoken, path, number))


def _mention(context: Any, mention: Any, path: Path, number: int) -> Mention:
    if not isinstance(context, dict) or not isinstance(mention, dict):
        raise InputError("it lacks a mention or its context; fetch the file again", path=path, line=number)
    article = text_of(context, ("text",), path, number)
    if not article:
        raise InputError(f"its article's text is not restored; {_RESTORE}", path=path, line=number)
    name, entity = (text_of(mention, (key,), path, number) for key in ("example_id", "entity_id"))
    span = mention.get("mention_span")
    start, end = _span(span, len(article), path, number)
    surface = text_of(span, ("text",), path, number) if isinstance(span, dict) else ""
    if article[start:end] != surface:
        raise InputError(
            f"mention {name!r} is {surface!r} and its article has {article[start:end]!r} there; restore the "
            "text anew",
            path=path,
            line=number,
        )
    sentence = _around(context.get("sentence_spans"), article, start, end, path, number)
    spoken = _language(text_of(context, ("language",), path, number), path, number)
    return Mention(name, f"{surface}: {' '.join(sentence.split())}", spoken, entity, number)


def _around(spans: Any, article: str, start: int, end: int, path: Path, number: int) -> str:
    """Return the sentences that the mention touches."""
    if not isinstance(spans, list):
        raise InputError("it has no 'sentence_spans'; fetch the file again", path=path, line=number)
    bounds = [_span(span, len(article), path, number) for span in spans]
    touched = [(first, last) for first, last in bounds if first < end and start < last]
    if not touched:
        raise InputError("a mention is in no sentence; fetch the file again", path=path, line=number)
    return article[min(first for first, _ in touched) : max(last for _, last in touched)]


def _span(span: Any, length: int, path: Path, number: int) -> tuple[int, int]:
    bounds = [span.get("start"), span.get("end")] if isinstance(span, dict) else [None, None]
    start, end = (bound if type(bound) is int else -1 for bound in bounds)
    if not 0 <= start < end <= length:
        raise InputError(
            f"{str(bounds)[:60]} is no start and end within the text's {length:,} characters",
            path=path,
            line=number,
        )
    return start, end


def _language(spoken: str, path: Path, number: int) -> str:
    try:
        return language(spoken).code
    except InputError as error:
        raise InputError(str(error), path=path, line=number) from error
