"""``encoders``: packaged checkpoints, and the students of runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from engine.cli.figures import encoder_of, languages_of
from engine.cli.options import json_option, print_json, refreshed, results_option
from engine.cli.tables import print_facts, print_table, size_text
from engine.encoders.checkpoints import SETTINGS_FILE
from engine.encoders.packaged import PACKAGED, package_of, ready_folder
from engine.errors import InputError, nearest
from engine.paths import runs_folder
from engine.results.queries import list_runs

#: What an encoder's ``config.json`` says of its size.
_SIZES = {
    "model_type": "architecture",
    "num_hidden_layers": "layers",
    "hidden_size": "width",
    "vocab_size": "word pieces",
    "max_position_embeddings": "positions",
}


@click.group()
def encoders() -> None:
    """Encoders at hand; hub ids and folders can be named in a configuration as well."""


@encoders.command("list")
@results_option
@json_option
def list_command(results: Path, as_json: bool) -> None:
    """List packaged checkpoints and the students of runs."""
    listed = [*_packaged(), *_students(results)]
    if as_json:
        print_json(listed)
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


@encoders.command("show")
@click.argument("name")
@results_option
@json_option
def show(name: str, results: Path, as_json: bool) -> None:
    """Show one encoder: where it is, how large, and the settings it was saved with.

    NAME is a packaged checkpoint, a run (its student), or a checkpoint folder.
    """
    entry = _find(name, results)
    folder = entry["folder"]
    model, settings = {}, {}
    if folder is not None:
        model = _read(Path(folder) / "config.json")
        settings = _read(Path(folder) / SETTINGS_FILE)
    files = Path(folder).rglob("*") if folder is not None else ()
    entry["size"] = sum(file.stat().st_size for file in files if file.is_file())
    if as_json:
        print_json({**entry, "model": model, "settings": settings})
        return
    print_facts(
        [
            ("encoder", entry["name"]),
            ("kind", entry["kind"]),
            ("installed", "yes" if entry["installed"] else f"no: pip install {entry['origin']}"),
            ("ready", _ready(entry)),
            ("languages", entry["languages"]),
            ("parameters", entry["parameters"]),
            ("licence", entry["licence"]),
            ("from", entry["origin"]),
            ("folder", folder or ""),
            ("size", size_text(entry["size"]) if folder else ""),
            *((label, str(model.get(key, ""))) for key, label in _SIZES.items()),
            *((key, json.dumps(value, ensure_ascii=False)) for key, value in settings.items()),
        ]
    )


def _find(name: str, results: Path) -> dict[str, Any]:
    packaged = {entry["name"]: entry for entry in _packaged()}
    if name in packaged:
        return packaged[name]
    students = _students(results)
    for student in students:
        if name in (student["name"], student["run_name"]):
            return student
    folder = Path(name).expanduser()
    if (folder / "config.json").is_file():
        return _entry(folder.name, "folder", folder, origin=str(folder))
    known = [*packaged, *(student[key] for student in students for key in ("name", "run_name"))]
    raise InputError(
        f"there is no packaged encoder, run with a student or checkpoint folder {name!r}"
        f"{nearest(name, known)}; `optical-workbench encoders list` lists them"
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


def _students(results: Path) -> list[dict[str, Any]]:
    """Return the students of the runs beside `results`, newest first; none where there is no database."""
    refreshed(results)
    if not results.is_file():
        return []
    found = []
    for record in list_runs(results):
        folder = runs_folder(results) / record["id"] / "checkpoints" / "student"
        if (folder / "config.json").is_file() and any(folder.glob("model*.safetensors")):
            origin = f"{encoder_of(record)}, distilled"
            student = _entry(record["id"], "student", folder, origin=origin)
            languages = " ".join(languages_of(record, ()))
            found.append({**student, "languages": languages, "run_name": record["name"]})
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
