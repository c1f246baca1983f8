"""Write what a finished run found as files of other programs: TREC runs and judgements, MTEB's results."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from engine.atomic import write_file
from engine.errors import InputError, OpticalError
from engine.evaluation.mteb import results_of
from engine.evaluation.stored_rankings import PoolKey, read_rankings, searched_collections
from engine.results.run_folder import RunFolder, read_part, table_files

#: What is replaced in the names of files.
_UNSAFE = re.compile(r"[^\w.@-]+")


def export_trec(run: RunFolder, folder: Path, tag: str) -> tuple[list[Path], list[str]]:
    """Write each ranking of a run as a TREC run, and the judgements of its collections.

    trec_eval orders a run by its scores, in 32 bits, and equal ones by document id. So a score that does not
    fall from one rank to the next is lowered to the next 32-bit number, and trec_eval measures what was
    stored here. Judgements are written if the collection is available.

    Parameters
    ----------
    run : RunFolder
    folder : Path
        The folder of the files, which is made; files of the same names are replaced.
    tag : str
        The last column, the name of the system.

    Returns
    -------
    files : list of Path
    problems : list of str
        A sentence for each collection whose judgements cannot be written.

    Raises
    ------
    InputError
        If the run has no rankings, or an id contains white space.
    OpticalError
        If a file cannot be written.
    """
    scorings = sorted(set(_column(run, "rankings", "scoring")) | set(_column(run, "scores", "scoring")))
    word = _UNSAFE.sub("-", tag).strip("-") or run.id
    stored = [read_rankings(run, scoring) for scoring in scorings]
    names = _names(dict.fromkeys(pool for each in stored for pool, depth in each.pools.items() if depth))
    if not names:
        raise InputError(f"run {run.id!r} has stored no rankings", path=run.path)
    written: list[Path] = []
    while stored:  # so that rankings that are written do not stay in memory
        each = stored.pop(0)
        for pool, depth in each.pools.items():
            if depth:
                lines = "\n".join(_lines(each.rows(pool), word, pool.collection))
                name = f"{names[pool]}.{_safe(each.scoring)}.trec"
                written.append(_write(folder, name, lines + "\n"))
    try:
        known = searched_collections(run)
    except OpticalError as error:
        return written, [f"judgements are left out: {error}"]
    problems = []
    for pool, name in names.items():
        if pool not in known:
            problems.append(
                f"judgements of {pool.collection} are left out: its data is not that of revision "
                f"{pool.revision}"
            )
            continue
        lines = "\n".join(
            f"{_word(query, pool.collection)} 0 {_word(document, pool.collection)} {grade}"
            for query, grades in known[pool][0].judgements.items()
            for document, grade in grades.items()
        )
        written.append(_write(folder, f"{name}.qrels", lines + "\n"))
    return written, problems


def export_mteb(run: RunFolder, folder: Path) -> list[Path]:
    """Write the scores of a run as results of MTEB, a file for each task and scoring.

    Raises
    ------
    InputError
        If the run has no score that MTEB has a name for.
    OpticalError
        If a file cannot be written.
    """
    rows = [row for file in table_files(run.path, "scores") for row in read_part(file).to_pylist()]
    scorings = list(dict.fromkeys(row["scoring"] for row in rows))
    written = []
    for scoring in scorings:
        files = results_of([row for row in rows if row["scoring"] == scoring], _seconds(run))
        names = _distinct([_safe(name.removesuffix(".json")) for name in files])
        for name, content in zip(names, files.values(), strict=True):
            place = folder if len(scorings) == 1 else folder / _UNSAFE.sub("-", scoring)
            text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
            written.append(_write(place, f"{name}.json", text))
    if not written:
        raise InputError(
            f"run {run.id!r} has no score that MTEB has a name for, such as nDCG@10", path=run.path
        )
    return written


def _lines(table: pa.Table, tag: str, collection: str) -> Iterator[str]:
    ordered = table.sort_by([("query_id", "ascending"), ("rank", "ascending")])
    last, query_before = np.float32(np.inf), None
    for query, document, rank, value in zip(
        *(ordered[name].to_pylist() for name in ("query_id", "document_id", "rank", "score")), strict=True
    ):
        score = np.float32(value)
        if query == query_before and not score < last:
            score = np.nextafter(last, np.float32(-np.inf))
        last, query_before = score, query
        names = _word(query, collection), _word(document, collection)
        yield f"{names[0]} Q0 {names[1]} {rank} {float(score):.9g} {tag}"


def _word(identity: str, collection: str) -> str:
    if not identity or any(char.isspace() for char in identity):
        raise InputError(
            f"the id {identity!r} in the collection {collection!r} has white space, which TREC's files "
            "cannot hold; use `export rankings FILE.csv`"
        )
    return identity


def _column(run: RunFolder, table: str, name: str) -> list[str]:
    return [
        str(value)
        for file in table_files(run.path, table)
        for value in read_part(file, [name])[name].unique().to_pylist()
    ]


def _seconds(run: RunFolder) -> float:
    started, ended = run.record["started"], run.record["ended"]
    if not started or not ended:
        return 0.0
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(started)).total_seconds()


def _names(pools: Iterable[PoolKey]) -> dict[PoolKey, str]:
    """Return the beginning of the names of each pool's files: its collection and direction.

    Several pools may have the same, as those of the languages of Tatoeba; then their revisions follow.
    """
    short = {pool: f"{_safe(pool.collection)}.{_safe(pool.direction)}" for pool in pools}
    count = Counter(short.values())
    named = [name if count[name] == 1 else f"{name}.{_safe(pool.revision)}" for pool, name in short.items()]
    return dict(zip(short, _distinct(named), strict=True))


def _distinct(names: Sequence[str]) -> list[str]:
    """Return `names` with a number behind each that is there before."""
    found: dict[str, None] = {}
    for name in names:
        number = itertools.count(2)
        own = name
        while own in found:
            own = f"{name}.{next(number)}"
        found[own] = None
    return list(found)


def _safe(name: str) -> str:
    return _UNSAFE.sub("-", name).strip("-.") or "x"


def _write(folder: Path, name: str, text: str) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OpticalError(f"{folder}: the folder cannot be made: {error.strerror}") from error
    path = folder / name
    write_file(path, text.encode())
    return path
