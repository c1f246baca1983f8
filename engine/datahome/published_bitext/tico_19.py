"""TICO-19 (Anastasopoulos et al. 2020): 3,071 English sentences on COVID-19 in 35 languages, as TMX."""

from __future__ import annotations

import re

from engine.collections.checksums import published_file
from engine.extensions.published import Counts, PublishedData, PublishedFile
from engine.languages import language

#: The other languages of the translation memories with English, as the names of the files spell them.
_LOCALES = (
    *("ar", "bn", "ckb", "din", "es-LA", "fa", "fr", "fuv", "ha", "hi", "id", "km", "kr", "ku", "lg", "ln"),
    *("mr", "ms", "my", "ne", "nus", "om", "prs", "ps", "pt-BR", "ru", "rw", "so", "sw", "ta", "ti", "tl"),
    *("ur", "zh", "zu"),
)
_FILE_NAME = re.compile(r"all\.en-([\w-]+)\.tmx\.zip")


def _language_of(name: str) -> str | None:
    found = _FILE_NAME.fullmatch(name)
    return found[1] if found else None


def _files() -> list[PublishedFile]:
    return [
        published_file(f"https://tico-19.github.io/data/TM/{name}", "tico-19", name, language(locale).code)
        for locale in _LOCALES
        for name in (f"all.en-{locale}.tmx.zip",)
    ]


def _counts() -> Counts:
    return {"pairs": {language(locale).code: 3071 for locale in _LOCALES}}


TICO_19 = PublishedData(
    "tico-19",
    "tico-19",
    "CC0 1.0",
    "github.com/tico-19/tico-19.github.io, data/TM",
    _files,
    _counts,
    remark="segments 0-970 are for evaluation, 971-3070 for training",
    language_of=_language_of,
)
