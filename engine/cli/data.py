"""``data``: list, show, fetch, import and check the data that runs train and are evaluated on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.bitext.files import exists, shards
from engine.bitext.hub import hub_path
from engine.cli.options import data_option, json_option, print_json
from engine.cli.output import say
from engine.cli.tables import cut_middle, print_facts, print_line, print_table, size_text
from engine.cli.toml import value_text
from engine.counted import counted
from engine.datahome.check import Checked, check
from engine.datahome.datasets import Dataset, datasets
from engine.errors import InputError, OpticalError, nearest
from engine.extensions.collections import COLLECTIONS
from engine.languages import language, language_name
from engine.paths import data_home, expanded

if TYPE_CHECKING:
    from engine.cli.answers import ListedData
    from engine.datahome.preview import Preview

#: The most cells of a text of an entry.
_WIDEST = 200
#: What the pool of a collection is, in words.
_POOLS = {"all": "one pool of the documents of all languages", "own": "a pool for each document language"}


@click.group()
def data() -> None:
    """List, fetch, import and check collections and bitext.

    Data is searched for in the data home (OPTICAL_DATA or --data), the working folder, the folder of
    ir_datasets, and installed packages.
    """


@data.command("list")
@data_option
@json_option
def list_command(as_json: bool) -> None:
    """List all datasets, whether they are available on this machine or only published."""
    listed = [_entry(dataset) for dataset in datasets()]
    if as_json:
        print_json(listed)
        return
    print_table(
        ("data", "kind", "local", "languages", "size", "licence"),
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
    say(f"\nThe data home is {data_home()}.")


@data.command("show")
@click.argument("name", metavar="NAME_OR_FILE")
@click.option("--language", "code", metavar="CODE", help="The language of a FILE that does not name it.")
@data_option
@json_option
def show(name: str, code: str | None, as_json: bool) -> None:
    """Show a dataset: its licence, languages, files, counts and an example, and how a run uses it.

    Of a file of bitext, or a folder of bitext or a collection, it shows what a run would read: the first
    entries in each language, the counts, and what is dropped and why. So it does of a dataset of the
    Hugging Face hub that was fetched, hf://datasets/OWNER/NAME.
    """
    from engine.datahome.examples import example, usage

    if _is_file(name):
        _show_file(name, code, as_json)
        return
    if code is not None:
        raise InputError("--language is for a FILE; `data show NAME` shows all languages")
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
            ("available", _presence(entry) if entry["available"] else f"no: {entry['advice']}"),
            ("meaning", reader.meaning if reader else ""),
            ("pool", _POOLS[reader.pool] if reader else ""),
            ("licence", entry["licence"]),
            ("from", entry["source"]),
            ("folder", _place(dataset)),
            ("size", size_text(size) if (size := entry["size"] or entry["published_size"]) else ""),
            ("published", _totals(published)),
            ("remark", entry["remark"]),
            ("unknown", " ".join(dataset.unknown_locales)),
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


def _is_file(name: str) -> bool:
    """Return whether `name` is a file, a folder or an address of the hub, and not the name of a dataset."""
    if hub_path(name) is not None:
        return True
    path = expanded(name)
    if not exists(path):
        return bool(shards(path))
    return path.is_file() or path.name != name or name not in {one.name for one in datasets(catalogues=False)}


def _show_file(path: str, code: str | None, as_json: bool) -> None:
    """Print what a run would read of a file or folder."""
    from engine.datahome.preview import preview

    say(f"reading {path}")
    found = preview(path, code)
    if as_json:
        print_json([{**vars(one), "first": [list(pair) for pair in one.first]} for one in found])
    else:
        for place, one in enumerate(found):
            if place:
                print_line()
            _print_preview(path, one)
    broken = [one for one in found if one.problem]
    if broken:
        raise InputError(broken[0].problem)


def _print_preview(path: str, one: Preview) -> None:
    dropped = ", ".join(f"{count:,} {why.replace('_', ' ')}" for why, count in one.dropped.items())
    languages = f"{language_name(one.language)} ({one.language})"
    languages += f" → {language_name(one.target_language)} ({one.target_language})"
    print_facts(
        [
            ("data", path),
            ("format", one.format),
            ("languages", languages),
            *((what, f"{count:,}") for what, count in one.counts.items()),
            ("dropped", dropped),
            *(("note", note) for note in one.notes),
            ("in a run's file", ", ".join(f"{name} = {value_text(v)}" for name, v in one.settings.items())),
        ]
    )
    for source, target in one.first:
        print_line()
        print_line(f"  {one.language}: {cut_middle(source, _WIDEST)}")
        print_line(f"  {one.target_language}: {cut_middle(target, _WIDEST)}")


@data.command("import")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--name", help="The name of the dataset. The default is made from the file's name.")
@click.option("--language", "code", metavar="CODE", help="The language, if the data does not name it.")
@click.option("--link", is_flag=True, help="Link to the files instead of copying them.")
@click.option("--dry-run", is_flag=True, help="Report what the data is, and import nothing.")
@data_option
@json_option
def import_command(
    path: Path, name: str | None, code: str | None, link: bool, dry_run: bool, as_json: bool
) -> None:
    """Import data into the data home: a file, a folder, or a zip or tar archive.

    The content determines the format. Archives that a reader opens itself (a zip of TMX or of line-aligned
    files) stay packed. Others are unpacked; links, and paths that lead outside the archive, are rejected.
    """
    from engine.datahome.import_data import import_data

    say(f"reading {path}")
    imported = import_data(path, name=name, language=code, link=link, dry_run=dry_run)
    recognised = imported.data
    if as_json:
        print_json(imported.record())
        return
    counted = "counted" if dry_run else "imported"
    say(f"{path} is {recognised.format}; {counted} as {imported.name} in {imported.folder}")
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
        say(f"\n`optical-workbench data show {imported.name}` shows how to use it")


@data.command("fetch")
@click.argument("name")
@click.option("--language", "languages", multiple=True, metavar="CODE", help="Only files of this language.")
@data_option
def fetch_command(name: str, languages: tuple[str, ...]) -> None:
    """Download a dataset from its publisher into the data home.

    An interrupted download is continued by the next call, and complete files are kept. A file may be up to
    10 % larger than its published size (20 GB if none is published), and must have its published checksum.

    NAME can be a dataset of the Hugging Face hub, hf://datasets/OWNER/NAME, or a folder, file or split of it
    (hf://datasets/OWNER/NAME/data/train). Its data files (Parquet, JSON, CSV, TSV) come into the local cache
    of the hub; no code of a dataset is downloaded or run.
    """
    if (hub := hub_path(name)) is not None:
        if languages:
            raise InputError("--language is for a NAME of `data list`; name a folder or file of the dataset")
        say(f"{hub}: in {hub.fetch()}; `optical-workbench data show {hub}` shows it")
        return
    from engine.cli.download_progress import DownloadProgress
    from engine.datahome.fetch import fetch_dataset
    from engine.datahome.published import published_data

    known = published_data()
    if name not in known:
        if name.startswith("package:"):
            raise InputError(f"{name} is a package; install it with: pip install {name.partition(':')[2]}")
        raise InputError(
            f"there is no dataset {name!r} to fetch{nearest(name, list(known))}; choose one of "
            f"{', '.join(known)}"
        )
    published = known[name]
    codes = [language(code).code for code in languages]
    with DownloadProgress() as display:
        count = fetch_dataset(published, codes, display)
    say(f"{counted(count, 'new file')} of {name} in {published.place}; licence: {published.licence}")
    if published.remark:
        say(f"note: {published.remark}")


@data.command("check")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--language", "languages", multiple=True, metavar="CODE", help="Only this language.")
@data_option
@json_option
def check_command(names: tuple[str, ...], languages: tuple[str, ...], as_json: bool) -> None:
    """Read datasets completely and compare their counts with the published ones.

    Without a NAME all available data is read, which takes a minute or two. The command exits with status 1 if
    a dataset is damaged or incomplete, or differs from the published counts or contents.
    """
    chosen = _find(names)
    codes = [language(code).code for code in languages]
    checked: list[Checked] = []
    for dataset in chosen:
        if names and not dataset.files:
            raise InputError(f"{dataset.name} is not available on this machine; {dataset.advice}")
        # Without names, every dataset that has all the languages is read.
        if dataset.files and (names or all(code in dataset.files for code in codes)):
            say(f"reading {dataset.name}")
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
                f"there is no dataset {name!r}{nearest(name, list(known))}; choose one of {', '.join(known)}"
            )
    return [known[name] for name in names or known]


def _entry(dataset: Dataset) -> ListedData:
    published = dataset.published
    return {
        "name": dataset.name,
        "kind": dataset.kind,
        "available": bool(dataset.files),
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


def _presence(entry: ListedData) -> str:
    return ("yes" if entry["whole"] else "in part") if entry["available"] else "no"


def _languages(entry: ListedData) -> str:
    here, published = len(entry["languages"]), len(entry["published_languages"])
    if here and here < published:
        return f"{here} of {published}"
    return str(here or published or "")


def _distinct(dataset: Dataset) -> list[list[Path]]:
    """Return each list of files once; the languages of an unpacked archive share one list."""
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
