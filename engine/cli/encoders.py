"""``encoders``: list and show packaged checkpoints, encoders that runs trained, and published encoders."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from engine.cli.export_encoder import export_command
from engine.cli.options import json_option, print_json, refreshed, results_option
from engine.cli.output import out, warn
from engine.cli.push_encoder import push_command
from engine.cli.score_groups import languages_of
from engine.cli.tables import print_facts, print_table, size_text
from engine.config.declared import SETTINGS_FILE, Declared, read_declared
from engine.config.hub import snapshot, snapshot_with_weights
from engine.encoders.packaged import PACKAGED, package_of, ready_folder
from engine.encoders.places import base_of
from engine.encoders.published import PUBLISHED
from engine.errors import InputError, nearest
from engine.extensions.runs import RUN_KINDS
from engine.lexicon import glossary
from engine.lexicon.glossary import Glossary
from engine.paths import DEFAULT_RESULTS, expanded, runs_folder
from engine.results.missing import missing_results
from engine.results.queries import list_runs
from engine.results.run_facts import encoder_of

#: The keys of an encoder's ``config.json`` that describe its size, and their labels.
_SIZES = {
    "model_type": "architecture",
    "num_hidden_layers": "layers",
    "hidden_size": "width",
    "vocab_size": "word pieces",
    "max_position_embeddings": "positions",
}


@click.group()
def encoders() -> None:
    """List, show and export encoders. A configuration can also name a hub id or a checkpoint folder."""


encoders.add_command(export_command)
encoders.add_command(push_command)


@encoders.command("list")
@results_option
@json_option
def list_command(results: Path, as_json: bool) -> None:
    """List packaged checkpoints, encoders of runs, and published encoders with their language sampling."""
    listed = [*_packaged(), *_trained(results)]
    if as_json:
        print_json([*listed, *_published()])
        return
    print_table(
        ("encoder", "kind", "installed", "ready", "languages", "parameters", "licence", "from"),
        [
            (
                entry["name"],
                entry["kind"],
                "yes" if entry["installed"] else "no",
                _ready(entry),
                entry["languages"],
                entry["parameters"],
                entry["licence"],
                entry["origin"],
            )
            for entry in listed
        ],
    )
    out()
    columns = ("name", "architecture", "languages", "sampling", "balance", "source")
    print_table(
        ("hub id", *columns[1:]),
        [[entry[column] for column in columns] for entry in _published()],
        title="published; a network is needed to download them by hub id",
    )


@encoders.command("show")
@click.argument("name")
@results_option
@json_option
def show(name: str, results: Path, as_json: bool) -> None:
    """Show an encoder: its folder, its size, and the settings it was saved with or that its folder declares.

    NAME is a packaged checkpoint, a run (its trained encoder), a checkpoint folder, or the hub id of an
    encoder that is published or in the local cache of the hub.
    """
    if (routed := expanded(name) / "router_config.json").is_file():
        _show_routes(routed, as_json)
        return
    entry = _find(name, results)
    folder = entry["folder"]
    model, settings = {}, {}
    if folder is not None:
        model = _read(Path(folder) / "config.json")
        settings = _read(Path(folder) / SETTINGS_FILE)
    base = None if folder is None else base_of(Path(folder))
    files = Path(folder).rglob("*") if folder is not None else ()
    entry["size"] = sum(file.stat().st_size for file in files if file.is_file())
    named = entry["kind"] in ("packaged", "published", "hub")
    declared = read_declared(entry["name"] if named else folder or "")
    said = {
        "library": declared.library,
        "settings": declared.settings,
        "projection": [layer.folder for layer in declared.token_layers],
        "behind_pooling": ["Normalize" if step is None else step.folder for step in declared.sentence_layers],
        "refused": declared.refused,
    }
    if as_json:
        changes = None if base is None else base.checkpoint
        print_json({**entry, "model": model, "settings": settings, "declared": said, "changes_of": changes})
        return
    print_facts(
        [
            ("encoder", entry["name"]),
            ("kind", entry["kind"]),
            ("installed", _installed(entry)),
            ("ready", _ready(entry)),
            ("languages", entry["languages"]),
            ("parameters", entry["parameters"]),
            ("licence", entry["licence"]),
            ("from", entry["origin"]),
            *((name, entry[name]) for name in ("sampling", "balance", "source") if entry.get(name)),
            ("folder", folder or ""),
            ("changes of", base.checkpoint if base is not None else ""),
            ("gloss", _glossed(Path(folder)) if folder is not None else ""),
            ("size", size_text(entry["size"]) if folder else ""),
            *((label, str(model.get(key, ""))) for key, label in _SIZES.items()),
            *((key, json.dumps(value, ensure_ascii=False)) for key, value in settings.items()),
            *_found(declared, settings),
        ]
    )


def _show_routes(path: Path, as_json: bool) -> None:
    """Show a folder of sentence-transformers that has an encoder for queries and one for documents."""
    structure = _read(path).get("structure")
    if not isinstance(structure, dict) or not all(
        isinstance(steps, list) and all(isinstance(step, str) for step in steps)
        for steps in structure.values()
    ):
        raise InputError(
            'it has no "structure" with a list of modules for each task, as sentence-transformers writes it; '
            "export the encoders again",
            path=path,
        )
    routes = {task: steps for task, steps in structure.items() if steps}
    if as_json:
        print_json({"name": path.parent.name, "kind": "two encoders", "routes": routes})
        return
    print_facts(
        [
            ("encoder", path.parent.name),
            ("kind", "two encoders, for sentence-transformers"),
            *((f"of {task}", str(path.parent / steps[0])) for task, steps in routes.items()),
            *((f"behind {task}", " ".join(steps[1:])) for task, steps in routes.items()),
            ("further", "`encoders show` of one of the folders shows its settings"),
        ]
    )


def _glossed(folder: Path) -> str:
    """Return the languages whose words a folder's glossary translates; nothing if it has none."""
    path = folder / glossary.FILE
    if not path.is_file():
        return ""
    known = Glossary.load(path)
    words = ", ".join(f"{code} ({len(found):,} words)" for code, found in known.glosses.items())
    return f"queries in {words} are read with translations into {known.target}"


