"""Token vectors on disk: searched as those in memory, and never taken for others when a file is wrong."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch

from engine.errors import InputError
from engine.hashes import stamp_of
from engine.retrieval.entries import checksum_of, save_cached
from engine.retrieval.maxsim import find_maxsim
from engine.retrieval.single import SingleSearch
from engine.retrieval.stored import Shard, StoredTokens
from engine.retrieval.tokens import TokenStore

LENGTHS = [3, 0, 50, 1, 1, 0, 17, 5, 16, 16, 2, 0, 7, 9, 0, 30, 4, 4, 8, 1]
CUTS = [0, 7, 8, 15, len(LENGTHS)]


def store(lengths: list[int], seed: int, dtype: torch.dtype = torch.float16) -> TokenStore:
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.nn.functional.normalize(torch.randn(sum(lengths), 8, generator=generator), dim=1)
    return TokenStore(vectors.to(dtype), torch.tensor([0, *lengths]).cumsum(0))


def written(whole: TokenStore, folder: Path) -> StoredTokens:
    """The documents in four files."""
    shards = []
    for number, (low, high) in enumerate(itertools.pairwise(CUTS)):
        part = whole.select(torch.arange(low, high))
        path = folder / f"shard-{number}.safetensors"
        assert save_cached({"vectors": part.vectors, "offsets": part.offsets}, path) is None
        shard = Shard.open(path)
        assert shard is not None
        shards.append(shard)
    return StoredTokens(shards)


@pytest.fixture(params=[1, 300, 1 << 24])
def part_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.retrieval.stored._PART", request.param)


@pytest.mark.parametrize("screen", [False, True])
@pytest.mark.parametrize("scores", [1, 1 << 29])
@pytest.mark.usefixtures("part_bytes")
def test_searching_files_finds_what_searching_memory_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, screen: bool, scores: int
) -> None:
    """Whatever is read at once, and also with one query in each pass over the files."""
    monkeypatch.setattr("engine.retrieval.blocks._SCORES", scores)
    documents, queries = store(LENGTHS, 1), store([4, 0, 2, 9, 1], 2, torch.float32)
    wanted = torch.tensor([[0, 19], [2, -1], [1, 8], [6, 15], [-1, -1]])
    stored = written(documents, tmp_path)
    block_bytes = 1 << 26 if scores > 1 else 1
    expected = find_maxsim(queries, documents, 6, wanted, screen=False)
    found = find_maxsim(queries, stored, 6, wanted, screen=screen, block_bytes=block_bytes)
    torch.testing.assert_close(found.scores, expected.scores, rtol=0, atol=1e-6)
    finite = expected.scores > -torch.inf
    assert torch.equal(found.indices[finite], expected.indices[finite])
    assert torch.equal(found.ranks, expected.ranks)


@pytest.mark.usefixtures("part_bytes")
def test_documents_are_those_that_were_written(tmp_path: Path) -> None:
    documents = store(LENGTHS, 3)
    stored = written(documents, tmp_path)
    assert len(stored) == len(documents) and stored.nbytes == documents.nbytes
    assert torch.equal(stored.lengths, documents.lengths)
    for chosen in (stored.load(), TokenStore.concatenate([part for _, part in stored.parts()])):
        assert torch.equal(chosen.vectors, documents.vectors) and torch.equal(
            chosen.offsets, documents.offsets
        )
    picks = torch.tensor([19, 2, 1, 2, 7, 8, 0, 14])
    some, expected = stored.select(picks), documents.select(picks)
    assert torch.equal(some.vectors, expected.vectors) and torch.equal(some.offsets, expected.offsets)
    assert torch.equal(stored[15], documents[15]) and len(list(stored)) == len(documents)
    with pytest.raises(IndexError):
        stored[20]


def test_equal_scores_keep_the_lower_document_first_across_files(tmp_path: Path) -> None:
    row = store([1], 4).vectors
    stored = written(TokenStore(row.repeat(20, 1), torch.arange(21)), tmp_path)
    found = find_maxsim(TokenStore(row, torch.tensor([0, 1])), stored, 12, torch.tensor([[0, 9, 19]]))
    assert found.indices.tolist() == [list(range(12))] and found.ranks.tolist() == [[1, 10, 20]]


def test_a_single_query_finds_what_it_finds_in_memory(tmp_path: Path) -> None:
    documents = store(LENGTHS, 5)
    query = store([6], 6, torch.float32).vectors
    scores, indices = SingleSearch(written(documents, tmp_path)).search(query, 9)
    expected, order = SingleSearch(documents).search(query, 9)
    assert torch.equal(indices, order)
    torch.testing.assert_close(scores, expected, rtol=0, atol=1e-6)


def test_a_file_that_is_missing_cut_or_damaged_is_named_and_never_searched(tmp_path: Path) -> None:
    documents, queries = store(LENGTHS, 7), store([4], 8, torch.float32)

    def search() -> None:
        find_maxsim(queries, stored, 3, torch.empty(1, 0, dtype=torch.int64))

    for damage in ("missing", "cut", "bit", "another"):
        stored = written(documents, tmp_path)
        path = tmp_path / "shard-2.safetensors"
        content = path.read_bytes()
        if damage == "missing":
            path.unlink()
        elif damage == "cut":
            path.write_bytes(content[:-7])
        elif damage == "bit":
            path.write_bytes(content[:-7] + bytes([content[-7] ^ 1]) + content[-6:])
        else:  # a whole file, of other documents
            path.write_bytes((tmp_path / "shard-1.safetensors").read_bytes())
        with pytest.raises(InputError, match="run the command again") as raised:
            search()
        assert str(path) in str(raised.value) and not path.exists(), damage
        with pytest.raises(InputError, match="run the command again"):
            stored.select(torch.tensor([9]))
        assert stored.select(torch.tensor([0])).vectors.shape == (3, 8)  # the other files are used


def test_queries_of_another_width_are_refused(tmp_path: Path) -> None:
    stored = written(store(LENGTHS, 9), tmp_path)
    with pytest.raises(ValueError, match="width 3"):
        find_maxsim(TokenStore(torch.zeros(1, 3), torch.tensor([0, 1])), stored, 1, torch.zeros(1, 0).long())


def test_files_are_compared_with_their_checksums_once_and_when_they_have_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[int] = []

    def counted(tensors: dict[str, torch.Tensor]) -> str:
        compared.append(len(tensors["offsets"]) - 1)
        return checksum_of(tensors)

    monkeypatch.setattr("engine.retrieval.stored.checksum_of", counted)
    monkeypatch.setattr("engine.hashes.SETTLED_SECONDS", 0)
    stored = written(store(LENGTHS, 7), tmp_path)
    sizes = [high - low for low, high in itertools.pairwise(CUTS)]
    picks = torch.tensor([1, 19])
    stored.select(picks)
    assert compared == [sizes[0], sizes[3]]
    stored.load()
    assert compared == [sizes[0], sizes[3], sizes[1], sizes[2]]
    compared.clear()
    opened = StoredTokens(stored._shards)
    assert torch.equal(opened.load().vectors, stored.load().vectors) and not compared
    path = tmp_path / "shard-3.safetensors"
    before, content = stamp_of(path), path.read_bytes()
    while stamp_of(path) == before:  # within one tick of the clock of the file system it stays the same
        path.write_bytes(content[:-7] + bytes([content[-7] ^ 1]) + content[-6:])
    damaged = StoredTokens(stored._shards)
    damaged.select(torch.tensor([0]))
    with pytest.raises(InputError, match="damaged"):
        damaged.select(picks)
    assert compared == [sizes[3]]


def test_the_name_of_vectors_is_that_of_their_content(tmp_path: Path) -> None:
    one, again, other = tmp_path / "1", tmp_path / "2", tmp_path / "3"
    same = written(store(LENGTHS, 7), one).name, written(store(LENGTHS, 7), again).name
    assert same[0] == same[1] != written(store(LENGTHS, 8), other).name
