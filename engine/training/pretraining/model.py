"""The model of a pre-training: a new BERT or a checkpoint, whose head sees only masked tokens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from engine.config.pretraining import ModelConfig
from engine.encoders.checkpoints import resolve
from engine.encoders.safe_loading import CheckpointFiles, check_pieces
from engine.encoders.saving import whole_folder
from engine.errors import InputError
from engine.training.pretraining.tokenizer import check_tokenizer


def new_model(config: ModelConfig, tokenizer: Any, length: int, dropout: float) -> Any:
    """Return a BERT with random weights and a language modelling head that is tied to the word embeddings."""
    from transformers import BertConfig, BertForMaskedLM

    return BertForMaskedLM(
        BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=config.width,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            intermediate_size=config.feed_forward or 4 * config.width,
            max_position_embeddings=config.positions or length,
            type_vocab_size=1,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.cls_token_id,
            eos_token_id=tokenizer.sep_token_id,
            tie_word_embeddings=True,
        )
    )


def load_masked_model(checkpoint: str, dropout: float) -> tuple[Any, Any, bool]:
    """Return the model and tokenizer of `checkpoint`, and whether its head is new.

    Many encoders are published without their language modelling head.

    Raises
    ------
    InputError
        If the checkpoint cannot be opened, or its class cannot predict masked words.
    """
    from transformers import AutoModelForMaskedLM
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING

    files = CheckpointFiles(f"checkpoint {checkpoint!r}", resolve(checkpoint))
    config = files.config(dropout)
    if type(config) not in MODEL_FOR_MASKED_LM_MAPPING or getattr(config, "is_encoder_decoder", False):
        raise InputError(
            f"checkpoint {checkpoint!r} is of class {config.model_type!r}, which has no encoder that "
            "predicts masked words; name one of BERT's, XLM-R's or ModernBERT's kind"
        )
    model, missing, mismatched = files.weights(AutoModelForMaskedLM, config)
    tokenizer = files.tokenizer()
    check_tokenizer(tokenizer, checkpoint)
    check_pieces(f"checkpoint {checkpoint!r}", model, tokenizer)
    body = f"{model.base_model_prefix}."
    for names, what in ((mismatched, "do not fit its config.json"), (missing, "are missing")):
        lacking = [name for name in names if name.startswith(body) and ".pooler." not in name]
        if lacking:
            raise InputError(
                f"weights of checkpoint {checkpoint!r} {what} ({lacking[0]}); they would be random"
            )
    return model, tokenizer, bool(missing or mismatched)


@contextmanager
def head_on(model: Any, places: Tensor) -> Iterator[None]:
    """Within, the head of `model` gets only the states at `places` (M,), positions in the flattened batch.

    Its logits are (1, M, V). The head is most of a small model's work, and few tokens are masked.
    """

    def chosen(module: Any, inputs: Any, output: Any) -> Any:
        states = output.last_hidden_state
        output["last_hidden_state"] = states.reshape(-1, states.shape[-1])[places].unsqueeze(0)
        return output

    handle = model.base_model.register_forward_hook(chosen)
    try:
        yield
    finally:
        handle.remove()


def masked_logits(model: Any, ids: Tensor, places: Tensor) -> Tensor:
    """Return the logits (M, V) at `places` (M,) of a batch of whole blocks `ids` (B, T)."""
    with head_on(model, places):
        logits: Tensor = model(input_ids=ids).logits[0]
    return logits


def save_model(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write `folder`, which AutoModel, AutoModelForMaskedLM and AutoTokenizer open.

    Raises
    ------
    OpticalError
        If the disk is full.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()
    with whole_folder(folder) as building:
        model.save_pretrained(building, safe_serialization=True)
        tokenizer.save_pretrained(str(building))
