"""Distillation: a student query encoder learns where a frozen teacher places translated sentences."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import Parameter

from engine.bitext.pairs import SentencePair
from engine.bitext.source import draw
from engine.bitext.split import sentence_key
from engine.config import DistilConfig
from engine.encoders.encoder import Encoder, Role, Tokens
from engine.encoders.trimming import trim, untrim
from engine.errors import DivergedError, InputError
from engine.paths import cache_home
from engine.reporting import SILENT, Reporter
from engine.results.spool import RunFolder
from engine.retrieval.vectors import sentence_vectors
from engine.training.alignment import realign, shifts
from engine.training.averaging import averaged
from engine.training.batches import Example, draw_batches, nearest_neighbours, with_negatives
from engine.training.encoders import load_encoders
from engine.training.held_out import HeldOut
from engine.training.losses import Batch, Masses, WeightedLoss, build
from engine.training.losses.problem import document_frequencies
from engine.training.optimiser import freeze, make_optimiser, set_rate
from engine.training.overlap import Overlap
from engine.training.pairs import Pairs, bitext_rows, read_sources, set_aside
from engine.training.precision import autocast_dtype
from engine.training.schedule import learning_rate_factor
from engine.training.state import STATE_FILE, Progress, load_state, save_state
from engine.training.stopping import held_back
from engine.training.teacher import TeacherVectors, encode_targets

#: The roles in which the student encodes, taken in turn.
ROLES: dict[str, tuple[Role, ...]] = {
    "query": ("query",),
    "passage": ("passage",),
    "both": ("query", "passage"),
}
#: Held-out retrieval below this share of where it began counts as divergence ...
COLLAPSED = 0.25
#: ... if it began at least here: a student that comes from another space begins near chance.
STANDING = 0.1


@dataclass(frozen=True)
class Distilled:
    """What a distillation leaves: both encoders, the student with its best weights."""

    teacher: Encoder
    student: Encoder
    best_step: int
    held_out: float


class Distillation:
    """One distillation run: its data, encoders, optimiser and loop.

    Parameters
    ----------
    config : DistilConfig
        The run's configuration.
    run : RunFolder
        Where metrics and checkpoints go.
    reporter : Reporter
        Who watches.
    """

    def __init__(self, config: DistilConfig, run: RunFolder, reporter: Reporter = SILENT) -> None:
        self.config, self.run, self.reporter = config, run, reporter
        torch.manual_seed(config.seed)
        if config.training.threads:
            torch.set_num_threads(config.training.threads)
        torch.set_flush_denormal(True)  # denormals slow CPU kernels many times over
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.precision = autocast_dtype(config.training.precision, self.device)
        self.generator = np.random.default_rng(config.seed)

        sources, dropped = read_sources(config.bitext)
        overlap = Overlap(config, sources, reporter)
        clean = overlap.without(pair for pairs in sources for pair in pairs)
        english = list(dict.fromkeys(pair.target for pair in clean))
        foreign = list(dict.fromkeys(pair.source for pair in clean))
        self.teacher, self.student = load_encoders(config, english, foreign, self.precision)
        self.teacher.to(self.device)
        self.student.to(self.device)
        if config.training.alignment == "repair":
            sources = [
                pairs if source.monolingual else self._repair(pairs)
                for source, pairs in zip(config.bitext, sources, strict=True)
            ]
        sources = overlap.drop(sources, dropped)  # not before: a shift shows among neighbours only
        sources = [
            draw(pairs, source.limit, config.seed)
            for source, pairs in zip(config.bitext, sources, strict=True)
        ]
        records = bitext_rows(config.bitext, sources, dropped)
        run.write_table("bitext", records)
        self.hashes = [str(record["hash"]) for record in records]
        self.pairs = set_aside([pair for pairs in sources for pair in pairs], config.training.held_out)
        self.english = list(dict.fromkeys(p.target for p in [*self.pairs.training, *self.pairs.held_out]))
        self.in_training = len({p.target for p in self.pairs.training})
        reporter.say(
            f"{len(self.pairs.training):,} training pairs, {len(self.pairs.held_out):,} held out, "
            f"{len(self.english):,} English sentences"
        )
        self.vectors = self._teacher_vectors()
        numbers: dict[bytes, int] = {}
        keys = [sentence_key(text) for text in self.english]
        self.sentence = torch.tensor([numbers.setdefault(key, len(numbers)) for key in keys])
        # without a token that counts a sentence has no score, so it is no negative
        self.pool = self.vectors.store.lengths[: self.in_training].nonzero()[:, 0].numpy()
        self.neighbours = None
        if config.loss.negatives and config.loss.negatives_from == "nearest":
            self.neighbours = nearest_neighbours(self.vectors.sentences[: self.in_training])
        self.roles = ROLES[config.training.student_role]
        self.tokens: dict[Role, dict[str, Tokens]] = {}
        self.examples, held = self._examples(self.pairs)
        self.masses = Masses(config.transport, self._frequencies(), self.student.mass_head)
        self.loss: WeightedLoss = build(config.loss, self.masses)
        self.held_out = HeldOut(held, self.vectors, self.masses, self.precision, self.roles[0])
        if config.training.trim_vocabulary:
            trim(self.student, {i for known in self.tokens.values() for t in known.values() for i in t.ids})
        freeze(self.student, config.training)
        if self.device.type == "cpu" and self.precision == torch.bfloat16:
            # the fused kernel's backward pass is the slower one here: 0.79 s a step against 1.00 s
            self.student.model.set_attn_implementation("eager")
        self.optimiser = make_optimiser(self.student, config.training)
        # the teacher's weights, for averaging at the end
        self.origin = copy.deepcopy(self._weights()) if config.training.averaging else None
        self.progress = Progress()
        self.kept = copy.deepcopy(self._weights())

    # -- preparation ------------------------------------------------------------------------------

    def _repair(self, pairs: list[SentencePair]) -> list[SentencePair]:
        """Undo the shifts of a source whose lines got out of step.

        The student encodes both sides: a teacher of another checkpoint lies in another space.
        """
        vectors = []
        sides: list[tuple[Encoder, Role, list[str]]] = [
            (self.student, "query", [pair.source for pair in pairs]),
            (self.student, "passage", [pair.target for pair in pairs]),
        ]
        for encoder, role, texts in sides:
            self.reporter.stage(f"alignment of {pairs[0].source_language}, {role} side", len(texts))
            vectors.append(
                sentence_vectors(
                    encoder,
                    texts,
                    role,
                    precision=self.precision,
                    cache=cache_home() / "vectors",
                    progress=self.reporter.advance,
                )
            )
        shift = shifts(*vectors)
        moved = int((shift != 0).sum())
        if not moved:
            return pairs
        self.reporter.say(
            f"{moved:,} of {len(pairs):,} pairs in {pairs[0].source_language} stood beside a neighbour's "
            "translation and were put right (training.alignment)"
        )
        self.run.update(summary={f"realigned_{pairs[0].source_language}": moved})
        return realign(pairs, shift)

    def _teacher_vectors(self) -> TeacherVectors:
        self.reporter.stage("teacher vectors", len(self.english))
        return encode_targets(
            self.teacher,
            self.english,
            self.config.training.target_role,
            precision=self.precision,
            attention=self.config.transport.marginals == "attention",
            cache=cache_home() / "vectors",
            progress=self.reporter.advance,
        )

    def _examples(self, pairs: Pairs) -> tuple[dict[str, list[Example]], dict[str, list[Example]]]:
        rows = {text: row for row, text in enumerate(self.english)}
        texts = [p.source for p in [*pairs.training, *pairs.held_out]]
        texts += self.english[: self.in_training]
        distinct = list(dict.fromkeys(texts))
        for role in self.roles:
            self.tokens[role] = dict(zip(distinct, self.student.tokenize(distinct, role), strict=True))

        def example(text: str, language: str, target: str) -> Example:
            return Example(text, language, rows[target], len(self.tokens[self.roles[0]][text].ids))

        def counts(text: str) -> bool:
            return all(any(known[text].counted) for known in self.tokens.values())

        training: dict[str, list[Example]] = {}
        held: dict[str, list[Example]] = {}
        for found, into in ((pairs.training, training), (pairs.held_out, held)):
            for pair in found:
                if counts(pair.source) and self.vectors.store.lengths[rows[pair.target]] > 0:
                    into.setdefault(pair.source_language, []).append(
                        example(pair.source, pair.source_language, pair.target)
                    )
        if not training:
            raise InputError("no pair has countable tokens on both sides; see punctuation and special_tokens")
        if self.config.training.anchor > 0:
            training["en"] = [
                example(text, "en", text) for text in self.english[: self.in_training] if counts(text)
            ]
        return training, held

    def _frequencies(self) -> Tensor | None:
        if self.config.transport.marginals != "idf":
            return None
        known = self.tokens[self.roles[0]].values()
        return document_frequencies([item.ids for item in known], len(self.student.tokenizer))

    # -- the loop ---------------------------------------------------------------------------------

    def train(self) -> Distilled:
        """Run the loop; load the best student by held-out retrieval, and save it whole.

        Where the run folder holds a saved state the loop goes on from there, as if it had never stopped.

        Raises
        ------
        DivergedError
            If the loss stops being a number, or held-out retrieval collapses.
        InputError
            If the saved state does not belong to this run as it is configured now.
        KeyboardInterrupt
            If it is told to stop; the state after the step under way is saved first.
        """
        config = self.config.training
        batches = draw_batches(
            self.examples,
            batch_size=config.batch_size,
            alpha=config.sampling,
            anchor=config.anchor,
            seed=self.config.seed,
        )
        if self.state_file.is_file():
            self.progress = load_state(self.state_file, *self._state())
            batches = islice(batches, self.progress.step, None)
            self.reporter.say(f"going on after step {self.progress.step}, where the last state was saved")
        progress = self.progress
        started = time.monotonic() - progress.elapsed
        if not progress.step:
            progress.first = progress.best_value = self._judge(0, started)
        self.reporter.stage("training", config.steps)
        if progress.step:
            self.reporter.advance(progress.step)
        with held_back() as told_to_stop:
            for step in range(progress.step + 1, config.steps + 1):
                if self._out_of_patience():
                    break
                begun = time.monotonic()
                figures = self._step(step, next(batches))
                now = time.monotonic()
                progress.step, progress.elapsed = step, now - started
                progress.trained += now - begun
                figures["pairs_per_second"] = config.batch_size * step / progress.trained
                self.run.log(step, figures, progress.elapsed)
                self.reporter.advance()
                self.reporter.figures({**figures, "held_out_rr": progress.best_value})
                judged = step % config.evaluate_every == 0 or step == config.steps
                if judged:
                    self._compare(self._judge(step, started))
                    progress.elapsed = time.monotonic() - started
                if judged or told_to_stop():
                    save_state(self.state_file, progress, *self._state())
                if told_to_stop():
                    raise KeyboardInterrupt
        if self._out_of_patience():
            self.reporter.say(
                f"no gain in {progress.since} held-out retrievals; stopped at step {progress.step}"
            )
        return self.finish()

    def _out_of_patience(self) -> bool:
        patience = self.config.training.patience
        return patience is not None and self.progress.since >= patience

    def _compare(self, value: float) -> None:
        """Keep the weights if held-out retrieval, now `value`, is at its best; stop if it collapsed."""
        progress = self.progress
        if progress.first >= STANDING and value < COLLAPSED * progress.first:
            raise DivergedError(
                f"held-out retrieval fell from {progress.first:.3f} to {value:.3f} by step {progress.step}; "
                "lower training.learning_rate or raise the weight of a contrastive loss"
            )
        progress.since += 1
        if value > progress.best_value or not self.held_out:
            progress.best_step, progress.best_value, progress.since = progress.step, value, 0
            self.kept = copy.deepcopy(self._weights())
            self._note_best()

    def _step(self, step: int, examples: list[Example]) -> dict[str, float]:
        config = self.config.training
        self.student.train()
        factor = learning_rate_factor(step - 1, config.steps, config.warmup, config.decay)
        set_rate(self.optimiser, config.learning_rate * factor)
        role = self.roles[step % len(self.roles)]
        attention = self.config.transport.marginals == "attention"
        rows, excluded = with_negatives(
            examples, self.pool, self.sentence, self.config.loss.negatives, self.generator, self.neighbours
        )
        with torch.autocast(self.device.type, dtype=self.precision, enabled=self.precision != torch.float32):
            tokens = [self.tokens[role][e.text] for e in examples]
            encoded = self.student(tokens, role, attention=attention)
        batch = Batch(
            encoded.tokens,
            encoded.mask,
            encoded.sentences,
            encoded.norms,
            encoded.ids,
            self.vectors.targets(rows, excluded).to(self.device),
            encoded.attention,
        )
        loss, figures = self.loss(batch)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = float(torch.nn.utils.clip_grad_norm_(self.student.parameters(), config.clip))
        if not (math.isfinite(norm) and math.isfinite(float(loss.detach()))):
            raise DivergedError(
                f"the loss or its gradient is not a number at step {step}; lower training.learning_rate"
            )
        self.optimiser.step()
        return {
            "loss": float(loss.detach()),
            "gradient_norm": norm,
            "learning_rate": config.learning_rate * factor,
            **figures,
        }

    def _judge(self, step: int, started: float) -> float:
        if not self.held_out:
            return math.nan
        with averaged(self._weights(), self.origin, self.config.training.averaging):
            figures = self.held_out.measure(self.student)
        self.run.log(step, figures, time.monotonic() - started)
        self.reporter.say(
            f"step {step}: held-out MRR {figures['held_out_rr']:.4f}, "
            f"{figures['plan_effective_matches']:.2f} effective matches a token"
        )
        return figures["held_out_rr"]

    # -- weights ----------------------------------------------------------------------------------

    @property
    def state_file(self) -> Path:
        """Where the state is saved for a resume."""
        return self.run.path / "checkpoints" / STATE_FILE

    def _state(self) -> tuple[Any, ...]:
        """Return the parts of the state beside the progress, as `save_state` and `load_state` take them."""
        return self.hashes, self._parameters(), self.kept, self.optimiser, self.generator

    def _parameters(self) -> dict[str, Parameter]:
        return {name: p for name, p in self.student.named_parameters() if p.requires_grad}

    def _weights(self) -> dict[str, Tensor]:
        return {name: p.detach() for name, p in self._parameters().items()}

    def _note_best(self) -> None:
        """Write the best so far into the run's record, where whoever watches finds it."""
        step, best = self.progress.best_step, self.progress.best_value
        self.run.update(summary={"best_step": step, "held_out_rr": None if math.isnan(best) else best})

    def finish(self) -> Distilled:
        """Load the best student so far, averaged if so configured and with its whole vocabulary."""
        live = self._weights()
        for name, value in self.kept.items():
            live[name].copy_(value)
        if self.origin is not None:
            for name in live:
                live[name].lerp_(self.origin[name], self.config.training.averaging)
        untrim(self.student)
        self.student.model.set_attn_implementation("sdpa")
        self.student.eval()
        self._note_best()
        step, best = self.progress.best_step, self.progress.best_value
        return Distilled(self.teacher, self.student, step, best)
