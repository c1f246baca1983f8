"""Read checkpoints safely: only safetensors, no remote code, float32, and errors in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from engine.config.declared import positions
from engine.encoders.changes import apply_changes, check_base, tokenizer_hash
from engine.encoders.places import Base, base_of, resolve_base
from engine.encoders.untrusted import CONFIGS, INDEX, check_files
from engine.errors import InputError

#: The names that architectures have for their dropout.
_DROPOUTS = (
    *("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout", "dropout"),
    *("attention_dropout", "dropout_rate", "embedding_dropout", "mlp_dropout"),
)

Result = TypeVar("Result")


class CheckpointFiles:
    """The files of a checkpoint, read by transformers.

    Parameters
    ----------
    what : str
        What is read, for messages, such as ``checkpoint 'mine'``.
    source : str
        A folder or a hub id, as `engine.encoders.checkpoints.resolve` returns it.
    """

    def __init__(self, what: str, source: str) -> None:
        self.what, self.source = what, source
        self._checked = False
        self._base = base_of(Path(source))

    def config(self, dropout: float | None = None) -> Any:
        """Return the configuration; `dropout` is given to every dropout that its architecture has.

        Raises
        ------
        InputError
            If it is missing, broken, or needs code of its own.
        """
        from transformers import AutoConfig

        self._check()
        config = self._read(
            lambda: AutoConfig.from_pretrained(self.source, trust_remote_code=False)  # nosec B615
        )
        if getattr(config, "default_language", ...) is None:  # X-MOD has adapters for each language
            raise InputError(
                f"{self.what} needs default_language in its config.json, the language whose adapters are used"
            )
        if dropout is not None:
            for name in _DROPOUTS:
                if hasattr(config, name):
                    setattr(config, name, dropout)
        return config

    def weights(self, loader: Any, config: Any) -> tuple[Any, list[str], list[str]]:
        """Return the model that `loader`, one of transformers' auto classes, makes of the weights.

        The names of missing weights, and of weights whose shape is not that of `config`, are returned after
        it. Both are drawn at random in the model, so the caller must refuse those that it needs.

        Raises
        ------
        InputError
            If the weights are missing or broken, no model can be made of `config`, or the source holds
            changes of weights that are not found or are not the ones that were trained.
        """
        self._check()
        if self._base is not None:
            folder, base = Path(self.source), self._whole(self._base)
            found = base.weights(loader, config)
            state = found[0].base_model.state_dict()
            check_base(state, base.source, self._base.weights, folder)
            apply_changes(state, folder)
            return found
        model, loading = self._read(
            lambda: loader.from_pretrained(
                self.source,
                config=config,
                trust_remote_code=False,
                use_safetensors=True,
                dtype="float32",
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
        )
        return (
            model,
            sorted(loading["missing_keys"]),
            sorted(str(entry[0]) for entry in loading["mismatched_keys"]),
        )

    def tokenizer(self) -> Any:
        """Return the tokenizer.

        Raises
        ------
        InputError
            If it is missing or broken.
        """
        from transformers import AutoTokenizer

        self._check()
        if self._base is not None and self._base.tokenizer:
            base = self._whole(self._base)
            found = base.tokenizer()
            if tokenizer_hash(found) != self._base.tokenizer:
                raise InputError(
                    f"this folder uses the tokenizer of {base.source}, which is no longer the one that the "
                    "student was trained with; put that one back, or train the student again",
                    path=self.source,
                )
            return found
        return self._read(
            lambda: AutoTokenizer.from_pretrained(self.source, trust_remote_code=False)  # nosec B615
        )

    def _whole(self, base: Base) -> CheckpointFiles:
        """Return the files of the checkpoint that the source holds the changes of."""
        return CheckpointFiles(self.what, resolve_base(Path(self.source), base))

    def _check(self) -> None:
        """Refuse files that ask for code, before transformers reads them."""
        if self._checked:
            return
        folder = Path(self.source)
        if folder.is_dir():
            files = sorted(path for path in folder.glob("*.json") if path.is_file())
        else:
            files = self._read(lambda: _fetched(self.source))
        check_files(self.what, files)
        self._checked = True

    def _read(self, read: Callable[[], Result]) -> Result:
        """Return what `read`, a single call of transformers, returns.

        For broken files transformers and the tokenizers raise whatever their code runs into: besides OSError
        and ValueError also TypeError, KeyError, AttributeError, AssertionError, RuntimeError and a bare
        Exception. So every error that comes from inside that call is about the files; one that the call
        itself raises, such as a wrong argument, is an error of ours and is not caught.
        """
        from transformers.utils import logging

        logging.set_verbosity_error()
        logging.disable_progress_bar()
        try:
            return read()
        except Exception as error:
            if _depth(error) <= _OUR_FRAMES:
                raise
            reason = _reason(error)
            if Path(self.source).exists():
                raise InputError(f"{self.what} cannot be opened: {reason}", path=self.source) from error
            raise InputError(
                f"{self.what} is not available locally and could not be fetched from the hub: {reason}"
            ) from error


def _fetched(checkpoint: str) -> list[Path]:
    """Return the files of a checkpoint of the hub that are checked, of those that it has."""
    from transformers.utils.hub import cached_file

    found = (
        cached_file(
            checkpoint,
            name,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=name == CONFIGS[0],
        )
        for name in (*CONFIGS, INDEX)
    )
    return [Path(path) for path in found if path is not None]


def longest_input(model: Any) -> int | None:
    """Return the longest input of `model` in tokens; None if it has no limit."""
    longest = positions(model.config.to_dict())
    table = getattr(getattr(model.base_model, "embeddings", None), "position_embeddings", None)
    padding = getattr(table, "padding_idx", None)
    if longest is None or table is None or padding is None:
        return longest
    return min(longest, int(table.weight.shape[0]) - int(padding) - 1)


def check_pieces(what: str, model: Any, tokenizer: Any) -> None:
    """Check that each piece of a fast tokenizer has a row of the model's embedding.

    Raises
    ------
    InputError
        If a piece has none; a text with it could not be encoded.
    """
    rows = int(model.get_input_embeddings().weight.shape[0])
    beyond = {number: piece for piece, number in tokenizer.get_vocab().items() if number >= rows}
    if beyond:
        raise InputError(
            f"the tokenizer of {what} has {len(beyond)} pieces (such as {beyond[min(beyond)]!r}) that the "
            f"embedding of {rows} rows has no row for; resize the embedding (resize_token_embeddings) and "
            "train it, or use the tokenizer that belongs to the weights"
        )


def padding_id(model: Any, tokenizer: Any) -> int:
    """Return the id that fills up short texts, also for a tokenizer without padding token (GPT-2).

    Filled places are not attended to, so any piece will do. RoBERTa and its relatives tell positions by it.
    """
    special = [
        *(tokenizer.pad_token_id, model.config.pad_token_id),
        *(tokenizer.eos_token_id, tokenizer.sep_token_id, tokenizer.cls_token_id, tokenizer.unk_token_id),
    ]
    rows = int(model.get_input_embeddings().weight.shape[0]) if special[0] is None else None
    return next((int(n) for n in special if isinstance(n, int) and (rows is None or 0 <= n < rows)), 0)


#: Frames of this module in a traceback that `_read` caught: `_read` itself, and the call of transformers.
_OUR_FRAMES = 2


def _depth(error: BaseException) -> int:
    frames, traceback = 0, error.__traceback__
    while traceback is not None:
        frames, traceback = frames + 1, traceback.tb_next
    return frames


def _reason(error: BaseException) -> str:
    """Return the first sentence of an error; its second line if the first one only introduces it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    text = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return f"{type(error).__name__} {text}" if isinstance(error, LookupError) else text


def read_tensors(path: Path, *names: str) -> dict[str, Tensor]:
    """Return the tensors in the safetensors file `path`, by name.

    Raises
    ------
    InputError
        If it is damaged, or a tensor of `names` is missing.
    """
    try:
        found = dict(load_file(str(path)))
    except (OSError, SafetensorError) as error:
        raise InputError(f"this file is damaged or incomplete: {error}", path=path) from error
    if missing := [name for name in names if name not in found]:
        raise InputError(f"there is no tensor {missing[0]!r} in this file", path=path)
    return found
