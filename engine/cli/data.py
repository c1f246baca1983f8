"""``data``: what can be evaluated on and learned from; getting it, importing it, checking it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from engine.cli.options import data_option, json_option, print_json
from engine.cli.tables import print_facts, print_line, print_table, size_text
from engine.datahome.check import Checked, check
from engine.datahome.datasets import Dataset, datasets
from engine.errors import InputError, OpticalError, nearest
from engine.extensions.collections import COLLECTIONS
from engine.languages import language
from engine.paths import data_home

#: What the pool of a collection is, in words.
_POOLS = {"all": "one pool of the documents of all languages", "own": "a pool for each document language"}


@click.group()
def data() -> None:
    """Collections and bitext: what there is, and getting it.

    Data lies in the data home, which OPTICAL_DATA or --data names, in the working folder, in the home of
    ir_datasets, or in installed packages.
    """


@data.command("list")
@data_option
@json_option
def list_command(as_json: bool) -> None:
    """List what can be evaluated on and learned from, at hand or not."""
    listed = [_entry(dataset) for dataset in datasets()]
    if as_json:
        print_json(listed)
        return
    print_table(
        ("data", "kind", "at hand", "languages", "size", "licence"),
        [
            (
                entry["name"],
                entry["kind"],
                _presence(entry),
                _languages(entry),
                size_text(size) if (size := entry["size"] or entry["published_size"]) else "",
                entry["licence"],
            )
            for entry in listed
        ],
        right=("languages", "size"),
    )
    click.echo(f"\nThe data home is {data_home()}.", err=True)


@data.command("show")
@click.argument("name")
@data_option
@json_option
def show(name: str, as_json: bool) -> None:
    """Show one dataset: its terms, languages, files and counts, an example, and how a run names it."""
    from engine.datahome.examples import example, usage

    (dataset,) = _find([name])
    entry = _entry(dataset)
    files: list[dict[str, Any]] = [
        {
            "language": code,
            "name": language(code).name,
            "files": len(found),
            "size": _size(found),
            "path": dataset.path(code),
        }
        for code, found in sorted(dataset.files.items())
    ]
    published = dict(dataset.published.published_counts) if dataset.published else {}
    reader = COLLECTIONS.get(dataset.collection)
    use = usage(dataset)
    if as_json:
        print_json(
            {
                **entry,
                "files": files,
                "other_locales": dataset.unknown_locales,
                "published": published,
                "use": use,
            }
        )
        return
    print_facts(
        [
            ("data", entry["name"]),
            ("kind", entry["kind"]),
            ("meaning", reader.meaning if reader else ""),
            ("pool", _POOLS[reader.pool] if reader else ""),
            ("at hand", _presence(entry) if entry["at_hand"] else f"no: {entry['advice']}"),
            ("licence", entry["licence"]),
            ("from", entry["source"]),
            ("folder", _place(dataset)),
            ("size", size_text(size) if (size := entry["size"] or entry["published_size"]) else ""),
            ("published", _totals(published)),
            ("remark", entry["remark"]),
            ("not known", " ".join(dataset.unknown_locales)),
        ]
    )
    if files:
        _print_files(dataset, files, published)
    for title, text in (("example", example(dataset)), ("in a run's file", use)):
        if text:
            print_line()
            print_line(f"{title}:")
            for line in text.splitlines():
                print_line(f"  {line}")


@data.command("import")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--name", help="Its name in the commands; none takes it from the file's name.")
@click.option("--language", "code", metavar="CODE", help="Its language, where the data does not tell.")
@click.option("--link", is_flag=True, help="Link to the files instead of copying them.")
@click.option("--dry-run", is_flag=True, help="Say what it is and import nothing.")
@data_option
@json_option
def import_command(
    path: Path, name: str | None, code: str | None, link: bool, dry_run: bool, as_json: bool
) -> None:
    """Bring data into the data home: a file, a folder, or a zip or tar archive of them.

    The format is told by the content. Archives that readers open themselves (a zip of TMX or of line-aligned
    files) stay packed; others are unpacked, links and paths that lead outside refused.
    """
    from engine.datahome.import_data import import_data

    click.echo(f"reading {path}", err=True)
    imported = import_data(path, name=name, language=code, link=link, dry_run=dry_run)
    recognised = imported.data
    if as_json:
        print_json(imported.record())
        return
    counted = "counted" if dry_run else "imported"
    click.echo(f"{path} is {recognised.format}; {counted} as {imported.name} in {imported.folder}", err=True)
    whats = list(dict.fromkeys(what for part in recognised.languages.values() for what in part.counts))
    print_table(
        ("", "language", *whats),
        [
            (key, language(key).name, *(f"{part.counts.get(what, 0):,}" for what in whats))
            for key, part in sorted(recognised.languages.items())
        ],
        right=whats,
    )
    if not dry_run:
        click.echo(f"\noptical-workbench data show {imported.name} tells how to use it", err=True)


@data.command("fetch")
@click.argument("name")
@click.option("--language", "languages", multiple=True, metavar="CODE", help="Only this language's files.")
@data_option
def fetch_command(name: str, languages: tuple[str, ...]) -> None:
    """Fetch a dataset from where it is published, into the data home.

    What broke off is resumed by the next call; files that are here are left alone. A file may be a tenth
    larger than published, or 20 GB where no size is published, and its checksum must be right where one is.
    """
    from engine.cli.download_progress import FetchDisplay
    from engine.datahome.fetch import fetch_dataset
    from engine.datahome.published import published_data

    known = published_data()
    if name not in known:
        if name.startswith("package:"):
            raise InputError(f"{name} is a package; pip install {name.partition(':')[2]}")
        raise InputError(
            f"there is no dataset {name!r} to fetch{nearest(name, list(known))}; it is one of "
            f"{', '.join(known)}"
        )
    published = known[name]
    codes = [language(code).code for code in languages]
    with FetchDisplay() as display:
        count = fetch_dataset(published, codes, display)
    click.echo(f"{count} new files of {name} in {published.place}; licence: {published.licence}", err=True)
    if published.remark:
        click.echo(f"note: {published.remark}", err=True)


@data.command("check")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--language", "languages", multiple=True, metavar="CODE", help="Only this language.")
@data_option
@json_option
def check_command(names: tuple[str, ...], languages: tuple[str, ...], as_json: bool) -> None:
    """Read data at hand to its end and hold its counts against the published ones.

    Without a NAME all data at hand is read, which takes a minute or two. Leaves with 1 if anything is
    damaged, incomplete, or has other counts or contents than were published.
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
            ("data", "language", "counts", "dropped", "state", "problem"),
            [
                (
                    row.dataset,
                    row.language,
                    ", ".join(f"{count:,} {what}" for what, count in row.counts.items()),
                    ", ".join(f"{count:,} {why.replace('_', ' ')}" for why, count in row.dropped.items()),
                    "damaged" if row.problem else "ok" if row.published else "read",
                    row.problem,
                )
                for row in checked
            ],
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
    published = dataset.published
    return {
        "name": dataset.name,
        "kind": dataset.kind,
        "at_hand": bool(dataset.files),
        "whole": dataset.complete,
        "languages": sorted(dataset.files),
        "size": sum(_size(files) for files in _distinct(dataset)),
        "licence": dataset.licence,
        "source": dataset.source,
        "advice": dataset.advice,
        "published_languages": published.languages if published else [],
        "published_size": published.size if published else 0,
        "remark": published.remark if published else "",
    }


