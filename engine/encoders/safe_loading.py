"""The one way into a checkpoint: safetensors alone, no remote code, float32, and errors in a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.errors import InputError

#: What architectures call their dropout.
_DROPOUTS = (
    *("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout", "dropout"),
    *("attention_dropout", "dropout_rate", "embedding_dropout", "mlp_dropout"),
)
#: What transformers and the tokenizers raise over files that are missing, broken, or not what they claim.
_RAISED = (OSError, ValueError, LookupError, TypeError, ImportError, AssertionError, RuntimeError)


@contextmanager
def opening(what: str, source: str) -> Iterator[None]:
    """Within, transformers is quiet, and what it raises becomes an InputError about `what`.

    Raises
    ------
    InputError
        If the files of `source`, a folder or a hub id, are missing, broken, or need code of their own.
    """
    from safetensors import SafetensorError
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    except (*_RAISED, SafetensorError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if Path(source).exists():
            raise InputError(f"{what} cannot be opened: {reason}", path=source) from error
        raise InputError(
            f"{what} is neither at hand nor could it be fetched from the hub: {reason}"
        ) from error


def open_config(source: str, dropout: float | None = None) -> Any:
    """Return the configuration of `source`, with every `dropout` that its architecture has set."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    if dropout is not None:
        for name in _DROPOUTS:
            if hasattr(config, name):
                setattr(config, name, dropout)
    return config


def open_weights(loader: Any, source: str, config: Any) -> tuple[Any, list[str], list[str]]:
    """Return the model that `loader`, one of transformers' auto classes, makes of `source`.

    Beside it stand the names of the weights that `source` lacks, and of those whose shapes are not those of
    `config`: both are random, and whoever asks must refuse what may not be.
    """
    model, loading = loader.from_pretrained(
        source,
        config=config,
        trust_remote_code=False,
        use_safetensors=True,
        dtype="float32",
        ignore_mismatched_sizes=True,
        output_loading_info=True,
    )
    return (
        model,
        sorted(loading["missing_keys"]),
        sorted(str(entry[0]) for entry in loading["mismatched_keys"]),
    )


def open_tokenizer(source: str) -> Any:
    """Return the tokenizer of `source`."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(source, trust_remote_code=False)
