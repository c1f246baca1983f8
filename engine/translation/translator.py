"""Translate with any sequence-to-sequence checkpoint of transformers, with a cache on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from engine.config.translation import TranslationConfig
from engine.encoders.checkpoints import resolve
from engine.encoders.safe_loading import CheckpointFiles
from engine.encoders.weights import WeightHashes, files_stamp
from engine.errors import InputError
from engine.languages import Language, language, same_language
from engine.results.provenance import made_by
from engine.translation.cache import SCHEMA, append_translations, read_translations
from engine.translation.codes import code_of, language_codes, target_prefix


class Translator:
    """Translates texts by beam search, deterministically.

    Parameters
    ----------
    config : TranslationConfig
        The checkpoint, the target language and the settings of the search.
    cache : path, optional
        Folder of cached translations.
    device : torch.device
        Device of the model.

    Raises
    ------
    InputError
        If the checkpoint cannot be opened, is not a sequence-to-sequence model, or does not support the
        target language.
    """

    def __init__(
        self,
        config: TranslationConfig,
        *,
        cache: Path | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.config, self.cache, self.device = config, cache, torch.device(device)
        self.target = language(config.target_language)
        stamp = _stamp(config.checkpoint)
        model, self.tokenizer = _load(config.checkpoint)
        hashes = WeightHashes()
        if stamp == _stamp(config.checkpoint):
            hashes.loaded(stamp, model.state_dict())
        self.model = model.to(self.device).eval()
        self._codes = language_codes(self.tokenizer)
        self._forced: int | None = None
        if self._codes:
            self._forced = self._codes[code_of(config.target_language, self._codes, config.checkpoint)]
        self._marian = target_prefix(self.tokenizer, config.target_language, config.checkpoint)
        self._key = _fingerprint(self.model, self.tokenizer, config, hashes)
        self.cut = 0
        """Number of texts that were truncated to `max_length` tokens."""

    def translate(
        self, texts: Sequence[str], code: str, progress: Callable[[int], None] | None = None
    ) -> list[str]:
        """Return the translations of `texts`, which are in the language `code`.

        Texts in the target language are returned unchanged. New translations are added to the cache after
        each batch.

        Parameters
        ----------
        texts : sequence of str
            The texts.
        code : str
            Code of their language.
        progress : callable, optional
            Is called with the number of texts after each step.

        Raises
        ------
        InputError
            If the checkpoint does not support the language.
        """
        if same_language(code, self.target.code):
            if progress is not None:
                progress(len(texts))
            return list(texts)
        source = language(code)
        path = self._path(source)
        known = read_translations(path) if path is not None else {}
        wanted = set(texts)
        missing = sorted(wanted - known.keys(), key=lambda text: (len(text), text))
        if self._codes:
            self.tokenizer.src_lang = code_of(code, self._codes, self.config.checkpoint)
        if progress is not None:
            progress(len(texts) - len(missing))
        for start in range(0, len(missing), self.config.batch_size):
            batch = missing[start : start + self.config.batch_size]
            found = dict(zip(batch, self._batch(batch, source), strict=True))
            known |= found
            if path is not None:
                append_translations(path, found)
            if progress is not None:
                progress(len(batch))
        return [known[text] for text in texts]

    @torch.inference_mode()
    def _batch(self, texts: Sequence[str], source: Language) -> list[str]:
        prefix = self.config.prefix.replace("{source}", source.name).replace("{target}", self.target.name)
        inputs = [self._marian + prefix + text for text in texts]
        longest = self.config.max_length
        self.cut += sum(len(ids) > longest for ids in self.tokenizer(inputs, verbose=False)["input_ids"])
        encoded = self.tokenizer(
            inputs, padding=True, truncation=True, max_length=longest, return_tensors="pt"
        ).to(self.device)
        encoded.pop("token_type_ids", None)
        forced = {} if self._forced is None else {"forced_bos_token_id": self._forced}
        generated = self.model.generate(
            **encoded,
            num_beams=self.config.beams,
            do_sample=False,
            max_new_tokens=longest,
            max_length=None,
            **forced,
        )
        decoded = self.tokenizer.batch_decode(generated, skip_special_tokens=True)
        return [" ".join(text.split()) for text in decoded]

    def _path(self, source: Language) -> Path | None:
        return None if self.cache is None else self.cache / f"{self._key}-{source.code}.jsonl"


def _load(checkpoint: str) -> tuple[Any, Any]:
    """Load the model in float32 and the tokenizer, from safetensors only and without remote code."""
    from transformers import AutoModelForSeq2SeqLM

    source = resolve(checkpoint)
    files = CheckpointFiles(f"translation.checkpoint {checkpoint!r}", source)
    config = files.config()
    if not getattr(config, "is_encoder_decoder", False):
        raise InputError(
            f"translation.checkpoint {checkpoint!r} cannot translate: it is a {config.model_type} "
            "model without a decoder; choose a sequence-to-sequence checkpoint"
        )
    model, missing, mismatched = files.weights(AutoModelForSeq2SeqLM, config)
    tokenizer = files.tokenizer()
    unusable = [*missing, *mismatched]
    if unusable:
        raise InputError(
            f"weights of translation.checkpoint {checkpoint!r} are missing or do not fit its config.json "
            f"({unusable[0]}); they would be random",
            path=source if Path(source).is_dir() else None,
        )
    return model, tokenizer


def _stamp(checkpoint: str) -> str:
    folder = Path(resolve(checkpoint))
    return files_stamp({"weights": folder} if folder.is_dir() else {})


def _fingerprint(
    model: Any, tokenizer: Any, config: TranslationConfig, hashes: WeightHashes | None = None
) -> str:
    """Return a short hash of everything that determines a translation: weights, tokenizer and settings."""
    digest = hashlib.blake2b(digest_size=12)
    settings = config.model_dump(exclude={"checkpoint", "batch_size"})
    digest.update(repr((made_by(SCHEMA), sorted(settings.items()))).encode())
    vocabulary: Mapping[str, int] = tokenizer.get_vocab()
    digest.update(repr((type(tokenizer).__name__, sorted(vocabulary.items()))).encode())
    weights = dict(model.state_dict())
    for name, found in (hashes or WeightHashes()).of(weights).items():
        digest.update(f"{name}{tuple(weights[name].shape)}".encode() + found)
    return digest.hexdigest()
