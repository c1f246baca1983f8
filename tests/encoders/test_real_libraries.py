"""Scores equal those of sentence-transformers and PyLate themselves, for their folders and for exported ones.

A test runs if its library can be imported. PyLate pins an older sentence-transformers, without
``MultiVectorEncoder``, so ``.ci/run`` runs its tests in an environment of their own.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.cli.model_card import model_card
from engine.config import EncoderConfig
from engine.encoders.encoder import Encoder
from engine.encoders.exporting import Pair, Vectors, export
from engine.encoders.fitting import fit
from engine.errors import InputError, OpticalError
from engine.lexicon.glossary import Glossary
from engine.retrieval.maxsim import maxsim_scores

pytestmark = pytest.mark.libraries

QUERIES = [
    "river stone : query .",
    "cloud",
    "garden river , winter stone cloud market letter",
    "River - needle ?",
]
DOCUMENTS = ["stone river .", "letter window : market", "passage : passage summer forest , silver", "qwolb x"]
TOLERANCE = 1e-4
MARKERS = {"markers": True, "query_prefix": "query", "passage_prefix": "passage"}
NO_PREFIX = {"query_prefix": "", "passage_prefix": ""}
COLBERT = {
    "query_expansion": True,
    "special_tokens": True,
    "prefix_tokens": True,
    "passage_punctuation": False,
    "centring": False,
    "projection": "linear",
    "projection_dim": 8,
    "query_length": 12,
}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The libraries report to stderr; nothing of it is tested."""
    with contextlib.redirect_stderr(io.StringIO()):
        yield


def load(folder: Path | None = None, **settings: Any) -> Encoder:
    if folder is not None:
        settings["checkpoint"] = str(folder)
    encoder = Encoder.load(EncoderConfig(**settings))
    torch.manual_seed(1)
    if encoder.fresh_projection:
        assert encoder.projection is not None
        torch.nn.init.normal_(encoder.projection.weight)
        encoder.fresh_projection = False
    if encoder.config.centring and not bool(encoder.mean.any()):
        fit(encoder, DOCUMENTS, "passage")
    return encoder


def changed(encoder: Encoder) -> Encoder:
    """Change the weights, as training does."""
    torch.manual_seed(2)
    with torch.no_grad():
        for weight in encoder.model.parameters():
            weight += 0.02 * torch.randn_like(weight)
        encoder.mean += 0.01 * torch.randn_like(encoder.mean)
    return encoder


