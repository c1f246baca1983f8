"""`CrossEncoder`: a transformers model that reads a query and a document together and scores the pair."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.encoders.checkpoints import resolve
from engine.encoders.safe_loading import CheckpointFiles, check_pieces, longest_input, padding_id
from engine.encoders.saving import whole_folder
from engine.encoders.trimming import Trimming
from engine.errors import InputError, OpticalError

#: A query and a document after tokenisation: ``input_ids``, and ``token_type_ids`` where the model has them.
Pair = Mapping[str, list[int]]


class CrossEncoder(torch.nn.Module):
    """A sequence classifier of one label over ``[CLS] query [SEP] document [SEP]``.

    Parameters
    ----------
    model, tokenizer : transformers model and fast tokenizer
        The model gives logits (B, 1).
    max_length : int
        Longest pair in tokens.
    fresh : sequence of str
        Names of the weights that the checkpoint does not have and that were drawn at random: its head.
    """

    def __init__(self, model: Any, tokenizer: Any, max_length: int, fresh: Sequence[str] = ()) -> None:
        super().__init__()
        self.model, self.tokenizer, self.max_length = model, tokenizer, max_length
        self.fresh = frozenset(fresh)
        self.padding = padding_id(model, tokenizer)
        self.trimming: Trimming | None = None
        self._has_types = _has_types(model)
        for head in model.children():
            if head is not model.base_model:
                _keep_whole(head)

    @classmethod
    def load(
        cls, checkpoint: str, max_length: int, *, new_head: bool = False, dropout: float = 0.0
    ) -> CrossEncoder:
        """Load a checkpoint; with `new_head`, one without a head of one label gets a random head.

        Only safetensors are read, and no remote code is run.

        Raises
        ------
        InputError
            If it cannot be opened, has no such head without `new_head`, or has fewer positions.
        """
        model, tokenizer, fresh = _load(checkpoint, new_head, dropout)
        longest = longest_input(model)
        if longest is not None and max_length > longest:
            raise InputError(f"max_length = {max_length} is more than the checkpoint's {longest} positions")
        return cls(model, tokenizer, max_length, fresh)

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.parameters()).device

    def tokenize(self, queries: Sequence[str], documents: Sequence[str]) -> list[Pair]:
        """Return the tokenised pairs of `queries` and `documents`, cut to `max_length`."""
        if not queries:
            return []
        encoded = self.tokenizer(
            list(queries), list(documents), truncation="longest_first", max_length=self.max_length
        )
        names = ["input_ids"]
        if "token_type_ids" in encoded and self._has_types:
            names.append("token_type_ids")
        return [
            dict(zip(names, lists, strict=True))
            for lists in zip(*(encoded[name] for name in names), strict=True)
        ]

    def forward(self, pairs: Sequence[Pair]) -> Tensor:
        """Return the logits (B,) of relevance."""
        batch = self.tokenizer.pad([dict(pair) for pair in pairs], return_tensors="pt").to(self.device)
        if self.trimming is not None:
            batch["input_ids"] = self.trimming.to_trimmed(batch["input_ids"])
        logits: Tensor = self.model(**batch).logits[:, 0].float()
        return logits

    @torch.no_grad()
    def score(
        self,
        queries: Sequence[str],
        documents: Sequence[str],
        *,
        batch_size: int = 64,
        precision: torch.dtype = torch.float32,
        progress: Callable[[int], None] | None = None,
    ) -> Tensor:
        """Return the logits (n,) of relevance of each document to the query at the same place."""
        self.eval()
        scores = torch.empty(len(queries))
        # batches of similar length save padding; a window limits what is tokenised at once
        window = 64 * batch_size
        for first in range(0, len(queries), window):
            part = slice(first, first + window)
            pairs = self.tokenize(queries[part], documents[part])
            order = sorted(range(len(pairs)), key=lambda place: len(pairs[place]["input_ids"]))
            for start in range(0, len(order), batch_size):
                places = order[start : start + batch_size]
                with torch.autocast(self.device.type, dtype=precision, enabled=precision != torch.float32):
                    logits = self([pairs[place] for place in places])
                scores[[first + place for place in places]] = logits.cpu()
                if progress is not None:
                    progress(len(places))
        return scores

    def save(self, folder: Path) -> None:
        """Write model and tokenizer to `folder`, which appears when it is complete.

        Raises
        ------
        OpticalError
            If the vocabulary is trimmed, or the disk is full.
        """
        if self.trimming is not None:
            raise OpticalError("a trimmed cross-encoder cannot be saved; untrim it")
        with whole_folder(folder) as building:
            self.model.save_pretrained(building)
            self.tokenizer.save_pretrained(str(building))


def _has_types(model: Any) -> bool:
    """Return whether `model` tells the two texts of a pair apart by token types."""
    types = int(getattr(model.config, "type_vocab_size", 2) or 0)
    return types > 1 and "token_type_ids" in inspect.signature(model.forward).parameters


def _keep_whole(head: Any) -> None:
    """Let a head compute in float32 even under autocast: logits with 8 bits of precision would tie."""
    inner = head.forward

    def forward(*states: Tensor) -> Tensor:
        with torch.autocast(states[0].device.type, enabled=False):
            found: Tensor = inner(*(state.float() for state in states))
            return found

    head.forward = forward


def _load(checkpoint: str, new_head: bool, dropout: float) -> tuple[Any, Any, list[str]]:
    from transformers import AutoModelForSequenceClassification

    source = resolve(checkpoint)
    at = source if Path(source).is_dir() else None
    files = CheckpointFiles(f"checkpoint {checkpoint!r}", source)
    config = files.config(dropout)
    labels = config.num_labels
    config.num_labels = 1
    model, missing, mismatched = files.weights(AutoModelForSequenceClassification, config)
    tokenizer = files.tokenizer()
    fresh = sorted([*missing, *mismatched])
    inner = [
        name for name in fresh if name.startswith(f"{model.base_model_prefix}.") and ".pooler." not in name
    ]
    if inner:
        raise InputError(
            f"weights of checkpoint {checkpoint!r} are missing or do not fit its config.json ({inner[0]}); "
            "they would be random",
            path=at,
        )
    if fresh and not new_head:
        what = f"a head of {labels} labels" if mismatched else "no head"
        raise InputError(
            f"checkpoint {checkpoint!r} has {what} where one of 1 label is needed; give [[bitext]] to train "
            "one, or the checkpoint of a cross-encoder",
            path=at,
        )
    if not getattr(tokenizer, "is_fast", False):
        raise InputError(f"checkpoint {checkpoint!r} has no fast tokenizer (tokenizer.json), which is needed")
    check_pieces(f"checkpoint {checkpoint!r}", model, tokenizer)
    if tokenizer.pad_token_id is None:
        raise InputError(
            f"the tokenizer of checkpoint {checkpoint!r} has no padding token, which a cross-encoder needs; "
            "name one in its tokenizer_config.json (pad_token)",
            path=at,
        )
    return model, tokenizer, fresh
