"""Write encoders as folders that sentence-transformers, PyLate, plain transformers and ONNX runtimes open.

What the folders compute is what `Encoder` computes. A token vector is a state scaled to unit length, centred,
projected and scaled to unit length again, which is ``Normalize``, a ``Dense`` whose bias is minus the
projected mean, and ``Normalize``. The tokens that count follow from lists of pieces that do not. A prefix
that does not count is written as pieces of its own, with the vectors of the prefix's pieces, because the
libraries tell pieces apart by what they are and not by their place.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.encoders.characters import CharacterTokenizer
from engine.encoders.encoder import Encoder, Role
from engine.encoders.onnx_graph import (
    GRAPH,
    QUANTIZED,
    Sample,
    check_graph,
    check_packages,
    mean_cosines,
    quantize,
    write_graph,
)
from engine.encoders.saving import whole_folder, write_fitted
from engine.encoders.sentence_head import UNIT
from engine.errors import InputError
from engine.lexicon import glossary

Library = Literal["sentence-transformers", "pylate", "transformers", "onnx"]
LIBRARIES: tuple[Library, ...] = ("sentence-transformers", "pylate", "transformers", "onnx")
Vectors = Literal["tokens", "sentence"]

#: The folders of the two encoders in a folder of sentence-transformers that has both.
ROUTED: dict[Role, str] = {"query": "query_0_Transformer", "passage": "document_0_Transformer"}
#: What the libraries call the roles.
TASKS: dict[Role, str] = {"query": "query", "passage": "document"}

_BASE = "sentence_transformers.base.modules"
_OLD = "sentence_transformers.models"
#: Texts on which a prompt is compared with the prefix: scripts, cases, punctuation, numbers, spaces.
_SAMPLES = (
    *("river", "River stone", "What is this?", '"quoted" (text)', "3.5 km", "a", "-", ": x", "ß", "don't"),
    *("Где река?", "नदी कहाँ है", "วันนี้", "ماء", "河流在哪里", "水。", "Ẹ káàárọ̀"),
    *("qandho iyo qufac", "two  spaces"),
)


@dataclass(frozen=True)
class Pair:
    """The encoders of queries and of documents.

    Attributes
    ----------
    queries, documents : Encoder
        Without trimming.
    """

    queries: Encoder
    documents: Encoder

    def of(self, role: Role) -> Encoder:
        """Return the encoder of one role."""
        return self.queries if role == "query" else self.documents

    @property
    def alike(self) -> bool:
        """Whether one folder serves both: the weights, fitted vectors and settings of all roles are equal."""
        ours, theirs = self.queries, self.documents
        names = {"checkpoint", "query_prefix", "query_length", "passage_prefix", "passage_length", "skiplist"}
        if ours.config.model_dump(exclude=names) != theirs.config.model_dump(exclude=names):
            return False
        return _same(_tensors(ours), _tensors(theirs)) and self.same_pieces

    @property
    def same_pieces(self) -> bool:
        """Whether the tokenizers have the same vocabulary."""
        return bool(self.queries.tokenizer.get_vocab() == self.documents.tokenizer.get_vocab())


@dataclass
class _Side:
    """How one role is told to a library."""

    prompt: str = ""
    skipped: list[str] = field(default_factory=list)
    #: The new pieces by name, and the pieces whose vectors they have.
    pieces: dict[str, int] = field(default_factory=dict)


def export(
    encoders: Pair,
    folder: Path,
    library: Library,
    vectors: Vectors,
    *,
    symmetric: bool = False,
    int8: bool = False,
    say: Callable[[str], None] = lambda sentence: None,
) -> list[Path]:
    """Write encoders for another library.

    Parameters
    ----------
    encoders : Pair
    folder : Path
        A new folder.
    library : {"sentence-transformers", "pylate", "transformers", "onnx"}
    vectors : {"tokens", "sentence"}
        What sentence-transformers computes: a vector for each token (``MultiVectorEncoder``) or one for each
        text (``SentenceTransformer``). A folder has one of the two; an ONNX graph computes both.
    symmetric : bool
        Whether documents are texts of the same kind as queries. They then have the prefix of queries, if the
        settings name none for documents.
    int8 : bool
        For ONNX: whether to write a graph with weights of 8 bits, too.
    say : callable
        What `int8` loses is reported here.

    Returns
    -------
    list of Path
        The folders to open: `folder`, or its subfolders ``query`` and ``document`` if the encoders differ and
        the library cannot hold two in one folder. sentence-transformers can, if they have one vocabulary: it
        looks up the pieces that do not count in the tokenizer of queries.

    Raises
    ------
    InputError
        If the folder exists, or the library has no means to compute what the encoder computes.
    OpticalError
        If the disk is full, or torch cannot export the architecture to ONNX.
    """
    if folder.exists():
        raise InputError("the folder exists; name a new one", path=folder)
    if int8 and library != "onnx":
        raise InputError(f"weights of 8 bits are written for onnx only, not for {library}")
    if library == "onnx":
        check_packages()
    encoders = Pair(*(_explicit(encoders.of(role), symmetric) for role in TASKS))
    for encoder in (encoders.queries, encoders.documents):
        if isinstance(encoder.tokenizer, CharacterTokenizer):
            raise InputError(
                "an encoder of characters cannot be exported: the libraries need a fast tokenizer "
                f"({encoder.config.checkpoint!r} has none)"
            )
    writers: dict[Library, Callable[[Pair, Path], None]] = {
        "sentence-transformers": _write_tokens if vectors == "tokens" else _write_sentences,
        "pylate": _write_pylate,
        "transformers": _write_transformers,
        "onnx": partial(_write_onnx, int8=int8, say=say),
    }
    write = writers[library]
    if vectors == "sentence" and library in ("pylate", "transformers"):
        raise InputError(
            f"a folder for {library} computes token vectors; export --for sentence-transformers, or with "
            "--scoring maxsim"
        )
    for encoder in (encoders.queries, encoders.documents):
        if library == "transformers" and (encoder.config.markers or encoder.config.query_expansion):
            raise InputError(
                "plain transformers has no code for markers and query_expansion; export --for "
                "sentence-transformers or pylate"
            )
    if library == "pylate":
        for role in ROUTED:
            _check_pylate(encoders.of(role), role)
    with whole_folder(folder) as building:
        if encoders.alike or (library == "sentence-transformers" and encoders.same_pieces):
            write(encoders, building)
            return [folder]
        for role, task in TASKS.items():
            (building / task).mkdir()
            write(Pair(encoders.of(role), encoders.of(role)), building / task)
    return [folder / task for task in TASKS.values()]


# -- sentence-transformers ------------------------------------------------------------------------------


def _write_tokens(encoders: Pair, folder: Path) -> None:
    """Write a folder of sentence-transformers' MultiVectorEncoder, version 6 and newer."""
    sides = {role: _side(encoders.of(role), role, counted=True) for role in TASKS}
    masks = {TASKS[role]: side.skipped for role, side in sides.items()}

    def modules(roles: Sequence[Role], encoder: Encoder) -> list[_Module]:
        lists = [(masks[TASKS[role]], [TASKS[role]]) for role in roles]
        if len(lists) == 2 and lists[0][0] == lists[1][0]:
            lists = [(lists[0][0], list(TASKS.values()))]
        return [
            _Module(f"{_BASE}.normalize.Normalize", {"module_input_name": "token_embeddings"}),
            *_projected(encoder),
            _Module(f"{_BASE}.normalize.Normalize", {"module_input_name": "token_embeddings"}),
            *(
                _Module(
                    "sentence_transformers.multi_vector_encoder.modules.multi_vector_mask.MultiVectorMask",
                    {"skiplist_words": words, "skiplist_tasks": tasks},
                )
                for words, tasks in lists
            ),
        ]

    _write_sentence_transformers(
        encoders,
        folder,
        sides,
        modules,
        names=(f"{_BASE}.transformer.Transformer", f"{_BASE}.router.Router"),
        said={"model_type": "MultiVectorEncoder", "similarity_fn_name": "meanmaxsim"},
    )