def encoded(encoder: Encoder, texts: list[str], role: Any) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Return the counted token vectors of each text, and the sentence vectors."""
    tokens: dict[int, torch.Tensor] = {}
    sentences = torch.zeros(len(texts), encoder.sentence_width)
    for rows, found in encoder.encode(texts, role):
        sentences[rows] = found.sentences
        tokens |= {row: found.tokens[place][found.mask[place]] for place, row in enumerate(rows)}
    return [tokens[row] for row in range(len(texts))], sentences


def padded(vectors: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    filled = torch.nn.utils.rnn.pad_sequence(list(vectors), batch_first=True)
    lengths = torch.tensor([len(each) for each in vectors])
    return filled, torch.arange(filled.shape[1]) < lengths[:, None]


def our_maxsim(queries: Encoder, documents: Encoder) -> torch.Tensor:
    return maxsim_scores(
        *padded(encoded(queries, QUERIES, "query")[0]), *padded(encoded(documents, DOCUMENTS, "passage")[0])
    )


def our_cosines(queries: Encoder, documents: Encoder) -> torch.Tensor:
    return encoded(queries, QUERIES, "query")[1] @ encoded(documents, DOCUMENTS, "passage")[1].T


def close(ours: torch.Tensor, theirs: Any) -> None:
    torch.testing.assert_close(ours, torch.as_tensor(theirs).float(), atol=TOLERANCE, rtol=0)
    assert ours.std() > 20 * TOLERANCE  # otherwise everything would be close


def multi_vector(folder: Path) -> Any:
    library = pytest.importorskip("sentence_transformers")
    if not hasattr(library, "MultiVectorEncoder"):
        pytest.skip("sentence-transformers is older than 6")
    return library.MultiVectorEncoder(str(folder), device="cpu")


def their_maxsim(folder: Path) -> torch.Tensor:
    model = multi_vector(folder)
    found: torch.Tensor = model.similarity(model.encode_query(QUERIES), model.encode_document(DOCUMENTS))
    return found


def their_cosines(folder: Path) -> torch.Tensor:
    library = pytest.importorskip("sentence_transformers")
    model = library.SentenceTransformer(str(folder), device="cpu")
    found: torch.Tensor = model.similarity(model.encode_query(QUERIES), model.encode_document(DOCUMENTS))
    return found


# -- their folders, read here ---------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", ["cls", "mean", "lasttoken", "weightedmean"])
def test_a_folder_that_sentence_transformers_writes(tiny: Any, tmp_path: Path, pooling: str) -> None:
    library = pytest.importorskip("sentence_transformers")
    models = pytest.importorskip("sentence_transformers.models")
    torch.manual_seed(0)
    model = library.SentenceTransformer(
        modules=[
            models.Transformer(str(tiny.checkpoint), max_seq_length=9),
            models.Pooling(32, pooling_mode=pooling),
            models.Dense(32, 12, activation_function=torch.nn.Tanh()),
            models.Normalize(),
        ],
        prompts={"query": "stone : ", "document": "cloud : "},
        device="cpu",
    )
    model.save(str(tmp_path / "theirs"))
    ours = load(tmp_path / "theirs")
    assert (ours.config.pooling, ours.config.query_prefix) == (pooling, "stone : ")
    close(our_cosines(ours, ours), their_cosines(tmp_path / "theirs"))


@pytest.mark.parametrize("expansion", [None, {"strategy": "fixed", "attend": True, "length": 10}])
@pytest.mark.parametrize("centred", [False, True])
def test_a_folder_that_multi_vector_encoder_writes(
    tiny: Any, tmp_path: Path, expansion: Any, centred: bool
) -> None:
    library = pytest.importorskip("sentence_transformers")
    if not hasattr(library, "MultiVectorEncoder"):
        pytest.skip("sentence-transformers is older than 6")
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    torch.manual_seed(0)
    unit = Normalize(module_input_name="token_embeddings")
    dense = Dense(32, 8, bias=centred, activation_function=None, module_input_name="token_embeddings")
    model = library.MultiVectorEncoder(
        modules=[
            Transformer(str(tiny.checkpoint), query_length=10, document_length=9, query_expansion=expansion),
            *([unit] if centred else []),
            dense,
            MultiVectorMask(skiplist_words=[".", ","]),
            Normalize(module_input_name="token_embeddings"),
        ],
        prompts={"query": "stone : ", "document": ""},
        similarity_fn_name="meanmaxsim",
        device="cpu",
    )
    model.save(str(tmp_path / "theirs"))
    ours = load(tmp_path / "theirs")
    assert ours.config.centring == centred and ours.config.query_expansion == (expansion is not None)
    close(our_maxsim(ours, ours), their_maxsim(tmp_path / "theirs"))


def test_a_folder_that_pylate_writes(tiny: Any, tmp_path: Path) -> None:
    models = pytest.importorskip("pylate.models")
    torch.manual_seed(0)
    model = models.ColBERT(
        str(tiny.checkpoint), embedding_size=8, query_length=10, document_length=9, device="cpu"
    )
    model.save(str(tmp_path / "theirs"))
    ours = load(tmp_path / "theirs")
    assert ours.config.markers
    close(our_maxsim(ours, ours), pylate_scores(tmp_path / "theirs", tmp_path / "theirs"))


def stanford_folder(tiny: Any, folder: Path) -> Path:
    """A folder as Stanford ColBERT writes it, with the markers as pieces of the vocabulary."""
    shutil.copytree(tiny.checkpoint, folder)
    torch.manual_seed(0)
    said = json.loads((folder / "tokenizer.json").read_text())
    vocabulary, markers = said["model"]["vocab"], ["[unused0]", "[unused1]"]
    vocabulary |= {marker: len(vocabulary) + place for place, marker in enumerate(markers)}
    (folder / "tokenizer.json").write_text(json.dumps(said))
    weights = load_file(folder / "model.safetensors")
    rows = weights["embeddings.word_embeddings.weight"]
    weights["embeddings.word_embeddings.weight"] = torch.cat([rows, torch.randn(2, rows.shape[1])])
    weights = {f"bert.{name}": value for name, value in weights.items()}
    save_file(
        {**weights, "linear.weight": torch.randn(8, 32)}, folder / "model.safetensors", {"format": "pt"}
    )
    model = json.loads((folder / "config.json").read_text())
    model |= {"architectures": ["HF_ColBERT"], "vocab_size": len(vocabulary)}
    (folder / "config.json").write_text(json.dumps(model))
    said = {"query_maxlen": 10, "doc_maxlen": 9, "dim": 8, "mask_punctuation": True, "similarity": "cosine"}
    said |= {"query_token_id": "[unused0]", "doc_token_id": "[unused1]", "attend_to_mask_tokens": False}
    (folder / "artifact.metadata").write_text(json.dumps(said))
    return folder


def test_a_folder_of_stanford_colbert_as_sentence_transformers_reads_it(tiny: Any, tmp_path: Path) -> None:
    folder = stanford_folder(tiny, tmp_path / "theirs")
    ours, model = load(folder), multi_vector(folder)
    known = DOCUMENTS[
        :3
    ]  # it counts unknown pieces, which Stanford ColBERT skips with a vocabulary this small
    scores = model.similarity(
        model.encode_query(QUERIES), model.encode_document(known), length_normalize=True
    )
    close(our_maxsim(ours, ours)[:, :3], scores)


def test_a_folder_of_stanford_colbert_as_pylate_reads_it(tiny: Any, tmp_path: Path) -> None:
    pytest.importorskip("pylate")
    folder = stanford_folder(tiny, tmp_path / "theirs")
    ours = load(folder)
    close(our_maxsim(ours, ours), pylate_scores(folder, folder))


# -- our encoders, exported -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="prefixes that do not count"),
        pytest.param({"prefix_tokens": True, "special_tokens": True}, id="prefixes that count"),
        pytest.param(NO_PREFIX, id="no prefix"),
        pytest.param({"punctuation": False, "projection": "linear", "projection_dim": 6}, id="projection"),
        pytest.param({"passage_punctuation": False, "prefix_tokens": True}, id="punctuation of passages"),
        pytest.param({"centring": False, "skiplist": ["stone"], "lowercase": True}, id="skip list"),
        pytest.param(COLBERT, id="ColBERT"),
        pytest.param(
            {**COLBERT, "attend_expansion": True, "special_tokens": False}, id="expansion attended to"
        ),
        pytest.param({"projection": "whitening", "projection_dim": 4}, id="whitening"),
        pytest.param(MARKERS, id="markers"),
    ],
)
@pytest.mark.parametrize("both", [False, True])
def test_token_vectors_in_sentence_transformers(
    tiny: Any, tmp_path: Path, changes: dict[str, Any], both: bool
) -> None:
    queries = load(**{**tiny.encoder(), "query_length": 10, **changes})
    documents = (
        changed(load(tiny.checkpoint, **queries.config.model_dump(exclude={"checkpoint"})))
        if both
        else queries
    )
    folder = tmp_path / "out"
    assert export(Pair(queries, documents), folder, "sentence-transformers", "tokens") == [folder]
    assert (folder / "router_config.json").is_file() == both
    close(our_maxsim(queries, documents), their_maxsim(folder))
    for place in ["query_0_Transformer", "document_0_Transformer"] if both else [""]:
        again = Encoder.load(EncoderConfig(checkpoint=str(folder / place)))
        expected = documents if place.startswith("document") else queries
        close(our_maxsim(expected, expected), our_maxsim(again, again))
    for path in folder.rglob("*.json"):
        assert str(tiny.checkpoint) not in path.read_text("utf-8")


@pytest.mark.parametrize("pooling", ["cls", "mean", "max"])
@pytest.mark.parametrize("both", [False, True])
def test_sentence_vectors_in_sentence_transformers(
    tiny: Any, tmp_path: Path, pooling: str, both: bool
) -> None:
    pytest.importorskip("sentence_transformers")
    queries = load(**tiny.encoder(pooling=pooling))
    documents = changed(load(**tiny.encoder(pooling=pooling))) if both else queries
    export(Pair(queries, documents), tmp_path / "out", "sentence-transformers", "sentence")
    close(our_cosines(queries, documents), their_cosines(tmp_path / "out"))


@pytest.mark.slow
def test_token_vectors_of_multilingual_e5_in_sentence_transformers(tmp_path: Path) -> None:
    """Its tokenizer is SentencePiece's, where a prefix and the text behind it are joined by a space."""
    encoder = load(checkpoint="multilingual-e5-small", query_prefix="query: ", passage_prefix="passage: ")
    export(Pair(encoder, encoder), tmp_path / "out", "sentence-transformers", "tokens")
    close(our_maxsim(encoder, encoder), their_maxsim(tmp_path / "out"))


