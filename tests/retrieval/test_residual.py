"""Vectors in 2 or 4 bits: the packing bit by bit, the error, and the search of what is decoded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.errors import DivergedError
from engine.retrieval.entries import load_cached, save_cached
from engine.retrieval.maxsim import find_maxsim
from engine.retrieval.residual import ResidualCodec
from engine.retrieval.stored import Shard, StoredTokens
from engine.retrieval.tokens import TokenStore


def unit(count: int, width: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(20, width, generator=generator)
    own = torch.randint(0, 20, (count,), generator=generator)
    noise = 0.5 * torch.randn(count, width, generator=generator)
    return torch.nn.functional.normalize(centres[own] + noise, dim=1)


@pytest.mark.parametrize("bits", [2, 4])
@pytest.mark.parametrize("width", [16, 13])
def test_bits_stand_for_the_nearest_quantile(bits: int, width: int) -> None:
    """Each element is decoded alone, from its own bits and the definition."""
    vectors = unit(2000, width, 0)
    codec = ResidualCodec.learn(vectors, bits, vectors=2000)
    codes, packed = codec.encode(vectors)
    assert packed.shape == (2000, -(-width * bits // 8)) and codec.bits == bits
    for row in range(0, 2000, 97):
        centroid = codec.centroids[int(codes[row])]
        assert float(vectors[row] @ centroid) >= float((codec.centroids @ vectors[row]).max()) - 1e-6
        expected = []
        for place in range(width):
            byte = int(packed[row, place * bits // 8])
            level = byte >> (place * bits % 8) & (2**bits - 1)
            residual = float(vectors[row, place] - centroid[place])
            assert level == sum(residual > float(cutoff) for cutoff in codec.cutoffs)
            expected.append(float(centroid[place] + codec.values[level]))
        whole = torch.tensor(expected)
        torch.testing.assert_close(codec.decode(codes, packed)[row], whole / whole.norm(), atol=1e-6, rtol=0)


def test_more_bits_lose_less_and_the_error_is_that_of_other_vectors() -> None:
    vectors, others = unit(4000, 32, 1), unit(1000, 32, 1)
    cosines = []
    for bits in (2, 4):
        codec = ResidualCodec.learn(vectors, bits, vectors=4000)
        found = torch.cosine_similarity(codec.decode(*codec.encode(others)), others).mean()
        assert abs(float(found) - codec.cosine) < 0.01
        cosines.append(codec.cosine)
    assert 0.9 < cosines[0] < cosines[1] and cosines[1] > 0.99


def test_what_is_searched_is_what_is_decoded(tmp_path: Path) -> None:
    vectors = unit(600, 16, 2)
    lengths = torch.tensor([0, 5, 10, 0, 15] * 20)
    documents = TokenStore(vectors, torch.cat([torch.zeros(1).long(), lengths.cumsum(0)]))
    codec = ResidualCodec.learn(vectors, 2, vectors=600)
    codes, packed = codec.encode(vectors)
    path = tmp_path / "shard.safetensors"
    save_cached({"codes": codes, "residuals": packed, "offsets": documents.offsets}, path)
    shard = Shard.open(path, codec)
    assert shard is not None
    stored = StoredTokens([shard])
    decoded = TokenStore(codec.decode(codes, packed), documents.offsets)
    assert torch.equal(stored.load().vectors, decoded.vectors)
    queries = TokenStore(unit(12, 16, 3), torch.tensor([0, 5, 12]))
    wanted = torch.tensor([[3], [99]])
    found, expected = (find_maxsim(queries, one, 10, wanted) for one in (stored, decoded))
    assert torch.equal(found.indices, expected.indices) and torch.equal(found.ranks, expected.ranks)
    assert path.stat().st_size < 600 * (4 + 2) + 101 * 8 + 1000


def test_a_codec_is_read_back_and_few_vectors_make_one(tmp_path: Path) -> None:
    codec = ResidualCodec.learn(unit(300, 8, 4), 4, vectors=300)
    save_cached(codec.tensors(), tmp_path / "codec.safetensors")
    again = ResidualCodec.from_tensors(load_cached(tmp_path / "codec.safetensors") or {})
    assert torch.equal(again.centroids, codec.centroids) and torch.equal(again.values, codec.values)
    assert torch.equal(again.cutoffs, codec.cutoffs) and again.cosine == pytest.approx(codec.cosine)
    for count in (0, 1, 3):
        small = ResidualCodec.learn(unit(300, 8, 4)[:count], 2, vectors=count)
        assert small.decode(*small.encode(unit(5, 8, 1))).shape == (5, 8)
    with pytest.raises(DivergedError, match="not numbers"):
        ResidualCodec.learn(torch.full((3, 4), torch.nan), 2, vectors=3)
