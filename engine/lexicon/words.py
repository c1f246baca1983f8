"""Words for BM25, in any script.

A word is a run of letters, marks and digits (Unicode's general categories) after NFKC and case folding, so
vowel signs of Devanagari stay inside their words. Scripts without spaces between words (Han, kana, Thai, Lao,
Khmer, Myanmar) give overlapping pairs of characters instead, each with the marks that follow it, as in
Lucene's analyser for Chinese, Japanese and Korean. A run of one character gives that character.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterable
from functools import cache
from itertools import pairwise

_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x2FDF),  # radicals
    (0x3005, 0x3007),  # iteration mark, zero
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),  # Katakana's extensions
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xA9E0, 0xA9FF),  # Myanmar's extensions
    (0xAA60, 0xAA7F),
    (0xF900, 0xFAFF),  # Han's compatibility forms
    (0x20000, 0x3FFFF),
)
_DIACRITICS = re.compile("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff]")
_HOOKED = str.maketrans("ɓɗƙƴƁƊƘƳ", "bdkyBDKY")


def words(text: str) -> list[str]:
    """Return the words of `text` in their order, repetitions included."""
    runs, clusters = _patterns()
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    found: list[str] = []
    # Joiners and soft hyphens occur inside words and do not change them.
    for spaced, unspaced in runs.findall(re.sub("[\u00ad\u200c\u200d\u2060\ufeff]", "", folded)):
        if spaced:
            found.append(spaced)
            continue
        characters = clusters.findall(unspaced)
        found += ["".join(pair) for pair in pairwise(characters)] or characters
    return found


def plain_words(text: str) -> list[str]:
    """Return the words of `text` without the diacritics of Latin, Greek and Cyrillic letters.

    Hooked letters of Hausa count as letters with a diacritic. Marks of other scripts, such as vowel signs,
    are parts of words and stay.
    """
    bare = _DIACRITICS.sub("", unicodedata.normalize("NFD", text)).translate(_HOOKED)
    return words(unicodedata.normalize("NFC", bare))


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return patterns of a run of word characters, and of a character with its marks."""
    kinds = {
        code: kind
        for code in range(sys.maxunicode + 1)
        if (kind := unicodedata.category(chr(code))[0]) in "LMN"
    }
    unspaced = {code for first, last in _UNSPACED for code in range(first, last + 1) if code in kinds}
    marks = _class(code for code, kind in kinds.items() if kind == "M")
    runs = re.compile(f"({_class(code for code in kinds if code not in unspaced)}+)|({_class(unspaced)}+)")
    return runs, re.compile(f".{marks}*", re.DOTALL)


def _class(codes: Iterable[int]) -> str:
    """Return a character class of the code points `codes`, as ranges."""
    ranges: list[list[int]] = []
    for code in sorted(codes):
        if ranges and code == ranges[-1][1] + 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "[" + "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges) + "]"