def test_a_glossary_goes_with_the_folder_and_does_not_change_the_prompts(tiny: Any, tmp_path: Path) -> None:
    encoder = load(**tiny.encoder())
    encoder.glossary = Glossary("en", {"sw": {"river": 2}, "en": {"water": 2}}, {"sw": {"river": "water"}})
    export(Pair(encoder, encoder), tmp_path / "out", "sentence-transformers", "tokens")
    again = Encoder.load(EncoderConfig(checkpoint=str(tmp_path / "out")))
    assert again.glossary is not None and again.glossary.extend("river") == "river water"
    close(our_maxsim(encoder, encoder), our_maxsim(again, again))


def test_documents_of_the_kind_of_queries_have_their_prefix(tiny: Any, tmp_path: Path) -> None:
    encoder = load(**{**tiny.encoder(), "query_prefix": "stone : ", "prefix_tokens": True})
    for symmetric, expected in ((True, "stone : "), (False, "passage: ")):
        export(
            Pair(encoder, encoder),
            tmp_path / expected,
            "sentence-transformers",
            "tokens",
            symmetric=symmetric,
        )
        said = json.loads((tmp_path / expected / "config_sentence_transformers.json").read_text())
        assert said["prompts"] == {"query": "stone : ", "document": expected}


def test_dense_layers_behind_the_pooling_are_exported(tiny: Any, tmp_path: Path) -> None:
    library = pytest.importorskip("sentence_transformers")
    models = pytest.importorskip("sentence_transformers.models")
    torch.manual_seed(0)
    library.SentenceTransformer(
        modules=[
            models.Transformer(str(tiny.checkpoint)),
            models.Pooling(32, pooling_mode="cls"),
            models.Dense(32, 12, activation_function=torch.nn.Tanh()),
            models.Normalize(),
            models.Dense(12, 6, bias=False, activation_function=torch.nn.Identity()),
        ],
        device="cpu",
    ).save(str(tmp_path / "theirs"))
    ours = load(tmp_path / "theirs")
    export(Pair(ours, ours), tmp_path / "out", "sentence-transformers", "sentence")
    close(our_cosines(ours, ours), their_cosines(tmp_path / "out"))


