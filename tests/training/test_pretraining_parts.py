"""Masking, tokenizers, corpora and the model of a pre-training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.bitext.sampling import phases
from engine.config.pretraining import ModelConfig, SamplingConfig, TokenizerConfig
from engine.errors import InputError
from engine.training.pretraining.corpus import Stream, all_blocks, check_unknown, draw_blocks, tokenised
from engine.training.pretraining.masking import Masking
from engine.training.pretraining.model import load_masked_model, masked_logits, new_model
from engine.training.pretraining.speed import flops_of, matmul_rate, peak_memory
from engine.training.pretraining.texts import Texts
from engine.training.pretraining.tokenizer import SPECIAL, load_tokenizer, train_tokenizer

TEXTS = {
    "en": Texts([f"the river {i} and the stone {i * 7} of the village" for i in range(300)], []),
    "ru": Texts([f"река {i} и камень {i * 3} деревни" for i in range(60)], []),
}


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_tokenizer(TokenizerConfig(vocabulary=160), TEXTS, 32, seed=0)


# -- masking ---------------------------------------------------------------------------------------------


def test_masking_takes_its_share_and_treats_it_as_bert_does() -> None:
    masking = Masking(0.15, mask=4, special=range(5), vocabulary=1000)
    generator = np.random.default_rng(0)
    ids = np.random.default_rng(1).integers(5, 1000, (400, 64))
    ids[:, 0], ids[:, -1] = 0, 2
    ids[::3, 40:] = 1
    masked = masking(ids, generator)
    flat, shown = ids.reshape(-1), masked.ids.reshape(-1)
    ordinary = int((flat >= 5).sum())
    assert len(masked.places) == round(0.15 * ordinary) == len(set(masked.places.tolist()))
    assert (flat[masked.places] == masked.targets).all() and (masked.targets >= 5).all()
    untouched = np.setdiff1d(np.arange(ids.size), masked.places)
    assert (shown[untouched] == flat[untouched]).all()
    seen = shown[masked.places]
    n = len(seen)
    for share, count in (
        (0.8, (seen == 4).sum()),
        (0.1 * 994 / 995, ((seen != 4) & (seen != masked.targets)).sum()),  # one in 995 draws itself
        (0.1 + 0.1 / 995, (seen == masked.targets).sum()),
    ):
        assert abs(count - share * n) < 4 * np.sqrt(share * (1 - share) * n)
    replaced = seen[(seen != 4) & (seen != masked.targets)]
    assert (replaced >= 5).all() and len(set(replaced.tolist())) > 0.3 * len(replaced)
    places = np.bincount(masked.places % 64, minlength=64)
    assert places[0] == places[63] == 0 and places[1:40].min() > 0


def test_masking_hangs_on_its_generator_alone_and_takes_at_least_one() -> None:
    masking = Masking(0.1, mask=4, special=range(5), vocabulary=50)
    ids = np.full((2, 8), 7)
    one, same = (masking(ids, np.random.default_rng(3)) for _ in range(2))
    assert (one.ids == same.ids).all() and (one.places == same.places).all()
    assert len(masking(np.array([[0, 9, 2, 1]]), np.random.default_rng(0)).places) == 1


# -- tokenizers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["unigram", "bpe"])
def test_a_trained_tokenizer_opens_with_transformers_and_loses_nothing(
    algorithm: Any, tmp_path: Path
) -> None:
    made = train_tokenizer(TokenizerConfig(algorithm=algorithm, vocabulary=120), TEXTS, 32, seed=0)
    made.save_pretrained(str(tmp_path))
    opened = load_tokenizer(str(tmp_path))
    assert 0 < len(opened) <= 120
    assert opened.convert_tokens_to_ids(list(SPECIAL)) == [0, 1, 2, 3, 4]
    text = "the river 7 и камень"
    ids = opened(text)["input_ids"]
    assert (ids[0], ids[-1]) == (opened.cls_token_id, opened.sep_token_id)
    assert opened.decode(ids, skip_special_tokens=True).strip() == text
    assert opened.unk_token_id in opened("ᏣᎳᎩ")["input_ids"]


def test_alpha_shares_the_vocabulary() -> None:
    pieces = {}
    for alpha in (0.0, 1.0):
        config = TokenizerConfig(vocabulary=100, alpha=alpha)
        pieces[alpha] = set(train_tokenizer(config, TEXTS, 32, seed=0).get_vocab())
    longest = [
        max((len(p) for p in pieces[a] if "а" <= p.strip("▁")[:1] <= "я"), default=0) for a in (0.0, 1.0)
    ]
    assert longest[0] >= longest[1] and pieces[0.0] != pieces[1.0]


def test_more_characters_than_the_vocabulary_holds_are_refused() -> None:
    texts = {"zh": Texts(["".join(chr(0x4E00 + i) for i in range(200))], [])}
    with pytest.raises(InputError, match="200 distinct characters"):
        train_tokenizer(TokenizerConfig(vocabulary=100), texts, 32, seed=0)


def test_a_tokenizer_that_does_not_know_a_language_is_refused(tokenizer: Any) -> None:
    corpora = {name: tokenised(tokenizer, found.training) for name, found in TEXTS.items()}
    check_unknown(corpora, 0.0)
    corpora["chr"] = tokenised(tokenizer, ["ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ"])
    assert corpora["chr"].unknown_rate >= 0.5
    with pytest.raises(InputError, match=r"unknown, more than tokenizer\.max_unknown = 0\.01") as caught:
        check_unknown(corpora, 0.01)
    assert "'chr'" in str(caught.value)


# -- corpora ---------------------------------------------------------------------------------------------


def test_a_corpus_counts_what_a_plain_loop_counts(tokenizer: Any) -> None:
    corpus = tokenised(tokenizer, TEXTS["ru"].training)
    plain = [tokenizer.tokenize(text) for text in TEXTS["ru"].training]
    assert corpus.pieces == sum(map(len, plain)) and corpus.sentences == 60
    words = sum(len(text.split()) for text in TEXTS["ru"].training)
    assert corpus.pieces_per_word == pytest.approx(corpus.pieces / words)
    assert (corpus.ids[corpus.bounds[1:] - 1] == tokenizer.sep_token_id).all()


def test_a_stream_gives_every_sentence_once_an_epoch(tokenizer: Any) -> None:
    corpus = tokenised(tokenizer, TEXTS["ru"].training)
    stream = Stream(corpus, np.random.default_rng(0))
    sizes = np.random.default_rng(1).integers(1, 40, 500)
    taken = np.concatenate([stream.take(int(size)) for size in sizes])
    epochs = [taken[i : i + len(corpus.ids)] for i in range(0, len(taken) - len(corpus.ids), len(corpus.ids))]
    assert len(epochs) > 2
    whole = np.sort(corpus.ids)
    assert all((np.sort(epoch) == whole).all() for epoch in epochs)
    assert (epochs[0] != epochs[1]).any()
    blocks = all_blocks(corpus, 0, 16)
    assert (blocks[:, 0] == 0).all() and (blocks[:, 1:].reshape(-1)[: len(corpus.ids)] == corpus.ids).all()


def test_batches_are_the_same_for_a_seed_and_annealing_changes_them_midway(tokenizer: Any) -> None:
    corpora = {name: tokenised(tokenizer, found.training) for name, found in TEXTS.items()}
    counts = {name: len(corpus.ids) for name, corpus in corpora.items()}

    def batches(seed: int, **sampling: Any) -> list[Any]:
        parts = phases(SamplingConfig(**sampling), counts, 10**6)
        return list(draw_blocks(corpora, parts, first=0, batch_size=40, length=16, steps=60, seed=seed))

    one, same, other = batches(1), batches(1), batches(2)
    assert all((a[1] == b[1]).all() for a, b in zip(one, same, strict=True))
    assert any((a[1] != b[1]).any() for a, b in zip(one, other, strict=True))
    annealed = batches(1, strategy="annealed", schedule=[1.0, 0.0])
    english = [sum(name == "en" for name in languages) / 40 for languages, _ in annealed]
    expected = counts["en"] / sum(counts.values())
    assert abs(np.mean(english[:30]) - expected) < 0.05 and abs(np.mean(english[30:]) - 0.5) < 0.06


# -- the model -------------------------------------------------------------------------------------------


def test_the_head_on_masked_tokens_says_what_the_whole_head_says(tokenizer: Any) -> None:
    model = new_model(ModelConfig(layers=2, width=32, heads=2), tokenizer, 16, 0.0).eval()
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    ids = torch.randint(5, len(tokenizer), (3, 16))
    places = torch.tensor([1, 17, 40])
    with torch.no_grad():
        whole = model(input_ids=ids).logits.reshape(-1, len(tokenizer))
        some = masked_logits(model, ids, places)
        again = model(input_ids=ids).logits.reshape(-1, len(tokenizer))
    torch.testing.assert_close(some, whole[places])
    torch.testing.assert_close(again, whole)  # the hook is gone


def test_the_operations_counted_are_those_of_the_shapes(tokenizer: Any) -> None:
    blocks, length, width, wide, layers, rows, vocabulary = 4, 16, 32, 48, 2, 64, len(tokenizer)
    config = ModelConfig(layers=layers, width=width, heads=2, feed_forward=wide)
    model = new_model(config, tokenizer, length, 0.0)
    model.set_attn_implementation("eager")
    ids = torch.randint(5, vocabulary, (blocks, length))
    counted = flops_of(lambda: masked_logits(model, ids, torch.zeros(rows, dtype=torch.long)).sum())
    tokens = blocks * length
    a_layer = 2 * tokens * (4 * width**2 + 2 * width * wide) + 2 * 2 * blocks * length**2 * width
    head = 2 * rows * (width**2 + width * vocabulary)
    assert counted == 3 * (layers * a_layer + head)  # backward is twice forward


def test_the_machines_rate_and_memory_have_a_plausible_size() -> None:
    cpu = torch.device("cpu")
    assert 1e8 < matmul_rate(cpu, torch.float32) < 1e14  # a slow core, and the fastest processor there is
    assert 50 * 2**20 < peak_memory(cpu) < 2**40


def _random(folder: Path, tokenizer: Any, kind: str) -> Path:
    import transformers as hf

    size = {"vocab_size": len(tokenizer), "num_hidden_layers": 1, "hidden_size": 16}
    made: Any = {
        "xlm-r": lambda: hf.XLMRobertaForMaskedLM(
            hf.XLMRobertaConfig(
                **size, num_attention_heads=2, intermediate_size=16, max_position_embeddings=40
            )
        ),
        "modernbert": lambda: hf.ModernBertForMaskedLM(
            hf.ModernBertConfig(**size, num_attention_heads=2, intermediate_size=16, pad_token_id=1)
        ),
        "headless": lambda: hf.BertModel(
            hf.BertConfig(**size, num_attention_heads=2, intermediate_size=16), add_pooling_layer=False
        ),
        "t5": lambda: hf.T5EncoderModel(
            hf.T5Config(vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
        ),
        "canine": lambda: hf.CanineModel(
            hf.CanineConfig(
                hidden_size=16,
                num_hidden_layers=1,
                num_attention_heads=2,
                intermediate_size=16,
                num_hash_buckets=64,
            )
        ),
    }[kind]()
    made.save_pretrained(str(folder), safe_serialization=True)
    tokenizer.save_pretrained(str(folder))
    return folder


@pytest.mark.parametrize("kind", ["xlm-r", "modernbert", "headless"])
def test_pretraining_goes_on_from_other_classes(kind: str, tokenizer: Any, tmp_path: Path) -> None:
    model, _, fresh = load_masked_model(str(_random(tmp_path / kind, tokenizer, kind)), 0.0)
    assert fresh == (kind == "headless")
    ids = torch.randint(5, len(tokenizer), (3, 16))
    places = torch.tensor([0, 20, 47])
    model.eval()
    with torch.no_grad():
        whole = model(input_ids=ids).logits.reshape(-1, len(tokenizer))
        torch.testing.assert_close(masked_logits(model, ids, places), whole[places])


@pytest.mark.parametrize("kind", ["t5", "canine"])
def test_a_class_that_cannot_mask_is_refused(kind: str, tokenizer: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"class '{kind}', which has no encoder that predicts masked words"):
        load_masked_model(str(_random(tmp_path / kind, tokenizer, kind)), 0.0)
