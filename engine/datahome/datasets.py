"""Which data is at hand: what is published, what people imported, and what installed packages carry."""

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
from engine.datahome.resource import Kind, Resource
from engine.datahome.resources import resources
from engine.errors import InputError
from engine.extensions.bitext import SentencePair
from engine.languages import LANGUAGES, language, names_language

#: Packages with catalogues that are worth naming where they are not installed.
_CATALOGUES = ("django", "pycountry")

_TATOEBA = {entry.tatoeba: entry.code for entry in LANGUAGES if entry.tatoeba}

#: How the languages of the files in a folder are told where more than the published ones may lie there.
_NAMES = {
    "lareqa": r"(?P<language>[\w-]+)\.json",
    "mlqa-r": r"(?P<language>[\w-]+)\.json",
    "tatoeba": r"tatoeba\.(?P<language>\w+)-eng\.((?P=language)|eng)",
    "tico-19": r"all\.en-(?P<language>[\w-]+)\.tmx\.zip",
}


@dataclass
class Dataset:
    """One set of data.

    Attributes
    ----------
    name : str
        Its name in the commands; that of catalogues is also what a [[bitext]] source's `path` takes.
    kind : {"collection", "bitext", "catalogues"}
        What it is for.
    folder : str
        Its folder in the working folder or the data home; empty for a package's catalogues.
    licence, source : str
        Its terms, and where it comes from.
    advice : str
        How to get it.
    files : dict
        Its files by language code; empty when it is not at hand.
    others : list of str
        Locales in it that no known language has.
    resource : Resource, optional
        What is known of it as published.
    manifest : Manifest, optional
        What was recorded when it was imported.
    """

    name: str
    kind: Kind
    folder: str
    licence: str
    source: str
    advice: str
    files: dict[str, list[Path]] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    resource: Resource | None = None
    manifest: Manifest | None = None

    def add(self, locale: str, file: Path) -> None:
        """Count `file` among those of the language that `locale` names."""
        try:
            self.files.setdefault(language(locale).code, []).append(file)
        except InputError:
            if locale not in self.others:
                self.others.append(locale)

    @property
    def reader(self) -> str:
        """What ``name`` in ``[[collections]]`` is for it; empty for what is no collection."""
        if self.kind != "collection":
            return ""
        if self.manifest is not None:
            return self.manifest.reader
        return self.resource.collection if self.resource else ""

    def place(self) -> Path:
        """Return the folder that it lies in.

        Raises
        ------
        InputError
            If it is not at hand.
        """
        if self.manifest is not None:
            return self.manifest.folder
        if self.resource is not None and self.resource.shared:
            return self.resource.place
        return find(self.folder)

    @property
    def whole(self) -> bool:
        """Whether there is more of it at hand than topics and judgements."""
        documents = self.resource.documents if self.resource else ""
        return bool(self.files) and (not documents or any(self.place().glob(documents)))

    def path(self, code: str) -> str:
        """Return what `path` in a configuration is for one language of it."""
        if self.manifest is not None:
            return self.manifest.path(code)
        if self.kind == "bitext":
            return f"{self.folder}/{self.files[code][0].name}"
        return self.folder or self.name


def datasets(*, catalogues: bool = True) -> list[Dataset]:
    """Return every dataset known, at hand or not, with its files; all installed packages only if asked."""
    known = [_published(resource) for resource in resources().values()]
    known += [_imported(manifest) for manifest in manifests()]
    return known + (_packages() if catalogues else [])


def open_pairs(dataset: Dataset, code: str, drops: Drops | None = None) -> Iterator[SentencePair]:
    """Open one language of bitext or catalogues at hand as a run would read it.

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


def _published(resource: Resource) -> Dataset:
    advice = f"optical-workbench data fetch {resource.name}" if resource.remotes else resource.remark
    dataset = Dataset(
        resource.name,
        resource.kind,
        resource.folder,
        resource.licence,
        resource.source,
        advice,
        resource=resource,
    )
    try:
        place = dataset.place()
    except InputError:
        return dataset
    if not place.is_dir() or (place / MANIFEST).exists():
        return dataset
    if pattern := _NAMES.get(resource.name):
        for file in sorted(place.iterdir()):
            if found := re.fullmatch(pattern, file.name):
                locale = found["language"]
                dataset.add(_TATOEBA.get(locale, locale) if resource.name == "tatoeba" else locale, file)
        return dataset
    for remote in resource.remotes:
        here = place / remote.path
        if remote.archive and here.is_dir():
            inside = sorted(file for file in here.rglob("*") if file.is_file())
            for code in resource.languages if inside else ():
                dataset.files[code] = inside
        elif remote.language and here.is_file():
            dataset.files.setdefault(remote.language, []).append(here)
    return dataset


def _imported(manifest: Manifest) -> Dataset:
    dataset = Dataset(
        manifest.name,
        manifest.kind,
        manifest.name,
        "",
        f"imported, {manifest.format}",
        "optical-workbench data import",
        manifest=manifest,
    )
    for code, part in manifest.languages.items():
        dataset.files[code] = [manifest.folder / name for name in part.files]
    return dataset


def _packages() -> list[Dataset]:
    """Return the installed packages that carry catalogues, by name, and those worth installing for them."""
    found: dict[str, Dataset] = {}
    for distribution in importlib.metadata.distributions():
        name = re.sub(r"[-_.]+", "-", str(distribution.metadata["Name"])).lower()
        for locale, file in _catalogue_files(distribution):
            dataset = found.setdefault(name, _package(name, distribution))
            dataset.add(locale, file)
    for name in _CATALOGUES:
        found.setdefault(name, _package(name, None))
    return [found[name] for name in sorted(found)]


def _catalogue_files(distribution: importlib.metadata.Distribution) -> Iterator[tuple[str, Path]]:
    """Yield the catalogues of a package, each with its locale."""
    record = distribution.read_text("RECORD")
    if record is not None and "LC_MESSAGES" not in record:
        return  # most packages: parsing their lists of files takes a second in all
    catalogues = [file for file in distribution.files or () if file.suffix in (".po", ".mo")]
    translated = {str(file) for file in catalogues if file.suffix == ".po"}
    for file in catalogues:
        # Catalogues lie in <locale>/LC_MESSAGES; a compiled one beside its source is the same again.
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
        # Some packages put the licence's whole text there.
        brief = written if written and "\n" not in written and len(written) < 60 else ""
        licence = brief or ", ".join(text.rpartition(" :: ")[2] for text in classifiers)
        source = f"{facts['Name']} {distribution.version}, PyPI"
    return Dataset(f"package:{name}", "catalogues", "", licence, source, f"pip install {name}")
