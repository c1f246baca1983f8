"""Cached vectors: found again by what an encoder computes, and never taken for another's."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.normalizers import Sequence
from torch import Tensor

from engine.encoders.encoder import Encoder
from engine.encoders.fingerprint import fingerprint
from engine.errors import OpticalError
from engine.retrieval import entries
from engine.retrieval.stored import StoredTokens
from engine.retrieval.tokens import TokenStore
from engine.retrieval.vectors import pool_vectors, sentence_vectors, token_vectors, vectors

Open = Callable[..., Encoder]
TEXTS = ["river stone cloud", "horse", "winter garden letter window market", "..."]


def trained_a_step(encoder: Encoder) -> Encoder:
    optimiser = torch.optim.SGD(encoder.parameters(), lr=1e-3)
    encoder(encoder.tokenize(["river"], "query"), "query").sentences[0, 0].backward()
    optimiser.step()
    return encoder


def test_every_load_of_one_checkpoint_has_one_fingerprint(open_encoder: Open) -> None:
    """Also where transformers gives it a random pooler, since the checkpoint has none."""
    first, second = open_encoder(), open_encoder()
    for sentences in (False, True):
        assert fingerprint(first, sentences=sentences) == fingerprint(second, sentences=sentences)
    assert fingerprint(open_encoder(query_length=23)) != fingerprint(first)


@pytest.mark.parametrize("sentences", [False, True])
def test_a_training_step_changes_the_fingerprint(open_encoder: Open, sentences: bool) -> None:
    plain, trained = open_encoder(), trained_a_step(open_encoder())
    assert fingerprint(plain, sentences=sentences) != fingerprint(trained, sentences=sentences)


@pytest.mark.parametrize("sentences", [False, True])
def test_every_changed_row_changes_the_fingerprint(open_encoder: Open, sentences: bool) -> None:
    """Also the rows between those of a sample, and where torch does not count the change."""
    encoder = open_encoder()
    weights = encoder.model.get_input_embeddings().weight
    met = {fingerprint(encoder, sentences=sentences)}
    for row in range(0, len(weights), 7):
        weights.data[row, row % weights.shape[1]] += 0.5
        met.add(fingerprint(encoder, sentences=sentences))
    with torch.no_grad():
        weights[[0, 1]] = weights[[1, 0]]
        met.add(fingerprint(encoder, sentences=sentences))
    assert len(met) == len(range(0, len(weights), 7)) + 2


def test_the_weights_of_a_file_are_hashed_once(
    open_encoder: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = tmp_path / "checkpoint"
    shutil.copytree(open_encoder().config.checkpoint, checkpoint)
    monkeypatch.setenv("OPTICAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("engine.hashes.SETTLED_SECONDS", -1.0)
    hashed: list[int] = []
    real = hashlib.blake2b

    def counted(content: Any = b"", **options: Any) -> Any:
        hashed.append(len(content))
        return real(content, **options)

    monkeypatch.setattr("engine.encoders.weights.hashlib.blake2b", counted)

    def found() -> tuple[str, int]:
        hashed.clear()
        encoder = open_encoder(checkpoint=str(checkpoint))
        return fingerprint(encoder), sum(hashed)

    (first, read), (second, again) = found(), found()
    size = (checkpoint / "model.safetensors").stat().st_size
    assert first == second
    assert read > 0.5 * size > again
    weights = load_file(str(checkpoint / "model.safetensors"))
    name = next(name for name in weights if name.endswith("word_embeddings.weight"))
    weights[name][5:9] += 1
    save_file(weights, str(checkpoint / "model.safetensors"), {"format": "pt"})
    third, read = found()
    assert third != first and read > 1000
    trained = trained_a_step(open_encoder(checkpoint=str(checkpoint)))
    assert fingerprint(trained) not in (first, third)


def test_vectors_of_other_versions_and_damaged_ones_are_ignored(
    open_encoder: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = open_encoder()

    def call() -> tuple[Tensor, int]:
        done: list[int] = []
        found = sentence_vectors(
            encoder, TEXTS, "query", precision=torch.float32, cache=tmp_path, progress=done.append
        )
        return found, sum(done)

    right, _ = call()
    assert call()[1] == 0
    (file,) = tmp_path.glob("*.safetensors")
    with safe_open(str(file), "pt") as opened:
        said = opened.metadata()
    assert json.loads(said["made_by"])["torch"] == version("torch")
    whole = file.read_bytes()
    other = {**said, "made_by": said["made_by"].replace(version("torch"), "1.0.0")}
    wrong = {"sentences": torch.ones(len(TEXTS), 32)}
    for metadata in (other, None, {"checksum": said["checksum"]}, said):
        save_file(wrong, str(file), metadata)
        found, encoded = call()
        assert torch.equal(found, right) and encoded == len(TEXTS)
    file.write_bytes(whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:])  # one bit of one value
    assert torch.equal(call()[0], right)
    monkeypatch.setattr("engine.retrieval.entries.SCHEMA", 0)
    assert call()[1] == len(TEXTS)


def without_normaliser(encoder: Encoder) -> None:
    encoder.tokenizer.backend_tokenizer.normalizer = Sequence([])


def with_swapped_pieces(encoder: Encoder) -> None:
    backend = encoder.tokenizer.backend_tokenizer
    state = json.loads(backend.to_str())
    vocabulary = state["model"]["vocab"]
    if isinstance(vocabulary, dict):  # a piece and its number
        one, other = list(vocabulary)[-2:]
        vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]
    else:
        vocabulary[-2], vocabulary[-1] = vocabulary[-1], vocabulary[-2]
    backend.model = Tokenizer.from_str(json.dumps(state)).model


def with_another_piece(encoder: Encoder) -> None:
    encoder.tokenizer.add_tokens(["rivers"])


@pytest.mark.parametrize("change", [without_normaliser, with_swapped_pieces, with_another_piece])
@pytest.mark.parametrize("sentences", [False, True])
def test_another_tokenizer_over_equal_weights_has_another_fingerprint(
    open_encoder: Open, sentences: bool, change: Callable[[Encoder], None]
) -> None:
    encoder = open_encoder()
    before = fingerprint(encoder, sentences=sentences)
    list(encoder.encode(TEXTS, "query"))  # what it was used for is not what it is
    assert fingerprint(encoder, sentences=sentences) == before
    change(encoder)
    assert fingerprint(encoder, sentences=sentences) != before


@pytest.mark.parametrize(
    "settings",
    [{"punctuation": False}, {"centring": True}, {"prefix_tokens": True}, {"special_tokens": True}],
)
def test_what_shapes_tokens_alone_leaves_sentence_vectors_cached(
    open_encoder: Open, settings: dict[str, Any]
) -> None:
    plain, other = open_encoder(), open_encoder(**settings)
    assert fingerprint(plain) != fingerprint(other)
    assert fingerprint(plain, sentences=True) == fingerprint(other, sentences=True)
    assert fingerprint(plain, sentences=True) != fingerprint(open_encoder(pooling="cls"), sentences=True)


@pytest.mark.parametrize("compute", [token_vectors, sentence_vectors])
def test_the_second_call_encodes_nothing(open_encoder: Open, tmp_path: Path, compute: Any) -> None:
    done: list[int] = []

    def call(encoder: Encoder, texts: list[str] = TEXTS, role: str = "passage") -> Any:
        found = compute(
            encoder, texts, role, precision=torch.float32, cache=tmp_path, batch_size=2, progress=done.append
        )
        return found if isinstance(found, torch.Tensor) else found.vectors

    first = call(open_encoder())
    assert sum(done) == len(TEXTS)
    assert torch.equal(call(open_encoder()), first)
    assert sum(done) == len(TEXTS)
    call(open_encoder(), role="query")
    call(open_encoder(), texts=TEXTS[::-1])
    call(trained_a_step(open_encoder()))
    assert sum(done) == 4 * len(TEXTS)
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes()[:-10])
    assert torch.equal(call(open_encoder()), first)  # a file that was cut short is made again
    assert sum(done) == 5 * len(TEXTS)


def test_token_vectors_are_the_counted_ones_in_the_order_of_the_texts(open_encoder: Open) -> None:
    encoder = open_encoder(punctuation=False)
    store = token_vectors(encoder, TEXTS, "passage", precision=torch.float32, batch_size=2)
    assert store.vectors.dtype == torch.float16
    assert store.lengths.tolist() == [3, 1, 5, 0]
    for index, text in enumerate(TEXTS):
        with torch.no_grad():
            alone = encoder(encoder.tokenize([text], "passage"), "passage")
        assert torch.allclose(store[index].float(), alone.tokens[alone.mask], atol=1e-3)
    assert len(token_vectors(encoder, [], "passage", precision=torch.float32)) == 0


def test_a_cache_that_cannot_be_written_costs_time_only(open_encoder: Open, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "cache"
    vectors = sentence_vectors(open_encoder(), TEXTS, "query", precision=torch.float32, cache=place)
    assert vectors.shape == (len(TEXTS), 32)


def test_both_kinds_come_from_one_pass_and_each_from_its_own_file(open_encoder: Open, tmp_path: Path) -> None:
    encoder = open_encoder(centring=True)
    plain = {"precision": torch.float32}
    tokens, sentences = (f(encoder, TEXTS, "query", **plain) for f in (token_vectors, sentence_vectors))
    encoded: list[int] = []
    for cached in (False, True):
        both = vectors(
            encoder, TEXTS, "query", ["sentences", "tokens"], cache=tmp_path, progress=encoded.append, **plain
        )
        store, means = both["tokens"], both["sentences"]
        assert isinstance(store, type(tokens)) and isinstance(means, torch.Tensor)
        assert torch.equal(store.vectors, tokens.vectors) and torch.equal(store.offsets, tokens.offsets)
        assert torch.equal(means, sentences)
        assert sum(encoded) == len(TEXTS), cached
    # with one file gone, that kind alone is computed again
    next(tmp_path.glob("tokens-*.safetensors")).unlink()
    vectors(
        encoder, TEXTS, "query", ["sentences", "tokens"], cache=tmp_path, progress=encoded.append, **plain
    )
    assert sum(encoded) == 2 * len(TEXTS)
    assert not vectors(encoder, [], "query", ["tokens"], **plain)["tokens"]


MANY = [f"{one} {other}" for one in ("river", "stone", "winter") for other in ("cloud", "horse", "garden")]


def pool(encoder: Encoder, cache: Path, texts: list[str] = MANY, **options: Any) -> dict[Any, Any]:
    return pool_vectors(
        encoder, texts, "passage", ["tokens"], precision=torch.float32, cache=cache, **options
    )


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pools stay on disk, two texts in each file."""
    monkeypatch.setattr("engine.retrieval.vectors.SHARD", 2)
    monkeypatch.setattr("engine.retrieval.vectors.IN_MEMORY", 0)


