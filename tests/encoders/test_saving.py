"""A saved encoder is a folder that plain transformers opens, whole or not there at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from transformers import AutoModel, AutoTokenizer

from engine.config import EncoderConfig
from engine.encoders.checkpoints import saved_config
from engine.encoders.encoder import Encoder
from engine.encoders.fitting import fit
from engine.encoders.saving import save_encoder, save_fitted
from engine.encoders.trimming import trim
from engine.errors import InputError, OpticalError

Open = Callable[..., Encoder]
TEXTS = ["river stone cloud", "horse bread!", "winter garden letter window", "mother village", "music"]


@pytest.fixture
def trained(open_encoder: Open) -> Encoder:
    """An encoder with other weights than its checkpoint's, a mean and a whitening projection."""
    encoder = open_encoder(centring=True, projection="whitening", projection_dim=6)
    with torch.no_grad():
        for parameter in encoder.model.parameters():
            parameter.mul_(1.25)
    fit(encoder, TEXTS)
    return encoder


def test_plain_transformers_gives_the_same_states(trained: Encoder, tmp_path: Path) -> None:
    save_encoder(trained, tmp_path / "saved")
    model = AutoModel.from_pretrained(tmp_path / "saved")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "saved")
    for text in TEXTS:
        plain = tokenizer("query: " + text, return_tensors="pt")
        (tokens,) = trained.tokenize([text], "query")
        assert plain["input_ids"][0].tolist() == tokens.ids
        with torch.no_grad():
            ours = trained.states(plain["input_ids"], plain["attention_mask"].bool())
            assert torch.equal(model(**plain).last_hidden_state, ours)


def test_an_opened_encoder_computes_the_same_vectors(trained: Encoder, tmp_path: Path) -> None:
    save_encoder(trained, tmp_path / "saved")
    config = trained.config.model_copy(update={"checkpoint": str(tmp_path / "saved")})
    opened = Encoder.load(config)
    batch = trained.tokenize(TEXTS, "query")
    with torch.no_grad():
        assert torch.equal(opened(batch, "query").tokens, trained(batch, "query").tokens)
    assert saved_config(tmp_path / "saved")["projection"] == "whitening"


def test_a_projection_of_another_width_is_refused(trained: Encoder, tmp_path: Path) -> None:
    save_encoder(trained, tmp_path / "saved")
    update = {"checkpoint": str(tmp_path / "saved"), "projection_dim": 5}
    with pytest.raises(InputError, match="width 6, the configuration projection_dim = 5"):
        Encoder.load(trained.config.model_copy(update=update))


def test_fitted_vectors_lie_apart_from_the_weights(
    trained: Encoder, open_encoder: Open, tmp_path: Path
) -> None:
    save_fitted(trained, tmp_path / "fitted")
    other = open_encoder(centring=True, projection="whitening", projection_dim=6)
    assert other.load_fitted(tmp_path / "fitted")
    assert torch.equal(other.mean, trained.mean)
    assert not other.load_fitted(tmp_path)
    assert saved_config(tmp_path) == {}


def test_a_folder_of_fitted_vectors_opens_with_the_weights_it_names(
    open_encoder: Open, tmp_path: Path
) -> None:
    teacher = open_encoder(centring=True)
    fit(teacher, TEXTS)
    save_fitted(teacher, tmp_path / "teacher")
    again = teacher.config.model_copy(update={"checkpoint": str(tmp_path / "teacher")})
    opened = Encoder.load(again)
    batch = teacher.tokenize(TEXTS, "passage")
    with torch.no_grad():
        assert torch.equal(opened(batch, "passage").tokens, teacher(batch, "passage").tokens)
    assert opened.mean.any()


def test_settings_that_name_one_another_or_are_broken_are_refused(trained: Encoder, tmp_path: Path) -> None:
    config = trained.config.model_copy(update={"checkpoint": str(tmp_path / "round")})
    save_fitted(Encoder(config, trained.model, trained.tokenizer), tmp_path / "round")
    with pytest.raises(InputError, match="name no checkpoint with weights"):
        Encoder.load(config)
    (tmp_path / "round" / "optical.json").write_text("{")
    with pytest.raises(InputError, match=r"optical\.json cannot be read"):
        Encoder.load(config)


def test_a_trimmed_encoder_is_not_saved(open_encoder: Open, tmp_path: Path) -> None:
    encoder = open_encoder()
    trim(encoder, range(20))
    with pytest.raises(OpticalError, match="untrim"):
        save_encoder(encoder, tmp_path / "saved")
    assert not any(tmp_path.iterdir())


def test_saving_again_replaces_the_folder(trained: Encoder, open_encoder: Open, tmp_path: Path) -> None:
    save_encoder(trained, tmp_path / "saved")
    (tmp_path / "saved" / "old").touch()
    save_encoder(open_encoder(), tmp_path / "saved")
    assert not (tmp_path / "saved" / "old").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]
    config = EncoderConfig(checkpoint=str(tmp_path / "saved"), query_length=24, passage_length=24)
    assert not Encoder.load(config).mean.any()


#: What the operating system says of a full disk, and what safetensors makes of it.
FULL = [
    OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
]


@pytest.mark.parametrize("error", FULL)
@pytest.mark.parametrize("save", [save_encoder, save_fitted])
def test_a_full_disk_leaves_nothing_and_is_one_sentence(
    trained: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, save: Any
) -> None:
    def write(tensors: Any, path: str, *_: Any, **__: Any) -> None:
        Path(path).write_bytes(b"half")
        raise error

    monkeypatch.setattr("safetensors.torch.save_file", write)
    with pytest.raises(OpticalError, match="No space left on device") as caught:
        save(trained, tmp_path / "run" / "student")
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "run" / "student") in str(caught.value)
    assert not any((tmp_path / "run").iterdir())


@pytest.mark.parametrize("size", [0, 7, 60])
def test_damaged_fitted_vectors_are_one_sentence(tiny: Any, tmp_path: Path, size: int) -> None:
    from engine.encoders.checkpoints import FITTED_FILE
    from engine.evaluation.document_frequencies import FREQUENCIES_FILE, load_frequencies

    save_encoder(Encoder.load(EncoderConfig(**tiny.encoder())), tmp_path / "saved")
    path = tmp_path / "saved" / FITTED_FILE
    content = path.read_bytes()
    path.write_bytes(content[:size])
    with pytest.raises(InputError, match=rf"{FITTED_FILE}: this file is damaged or incomplete"):
        Encoder.load(EncoderConfig(**tiny.encoder(checkpoint=str(tmp_path / "saved"))))
    (tmp_path / FREQUENCIES_FILE).write_bytes(content)
    with pytest.raises(InputError, match="there is no tensor 'idf' in this file"):
        load_frequencies(tmp_path)