def _write_sentences(encoders: Pair, folder: Path) -> None:
    """Write a folder of sentence-transformers' SentenceTransformer."""
    sides = {role: _side(encoders.of(role), role, counted=False) for role in TASKS}

    def modules(roles: Sequence[Role], encoder: Encoder) -> list[_Module]:
        pooling = {"word_embedding_dimension": encoder.width, "include_prompt": True}
        for mode, key in _POOLING_KEYS.items():
            pooling[key] = encoder.config.pooling == mode
        found = [_Module(f"{_OLD}.Pooling", pooling)]
        if encoder.sentence_head is not None:
            head = encoder.sentence_head
            for kind, layer in zip(head.kinds, head.linear, strict=True):
                if kind == UNIT:
                    found.append(_Module(f"{_OLD}.Normalize", {}))
                else:
                    assert isinstance(layer, torch.nn.Linear)
                    found.append(_dense(f"{_OLD}.Dense", layer.weight, layer.bias, kind))
        return [*found, _Module(f"{_OLD}.Normalize", {})]

    _write_sentence_transformers(
        encoders,
        folder,
        sides,
        modules,
        names=(f"{_OLD}.Transformer", f"{_OLD}.Router"),
        said={"model_type": "SentenceTransformer", "similarity_fn_name": "cosine"},
    )