@pytest.mark.usefixtures("large")
def test_a_large_pool_stays_on_disk_and_is_encoded_once(open_encoder: Open, tmp_path: Path) -> None:
    encoder = open_encoder()
    expected = token_vectors(encoder, MANY, "passage", precision=torch.float32)
    done: list[int] = []
    stored = pool(encoder, tmp_path)["tokens"]
    assert isinstance(stored, StoredTokens) and len(list(tmp_path.glob("tokens-*.safetensors"))) == 5
    assert torch.allclose(stored.load().vectors.float(), expected.vectors.float(), atol=2e-3)
    assert torch.equal(stored.lengths, expected.lengths)
    monkeypatched = encoder.encode
    encoder.encode = lambda texts, *others, **options: (
        done.extend(texts)
        or monkeypatched(  # type: ignore
            texts, *others, **options
        )
    )
    assert isinstance(pool(encoder, tmp_path)["tokens"], StoredTokens) and not done
    pool(encoder, tmp_path, [*MANY, "a new one"])
    assert done == [MANY[-1], "a new one"]  # the last file alone has other texts
    done.clear()
    sorted(tmp_path.glob("tokens-*.safetensors"))[2].unlink()
    again = pool(encoder, tmp_path, [*MANY])["tokens"]
    assert len(done) <= 2 and torch.equal(again.load().vectors, stored.load().vectors)


