"""Checkpoints that cannot be opened are refused in one sentence; none is opened with random weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from engine.encoders.checkpoints import load_model, resolve
from engine.encoders.safe_loading import CheckpointFiles
from engine.errors import InputError

WEIGHTS = "model.safetensors"


def without_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def with_pickle_only(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "pytorch_model.bin")


def without_weights(folder: Path) -> None:
    (folder / WEIGHTS).unlink()


def cut_short(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-64])


def with_other_names(folder: Path) -> None:
    tensors = {f"other.{name}": tensor for name, tensor in load_file(folder / WEIGHTS).items()}
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def without_a_layer(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    del tensors["encoder.layer.1.output.dense.weight"]
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def with_another_width(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "hidden_size": 16}))


def without_tokenizer(folder: Path) -> None:
    for file in folder.glob("*token*"):
        file.unlink()


def without_model_type(folder: Path) -> None:
    (folder / "config.json").write_text("{}")


def changed_config(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **changes}))

    return change


def with_file(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content)


def in_shards(name: str) -> Callable[[Path], None]:
    """Name the shard `name`, whose content is a pickle that must not be read."""

    def change(folder: Path) -> None:
        names = list(load_file(folder / WEIGHTS))
        (folder / WEIGHTS).unlink()
        (folder / Path(name).name).write_bytes(PICKLE)
        index = {"metadata": {"total_size": 1}, "weight_map": dict.fromkeys(names, name)}
        (folder / f"{WEIGHTS}.index.json").write_text(json.dumps(index))

    return change


#: A pickle that raises `SystemExit` when it is read.
PICKLE = b"cbuiltins\nexec\n(Vraise SystemExit('it ran')\ntR."


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (
            in_shards("pytorch_model-00001-of-00001.bin"),
            r"index.json names 'pytorch_model-00001-of-00001.bin'",
        ),
        (in_shards("model.safetensors.pt"), r"names 'model.safetensors.pt'"),
        (in_shards("../other.safetensors"), r"names '../other.safetensors'"),
        (with_file(f"{WEIGHTS}.index.json", b'{"weight_map": {"a": 1}}'), "names 1"),
        (with_file(f"{WEIGHTS}.index.json", b'{"weight_map": []}'), "has no weight_map"),
        (with_file(f"{WEIGHTS}.index.json", b"["), "index.json is not a valid JSON file"),
        (changed_config(transformers_weights="adapter_model.bin"), "names other weights"),
        (changed_config(configuration_files=["config.4.0.0.json"]), "names other files"),
        (changed_config(auto_map={"AutoModel": "evil.Model"}), "asks for code of its own"),
        (changed_config(auto_map={"AutoModel": "someone/else--evil.Model"}), "asks for code of its own"),
        (changed_config(encoder={"auto_map": {"AutoConfig": "evil.C"}}), "asks for code of its own"),
        (changed_config(attn_implementation="someone/kernel"), "attn_implementation 'someone/kernel'"),
        (changed_config(_attn_implementation="paged|someone/kernel@v1:f"), "_attn_implementation 'paged"),
        (changed_config(attn_implementation="flash_attention_2"), "'flash_attention_2'"),
        (changed_config(attn_implementation={"": "sdpa", "text_config": "a/b"}), "'a/b'"),
        (changed_config(text_config={"_attn_implementation_internal": "a/b"}), "'a/b'"),
        (changed_config(per_layer_config=[{"attn_implementation": "a/b"}]), "'a/b'"),
        (changed_config(experts_implementation="a/b"), "experts_implementation 'a/b'"),
        (changed_config(quantization_config={"quant_method": "eetq"}), "quantized"),
        (with_file("adapter_config.json", b'{"base_model_name_or_path": "a/b"}'), "it is an adapter"),
        (
            with_file("tokenizer_config.json", b'{"auto_map": {"AutoTokenizer": ["evil.T", null]}}'),
            "tokenizer_config.json asks for code of its own",
        ),
    ],
)
def test_what_asks_for_code_does_not_reach_transformers(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None], says: str
) -> None:
    import torch
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    def reached(*_: Any, **__: Any) -> None:
        raise AssertionError("it was read")

    for place in (AutoConfig, AutoModel, AutoTokenizer):
        monkeypatch.setattr(place, "from_pretrained", reached)
    monkeypatch.setattr(torch, "load", reached)
    folder = tmp_path / "checkpoint"
    shutil.copytree(tiny.checkpoint, folder)
    damage(folder)
    files = CheckpointFiles("checkpoint 'x'", str(folder))
    for read in (files.config, files.tokenizer, lambda: files.weights(AutoModel, None)):
        with pytest.raises(InputError, match=says) as caught:
            read()
        assert "\n" not in str(caught.value) and str(folder) in str(caught.value)


def test_what_is_built_in_may_be_asked_for(tiny: Any, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(tiny.checkpoint, folder)
    changed_config(attn_implementation="eager")(folder)
    model, _ = load_model(str(folder))
    assert model.config._attn_implementation == "eager"


@pytest.mark.parametrize("damage", [None, in_shards("model.bin"), changed_config(attn_implementation="a/b")])
def test_a_checkpoint_of_the_hub_is_checked_too(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None] | None
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    place = tmp_path / "hub" / "models--someone--model"
    commit = "0" * 40
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(commit)
    shutil.copytree(tiny.checkpoint, place / "snapshots" / commit)
    if damage is None:
        assert load_model("someone/model")[0].config.hidden_size == 32
    else:
        damage(place / "snapshots" / commit)
        with pytest.raises(InputError, match="json"):
            load_model("someone/model")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (without_config, "has no config.json"),
        (without_weights, "no weights"),
        (with_pickle_only, "pytorch_model.bin is not read, because such files can run code"),
        (cut_short, "cannot be opened"),
        (with_other_names, "are missing"),
        (without_a_layer, r"are missing \(encoder.layer.1.output.dense.weight\)"),
        (with_another_width, "do not fit its config.json"),
        (without_tokenizer, "no fast tokenizer"),
        (without_model_type, "cannot be opened"),
        # each of these raises another type of error in the libraries
        (with_file(WEIGHTS, b""), "cannot be opened: .*header too small"),
        (with_file("config.json", b"null"), "cannot be opened"),
        (with_file("config.json", b"{"), "cannot be opened: .*not a valid JSON file"),
        (changed_config(hidden_size="wide"), "cannot be opened: Validation error .*hidden_size.* str"),
        (changed_config(hidden_size=-3), "cannot be opened"),
        (changed_config(num_attention_heads=0), "cannot be opened"),
        (changed_config(pad_token_id=10**6), "cannot be opened"),
        (changed_config(hidden_act="none"), "cannot be opened: KeyError"),
        (changed_config(dtype="wide"), "cannot be opened"),
        (with_file("tokenizer.json", b"{}"), "cannot be opened"),
        (with_file("tokenizer.json", b"[]"), "cannot be opened"),
        (with_file("tokenizer_config.json", b"[]"), "cannot be opened"),
    ],
)
def test_a_broken_folder_is_one_sentence(
    tiny: Any, tmp_path: Path, damage: Callable[[Path], None], says: str
) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(tiny.checkpoint, folder)
    load_model(str(folder))
    damage(folder)
    with pytest.raises(InputError, match=says) as caught:
        load_model(str(folder))
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_our_own_errors_are_not_taken_for_those_of_a_checkpoint(
    tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = CheckpointFiles("checkpoint 'tiny'", str(tiny.checkpoint))

    class Loader:
        @staticmethod
        def from_pretrained(source: str) -> None:
            """A loader that does not take what we give it."""

    with pytest.raises(TypeError, match="unexpected keyword argument"):
        files.weights(Loader, files.config())

    def broken(*_: Any) -> None:
        raise AssertionError("a bug")

    monkeypatch.setattr("engine.encoders.checkpoints._check_whole", broken)
    with pytest.raises(AssertionError, match="a bug"):
        load_model(str(tiny.checkpoint))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("multilingual-e5-smal", "did you mean 'multilingual-e5-small'"),
        ("./nowhere", "no such checkpoint folder"),
        ("a/b/c", "no such checkpoint folder"),
        ("two words", "neither a folder, a packaged checkpoint nor a hub id"),
    ],
)
def test_a_name_that_means_nothing(name: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        resolve(name)


def test_a_hub_id_without_network_is_one_sentence() -> None:
    with pytest.raises(InputError, match=r"is not available locally and could not be fetched") as caught:
        load_model("nobody/nothing")
    assert "\n" not in str(caught.value)


def test_dropout_is_what_was_asked_for(tiny: Any) -> None:
    for wanted in (0.0, 0.25):
        model, _ = load_model(str(tiny.checkpoint), dropout=wanted)
        assert {m.p for m in model.modules() if type(m).__name__ == "Dropout"} == {wanted}