def _write_sentence_transformers(
    encoders: Pair,
    folder: Path,
    sides: Mapping[Role, _Side],
    modules: Callable[[Sequence[Role], Encoder], list[_Module]],
    *,
    names: tuple[str, str],
    said: Mapping[str, Any],
) -> None:
    transformer, router = names
    pieces = {name: number for side in sides.values() for name, number in side.pieces.items()}
    if encoders.alike:
        _write_transformer(encoders.queries, folder, list(TASKS), encoders, pieces)
        listed = [("", transformer), *_write_modules(modules(list(TASKS), encoders.queries), folder)]
    else:
        listed = [("", router)]
        structure: dict[str, list[str]] = {}
        types: dict[str, str] = {}
        for role, place in ROUTED.items():
            task, encoder = TASKS[role], encoders.of(role)
            (folder / place).mkdir()
            _write_transformer(encoder, folder / place, [role], encoders, pieces)
            found = [(place, transformer), *_write_modules(modules([role], encoder), folder, f"{task}_")]
            structure[task] = [name for name, _ in found]
            types |= found
        parameters = {"default_route": "document", "allow_empty_key": True}
        _write_json(
            folder / "router_config.json", {"types": types, "structure": structure, "parameters": parameters}
        )
    _write_json(
        folder / "modules.json",
        [
            {"idx": number, "name": str(number), "path": path, "type": kind}
            for number, (path, kind) in enumerate(listed)
        ],
    )
    prompts = {TASKS[role]: side.prompt for role, side in sides.items()}
    _write_json(
        folder / "config_sentence_transformers.json",
        {"prompts": prompts, "default_prompt_name": None, **said},
    )


