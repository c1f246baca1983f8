"""Architectures of off-the-shelf multilingual encoders, as small random checkpoints, tokenizers included."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from engine.config import EncoderConfig
from engine.encoders.cross import CrossEncoder
from engine.encoders.encoder import Encoder
from engine.encoders.fingerprint import fingerprint
from engine.encoders.saving import save_encoder
from engine.encoders.trimming import trim, untrim
from engine.errors import InputError

torch.set_num_threads(1)

TEXTS = ["mto wa jiwe, na wingu!", "नदी का पत्थर"]
KINDS = ["bert", "xlm-r", "t5", "mt5", "umt5", "modernbert", "canine"]


def _unigram(special: list[str], template: str, **named: str) -> Any:
    """SentencePiece's kind of tokenizer over single characters and two words."""
    characters = sorted(set("".join(TEXTS)) - {" "})
    pieces = [*special, "▁", "▁mto", "▁wa", *characters]
    tokenizer = Tokenizer(models.Unigram([(piece, -float(i)) for i, piece in enumerate(pieces)], unk_id=3))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[(p, i) for i, p in enumerate(special) if p in template]
    )
    return hf.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named)


def _word_pieces() -> Any:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    characters = sorted(set("".join(TEXTS)) - {" "})
    pieces = [*special, "mto", *characters, *(f"##{c}" for c in characters)]
    tokenizer = Tokenizer(models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    named = zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), special, strict=True)
    return hf.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **dict(named))