def pylate_scores(queries: Path, documents: Path) -> torch.Tensor:
    """Return PyLate's scores, divided by the number of query tokens."""
    models, scores = pytest.importorskip("pylate.models"), pytest.importorskip("pylate.scores")
    found = {}
    for role, folder, texts in (("query", queries, QUERIES), ("document", documents, DOCUMENTS)):
        model = models.ColBERT(str(folder), device="cpu")
        prompt = role if model.prompts.get(role) else None
        found[role] = model.encode(
            texts,
            is_query=role == "query",
            prompt_name=prompt,
            convert_to_numpy=False,
            show_progress_bar=False,
        )
    return torch.tensor(
        [
            [
                float(scores.colbert_scores(query[None], document[None])) / len(query)
                for document in found["document"]
            ]
            for query in found["query"]
        ]
    )


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(COLBERT, id="prefixes"),
        pytest.param({**COLBERT, "query_expansion": False, "projection": "none"}, id="no projection"),
        pytest.param(
            {**COLBERT, "markers": True, "query_prefix": "query", "passage_prefix": "passage"}, id="markers"
        ),
        pytest.param(
            {**COLBERT, "query_prefix": "", "passage_prefix": "", "lowercase": True}, id="no prefix"
        ),
    ],
)
@pytest.mark.parametrize("both", [False, True])
def test_token_vectors_in_pylate(tiny: Any, tmp_path: Path, changes: dict[str, Any], both: bool) -> None:
    pytest.importorskip("pylate")
    queries = load(**tiny.encoder() | changes)
    documents = changed(load(**tiny.encoder() | changes)) if both else queries
    folders = export(Pair(queries, documents), tmp_path / "out", "pylate", "tokens")
    assert len(folders) == 1 + both
    close(our_maxsim(queries, documents), pylate_scores(folders[0], folders[-1]))


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("changes", [{}, {"projection": "linear", "projection_dim": 6, "punctuation": False}])
def test_token_vectors_in_plain_transformers_by_the_code_of_the_model_card(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, both: bool, changes: dict[str, Any]
) -> None:
    queries = load(**tiny.encoder(**changes))
    documents = changed(load(**tiny.encoder(**changes))) if both else queries
    folders = export(Pair(queries, documents), tmp_path / "out", "transformers", "tokens")
    card = card_of(tmp_path / "out", folders, "transformers", "tokens")
    names = run_card(card, tmp_path / "out", monkeypatch)
    close(our_maxsim(queries, documents), names["scores"])


