"""A trained encoder's folder holds what training changed, and opens as the whole does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, BertConfig, BertModel

from engine.config import EncoderConfig
from engine.encoders.changes import CHANGES_FILE
from engine.encoders.checkpoints import load_model
from engine.encoders.cross import CrossEncoder
from engine.encoders.encoder import Encoder
from engine.encoders.fingerprint import fingerprint
from engine.encoders.places import resolve, weight_folders
from engine.encoders.saving import save_encoder, save_trained
from engine.encoders.trimming import trim, untrim
from engine.errors import InputError

Open = Callable[..., Encoder]
TEXTS = ["river stone cloud", "horse bread!", "winter garden letter window"]


@pytest.fixture
def base(tiny: Any, tmp_path: Path) -> Path:
    """A copy of the tiny checkpoint that a test can change or delete."""
    return Path(shutil.copytree(tiny.checkpoint, tmp_path / "base"))


@pytest.fixture
def trained(base: Path) -> Encoder:
    """An encoder of which a few rows of the word embeddings and the last layer were trained."""
    encoder = Encoder.load(EncoderConfig(checkpoint=str(base), query_length=24, passage_length=24))
    trim(encoder, range(20))
    with torch.no_grad():
        encoder.model.get_input_embeddings().weight[10:14] += 0.5
        for parameter in encoder.model.encoder.layer[-1].parameters():
            parameter.add_(0.25)
    untrim(encoder)
    return encoder


def opened(folder: Path) -> Encoder:
    return Encoder.load(EncoderConfig(checkpoint=str(folder), query_length=24, passage_length=24))


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def test_a_folder_holds_what_changed_and_gives_every_bit_back(trained: Encoder, tmp_path: Path) -> None:
    save_trained(trained, tmp_path / "student")
    assert not (tmp_path / "student" / "model.safetensors").exists()
    assert not (tmp_path / "student" / "tokenizer.json").exists()
    stored = load_file(tmp_path / "student" / CHANGES_FILE)
    table = trained.model.get_input_embeddings().weight
    layer = sum(p.nbytes for p in trained.model.encoder.layer[-1].parameters())
    rows = 4 * (table.shape[1] * table.itemsize + 8)
    # the tiny checkpoint has no pooler, so that of the student was drawn at random
    kept = {name: tensor for name, tensor in stored.items() if "pooler." not in name}
    assert sum(tensor.nbytes for tensor in kept.values()) == layer + rows
    model, tokenizer = load_model(str(tmp_path / "student"))
    whole = trained.model.state_dict()
    assert model.state_dict().keys() == whole.keys()
    for name, tensor in model.state_dict().items():
        assert tensor.view(torch.uint8).equal(whole[name].view(torch.uint8)), name
    assert tokenizer.get_vocab() == trained.tokenizer.get_vocab()
    config = trained.config.model_copy(update={"checkpoint": str(tmp_path / "student")})
    assert fingerprint(Encoder.load(config)) == fingerprint(trained)


def test_an_export_of_it_is_whole_and_opens_in_plain_transformers(trained: Encoder, tmp_path: Path) -> None:
    save_trained(trained, tmp_path / "student")
    save_encoder(opened(tmp_path / "student"), tmp_path / "whole")
    plain = AutoModel.from_pretrained(tmp_path / "whole").state_dict()
    for name, tensor in trained.model.state_dict().items():
        assert torch.equal(plain[name], tensor)
    assert size(tmp_path / "student") < size(tmp_path / "whole")


def test_a_student_of_a_student_refers_to_the_first_checkpoint(
    trained: Encoder, base: Path, tmp_path: Path
) -> None:
    save_trained(trained, tmp_path / "first")
    second = opened(tmp_path / "first")
    with torch.no_grad():
        second.model.encoder.layer[-1].output.dense.bias.add_(1)
    save_trained(second, tmp_path / "second")
    shutil.rmtree(tmp_path / "first")
    for name, tensor in opened(tmp_path / "second").model.state_dict().items():
        assert torch.equal(tensor, second.model.state_dict()[name])
    assert weight_folders(str(tmp_path / "second")) == [tmp_path / "second", base]


def test_a_checkpoint_in_another_run_is_not_referred_to(trained: Encoder, base: Path, tmp_path: Path) -> None:
    """Deleting a run takes nothing from another one."""
    (tmp_path / "run.json").touch()
    save_trained(trained, tmp_path / "elsewhere" / "student")
    shutil.rmtree(base)
    for name, tensor in opened(tmp_path / "elsewhere" / "student").model.state_dict().items():
        assert torch.equal(tensor, trained.model.state_dict()[name])


def test_an_encoder_that_changed_everywhere_is_saved_whole(trained: Encoder, tmp_path: Path) -> None:
    with torch.no_grad():
        for parameter in trained.model.parameters():
            parameter.add_(0.25)
    save_trained(trained, tmp_path / "student")
    assert (tmp_path / "student" / "model.safetensors").is_file()
    assert not (tmp_path / "student" / CHANGES_FILE).exists()


def test_zeros_of_another_sign_are_kept(trained: Encoder, tmp_path: Path) -> None:
    bias = trained.model.encoder.layer[0].output.dense.bias
    with torch.no_grad():
        bias.zero_()
        bias.neg_()
    save_trained(trained, tmp_path / "student")
    found = opened(tmp_path / "student").model.encoder.layer[0].output.dense.bias
    assert bool(torch.signbit(found).all())


def test_a_missing_checkpoint_is_refused_before_anything_is_loaded(
    trained: Encoder, base: Path, tmp_path: Path
) -> None:
    save_trained(trained, tmp_path / "student")
    base.rename(tmp_path / "moved")
    with pytest.raises(InputError, match=r"only what training changed in '.*base'.*base\.json") as caught:
        resolve(str(tmp_path / "student"))
    assert "\n" not in str(caught.value)
    # as the message says
    content = json.loads((tmp_path / "student" / "base.json").read_text())
    (tmp_path / "student" / "base.json").write_text(
        json.dumps({**content, "checkpoint": str(tmp_path / "moved")})
    )
    assert fingerprint(opened(tmp_path / "student"))


def test_other_weights_or_another_tokenizer_are_refused(trained: Encoder, base: Path, tmp_path: Path) -> None:
    save_trained(trained, tmp_path / "student")
    vocabulary = json.loads((base / "tokenizer.json").read_text())
    words = vocabulary["model"]["vocab"]
    one, other = (word for word, number in words.items() if number in (11, 12))
    words[one], words[other] = words[other], words[one]
    good = (base / "tokenizer.json").read_bytes()
    (base / "tokenizer.json").write_text(json.dumps(vocabulary))
    with pytest.raises(InputError, match=r"tokenizer of .*base, which is no longer the one"):
        opened(tmp_path / "student")
    (base / "tokenizer.json").write_bytes(good)
    model = BertModel.from_pretrained(base)
    with torch.no_grad():
        model.embeddings.word_embeddings.weight[19, 0] += 1e-3
    model.save_pretrained(base)
    with pytest.raises(InputError, match="no longer those that were trained"):
        opened(tmp_path / "student")


def test_a_cross_encoder_starts_from_the_changed_weights(trained: Encoder, tmp_path: Path) -> None:
    save_trained(trained, tmp_path / "student")
    cross = CrossEncoder.load(str(tmp_path / "student"), max_length=24, new_head=True)
    for name, tensor in cross.model.base_model.state_dict().items():
        if "pooler." not in name:
            assert torch.equal(tensor, trained.model.state_dict()[name])


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"checkpoint": 1, "weights": "", "tokenizer": ""}'])
def test_a_damaged_reference_is_one_sentence(trained: Encoder, tmp_path: Path, content: str) -> None:
    save_trained(trained, tmp_path / "student")
    (tmp_path / "student" / "base.json").write_text(content)
    with pytest.raises(InputError, match=r"base\.json"):
        opened(tmp_path / "student")


def test_whole_weights_beside_changes_are_refused(trained: Encoder, base: Path, tmp_path: Path) -> None:
    save_trained(trained, tmp_path / "student")
    shutil.copy(base / "model.safetensors", tmp_path / "student")
    with pytest.raises(InputError, match=r"holds whole weights .* and changes"):
        opened(tmp_path / "student")


@pytest.mark.parametrize("damage", ["cut", "name", "rows"])
def test_damaged_changes_are_one_sentence(trained: Encoder, tmp_path: Path, damage: str) -> None:
    from safetensors.torch import save_file

    save_trained(trained, tmp_path / "student")
    path = tmp_path / "student" / CHANGES_FILE
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-5])
    else:
        tensors = load_file(path)
        key = next(key for key in tensors if key.startswith("numbers/"))
        if damage == "name":
            tensors["whole/else.weight"] = torch.zeros(2)
        else:
            tensors[key] = tensors[key] + 10_000_000
        save_file(tensors, path)
    with pytest.raises(InputError, match=r"changes\.safetensors"):
        opened(tmp_path / "student")


def test_a_checkpoint_of_another_shape_is_refused(trained: Encoder, base: Path, tmp_path: Path) -> None:
    save_trained(trained, tmp_path / "student")
    config = BertConfig.from_pretrained(base)
    config.intermediate_size *= 2
    BertModel(config).save_pretrained(base)
    with pytest.raises(InputError):
        opened(tmp_path / "student")


def test_a_hub_id_is_kept_as_it_is(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of a snapshot is another one on another machine."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    place = tmp_path / "hub" / "models--someone--model"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("01234567" * 5)
    shutil.copytree(base, place / "snapshots" / ("01234567" * 5))
    encoder = Encoder.load(EncoderConfig(checkpoint="someone/model", query_length=24, passage_length=24))
    with torch.no_grad():
        encoder.model.encoder.layer[-1].output.dense.bias.add_(1)
    save_trained(encoder, tmp_path / "student")
    assert json.loads((tmp_path / "student" / "base.json").read_text())["checkpoint"] == "someone/model"
    found = opened(tmp_path / "student").model.state_dict()
    for name, tensor in encoder.model.state_dict().items():
        assert torch.equal(found[name], tensor)