def write(folder: Path, kind: str) -> Path:
    """Write a random checkpoint of the architecture `kind` with the tokenizer that goes with it."""
    size: dict[str, Any] = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 2}
    size |= {"intermediate_size": 48, "initializer_range": 0.3}
    roberta = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    t5 = {"d_model": 32, "d_kv": 16, "d_ff": 48, "num_layers": 2, "num_heads": 2, "is_gated_act": True}
    if kind in ("t5", "mt5", "umt5"):
        tokenizer = _unigram(
            ["<pad>", "</s>", "<extra_id_0>", "<unk>"],
            "$A </s>",
            pad_token="<pad>",
            eos_token="</s>",
            unk_token="<unk>",
        )
        classes = {
            "t5": (hf.T5Config, hf.T5EncoderModel),
            "mt5": (hf.MT5Config, hf.MT5EncoderModel),
            "umt5": (hf.UMT5Config, hf.UMT5ForConditionalGeneration),  # published with its decoder
        }
        config, made = classes[kind]
        torch.manual_seed(0)
        model = made(config(vocab_size=len(tokenizer), **t5))
    elif kind == "canine":
        tokenizer = hf.CanineTokenizer()
        torch.manual_seed(0)
        model = hf.CanineModel(
            hf.CanineConfig(**size, num_hash_buckets=64, max_position_embeddings=128, downsampling_rate=4)
        )
    elif kind == "bert":
        tokenizer = _word_pieces()
        torch.manual_seed(0)
        model = hf.BertModel(
            hf.BertConfig(**size, vocab_size=len(tokenizer), max_position_embeddings=128, pad_token_id=0)
        )
    else:
        tokenizer = _unigram(
            roberta,
            "<s> $A </s>",
            bos_token="<s>",
            cls_token="<s>",
            pad_token="<pad>",
            eos_token="</s>",
            sep_token="</s>",
            unk_token="<unk>",
            mask_token="<mask>",
        )
        torch.manual_seed(0)
        if kind == "xlm-r":
            model = hf.XLMRobertaModel(
                hf.XLMRobertaConfig(**size, vocab_size=len(tokenizer), max_position_embeddings=130)
            )
        else:
            model = hf.ModernBertModel(
                hf.ModernBertConfig(
                    **size, vocab_size=len(tokenizer), max_position_embeddings=128, pad_token_id=1
                )
            )
    model.save_pretrained(str(folder), safe_serialization=True)
    tokenizer.save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A function that writes each kind once."""
    folder = tmp_path_factory.mktemp("kinds")
    return lambda kind: folder / kind if (folder / kind).exists() else write(folder / kind, kind)


def load(folder: Path, **changes: Any) -> Encoder:
    plain: dict[str, Any] = {"query_prefix": "", "passage_prefix": "", "centring": False}
    plain |= {"query_length": 32, "passage_length": 64}
    return Encoder.load(EncoderConfig(checkpoint=str(folder), **{**plain, **changes}))


@pytest.mark.parametrize("kind", KINDS)
def test_token_vectors_are_those_of_plain_transformers(kind: str, checkpoints: Any) -> None:
    encoder = load(checkpoints(kind), special_tokens=True)
    tokenizer = hf.AutoTokenizer.from_pretrained(checkpoints(kind))
    loader = hf.AutoModelForTextEncoding if kind.endswith("t5") else hf.AutoModel
    model = loader.from_pretrained(checkpoints(kind)).eval()
    with torch.no_grad():
        ours = encoder(encoder.tokenize(TEXTS, "query"), "query")
        for row, text in enumerate(TEXTS):
            inputs = tokenizer(text, return_tensors="pt")
            ids = inputs["input_ids"][0]
            assert ours.ids[row, : len(ids)].tolist() == ids.tolist()
            assert ours.mask[row].sum() == len(ids)
            if kind == "canine":  # its strided convolution sees the padding: the same length is compared
                inputs = tokenizer(
                    text, return_tensors="pt", padding="max_length", max_length=ours.ids.shape[1]
                )
            states = model(
                input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]
            ).last_hidden_state[0, : len(ids)]
            expected = torch.nn.functional.normalize(states, dim=-1)
            torch.testing.assert_close(ours.tokens[row, : len(ids)], expected, atol=2e-5, rtol=1e-4)
    assert encoder.model.num_parameters() < 10**6
    assert not any("decoder" in name for name, _ in encoder.model.named_parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_what_counts_is_told_from_prefix_punctuation_and_special(kind: str, checkpoints: Any) -> None:
    encoder = load(checkpoints(kind), query_prefix="wa: ", punctuation=False)
    (tokens,) = encoder.tokenize([TEXTS[0]], "query")
    pieces = encoder.pieces(tokens.ids)
    counted = "".join(piece for piece, counts in zip(pieces, tokens.counted, strict=True) if counts)
    assert counted.replace("▁", "").replace("#", "").replace(" ", "") == "mtowajiwenawingu"
    assert encoder.tokenize([TEXTS[0] * 9], "query")[0].ids[-1] == tokens.ids[-1]  # cut, and closed again
    assert len(encoder.tokenize([TEXTS[0] * 9], "query")[0].ids) == 32


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_trimmed_encoders_compute_the_same(kind: str, checkpoints: Any, tmp_path: Path) -> None:
    encoder = load(checkpoints(kind))
    before = torch.cat([e.sentences for _, e in encoder.encode(TEXTS, "query")])
    pieces = {i for tokens in encoder.tokenize(TEXTS, "query") for i in tokens.ids}
    trim(encoder, pieces)
    trimmed = torch.cat([e.sentences for _, e in encoder.encode(TEXTS, "query")])
    torch.testing.assert_close(trimmed, before)
    untrim(encoder)
    save_encoder(encoder, tmp_path / "saved")
    again = load(tmp_path / "saved")
    after = torch.cat([e.sentences for _, e in again.encode(TEXTS, "query")])
    torch.testing.assert_close(after, before)
    assert fingerprint(again) == fingerprint(load(checkpoints(kind)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_student_of_any_kind_has_no_dropout_unless_asked(kind: str, checkpoints: Any) -> None:
    encoder = load(checkpoints(kind)).train()
    rows = [encoder(encoder.tokenize(TEXTS, "query"), "query").tokens for _ in range(2)]
    torch.testing.assert_close(rows[0], rows[1])
    rows[0].sum().backward()
    assert any(value.grad is not None and bool(value.grad.any()) for value in encoder.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_the_attention_that_tokens_receive(kind: str, checkpoints: Any) -> None:
    encoder = load(checkpoints(kind))
    with torch.no_grad():
        found = encoder(encoder.tokenize(TEXTS, "query"), "query", attention=True).attention
    assert found is not None
    torch.testing.assert_close(found.sum(1), torch.ones(2))


@pytest.mark.parametrize("kind", ["t5", "mt5", "umt5"])
def test_settings_that_t5_has_no_token_for_are_refused(kind: str, checkpoints: Any) -> None:
    with pytest.raises(InputError, match=r"needs a \[CLS\] token"):
        load(checkpoints(kind), pooling="cls")
    with pytest.raises(InputError, match=r"needs a \[MASK\] token"):
        load(checkpoints(kind), query_expansion=True)


def _sequence_pair(folder: Path, config: Any, made: Any) -> Path:
    """Write a random cross-encoder of 66 rows of positions with XLM-R's kind of tokenizer."""
    tokenizer = _unigram(
        ["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        "<s> $A </s>",
        bos_token="<s>",
        cls_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        sep_token="</s>",
        unk_token="<unk>",
        mask_token="<mask>",
    )
    torch.manual_seed(0)
    config.vocab_size, config.num_labels, config.pad_token_id = len(tokenizer), 1, 1
    made(config).save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    return folder


OFFSET: dict[str, Any] = {
    "camembert": (hf.CamembertConfig, hf.CamembertForSequenceClassification, {}),
    "data2vec": (hf.Data2VecTextConfig, hf.Data2VecTextForSequenceClassification, {}),
    "longformer": (hf.LongformerConfig, hf.LongformerForSequenceClassification, {"attention_window": [8, 8]}),
    "mpnet": (hf.MPNetConfig, hf.MPNetForSequenceClassification, {}),
    "roberta": (hf.RobertaConfig, hf.RobertaForSequenceClassification, {}),
    "xlm-roberta": (hf.XLMRobertaConfig, hf.XLMRobertaForSequenceClassification, {"type_vocab_size": 1}),
    "xmod": (hf.XmodConfig, hf.XmodForSequenceClassification, {"default_language": "en_XX"}),
}


@pytest.mark.parametrize("kind", OFFSET)
def test_the_longest_text_is_at_the_last_position(kind: str, tmp_path: Path) -> None:
    config, made, further = OFFSET[kind]
    size: dict[str, Any] = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 2}
    size |= {"intermediate_size": 48, "max_position_embeddings": 66, **further}
    folder = _sequence_pair(tmp_path / kind, config(**size), made)
    long = TEXTS[0] * 20
    cross = CrossEncoder.load(str(folder), 64)
    assert len(cross.tokenize([long], [long])[0]["input_ids"]) == 64
    assert torch.isfinite(cross.score([long, "mto"], [long, "wa"])).all()
    with pytest.raises(InputError, match="max_length = 65 is more than the checkpoint's 64 positions"):
        CrossEncoder.load(str(folder), 65)
    encoder = load(folder, query_length=64, passage_length=64)
    assert len(encoder.tokenize([long], "query")[0].ids) == 64
    ((_, encoded),) = encoder.encode([long, "mto"], "query")
    assert torch.isfinite(encoded.sentences).all()
    with pytest.raises(InputError, match="query_length = 65 is more than the checkpoint's 64 positions"):
        load(folder, query_length=65, passage_length=64)


