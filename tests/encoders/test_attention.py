"""The attention that tokens receive: what transformers gives, averaged by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from engine.encoders.encoder import Encoder

Open = Callable[..., Encoder]
TEXTS = ["river stone cloud", "horse", "winter garden letter window market"]


def test_it_is_the_mean_over_heads_and_attended_tokens(open_encoder: Open) -> None:
    encoder = open_encoder()
    batch = encoder.tokenize(TEXTS, "query")
    with torch.no_grad():
        received = encoder(batch, "query", attention=True).attention
    assert received is not None
    encoder.model.set_attn_implementation("eager")
    for row, item in enumerate(batch):
        length = len(item.ids)
        with torch.no_grad():
            output = encoder.model(input_ids=torch.tensor([item.ids]), output_attentions=True)
        heads = output.attentions[-1][0].numpy()  # alone, so without padding
        expected = np.mean([head[giver] for head in heads for giver in range(length)], axis=0)
        np.testing.assert_allclose(received[row, :length], expected, atol=1e-6)
        assert float(received[row].sum()) == pytest.approx(1.0, abs=1e-5)
        assert received[row, length:].count_nonzero() == 0


def test_nothing_else_changes_and_the_fast_kernel_comes_back(open_encoder: Open) -> None:
    encoder = open_encoder()
    kernel = encoder.model.config._attn_implementation
    assert kernel != "eager"
    batch = encoder.tokenize(TEXTS, "query")
    with torch.no_grad():
        plain, attended = encoder(batch, "query"), encoder(batch, "query", attention=True)
    assert plain.attention is None
    torch.testing.assert_close(attended.tokens, plain.tokens, atol=1e-5, rtol=0.0)
    assert encoder.model.config._attn_implementation == kernel


def test_many_texts_get_it_too_and_it_takes_no_gradient(open_encoder: Open) -> None:
    encoder = open_encoder()
    for rows, encoded in encoder.encode(TEXTS, "passage", batch_size=2, attention=True):
        assert encoded.attention is not None and encoded.attention.shape == encoded.ids.shape
        assert len(rows) == len(encoded.attention)
    encoded = encoder(encoder.tokenize(TEXTS, "passage"), "passage", attention=True)
    assert encoded.tokens.requires_grad and not encoded.attention.requires_grad
