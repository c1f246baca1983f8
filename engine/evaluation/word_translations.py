"""Which learnt translations of words a query is searched with."""

from __future__ import annotations

from collections.abc import Mapping

from engine.collections.base import Collection
from engine.errors import InputError
from engine.languages import known_code
from engine.lexicon.translations import WordTranslations


def translations_for(
    tables: Mapping[str, WordTranslations], language: str, collection: Collection
) -> WordTranslations | None:
    """Return the translations for queries in `language`; None if the documents are in that language.

    Raises
    ------
    InputError
        If the documents are in other languages and there are no translations.
    """
    check_language(tables, language, collection)
    return tables.get(known_code(language))


def check_language(languages: Mapping[str, object], language: str, collection: Collection) -> None:
    """Check that queries in `language` can be searched with translations from `languages`.

    Raises
    ------
    InputError
        As `translations_for`.
    """
    code = known_code(language)
    if code not in languages and code not in map(known_code, collection.document_languages):
        raise InputError(
            f"there is no [[bitext]] in {language!r}, a query language of {collection.name!r}, from which "
            "translations of words could be learnt; add some, or leave out the language"
        )
