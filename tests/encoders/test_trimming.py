"""A trimmed vocabulary changes no vector, refuses what it lacks, and comes back whole."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from engine.encoders.encoder import Encoder
from engine.encoders.trimming import trim, untrim
from engine.errors import OpticalError

Open = Callable[..., Encoder]
COVERED = ["river stone!", "stone river river", "cloud"]


def pieces_of(encoder: Encoder, texts: list[str]) -> set[int]:
    return {piece for tokens in encoder.tokenize(texts, "query") for piece in tokens.ids}


@pytest.mark.parametrize("expansion", [False, True])
def test_covered_text_gets_identical_vectors(open_encoder: Open, expansion: bool) -> None:
    encoder = open_encoder(query_expansion=expansion)
    batch = encoder.tokenize(COVERED, "query")
    with torch.no_grad():
        before = encoder(batch, "query")
        trim(encoder, pieces_of(encoder, COVERED))
        after = encoder(batch, "query")
    rows = encoder.model.get_input_embeddings().weight.shape[0]
    assert rows == len(pieces_of(encoder, COVERED) | {0, 1, 2, 3, 4})  # and the special pieces
    assert torch.equal(before.tokens, after.tokens)
    assert torch.equal(before.sentences, after.sentences)
    assert torch.equal(before.ids, after.ids)


def test_an_uncovered_piece_is_refused(open_encoder: Open) -> None:
    encoder = open_encoder()
    trim(encoder, pieces_of(encoder, COVERED))
    (horse,) = encoder.tokenizer.convert_tokens_to_ids(["horse"])
    with pytest.raises(OpticalError, match=f"word piece {horse} was trimmed"):
        encoder(encoder.tokenize(["river horse"], "query"), "query")


def test_training_while_trimmed_moves_the_kept_rows_alone(open_encoder: Open) -> None:
    encoder = open_encoder()
    original = encoder.model.get_input_embeddings().weight.detach().clone()
    used = pieces_of(encoder, COVERED)
    trim(encoder, used)
    optimiser = torch.optim.SGD(encoder.parameters(), lr=0.5)
    encoded = encoder(encoder.tokenize(COVERED, "query"), "query")
    encoded.tokens[..., 0].sum().backward()
    optimiser.step()
    with torch.no_grad():
        trained = encoder(encoder.tokenize(COVERED, "query"), "query").tokens
    untrim(encoder)
    whole = encoder.model.get_input_embeddings()
    assert whole.weight.shape == original.shape
    assert encoder.model.config.vocab_size == len(original)
    assert whole.padding_idx == 0
    assert whole.weight.requires_grad
    changed = (whole.weight != original).any(1).nonzero()[:, 0].tolist()
    assert set(changed) == used
    with torch.no_grad():
        assert torch.equal(encoder(encoder.tokenize(COVERED, "query"), "query").tokens, trained)
        encoder(encoder.tokenize(["horse"], "query"), "query")


def test_untrimming_twice_or_without_trimming_does_nothing(open_encoder: Open) -> None:
    encoder = open_encoder()
    before = encoder.model.get_input_embeddings().weight
    untrim(encoder)
    assert encoder.model.get_input_embeddings().weight is before
