"""Folders of sentence-transformers, PyLate and Stanford ColBERT give the vectors that these libraries give.

The expected vectors are computed here from plain transformers' states with numpy. Folders that
sentence-transformers 6.2 wrote or read gave its vectors to within 2e-6.
"""

from __future__ import annotations

import hashlib
import http.server
import json
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file

from engine.cli.encoders import show
from engine.config import EncoderConfig, EvaluateConfig
from engine.encoders.encoder import Encoder
from engine.encoders.saving import save_encoder
from engine.errors import InputError
from engine.jobs.child import child_environment, python_command
from engine.reporting import SILENT
from engine.runs.checks import check_checkpoint
from engine.runs.execute import say_contradictions

Array = npt.NDArray[np.float64]
TEXTS = ["river stone .", "cloud", "garden river , winter stone cloud market letter"]
TRANSFORMER = {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content), "utf-8")


def unit(vectors: Array) -> Array:
    found: Array = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return found


@pytest.fixture
def folder(tiny: Any, tmp_path: Path) -> Path:
    """A copy of the tiny checkpoint, to be made a folder of another library."""
    return Path(shutil.copytree(tiny.checkpoint, tmp_path / "folder"))


def states(folder: Path, text: str, longest: int = 64) -> Array:
    """Return the states (T, W) of plain transformers."""
    tokenizer, model = hf.AutoTokenizer.from_pretrained(folder), hf.AutoModel.from_pretrained(folder).eval()
    ids = tokenizer(text, truncation=True, max_length=longest, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        found: Array = model(ids).last_hidden_state[0].double().numpy()
    return found


def sentences(folder: Path, role: Any = "query", **changes: Any) -> Array:
    """Return our sentence vectors; the batch is padded."""
    encoder = Encoder.load(EncoderConfig(checkpoint=str(folder), **changes))
    vectors = np.zeros((len(TEXTS), encoder.sentence_width))
    for rows, encoded in encoder.encode(TEXTS, role):
        vectors[rows] = encoded.sentences.numpy()
    return vectors


def tokens(encoder: Encoder, role: Any) -> list[Array]:
    found: dict[int, Array] = {}
    for rows, encoded in encoder.encode(TEXTS, role):
        for place, row in enumerate(rows):
            found[row] = encoded.tokens[place][encoded.mask[place]].double().numpy()
    return [found[row] for row in range(len(TEXTS))]


def make_sentence_folder(folder: Path, pooling: Any, *further: dict[str, Any], **said: Any) -> None:
    write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": 32, **pooling})
    first = {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}
    write(folder / "modules.json", [TRANSFORMER, first, *further])
    write(folder / "config_sentence_transformers.json", said)


def sigmoid(values: Array) -> Array:
    found: Array = 1 / (1 + np.exp(-values))
    return found


def weighted(states: Array) -> Array:
    weights = np.arange(1, len(states) + 1)
    found: Array = weights @ states / weights.sum()
    return found


POOLED: dict[str, Callable[[Array], Array]] = {
    "cls": lambda states: states[0],
    "mean": lambda states: states.mean(0),
    "max": lambda states: states.max(0),
    "mean_sqrt_len_tokens": lambda states: states.sum(0) / len(states) ** 0.5,
    "weightedmean": weighted,
    "lasttoken": lambda states: states[-1],
}


@pytest.mark.parametrize("mode", POOLED)
def test_the_pooling_of_the_folder_is_used(folder: Path, mode: str) -> None:
    expected = unit(np.stack([POOLED[mode](states(folder, text)) for text in TEXTS]))
    make_sentence_folder(folder, {"pooling_mode": mode})
    np.testing.assert_allclose(sentences(folder), expected, atol=2e-6)
    older = {f"pooling_mode_{mode}": True, "pooling_mode_mean_tokens": False}
    if mode in ("cls", "max", "mean"):
        make_sentence_folder(
            folder, older | {f"pooling_mode_{mode}_token{'' if mode == 'cls' else 's'}": True}
        )
        np.testing.assert_allclose(sentences(folder), expected, atol=2e-6)


def test_dense_layers_prompts_and_lengths_of_the_folder_are_used(folder: Path, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    width = states(folder, "river").shape[1]
    first, bias, second = (
        generator.normal(size=shape).astype("float32") for shape in ((12, width), 12, (6, 12))
    )
    expected = {
        role: unit(
            np.stack(
                [
                    sigmoid(second @ unit(np.tanh(first @ states(folder, prompt + text, 7)[0] + bias)))
                    for text in TEXTS
                ]
            )
        )
        for role, prompt in (("query", "stone : "), ("passage", "cloud : "))
    }
    for name, tensors, activation in (
        ("2_Dense", {"linear.weight": first, "linear.bias": bias}, "Tanh"),
        ("4_Dense", {"linear.weight": second}, "Sigmoid"),
    ):
        said: dict[str, Any] = {"in_features": 1, "out_features": len(tensors["linear.weight"])}
        said |= {
            "bias": len(tensors) == 2,
            "activation_function": f"torch.nn.modules.activation.{activation}",
        }
        write(folder / name / "config.json", said)
        save_file(
            {key: torch.tensor(value) for key, value in tensors.items()}, folder / name / "model.safetensors"
        )
    make_sentence_folder(
        folder,
        {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False},
        {"path": "2_Dense", "type": "sentence_transformers.models.Dense"},
        {"path": "3_Normalize", "type": "sentence_transformers.models.Normalize"},
        {"path": "4_Dense", "type": "sentence_transformers.base.modules.dense.Dense"},
        prompts={"query": "stone : ", "document": "cloud : "},
    )
    write(folder / "sentence_bert_config.json", {"max_seq_length": 7, "do_lower_case": False})
    for role, vectors in expected.items():
        np.testing.assert_allclose(sentences(folder, role), vectors, atol=5e-6)
    encoder = Encoder.load(EncoderConfig(checkpoint=str(folder)))
    save_encoder(encoder, tmp_path / "saved")
    again = encoder.config.model_dump() | {"checkpoint": str(tmp_path / "saved")}
    np.testing.assert_allclose(
        sentences(tmp_path / "saved", **{k: v for k, v in again.items() if k != "checkpoint"}),
        expected["query"],
        atol=5e-6,
    )


def make_late_folder(folder: Path, markers: list[str]) -> Array:
    """Add the markers to tokenizer and embedding; return a projection (8, W)."""
    weights, said = (
        load_file(folder / "model.safetensors"),
        json.loads((folder / "tokenizer.json").read_text()),
    )
    name = "embeddings.word_embeddings.weight"
    rows = len(weights[name])
    said["added_tokens"] += [
        {"id": rows + place, "content": marker, "single_word": False, "lstrip": False, "rstrip": False}
        | {"normalized": True, "special": False}
        for place, marker in enumerate(markers)
    ]
    write(folder / "tokenizer.json", said)
    torch.manual_seed(0)
    weights[name] = torch.cat([weights[name], torch.randn(len(markers), weights[name].shape[1])])
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    model = json.loads((folder / "config.json").read_text())
    write(folder / "config.json", model | {"vocab_size": rows + len(markers)})
    found: Array = torch.randn(8, weights[name].shape[1]).double().numpy()
    return found


def late_vectors(
    folder: Path, projection: Array, marker: str, length: int, *, query: bool, attend: bool, skipped: str
) -> list[Array]:
    """Compute ColBERT's token vectors from plain transformers' states."""
    tokenizer, model = hf.AutoTokenizer.from_pretrained(folder), hf.AutoModel.from_pretrained(folder).eval()
    vectors = []
    for text in TEXTS:
        ids = tokenizer(text, truncation=True, max_length=length - 1)["input_ids"]
        ids.insert(1, tokenizer.convert_tokens_to_ids(marker))
        padding = length - len(ids) if query else 0
        mask = [1] * len(ids) + [int(attend)] * padding
        ids += [tokenizer.mask_token_id] * padding
        with torch.no_grad():
            output = model(torch.tensor([ids]), attention_mask=torch.tensor([mask])).last_hidden_state[0]
        pieces = tokenizer.convert_ids_to_tokens(ids)
        kept = [query or piece not in skipped for piece in pieces]
        vectors.append(unit(output.double().numpy() @ projection.T)[kept])
    return vectors


def check_late(folder: Path, projection: Array, markers: list[str], *, attend: bool, skipped: str) -> None:
    encoder = Encoder.load(EncoderConfig(checkpoint=str(folder)))
    for role, marker, length in (("query", markers[0], 10), ("passage", markers[1], 9)):
        expected = late_vectors(
            folder, projection, marker, length, query=role == "query", attend=attend, skipped=skipped
        )
        for ours, theirs in zip(tokens(encoder, role), expected, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=3e-6)


@pytest.mark.parametrize("attend", [False, True])
def test_a_folder_of_pylate(folder: Path, attend: bool) -> None:
    markers = ["[Q] ", "[D] "]
    projection = make_late_folder(folder, markers)
    write(folder / "1_Dense" / "config.json", {"in_features": 1, "out_features": 8, "bias": False} | IDENTITY)
    save_file({"linear.weight": torch.tensor(projection).float()}, folder / "1_Dense" / "model.safetensors")
    dense = {"path": "1_Dense", "type": "pylate.models.Dense.Dense"}
    write(folder / "modules.json", [TRANSFORMER, dense])
    said = {"query_prefix": "[Q] ", "document_prefix": "[D] ", "query_length": 10, "document_length": 9}
    said |= {"attend_to_expansion_tokens": attend, "skiplist_words": ["."]}
    write(folder / "config_sentence_transformers.json", said)
    check_late(folder, projection, markers, attend=attend, skipped=".")


IDENTITY = {"activation_function": "torch.nn.modules.linear.Identity"}


def test_a_folder_of_stanford_colbert(folder: Path, tmp_path: Path) -> None:
    markers = ["[unused0]", "[unused1]"]
    projection = make_late_folder(folder, markers)
    plain = Path(shutil.copytree(folder, tmp_path / "plain"))
    weights = {f"bert.{name}": value for name, value in load_file(folder / "model.safetensors").items()}
    weights["linear.weight"] = torch.tensor(projection).float()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    said = {"query_maxlen": 10, "doc_maxlen": 9, "dim": 8, "mask_punctuation": True}
    write(folder / "artifact.metadata", said | {"attend_to_mask_tokens": False, "similarity": "cosine"})
    encoder = Encoder.load(EncoderConfig(checkpoint=str(folder)))
    for role, marker, length in (("query", markers[0], 10), ("passage", markers[1], 9)):
        expected = late_vectors(
            plain, projection, marker, length, query=role == "query", attend=False, skipped=".,:"
        )
        for ours, theirs in zip(tokens(encoder, role), expected, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=3e-6)


def test_a_setting_that_is_given_replaces_what_the_folder_says(folder: Path) -> None:
    make_sentence_folder(folder, {"pooling_mode": "cls"}, prompts={"query": "stone : "})
    config = EncoderConfig(checkpoint=str(folder), pooling="mean")
    assert config.pooling == "mean"
    assert config.query_prefix == "stone : "
    assert config.contradictions() == {"pooling": ("mean", "cls")}
    expected = unit(np.stack([states(folder, text).mean(0) for text in TEXTS]))
    np.testing.assert_allclose(
        sentences(folder, pooling="mean", query_prefix="", query_length=64), expected, atol=2e-6
    )


def test_e5_folders_keep_the_prefixes_that_e5_needs(folder: Path) -> None:
    make_sentence_folder(folder, {"pooling_mode": "mean"})
    assert EncoderConfig(checkpoint=str(folder)).query_prefix == ""
    e5 = folder.rename(folder.with_name("multilingual-e5-base"))
    assert EncoderConfig(checkpoint=str(e5)).query_prefix == "query: "


def broken_json(folder: Path) -> None:
    (folder / "modules.json").write_text("{")


def with_module(kind: str, **config: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        write(folder / "2_It" / "config.json", config)
        make_sentence_folder(folder, {"pooling_mode": "cls"}, {"path": "2_It", "type": kind})

    return change


def with_said(**said: Any) -> Callable[[Path], None]:
    return lambda folder: make_sentence_folder(folder, {"pooling_mode": "cls"}, **said)


def with_pylate_markers(folder: Path) -> None:
    write(folder / "1_Dense" / "config.json", {"in_features": 1, "out_features": 8, "bias": False} | IDENTITY)
    save_file({"linear.weight": torch.zeros(8, 32)}, folder / "1_Dense" / "model.safetensors")
    write(folder / "modules.json", [TRANSFORMER, {"path": "1_Dense", "type": "pylate.models.Dense.Dense"}])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (broken_json, "modules.json cannot be read"),
        (with_module("my_code.Head"), "'my_code.Head', which is code of the checkpoint's own and is not run"),
        (with_module("sentence_transformers.models.LSTM"), "the module 'LSTM', which is not supported"),
        (with_module("sentence_transformers.models.Dense"), "2_It has no model.safetensors"),
        (
            with_module("sentence_transformers.models.Dense", activation_function="my_code.Act"),
            "the activation my_code.Act",
        ),
        (with_module("sentence_transformers.models.Dense", use_residual=True), "residual connection"),
        (with_said(similarity_fn_name="dot"), "'dot' without being normalised"),
        (with_said(similarity_fn_name="manhattan"), "similarity 'manhattan' is not supported"),
        (with_said(truncate_dim=8), "truncate_dim"),
        (
            lambda folder: make_sentence_folder(folder, {"pooling_mode": ["cls", "mean"]}),
            r"several poolings \(cls, mean\)",
        ),
        (
            lambda folder: make_sentence_folder(
                folder, {"pooling_mode": "mean", "include_prompt": False}, prompts={"query": "stone"}
            ),
            "leaves out the tokens of the prompt",
        ),
        (with_pylate_markers, r"marker '\[Q\] ' is no piece of its tokenizer"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(
    folder: Path, change: Callable[[Path], None], says: str
) -> None:
    change(folder)
    with pytest.raises(InputError, match=says) as caught:
        Encoder.load(EncoderConfig(checkpoint=str(folder), query_length=8, passage_length=8))
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=says):
        check_checkpoint(str(folder))


def test_encoders_show_says_what_was_found(folder: Path, tmp_path: Path) -> None:
    from click.testing import CliRunner

    make_sentence_folder(folder, {"pooling_mode": "cls"}, similarity_fn_name="cosine")
    arguments = [str(folder), "--results", str(tmp_path / "none.duckdb")]
    text = CliRunner().invoke(show, arguments).output
    assert "sentence-transformers" in text
    assert '"cls" (from the folder)' in text
    make_sentence_folder(folder, {"pooling_mode": "cls"}, similarity_fn_name="dot")
    assert "without being normalised" in " ".join(CliRunner().invoke(show, arguments).output.split())


COMMIT = "0123456789" * 4


@pytest.fixture
def put_in_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Path]:
    """A function that puts a folder into the local cache of the hub as ``someone/model``."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))

    def put(folder: Path) -> Path:
        place = tmp_path / "hub" / "models--someone--model"
        (place / "refs").mkdir(parents=True)
        (place / "refs" / "main").write_text(COMMIT)
        return Path(shutil.copytree(folder, place / "snapshots" / COMMIT))

    return put


def test_a_hub_id_in_the_cache_is_read_as_the_folder_that_it_is(
    folder: Path, tmp_path: Path, put_in_hub: Callable[[Path], Path]
) -> None:
    from click.testing import CliRunner

    weight = np.random.default_rng(1).normal(size=(6, 32)).astype("float32")
    write(
        folder / "2_Dense" / "config.json",
        {"bias": False, "activation_function": "torch.nn.modules.activation.Tanh"},
    )
    save_file({"linear.weight": torch.tensor(weight)}, folder / "2_Dense" / "model.safetensors")
    dense = {"path": "2_Dense", "type": "sentence_transformers.models.Dense"}
    make_sentence_folder(folder, {"pooling_mode": "cls"}, dense, prompts={"query": "stone : "})
    expected = unit(np.stack([np.tanh(weight @ states(folder, "stone : " + text)[0]) for text in TEXTS]))
    cached = put_in_hub(folder)
    shutil.rmtree(folder)
    config = EncoderConfig(checkpoint="someone/model")
    assert (config.pooling, config.query_prefix, config.passage_prefix) == ("cls", "stone : ", "")
    vectors = np.zeros((len(TEXTS), 6))
    for rows, encoded in Encoder.load(config).encode(TEXTS, "query"):
        vectors[rows] = encoded.sentences.numpy()
    np.testing.assert_allclose(vectors, expected, atol=2e-6)
    shown = CliRunner().invoke(show, ["someone/model", "--results", str(tmp_path / "none.duckdb")]).output
    assert "sentence-transformers" in shown and '"cls" (from the folder)' in shown
    (cached / "modules.json").write_text("{")
    with pytest.raises(InputError, match=r"modules\.json cannot be read"):
        check_checkpoint("someone/model")


def test_a_cached_hub_id_without_known_modules_says_so(
    folder: Path, put_in_hub: Callable[[Path], Path]
) -> None:
    said: list[str] = []
    reporter = type("Says", (type(SILENT),), {"say": lambda _, text: said.append(text)})()
    place = put_in_hub(folder)
    config = EvaluateConfig(
        name="x", encoder=EncoderConfig(checkpoint="someone/model"), collections=[{"name": "tatoeba"}]
    )
    say_contradictions(config, reporter)
    assert len(said) == 1 and "cannot tell whether there is one" in said[0]
    for name in (
        "modules.json",
        "artifact.metadata",
        "optical.json",
    ):  # as huggingface_hub notes a missing file
        missing = place.parent.parent / ".no_exist" / COMMIT / name
        missing.parent.mkdir(parents=True, exist_ok=True)
        missing.touch()
    said.clear()
    say_contradictions(config, reporter)
    assert said == []


FETCHED = """
from engine.config import load_config
from engine.config.hub import is_described, snapshot
import sys
settings = load_config(sys.argv[1], fetch=True).encoder
print(settings.pooling, repr(settings.query_prefix), is_described("someone/model"))
print(sorted(str(p.relative_to(snapshot("someone/model"))) for p in snapshot("someone/model").rglob("*.*")))
"""


def test_a_run_fetches_the_files_that_describe_a_hub_id_before_it_reads_its_settings(
    folder: Path, tmp_path: Path
) -> None:
    """The hub is a server here that answers as huggingface.co does."""
    write(folder / "2_Dense" / "config.json", {"bias": False})
    save_file({"linear.weight": torch.zeros(6, 32)}, folder / "2_Dense" / "model.safetensors")
    dense = {"path": "2_Dense", "type": "sentence_transformers.models.Dense"}
    make_sentence_folder(folder, {"pooling_mode": "cls"}, dense, prompts={"query": "stone : "})

    class Hub(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(body=True)

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def answer(self, *, body: bool) -> None:
            name = self.path.partition("/someone/model/resolve/")[2].partition("/")[2]
            content = (folder / name).read_bytes() if name and (folder / name).is_file() else None
            self.send_response(200 if content is not None else 404)
            self.send_header("X-Repo-Commit", COMMIT)
            if content is None:
                self.send_header("X-Error-Code", "EntryNotFound")
                self.send_header("Content-Length", "0")
            else:
                self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body and content is not None:
                self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    run = tmp_path / "run.toml"
    run.write_text(
        'kind = "evaluate"\n[encoder]\ncheckpoint = "someone/model"\n[[collections]]\nname = "tatoeba"\n'
    )
    try:
        done = subprocess.run(
            [*python_command("engine.cli")[:2], "-c", FETCHED, str(run)],
            env={
                **child_environment(),
                "HF_HOME": str(tmp_path / "home"),
                "HF_HUB_OFFLINE": "0",
                "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
            },
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    finally:
        server.shutdown()
        server.server_close()
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == "cls 'stone : ' True"
    assert "2_Dense/model.safetensors" in second
    assert "'model.safetensors'" not in second  # the weights are left to the run
