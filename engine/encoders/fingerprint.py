"""A short hash of what an encoder computes, by which its vectors are cached."""

from __future__ import annotations

import hashlib
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
#: The settings that only texts of one role depend on.
_OF_ROLE: dict[Role, set[str]] = {
    "query": {"query_prefix", "query_length", "query_expansion", "attend_expansion"},
    "passage": {"passage_prefix", "passage_length", "passage_punctuation", "skiplist"},
}


def fingerprint(encoder: Encoder, *, sentences: bool = False, role: Role | None = None) -> str:
    """Return a short hash of what an encoder computes: its settings, tokenizer, fitted vectors and weights.

    With `sentences`, it covers only what sentence vectors depend on, and with `role` only what texts of that
    role depend on. Every value of the weights counts; see `engine.encoders.weights` for how they are hashed.
    """
    digest = hashlib.blake2b(digest_size=12)
    settings = encoder.config.model_dump(include=_SENTENCE if sentences else None, exclude={"checkpoint"})
    for other in _OF_ROLE.keys() - {role} if role is not None else ():
        settings = {name: value for name, value in settings.items() if name not in _OF_ROLE[other]}
    settings = {name: value for name, value in settings.items() if _ADDED.get(name, ...) != value}
    digest.update(repr(sorted(settings.items())).encode())
    if encoder.glossary is not None and role != "passage":
        digest.update(encoder.glossary.digest)
    for part in tokenization(encoder.tokenizer):
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