@dataclass
class _Module:
    """A module in a folder of its own: its class, its settings and its weights."""

    kind: str
    settings: Mapping[str, Any]
    weights: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the class."""
        return self.kind.rsplit(".", 1)[-1]

    def write(self, folder: Path) -> None:
        """Write the folder."""
        folder.mkdir()
        _write_json(folder / "config.json", self.settings)
        if self.weights:
            tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.weights.items()}
            save_file(tensors, str(folder / "model.safetensors"), metadata={"format": "pt"})


def _write_modules(modules: Sequence[_Module], folder: Path, prefix: str = "") -> list[tuple[str, str]]:
    """Write modules into folders of their own in `folder`; return the names of these and the classes."""
    found = []
    for number, module in enumerate(modules, 1):
        found.append((f"{prefix}{number}_{module.name}", module.kind))
        module.write(folder / found[-1][0])
    return found


def _projected(encoder: Encoder) -> list[_Module]:
    """Return the dense layer that centres and projects; none if there is neither."""
    projection = None if encoder.projection is None else encoder.projection.weight.detach()
    mean = encoder.mean if encoder.config.centring else None
    if projection is None and mean is None:
        return []
    weight = torch.eye(encoder.width) if projection is None else projection
    bias = None if mean is None else -(weight.double() @ mean.double()).float()
    return [_dense(f"{_BASE}.dense.Dense", weight, bias, "Identity", module_input_name="token_embeddings")]


def _dense(kind: str, weight: Tensor, bias: Tensor | None, activation: str, **more: Any) -> _Module:
    place = "linear" if activation == "Identity" else "activation"
    settings = {
        "in_features": weight.shape[1],
        "out_features": weight.shape[0],
        "bias": bias is not None,
        "activation_function": f"torch.nn.modules.{place}.{activation}",
        **more,
    }
    weights = {"linear.weight": weight}
    return _Module(kind, settings, weights if bias is None else {**weights, "linear.bias": bias})


_POOLING_KEYS = {
    "cls": "pooling_mode_cls_token",
    "mean": "pooling_mode_mean_tokens",
    "max": "pooling_mode_max_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}


def _write_transformer(
    encoder: Encoder, folder: Path, roles: Sequence[Role], encoders: Pair, pieces: Mapping[str, int]
) -> None:
    """Write the model with `pieces` that have the vectors of other pieces, the tokenizer and its lengths."""
    _write_model(encoder, folder, pieces)
    lengths = {
        "query_length": encoders.queries.config.query_length,
        "document_length": encoders.documents.config.passage_length,
    }
    wanted = {name: lengths[name] for name in (f"{TASKS[role]}_length" for role in roles)}
    said: dict[str, Any] = {"max_seq_length": max(wanted.values()), "do_lower_case": encoder.config.lowercase}
    if len(set(wanted.values())) > 1:
        said |= wanted
    if encoder.config.query_expansion and "query" in roles:
        said["query_expansion"] = {
            "strategy": "fixed",
            "attend": encoder.config.attend_expansion,
            "token": encoder.tokenizer.mask_token,
            "length": encoder.config.query_length,
        }
    _write_json(folder / "sentence_bert_config.json", said)


# -- PyLate ---------------------------------------------------------------------------------------------


def _check_pylate(encoder: Encoder, role: Role) -> None:
    """Check that PyLate can compute the vectors of one role.

    Raises
    ------
    InputError
        If it cannot.
    """
    config = encoder.config
    prefix = config.query_prefix
    lacking = [
        name
        for name, wrong in (
            ("centring", config.centring),
            ("special_tokens = false", role == "query" and not config.special_tokens),
            ("prefix_tokens = false", role == "query" and bool(prefix) and not config.prefix_tokens),
            ("punctuation = false", role == "query" and not config.punctuation),
        )
        if wrong
    ]
    if lacking:
        raise InputError(
            f"PyLate has no module for {', '.join(lacking)}; export --for sentence-transformers, whose "
            "MultiVectorEncoder has"
        )


def _write_pylate(encoders: Pair, folder: Path) -> None:
    """Write a folder of PyLate's ColBERT."""
    encoder, config = encoders.queries, encoders.queries.config
    passage = encoders.documents
    if config.markers:  # PyLate has them, too
        own = [config.query_prefix, passage.prefix("passage")]
        markers, prompts, pieces = own, {}, dict[str, int]()
        skipped = passage.pieces(sorted(_skipped(passage, "passage")))
        skipped += [] if passage.config.prefix_tokens or not own[1] else own[1:]
    else:
        sides = {role: _side(encoders.of(role), role, counted=role == "passage") for role in TASKS}
        markers, prompts = ["", ""], {TASKS[role]: side.prompt for role, side in sides.items()}
        pieces, skipped = sides["passage"].pieces, sides["passage"].skipped
    _write_model(encoder, folder, pieces)
    _write_json(folder / "sentence_bert_config.json", {"do_lower_case": config.lowercase})
    weight = torch.eye(encoder.width) if encoder.projection is None else encoder.projection.weight
    _dense("pylate.models.Dense.Dense", weight, None, "Identity").write(folder / "1_Dense")
    _write_json(
        folder / "modules.json",
        [
            {"idx": 0, "name": "0", "path": "", "type": f"{_OLD}.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Dense", "type": "pylate.models.Dense.Dense"},
        ],
    )
    _write_json(
        folder / "config_sentence_transformers.json",
        {
            "model_type": "ColBERT",
            "similarity_fn_name": "MaxSim",
            "prompts": prompts,
            "default_prompt_name": None,
            "query_prefix": markers[0],
            "document_prefix": markers[1],
            "query_length": config.query_length,
            "document_length": passage.config.passage_length,
            "do_query_expansion": config.query_expansion,
            "attend_to_expansion_tokens": config.query_expansion and config.attend_expansion,
            "skiplist_words": skipped,
        },
    )


# -- transformers ---------------------------------------------------------------------------------------


