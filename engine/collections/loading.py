"""From a configuration to the collections it names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from engine.bitext.files import find
from engine.bitext.pairs import SentencePair
from engine.bitext.reader import normalise
from engine.bitext.source import read_source
from engine.collections.base import Collection
from engine.collections.bitext import make_bitext_collection
from engine.collections.lareqa import load_lareqa, load_lareqa_monolingual
from engine.collections.tatoeba import english_sentences, load_tatoeba, read_lines
from engine.config import CollectionConfig
from engine.errors import InputError
from engine.languages import language, same_language

_FOLDERS = {"lareqa": "xquad-r", "tatoeba": "tatoeba"}


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
        bitext's share the English one and have one each in the other direction.

    Raises
    ------
    InputError
        When something is missing or is not what it should be.
    """
    if config.name == "bitext":
        loaded = _bitext(config, seed)
    else:
        folder = find(config.path or _FOLDERS[config.name])
        if config.name == "lareqa":
            if config.pool == "all":
                loaded = [load_lareqa(folder, config.languages)]
            else:
                loaded = load_lareqa_monolingual(folder, config.languages)
        else:
            loaded = [
                collection
                for direction in config.directions
                for collection in load_tatoeba(folder, config.languages, direction)
            ]
    if config.label:
        loaded = [
            collection.named(collection.name.replace("bitext", config.label, 1))
            if config.name == "bitext"
            else collection.named(config.label)
            for collection in loaded
        ]
    return loaded if config.limit is None else [collection.first(config.limit) for collection in loaded]


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
