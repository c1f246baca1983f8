"""Mewsli-X: find the entity that a mention in the news refers to, among a million descriptions.

The third retrieval task of XTREME-R (Ruder et al. 2021, arXiv 2104.07412). Mentions are from WikiNews in 11
languages. The candidates are entities, each with a description in one of 50 languages that was drawn at
random. One entity is right, so mAP@20 is the mean reciprocal rank within the first 20. The released data
(2022-05-18) is not the data of the paper: scores on it cannot be compared with the paper's table.

The released mentions lack the text of their articles, which ``get-mewsli-x.sh`` of the release restores. A
query is the mention, a colon and the sentence around it; XTREME-R leaves the encoding to the system.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.bitext.files import damage_named, find, numbered_objects
from engine.collections.base import Collection, Document, Query
from engine.collections.build import CollectionFacts, build_collection
from engine.collections.recognition import count_lines
from engine.collections.text_files import language_code_at, text_of
from engine.collections.trec import Judgement
from engine.errors import InputError
from engine.extensions.collections import CollectionReader, FolderLayout
from engine.extensions.published import (
    Counts,
    LanguageFiles,
    PublishedData,
    PublishedFile,
    RecognisedData,
)
from engine.languages import language

if TYPE_CHECKING:
    from engine.config import CollectionConfig

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
    "Mewsli-X 2022-05-18, github.com/google-research/google-research, code Apache 2.0, texts under the terms "
    "of Wikipedia and WikiNews",
)
_NOTES = (
    "mewsli-x: this is the release of 2022-05-18, whose scores cannot be compared with the paper's",
    'mewsli-x: search its million candidates with sentence vectors (scoring = ["dense"]), or fewer of them '
    "(pool_limit): the token vectors of all candidates take tens of gigabytes",
)


class Mention(NamedTuple):
    """A mention with its sentence, the id of its entity, and its line in the file."""

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
    """Read Mewsli-X with one pool of descriptions in all languages, as in XTREME-R.

    Parameters
    ----------
    folder : path
        The folder with the JSON Lines files of the release.
    languages : sequence of str
        Languages of the mentions; empty takes all.
    document_languages : sequence of str
        Languages of the descriptions; empty takes all. Mentions of entities that are described in other
        languages are left out.
    split : {"test", "dev", "wikipedia-dev"}, optional
        The test part of WikiNews (the default), its dev part, or the dev part of English Wikipedia.
    pool_limit : int, optional
        As in `build_collection`.

    Raises
    ------
    InputError
        If a file is missing or broken, the text of the articles was not restored, or an entity is not among
        the candidates.
    """
    chosen = split or "test"
    if chosen not in SPLITS:
        raise InputError(f"Mewsli-X has no split {chosen!r}; it has {', '.join(SPLITS)}")
    path = folder / SPLITS[chosen]
    if not path.is_file():
        bare = path.with_name(path.name.replace("mentions-", "mentions_no_text-"))
        if bare.is_file():
            raise InputError(f"the text of its articles is not restored; {_RESTORE}", path=bare)
        raise InputError(f"{path.name} is missing; {_RESTORE}", path=folder)
    wanted = {language(code).code for code in languages}
    if chosen == "wikipedia-dev":
        read = [mention for mention, _ in read_pairs(path)]
    else:
        read = list(read_mentions(path))
    seen: dict[str, int] = {}
    for mention in read:
        if mention.id in seen:
            raise InputError(
                f"mention {mention.id!r} occurs twice, first in line {seen[mention.id]}; fetch the file "
                "again",
                path=path,
                line=mention.line,
            )
        seen[mention.id] = mention.line
    mentions = [mention for mention in read if not wanted or mention.language in wanted]
    if not mentions:
        raise InputError(
            f"there is no mention in {', '.join(sorted(wanted)) or 'it'}; name other languages", path=path
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
    """Yield the mentions of ``wikinews_mentions-<split>.jsonl``, whose articles' text is restored.

    Raises
    ------
    InputError
        If a line has another format, its text is not restored, or a mention is not at its position.
    """
    for number, record in numbered_objects(path):
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
        If a line has another format, or pairs a mention with the description of another entity.
    """
    for number, record in numbered_objects(path):
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
        If a line has another format, an entity occurs twice, or there is none.
    """
    seen: set[str] = set()
    for number, record in numbered_objects(path):
        document = _entity(record, path, number)
        if document.id in seen:
            raise InputError(
                f"entity {document.id!r} occurs twice; fetch the file again", path=path, line=number
            )
        seen.add(document.id)
        yield document
    if not seen:
        raise InputError("it contains no entity; fetch the file again", path=path)


def _entity(record: dict[str, Any], path: Path, number: int) -> Document:
    name, text, tag = (
        text_of(record, (key,), path, number) for key in ("entity_id", "description", "description_language")
    )
    if not text.strip():
        raise InputError(f"entity {name!r} has an empty description", path=path, line=number)
    return Document(name, text, language_code_at(tag, path, number))


def _mention(context: Any, mention: Any, path: Path, number: int) -> Mention:
    if not isinstance(context, dict) or not isinstance(mention, dict):
        raise InputError("a mention or its context is missing; fetch the file again", path=path, line=number)
    article = text_of(context, ("text",), path, number)
    if not article:
        raise InputError(f"the text of its article is not restored; {_RESTORE}", path=path, line=number)
    name, entity = (text_of(mention, (key,), path, number) for key in ("example_id", "entity_id"))
    span = mention.get("mention_span")
    start, end = _span(span, len(article), path, number)
    surface = text_of(span, ("text",), path, number) if isinstance(span, dict) else ""
    if article[start:end] != surface:
        raise InputError(
            f"mention {name!r} is {surface!r} and its article has {article[start:end]!r} there; restore the "
            "text again",
            path=path,
            line=number,
        )
    sentence = _sentences_around(context.get("sentence_spans"), article, start, end, path, number)
    code = language_code_at(text_of(context, ("language",), path, number), path, number)
    return Mention(name, f"{surface}: {' '.join(sentence.split())}", code, entity, number)


def _sentences_around(spans: Any, article: str, start: int, end: int, path: Path, number: int) -> str:
    """Return the sentences that overlap the mention."""
    if not isinstance(spans, list):
        raise InputError("it has no 'sentence_spans'; fetch the file again", path=path, line=number)
    bounds = [_span(span, len(article), path, number) for span in spans]
    overlapping = [(first, last) for first, last in bounds if first < end and start < last]
    if not overlapping:
        raise InputError("a mention is in no sentence; fetch the file again", path=path, line=number)
    return article[min(first for first, _ in overlapping) : max(last for _, last in overlapping)]


def _span(span: Any, length: int, path: Path, number: int) -> tuple[int, int]:
    bounds = [span.get("start"), span.get("end")] if isinstance(span, dict) else [None, None]
    start, end = (bound if type(bound) is int else -1 for bound in bounds)
    if not 0 <= start < end <= length:
        raise InputError(
            f"{str(bounds)[:60]} is not a start and an end within the {length:,} characters of the text",
            path=path,
            line=number,
        )
    return start, end


def _load(config: CollectionConfig, seed: int) -> list[Collection]:
    folder = find(config.folder)
    return [
        load_mewsli_x(folder, config.languages, config.document_languages, config.split, config.pool_limit)
    ]


# -- data in a folder --------------------------------------------------------------------------------


def _count(folder: Path) -> Counts:
    """Count the candidates, under the code ``all``, and the mentions, by language.

    Articles count with or without their text.

    Raises
    ------
    InputError
        If a file is missing, or is not Mewsli-X's.
    """
    counts: dict[str, dict[str, int]] = {"candidates": {"all": count_lines(folder / CANDIDATES)}}
    for part in ("dev", "test"):
        restored = folder / f"wikinews_mentions-{part}.jsonl"
        file = restored if restored.exists() else folder / f"wikinews_mentions_no_text-{part}.jsonl"
        counts[f"mentions ({part})"] = _count_mentions(file)
    return counts


def _count_mentions(file: Path) -> dict[str, int]:
    counted: Counter[str] = Counter()
    with damage_named(file), file.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                article = json.loads(line)
                counted[str(article["context"]["language"])] += len(article["mentions"])
            except (ValueError, KeyError, TypeError) as error:
                raise InputError("this is not an article of Mewsli-X", path=file, line=number) from error
    return dict(counted)


def _recognise(folder: Path, names: Sequence[str], code: str | None) -> RecognisedData | None:
    if CANDIDATES not in names:
        return None
    mentions = {what: by_code for what, by_code in _count(folder).items() if "all" not in by_code}
    codes = sorted({code for by_code in mentions.values() for code in by_code})
    languages = {
        code: LanguageFiles(list(names), "", {what: found.get(code, 0) for what, found in mentions.items()})
        for code in codes
    }
    return RecognisedData("Mewsli-X", "collection", READER.name, folder, languages, PUBLISHED.name)


# -- the published data ------------------------------------------------------------------------------

_DEV = {
    **{"ar": 318, "de": 326, "en": 316, "es": 311, "fa": 72, "ja": 310, "pl": 304, "ro": 145},
    **{"ta": 312, "tr": 262, "uk": 315},
}
_TEST = {
    **{"ar": 1501, "de": 1551, "en": 1490, "es": 1552, "fa": 458, "ja": 1519, "pl": 1562, "ro": 672},
    **{"ta": 1567, "tr": 1215, "uk": 1537},
}

PUBLISHED = PublishedData(
    "mewsli-x",
    "mewsli-x",
    "Apache 2.0, own texts",
    "github.com/google-research/google-research, dense_representations_for_entity_retrieval/mel",
    (
        PublishedFile(
            "https://storage.googleapis.com/gresearch/mewsli/mewsli-x_20220518_6.zip",
            "",
            size=291_000_000,
            checksum="md5:6d3f137027c7e0146c7aa0b3c21e90f4",
            archive=True,
        ),
    ),
    {"candidates": {"all": 1_003_893}, "mentions (dev)": _DEV, "mentions (test)": _TEST},
    remark="its articles have no text: get-mewsli-x.sh of its repository restores the text from dumps of "
    "WikiNews; the released data is not the data of the paper",
)

READER = CollectionReader(
    name="mewsli-x",
    meaning="Mewsli-X: mentions in news of 11 languages, a million entity descriptions in one pool.",
    load=_load,
    measures={_FACTS.protocol: _FACTS.measures},
    optional_settings=("split", "document_languages", "pool_limit"),
    pool="all",
    published=PUBLISHED,
    layout=FolderLayout(recognise=_recognise, count=_count),
)
