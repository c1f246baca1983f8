"""Packed tokens against the padded batches from which they are made."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.retrieval.entries import load_cached, save_cached
from engine.retrieval.tokens import TokenStore


def batch(seed: int, b: int, t: int, h: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(b, t, h, generator=generator), torch.rand(b, t, generator=generator) < 0.5


@given(seed=st.integers(0, 999), b=st.integers(1, 6), t=st.integers(1, 5))
def test_a_store_keeps_the_counted_tokens_of_each_document(seed: int, b: int, t: int) -> None:
    vectors, mask = batch(seed, b, t, 3)
    store = TokenStore.from_padded(vectors, mask)
    assert len(store) == b
    for index in range(b):
        assert torch.equal(store[index], vectors[index][mask[index]])
    assert store.lengths.tolist() == mask.sum(1).tolist()


@given(seed=st.integers(0, 999), cut=st.integers(0, 6))
def test_concatenating_parts_gives_the_whole(seed: int, cut: int) -> None:
    vectors, mask = batch(seed, 6, 4, 3)
    parts = [
        TokenStore.from_padded(vectors[:cut], mask[:cut]),
        TokenStore.from_padded(vectors[cut:], mask[cut:]),
    ]
    joined, whole = TokenStore.concatenate(parts), TokenStore.from_padded(vectors, mask)
    assert torch.equal(joined.vectors, whole.vectors) and torch.equal(joined.offsets, whole.offsets)


@given(seed=st.integers(0, 999), picks=st.lists(st.integers(0, 5), max_size=8))
def test_select_returns_documents_in_the_order_asked_for(seed: int, picks: list[int]) -> None:
    store = TokenStore.from_padded(*batch(seed, 6, 4, 3))
    chosen = store.select(torch.tensor(picks, dtype=torch.int64))
    assert len(chosen) == len(picks)
    for place, pick in enumerate(picks):
        assert torch.equal(chosen[place], store[pick])


def test_padding_again_gives_the_same_tokens() -> None:
    store = TokenStore.from_padded(*batch(1, 5, 4, 3))
    again = TokenStore.from_padded(*store.padded())
    assert torch.equal(again.vectors, store.vectors) and torch.equal(again.offsets, store.offsets)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_saved_store_is_read_back_bit_for_bit(tmp_path: Path, dtype: torch.dtype) -> None:
    store = TokenStore.from_padded(*batch(2, 5, 4, 3)).to(dtype)
    save_cached({"vectors": store.vectors, "offsets": store.offsets}, tmp_path / "store.safetensors")
    found = load_cached(tmp_path / "store.safetensors")
    assert found is not None
    again = TokenStore(found["vectors"], found["offsets"])
    assert again.vectors.dtype == dtype
    assert torch.equal(again.vectors, store.vectors) and torch.equal(again.offsets, store.offsets)
    assert [path.name for path in tmp_path.iterdir()] == ["store.safetensors"]


def test_bytes_count_vectors_and_offsets() -> None:
    store = TokenStore(torch.zeros(10, 8, dtype=torch.bfloat16), torch.tensor([0, 4, 10]))
    assert store.nbytes == 10 * 8 * 2 + 3 * 8


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "store.safetensors"
    target.mkdir()  # cannot be replaced by a file
    save_cached({"vectors": torch.zeros(3, 2)}, target)  # the cache only saves time
    assert list(tmp_path.iterdir()) == [target]


def test_a_damaged_file_is_removed_and_not_read(tmp_path: Path) -> None:
    path = tmp_path / "store.safetensors"
    save_cached({"vectors": torch.zeros(3, 2)}, path)
    path.write_bytes(path.read_bytes()[:-7])
    assert load_cached(path) is None
    assert not path.exists()
    assert load_cached(tmp_path / "missing") is None


@pytest.mark.parametrize("offsets", [[0, 2], [1, 3], [0, 3, 2, 3], []])
def test_offsets_that_do_not_fit_are_refused(offsets: list[int]) -> None:
    with pytest.raises(ValueError, match="offsets"):
        TokenStore(torch.zeros(3, 2), torch.tensor(offsets, dtype=torch.int64))


def test_stores_of_different_width_or_type_cannot_be_concatenated() -> None:
    one = TokenStore(torch.zeros(1, 2), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="different"):
        TokenStore.concatenate([one, TokenStore(torch.zeros(1, 3), torch.tensor([0, 1]))])
    with pytest.raises(ValueError, match="different"):
        TokenStore.concatenate([one, one.to(torch.float16)])
    with pytest.raises(ValueError, match="no store"):
        TokenStore.concatenate([])
