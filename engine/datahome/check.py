"""Checking local data: reading it completely and comparing its counts with the published ones."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.bitext.drops import Drops
from engine.collections.load import load_collections
from engine.collections.recognition import count_published_lines
from engine.config import CollectionConfig
from engine.datahome.datasets import Dataset, open_pairs
from engine.errors import InputError
from engine.extensions.collections import COLLECTIONS
from engine.extensions.published import Counts


@dataclass
class Checked:
    """Result of reading one language of a data set.

    Attributes
    ----------
    dataset, language : str
        Name of the data set, and code of the language.
    read, kept : int
        Number of entries read, and of those that a run would use.
    dropped : dict of str to int
        Numbers of the others, by the reason for dropping them.
    counts : dict of str to int
        Numbers of questions, pairs, documents and the like.
    published : dict of str to int
        The same numbers as published, or as recorded when the data was imported.
    problem : str
        What is wrong; empty if nothing is.
    """

    dataset: str
    language: str
    read: int = 0
    kept: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    published: dict[str, int] = field(default_factory=dict)
    problem: str = ""


def check(dataset: Dataset, languages: Sequence[str] = ()) -> Iterator[Checked]:
    """Read a data set and yield the result for each language.

    Parameters
    ----------
    dataset : Dataset
    languages : sequence of str
        Codes of the languages to read; empty reads all.

    Raises
    ------
    InputError
        If it does not have one of `languages`.
    """
    codes = list(dict.fromkeys(languages)) or list(dataset.files)
    for code in codes:
        if code not in dataset.files:
            raise InputError(f"{dataset.name} has no {code!r}; it has {', '.join(dataset.files)}")
    reader = COLLECTIONS.get(dataset.collection)
    if reader is not None and reader.layout.usage is not None and dataset.manifest is not None:
        usage = reader.layout.usage(dataset.place(), dataset.manifest.languages)
        settings = {"name": reader.name, "path": str(dataset.place()), **usage}
        config = CollectionConfig.model_validate(settings)
        yield from _check_together(dataset, codes, lambda _: _count_collection(config))
        return
    if reader is not None and reader.layout.count is not None:
        yield from _check_together(dataset, codes, reader.layout.count)
        return
    for code in codes:
        checked = Checked(dataset.name, code)
        try:
            if dataset.kind != "collection":
                _read_pairs(dataset, code, checked)
            elif reader is not None and reader.layout.count_language is not None:
                checked.counts.update(reader.layout.count_language(dataset.place(), code))
            else:
                _count_lines(dataset, code, checked)
        except InputError as error:
            checked.problem = str(error)
        yield _compare(dataset, checked)


def _count_collection(config: CollectionConfig) -> Counts:
    """Count a collection as a run reads it."""
    loaded = load_collections(config)
    return {
        "topics": Counter(query.language for collection in loaded for query in collection.queries),
        "documents": {"all": sum(len(collection.documents) for collection in loaded)},
    }


def _check_together(
    dataset: Dataset, codes: Sequence[str], count: Callable[[Path], Counts]
) -> Iterator[Checked]:
    """Check a collection whose languages are read together, so that an error in one is an error in all."""
    try:
        counts = count(dataset.place())
    except InputError as error:
        yield Checked(dataset.name, "all", problem=str(error))
        return
    shared = {what: by_code["all"] for what, by_code in counts.items() if "all" in by_code}
    if shared and dataset.published is not None:
        yield _compare(dataset, Checked(dataset.name, "all", counts=shared))
        shared = {}
    for code in codes:
        own = {what: by_code.get(code, 0) for what, by_code in counts.items() if "all" not in by_code}
        yield _compare(dataset, Checked(dataset.name, code, counts=own | shared))


def _read_pairs(dataset: Dataset, code: str, checked: Checked) -> None:
    """Read bitext or catalogues as a run would."""
    drops = Drops()
    try:
        for _ in open_pairs(dataset, code, drops):
            pass
    finally:
        checked.read, checked.kept, checked.dropped = drops.read, drops.kept, drops.counts()
        checked.counts["pairs"] = drops.read - drops.wrong_language


def _count_lines(dataset: Dataset, code: str, checked: Checked) -> None:
    """Count the lines of a collection's files; large collections are not parsed."""
    published = dataset.published
    if published is None:
        return
    place = dataset.place()
    files = [(file.relative_to(place).as_posix(), file) for file in dataset.files[code]]
    checked.counts = count_published_lines(published, code, files)
    missing = [
        file.path
        for file in published.published_files
        if file.language in ("", code) and not (place / file.path).exists()
    ]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        checked.problem = f"{missing[0]}{more} is missing; optical-workbench data fetch {dataset.name}"


def _compare(dataset: Dataset, checked: Checked) -> Checked:
    """Return `checked` with the published counts, and with a problem if its counts differ from them."""
    code = checked.language
    if dataset.manifest is not None and code in dataset.manifest.languages:
        checked.published = dict(dataset.manifest.languages[code].counts)
    elif dataset.published is not None:
        known = dataset.published.published_counts
        checked.published = {what: counts[code] for what, counts in known.items() if code in counts}
    if checked.kept == checked.read == 0:
        checked.read = checked.kept = next(iter(checked.counts.values()), 0)
    for what, count in checked.counts.items():
        published = checked.published.get(what, count)
        if not checked.problem and count != published:
            verb, again = ("imported", "import") if dataset.manifest else ("published", "fetch")
            checked.problem = f"it has {count:,} {what} and was {verb} with {published:,}; {again} it again"
    if not checked.problem:
        checked.problem = _changed_file(dataset, code)
    return checked


def _changed_file(dataset: Dataset, code: str) -> str:
    """Return a problem if a file differs from the published one, where a SHA-256 checksum is known."""
    published = dataset.published.published_files if dataset.published else ()
    checksums = {file.path: file.checksum for file in published if file.checksum.startswith("sha256:")}
    for file in dataset.files.get(code, ()):
        checksum = checksums.get(file.name)
        if checksum and checksum != f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}":
            return f"{file.name} is not the published file, although its counts are right; fetch it again"
    return ""
