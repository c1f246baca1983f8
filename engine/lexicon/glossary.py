"""A glossary: translations of words that are appended to queries before they are encoded.

A multilingual encoder hardly knows the words of a language that it saw little of. The same bitext that it is
distilled from also gives translations of single words (`engine.lexicon.translations`). A query with its
gloss, its words' translations, is a text in two languages, of which the encoder knows one well.

A sentence that the translations were learnt from would be glossed better than a new one: a word that occurs
in no other pair is translated by that pair's own words. An encoder that is trained on such glosses trusts
them too much. So these sentences are glossed by translations that were learnt without them (cross-fitting).
"""

from __future__ import annotations

import hashlib
import math
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from engine.atomic import replacing
from engine.errors import InputError, OpticalError
from engine.lexicon.translations import WordTranslations, learn
from engine.lexicon.words import plain_words

FILE = "glossary.parquet"
"""The file in a checkpoint's folder with its glossary."""
FOLDS = 5
"""Parts of the sentence pairs; those of each are glossed by translations that the others give."""
LEAST_PROBABILITY = 0.1
"""A word whose best translation is less probable has no gloss."""
COMMON = 0.2
"""Words that occur in more than this share of the target sentences are no gloss: they carry no content."""
LEAST_KNOWN = 0.3
"""A query is glossed if its language's part of the glossary has at least this share of its words."""


@dataclass(frozen=True)
class Glossary:
    """Glosses of the words of several languages.

    Attributes
    ----------
    target : str
        The language of the glosses.
    counts : mapping of str to mapping of str to int
        By language, `target` among them, how often each word occurs in the pairs. They tell the language of
        a query.
    glosses : mapping of str to mapping of str to str
        By language, the gloss of each word that has one.
    own : mapping of str to str
        Glosses of the sentences that the glossary was learnt from, each without those that share its
        translation. They are not saved.
    """

    target: str
    counts: Mapping[str, Mapping[str, int]]
    glosses: Mapping[str, Mapping[str, str]]
    own: Mapping[str, str] = field(default_factory=dict)

    def extend(self, text: str) -> str:
        """Return `text` with its gloss behind it, or as it is if there is none."""
        found = self.own.get(text)
        if found is None:
            words = plain_words(text)
            language = self.language_of(words)
            found = "" if language is None else gloss(words, self.glosses[language])
        return f"{text} {found}" if found else text

    def language_of(self, words: Sequence[str]) -> str | None:
        """Return the language that a query is glossed from; None if it is the target or none of the glossary.

        It is the most probable language under a unigram model with add-one smoothing (naive Bayes), if it has
        at least `LEAST_KNOWN` of the words.
        """
        if not words:
            return None
        best = max(self.counts, key=lambda code: (self._log_probability(words, code), code == self.target))
        known = sum(word in self.counts[best] for word in words)
        return None if best == self.target or known < LEAST_KNOWN * len(words) else best

    def _log_probability(self, words: Sequence[str], code: str) -> float:
        counts, size = self.counts[code], self._sizes[code]
        return sum(math.log((counts.get(word, 0) + 1) / size) for word in words)

    @cached_property
    def _sizes(self) -> dict[str, int]:
        distinct = len(set().union(*self.counts.values()))
        return {code: sum(counts.values()) + distinct for code, counts in self.counts.items()}

    @cached_property
    def digest(self) -> bytes:
        """A hash of all glosses and counts."""
        digest = hashlib.blake2b(digest_size=16)
        for row in self._rows():
            digest.update(repr(row).encode())
        return digest.digest()

    def _rows(self) -> Iterator[tuple[str, str, int, str | None]]:
        """Yield language, word, count and gloss of each word, in the order of a saved glossary."""
        for code in sorted(self.counts):
            glosses = self.glosses.get(code, {})
            for word, count in sorted(self.counts[code].items()):
                yield code, word, count, glosses.get(word)

    def save(self, path: Path) -> None:
        """Write the glossary to a Parquet file, without the glosses of its own sentences.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        columns = list(zip(*self._rows(), strict=True))
        kinds = {"language": pa.string(), "word": pa.string(), "count": pa.int64(), "gloss": pa.string()}
        arrays = [pa.array(values, kind) for values, kind in zip(columns, kinds.values(), strict=True)]
        table = pa.table(dict(zip(kinds, arrays, strict=True)))
        with replacing(path) as temporary:
            pq.write_table(table.replace_schema_metadata({"target": self.target}), temporary)

    @classmethod
    def load(cls, path: Path) -> Glossary:
        """Read a glossary that `save` wrote.

        Raises
        ------
        InputError
            If the file cannot be read.
        """
        counts: defaultdict[str, dict[str, int]] = defaultdict(dict)
        glosses: defaultdict[str, dict[str, str]] = defaultdict(dict)
        try:
            table = pq.read_table(path)
            target = table.schema.metadata[b"target"].decode()
            names = ("language", "word", "count", "gloss")
            for code, word, count, known in zip(*(table[name].to_pylist() for name in names), strict=True):
                counts[code][word] = int(count)
                if known is not None:
                    glosses[code][word] = known
        except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
            raise InputError("the glossary cannot be read; train or evaluate again", path=path) from error
        return cls(target, dict(counts), {code: glosses[code] for code in counts if code != target})


def gloss(words: Sequence[str], glosses: Mapping[str, str]) -> str:
    """Return the glosses of the words, each once, without words that the text has itself."""
    found = dict.fromkeys(glosses[word] for word in words if word in glosses)
    return " ".join(other for other in found if other not in words)


def learn_glossary(pairs: Iterable[tuple[str, str, str]], target: str) -> Glossary:
    """Learn a glossary from sentence pairs.

    Parameters
    ----------
    pairs : iterable of (str, str, str)
        The language of a sentence, the sentence, and its translation. A pair that is repeated counts more.
    target : str
        The language of the translations.

    Raises
    ------
    OpticalError
        If there is no pair of a language other than `target`.
    """
    by_language: defaultdict[str, list[tuple[str, list[str], list[str], int]]] = defaultdict(list)
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    sentences: Counter[str] = Counter()
    total = 0
    for code, source, translation in pairs:
        if code == target:
            continue
        own, other = plain_words(source), plain_words(translation)
        fold = zlib.crc32(" ".join(other).encode()) % FOLDS
        by_language[code].append((source, own, other, fold))
        counts[code].update(own)
        counts[target].update(other)
        sentences.update(set(other))
        total += 1
    if not by_language:
        raise OpticalError("a glossary needs sentence pairs in another language than that of the glosses")
    common = {word for word, count in sentences.items() if count > COMMON * total}
    glosses: dict[str, Mapping[str, str]] = {}
    of_sentences: dict[str, str] = {}
    for code, rows in by_language.items():
        glosses[code] = _best(learn((own, other) for _, own, other, _ in rows), common)
        for number in range(FOLDS):
            others = _best(learn((own, other) for _, own, other, fold in rows if fold != number), common)
            of_sentences |= {text: gloss(own, others) for text, own, _, fold in rows if fold == number}
    return Glossary(target, {code: dict(found) for code, found in counts.items()}, glosses, of_sentences)


def _best(translations: WordTranslations, common: set[str]) -> dict[str, str]:
    """Return the most probable translation of each word, where it says something."""
    found = {}
    for word in translations.rows:
        for other, probability in translations.of(word)[:1]:
            if probability >= LEAST_PROBABILITY and other not in common and other != word and len(other) > 1:
                found[word] = other
    return found
