"""Evaluate the encoders of a finished run on other collections: the settings of such a run."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.config import EvaluateConfig, RunHeader, merge_settings, overridden, parse_config, read_settings
from engine.errors import InputError, nearest
from engine.evaluation.finished_run import encoders_config_of, saved_encoders
from engine.extensions.collections import COLLECTIONS
from engine.results.run_folder import RunFolder

#: Settings of an evaluation that belong to its encoders, and not to its collections.
_KEPT = ("translation", "language_components", "language_shift", "bitext", "fitted")
#: Longest part of the run's name in the name of the new run, so that both fit where names are limited.
_NAME = 66


def elsewhere(
    run: RunFolder,
    collections: Sequence[Mapping[str, Any]],
    overrides: Mapping[str, Any] | None = None,
    assignments: Sequence[str] = (),
) -> RunHeader:
    """Return the configuration that evaluates the encoders of a finished run on other collections.

    The encoders keep the centring, the projection, the lengths and the prefixes of the run, and the
    collections are searched with its evaluation settings, such as its scorings.

    Parameters
    ----------
    run : RunFolder
        A finished run with encoders.
    collections : sequence of mapping
        Settings of the collections, as in ``[[collections]]``.
    overrides : mapping, optional
        Settings that replace those of the run; tables are merged.
    assignments : sequence of str
        Further ones, as ``key=value``.

    Raises
    ------
    InputError
        If the run has no encoders, or a setting is wrong.
    """
    config, saved = encoders_config_of(run), saved_encoders(run)
    # The folders of a run hold what it fitted, and name the checkpoints whose weights they do not hold.
    query_encoder, document_encoder = (
        one.config.model_copy(update={"checkpoint": str(one.folder.absolute())}).model_dump(mode="json")
        for one in saved
    )
    settings: dict[str, Any] = {
        "kind": "evaluate",
        "name": f"{str(run.record['name'] or run.id)[:_NAME]}-elsewhere",
        "seed": config.seed,
        "encoder": query_encoder,
        "evaluation": config.evaluation.model_dump(mode="json"),
        "collections": [dict(one) for one in collections],
    }
    if saved[0].config != saved[1].config:
        settings["teacher"] = document_encoder
    if isinstance(config, EvaluateConfig):
        settings |= config.model_dump(mode="json", include=set(_KEPT), exclude_defaults=True)
    elif count := getattr(config, "language_components", 0):
        settings["language_components"] = count  # those that were saved with the encoders
    return parse_config(overridden(merge_settings(settings, overrides or {}), assignments), "evaluate")


def collections_called(name: str) -> list[dict[str, Any]]:
    """Return the settings of the collections that `name` means.

    Parameters
    ----------
    name : str
        The name of a collection of ``optical-workbench data list``, of a registered collection, or a TOML
        file whose ``[[collections]]`` are meant.

    Raises
    ------
    InputError
        If it is none of these, is bitext, or is not available on this machine.
    """
    from engine.datahome.datasets import datasets
    from engine.datahome.examples import usage

    if name.endswith(".toml"):
        found = read_settings(Path(name)).get("collections")
        if not isinstance(found, list) or not found:
            raise InputError("the file has no [[collections]]", path=name)
        return found
    known = {one.name: one for one in datasets(catalogues=False)}
    dataset = known.get(name)
    if dataset is not None and dataset.kind == "collection":
        if not dataset.files:
            raise InputError(f"the collection {name!r} is not available on this machine: {dataset.advice}")
        return list(tomllib.loads(usage(dataset)).get("collections") or [{"name": name}])
    if dataset is not None or name == "bitext":
        raise InputError(
            f"{name!r} is bitext, and a collection of it needs to know which pairs are searched; write them "
            "as [[collections]] with the name 'bitext' in a TOML file, and give the file"
        )
    if name not in COLLECTIONS:
        names = sorted({*COLLECTIONS, *(key for key, one in known.items() if one.kind == "collection")})
        raise InputError(
            f"there is no collection {name!r}{nearest(name, names)}; `optical-workbench data list` lists "
            "them, and a TOML file with [[collections]] describes others"
        )
    return [{"name": name}]
