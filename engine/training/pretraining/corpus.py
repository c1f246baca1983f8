"""Tokenised text: tokenised once, stored as flat arrays, drawn in blocks of one length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.bitext.sampling import part_at
from engine.errors import InputError

Ids = npt.NDArray[np.int32]
#: Number of sentences that are tokenised at once.
CHUNK = 4096


@dataclass(frozen=True)
class Corpus:
    """The tokenised sentences of one language, each followed by a separator.

    Attributes
    ----------
    ids : array (N,)
        The pieces of all sentences.
    bounds : array (S + 1,)
        The start of each sentence, and the end of the last.
    words, unknown : int
        Number of words (separated by white space), and of unknown pieces.
    """

    ids: Ids
    bounds: npt.NDArray[np.int64]
    words: int
    unknown: int

    @property
    def sentences(self) -> int:
        """Number of sentences."""
        return len(self.bounds) - 1

    @property
    def pieces(self) -> int:
        """Number of pieces, without separators."""
        return len(self.ids) - self.sentences

    @property
    def unknown_rate(self) -> float:
        """Share of the pieces that are unknown."""
        return self.unknown / max(self.pieces, 1)

    @property
    def pieces_per_word(self) -> float:
        """Pieces per word; high if a script has no spaces between words."""
        return self.pieces / max(self.words, 1)


def tokenised(tokenizer: Any, texts: Sequence[str]) -> Corpus:
    """Tokenise `texts`."""
    separator, unknown = tokenizer.sep_token_id, tokenizer.unk_token_id
    arrays: list[Ids] = []
    for start in range(0, len(texts), CHUNK):
        encoded = tokenizer(
            list(texts[start : start + CHUNK]),
            add_special_tokens=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,  # a sentence may be longer than a block
        )
        arrays += [np.array([*ids, separator], np.int32) for ids in encoded["input_ids"]]
    lengths = np.array([len(ids) for ids in arrays], np.int64)
    ids = np.concatenate(arrays) if arrays else np.zeros(0, np.int32)
    return Corpus(
        ids,
        np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]),
        sum(len(text.split()) for text in texts),
        int((ids == unknown).sum()) if unknown is not None else 0,
    )


def check_unknown(corpora: Mapping[str, Corpus], most: float) -> None:
    """Refuse a tokenizer if more than the share `most` of some language's pieces is unknown.

    Raises
    ------
    InputError
        If it is; the message names the language with the largest share.
    """
    worst = max(corpora, key=lambda language: corpora[language].unknown_rate)
    rate = corpora[worst].unknown_rate
    if rate > most:
        raise InputError(
            f"the tokenizer leaves {rate:.1%} of the pieces in {worst!r} unknown, more than "
            f"tokenizer.max_unknown = {most:g}; train one with that language, a larger vocabulary or a "
            "smaller alpha"
        )


class Stream:
    """An endless stream of one language's tokens: its sentences, in a new order in each epoch."""

    def __init__(self, corpus: Corpus, generator: np.random.Generator) -> None:
        self.corpus, self.generator = corpus, generator
        self.rest: Ids = np.zeros(0, np.int32)

    def take(self, count: int) -> Ids:
        """Return the next `count` tokens."""
        parts = [self.rest]
        have = len(self.rest)
        while have < count:
            parts.append(self._epoch())
            have += len(parts[-1])
        joined = np.concatenate(parts) if len(parts) > 1 else self.rest
        self.rest = joined[count:]
        return joined[:count]

    def _epoch(self) -> Ids:
        ids, bounds = self.corpus.ids, self.corpus.bounds
        order = self.generator.permutation(self.corpus.sentences)
        return np.concatenate([ids[bounds[i] : bounds[i + 1]] for i in order])


def draw_blocks(
    corpora: Mapping[str, Corpus],
    parts: Sequence[Mapping[str, float]],
    *,
    first: int,
    batch_size: int,
    length: int,
    steps: int,
    seed: int,
) -> Iterator[tuple[list[str], npt.NDArray[np.int64]]]:
    """Yield `steps` batches: the language of each block, and its pieces.

    Each block's language is drawn with the probabilities of the current part of the run. A block is the token
    `first` and the language's next ``length - 1`` tokens.

    Yields
    ------
    languages : list of str, B
    ids : array (B, length)
    """
    names = list(corpora)
    generator = np.random.default_rng([seed, len(names)])
    streams = [Stream(corpora[name], np.random.default_rng([seed, i])) for i, name in enumerate(names)]
    for step in range(steps):
        shares = parts[part_at(step, steps, len(parts))]
        drawn = generator.choice(len(names), size=batch_size, p=[shares[name] for name in names])
        ids = np.full((batch_size, length), first, np.int64)
        for row, index in enumerate(drawn):
            ids[row, 1:] = streams[index].take(length - 1)
        yield [names[index] for index in drawn], ids


def all_blocks(corpus: Corpus, first: int, length: int) -> npt.NDArray[np.int64]:
    """Return all tokens in order as blocks (B, length); the first tokens fill the last block."""
    width = length - 1
    count = -(-len(corpus.ids) // width)
    ids = np.full((count, length), first, np.int64)
    ids[:, 1:] = np.resize(corpus.ids, count * width).reshape(count, width)
    return ids
