"""Fixtures shared by all rooms."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

# Nothing in a test may reach for a hub: a missing file must fail at once, not after a network time-out.
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def data_home() -> Path:
    """The folder of real data that ``OPTICAL_DATA`` names."""
    home = os.environ.get("OPTICAL_DATA")
    if not home:
        pytest.skip("OPTICAL_DATA does not name the folder of real data")
    return Path(home).resolve()


@pytest.fixture(autouse=True)
def own_places(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests out of the user's cache and results; the converted checkpoints are shared in a session."""
    monkeypatch.setenv("OPTICAL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.delenv("OPTICAL_RESULTS", raising=False)


@pytest.fixture(autouse=True)
def whole_floats() -> Iterator[None]:
    """Undo what training sets for its whole process: hypothesis needs the smallest floats."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


# -- a checkpoint and bitext small enough to train on in a second ------------------------------------

#: English words of the tiny checkpoint; its two other "languages" are ciphers of them.
_WORDS = (
    "river stone cloud horse bread winter garden letter window market doctor summer forest silver "
    "mother village candle bridge winds ladder music harbour carpet engine pepper valley orange needle"
)
WORDS = _WORDS.split()


def cipher(word: str, language: str) -> str:
    """The word that stands for an English one: backwards in Swahili, backwards behind a q in Marathi."""
    return word[::-1] if language == "sw" else f"q{word[::-1]}"


@dataclass(frozen=True)
class Tiny:
    """A random two-layer BERT over whole words, and pairs of English sentences and their ciphers.

    Attributes
    ----------
    checkpoint : Path
        A folder as transformers saves it.
    training, test : dict of language to TSV file
        120 and 25 pairs; the English sides are the same in both languages.
    """

    checkpoint: Path
    training: dict[str, Path]
    test: dict[str, Path]

    def encoder(self, **changes: Any) -> dict[str, Any]:
        """Settings of the encoder."""
        return {"checkpoint": str(self.checkpoint), "query_length": 24, "passage_length": 24, **changes}

    def settings(self, *languages: str, **changes: Any) -> dict[str, Any]:
        """Settings of a distillation that takes about a second and works; tables in `changes` are merged."""
        languages = languages or ("sw",)
        test = [{"path": str(self.test[code]), "language": code} for code in languages]
        settings: dict[str, Any] = {
            "kind": "distil",
            "name": "tiny",
            "teacher": self.encoder(),
            "bitext": [{"path": str(self.training[code]), "language": code} for code in languages],
            "loss": {"maxsim_contrast": 1.0, "transport": 0.1, "temperature": 0.1},
            "transport": {"epsilon": 0.2, "iterations": 20},
            "training": {
                "steps": 60,
                "batch_size": 16,
                "learning_rate": 5e-3,
                "precision": "fp32",
                "held_out": 20,
                "evaluate_every": 20,
                "threads": 1,
            },
            "collections": [{"name": "bitext", "label": "ciphers", "bitext": test}],
        }
        for key, value in changes.items():
            both = isinstance(value, dict) and isinstance(settings.get(key), dict)
            settings[key] = {**settings[key], **value} if both else value
        return settings


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """The tiny checkpoint and its bitext, written once a session."""
    folder = tmp_path_factory.mktemp("tiny")
    checkpoint = folder / "checkpoint"
    _write_checkpoint(checkpoint)
    sentences = _sentences(145)
    files: dict[str, dict[str, Path]] = {"training": {}, "test": {}}
    for code in ("sw", "mr"):
        pairs = [(" ".join(cipher(w, code) for w in words), " ".join(words)) for words in sentences]
        for part, chosen in (("training", pairs[:120]), ("test", pairs[120:])):
            path = folder / f"{part}.{code}.tsv"
            path.write_text("".join(f"{source}\t{target}\n" for source, target in chosen), "utf-8")
            files[part][code] = path
    return Tiny(checkpoint, files["training"], files["test"])


def _sentences(count: int) -> list[list[str]]:
    generator = random.Random(5)
    found: dict[tuple[str, ...], None] = {}
    while len(found) < count:
        found[tuple(generator.sample(WORDS, generator.randint(4, 7)))] = None
    return [list(words) for words in found]


def _write_checkpoint(folder: Path) -> None:
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *".,!?:-", "query", "passage", "##s", "##ing"]
    pieces += WORDS + [cipher(word, code) for code in ("sw", "mr") for word in WORDS]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    ).save_pretrained(str(folder))
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = BertModel(
            BertConfig(
                vocab_size=len(pieces),
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=64,
                max_position_embeddings=64,
                initializer_range=0.2,
                pad_token_id=0,
            ),
            add_pooling_layer=False,
        )
    model.save_pretrained(str(folder), safe_serialization=True)