def test_xmod_without_a_language_is_refused(tmp_path: Path) -> None:
    size: dict[str, Any] = {"num_hidden_layers": 1, "hidden_size": 32, "num_attention_heads": 2}
    folder = _sequence_pair(
        tmp_path, hf.XmodConfig(**size, intermediate_size=48), hf.XmodForSequenceClassification
    )
    with pytest.raises(InputError, match="needs default_language"):
        load(folder)


def test_a_tokenizer_without_padding_token(checkpoints: Any, tmp_path: Path) -> None:
    """What is not attended to does not matter, so the vectors are those with a padding token."""
    folder = Path(shutil.copytree(checkpoints("bert"), tmp_path / "no-pad"))
    before = torch.cat([e.sentences for _, e in load(folder).encode(TEXTS, "query")])
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text("utf-8"))
    del settings["pad_token"]
    path.write_text(json.dumps(settings), "utf-8")
    encoder = load(folder)
    assert encoder.tokenizer.pad_token_id is None
    after = torch.cat([e.sentences for _, e in encoder.encode(TEXTS, "query")])
    torch.testing.assert_close(after, before)
    trim(encoder, {i for tokens in encoder.tokenize(TEXTS, "query") for i in tokens.ids})
    trimmed = torch.cat([e.sentences for _, e in encoder.encode(TEXTS, "query")])
    torch.testing.assert_close(trimmed, before)
    with pytest.raises(InputError, match="no padding token, which a cross-encoder needs"):
        CrossEncoder.load(str(folder), 32, new_head=True)


def test_gpt2s_kind_has_no_padding_token(tmp_path: Path) -> None:
    tokenizer = _unigram(["<s>", "<pad>", "</s>", "<unk>"], "$A", eos_token="</s>", unk_token="<unk>")
    size = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64}
    hf.GPT2Model(hf.GPT2Config(**size, vocab_size=len(tokenizer), eos_token_id=2)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(str(tmp_path))
    encoder = load(tmp_path)
    together = torch.cat([e.sentences for _, e in encoder.encode(TEXTS, "query")])
    alone = torch.cat([e.sentences for text in TEXTS for _, e in encoder.encode([text], "query")])
    assert torch.isfinite(together).all()
    torch.testing.assert_close(together.sort(0).values, alone.sort(0).values, atol=1e-5, rtol=1e-4)
    with pytest.raises(InputError, match="passage_length = 65 is more than the checkpoint's 64 positions"):
        load(tmp_path, passage_length=65)


def test_more_pieces_than_rows_are_one_sentence_on_opening(checkpoints: Any, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoints("bert"), tmp_path / "added"))
    tokenizer = hf.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["mbuni", "ng'ombe"])
    tokenizer.save_pretrained(str(folder))
    for opened in (lambda: load(folder), lambda: CrossEncoder.load(str(folder), 32, new_head=True)):
        with pytest.raises(InputError, match=r"has 2 pieces \(such as 'mbuni'\)"):
            opened()
