"""Encoders as ONNX graphs: from piece ids to token vectors and the sentence vector."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.encoders.encoder import Encoded, Encoder
from engine.encoders.sentence_head import pool
from engine.errors import InputError, OpticalError

INPUTS = ("input_ids", "attention_mask")
OUTPUTS = ("sentence_embedding", "token_embeddings")
"""The names are those of Optimum. The sentence vector is first, because fastembed takes the first output."""

GRAPH = Path("onnx") / "model.onnx"
QUANTIZED = Path("onnx") / "model_quantized.onnx"
"""Where Optimum, transformers.js and fastembed look for graphs in a folder."""

#: The largest difference from our vectors at which a graph is accepted.
_TOLERANCE = 1e-4
#: Above this size a graph has its weights in a second file, because a file of protobuf has at most 2 GiB.
_ONE_FILE = 1_800_000_000
_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def check_packages() -> None:
    """Check that the packages that write and run ONNX are installed.

    Raises
    ------
    InputError
        If one is not.
    """
    lacking = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if lacking:
        raise InputError(
            f"an ONNX folder needs packages that are not installed ({', '.join(lacking)}): "
            "pip install 'optical-workbench[onnx]'"
        )


class _Graph(torch.nn.Module):
    """The tensors that `Encoder.forward` computes of pieces."""

    def __init__(self, encoder: Encoder, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model
        self.mean = encoder.mean if encoder.config.centring else None
        self.projection = encoder.projection
        self.head = encoder.sentence_head
        self.pooling = encoder.config.pooling

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return sentence vectors (B, H') and token vectors (B, T, H), all of unit length."""
        states = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state.float()
        vectors = torch.nn.functional.normalize(states, dim=-1)
        if self.mean is not None:
            vectors = vectors - self.mean
        if self.projection is not None:
            vectors = self.projection(vectors)
        pooled = pool(states, attention_mask.bool(), self.pooling)
        if self.head is not None:
            pooled = self.head(pooled)
        normalize = torch.nn.functional.normalize
        return normalize(pooled, dim=-1), normalize(vectors, dim=-1)


def write_graph(encoder: Encoder, model: Any, path: Path) -> None:
    """Write a graph whose batch size and length are free.

    Parameters
    ----------
    encoder : Encoder
        How vectors are made of states.
    model : transformers model
        The model of `encoder`, which may have more pieces.
    path : Path
        The file, in an existing folder.

    Raises
    ------
    OpticalError
        If torch cannot export this architecture.
    """
    graph = _Graph(encoder, model).eval()
    size = sum(tensor.nbytes for tensor in graph.state_dict().values())
    ids = torch.tensor([[1] * 7, [2] * 7])
    attend = torch.tensor([[1] * 7, [1] * 4 + [0] * 3])
    free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    kernel = model.config._attn_implementation
    model.set_attn_implementation("eager")  # plain matrix products, which every runtime has
    try:
        with torch.no_grad(), _silent():
            torch.onnx.export(
                graph,
                (ids, attend),
                str(path),
                dynamo=True,
                input_names=INPUTS,
                output_names=OUTPUTS,
                dynamic_shapes=(free, free),
                external_data=size > _ONE_FILE,
                verbose=False,
            )
    except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise OpticalError(
            f"torch cannot export the architecture {model.config.model_type!r} to ONNX: {reason}"
        ) from error
    finally:
        model.set_attn_implementation(kernel)


def quantize(path: Path, to: Path) -> None:
    """Write a graph with weights of 8 bits, quantised dynamically by ONNX Runtime."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _silent():
        quantize_dynamic(str(path), str(to), weight_type=QuantType.QInt8)


@dataclass(frozen=True)
class Sample:
    """A batch of texts by which a graph is compared with the encoder that it was made of.

    Attributes
    ----------
    encoded : Encoded
        What the encoder computes.
    ids, attend : Tensor (B, T)
        The pieces that the graph has, and which of them are attended to.
    """

    encoded: Encoded
    ids: Tensor
    attend: Tensor


def check_graph(path: Path, samples: Sequence[Sample]) -> None:
    """Compare a graph with the encoder that it was made of.

    Raises
    ------
    OpticalError
        If a vector differs by more than 1e-4.
    """
    worst = max(float((a - b).abs().max()) for pair in compared(path, samples) for a, b in pair)
    if not worst <= _TOLERANCE:
        raise OpticalError(
            f"the ONNX graph differs from the encoder by {worst:.2g}, more than {_TOLERANCE:g}, so it was "
            "not written; another version of torch may export this architecture"
        )


def mean_cosines(path: Path, samples: Sequence[Sample]) -> tuple[float, float]:
    """Return the mean cosine of a graph's sentence vectors, and of its token vectors, with the encoder's."""
    sentences, tokens = (
        float(torch.cat([(a * b).sum(-1) for a, b in kind]).mean())
        for kind in zip(*compared(path, samples), strict=True)
    )
    return sentences, tokens


def compared(path: Path, samples: Sequence[Sample]) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Yield for each sample the vectors of the encoder beside those of ONNX Runtime on a CPU.

    These are the sentence vectors (B, H') and the vectors of attended tokens (N, H).
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    for sample in samples:
        feeds = dict(zip(INPUTS, (sample.ids.numpy(), sample.attend.long().numpy()), strict=True))
        sentences, tokens = map(torch.from_numpy, session.run(list(OUTPUTS), feeds))
        attend = sample.attend.bool()
        yield [(sample.encoded.sentences, sentences), (sample.encoded.tokens[attend], tokens[attend])]


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Silence what the exporters log and print."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
