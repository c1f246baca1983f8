"""The inverse document frequencies that a run's marginals were made from, kept with its checkpoints."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from engine.encoders.safe_loading import read_tensors

FREQUENCIES_FILE = "idf.safetensors"


def save_frequencies(idf: Tensor, folder: Path) -> None:
    """Write the inverse document frequencies (V,) of all pieces to `folder`."""
    save_file({"idf": idf.contiguous()}, str(folder / FREQUENCIES_FILE))


def load_frequencies(folder: Path) -> Tensor | None:
    """Return what `save_frequencies` wrote to `folder`, or None.

    Raises
    ------
    InputError
        If the file is damaged.
    """
    path = folder / FREQUENCIES_FILE
    return read_tensors(path, "idf")["idf"] if path.is_file() else None