def _found(declared: Declared, recorded: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a folder's files say of it, beside the settings `recorded` of it, and what of it is used."""
    if declared.library:
        yield "made by", declared.library
    if declared.refused:
        yield "not usable", declared.refused
        return
    for key, value in declared.settings.items():
        if key in recorded and recorded[key] == value:
            continue
        yield key, f"{json.dumps(value, ensure_ascii=False)} (from the folder)"
    for layer in declared.token_layers:
        yield "projection of tokens", f"{layer.folder or 'linear.weight'} (used)"
    for step in declared.sentence_layers:
        name = "normalised" if step is None else f"{step.folder}, {step.activation}"
        yield "behind the pooling", f"{name} (used)"


def _find(name: str, results: Path) -> dict[str, Any]:
    packaged = {entry["name"]: entry for entry in _packaged()}
    if name in packaged:
        return packaged[name]
    if name in PUBLISHED:
        return next(entry for entry in _published() if entry["name"] == name)
    trained = _trained(results)
    for found in trained:
        if name in (found["name"], found["run_name"]):
            return found
    folder = expanded(name)
    if (folder / "config.json").is_file():
        return _entry(folder.name, "folder", folder, origin=str(folder))
    if (cached := snapshot(name)) is not None:
        ready = snapshot_with_weights(name) is not None
        return {**_entry(name, "hub", cached, origin="hub"), "ready": ready}
    known = [*packaged, *PUBLISHED, *(found[key] for found in trained for key in ("name", "run_name"))]
    raise InputError(
        f"{name!r} is no packaged, published or cached encoder, no run with an encoder and no checkpoint "
        "folder"
        f"{nearest(name, known)}; `optical-workbench encoders list` lists encoders"
    )


def _packaged() -> list[dict[str, Any]]:
    return [
        {
            **_entry(entry.name, "packaged", ready_folder(entry.name), origin=entry.distribution),
            "installed": package_of(entry.name) is not None,
            "languages": entry.languages,
            "parameters": entry.parameters,
            "licence": entry.licence,
        }
        for entry in PACKAGED.values()
    ]


def _published() -> list[dict[str, Any]]:
    return [
        {
            **_entry(entry.hub_id, "published", snapshot(entry.hub_id), origin="hub"),
            "installed": False,
            "ready": snapshot_with_weights(entry.hub_id) is not None,
            "architecture": entry.architecture,
            "languages": entry.languages,
            "sampling": entry.sampling,
            "balance": entry.balance,
            "source": entry.source,
        }
        for entry in PUBLISHED.values()
    ]


def _trained(results: Path) -> list[dict[str, Any]]:
    """Return the encoders that the runs of `results` trained, newest first."""
    refreshed(results)
    if not results.is_file():  # packaged and published encoders are listed without any run
        if results != DEFAULT_RESULTS:
            warn(missing_results(results))
        return []
    found = []
    for record in list_runs(results):
        kind = RUN_KINDS.get(record["kind"])
        if kind is None or kind.trained is None:
            continue
        folder = runs_folder(results) / record["id"] / "checkpoints" / kind.trained.folder
        if (folder / "config.json").is_file() and any(folder.glob("model*.safetensors")):
            origin = ", ".join(filter(None, (encoder_of(record), kind.trained.method)))
            entry = _entry(record["id"], kind.trained.label, folder, origin=origin)
            languages = " ".join(languages_of(record, ()))
            found.append({**entry, "languages": languages, "run_name": record["name"]})
    return found


def _entry(name: str, kind: str, folder: Path | None, *, origin: str) -> dict[str, Any]:
    return {
        "name": name,
        "kind": kind,
        "installed": True,
        "ready": folder is not None,
        "languages": "",
        "parameters": "",
        "licence": "",
        "origin": origin,
        "folder": None if folder is None else str(folder),
    }


def _installed(entry: Mapping[str, Any]) -> str:
    if entry["kind"] in ("published", "hub"):
        return (
            "in the cache of the hub"
            if entry["ready"]
            else "no; it is downloaded from the hub when a run uses it"
        )
    return "yes" if entry["installed"] else f"no: pip install {entry['origin']}"


def _ready(entry: Mapping[str, Any]) -> str:
    if entry["ready"]:
        return "yes"
    return "on first use" if entry["installed"] else "no"


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read: {error}", path=path) from error
    return content if isinstance(content, dict) else {}
