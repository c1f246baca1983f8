"""Encoders, collections and document vectors that were used last, so that they serve again at once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import torch

from engine.collections.base import Collection
from engine.collections.load import load_collections
from engine.config import CollectionConfig, TranslationConfig
from engine.encoders.encoder import Encoder
from engine.evaluation.finished_run import SavedEncoder
from engine.evaluation.query_translation import open_translator
from engine.paths import cache_home
from engine.reporting import SILENT, Reporter
from engine.retrieval.single import SingleSearch
from engine.retrieval.tokens import TokenStore
from engine.retrieval.vectors import cache_file, token_vectors
from engine.translation.translator import Translator

Value = TypeVar("Value")


class Shelf:
    """Keeps what was asked for last, by what it holds rather than by the run that brought it.

    Two runs whose documents come from one teacher therefore share the teacher and its vectors.

    Parameters
    ----------
    encoders : int
        Encoders kept: two students with a teacher each need four.
    documents : int
        Sets of document vectors kept; these take the most memory by far.
    """

    def __init__(self, encoders: int = 4, documents: int = 2) -> None:
        self._encoders: _Kept[Encoder] = _Kept(encoders)
        self._collections: _Kept[list[Collection]] = _Kept(8)
        self._documents: _Kept[SingleSearch] = _Kept(documents)
        self._translators: _Kept[Translator] = _Kept(1)

    def encoder(self, saved: SavedEncoder, reporter: Reporter = SILENT) -> Encoder:
        """Return the encoder `saved`, loaded if it is not here.

        Raises
        ------
        InputError
            If it cannot be loaded.
        """

        def load() -> Encoder:
            reporter.say(f"loading {saved.name} …")
            return saved.load()

        return self._encoders.get(saved.key(), load)

    def collections(self, config: CollectionConfig, seed: int) -> list[Collection]:
        """Return the collections that `config` names.

        Raises
        ------
        InputError
            If something of them is missing or is not what it should be.
        """
        key = f"{seed} {config.model_dump_json()}"
        return self._collections.get(key, lambda: load_collections(config, seed))

    def translator(self, config: TranslationConfig) -> Translator:
        """Return the translator that `config` describes.

        Raises
        ------
        InputError
            If it cannot be opened.
        """
        return self._translators.get(config.model_dump_json(), lambda: open_translator(config))

    def documents(
        self,
        encoder: Encoder,
        texts: Sequence[str],
        precision: torch.dtype,
        name: str,
        reporter: Reporter = SILENT,
        *,
        changed: tuple[str, Callable[[TokenStore], TokenStore]] | None = None,
    ) -> SingleSearch:
        """Return the token vectors of `texts`, ready to be searched; `name` is told while they are made.

        `changed` is a name for what is done to the vectors before they are searched, and what does it.
        """
        folder = cache_home() / "vectors"
        key = str(cache_file(folder, "tokens", encoder, texts, "passage", precision))
        if changed is not None:
            key += f" {changed[0]}"

        def make() -> SingleSearch:
            reporter.stage(f"{name}: documents", len(texts))
            store = token_vectors(
                encoder, texts, "passage", precision=precision, cache=folder, progress=reporter.advance
            )
            return SingleSearch(store if changed is None else changed[1](store))

        return self._documents.get(key, make)


class _Kept(Generic[Value]):
    """The values that were asked for last, at most `most`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[str, Value] = OrderedDict()

    def get(self, key: str, make: Callable[[], Value]) -> Value:
        """Return the value of `key`; a new one takes the place of the one unused for longest."""
        if key not in self._values:
            # Room first: the old and the new together may not fit into memory.
            while len(self._values) >= self._most:
                self._values.popitem(last=False)
            self._values[key] = make()
        self._values.move_to_end(key)
        return self._values[key]
