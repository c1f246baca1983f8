"""`Pretraining`: one pre-training run, its text, model, optimiser and loop."""

from __future__ import annotations

import math
import time
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import Parameter

from engine.bitext.sampling import over_all, phases
from engine.config.pretraining import PretrainConfig
from engine.errors import DivergedError, InputError
from engine.reporting import SILENT, Reporter
from engine.results.run_folder import RunFolder
from engine.training.interrupts import held_back
from engine.training.optimiser import set_rate
from engine.training.precision import autocast_dtype
from engine.training.pretraining.corpus import Corpus, check_unknown, draw_blocks, tokenised
from engine.training.pretraining.held_out import HeldOut
from engine.training.pretraining.masking import Masked, Masking
from engine.training.pretraining.model import load_masked_model, masked_logits, new_model
from engine.training.pretraining.speed import flops_of, matmul_rate, peak_memory
from engine.training.pretraining.texts import Texts, read_texts, sizes
from engine.training.pretraining.tokenizer import load_tokenizer, train_tokenizer
from engine.training.schedule import learning_rate_factor
from engine.training.state import STATE_FILE, Progress, dropped_on_divergence, load_state, save_state

#: Records of the loss in a run's curves, at most.
RECORDS = 2000
#: The head's rows are filled up to a multiple of this, because kernels are compiled anew for every shape.
ROWS = 64
#: What cross-entropy leaves out.
IGNORED = -100

Batch = tuple[list[str], npt.NDArray[np.int64]]


