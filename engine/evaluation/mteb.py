"""Scores in the files of MTEB's results: reading them, and writing a run's."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from engine.errors import InputError
from engine.languages import language, looks_like_language, lookup
from engine.results.published import mteb_tasks, published_keys

#: Names of MTEB's scores at a cutoff, and what ir-measures calls them.
_AT = {"ndcg": "nDCG", "map": "AP", "recall": "R", "precision": "P", "mrr": "RR", "hit_rate": "Success"}
#: Scores without a cutoff. MTEB's accuracy of mining is the share of queries whose first is right.
_WHOLE = {"f1": "F1", "accuracy": "Success@1", "map": "AP", "mrr": "RR"}


def measure_of(name: str) -> str | None:
    """Return the measure that MTEB calls `name`, such as ``ndcg_at_10``; None if it has no counterpart."""
    if name in _WHOLE:
        return _WHOLE[name]
    found = re.fullmatch(r"([a-z_]+)_at_([0-9]+)", name)
    return None if found is None or found[1] not in _AT else f"{_AT[found[1]]}@{found[2]}"


def name_of(measure: str) -> str | None:
    """Return what MTEB calls a measure; None if it has no name for it."""
    kind, at, cutoff = measure.partition("@")
    if measure == "Success@1":
        return "accuracy"
    names = {theirs: name for name, theirs in (_AT if at else _WHOLE).items()}
    if kind not in names:
        return None
    return f"{names[kind]}_at_{cutoff}" if at else names[kind]


def read_results(path: Path) -> list[dict[str, Any]]:
    """Return the rows of table ``scores`` in a file of MTEB's results.

    Tasks that a collection here has (`engine.results.published`) get its name, protocol and languages. Others
    keep their own name and pair of languages, and the protocol ``mteb``.

    Raises
    ------
    InputError
        If it is no such file.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
        task, revision = str(content["task_name"]), str(content["dataset_revision"])
        splits = {str(split): list(entries) for split, entries in content["scores"].items()}
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or f"it is not valid JSON ({error})"
        raise InputError(f"it cannot be read as a result of MTEB: {reason}", path=path) from error
    except (LookupError, TypeError, AttributeError) as error:
        raise InputError(
            "this is not a result of MTEB, which has task_name, dataset_revision and scores", path=path
        ) from error
    rows = []
    for split, entries in splits.items():
        for entry in entries:
            if not isinstance(entry, Mapping):
                raise InputError(f"scores.{split} holds something else than scores", path=path)
            rows += _rows(task, revision, split, entry)
    if not rows:
        raise InputError("it has no score that is known here, such as ndcg_at_10, f1 or accuracy", path=path)
    return rows


def _rows(task: str, revision: str, split: str, entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    subset = str(entry.get("hf_subset", "default"))
    known = published_keys(task, split, subset)
    asked, answered = _languages(subset, entry.get("languages") or [])
    place = {
        "collection": task if split == "test" else f"{task}-{split}",
        "protocol": "mteb",
        "direction": "xx-en" if answered == "en" != asked else "en-xx" if asked == "en" else "xx-xx",
        "query_language": asked,
        "document_language": answered,
        **(known or {}),
        "revision": f"mteb {revision[:12]}",
        "scoring": "imported",
    }
    found: dict[str, float] = {}
    for name, value in entry.items():
        measure = measure_of(str(name))
        if measure is not None and isinstance(value, int | float) and not isinstance(value, bool):
            found.setdefault(measure, float(value))
    return [
        {**place, "measure": measure, "value": value, "low": None, "high": None, "queries": 0}
        for measure, value in found.items()
    ]


def _languages(subset: str, said: Sequence[Any]) -> tuple[str, str]:
    """Return the codes of the two languages of a subset, such as ``eng_Latn-som_Latn``."""
    codes = [_code(part) for part in subset.split("-")]
    if len(codes) > 2 or not all(codes):  # the subset is not made of languages
        codes = list(dict.fromkeys(code for one in said if (code := _code(str(one)))))
    if len(codes) > 2:
        return "all", "all"
    return (codes[0], codes[-1]) if codes else ("und", "und")


def _code(text: str) -> str:
    start = re.split("[-_]", text)[0]
    return language(start).code if looks_like_language(start) else ""


def results_of(rows: Sequence[Mapping[str, Any]], seconds: float) -> dict[str, dict[str, Any]]:
    """Return the files of MTEB's results for rows of table ``scores``, by the name of the file.

    Rows of tasks that MTEB has are named as there; others keep the name of their collection. `seconds` is how
    long the run took. Measures that MTEB does not have are left out.
    """
    files: dict[str, dict[str, Any]] = {}
    entries: dict[tuple[str, str, str], dict[str, Any]] = {}
    tasks = mteb_tasks()
    for row in rows:
        name = name_of(str(row["measure"]))
        if name is None or "/" in row["protocol"]:
            continue
        asked, answered = str(row["query_language"]), str(row["document_language"])
        key = (row["collection"], row["protocol"], row["direction"], asked, answered)
        task, split, subset = tasks.get(key, (str(row["collection"]), "test", f"{asked}-{answered}"))
        file = files.setdefault(
            f"{task}.json",
            {
                "dataset_revision": row["revision"],
                "task_name": task,
                "mteb_version": _version(),
                "scores": {},
                "evaluation_time": seconds,
                "kg_co2_emissions": None,
            },
        )
        entry = entries.get((task, split, subset))
        if entry is None:
            entry = entries[task, split, subset] = {"hf_subset": subset, "languages": _tags(asked, answered)}
            file["scores"].setdefault(split, []).append(entry)
        entry[name] = row["value"]
        entry.setdefault("main_score", row["value"])
    return files


def _tags(*codes: str) -> list[str]:
    found = [entry for code in dict.fromkeys(codes) if (entry := lookup(code)) is not None]
    return [f"{entry.code3}-{entry.script}" if entry.script else entry.code3 for entry in found]


def _version() -> str:
    try:
        return version("mteb")
    except PackageNotFoundError:
        return "2.0.0"
