"""A run that stores the rankings or scores of another program."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engine.bitext.files import find
from engine.collections.base import Collection
from engine.collections.build import published_id
from engine.collections.load import load_collections
from engine.collections.trec import Retrieved, read_ranking
from engine.config.imported import ImportConfig
from engine.counted import counted
from engine.errors import InputError
from engine.evaluation.mteb import read_results
from engine.evaluation.runner import announce, store_scores, stored_searches
from engine.evaluation.scores import Scores, score_found
from engine.reporting import Reporter
from engine.results.run_folder import RunFolder
from engine.retrieval.fusion import Scored
from engine.retrieval.scorings.rankings import IMPORTED
from engine.runs.fuse import as_found

#: Measures look at so many ranks, or more where a ranking has more; what it does not list is not found.
_DEEPEST = 1000
#: Of so many ids the first are named in messages.
_NAMED = 3


def import_run(config: ImportConfig, run: RunFolder, reporter: Reporter) -> list[Scores]:
    """Read the rankings, score them with the judgements of their collections, and store both.

    Scores of MTEB's results are stored as they are; the scores of rankings are returned.

    Raises
    ------
    OpticalError, KeyboardInterrupt
        As `engine.runs.execute.execute`.
    """
    run.update(device="cpu")
    ranked: list[tuple[Collection, Scored]] = []
    for entry in config.collections:
        files = [
            find(one.path) for one in config.rankings if one.collection in (None, entry.label or entry.name)
        ]
        collections = load_collections(entry, config.seed)
        if len(collections) > 1:
            names = ", ".join(collection.query_languages[0] for collection in collections)
            raise InputError(
                f"the collection {entry.label or entry.name!r} has a pool for each language ({names}), and a "
                "ranking belongs to one pool; give an entry of [[collections]] with a label for each language"
            )
        collection, scored = _matched(collections[0], files)
        ranked.append((collection, scored))
    depths = [max(_DEEPEST, int(scored.ranks.max())) for _, scored in ranked]
    if ranked:
        announce([collection for collection, _ in ranked], min(depths), run, reporter)
    done = stored_searches(run) if ranked else 0
    results = []
    for (collection, scored), depth in list(zip(ranked, depths, strict=True))[done:]:
        reporter.stage(f"{collection.name}: measures", 1)
        scores = score_found(collection, as_found(scored, collection, depth), scoring=IMPORTED.name)
        reporter.advance()
        results.append(scores)
        store_scores(scores, run)
    rows = [row for path in config.mteb for row in read_results(find(path))]
    if rows:
        run.write_table("scores", rows, append=bool(ranked))
        tasks = sorted({str(row["collection"]) for row in rows})
        reporter.say(f"{counted(len(rows), 'score')} of {', '.join(tasks)}, without scores of single queries")
    return results


def check_ranking(path: str) -> None:
    """Read a TREC run.

    Raises
    ------
    InputError
        As `engine.collections.trec.read_ranking`.
    """
    read_ranking(find(path))


def check_mteb(path: str) -> None:
    """Read a file of MTEB's results.

    Raises
    ------
    InputError
        As `engine.evaluation.mteb.read_results`.
    """
    read_results(find(path))


def _matched(collection: Collection, files: Sequence[Path]) -> tuple[Collection, Scored]:
    """Return the rankings in `files` with indices in `collection`, and the collection with notes about them.

    An id is that of the collection or, where that is unique, the one that it was published with, without its
    language.

    Raises
    ------
    InputError
        If no topic is in the collection, or a document is not.
    """
    queries = _places([query.id for query in collection.queries])
    documents = _places([document.id for document in collection.documents])
    ignored = {
        (queries[query], documents[document])
        for query, found in collection.ignored.items()
        for document in found
    }
    rows: dict[tuple[int, int], tuple[float, str]] = {}
    unknown: dict[str, None] = {}
    for path in files:
        for found in read_ranking(path):
            query = queries.get(found.topic)
            if query is None:
                unknown[found.topic] = None
                continue
            document = documents.get(found.document)
            if document is None:
                raise InputError(
                    f"document {found.document!r} is not in the collection {collection.name!r}; check that "
                    "the ranking and the collection belong together",
                    path=path,
                    line=found.line,
                )
            if (query, document) in rows:
                raise InputError(
                    f"document {found.document!r} is found for topic {found.topic!r} in another file too; "
                    "give each topic in one file",
                    path=path,
                    line=found.line,
                )
            if (query, document) not in ignored:
                rows[query, document] = _score32(found), found.document
    if not rows:
        raise InputError(
            f"no topic of the ranking is a judged query of the collection {collection.name!r}"
            f"{_some(list(unknown))}; check that they belong together",
            path=files[0],
        )
    # trec_eval's order: falling 32-bit scores, equal ones by falling ids
    order = sorted(rows, key=lambda key: (key[0], rows[key][0], rows[key][1]), reverse=True)
    asked = np.array([query for query, _ in order], dtype=np.int64)
    first = np.searchsorted(-asked, -asked, side="left")
    scored = Scored(
        asked,
        np.array([document for _, document in order], dtype=np.int64),
        np.arange(len(order)) - first + 1,
        np.array([rows[key][0] for key in order]),
    )
    notes = []
    if unknown:
        notes.append(
            f"{collection.name}: "
            + counted(
                len(unknown),
                "topic of the ranking is not judged and left out",
                "topics of the ranking are not judged and left out",
            )
            + _some(list(unknown))
        )
    if missing := len(collection.queries) - len(set(asked.tolist())):
        absent = counted(
            missing,
            "judged query is not in the ranking and scores 0",
            "judged queries are not in the ranking and score 0",
        )
        notes.append(f"{collection.name}: {absent}")
    return collection.with_notes(notes), scored


def _score32(found: Retrieved) -> float:
    """Return a score as trec_eval holds it."""
    return float(np.float32(found.score))


def _places(ids: Sequence[str]) -> dict[str, int]:
    """Return the place of each id, by the id and, where it is unique, by the published id."""
    published: dict[str, list[int]] = {}
    for place, identity in enumerate(ids):
        published.setdefault(published_id(identity), []).append(place)
    short = {name: places[0] for name, places in published.items() if name and len(places) == 1}
    return {**short, **{identity: place for place, identity in enumerate(ids)}}


def _some(names: Sequence[str]) -> str:
    if not names:
        return ""
    return f" ({', '.join(map(repr, names[:_NAMED]))}{', …' if len(names) > _NAMED else ''})"
