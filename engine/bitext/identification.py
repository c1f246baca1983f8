"""Telling what language a sentence is in, without a network.

py3langid is a naive Bayes classifier over byte n-grams (Lui and Baldwin 2012, "langid.py: an off-the-shelf
language identification tool"); its model of 140 languages lies inside its package.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from engine.errors import InputError
from engine.languages import language, names_language

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

#: How much likelier another language must be, in nats. At 10 none of 400 sentences of TICO-19 is mistaken in
#: Somali, Swahili, Marathi, Nepali, Indonesian (10 in 100 at 0, for Malay) and nine more languages; the three
#: in Tagalog's file that are found are English. English in the place of any of them is found in 100 of 100.
MARGIN = 10.0
#: The model's label of what is in no language, such as numbers.
_NONE = "zxx"


class Identifier:
    """Tells sentences that are not in one language.

    Parameters
    ----------
    code : str
        The language.

    Raises
    ------
    InputError
        If the model does not know the language.
    """

    def __init__(self, code: str) -> None:
        self._model = _model()
        self._own = {label for label in self._model.labels if names_language(label, code)}
        if not self._own:
            name = language(code).name
            raise InputError(
                f"identify = true, but the language identifier does not know {name}; leave identify out here"
            )

    def refuses(self, text: str) -> bool:
        """Tell whether another language is likelier for `text`, and by `MARGIN`."""
        best, _ = self._model.classify(text)
        if best in self._own or best == _NONE:
            return False
        scores = dict(self._model.rank(text))
        return bool(scores[best] - max(scores[label] for label in self._own) > MARGIN)


@lru_cache(maxsize=1)
def _model() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE)