def run_card(card: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run the code of a model card on our texts, and return its variables."""
    code = re.search(r"```python\n(.*?)```", card, re.DOTALL)
    assert code is not None
    source = code[1].replace('["a query"]', repr(QUERIES)).replace('["a document"]', repr(DOCUMENTS))
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    exec(compile(source, "card", "exec"), names)
    return names


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "both"),
    [
        pytest.param({}, True, id="prefixes that do not count, two encoders"),
        pytest.param(
            {
                **{"prefix_tokens": True, "punctuation": False, "pooling": "max"},
                **{"projection": "linear", "projection_dim": 6},
            },
            False,
            id="projection",
        ),
        pytest.param({**MARKERS, "pooling": "mean"}, False, id="markers"),
        pytest.param(
            {
                **COLBERT,
                **{"attend_expansion": True, "special_tokens": False, "lowercase": True},
                "pooling": "weightedmean",
            },
            False,
            id="expansion attended to",
        ),
    ],
)
def test_both_scorings_in_onnx_runtime_by_the_code_of_the_model_card(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], both: bool
) -> None:
    pytest.importorskip("onnxscript")
    queries = load(**{**tiny.encoder(), "query_length": 12, **changes})
    documents = changed(load(**{**tiny.encoder(), "query_length": 12, **changes})) if both else queries
    folders = export(Pair(queries, documents), tmp_path / "out", "onnx", "tokens")
    assert len(folders) == 1 + both
    names = run_card(card_of(tmp_path / "out", folders, "onnx", "tokens"), tmp_path / "out", monkeypatch)
    close(our_maxsim(queries, documents), names["maxsim"])
    close(our_cosines(queries, documents), names["dense"])


@pytest.mark.slow
def test_multilingual_e5_in_onnx_runtime_in_several_scripts_and_lengths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxscript")
    texts = ["Где река?", "नदी कहाँ है", "น้ำอยู่ที่ไหน", "ماء", "河流在哪里", "qandho iyo qufac " * 30]
    monkeypatch.setitem(globals(), "QUERIES", texts)
    monkeypatch.setitem(globals(), "DOCUMENTS", ["Where is the river?", "fever and cough " * 60, "a"])
    encoder = load(checkpoint="multilingual-e5-small", query_prefix="query: ", passage_prefix="passage: ")
    said: list[str] = []
    folders = export(Pair(encoder, encoder), tmp_path / "out", "onnx", "tokens", int8=True, say=said.append)
    sizes = [(tmp_path / "out" / "onnx" / f"model{end}.onnx").stat().st_size for end in ("", "_quantized")]
    assert sizes[1] < 0.3 * sizes[0]
    names = run_card(card_of(tmp_path / "out", folders, "onnx", "tokens"), tmp_path / "out", monkeypatch)
    close(our_maxsim(encoder, encoder), names["maxsim"])
    close(our_cosines(encoder, encoder), names["dense"])
    (sentence,) = said
    cosines = [float(number) for number in re.findall(r"\d\.\d{4}", sentence)]
    assert len(cosines) == 2 and all(0.9 < cosine < 1 for cosine in cosines)


def test_a_graph_that_differs_from_the_encoder_is_refused(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = load(**tiny.encoder())
    monkeypatch.setattr("engine.encoders.exporting.check_packages", lambda: None)
    monkeypatch.setattr(
        "engine.encoders.exporting.write_graph", lambda encoder, model, path: path.write_bytes(b"")
    )
    for far, refused in ((2e-4, True), (5e-5, False), (float("nan"), True)):
        pairs = [(torch.zeros(2, 3), torch.full((2, 3), far))]
        monkeypatch.setattr(
            "engine.encoders.onnx_graph.compared", lambda path, samples, pairs=pairs: iter([pairs])
        )
        out = tmp_path / str(far)
        with (
            pytest.raises(OpticalError, match="differs from the encoder by")
            if refused
            else (contextlib.nullcontext())
        ):
            export(Pair(encoder, encoder), out, "onnx", "tokens")
        assert out.exists() != refused


def test_onnx_without_its_packages_is_one_sentence(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = load(**tiny.encoder())
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"not installed \(onnx, onnxscript, onnxruntime\): pip install"):
        export(Pair(encoder, encoder), tmp_path / "out", "onnx", "tokens")


def card_of(folder: Path, folders: list[Path], library: Any, vectors: Vectors) -> str:
    names = [os.fspath(place.relative_to(folder)) for place in folders]
    return model_card(
        {"id": "x", "name": "x", "kind": "distil", "seed": 0, "argv": [], "config": {}},
        [],
        {},
        library=library,
        vectors=vectors,
        places={"query": names[0], "document": names[-1]},
        notes=[],
        command=[],
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {},
            "no module for centring, special_tokens = false, prefix_tokens = false; export --for",
        ),
        ({**COLBERT, "prefix_tokens": False}, "no module for prefix_tokens = false;"),
    ],
)
def test_what_pylate_cannot_compute_is_refused(
    tiny: Any, tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    encoder = load(**tiny.encoder() | changes)
    with pytest.raises(InputError, match=says):
        export(Pair(encoder, encoder), tmp_path / "out", "pylate", "tokens")
    assert not (tmp_path / "out").exists()
