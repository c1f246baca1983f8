"""Word pieces of the texts that are drawn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from engine.encoders.encoder import Encoder, Role, Tokens

#: Most texts whose pieces stay in memory (about 2 kB each), so that a small bitext is tokenised once.
_REMEMBERED = 20_000
CHUNK = 4096
"""Texts that are tokenised at once where they are only looked at."""


class KnownTokens:
    """Tokenises texts as an encoder does, when their pieces are asked for, and remembers the last ones."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._known: dict[tuple[Role, str], Tokens] = {}

    def of(self, texts: Sequence[str], role: Role) -> list[Tokens]:
        """Return the pieces of each text."""
        missing = list(dict.fromkeys(text for text in texts if (role, text) not in self._known))
        if len(self._known) + len(missing) > _REMEMBERED:
            self._known.clear()
            missing = list(dict.fromkeys(texts))
        if missing:
            tokens = self._encoder.tokenize(missing, role)
            self._known.update(zip(((role, text) for text in missing), tokens, strict=True))
        return [self._known[role, text] for text in texts]

    def counted(self, texts: Sequence[str], role: Role) -> list[bool]:
        """Return for each text whether any of its pieces counts as a token vector."""
        return [any(tokens.counted) for tokens in self.of(texts, role)]

    def each(self, texts: Iterable[str], role: Role) -> Iterator[Tokens]:
        """Yield the pieces of many texts, without remembering them."""
        left = iter(texts)
        while some := list(islice(left, CHUNK)):
            yield from self._encoder.tokenize(some, role)
