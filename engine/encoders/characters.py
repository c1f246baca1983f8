"""Characters as pieces: CANINE's tokenizer with the interface of a fast tokenizer."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any


class _Punctuation:
    """The set of code points that are punctuation or space."""

    def __contains__(self, point: object) -> bool:
        return isinstance(point, int) and unicodedata.category(chr(point))[0] in "PZ"


class CharacterTokenizer:
    """Tokenises text to Unicode code points, with the offsets and masks that fast tokenizers return.

    Parameters
    ----------
    inner : CanineTokenizer
        Transformers' tokenizer; other attributes are delegated to it.
    """

    #: Code points that count as punctuation.
    punctuation = _Punctuation()

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        if name == "inner":  # not set yet while a copy is made
            raise AttributeError(name)
        return getattr(self.inner, name)

    def __len__(self) -> int:
        return int(self.inner.vocab_size)

    def __call__(
        self,
        texts: Sequence[str],
        *,
        truncation: bool = False,
        max_length: int | None = None,
        add_special_tokens: bool = True,
        **other: Any,
    ) -> dict[str, list[Any]]:
        """Return ``input_ids``, ``offset_mapping`` and ``special_tokens_mask`` of each text, and ``cut``.

        Other arguments of fast tokenizers have no effect: everything that they can request is returned.
        """
        around = 2 if add_special_tokens else 0
        names = ("input_ids", "offset_mapping", "special_tokens_mask", "cut")
        found: dict[str, list[Any]] = {name: [] for name in names}
        for text in texts:
            kept = text[: max_length - around] if truncation and max_length is not None else text
            ids = [ord(character) for character in kept]
            offsets = [(place, place + 1) for place in range(len(kept))]
            special = [0] * len(kept)
            if add_special_tokens:
                ids = [self.inner.cls_token_id, *ids, self.inner.sep_token_id]
                offsets, special = [(0, 0), *offsets, (0, 0)], [1, *special, 1]
            found["input_ids"].append(ids)
            found["offset_mapping"].append(offsets)
            found["special_tokens_mask"].append(special)
            found["cut"].append(len(kept) < len(text))
        return found
