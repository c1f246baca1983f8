"""Vocabulary trimming: keep only the word pieces that a run's texts use.

A multilingual vocabulary has 250,000 pieces, of which one run uses a few per cent. A step over all of them
spends most of its time on embeddings that do not change. The outputs for covered text are identical.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from engine.encoders.characters import CharacterTokenizer
from engine.errors import OpticalError


class Trimming:
    """Word embeddings of a model reduced to some pieces, which can be restored.

    Parameters
    ----------
    model : transformers model
        Its input embeddings are replaced.
    keep : iterable of int
        Piece ids to keep; the padding id and the ids below it are kept too.
    """

    def __init__(self, model: Any, keep: Iterable[int]) -> None:
        embeddings = model.get_input_embeddings()
        self.whole: Tensor = embeddings.weight.detach()
        padding: int | None = embeddings.padding_idx
        # RoBERTa counts positions from the padding id, which therefore must not change
        first = range(0 if padding is None else padding + 1)
        self.kept = torch.tensor(sorted({*keep, *first}), dtype=torch.long, device=self.whole.device)
        self.lookup = torch.full((self.whole.shape[0],), -1, dtype=torch.long, device=self.whole.device)
        self.lookup[self.kept] = torch.arange(len(self.kept), device=self.whole.device)
        trimmed = torch.nn.Embedding(
            len(self.kept),
            self.whole.shape[1],
            padding_idx=padding,
            device=self.whole.device,
        )
        trimmed.weight.data.copy_(self.whole[self.kept])
        model.set_input_embeddings(trimmed)

    def to_trimmed(self, ids: Tensor) -> Tensor:
        """Map piece ids of the whole vocabulary to rows of the trimmed one.

        Raises
        ------
        OpticalError
            If a piece was trimmed.
        """
        if self.lookup.device != ids.device:  # the model was moved after it was trimmed
            self.lookup = self.lookup.to(ids.device)
        rows: Tensor = self.lookup[ids]
        if bool((rows < 0).any()):
            piece = int(ids[rows < 0][0])
            raise OpticalError(
                f"word piece {piece} was trimmed from the vocabulary; encode with the whole vocabulary"
            )
        return rows

    def restore(self, model: Any) -> None:
        """Restore the whole embeddings of `model`, with the current values of the kept rows."""
        trimmed = model.get_input_embeddings().weight.detach()
        whole = self.whole.to(trimmed.device, copy=True)
        whole[self.kept.to(trimmed.device)] = trimmed
        padding = model.config.pad_token_id
        embeddings = torch.nn.Embedding(whole.shape[0], whole.shape[1], padding_idx=padding, device="meta")
        embeddings.weight = torch.nn.Parameter(whole)
        model.set_input_embeddings(embeddings)


def trim(encoder: Any, keep: Iterable[int]) -> None:
    """Trim `encoder` to the pieces `keep` and the special ones; characters have no table to trim."""
    if isinstance(encoder.tokenizer, CharacterTokenizer):
        return
    specials = set(encoder.tokenizer.all_special_ids)
    encoder.trimming = Trimming(encoder.model, {*keep, *specials, encoder.padding})
    encoder.model.config.vocab_size = len(encoder.trimming.kept)


def untrim(encoder: Any) -> None:
    """Undo `trim`, with the current values of the kept rows."""
    if encoder.trimming is not None:
        encoder.trimming.restore(encoder.model)
        encoder.model.config.vocab_size = encoder.trimming.whole.shape[0]
        encoder.trimming = None
