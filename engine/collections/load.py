"""From a configuration to the collections it names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from engine.bitext.files import find
from engine.bitext.reader import normalise
from engine.bitext.source import read_source
from engine.collections.african import AFRICLIRMATRIX, CIRAL, load_african
from engine.collections.base import Collection
from engine.collections.bitext import make_bitext_collection
from engine.collections.folder import load_folder
from engine.collections.ir_datasets_families import FAMILIES
from engine.collections.ir_datasets_reader import load_dataset, load_family
from engine.collections.lareqa import load_lareqa, load_lareqa_monolingual
from engine.collections.mewsli_x import load_mewsli_x
from engine.collections.tatoeba import english_sentences, load_tatoeba, read_lines
from engine.config import CollectionConfig
from engine.errors import InputError
from engine.extensions.bitext import SentencePair
from engine.languages import language, same_language

_FOLDERS = {"lareqa": "xquad-r"}


def load_collections(config: CollectionConfig, seed: int = 0) -> list[Collection]:
    """Read the collections that `config` names; relative paths lie in the working folder or the data home.

    Parameters
    ----------
    config : CollectionConfig
    seed : int
        Draws the pairs of bitext sources with a limit.

    Returns
    -------
    list of Collection
        One for each pool: LAReQA's languages share one unless each has its own, Tatoeba's have one each,
        bitext's share the English one and have one each in the other direction, and of others each
        language of documents has one, except where the protocol puts them together.

    Raises
    ------
    InputError
        When something is missing or is not what it should be.
    """
    if config.name == "bitext":
        loaded = _bitext(config, seed)
    elif config.name in FAMILIES:
        loaded = load_family(
            config.name,
            config.languages,
            config.document_languages,
            config.split,
            config.pool,
            config.pool_limit,
        )
    elif config.name == "ir-datasets":
        loaded = [
            load_dataset(str(config.dataset), config.languages, config.document_languages, config.pool_limit)
        ]
    else:
        loaded = _from_folder(config, find(config.path or _FOLDERS.get(config.name, config.name)))
    if config.label:
        # Collections of one entry may be told apart by what stands behind its name.
        loaded = [
            collection.named(config.label + collection.name.removeprefix(config.name))
            for collection in loaded
        ]
    return loaded if config.limit is None else [collection.first(config.limit) for collection in loaded]


def _from_folder(config: CollectionConfig, folder: Path) -> list[Collection]:
    if config.name in ("lareqa", "mlqa-r"):
        if config.pool == "all":
            loaded = [load_lareqa(folder, config.languages, config.document_languages)]
        else:
            loaded = load_lareqa_monolingual(folder, config.languages)
        return [collection.named(config.name) for collection in loaded]
    if config.name == "tatoeba":
        return [
            collection
            for direction in config.directions
            for collection in load_tatoeba(folder, config.languages, direction)
        ]
    documents, split, limit = config.document_languages, config.split, config.pool_limit
    if config.name == "mewsli-x":
        return [load_mewsli_x(folder, config.languages, documents, split, limit)]
    if config.name == "folder":
        return [load_folder(folder, split, config.languages, documents, limit)]
    published = CIRAL if config.name == "ciral" else AFRICLIRMATRIX
    if any(language(code).code != "en" for code in config.languages):
        raise InputError(f"{published.title} asks in English; name the documents' in document_languages")
    return load_african(published, folder, documents, split, limit)


def _bitext(config: CollectionConfig, seed: int) -> list[Collection]:
    wanted = {language(code) for code in config.languages}
    sources = [source for source in config.bitext if not wanted or language(source.language) in wanted]
    found = {language(source.language) for source in sources}
    if missing := wanted - found:
        names = ", ".join(sorted(entry.code for entry in missing))
        raise InputError(
            f"no [[bitext]] source of the collection is in {names}; add one or drop the language"
        )
    pairs: dict[str, list[SentencePair]] = {source.language: [] for source in sources}
    for source in sources:
        pairs[source.language] += read_source(source, seed)
    told = ", ".join(dict.fromkeys(source.path for source in sources))
    collections = []
    if "xx-en" in config.directions:
        everything = [pair for some in pairs.values() for pair in some]
        distractors = _distractors(config, everything[0].target_language, seed)
        collections.append(make_bitext_collection("bitext", everything, "xx-en", distractors, told))
        if config.upper_line:
            first = pairs[sources[0].language]
            itself = [
                replace(pair, source=pair.target, source_language=pair.target_language) for pair in first
            ]
            pool = [document.text for document in collections[0].documents]
            collections.append(make_bitext_collection("bitext-upper-line", itself, "xx-en", pool, told))
    if "en-xx" in config.directions:
        collections += [make_bitext_collection("bitext", some, "en-xx", (), told) for some in pairs.values()]
    return collections


def _distractors(config: CollectionConfig, documents: str, seed: int) -> list[str]:
    """Return the sentences that join the English pool: of bitext first, then of Tatoeba and files."""
    sentences: list[str] = []
    for source in config.distractor_bitext:
        if not same_language(source.target_language, documents):
            raise InputError(
                f"distractors are in {source.target_language!r} and the documents in {documents!r}",
                path=source.path,
            )
        sentences += [pair.target for pair in read_source(source, seed)]
    for name in config.distractors:
        place: Path = find(name)
        sentences += english_sentences(place) if place.is_dir() else read_lines(place)
    return [normalise(sentence) for sentence in sentences]