def _presence(entry: dict[str, Any]) -> str:
    return ("yes" if entry["whole"] else "in part") if entry["at_hand"] else "no"


def _languages(entry: dict[str, Any]) -> str:
    here, published = len(entry["languages"]), len(entry["published_languages"])
    if here and here < published:
        return f"{here} of {published}"
    return str(here or published or "")


def _distinct(dataset: Dataset) -> list[list[Path]]:
    """Return the lists of files that differ: an unpacked archive's languages share one."""
    return list({tuple(files): files for files in dataset.files.values()}.values())


def _place(dataset: Dataset) -> str:
    if dataset.files and dataset.folder:
        return str(dataset.place())
    return str(dataset.published.place) if dataset.published else ""


def _totals(published: dict[str, Any]) -> str:
    return ", ".join(f"{sum(counts.values()):,} {what}" for what, counts in published.items())


def _print_files(dataset: Dataset, files: list[dict[str, Any]], published: dict[str, Any]) -> None:
    whats = list(published) if len(published) <= 2 else []
    print_line()
    print_table(
        ("", "language", "files", "size", *whats, "path"),
        [
            (
                row["language"],
                row["name"],
                str(row["files"]),
                size_text(row["size"]),
                *(_count(published[what].get(row["language"])) for what in whats),
                row["path"],
            )
            for row in files
        ],
        right=("files", "size", *whats),
    )


def _count(count: int | None) -> str:
    return "" if count is None else f"{count:,}"


def _size(files: Sequence[Path]) -> int:
    return sum(file.stat().st_size for file in files if file.is_file())
