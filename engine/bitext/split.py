"""Setting pairs aside, and how often each language is drawn."""

from __future__ import annotations

import hashlib
import html
import unicodedata
from collections.abc import Iterable, Mapping

from engine.errors import InputError
from engine.extensions.bitext import SentencePair


def held_out(pairs: Iterable[SentencePair], count: int) -> tuple[list[SentencePair], list[SentencePair]]:
    """Split pairs by their target (English) sentence, so that no sentence is on both sides.

    The sentences with the smallest BLAKE2b hash are held out: the choice depends on the sentences alone,
    not on their order or language. Pass the pairs of all languages at once, and a sentence that several
    languages share goes to one side for all of them. Sentences that differ only in
    case, punctuation, spacing or escaped characters (``&gt;``) are one: 162 of TICO-19's 3,071 English
    segments are spelled differently in its files for different languages.

    Parameters
    ----------
    pairs : iterable of SentencePair
        Pairs of any languages.
    count : int
        Number of distinct target sentences to hold out.

    Returns
    -------
    kept, held : list of SentencePair
        Both in the order of `pairs`.

    Raises
    ------
    InputError
        If nothing would be kept.
    """
    keyed = [(sentence_key(pair.target), pair) for pair in pairs]
    distinct = sorted({key for key, _ in keyed})
    if count >= len(distinct) and count:
        raise InputError(
            f"cannot hold out {count:,} of {len(distinct):,} distinct sentences and keep some to train on; "
            "lower held_out"
        )
    held = set(distinct[:count])
    return [pair for key, pair in keyed if key not in held], [pair for key, pair in keyed if key in held]


def sample(counts: Mapping[str, int], alpha: float) -> dict[str, float]:
    """Return the probability of drawing each language, p ∝ n^α over languages with n > 0 pairs.

    α = 1 follows the data, α = 0 is uniform; XLM-R took α = .3 (Conneau et al. 2020, arXiv 1911.02116,
    §3.1).

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


def sentence_text(sentence: str) -> str:
    """Return a sentence's letters, marks and digits in one case, or all of it if it has none.

    Spellings of one sentence give the same text: case, punctuation, spacing and escapes make no difference.
    """
    text = unicodedata.normalize("NFC", html.unescape(sentence)).casefold()
    return "".join(character for character in text if unicodedata.category(character)[0] in "LMN") or text


def sentence_key(sentence: str) -> bytes:
    """Return a hash of `sentence_text`."""
    return hashlib.blake2b(sentence_text(sentence).encode(), digest_size=16).digest()


def in_part(sentence: str, part: str, test_share: float) -> bool:
    """Tell whether an English sentence is in `part` of a split by hash: ``all``, ``train`` or ``test``.

    The same sentence falls on the same side in every language, file and run. Sentences that differ only in
    case, punctuation, spacing or escaped characters (``&gt;``) are one: 162 of TICO-19's 3,071 English
    segments are spelled differently in its files for different languages.
    """
    if part == "all":
        return True
    in_test = int.from_bytes(sentence_key(f"part\t{sentence}")[:8]) < test_share * 2**64
    return in_test == (part == "test")
