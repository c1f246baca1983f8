"""Translate a collection's queries before they are searched for."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import torch

from engine.collections.base import Collection
from engine.collections.human_translations import human_translations
from engine.config import CollectionConfig
from engine.config.translation import GOLD, TranslationConfig
from engine.counted import counted
from engine.paths import cache_home
from engine.reporting import Reporter
from engine.results.tables import TABLES
from engine.translation.translator import Translator


def open_translator(config: TranslationConfig, device: torch.device | str = "cpu") -> Translator:
    """Open the checkpoint of `config` with the cache of translations.

    Raises
    ------
    InputError
        If it cannot be opened.
    """
    return Translator(config, cache=cache_home() / "translations", device=device)


class QueryTranslation:
    """Translates the queries of collections by a checkpoint, or looks up their human translations.

    Parameters
    ----------
    config : TranslationConfig
    seed : int
        The seed with which the collections were loaded.
    device : torch.device
        Device of the checkpoint, which is opened when first needed.
    reporter : Reporter
    """

    def __init__(
        self, config: TranslationConfig, seed: int, device: torch.device, reporter: Reporter
    ) -> None:
        self.config, self.seed, self.device, self.reporter = config, seed, device, reporter
        self._translator: Translator | None = None

    def queries(self, collection: Collection, entry: CollectionConfig) -> list[str]:
        """Return the translations of the queries of `collection`, which `entry` configures, in their order.

        Raises
        ------
        InputError
            If the checkpoint cannot be opened or does not know a language, or there is no human translation.
        """
        config = self.config
        if config.checkpoint == GOLD:
            return human_translations(collection, entry, config.target_language, self.seed)
        if self._translator is None:
            self._translator = open_translator(config, self.device)
        translator = self._translator
        self.reporter.stage(f"{collection.name}: translation of queries", len(collection.queries))
        found: dict[str, str] = {}
        before = translator.cut
        for code in collection.query_languages:
            asked = [query for query in collection.queries if query.language == code]
            texts = translator.translate([query.text for query in asked], code, self.reporter.advance)
            found |= {query.id: text for query, text in zip(asked, texts, strict=True)}
        if translator.cut > before:
            self.reporter.say(
                f"{counted(translator.cut - before, 'query', 'queries')} of {collection.name} cut to "
                f"translation.max_length = {config.max_length} tokens"
            )
        return [found[query.id] for query in collection.queries]


def translation_table(collection: Collection, translations: Sequence[str], target: str) -> pa.Table:
    """Return the translations that differ from their query as rows of the table ``texts``."""
    changed = [
        (query.id, text)
        for query, text in zip(collection.queries, translations, strict=True)
        if query.text != text
    ]
    return pa.table(
        {
            "collection": [collection.name] * len(changed),
            "revision": [collection.revision] * len(changed),
            "role": ["translation"] * len(changed),
            "id": [identifier for identifier, _ in changed],
            "language": [target] * len(changed),
            "text": [text for _, text in changed],
        },
        schema=TABLES["texts"],
    )