def _write_transformers(encoders: Pair, folder: Path) -> None:
    """Write the model and the tokenizer as plain transformers opens them, with our fitted vectors."""
    _write_model(encoders.queries, folder, {})


# -- ONNX -----------------------------------------------------------------------------------------------

ROLES_FILE = "roles.json"
"""The file of an ONNX folder that says what belongs before texts of each role, and which tokens count."""


def _write_onnx(encoders: Pair, folder: Path, *, int8: bool, say: Callable[[str], None]) -> None:
    """Write a graph, its tokenizer, and what is done with texts and tokens of each role."""
    encoder = encoders.queries
    sides = {role: _side(encoders.of(role), role, counted=True) for role in TASKS}
    pieces = {name: number for side in sides.values() for name, number in side.pieces.items()}
    model, tokenizer = _with_pieces(encoder, pieces)
    model.config.save_pretrained(folder)
    tokenizer.model_max_length = max(encoders.of(role).longest(role) for role in TASKS)
    tokenizer.save_pretrained(str(folder))
    if encoder.glossary is not None:
        encoder.glossary.save(folder / glossary.FILE)
    said: dict[str, Any] = {"lowercase": encoder.config.lowercase}
    for role, side in sides.items():
        said[TASKS[role]] = {
            "prompt": side.prompt,
            "length": encoders.of(role).longest(role),
            "skipped": sorted(tokenizer.convert_tokens_to_ids(side.skipped)),
            "expansion": None,
        }
    if encoder.config.query_expansion:
        attend = encoder.config.attend_expansion
        said["query"]["expansion"] = {"piece": tokenizer.mask_token_id, "attended": attend}
    _write_json(folder / ROLES_FILE, said)
    (folder / GRAPH).parent.mkdir()
    write_graph(encoder, model, folder / GRAPH)
    samples = [_sample(encoders.of(role), role, side, tokenizer) for role, side in sides.items()]
    check_graph(folder / GRAPH, samples)
    if int8:
        quantize(folder / GRAPH, folder / QUANTIZED)
        sentences, tokens = mean_cosines(folder / QUANTIZED, samples)
        say(
            f"{QUANTIZED.name}: the mean cosine with the encoder's vectors is {tokens:.4f} for tokens and "
            f"{sentences:.4f} for sentences ({len(_SAMPLES)} texts in each role)."
        )


def _sample(encoder: Encoder, role: Role, side: _Side, tokenizer: Any) -> Sample:
    """Return texts as an encoder computes them, and as the exported tokenizer reads them."""
    without = copy.copy(encoder)
    without.glossary = None  # texts are extended before the library has them
    batch = without.tokenize(_SAMPLES, role)
    ids, attend, _ = without.pad(batch, role)
    texts = [side.prompt + text for text in _SAMPLES]
    if encoder.config.lowercase:
        texts = [text.lower() for text in texts]
    read = tokenizer(texts, truncation=True, max_length=encoder.longest(role))["input_ids"]
    for row, theirs in enumerate(read):
        ids[row, : len(theirs)] = torch.tensor(theirs)
    with torch.inference_mode():
        return Sample(without(batch, role), ids, attend)


