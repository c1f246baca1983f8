"""Identify the language of a sentence, without a network.

py3langid is a naive Bayes classifier over byte n-grams (Lui and Baldwin 2012, "langid.py: an off-the-shelf
language identification tool"). Its model of 140 languages is part of its package.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from engine.errors import InputError
from engine.languages import language, names_language

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

#: Minimum difference of log-likelihoods, in nats, for a sentence to be in another language. At 10, none of
#: 400 sentences of TICO-19 is rejected in Somali, Swahili, Marathi, Nepali, Indonesian (at 0, 10 of 100 are
#: identified as Malay) and nine more languages; the three that are rejected in Tagalog's file are English. If
#: the sentences are replaced by English ones, 100 of 100 are rejected.
MARGIN = 10.0
#: The model's label of text without a language, such as numbers.
_NONE = "zxx"


class Identifier:
    """Rejects sentences that are not in one language.

    Parameters
    ----------
    code : str
        Code of the language.

    Raises
    ------
    InputError
        If the model does not have the language.
    """

    def __init__(self, code: str) -> None:
        self._model = _model()
        self._own = {label for label in self._model.labels if names_language(label, code)}
        if not self._own:
            name = language(code).name
            raise InputError(
                f"identify = true, but the language identifier does not know {name}; remove identify here"
            )

    def rejects(self, text: str) -> bool:
        """Return whether another language is more likely for `text` by more than `MARGIN`."""
        best, _ = self._model.classify(text)
        if best in self._own or best == _NONE:
            return False
        scores = dict(self._model.rank(text))
        return bool(scores[best] - max(scores[label] for label in self._own) > MARGIN)


@lru_cache(maxsize=1)
def _model() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE)
