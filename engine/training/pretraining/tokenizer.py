"""The tokenizer of a pre-training: trained on text drawn by n^α, or reused."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from engine.atomic import write_file
from engine.bitext.split import sample
from engine.config.pretraining import TokenizerConfig
from engine.encoders.checkpoints import resolve
from engine.encoders.packaged import with_xlmr_tokens
from engine.encoders.safe_loading import CheckpointFiles
from engine.errors import InputError
from engine.paths import expanded
from engine.training.pretraining.texts import Texts, sizes

#: Special tokens, in the order of XLM-R's ids.
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
#: Maximum number of sentences that a tokenizer is trained on.
SENTENCES = 200_000


#: The tokenizer that a run trained, next to its saved state and in the file format of `tokenizers`.
TOKENIZER_FILE = "trained-tokenizer.json"


def train_once(
    config: TokenizerConfig, texts: Mapping[str, Texts], positions: int, seed: int, kept: Path
) -> Any:
    """Return the tokenizer in the file `kept`, or train one and write it there.

    Two unigram trainings on the same text give different tokenizers, and the saved weights of an interrupted
    run belong to one of them.

    Raises
    ------
    InputError
        As `train_tokenizer`, or if `kept` is damaged.
    OpticalError
        If `kept` cannot be written.
    """
    from tokenizers import Tokenizer

    if kept.is_file():
        try:
            return with_xlmr_tokens(Tokenizer.from_file(str(kept)), positions)
        except Exception as error:  # tokenizers raises nothing more specific
            raise InputError(
                f"the tokenizer that the run trained is damaged ({error}); start a new run", path=kept
            ) from error
    tokenizer = train_tokenizer(config, texts, positions, seed)
    write_file(kept, tokenizer.backend_tokenizer.to_str().encode())
    return tokenizer


def train_tokenizer(config: TokenizerConfig, texts: Mapping[str, Texts], positions: int, seed: int) -> Any:
    """Return a tokenizer trained on sentences of all languages, drawn in proportion to n^α.

    As many sentences are drawn as there are, at most `SENTENCES`: some sentences of a language whose share is
    below its size, and all sentences of a language whose share is above it, some of them several times. Text
    is normalised by NFKC, and words begin with ``▁``, which represents a space (SentencePiece's conventions).

    Raises
    ------
    InputError
        If the text has more distinct characters than the vocabulary has room for.
    """
    from tokenizers import (
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        trainers,
    )

    special = list(SPECIAL)
    drawn = list(_drawn(texts, config.alpha, seed))
    if config.algorithm == "unigram":
        tokenizer = Tokenizer(models.Unigram())
        trainer: Any = trainers.UnigramTrainer(
            vocab_size=config.vocabulary, special_tokens=special, unk_token="<unk>", show_progress=False
        )
    else:
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
        trainer = trainers.BpeTrainer(
            vocab_size=config.vocabulary, special_tokens=special, show_progress=False
        )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")]
    )
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    characters = {character for text in drawn for character in tokenizer.normalizer.normalize_str(text)}
    if len(characters) + len(special) > config.vocabulary:
        raise InputError(
            f"the text has {len(characters):,} distinct characters, which tokenizer.vocabulary = "
            f"{config.vocabulary:,} cannot contain; raise it"
        )
    tokenizer.train_from_iterator(drawn, trainer)
    return with_xlmr_tokens(tokenizer, positions)


def load_tokenizer(checkpoint: str) -> Any:
    """Return the tokenizer of `checkpoint`: a folder (with or without weights), a packaged name or a hub id.

    Raises
    ------
    InputError
        If there is none, or it cannot be used for masked language modelling.
    """
    folder = expanded(checkpoint)
    source = os.fspath(folder) if (folder / "tokenizer.json").is_file() else resolve(checkpoint)
    tokenizer = CheckpointFiles(f"the tokenizer of {checkpoint!r}", source).tokenizer()
    check_tokenizer(tokenizer, checkpoint)
    return tokenizer


def check_tokenizer(tokenizer: Any, checkpoint: str) -> None:
    """Check that a tokenizer can be used for masked language modelling.

    Raises
    ------
    InputError
        If it is not a fast tokenizer or has no mask or other special token.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise InputError(f"checkpoint {checkpoint!r} has no fast tokenizer (tokenizer.json), which is needed")
    needed = {
        "[CLS]": "cls_token_id",
        "[SEP]": "sep_token_id",
        "[PAD]": "pad_token_id",
        "[MASK]": "mask_token_id",
    }
    lacking = [name for name, attribute in needed.items() if getattr(tokenizer, attribute) is None]
    if lacking:
        raise InputError(
            f"the tokenizer of {checkpoint!r} has no {' or '.join(lacking)} token, which masked language "
            "modelling needs; name another checkpoint"
        )


def _drawn(texts: Mapping[str, Texts], alpha: float, seed: int) -> Iterator[str]:
    """Yield each language's share of the sentences, at least one sentence of each."""
    counts = sizes(dict(texts))
    shares = sample(counts, alpha)
    total = min(sum(counts.values()), SENTENCES)
    generator = np.random.default_rng(seed)
    for language, found in texts.items():
        wanted = max(1, round(shares[language] * total))
        whole, rest = divmod(wanted, len(found.training))
        yield from found.training * whole
        for index in sorted(generator.permutation(len(found.training))[:rest].tolist()):
            yield found.training[index]
