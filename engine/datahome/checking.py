"""Reading data at hand to its end: what is in it, and whether that is what was published."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.bitext.files import damage_named, find, open_bytes
from engine.bitext.pairs import Drops
from engine.bitext.reader import open_bitext
from engine.collections.lareqa import load_lareqa
from engine.collections.tatoeba import load_tatoeba
from engine.datahome.holdings import Dataset
from engine.datahome.resources import checksums
from engine.errors import InputError

#: What the lines of files are, by dataset; the files' paths are matched.
_LINES = {
    "africlirmatrix": {"topics": r"topics\..+", "judgements": r"qrels\..+"},
    "ciral": {
        "passages": r"passages.+",
        **{
            f"{what} ({part})": rf".+/{folder}\..+-{part}\.tsv"
            for part in ("dev", "test-a", "test-b")
            for what, folder in (("topics", "topics"), ("judgements", "qrels"))
        },
    },
    "mmarco": {"documents": r".+_collection\.tsv"},
    "miracl": {
        "documents": r".+/docs-\d+\.jsonl\.gz",
        "topics (dev)": r".+/dev/topics\.tsv",
        "judgements (dev)": r".+/dev/qrels\.tsv",
    },
    "neuclir": {"documents": r".+/docs\.jsonl\.gz"},
    "hc4": {"judgements (test)": r".+/test\.qrels.+"},
    "wikiclir": {"documents": r".+/wiki_{}\.documents", "judgements": r".+/en2{}\.rel"},
}

_MEWSLI = ("candidate_set_entities.jsonl", "wikinews_mentions{}-dev.jsonl", "wikinews_mentions{}-test.jsonl")


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
    if _reader(dataset) == "lareqa":
        yield from _check_lareqa(dataset, codes)
        return
    if dataset.name == "mewsli-x":
        yield from _check_mewsli(dataset, codes)
        return
    for code in codes:
        checked = Checked(dataset.name, code)
        try:
            if dataset.kind != "collection":
                _read(dataset, code, checked)
            elif dataset.name == "tatoeba":
                checked.counts["pairs"] = len(load_tatoeba(find(dataset.folder), [code])[0].queries)
            else:
                _count_lines(dataset, code, checked)
        except InputError as error:
            checked.problem = str(error)
        yield _compared(dataset, checked)


def _reader(dataset: Dataset) -> str:
    if dataset.manifest is not None:
        return dataset.manifest.reader if dataset.kind == "collection" else ""
    return dataset.resource.collection if dataset.resource else ""


def _read(dataset: Dataset, code: str, checked: Checked) -> None:
    """Read bitext or catalogues as a run would."""
    drops = Drops()
    path = dataset.files[code][0] if dataset.kind == "bitext" and not dataset.manifest else dataset.path(code)
    target = dataset.manifest.languages[code].target_language if dataset.manifest else "en"
    try:
        for _ in open_bitext(path, language=code, target_language=target, drops=drops):
            pass
    finally:
        checked.read, checked.kept, checked.dropped = drops.read, drops.kept, drops.reasons()
        checked.counts["pairs"] = drops.read


def _check_lareqa(dataset: Dataset, codes: Sequence[str]) -> Iterator[Checked]:
    """Read LAReQA, whose languages are one collection: what breaks one breaks it."""
    try:
        collection = load_lareqa(find(dataset.folder), codes)
    except InputError as error:
        yield Checked(dataset.name, "all", problem=str(error))
        return
    questions = Counter(query.language for query in collection.queries)
    sentences = Counter(document.language for document in collection.documents)
    for code in codes:
        counts = {"questions": questions[code], "sentences": sentences[code]}
        yield _compared(dataset, Checked(dataset.name, code, counts=counts))


def _check_mewsli(dataset: Dataset, codes: Sequence[str]) -> Iterator[Checked]:
    """Read Mewsli-X: candidates of all languages together, and mentions with or without their text."""
    folder = find(dataset.folder)
    candidates, *mentions = _MEWSLI
    everything = Checked(dataset.name, "all")
    found: dict[str, Counter[str]] = {}
    try:
        everything.counts["candidates"] = _lines(folder / candidates)
        for name in mentions:
            with_text, without = (folder / name.format(text) for text in ("", "_no_text"))
            part = "dev" if "dev" in name else "test"
            found[f"mentions ({part})"] = _mentions(with_text if with_text.exists() else without)
    except InputError as error:
        everything.problem = str(error)
        yield everything
        return
    yield _compared(dataset, everything)
    for code in codes:
        counts = {what: counter[code] for what, counter in found.items()}
        yield _compared(dataset, Checked(dataset.name, code, counts=counts))


def _mentions(file: Path) -> Counter[str]:
    counted: Counter[str] = Counter()
    with damage_named(file), file.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                article = json.loads(line)
                counted[str(article["context"]["language"])] += len(article["mentions"])
            except (ValueError, KeyError, TypeError) as error:
                raise InputError("this is no article of Mewsli-X", path=file, line=number) from error
    return counted


def _count_lines(dataset: Dataset, code: str, checked: Checked) -> None:
    """Count the lines of a collection's files, which is all that the largest need."""
    resource = dataset.resource
    assert resource is not None  # collections of other readers are counted above
    place = resource.place if resource.shared else find(dataset.folder)
    for what, pattern in _LINES[dataset.name].items():
        wanted = pattern.format(re.escape(code)) if "{}" in pattern else pattern
        for file in dataset.files[code]:
            if re.fullmatch(wanted, file.relative_to(place).as_posix()):
                checked.counts[what] = checked.counts.get(what, 0) + _lines(file)
    missing = [
        remote.path
        for remote in resource.remotes
        if remote.language in ("", code) and not (place / remote.path).exists()
    ]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        checked.problem = f"{missing[0]}{more} is missing; optical-workbench data fetch {dataset.name}"


def _lines(file: Path) -> int:
    """Return the number of lines of a file, a last one without an end included."""
    count, last = 0, b"\n"
    with damage_named(file), open_bytes(file) as stream:
        while block := stream.read(1 << 20):
            count += block.count(b"\n")
            last = block[-1:]
    return count + (last != b"\n")


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
            verb = "was imported" if dataset.manifest else "was published"
            checked.problem = f"it has {count:,} {what} and {verb} with {published:,}; fetch it again"
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
