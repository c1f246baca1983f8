"""Random sequence-to-sequence checkpoints of three families with tokenizers, as small as possible."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch

torch.set_num_threads(1)  # the models are too small for several threads

#: One layer either side, so small that beam search takes milliseconds.
SIZES: dict[str, Any] = {
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "max_position_embeddings": 64,
    "init_std": 0.5,
}


@pytest.fixture(scope="session")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SentencePiece model of a few words, in a file."""
    words = "river stone cloud horse bread winter garden revir enots duolc esroh daerb retniw nedrag rettel"
    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([words] * 4),
        model_writer=trained,
        vocab_size=60,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    path = tmp_path_factory.mktemp("pieces") / "some.model"
    path.write_bytes(trained.getvalue())
    return path


def _vocabulary(pieces: Path, *more: str) -> dict[str, int]:
    model = sentencepiece.SentencePieceProcessor(model_file=str(pieces))
    own = [model.IdToPiece(index) for index in range(len(model))]
    names = ["<s>", "<pad>", "</s>", "<unk>", *more]
    names += [piece for piece in own if piece not in names]
    return {name: index for index, name in enumerate(names)}


def _write(folder: Path, model: Any, tokenizer: Any) -> Path:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(str(folder))
    return folder


def _seeded(model: type[Any], config: Any) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(11)
        return model(config).eval()


@pytest.fixture(scope="session")
def marian(pieces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Marian checkpoint for one pair of languages, without language tokens."""
    return _marian(pieces, tmp_path_factory.mktemp("marian"))


@pytest.fixture(scope="session")
def marian_of_many(pieces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Marian checkpoint with several target languages."""
    return _marian(pieces, tmp_path_factory.mktemp("marian-of-many"), ">>eng<<", ">>fra<<")


def _marian(pieces: Path, folder: Path, *languages: str) -> Path:
    from transformers import MarianConfig, MarianMTModel, MarianTokenizer

    vocabulary = _vocabulary(pieces, *languages)
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    for side in ("source", "target"):
        (folder / f"{side}.spm").write_bytes(pieces.read_bytes())
    tokenizer = MarianTokenizer(
        source_spm=str(folder / "source.spm"),
        target_spm=str(folder / "target.spm"),
        vocab=str(folder / "vocab.json"),
    )
    config = MarianConfig(
        vocab_size=len(vocabulary),
        pad_token_id=1,
        eos_token_id=2,
        bos_token_id=0,
        decoder_start_token_id=1,
        forced_eos_token_id=2,
        **SIZES,
    )
    return _write(folder, _seeded(MarianMTModel, config), tokenizer)


@pytest.fixture(scope="session")
def m2m(pieces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An M2M100 checkpoint with its hundred languages."""
    from transformers import M2M100Config, M2M100ForConditionalGeneration, M2M100Tokenizer

    folder = tmp_path_factory.mktemp("m2m")
    (folder / "vocab.json").write_text(json.dumps(_vocabulary(pieces)))
    tokenizer = M2M100Tokenizer(vocab_file=str(folder / "vocab.json"), spm_file=str(pieces))
    config = M2M100Config(
        vocab_size=len(tokenizer.encoder) + len(tokenizer.lang_code_to_id) + tokenizer.num_madeup_words,
        pad_token_id=1,
        eos_token_id=2,
        bos_token_id=0,
        decoder_start_token_id=2,
        **SIZES,
    )
    return _write(folder, _seeded(M2M100ForConditionalGeneration, config), tokenizer)


@pytest.fixture(scope="session")
def nllb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An NLLB checkpoint with its two hundred languages, whose pieces are letters."""
    from transformers import M2M100Config, M2M100ForConditionalGeneration, NllbTokenizer

    letters = ["<s>", "<pad>", "</s>", "<unk>", "▁", *"abcdefghijklmnopqrstuvwxyz"]
    tokenizer = NllbTokenizer(vocab={letter: index for index, letter in enumerate(letters)}, merges=[])
    config = M2M100Config(
        vocab_size=len(tokenizer),
        pad_token_id=1,
        eos_token_id=2,
        bos_token_id=0,
        decoder_start_token_id=2,
        **SIZES,
    )
    model = _seeded(M2M100ForConditionalGeneration, config)
    with torch.no_grad():  # otherwise it generates mostly language codes, which are decoded to nothing
        model.model.shared.weight[len(letters) :] *= 0.3
    return _write(tmp_path_factory.mktemp("nllb"), model, tokenizer)