@pytest.mark.usefixtures("large")
def test_what_was_encoded_before_a_kill_is_not_encoded_again(open_encoder: Open, tmp_path: Path) -> None:
    encoder, done = open_encoder(), list[int]()

    def killed(count: int) -> None:
        done.append(count)
        if sum(done) > 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pool(encoder, tmp_path, progress=killed)
    assert len(list(tmp_path.glob("tokens-*.safetensors"))) == 2
    encoded: list[str] = []
    real = encoder.encode
    encoder.encode = lambda texts, *others, **options: (
        encoded.extend(texts)
        or real(  # type: ignore
            texts, *others, **options
        )
    )
    stored = pool(encoder, tmp_path)["tokens"]
    assert encoded == MANY[4:] and len(stored) == len(MANY)


@pytest.mark.usefixtures("large")
def test_a_full_disk_ends_in_one_sentence_and_keeps_what_was_written(
    open_encoder: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = open_encoder()
    real = entries.save_file

    def full(tensors: Any, name: str, metadata: Any) -> None:
        if len(list(tmp_path.glob("tokens-*.safetensors"))) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(tensors, name, metadata)

    monkeypatch.setattr(entries, "save_file", full)
    with pytest.raises(OpticalError, match=r"texts 7 to 8 of 9 .*No space left on device.*make room"):
        pool(encoder, tmp_path)
    assert len(list(tmp_path.iterdir())) == 3
    monkeypatch.setattr("engine.retrieval.vectors.IN_MEMORY", 2**30)  # a pool that fits needs no disk
    assert isinstance(pool(encoder, tmp_path)["tokens"], TokenStore)


@pytest.mark.usefixtures("large")
def test_a_pool_that_fits_in_memory_is_there_whole(
    open_encoder: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files are compared with their checksums and made again where they are damaged."""
    monkeypatch.setattr("engine.retrieval.vectors.IN_MEMORY", 2**30)
    encoder = open_encoder()
    first = pool(encoder, tmp_path)["tokens"]
    assert isinstance(first, TokenStore)
    file = sorted(tmp_path.glob("tokens-*.safetensors"))[1]
    content = file.read_bytes()
    file.write_bytes(content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])
    assert torch.equal(pool(encoder, tmp_path)["tokens"].vectors, first.vectors)
    assert file.read_bytes()[-3:] == content[-3:]
    other = sorted(tmp_path.glob("tokens-*.safetensors"))[2]
    other.write_bytes(content)  # a whole file under the name of another
    assert torch.equal(pool(encoder, tmp_path)["tokens"].vectors, first.vectors)


@pytest.mark.usefixtures("large")
def test_both_kinds_of_a_large_pool(open_encoder: Open, tmp_path: Path) -> None:
    encoder = open_encoder()
    found = pool_vectors(
        encoder, MANY, "passage", ["sentences", "tokens"], precision=torch.float32, cache=tmp_path
    )
    expected = sentence_vectors(encoder, MANY, "passage", precision=torch.float32)
    assert isinstance(found["tokens"], StoredTokens)
    torch.testing.assert_close(found["sentences"], expected, rtol=0, atol=1e-5)


@pytest.mark.usefixtures("large")
def test_two_jobs_that_fill_one_cache_share_the_work(open_encoder: Open, tmp_path: Path) -> None:
    encoded: list[str] = []
    found: list[StoredTokens] = []

    def job(encoder: Encoder) -> None:
        real = encoder.encode
        encoder.encode = lambda texts, *others, **options: (
            encoded.extend(texts)
            or real(  # type: ignore
                texts, *others, **options
            )
        )
        found.append(pool(encoder, tmp_path)["tokens"])

    jobs = [threading.Thread(target=job, args=[open_encoder()]) for _ in range(2)]
    for thread in jobs:
        thread.start()
    for thread in jobs:
        thread.join()
    assert sorted(encoded) == sorted(MANY)
    assert len(found) == 2 and torch.equal(found[0].load().vectors, found[1].load().vectors)
    assert not list(tmp_path.glob("*.lock"))


@pytest.mark.usefixtures("large")
def test_texts_that_another_process_encodes_come_last(open_encoder: Open, tmp_path: Path) -> None:
    """The claim of a process ends with it, whether or not it wrote anything."""
    encoder, encoded = open_encoder(), list[str]()
    pool(encoder, tmp_path, MANY[:2])
    (first,) = tmp_path.glob("tokens-*")
    first.unlink()
    real, claim = encoder.encode, contextlib.ExitStack()
    assert claim.enter_context(entries.claimed(first, wait=False))
    with entries.claimed(first, wait=False) as mine:
        assert not mine

    def encode(texts: Any, *others: Any, **options: Any) -> Any:
        encoded.extend(texts)
        if len(encoded) == len(MANY) - 2:
            claim.close()
        return real(texts, *others, **options)

    encoder.encode = encode  # type: ignore[method-assign]
    assert len(pool(encoder, tmp_path)["tokens"]) == len(MANY)
    assert encoded == [*MANY[2:], *MANY[:2]]
