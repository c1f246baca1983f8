"""Centring and whitening against numpy and scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn.decomposition import PCA

from engine.encoders.encoder import Encoder
from engine.encoders.fitting import fit
from engine.errors import InputError

Open = Callable[..., Encoder]


@pytest.fixture
def texts(tiny: Any) -> list[str]:
    return [line.split("\t")[1] for line in tiny.training["sw"].read_text("utf-8").splitlines()]


def unit_vectors(encoder: Encoder, texts: list[str]) -> npt.NDArray[np.float64]:
    """Return the counted unit token vectors (N, H) before centring."""
    found = []
    for text in texts:
        (tokens,) = encoder.tokenize([text], "query")
        with torch.no_grad():
            states = encoder.model(input_ids=torch.tensor([tokens.ids])).last_hidden_state[0]
        found.append(torch.nn.functional.normalize(states, dim=1)[tokens.counted].double().numpy())
    return np.concatenate(found)


def test_centred_vectors_have_no_mean(open_encoder: Open, texts: list[str]) -> None:
    encoder = open_encoder(centring=True)
    fit(encoder, texts)
    vectors = unit_vectors(encoder, texts)
    assert np.abs(vectors.mean(0)).max() > 0.05  # the untuned encoder's vectors do
    assert np.abs((vectors - encoder.mean.numpy()).mean(0)).max() < 1e-6
    with torch.no_grad():
        encoded = encoder(encoder.tokenize(texts[:1], "query"), "query")
    centred = vectors[: int(encoded.mask.sum())] - encoder.mean.numpy()
    expected = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    assert np.allclose(encoded.tokens[0][encoded.mask[0]].numpy(), expected, atol=1e-5)


def test_without_centring_the_mean_stays_zero(open_encoder: Open, texts: list[str]) -> None:
    encoder = open_encoder()
    fit(encoder, texts)
    assert not encoder.mean.any()


def test_whitening_gives_the_identity_and_is_scikit_learns(open_encoder: Open, texts: list[str]) -> None:
    encoder = open_encoder(centring=True, projection="whitening", projection_dim=8)
    fit(encoder, texts)
    assert encoder.projection is not None and encoder.dim == 8
    vectors = unit_vectors(encoder, texts)
    projected = (vectors - vectors.mean(0)) @ encoder.projection.weight.detach().double().numpy().T
    assert np.allclose(np.cov(projected.T, bias=True), np.eye(8), atol=1e-3)
    theirs = PCA(8, whiten=True, svd_solver="full").fit(vectors).transform(vectors)
    theirs *= np.sqrt(len(vectors) / (len(vectors) - 1))  # scikit-learn divides by n - 1
    assert np.allclose(np.abs(projected), np.abs(theirs), atol=1e-2)
    with torch.no_grad():
        encoded = encoder(encoder.tokenize(texts[:1], "query"), "query")
    expected = projected[: int(encoded.mask.sum())]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.allclose(encoded.tokens[0][encoded.mask[0]].numpy(), expected, atol=1e-3)


def test_masks_of_expanded_queries_are_not_fitted_on(open_encoder: Open, texts: list[str]) -> None:
    plain, expanded = open_encoder(centring=True), open_encoder(centring=True, query_expansion=True)
    for encoder in (plain, expanded):
        fit(encoder, texts)
    assert torch.allclose(plain.mean, expanded.mean, atol=1e-6)


def test_batches_do_not_matter(open_encoder: Open, texts: list[str]) -> None:
    one, many = open_encoder(centring=True), open_encoder(centring=True)
    fit(one, texts[:20], batch_size=1)
    fit(many, texts[:20])
    assert torch.allclose(one.mean, many.mean, atol=1e-6)


def test_too_little_text_is_refused(open_encoder: Open) -> None:
    with pytest.raises(InputError, match="no countable tokens"):
        fit(open_encoder(centring=True, punctuation=False), ["!", "..."])
    with pytest.raises(InputError, match="whitening to 8 dimensions needs more than 3 tokens"):
        fit(open_encoder(projection="whitening", projection_dim=8), ["river stone cloud"])
