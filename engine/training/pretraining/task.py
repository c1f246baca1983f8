"""Pre-training: an encoder learns to predict masked tokens of multilingual text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.bitext.sampling import over_all, phases
from engine.config.pretraining import PretrainConfig
from engine.counted import counted
from engine.encoders.safe_loading import longest_input
from engine.errors import InputError
from engine.reporting import SILENT, Reporter
from engine.training import processes
from engine.training.memory import check_memory
from engine.training.optimiser import adamw
from engine.training.pretraining.corpus import Corpus, check_unknown, draw_blocks, tokenised
from engine.training.pretraining.held_out import HeldOut
from engine.training.pretraining.masking import Masked, Masking
from engine.training.pretraining.model import load_masked_model, masked_logits, new_model
from engine.training.pretraining.speed import flops_of, matmul_rate, peak_memory
from engine.training.pretraining.texts import Texts, read_texts, sizes
from engine.training.pretraining.tokenizer import TOKENIZER_FILE, load_tokenizer, train_once
from engine.training.runtime import Runtime
from engine.training.trainer import TaskInfo

#: The most records of the loss in a run's curves.
RECORDS = 2000
#: The predicted tokens are padded to a multiple of this, because kernels are compiled for every shape.
ROWS = 64
#: The target that cross-entropy ignores.
IGNORED = -100
#: AdamW's decay rates of the moments (Liu et al. 2019, arXiv 1907.11692, section 3.1).
BETAS = (0.9, 0.98)


def prepare_pretraining(
    config: PretrainConfig, runtime: Runtime, checkpoints: Path, reporter: Reporter = SILENT
) -> Pretraining:
    """Read the text, make or load tokenizer and model, and tokenise the text.

    Parameters
    ----------
    config : PretrainConfig
    runtime : Runtime
    checkpoints : Path
        The folder of the run's checkpoints, where a trained tokenizer is kept for a resumed run.
    reporter : Reporter

    Raises
    ------
    InputError
        If text, tokenizer, sampling or checkpoint cannot be used.
    OpticalError
        If a trained tokenizer cannot be written.
    """
    settings = config.pretraining
    texts = read_texts(config.text, settings.held_out, config.seed)
    counts = sizes(texts)
    reporter.say(
        f"{counted(sum(counts.values()), 'sentence')} in {counted(len(counts), 'language')}, "
        f"{sum(len(found.held_out) for found in texts.values()):,} held out"
    )
    model, tokenizer = _model_and_tokenizer(config, texts, checkpoints, reporter)
    reporter.stage("tokenising", len(texts))
    corpora = {}
    for language, found in texts.items():
        corpora[language] = tokenised(tokenizer, found.training)
        reporter.advance()
    check_unknown(corpora, config.tokenizer.max_unknown)
    return Pretraining(config, texts, corpora, model, tokenizer, runtime)


def _model_and_tokenizer(
    config: PretrainConfig, texts: Mapping[str, Texts], checkpoints: Path, reporter: Reporter
) -> tuple[Any, Any]:
    length = config.pretraining.length
    if config.model.checkpoint is not None:
        model, tokenizer, fresh = load_masked_model(config.model.checkpoint, config.pretraining.dropout)
        check_length(model, length)
        if fresh:
            reporter.say("the checkpoint has no head for masked words, so a new one begins at random")
        return model, tokenizer
    if config.tokenizer.checkpoint is not None:
        tokenizer = load_tokenizer(config.tokenizer.checkpoint)
    else:
        reporter.say(f"training a {config.tokenizer.algorithm} tokenizer")
        positions = config.model.positions or length
        kept = checkpoints / TOKENIZER_FILE
        tokenizer = train_once(config.tokenizer, texts, positions, config.seed, kept)
    torch.manual_seed(config.seed)  # the first weights do not depend on where the tokenizer comes from
    return new_model(config.model, tokenizer, length, config.pretraining.dropout), tokenizer


def check_length(model: Any, length: int) -> None:
    """Check that blocks of `length` tokens fit the positions of a checkpoint's `model`.

    Raises
    ------
    InputError
        If they do not.
    """
    positions = longest_input(model) or length
    if positions < length:
        raise InputError(
            f"pretraining.length = {length} is more than the checkpoint's {positions} positions; lower it"
        )


class Pretraining:
    """A pre-training, as a task for the `Trainer`.

    Parameters
    ----------
    config : PretrainConfig
        The run's configuration.
    texts : mapping of str to Texts
        The sentences of each language.
    corpora : mapping of str to Corpus
        The tokenised training sentences of each language.
    model, tokenizer : transformers model and fast tokenizer
        The model predicts masked tokens.
    runtime : Runtime
        Where it computes.

    Raises
    ------
    InputError
        If the sampling cannot draw as much text as the run needs.
    """

    def __init__(
        self,
        config: PretrainConfig,
        texts: Mapping[str, Texts],
        corpora: Mapping[str, Corpus],
        model: Any,
        tokenizer: Any,
        runtime: Runtime,
    ) -> None:
        self.config, self.texts, self.corpora = config, texts, corpora
        self.model, self.tokenizer, self.runtime = model, tokenizer, runtime
        settings = config.pretraining
        tokens = {language: len(corpus.ids) for language, corpus in corpora.items()}
        self.phases = phases(config.sampling, tokens, settings.steps * settings.batch_size * settings.length)
        self.masking = Masking(
            settings.masking,
            tokenizer.mask_token_id,
            tokenizer.all_special_ids,
            min(len(tokenizer), model.config.vocab_size),
        )
        self.held_out = HeldOut(
            {language: tokenised(tokenizer, found.held_out) for language, found in texts.items()},
            self.masking,
            tokenizer.cls_token_id,
            settings.length,
            runtime,
        )
        model.to(runtime.device)
        if runtime.device.type == "cpu":
            # the backward pass of the fused kernel is slower than that of the plain one on a CPU
            model.set_attn_implementation("eager")
        self.learner = model
        self.optimiser = adamw(model, settings, betas=BETAS)
        self.hashes = [found.hash() for found in texts.values()]
        #: Blocks that were drawn of each language.
        self.drawn: Counter[str] = Counter()
        self._check_memory()
        tokens_per_step = settings.batch_size * settings.length
        self._flops_per_token = self._flops() / tokens_per_step
        self._matmul_rate = matmul_rate(runtime.device, runtime.precision)
        self.info = TaskInfo(
            name="pre-training",
            section="pretraining",
            speed="tokens_per_second",
            units=tokens_per_step,
            log_every=max(1, settings.steps // RECORDS),
            best_by=None,
            describe=_describe,
            summarised=("held_out_loss", "held_out_accuracy"),
            speed_summary=self._speed_summary,
        )

    def _blank(self, blocks: int) -> Masked:
        """Return blocks of one piece, some of them masked."""
        ids = np.full((blocks, self.config.pretraining.length), self.masking.others[0], np.int64)
        return self.masking(ids, np.random.default_rng(0))

    def _check_memory(self) -> None:
        batch_size = self.config.pretraining.batch_size
        part = min(2, batch_size)
        check_memory(
            self.model,
            lambda: self._loss(self._blank(part))[0],
            part / batch_size,
            setting="pretraining.batch_size",
            batch_size=batch_size,
        )

    def _flops(self) -> int:
        """Return the floating-point operations of one step's matrix products, without changing a weight."""
        with torch.random.fork_rng():
            masked = self._blank(self.config.pretraining.batch_size)
            self.model.train()
            flops = flops_of(lambda: self._loss(masked)[0])
        self.optimiser.zero_grad(set_to_none=True)
        return flops

    def _speed_summary(self, tokens_per_second: float) -> dict[str, float]:
        return {
            "tokens_per_second": tokens_per_second,
            "flops_per_token": self._flops_per_token,
            "matmul_flops_per_second": self._matmul_rate,
            "matmul_share": tokens_per_second * self._flops_per_token / self._matmul_rate,
            "peak_memory_bytes": peak_memory(self.runtime.device),
            "parameters": sum(value.numel() for value in self.model.parameters()),
        }

    # -- the task ---------------------------------------------------------------------------------------

    def batches(self) -> Iterator[npt.NDArray[np.int64]]:
        """Return a batch of blocks (B, T) for each step."""
        torch.manual_seed(self.config.seed)  # dropout depends on the seed only, whatever was drawn before
        return self._draw()

    def _draw(self) -> Iterator[npt.NDArray[np.int64]]:
        settings = self.config.pretraining
        for languages, ids in draw_blocks(
            self.corpora,
            self.phases,
            first=self.tokenizer.cls_token_id,
            batch_size=settings.batch_size,
            length=settings.length,
            steps=settings.steps,
            seed=self.config.seed,
        ):
            self.drawn.update(languages)
            yield ids

    def loss(
        self, step: int, batch: npt.NDArray[np.int64], generator: np.random.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Return the cross-entropy in nats a masked token, and the share of them that is predicted right."""
        self.model.train()
        masked = self.masking(batch, generator)
        count = self.runtime.world_size
        if count == 1:
            loss, accuracy = self._loss(masked)
            return loss, {"accuracy": accuracy}
        own = masked.rows(*processes.share(len(batch)))
        # The mean over the processes is that over all masked tokens.
        weight = count * len(own.places) / len(masked.places)
        loss, accuracy = self._loss(own)
        return loss * weight, {"accuracy": processes.mean(accuracy * weight)}

    def _loss(self, batch: Masked) -> tuple[Tensor, float]:
        fill = -len(batch.places) % ROWS or ROWS * (not len(batch.places))
        places = torch.from_numpy(np.pad(batch.places, (0, fill))).to(self.runtime.device)
        targets = torch.from_numpy(np.pad(batch.targets, (0, fill), constant_values=IGNORED)).to(
            self.runtime.device
        )
        ids = torch.from_numpy(batch.ids).to(self.runtime.device)
        with self.runtime.autocast():
            logits = masked_logits(self.model, ids, places)
        if not len(batch.places):  # of a share of a batch
            return logits.sum() * 0.0, 0.0
        loss = torch.nn.functional.cross_entropy(logits.float(), targets, ignore_index=IGNORED)
        right = (logits.detach().argmax(-1) == targets).sum()
        return loss, float(right) / len(batch.places)

    def measure(self) -> dict[str, float] | None:
        """Return loss and accuracy on masked tokens of held-out text."""
        if not self.held_out:
            return None
        self.model.eval()
        return self.held_out.measure(self.model)

    # -- afterwards -------------------------------------------------------------------------------------

    def rows(self) -> list[dict[str, Any]]:
        """Return rows of table ``pretraining``: the text that was drawn of each language."""
        blocks = max(1, sum(self.drawn.values()))
        wide = self.config.pretraining.length - 1
        shares = over_all(self.phases)
        return [
            {
                "language": language,
                "sentences": corpus.sentences,
                "held_out": len(self.texts[language].held_out),
                "tokens": len(corpus.ids),
                "tokens_seen": self.drawn[language] * wide,
                "epochs": self.drawn[language] * wide / len(corpus.ids),
                "share": self.drawn[language] / blocks,
                "probability": shares[language],
                "pieces_per_word": corpus.pieces_per_word,
                "unknown": corpus.unknown_rate,
                "hash": self.texts[language].hash(),
            }
            for language, corpus in self.corpora.items()
        ]


def _describe(figures: Mapping[str, float]) -> str:
    loss, accuracy = figures["held_out_loss"], figures["held_out_accuracy"]
    return f"held-out loss {loss:.3f}, {accuracy:.1%} of masked tokens right"
