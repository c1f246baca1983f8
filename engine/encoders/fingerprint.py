"""A short hash of what an encoder computes, by which its vectors are cached."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from engine.encoders.changes import tokenization
from engine.encoders.encoder import Encoder, Role

#: The settings that sentence vectors depend on; the others concern only token vectors.
_SENTENCE = {
    *("query_prefix", "passage_prefix", "query_length", "passage_length", "query_expansion", "pooling"),
    *("markers", "lowercase", "attend_expansion"),
}
#: Settings that were added later. They are left out if they have this value, so that older caches stay valid.
_ADDED: dict[str, Any] = {"markers": False, "lowercase": False, "attend_expansion": False, "skiplist": []}
#: The settings that only queries, or only documents, depend on.
_OF_QUERIES = {"query_prefix", "query_length", "query_expansion", "attend_expansion"}
_OF_DOCUMENTS = {"passage_prefix", "passage_length", "passage_punctuation", "skiplist"}
#: The settings that the pieces of a text depend on, besides its prefix and the maximum length of its role.
_PIECES = {"markers", "lowercase"}


def fingerprint(encoder: Encoder, *, sentences: bool = False, role: Role | None = None) -> str:
    """Return a short hash of what an encoder computes: its settings, tokenizer, fitted vectors and weights.

    With `sentences`, it covers only what sentence vectors depend on, and with `role` only what texts of that
    role depend on. Every value of the weights counts; see `engine.encoders.weights` for how they are hashed.
    """
    digest = hashlib.blake2b(digest_size=12)
    settings = encoder.config.model_dump(include=_SENTENCE if sentences else None, exclude={"checkpoint"})
    if role is not None:
        others = _OF_DOCUMENTS if role == "query" else _OF_QUERIES
        settings = {name: value for name, value in settings.items() if name not in others}
        if role != "query":  # a peer is a passage with another prefix
            settings["passage_prefix"] = encoder.prefix(role)
    settings = {name: value for name, value in settings.items() if _ADDED.get(name, ...) != value}
    digest.update(repr(sorted(settings.items())).encode())
    for part in _text_parts(encoder, role):
        digest.update(part)
    weights = {f"model.{name}": tensor for name, tensor in encoder.model.state_dict().items()}
    if not sentences:
        weights = encoder.state_dict()
    if encoder.sentence_head is not None:
        weights |= encoder.sentence_head.tensors()
    if encoder.trimming is not None:
        weights |= {name: encoder.trimming.whole for name in weights if "word_embeddings" in name}
    # The pooler is unused here, and random if the checkpoint has none.
    weights = {name: tensor for name, tensor in weights.items() if "pooler." not in name}
    for name, found in encoder.hashes.of(weights).items():
        digest.update(f"{name}{tuple(weights[name].shape)}".encode() + found)
    return digest.hexdigest()


def pieces_fingerprint(encoder: Encoder, role: Role) -> str:
    """Return a short hash of what the pieces of texts in `role` depend on; it reads no weights."""
    settings = encoder.config.model_dump(include=_PIECES)
    settings |= {"prefix": encoder.prefix(role), "length": encoder.longest(role)}
    digest = hashlib.blake2b(repr(sorted(settings.items())).encode(), digest_size=12)
    for part in _text_parts(encoder, role):
        digest.update(part)
    return digest.hexdigest()


def _text_parts(encoder: Encoder, role: Role | None) -> Iterator[bytes]:
    """Yield what turns texts of `role` into pieces, besides settings: the glossary and the tokenizer."""
    if encoder.glossary is not None and role in (None, "query"):
        yield encoder.glossary.digest
    yield from tokenization(encoder.tokenizer)
