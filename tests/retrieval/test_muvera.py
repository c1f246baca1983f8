"""MUVERA's encodings against the definition of the paper, and its candidates against exact MaxSim."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from engine.errors import DivergedError
from engine.retrieval.entries import save_cached
from engine.retrieval.maxsim import find_maxsim
from engine.retrieval.muvera import FixedEncodings, MuveraIndex, find_muvera, muvera_search
from engine.retrieval.single import SingleSearch
from engine.retrieval.stored import Shard, StoredTokens
from engine.retrieval.tokens import TokenStore


def store(lengths: list[int], width: int, seed: int) -> TokenStore:
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.nn.functional.normalize(torch.randn(sum(lengths), width, generator=generator), dim=1)
    return TokenStore(vectors, torch.tensor([0, *lengths]).cumsum(0))


def defined(encodings: FixedEncodings, tokens: Tensor, *, document: bool) -> Tensor:
    """The encoding of one text token by token, as section 2 of the paper defines it, before any scaling."""
    rows = []
    for repetition in range(encodings.repetitions):
        planes = encodings.planes[repetition]
        signs = [[bool(plane @ token > 0) for plane in planes] for token in tokens]
        projected = tokens
        if encodings.projections is not None:
            projected = torch.stack([encodings.projections[repetition] @ token for token in tokens])
        for cell in range(encodings.cells):
            bits = [bool(cell >> bit & 1) for bit in range(encodings.bits)]
            inside = [row for row, own in enumerate(signs) if own == bits]
            if inside:
                total = projected[inside].sum(0)
                rows.append(total / len(inside) if document else total)
            elif document:
                differing = [sum(a != b for a, b in zip(own, bits, strict=True)) for own in signs]
                rows.append(projected[differing.index(min(differing))])
            else:
                rows.append(torch.zeros_like(projected[0]))
    return torch.cat(rows)


@pytest.mark.parametrize("projected", [None, 3])
def test_encodings_are_those_of_the_paper(projected: int | None) -> None:
    """A cell without tokens is filled with a nearest token; any of those equally near is right."""
    encodings = FixedEncodings(6, repetitions=3, bits=3, projected=projected, seed=4)
    texts = store([5, 1, 12, 2], 6, 1)
    queries, documents = encodings.queries(texts), encodings.documents(texts)
    for row, tokens in enumerate(texts):
        expected = defined(encodings, tokens, document=False) / (3 * len(tokens))
        torch.testing.assert_close(queries[row], expected, rtol=0, atol=1e-6)
        expected = defined(encodings, tokens, document=True)
        off = ~torch.isclose(documents[row], expected, atol=1e-5)
        assert off.float().mean() < 0.5  # ties are broken in another order
        cells = documents[row].view(3, 8, -1)
        for repetition in range(3):
            matrix = encodings.projections[repetition] if encodings.projections is not None else torch.eye(6)
            own = tokens @ matrix.T
            signs = tokens @ encodings.planes[repetition].T > 0
            for cell in range(8):
                bits = torch.tensor([bool(cell >> bit & 1) for bit in range(3)])
                distance = (signs != bits).sum(1)
                nearest = own[distance == distance.min()]
                if distance.min() == 0:
                    nearest = nearest.mean(0, keepdim=True)
                gap = (nearest - cells[repetition, cell]).abs().amax(1).min()
                assert gap < 1e-5


def test_texts_of_one_token_have_their_exact_product() -> None:
    """Every cell of such a document has its token, so that nothing is lost without a projection."""
    encodings = FixedEncodings(8, repetitions=2, bits=3, projected=None)
    queries, documents = store([1] * 4, 8, 2), store([1] * 9, 8, 3)
    products = encodings.queries(queries) @ encodings.documents(documents).T
    torch.testing.assert_close(products, queries.vectors @ documents.vectors.T, rtol=0, atol=1e-6)


def test_products_of_encodings_approximate_maxsim() -> None:
    """They correlate with MaxSim, and the more so the more repetitions there are."""
    queries, documents = store([8] * 20, 32, 5), store([12] * 200, 32, 6)
    # each query has tokens near those of ten documents, as relevant documents have
    near = documents.vectors.view(200, 12, 32)[: 20 * 8 : 8][:, :8].reshape(160, 32)
    queries = TokenStore(torch.nn.functional.normalize(near + 0.3 * queries.vectors, dim=1), queries.offsets)
    nothing = torch.empty(20, 0, dtype=torch.int64)
    exact = find_maxsim(queries, documents, 200, nothing)
    scores = torch.empty(20, 200).scatter_(1, exact.indices, exact.scores)
    correlations = []
    for repetitions in (1, 20):
        encodings = FixedEncodings(32, repetitions=repetitions, bits=4, projected=16)
        products = encodings.queries(queries) @ encodings.documents(documents).T
        both = torch.stack([products.flatten(), scores.flatten()])
        correlations.append(float(torch.corrcoef(both)[0, 1]))
    assert correlations[0] < correlations[1] and correlations[1] > 0.8
    # an estimate never lies above the score by more than the projection's noise
    assert (products - scores).max() < 0.25


def test_all_candidates_give_the_exact_result() -> None:
    queries, documents = store([4, 0, 3], 8, 7), store([5, 0, 2, 9, 1, 4, 4, 0, 6, 3], 8, 8)
    wanted = torch.tensor([[0, 3], [2, -1], [1, 9]])
    exact = find_maxsim(queries, documents, 6, wanted)
    found = find_muvera(queries, documents, 6, wanted, probes=10, candidates=10)
    finite = exact.scores > -torch.inf
    torch.testing.assert_close(found.scores, exact.scores, rtol=0, atol=1e-6)
    assert torch.equal(found.indices[finite], exact.indices[finite])
    assert torch.equal(found.ranks, torch.where(exact.ranks <= 6, exact.ranks, 0))


def test_few_candidates_find_the_nearest_documents() -> None:
    documents = store([10] * 400, 32, 9)
    chosen = torch.arange(0, 400, 20)
    noise = store([10] * 20, 32, 10)
    queries = TokenStore(
        torch.nn.functional.normalize(documents.select(chosen).vectors + 0.4 * noise.vectors, dim=1),
        noise.offsets,
    )
    found = find_muvera(queries, documents, 1, chosen[:, None], probes=20, candidates=10)
    assert (found.indices[:, 0] == chosen).float().mean() > 0.95


def test_no_documents_no_queries_and_no_numbers() -> None:
    none = TokenStore(torch.zeros(0, 4), torch.zeros(1, dtype=torch.int64))
    some = store([2, 1], 4, 1)
    wanted = torch.full((2, 1), -1)
    assert find_muvera(some, none, 5, wanted, probes=1, candidates=1).scores.shape == (2, 0)
    assert find_muvera(none, some, 5, wanted[:0], probes=1, candidates=1).indices.shape == (0, 2)
    broken = TokenStore(torch.full((1, 4), torch.nan), torch.tensor([0, 1]))
    with pytest.raises(DivergedError, match="not numbers"):
        find_muvera(broken, some, 1, wanted[:1], probes=1, candidates=1)
    with pytest.raises(DivergedError, match="not numbers"):
        MuveraIndex(broken)


def on_disk(documents: TokenStore, folder: Path) -> StoredTokens:
    """The documents in two files."""
    shards = []
    for number, some in enumerate(torch.arange(len(documents)).chunk(2)):
        part, path = documents.select(some), folder / f"{number}.safetensors"
        assert save_cached({"vectors": part.vectors, "offsets": part.offsets}, path) is None
        shard = Shard.open(path)
        assert shard is not None
        shards.append(shard)
    return StoredTokens(shards)


def test_lists_of_a_pool_on_disk_are_mapped_by_the_next_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents, queries = store([4] * 30, 8, 11), store([3] * 5, 8, 12)
    expected = MuveraIndex(documents).candidates(queries, 7, probes=2)
    made = MuveraIndex(on_disk(documents, tmp_path)).candidates(queries, 7, probes=2)
    (path,) = tmp_path.glob("muvera-*.safetensors")
    assert torch.equal(made, expected) and not list(tmp_path.glob("*.lock"))

    def never(*_: object) -> None:
        raise AssertionError("documents are encoded again")

    with monkeypatch.context() as patched:
        patched.setattr(FixedEncodings, "documents", never)
        again = MuveraIndex(on_disk(documents, tmp_path))
        assert torch.equal(again.candidates(queries, 7, probes=2), expected) and again.lists == 5
    content, lists = path.read_bytes(), load_file(path)["lists"].clone()
    for damaged in (content[:-9], content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]):
        path.write_bytes(damaged)
        repaired = MuveraIndex(on_disk(documents, tmp_path)).candidates(queries, 7, probes=2)
        assert torch.equal(repaired, expected) and torch.equal(load_file(path)["lists"], lists)
    other = store([4] * 30, 8, 13)
    found = MuveraIndex(on_disk(other, tmp_path)).candidates(queries, 7, probes=2)
    assert torch.equal(found, MuveraIndex(other).candidates(queries, 7, probes=2))
    assert len(list(tmp_path.glob("muvera-*.safetensors"))) == 2


def test_lists_that_cannot_be_written_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk costs the time to make them again, and nothing else."""

    def full(*_: object) -> OSError:
        return OSError(28, "No space left on device")

    documents, queries = store([4] * 30, 8, 11), store([3] * 5, 8, 12)
    pool = on_disk(documents, tmp_path)
    monkeypatch.setattr("engine.retrieval.muvera.save_cached", full)
    found = MuveraIndex(pool).candidates(queries, 7, probes=2)
    assert torch.equal(found, MuveraIndex(documents).candidates(queries, 7, probes=2))
    assert not list(tmp_path.glob("muvera-*.safetensors"))


