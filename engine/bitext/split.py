"""What identifies a sentence, in which part of a split it is, and how often each language is drawn."""

from __future__ import annotations

import hashlib
import html
import unicodedata
from collections.abc import Mapping

from engine.errors import InputError


def sample(counts: Mapping[str, int], alpha: float) -> dict[str, float]:
    """Return the probability of drawing each language, p ∝ n^α over languages with n > 0 pairs.

    α = 1 is proportional to the data, α = 0 is uniform; XLM-R used α = .3 (Conneau et al. 2020, arXiv
    1911.02116, §3.1).

    Raises
    ------
    InputError
        If no language has a pair.
    """
    weights = {name: count**alpha if count > 0 else 0.0 for name, count in counts.items()}
    total = sum(weights.values())
    if not total:
        raise InputError("no language has any pairs to draw from")
    return {name: weight / total for name, weight in weights.items()}


class _Kept(dict[int, int | None]):
    """Maps letters, marks and digits to themselves and other characters to None, once each is looked up."""

    def __missing__(self, code: int) -> int | None:
        self[code] = code if unicodedata.category(chr(code))[0] in "LMN" else None
        return self[code]


_KEPT = _Kept()
#: ASCII characters that are neither letters nor digits.
_DELETED = bytes(code for code in range(128) if not chr(code).isalnum())


def sentence_text(sentence: str) -> str:
    """Return the letters, marks and digits of a sentence, case-folded, or the whole sentence if it has none.

    Spellings of a sentence that differ in case, punctuation, spacing or escaped characters give the same
    text.
    """
    text = html.unescape(sentence)
    if text.isascii():  # ten times as fast
        text = text.lower()
        return text.encode().translate(None, _DELETED).decode() or text
    text = unicodedata.normalize("NFC", text).casefold()
    return text.translate(_KEPT) or text


def sentence_key(sentence: str) -> bytes:
    """Return a hash of `sentence_text`."""
    return hashlib.blake2b(sentence_text(sentence).encode(), digest_size=16).digest()


def in_part(sentence: str, part: str, test_share: float) -> bool:
    """Return whether an English sentence is in a part of a split by hash: ``all``, ``train`` or ``test``.

    A sentence is in the same part in every language, file and run. Spellings of a sentence with the same
    `sentence_text` are in the same part.
    """
    if part == "all":
        return True
    in_test = int.from_bytes(sentence_key(f"part\t{sentence}")[:8]) < test_share * 2**64
    return in_test == (part == "test")
