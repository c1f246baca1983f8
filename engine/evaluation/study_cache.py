"""The findings of studies, stored in the cache, so that a report is computed once.

The name of a file is a hash of everything that the findings depend on: the files of the study's runs, the
number of resamples, and the code. A change of any of them is another file. The files can be deleted at any
time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from importlib import metadata, resources
from pathlib import Path
from typing import Any, TypeVar

from engine.atomic import write_file
from engine.errors import OpticalError
from engine.evaluation.contrasts import Contrast
from engine.evaluation.seed_model import Difference
from engine.evaluation.significance import RESAMPLES
from engine.evaluation.study import (
    DocumentDifference,
    Effect,
    Estimate,
    LanguageGroups,
    Primary,
    Study,
    StudyTable,
    compute_study,
)
from engine.evaluation.study_facts import StudyFacts
from engine.hashes import hash_of
from engine.languages import table_version
from engine.paths import cache_home
from engine.results.queries import ask, run_id

_CODE = (
    *("study.py", "study_facts.py", "study_cache.py"),
    *("contrasts.py", "significance.py", "seed_model.py"),
)
_KEPT = 16  # newest files that are kept

_Old = TypeVar("_Old")
_New = TypeVar("_New")


def load_study(results: Path, run: str, *, resamples: int = RESAMPLES) -> Study:
    """Return the findings of the study `run` (an id, the beginning of one, or a name).

    They are computed if they are not in the cache.

    Raises
    ------
    InputError
        As `compute_study`.
    """
    identity = run_id(results, run)
    place = _place_of(results, identity, resamples)
    found = _recall(place)
    if found is None:
        found = compute_study(results, identity, resamples=resamples)
        _store(place, found)
    return found


def _place_of(results: Path, run: str, resamples: int) -> Path:
    """Return the file for the findings of the study `run` (an id) in the database `results`."""
    parts = ask(
        results,
        "SELECT run, file, hash FROM ingested WHERE run = ? OR starts_with(run, ?) ORDER BY ALL",
        [run, f"{run}."],
    ).rows
    # The reference results were not read from run folders. Their database never changes.
    content = json.dumps(parts) if parts else hash_of(results.read_bytes())
    folder = resources.files("engine.evaluation")
    code = [folder.joinpath(name).read_text("utf-8") for name in _CODE]
    key = [run, resamples, content, table_version(), metadata.version("numpy"), *code]
    return cache_home() / "studies" / f"{hash_of(json.dumps(key).encode())}.json"


def _recall(place: Path) -> Study | None:
    """Return the findings stored in the file `place`, or None if there are none that can be read."""
    try:
        return _study(json.loads(place.read_bytes()))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _store(place: Path, study: Study) -> None:
    """Write the findings to the file `place`, if the cache can be written, and remove the oldest others."""
    with suppress(OSError, OpticalError):
        place.parent.mkdir(parents=True, exist_ok=True)
        write_file(place, json.dumps(asdict(study)).encode())
        files = sorted(place.parent.glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
        for old in files[:-_KEPT]:
            old.unlink(missing_ok=True)


def _study(stored: Mapping[str, Any]) -> Study:
    curves = {
        stage: {arm: {int(step): value for step, value in curve.items()} for arm, curve in arms.items()}
        for stage, arms in stored["curves"].items()
    }
    tables = [_table(table) for table in stored["tables"]]
    return Study(
        **{
            **stored,
            "curves": curves,
            "tables": tables,
            "facts": StudyFacts(**stored["facts"]),
            "primary": _primary(stored["primary"]),
        }
    )


def _primary(stored: Any) -> Primary | None:
    if stored is None:
        return None
    return Primary(
        **{
            **stored,
            "difference": _difference(stored["difference"]),
            "seeds": _estimate(stored["seeds"]),
            "documents": _documents(stored["documents"]),
        }
    )


def _table(stored: Mapping[str, Any]) -> StudyTable:
    effects = [
        Effect(
            **{
                **each,
                "difference": _difference(each["difference"]),
                "contrast": Contrast(**each["contrast"]),
                "seeds": _estimate(each["seeds"]),
            }
        )
        for each in stored["effects"]
    ]
    return StudyTable(
        **{
            **stored,
            "values": _each(_each(_each(_estimate)))(stored["values"]),
            "means": _each(_each(_estimate))(stored["means"]),
            "gaps": _each(_each(_each(_estimate)))(stored["gaps"]),
            "groups": [LanguageGroups(**group) for group in stored["groups"]],
            "effects": effects,
            "interactions": _each(_each(_difference))(stored["interactions"]),
            "documents": _each(_documents)(stored["documents"]),
        }
    )


def _each(make: Callable[[_Old], _New]) -> Callable[[Mapping[str, _Old]], dict[str, _New]]:
    """Return the function that applies `make` to every value of a dictionary."""
    return lambda stored: {key: make(value) for key, value in stored.items()}


def _difference(stored: Any) -> Difference:
    return Difference(**stored)


def _documents(stored: Any) -> list[DocumentDifference]:
    return [DocumentDifference(*one) for one in stored]


def _estimate(stored: Any) -> Estimate:
    mean, sd, seeds = stored
    return Estimate(mean, sd, tuple(seeds))