def test_a_single_query_finds_what_many_find(tmp_path: Path) -> None:
    documents, queries = store([5, 0, *[3] * 38], 8, 14), store([4, 2], 8, 15)
    nothing = torch.empty(2, 0, dtype=torch.int64)
    for settings in ({"probes": 2, "candidates": 6}, {"probes": 40, "candidates": 40}):
        expected = find_muvera(queries, documents, 5, nothing, **settings)
        prepared = muvera_search(on_disk(documents, tmp_path), **settings)
        for row in range(2):
            scores, indices = prepared.search(queries[row], 5)
            assert torch.equal(indices, expected.indices[row])
            torch.testing.assert_close(scores, expected.scores[row], rtol=0, atol=1e-6)
    exact = SingleSearch(documents).search(queries[0], 5)  # with all lists and documents
    assert torch.equal(prepared.search(queries[0], 5)[1], exact[1])
    with pytest.raises(ValueError, match="at least 1"):
        prepared.search(queries[0], 0)
    with pytest.raises(ValueError, match="width 8"):
        prepared.search(torch.zeros(1, 3), 1)


def test_a_byte_for_several_numbers_finds_the_nearest_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.retrieval.muvera._MANY", 400)
    monkeypatch.setattr("engine.retrieval.muvera._SHARE", 32)
    documents = store([10] * 400, 32, 9)
    chosen = torch.arange(0, 400, 20)
    noise = store([10] * 20, 32, 10)
    queries = TokenStore(
        torch.nn.functional.normalize(documents.select(chosen).vectors + 0.4 * noise.vectors, dim=1),
        noise.offsets,
    )
    index = MuveraIndex(documents)
    found = index.candidates(queries, 10, probes=20)
    assert (found == chosen[:, None]).any(1).float().mean() > 0.95
    assert index.bytes == 5120 / 32  # of each document