class Pretraining:
    """One pre-training run, ready to `train`.

    Parameters
    ----------
    config : PretrainConfig
        The run's configuration.
    run : RunFolder
        Where metrics, tables and checkpoints go.
    reporter : Reporter
        Who watches.

    Raises
    ------
    InputError
        If text, tokenizer, sampling or checkpoint do not do; nothing was trained then but a tokenizer.
    """

    def __init__(self, config: PretrainConfig, run: RunFolder, reporter: Reporter = SILENT) -> None:
        self.config, self.run, self.reporter = config, run, reporter
        settings = config.pretraining
        torch.manual_seed(config.seed)
        if settings.threads:
            torch.set_num_threads(settings.threads)
        torch.set_flush_denormal(True)  # denormals slow CPU kernels many times over
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.precision = autocast_dtype(settings.precision, self.device)
        self.generator = np.random.default_rng(config.seed)

        self.texts = read_texts(config.text, settings.held_out, config.seed)
        counts = sizes(self.texts)
        reporter.say(
            f"{sum(counts.values()):,} sentences in {len(counts)} languages, "
            f"{sum(len(found.held_out) for found in self.texts.values()):,} held out"
        )
        self.model, self.tokenizer = self._model_and_tokenizer()
        reporter.stage("tokenising", len(self.texts))
        self.corpora = {language: self._tokenised(found) for language, found in self.texts.items()}
        check_unknown(self.corpora, config.tokenizer.max_unknown)
        tokens = {language: len(corpus.ids) for language, corpus in self.corpora.items()}
        self.parts = phases(config.sampling, tokens, settings.steps * settings.batch_size * settings.length)
        self.masking = Masking(
            settings.masking,
            self.tokenizer.mask_token_id,
            self.tokenizer.all_special_ids,
            min(len(self.tokenizer), self.model.config.vocab_size),
        )
        self.held_out = HeldOut(
            {language: tokenised(self.tokenizer, found.held_out) for language, found in self.texts.items()},
            self.masking,
            self.tokenizer.cls_token_id,
            settings.length,
            self.precision,
        )
        self.model.to(self.device)
        if self.device.type == "cpu":
            # the fused kernel's backward pass is the slower one on a CPU
            self.model.set_attn_implementation("eager")
        self.optimiser = self._optimiser()
        self.progress = Progress()
        self.drawn: Counter[str] = Counter()

    # -- preparation ------------------------------------------------------------------------------

    def _model_and_tokenizer(self) -> tuple[Any, Any]:
        config, length = self.config, self.config.pretraining.length
        if config.model.checkpoint is not None:
            model, tokenizer, fresh = load_masked_model(config.model.checkpoint, config.pretraining.dropout)
            positions = getattr(model.config, "max_position_embeddings", None) or length
            if positions < length:
                raise InputError(
                    f"pretraining.length = {length} is more than the checkpoint's {positions} positions"
                )
            if fresh:
                self.reporter.say(
                    "the checkpoint has no head for masked words, so a new one begins at random"
                )
            return model, tokenizer
        if config.tokenizer.checkpoint is not None:
            tokenizer = load_tokenizer(config.tokenizer.checkpoint)
        else:
            self.reporter.say(f"training a {config.tokenizer.algorithm} tokenizer")
            positions = config.model.positions or length
            tokenizer = train_tokenizer(config.tokenizer, self.texts, positions, config.seed)
        torch.manual_seed(config.seed)  # the first weights do not hang on where the tokenizer comes from
        return new_model(config.model, tokenizer, length, config.pretraining.dropout), tokenizer

    def _tokenised(self, texts: Texts) -> Corpus:
        corpus = tokenised(self.tokenizer, texts.training)
        self.reporter.advance()
        return corpus

    def _optimiser(self) -> torch.optim.AdamW:
        settings = self.config.pretraining
        decayed = [value for value in self.model.parameters() if value.requires_grad and value.ndim > 1]
        plain = [value for value in self.model.parameters() if value.requires_grad and value.ndim <= 1]
        groups: list[dict[str, Any]] = [
            {"params": decayed, "weight_decay": settings.weight_decay, "rate": 1.0},
            {"params": plain, "weight_decay": 0.0, "rate": 1.0},
        ]
        return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98), fused=True)

    # -- the loop ---------------------------------------------------------------------------------

    def train(self) -> None:
        """Run the loop, from the last saved state where there is one, as if it had never stopped.

        Raises
        ------
        DivergedError
            If the loss stops being a number.
        InputError
            If the saved state does not belong to this run as it is configured now.
        KeyboardInterrupt
            If it is told to stop; the state after the step under way is saved first.
        """
        settings, progress = self.config.pretraining, self.progress
        flops, rate = self._flops(), matmul_rate(self.device, self.precision)
        torch.manual_seed(self.config.seed)  # dropout hangs on the seed alone, whatever was drawn before
        batches = draw_blocks(
            self.corpora,
            self.parts,
            first=self.tokenizer.cls_token_id,
            batch_size=settings.batch_size,
            length=settings.length,
            steps=settings.steps,
            seed=self.config.seed,
        )
        if self.state_file.is_file():
            self.progress = progress = load_state(self.state_file, *self._state())
            for languages, _ in islice(batches, progress.step):
                self.drawn.update(languages)
            self.reporter.say(f"going on after step {progress.step}, where the last state was saved")
        started = time.monotonic() - progress.elapsed
        if not progress.step:
            self._judge(started)
        self.reporter.stage("pre-training", settings.steps)
        if progress.step:
            self.reporter.advance(progress.step)
        every = max(1, settings.steps // RECORDS)
        with dropped_on_divergence(self.state_file), held_back() as told_to_stop:
            for languages, ids in batches:
                begun = time.monotonic()
                figures = self._step(ids)
                self.drawn.update(languages)
                progress.step += 1
                progress.trained += time.monotonic() - begun
                progress.elapsed = time.monotonic() - started
                speed = progress.step * ids.size / progress.trained
                self.reporter.advance()
                if progress.step % every == 0:
                    shown = {**figures, "tokens_per_second": speed}
                    self.run.log(progress.step, shown, progress.elapsed)
                    self.reporter.figures(shown)
                judged = progress.step % settings.evaluate_every == 0 or progress.step == settings.steps
                if judged:
                    self._judge(started)
                    self._note_speed(speed, flops / ids.size, rate)
                    progress.elapsed = time.monotonic() - started
                if judged or told_to_stop():
                    save_state(self.state_file, progress, *self._state())
                if told_to_stop():
                    raise KeyboardInterrupt

    def _step(self, ids: npt.NDArray[np.int64]) -> dict[str, float]:
        settings = self.config.pretraining
        self.model.train()
        factor = learning_rate_factor(self.progress.step, settings.steps, settings.warmup, settings.decay)
        set_rate(self.optimiser, settings.learning_rate * factor)
        loss, accuracy = self._loss(self.masking(ids, self.generator))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip))
        if not (math.isfinite(norm) and math.isfinite(float(loss.detach()))):
            raise DivergedError(
                f"the loss or its gradient is not a number at step {self.progress.step + 1}; lower "
                "pretraining.learning_rate"
            )
        self.optimiser.step()
        return {
            "loss": float(loss.detach()),
            "accuracy": accuracy,
            "gradient_norm": norm,
            "learning_rate": settings.learning_rate * factor,
        }

    def _loss(self, batch: Masked) -> tuple[Tensor, float]:
        """Return cross-entropy in nats a masked token, and the share of them that is guessed."""
        fill = -len(batch.places) % ROWS
        places = torch.from_numpy(np.pad(batch.places, (0, fill))).to(self.device)
        targets = torch.from_numpy(np.pad(batch.targets, (0, fill), constant_values=IGNORED)).to(self.device)
        ids = torch.from_numpy(batch.ids).to(self.device)
        with torch.autocast(self.device.type, dtype=self.precision, enabled=self.precision != torch.float32):
            logits = masked_logits(self.model, ids, places)
        loss = torch.nn.functional.cross_entropy(logits.float(), targets, ignore_index=IGNORED)
        right = (logits.detach().argmax(-1) == targets).sum()
        return loss, float(right) / len(batch.places)

    def _judge(self, started: float) -> None:
        if not self.held_out:
            return
        self.model.eval()
        figures = self.held_out.measure(self.model, self.device)
        step = self.progress.step
        self.run.log(step, figures, time.monotonic() - started)
        self.reporter.say(
            f"step {step}: held-out loss {figures['held_out_loss']:.3f}, "
            f"{figures['held_out_accuracy']:.1%} of masked tokens right"
        )
        means = {name: figures[name] for name in ("held_out_loss", "held_out_accuracy")}
        self.run.update(summary=means)

    def _flops(self) -> int:
        """Return the operations of one step's matrix products, without learning from it."""
        settings = self.config.pretraining
        with torch.random.fork_rng():
            ids = np.full((settings.batch_size, settings.length), self.masking.others[0], np.int64)
            masked = self.masking(ids, np.random.default_rng(0))
            self.model.train()
            flops = flops_of(lambda: self._loss(masked)[0])
        self.optimiser.zero_grad(set_to_none=True)
        return flops

    def _note_speed(self, tokens_per_second: float, flops_per_token: float, rate: float) -> None:
        self.run.update(
            summary={
                "tokens_per_second": tokens_per_second,
                "flops_per_token": flops_per_token,
                "matmul_flops_per_second": rate,
                "matmul_share": tokens_per_second * flops_per_token / rate,
                "peak_memory_bytes": peak_memory(self.device),
                "parameters": sum(value.numel() for value in self.model.parameters()),
            }
        )

    # -- what is left -----------------------------------------------------------------------------

    def rows(self) -> list[dict[str, Any]]:
        """Return rows of table ``pretraining``: what each language has received."""
        blocks = max(1, sum(self.drawn.values()))
        wide = self.config.pretraining.length - 1
        shares = over_all(self.parts)
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

    @property
    def state_file(self) -> Path:
        """Where the state is saved that a stopped run resumes from."""
        return self.run.checkpoints / STATE_FILE

    def _weights(self) -> dict[str, Parameter]:
        return {name: value for name, value in self.model.named_parameters() if value.requires_grad}

    def _state(self) -> tuple[Any, ...]:
        """Return what the state is made of, in the order that `save_state` takes it in."""
        weights = self._weights()
        best = {name: value.detach() for name, value in weights.items()}
        self.progress.best_step = self.progress.step  # the last weights are the ones that are kept
        hashes = [found.hash() for found in self.texts.values()]
        return hashes, weights, best, self.optimiser, self.generator
