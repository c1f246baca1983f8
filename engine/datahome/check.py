"""Reading data at hand to its end: what is in it, and whether that is what was published."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.bitext.drops import Drops
from engine.collections.folder import load_folder
from engine.collections.lareqa import load_lareqa
from engine.collections.tatoeba import load_tatoeba
from engine.datahome.count import line_counts, mewsli_x_counts
from engine.datahome.datasets import Dataset, open_pairs
from engine.datahome.resource import Counts
from engine.datahome.resources import checksums
from engine.errors import InputError


@dataclass
class Checked:
    """What reading one language of a dataset showed.

    Attributes
    ----------
    dataset, language : str
        The dataset's name and the language's code.
    read, kept : int
        Entries read, and those that a run would use.
    dropped : dict of str to int
        Why the others are dropped.
    counts : dict of str to int
        What was counted: questions, pairs, documents.
    published : dict of str to int
        Those counts as they were published or recorded.
    problem : str
        What is wrong; empty if all is well.
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
    """Read a dataset, in `languages` (codes) alone if there are any, and yield what each language showed.

    Raises
    ------
    InputError
        If it does not have one of `languages`.
    """
    codes = list(dict.fromkeys(languages)) or list(dataset.files)
    for code in codes:
        if code not in dataset.files:
            raise InputError(f"{dataset.name} has no {code!r}; it has {', '.join(dataset.files)}")
    if dataset.reader in _TOGETHER:
        yield from _checked_together(dataset, codes, _TOGETHER[dataset.reader])
        return
    for code in codes:
        checked = Checked(dataset.name, code)
        try:
            if dataset.kind != "collection":
                _read(dataset, code, checked)
            elif dataset.reader == "tatoeba":
                checked.counts["pairs"] = len(load_tatoeba(dataset.place(), [code])[0].queries)
            else:
                _count_lines(dataset, code, checked)
        except InputError as error:
            checked.problem = str(error)
        yield _compared(dataset, checked)


def _checked_together(
    dataset: Dataset, codes: Sequence[str], count: Callable[[Path], Counts]
) -> Iterator[Checked]:
    """Check a collection whose languages are read as one: what breaks one breaks it."""
    try:
        counts = count(dataset.place())
    except InputError as error:
        yield Checked(dataset.name, "all", problem=str(error))
        return
    shared = {what: by_code["all"] for what, by_code in counts.items() if "all" in by_code}
    if shared and dataset.resource is not None:
        yield _compared(dataset, Checked(dataset.name, "all", counts=shared))
        shared = {}
    for code in codes:
        own = {what: by_code.get(code, 0) for what, by_code in counts.items() if "all" not in by_code}
        yield _compared(dataset, Checked(dataset.name, code, counts=own | shared))


def _lareqa(folder: Path) -> dict[str, Counter[str]]:
    collection = load_lareqa(folder)
    return {
        "questions": Counter(query.language for query in collection.queries),
        "sentences": Counter(document.language for document in collection.documents),
    }


def _folder(folder: Path) -> dict[str, Counter[str]]:
    collection = load_folder(folder)
    return {
        "topics": Counter(query.language for query in collection.queries),
        "documents": Counter(all=len(collection.documents)),
    }


_TOGETHER: dict[str, Callable[[Path], Counts]] = {
    "lareqa": _lareqa,
    "folder": _folder,
    "mewsli-x": mewsli_x_counts,
}


def _read(dataset: Dataset, code: str, checked: Checked) -> None:
    """Read bitext or catalogues as a run would."""
    drops = Drops()
    try:
        for _ in open_pairs(dataset, code, drops):
            pass
    finally:
        checked.read, checked.kept, checked.dropped = drops.read, drops.kept, drops.reasons()
        checked.counts["pairs"] = drops.read - drops.wrong_language


def _count_lines(dataset: Dataset, code: str, checked: Checked) -> None:
    """Count the lines of a collection's files, which is all that the largest need."""
    resource = dataset.resource
    if resource is None:
        return
    place = dataset.place()
    files = [(file.relative_to(place).as_posix(), file) for file in dataset.files[code]]
    checked.counts = line_counts(dataset.name, code, files)
    missing = [
        remote.path
        for remote in resource.remotes
        if remote.language in ("", code) and not (place / remote.path).exists()
    ]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        checked.problem = f"{missing[0]}{more} is missing; optical-workbench data fetch {dataset.name}"


def _compared(dataset: Dataset, checked: Checked) -> Checked:
    """Return `checked` with the published counts, and a problem noted if it differs from them."""
    code = checked.language
    if dataset.manifest is not None and code in dataset.manifest.languages:
        checked.published = dict(dataset.manifest.languages[code].counts)
    elif dataset.resource is not None:
        known = dataset.resource.counts
        checked.published = {what: counts[code] for what, counts in known.items() if code in counts}
    if checked.kept == checked.read == 0:
        checked.read = checked.kept = next(iter(checked.counts.values()), 0)
    for what, count in checked.counts.items():
        published = checked.published.get(what, count)
        if not checked.problem and count != published:
            verb, again = ("imported", "import") if dataset.manifest else ("published", "fetch")
            checked.problem = f"it has {count:,} {what} and was {verb} with {published:,}; {again} it again"
    if not checked.problem:
        checked.problem = _changed(dataset, code)
    return checked


def _changed(dataset: Dataset, code: str) -> str:
    """Return which file of a language has other bytes than were published, where these are known."""
    known = checksums().get(dataset.folder, {}) if dataset.resource else {}
    for file in dataset.files.get(code, ()):
        _, published = known.get(file.name, (0, ""))
        if published and hashlib.sha256(file.read_bytes()).hexdigest() != published:
            return f"{file.name} is not the published file, though its counts are right; fetch it again"
    return ""
