"""The data sets that are known: published ones, imported ones, and catalogues in installed packages."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from engine.bitext.drops import Drops
from engine.bitext.files import find
from engine.bitext.reader import open_bitext
from engine.datahome.manifest import MANIFEST, Manifest, manifests
from engine.errors import InputError
from engine.extensions.bitext import SentencePair
from engine.extensions.collections import COLLECTIONS
from engine.extensions.published import PUBLISHED_BITEXT, DataKind, PublishedData
from engine.languages import language, names_language

#: Packages with catalogues that are listed even if they are not installed.
_PACKAGES = ("django", "pycountry")


@dataclass
class Dataset:
    """A data set.

    Attributes
    ----------
    name : str
        Its name in the commands; for catalogues also the value of `path` in a ``[[bitext]]`` table.
    kind : {"collection", "bitext", "catalogues"}
        What it is for.
    folder : str
        Its folder in the working folder or the data home; empty for the catalogues of a package.
    licence, source : str
        Its terms, and where it comes from.
    advice : str
        How to get it.
    collection : str
        Value of ``name`` in ``[[collections]]``; empty if it is no collection.
    files : dict
        Its local files by language code; empty if it is not available locally.
    unknown_locales : list of str
        Locales in it that are no known language.
    published : PublishedData, optional
        What is published of it.
    manifest : Manifest, optional
        What was recorded when it was imported.
    """

    name: str
    kind: DataKind
    folder: str
    licence: str
    source: str
    advice: str
    collection: str = ""
    files: dict[str, list[Path]] = field(default_factory=dict)
    unknown_locales: list[str] = field(default_factory=list)
    published: PublishedData | None = None
    manifest: Manifest | None = None

    def add(self, locale: str, file: Path) -> None:
        """Add `file` to those of the language that `locale` means."""
        try:
            self.files.setdefault(language(locale).code, []).append(file)
        except InputError:
            if locale not in self.unknown_locales:
                self.unknown_locales.append(locale)

    def place(self) -> Path:
        """Return its folder.

        Raises
        ------
        InputError
            If it is not available locally.
        """
        if self.manifest is not None:
            return self.manifest.folder
        if self.published is not None and self.published.shared:
            return self.published.place
        return find(self.folder)

    @property
    def complete(self) -> bool:
        """Whether documents that are published separately are available locally too."""
        documents = self.published.documents if self.published else ""
        return bool(self.files) and (not documents or any(self.place().glob(documents)))

    def path(self, code: str) -> str:
        """Return the value of `path` in a configuration for the language `code`."""
        if self.manifest is not None:
            return self.manifest.path(code)
        if self.kind == "bitext":
            return f"{self.folder}/{self.files[code][0].name}"
        return self.folder or self.name


def datasets(*, catalogues: bool = True) -> list[Dataset]:
    """Return every known data set with its local files.

    Parameters
    ----------
    catalogues : bool
        Whether to look for catalogues in all installed packages, which takes a second.
    """
    known = [
        _published(reader.published, "collection", reader.name)
        for reader in COLLECTIONS.values()
        if reader.published is not None
    ]
    known += [_published(data, "bitext") for data in PUBLISHED_BITEXT.values()]
    known += [_imported(manifest) for manifest in manifests()]
    return known + (_packages() if catalogues else [])


def open_pairs(dataset: Dataset, code: str, drops: Drops | None = None) -> Iterator[SentencePair]:
    """Open one language of local bitext or catalogues, as a run reads it.

    Raises
    ------
    InputError
        As `engine.bitext.reader.open_bitext`.
    """
    if dataset.manifest is not None:
        reader = dataset.manifest.reader
        target = dataset.manifest.languages[code].target_language
        path = dataset.manifest.folder / dataset.manifest.languages[code].path
        return open_bitext(path, format=reader, language=code, target_language=target, drops=drops)
    whole: str | Path = dataset.files[code][0] if dataset.kind == "bitext" else dataset.name
    return open_bitext(whole, language=code, drops=drops)


def _published(data: PublishedData, kind: DataKind, collection: str = "") -> Dataset:
    advice = f"optical-workbench data fetch {data.name}" if data.published_files else data.remark
    dataset = Dataset(
        data.name, kind, data.folder, data.licence, data.source, advice, collection, published=data
    )
    try:
        place = dataset.place()
    except InputError:
        return dataset
    if not place.is_dir() or (place / MANIFEST).exists():
        return dataset
    if data.language_of is not None:
        for file in sorted(place.iterdir()):
            if locale := data.language_of(file.name):
                dataset.add(locale, file)
        return dataset
    for published in data.published_files:
        local = place / published.path
        if published.archive and local.is_dir():
            unpacked = sorted(file for file in local.rglob("*") if file.is_file())
            for code in data.languages if unpacked else ():
                dataset.files[code] = unpacked
        elif published.language and local.is_file():
            dataset.files.setdefault(published.language, []).append(local)
    return dataset


def _imported(manifest: Manifest) -> Dataset:
    dataset = Dataset(
        manifest.name,
        manifest.kind,
        manifest.name,
        "",
        f"imported, {manifest.format}",
        "optical-workbench data import",
        manifest.reader if manifest.kind == "collection" else "",
        manifest=manifest,
    )
    for code, part in manifest.languages.items():
        dataset.files[code] = [manifest.folder / name for name in part.files]
    return dataset


def _packages() -> list[Dataset]:
    """Return the installed packages with catalogues, by name, and `_PACKAGES`."""
    found: dict[str, Dataset] = {}
    for distribution in importlib.metadata.distributions():
        name = re.sub(r"[-_.]+", "-", str(distribution.metadata["Name"])).lower()
        for locale, file in _catalogue_files(distribution):
            dataset = found.setdefault(name, _package(name, distribution))
            dataset.add(locale, file)
    for name in _PACKAGES:
        found.setdefault(name, _package(name, None))
    return [found[name] for name in sorted(found)]


def _catalogue_files(distribution: importlib.metadata.Distribution) -> Iterator[tuple[str, Path]]:
    """Yield the catalogues of a package, each with its locale."""
    record = distribution.read_text("RECORD")
    if record is not None and "LC_MESSAGES" not in record:
        return  # parsing the lists of files of all packages would take a second
    catalogues = [file for file in distribution.files or () if file.suffix in (".po", ".mo")]
    translated = {str(file) for file in catalogues if file.suffix == ".po"}
    for file in catalogues:
        # Catalogues are in <locale>/LC_MESSAGES. A compiled one next to its source has the same contents.
        parts = file.parts
        if "LC_MESSAGES" not in parts[1:] or str(file.with_suffix(".po")) in translated - {str(file)}:
            continue
        locale = parts[parts.index("LC_MESSAGES") - 1]
        if not names_language(locale, "en"):  # the messages themselves are in English
            yield locale, Path(str(distribution.locate_file(file)))


def _package(name: str, distribution: importlib.metadata.Distribution | None) -> Dataset:
    licence, source = "", "PyPI"
    if distribution is not None:
        facts = distribution.metadata
        classifiers = [text for text in facts.get_all("Classifier") or () if text.startswith("License ::")]
        given = [*(facts.get_all("License-Expression") or ()), *(facts.get_all("License") or ()), ""]
        written = given[0].strip()
        # Some packages have the whole text of the licence there.
        brief = written if written and "\n" not in written and len(written) < 60 else ""
        licence = brief or ", ".join(text.rpartition(" :: ")[2] for text in classifiers)
        source = f"{facts['Name']} {distribution.version}, PyPI"
    return Dataset(f"package:{name}", "catalogues", "", licence, source, f"pip install {name}")
