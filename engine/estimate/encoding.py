"""The cost of encoding many texts, measured on some of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch

from engine.encoders.encoder import Encoded, Encoder, Role
from engine.estimate.sheet import Cost, Meter
from engine.retrieval.tokens import TokenStore

#: Groups of texts of similar length that are encoded, and texts of a group.
GROUPS, GROUP = 4, 16
#: A text costs as much as this many characters more, for its prefix and its special tokens.
OVERHEAD = 16
#: Characters of a word piece. A text is cut to the longest input, so no more of it costs anything.
PIECE = 6


@dataclass(frozen=True)
class Encoding:
    """What it costs to encode texts in a role.

    Attributes
    ----------
    cost : Cost
        Of a unit of weight; `weight` gives that of texts.
    longest : int
        The longest input, in pieces.
    tokens : float
        Counted tokens of a unit of weight.
    width : int
        Width of the token vectors.
    sample : TokenStore
        Token vectors of the texts that were encoded, in half precision.
    sentences : Tensor (M, H')
        Their sentence vectors.
    """

    cost: Cost
    longest: int
    tokens: float
    width: int
    sample: TokenStore
    sentences: torch.Tensor

    def weight(self, texts: Sequence[str]) -> int:
        """Return the weight of texts: their characters up to the longest input, and `OVERHEAD` for each."""
        return weight(texts, self.longest)

    def of(self, texts: Sequence[str]) -> Cost:
        """Return the cost of encoding all of `texts`."""
        return self.cost * self.weight(texts)

    def tokens_of(self, texts: Sequence[str]) -> float:
        """Return the counted tokens of a text, the mean over `texts`."""
        return self.tokens * self.weight(texts) / max(1, len(texts))

    def bytes_of(self, texts: Sequence[str]) -> int:
        """Return the size of their token vectors in half precision."""
        return round(2 * self.width * self.tokens * self.weight(texts))


def weight(texts: Sequence[str], longest: int) -> int:
    """Return the weight of texts, of which at most `longest` pieces are read."""
    return sum(min(len(text), PIECE * longest) + OVERHEAD for text in texts)


def measured_groups(texts: Sequence[str]) -> list[list[str]]:
    """Return the texts that are encoded to measure the cost of all: groups of similar length.

    A run sorts its texts by length, too. The groups are in the middles of equal parts of the sorted texts.
    """
    order = sorted((text for text in texts if text.strip()), key=len)
    if len(order) <= GROUPS * GROUP:
        return [order[start : start + GROUP] for start in range(0, len(order), GROUP)]
    middles = [(2 * number + 1) * len(order) // (2 * GROUPS) for number in range(GROUPS)]
    return [order[middle - GROUP // 2 : middle + GROUP // 2] for middle in middles]


def measure(
    meter: Meter,
    encoder: Encoder,
    texts: Sequence[str],
    role: Role,
    precision: torch.dtype,
    *,
    attention: bool = False,
    layers: Sequence[int] = (),
) -> Encoding:
    """Encode some of `texts`, and return what encoding costs."""
    options = {"precision": precision, "attention": attention, "layers": layers, "batch_size": GROUP}
    groups = measured_groups(texts)
    total, seen = Cost(), 0
    stores = [TokenStore(torch.zeros(0, encoder.dim, dtype=torch.float16), torch.zeros(1, dtype=torch.int64))]
    sentences = [torch.zeros(0, encoder.sentence_width)]
    for number, group in enumerate(groups):
        work = partial(_encoded, encoder, group, role, options)
        if not number:
            work()  # kernels are prepared for new shapes
        cost, batches = meter.of(work)
        total += cost
        seen += weight(group, encoder.longest(role))
        for found in batches:
            stores.append(TokenStore.from_padded(found.tokens.half().cpu(), found.mask.cpu()))
            sentences.append(found.sentences.float().cpu())
    store = TokenStore.concatenate(stores)
    share = 1 / max(1, seen)
    return Encoding(
        total * share,
        encoder.longest(role),
        len(store.vectors) * share,
        encoder.dim,
        store,
        torch.cat(sentences),
    )


def _encoded(encoder: Encoder, texts: Sequence[str], role: Role, options: dict[str, object]) -> list[Encoded]:
    return [found for _, found in encoder.encode(texts, role, **options)]  # type: ignore[arg-type]