def _write_model(encoder: Encoder, folder: Path, pieces: Mapping[str, int]) -> None:
    """Write the model and the tokenizer, with `pieces` that have the vectors of other pieces."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    model, tokenizer = _with_pieces(encoder, pieces)
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(str(folder))
    write_fitted(encoder, folder, checkpoint=False)


def _with_pieces(encoder: Encoder, pieces: Mapping[str, int]) -> tuple[Any, Any]:
    """Return the model and the tokenizer with `pieces` that have the vectors of other pieces."""
    model, tokenizer = encoder.model, encoder.tokenizer
    if pieces:
        model, tokenizer = copy.deepcopy(model), _extended(tokenizer, pieces)
        rows = int(model.get_input_embeddings().weight.shape[0])
        if len(tokenizer) > rows:
            model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        with torch.no_grad():
            table = model.get_input_embeddings().weight
            for name, number in pieces.items():
                table[tokenizer.convert_tokens_to_ids(name)] = table[number]
    return model, tokenizer


def _extended(tokenizer: Any, pieces: Mapping[str, int]) -> Any:
    """Return a copy of a tokenizer with `pieces` that are never split."""
    from transformers import AddedToken

    found = copy.deepcopy(tokenizer)
    added = [AddedToken(name, special=True, normalized=False, lstrip=False, rstrip=False) for name in pieces]
    found.add_tokens(added, special_tokens=True)
    return found


def _explicit(encoder: Encoder, symmetric: bool) -> Encoder:
    """Return an encoder whose settings name the prefix of documents."""
    found = copy.copy(encoder)
    prefix = encoder.prefix(encoder.document_role(symmetric=symmetric and not encoder.config.markers))
    found.config = encoder.config.model_copy(update={"passage_prefix": prefix})
    return found


# -- what a role needs ----------------------------------------------------------------------------------


def _side(encoder: Encoder, role: Role, *, counted: bool) -> _Side:
    """Return how a role is told to a library; without `counted`, which tokens count does not matter.

    Raises
    ------
    InputError
        If no prompt gives the pieces that the prefix gives.
    """
    config = encoder.config
    prefix = encoder.prefix(role)
    skipped = _skipped(encoder, role) if counted else set()
    side = _Side(skipped=encoder.pieces(sorted(skipped)))
    if not prefix:
        return side
    own = _prefix_pieces(encoder, role)
    plain = not config.markers and (not counted or (config.prefix_tokens and not skipped & set(own)))
    if plain:
        side.prompt = prefix
        return side
    side.pieces = {f"<|{TASKS[role]}{place}|>": number for place, number in enumerate(own)}
    if counted and not config.prefix_tokens:
        side.skipped += list(side.pieces)
    tokenizer = _extended(encoder.tokenizer, side.pieces)
    back = {tokenizer.convert_tokens_to_ids(name): number for name, number in side.pieces.items()}
    without = copy.copy(encoder)
    without.glossary = None  # texts are extended before the library has them
    ours = [item.ids for item in without.tokenize(_SAMPLES, role)]
    for end in ("", " "):
        side.prompt = "".join(side.pieces) + end
        texts = [side.prompt + (text.lower() if config.lowercase else text) for text in _SAMPLES]
        theirs = tokenizer(texts, truncation=True, max_length=encoder.longest(role))["input_ids"]
        if [[back.get(number, number) for number in ids] for ids in theirs] == ours:
            return side
    raise InputError(
        f"the prefix {prefix!r} cannot be exported: its pieces depend on the text behind it; set "
        "prefix_tokens = true in the run, which counts them, or train without a prefix"
    )


def _prefix_pieces(encoder: Encoder, role: Role) -> list[int]:
    """Return the pieces of the prefix of a role."""
    config = encoder.config
    prefix = encoder.prefix(role)
    if config.markers:
        return [encoder.tokenizer.get_vocab()[prefix]]
    prefix = prefix.lower() if config.lowercase else prefix
    encoded = encoder.tokenizer(
        prefix + _SAMPLES[0], return_offsets_mapping=True, return_special_tokens_mask=True
    )
    return [
        number
        for number, (_, end), special in zip(
            encoded["input_ids"], encoded["offset_mapping"], encoded["special_tokens_mask"], strict=True
        )
        if not special and end <= len(prefix)
    ]


def _skipped(encoder: Encoder, role: Role) -> set[int]:
    """Return the pieces that do not count in texts of a role; those of the prefix are left out."""
    config = encoder.config
    special = set(encoder.tokenizer("")["input_ids"])
    skipped: set[int] = set()
    if not (config.punctuation and (role == "query" or config.passage_punctuation)):
        assert isinstance(encoder.punctuation, set)  # only encoders of characters have a rule instead
        skipped |= encoder.punctuation - special
    if not config.special_tokens:
        skipped |= special
    if role == "passage":
        skipped |= encoder.known_pieces(config.skiplist)
    return skipped


def _tensors(encoder: Encoder) -> dict[str, Tensor]:
    found = {f"model.{name}": tensor for name, tensor in encoder.model.state_dict().items()}
    found = {name: tensor for name, tensor in found.items() if "pooler." not in name}
    found["mean"] = encoder.mean
    if encoder.projection is not None:
        found["projection"] = encoder.projection.weight
    if encoder.sentence_head is not None:
        found |= encoder.sentence_head.tensors()
    return found


def _same(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")
