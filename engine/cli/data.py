"""``data``: collections and bitext at hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from engine.cli.datasets import Checked, Dataset, check, datasets
from engine.cli.options import json_option, print_json
from engine.cli.tables import print_facts, print_line, print_table, size_text
from engine.errors import InputError, OpticalError, nearest
from engine.languages import language


@click.group()
def data() -> None:
    """Collections and bitext at hand: in the data home, the working folder and installed packages."""


@data.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """List what can be evaluated on and learned from, at hand or not."""
    listed = [_entry(dataset) for dataset in datasets()]
    if as_json:
        print_json(listed)
        return
    print_table(
        ("data", "kind", "at hand", "languages", "size", "licence", "from"),
        [
            (
                entry["name"],
                entry["kind"],
                "yes" if entry["at_hand"] else "no",
                str(len(entry["languages"])) if entry["at_hand"] else "",
                size_text(entry["size"]) if entry["at_hand"] else "",
                entry["licence"],
                entry["source"],
            )
            for entry in listed
        ],
        right=("languages", "size"),
    )


@data.command("show")
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show one dataset: its terms, its languages and files, and how a configuration names it."""
    (dataset,) = _find([name])
    entry = _entry(dataset)
    files: list[dict[str, Any]] = [
        {
            "language": code,
            "name": language(code).name,
            "files": len(found),
            "size": _size(found),
            "path": _path(dataset, found),
        }
        for code, found in sorted(dataset.files.items())
    ]
    if as_json:
        print_json({**entry, "files": files, "other_locales": dataset.others})
        return
    print_facts(
        [
            ("data", entry["name"]),
            ("kind", entry["kind"]),
            ("at hand", "yes" if entry["at_hand"] else f"no: {entry['advice']}"),
            ("licence", entry["licence"]),
            ("from", entry["source"]),
            ("size", size_text(entry["size"]) if entry["at_hand"] else ""),
            ("use", _use(dataset)),
            ("not known", " ".join(dataset.others)),
        ]
    )
    if files:
        print_line()
        print_table(
            ("", "language", "files", "size", "path"),
            [
                (row["language"], row["name"], str(row["files"]), size_text(row["size"]), row["path"])
                for row in files
            ],
            right=("files", "size"),
        )


@data.command("check")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--language", "languages", multiple=True, metavar="CODE", help="Only this language.")
@json_option
def check_command(names: tuple[str, ...], languages: tuple[str, ...], as_json: bool) -> None:
    """Read data at hand to its end: count it, and find what is damaged or incomplete.

    Without a NAME all data at hand is read, which takes a minute or two.
    """
    chosen = _find(names)
    codes = [language(code).code for code in languages]
    checked: list[Checked] = []
    for dataset in chosen:
        if names and not dataset.files:
            raise InputError(f"{dataset.name} is not at hand; {dataset.advice}")
        # Without names, every dataset is read that has what is asked for.
        if dataset.files and (names or all(code in dataset.files for code in codes)):
            click.echo(f"reading {dataset.name}", err=True)
            checked += check(dataset, codes)
    if as_json:
        print_json([vars(row) for row in checked])
    else:
        print_table(
            ("data", "language", "entries", "kept", "dropped", "state", "problem"),
            [
                (
                    row.dataset,
                    row.language,
                    f"{row.read:,}",
                    f"{row.kept:,}",
                    ", ".join(f"{count:,} {why.replace('_', ' ')}" for why, count in row.dropped.items()),
                    "damaged" if row.problem else "ok",
                    row.problem,
                )
                for row in checked
            ],
            right=("entries", "kept"),
        )
    broken = [row for row in checked if row.problem]
    if broken:
        raise OpticalError(
            f"{len(broken)} of {len(checked)} are damaged or incomplete, {broken[0].dataset} in "
            f"{broken[0].language} first"
        )


def _find(names: Sequence[str]) -> list[Dataset]:
    """Return the datasets called `names`, or all."""
    known = {dataset.name: dataset for dataset in datasets(catalogues=False)}
    if not names or not known.keys() >= set(names):  # looking through all installed packages takes a second
        known = {dataset.name: dataset for dataset in datasets()}
    for name in names:
        if name not in known:
            raise InputError(
                f"there is no dataset {name!r}{nearest(name, list(known))}; it is one of {', '.join(known)}"
            )
    return [known[name] for name in names or known]


def _entry(dataset: Dataset) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "kind": dataset.kind,
        "at_hand": bool(dataset.files),
        "languages": sorted(dataset.files),
        "size": sum(_size(files) for files in dataset.files.values()),
        "licence": dataset.licence,
        "source": dataset.source,
        "advice": dataset.advice,
    }


def _use(dataset: Dataset) -> str:
    if dataset.kind == "collection":
        return f'[[collections]] name = "{dataset.name}"'
    code = min(dataset.files, default="")
    if not code:
        return ""
    return f'[[bitext]] path = "{_path(dataset, dataset.files[code])}", language = "{code}"'


def _path(dataset: Dataset, files: Sequence[Path]) -> str:
    """Return what `path` in a configuration is for one language's files."""
    if dataset.kind == "bitext":
        return f"{dataset.folder}/{files[0].name}"
    return dataset.folder or dataset.name


def _size(files: Sequence[Path]) -> int:
    return sum(file.stat().st_size for file in files if file.is_file())
