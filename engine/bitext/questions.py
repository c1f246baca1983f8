"""Find questions that ask nearly the same as questions of an evaluation.

Questions are short and follow patterns ("What is the capital of ..."), so many share half of their n-grams
and ask for something else. They are near duplicates if the cosine of their counts of character n-grams of
lengths 3 to 5, within words and with their borders, is above `NEAR`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from engine.bitext.split import sentence_text

#: Of AfriQA's 1,927 test questions in six languages, 42 have a near duplicate in the training questions.
NEAR = 0.9
#: Texts compared at once.
_BATCH = 1024


class Questions:
    """A set of questions in one language, which tells whether other texts ask nearly the same.

    Parameters
    ----------
    texts : iterable of str
        The questions.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        from sklearn.feature_extraction.text import CountVectorizer
        from sklearn.preprocessing import normalize

        self.texts = list(dict.fromkeys(texts))
        self._longest = 2 * max(map(len, self.texts), default=0)
        self._counter = CountVectorizer(analyzer="char_wb", ngram_range=(3, 5), dtype=float)
        self._grams = self._counter.build_analyzer()
        readable = any(sentence_text(text).strip() for text in self.texts)
        self._vectors = normalize(self._counter.fit_transform(self.texts)) if readable else None

    def near(self, texts: Sequence[str]) -> list[bool]:
        """Return for each of `texts` whether a question of the set is nearly the same."""
        return [bool(found) for found in self.matches(texts)]

    def matches(self, texts: Sequence[str]) -> list[list[str]]:
        """Return for each of `texts` the questions of the set that are nearly the same."""
        found: list[list[str]] = [[] for _ in texts]
        if self._vectors is None:
            return found
        # A text of more than twice the characters of a question is none of the same.
        places = [place for place, text in enumerate(texts) if text and len(text) <= self._longest]
        for start in range(0, len(places), _BATCH):
            some = places[start : start + _BATCH]
            # n-grams that no question has add to the length of a text's vector
            counts = self._counter.transform([texts[place] for place in some])
            own = [self._squares(texts[place]) for place in some]
            similar = (counts @ self._vectors.T).tocoo()
            for row, column, value in zip(similar.row, similar.col, similar.data, strict=True):
                if value > NEAR * own[row] ** 0.5:
                    found[some[row]].append(self.texts[column])
        return found

    def _squares(self, text: str) -> float:
        """Return the sum of the squared counts of all n-grams of a text."""
        counts = Counter(self._grams(text))
        return float(sum(count * count for count in counts.values()))
