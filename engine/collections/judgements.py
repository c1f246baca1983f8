"""Ids of queries and documents alone, from a file of judgements, for rankings that are imported.

There are no texts, so such a collection can be scored, compared and fused, but not encoded or re-ranked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from engine.bitext.files import find
from engine.collections.base import Collection, Direction, Document, Query, contents_revision
from engine.collections.folder import MEASURES
from engine.collections.trec import read_judgements, read_ranking
from engine.config.base import Settings
from engine.extensions.collections import CollectionReader
from engine.languages import language, looks_like_language

if TYPE_CHECKING:
    from engine.config import CollectionConfig

#: Language of queries whose ids do not begin with one, if none is given.
_UNKNOWN = "und"


class JudgementsSettings(Settings):
    """Settings that only a file of judgements has."""

    rankings: list[str] = Field(default_factory=list)
    """TREC run files whose documents are in the pool besides the judged ones. Runs are fused and compared
    only if their pools are the same, so give all of them the same files."""


def load_judgements(
    path: str, rankings: list[str], query_language: str = "", document_language: str = ""
) -> Collection:
    """Read a file of judgements as a collection without texts.

    Parameters
    ----------
    path : str
        The judgements, as `engine.collections.trec.read_judgements` reads them.
    rankings : list of str
        TREC run files whose documents are in the pool.
    query_language, document_language : str
        Codes of languages. An id of the form ``sw:12`` keeps its own language; without a code, others are
        undetermined (``und``).

    Raises
    ------
    InputError
        If a file is missing or broken, or a language is unknown.
    """
    file = find(path)
    judged = read_judgements(file)
    asked = language(query_language).code if query_language else _UNKNOWN
    of_documents = language(document_language).code if document_language else _UNKNOWN
    grades: dict[str, dict[str, int]] = {}
    languages: dict[str, str] = {}
    for judgement in judged:
        identity, code = _query(judgement.topic, asked)
        languages[identity] = code
        grades.setdefault(identity, {})[judgement.document] = judgement.grade
    documents = dict.fromkeys(judgement.document for judgement in judged)
    for ranking in rankings:
        documents |= dict.fromkeys(found.document for found in read_ranking(find(ranking)))
    queries = tuple(Query(identity, "", code) for identity, code in languages.items())
    pool = tuple(Document(identity, "", of_documents) for identity in documents)
    directions: dict[tuple[bool, bool], Direction] = {(True, False): "en-xx", (False, True): "xx-en"}
    english = ({"en"} == set(languages.values()), of_documents == "en")
    return Collection(
        name="judgements",
        revision=contents_revision(queries, pool, grades),
        protocol="trec",
        direction=directions.get(english, "xx-xx"),
        queries=queries,
        documents=pool,
        judgements=grades,
        measures=MEASURES,
        source=f"judgements {file.name}",
    )


def _query(topic: str, asked: str) -> tuple[str, str]:
    """Return the id of a topic, which begins with its language, and its language."""
    prefix, colon, _ = topic.partition(":")
    if colon and looks_like_language(prefix):
        return topic, language(prefix).code
    return f"{asked}:{topic}", asked


def _load(config: CollectionConfig, seed: int) -> list[Collection]:
    settings = config.own_settings
    assert isinstance(settings, JudgementsSettings) and config.path is not None
    codes, of_documents = config.languages, config.document_languages
    return [load_judgements(config.path, settings.rankings, *(codes or [""]), *(of_documents or [""]))]


def _check(config: CollectionConfig) -> None:
    if config.path is None:
        raise ValueError("collections.path is missing: the file of judgements")
    for name in ("languages", "document_languages"):
        if len(getattr(config, name)) > 1:
            raise ValueError(f"collections.{name} of a file of judgements is one language; leave out others")


READER = CollectionReader(
    name="judgements",
    meaning="Ids of queries and documents in a file of judgements, without texts, for imported rankings.",
    load=_load,
    measures={"trec": MEASURES},
    optional_settings=("document_languages",),
    settings=JudgementsSettings,
    check=_check,
    pool="all",
)
