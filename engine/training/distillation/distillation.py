"""Distillation: a student query encoder learns where a frozen teacher places translated sentences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.bitext.source import draw
from engine.bitext.split import sentence_key
from engine.config import DistilConfig
from engine.encoders.encoder import Encoder, Role, Tokens
from engine.encoders.trimming import trim, untrim
from engine.errors import InputError
from engine.paths import cache_home
from engine.reporting import SILENT, Reporter
from engine.results.run_folder import RunFolder
from engine.training.data.alignment import repair
from engine.training.data.bitext import Pairs, bitext_rows, read_sources, set_aside
from engine.training.data.overlap import Overlap
from engine.training.distillation.batches import Example, draw_batches, nearest_neighbours, with_negatives
from engine.training.distillation.encoders import load_encoders
from engine.training.distillation.held_out import HeldOut
from engine.training.distillation.teacher_vectors import TeacherVectors, encode_targets
from engine.training.loop import TrainingLoop
from engine.training.losses import Batch, WeightedLoss, build_loss, compared_layers
from engine.training.optimiser import freeze, make_optimiser
from engine.transport import TokenTransport, inverse_document_frequencies

#: The roles in which the student encodes, taken in turn.
ROLES: dict[str, tuple[Role, ...]] = {
    "query": ("query",),
    "passage": ("passage",),
    "both": ("query", "passage"),
}


@dataclass(frozen=True)
class Distilled:
    """What a distillation leaves: both encoders, the student with its best weights."""

    teacher: Encoder
    student: Encoder
    best_step: int
    held_out: float


class Distillation(TrainingLoop[list[Example]]):
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
        super().__init__(config.training, config.seed, run, reporter)
        self.config = config
        sources, dropped = read_sources(config.bitext)
        overlap = Overlap(config, sources, reporter)
        clean = overlap.without(pair for pairs in sources for pair in pairs)
        english = list(dict.fromkeys(pair.target for pair in clean))
        foreign = list(dict.fromkeys(pair.source for pair in clean))
        self.teacher, self.student = load_encoders(config, english, foreign, self.precision)
        self.layers = compared_layers(config.transport, self.student, self.teacher)
        self.teacher.to(self.device)
        self.student.to(self.device)
        if config.training.alignment == "repair":
            sources = [
                pairs if source.one_language else repair(pairs, self.student, self.precision, run, reporter)
                for source, pairs in zip(config.bitext, sources, strict=True)
            ]
        sources = overlap.drop(sources, dropped)  # not before: a shift shows among neighbours only
        sources = [
            draw(pairs, source.limit, config.seed)
            for source, pairs in zip(config.bitext, sources, strict=True)
        ]
        records = bitext_rows(config.bitext, sources, dropped)
        run.write_table("bitext", records)
        hashes = [str(record["hash"]) for record in records]
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
        self.transport = TokenTransport(config.transport, self._frequencies(), self.student.mass_head)
        self.loss: WeightedLoss = build_loss(config.loss, self.transport, self.layers)
        self.held_out = HeldOut(held, self.vectors, self.transport, self.precision, self.roles[0])
        if config.training.trim_vocabulary:
            trim(self.student, {i for known in self.tokens.values() for t in known.values() for i in t.ids})
        freeze(self.student, config.training)
        if self.device.type == "cpu" and self.precision == torch.bfloat16:
            # the fused kernel's backward pass is the slower one here: 0.79 s a step against 1.00 s
            self.student.model.set_attn_implementation("eager")
        optimiser = make_optimiser(self.student, config.training)
        self.begin(self.student, optimiser, hashes, config.training.averaging)

    # -- preparation ------------------------------------------------------------------------------

    def _teacher_vectors(self) -> TeacherVectors:
        self.reporter.stage("teacher vectors", len(self.english))
        return encode_targets(
            self.teacher,
            self.english,
            self.config.training.target_role,
            precision=self.precision,
            attention=self.config.transport.needs("attention"),
            layers=self.layers.teacher,
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
        if not self.config.transport.needs("document_frequencies"):
            return None
        known = self.tokens[self.roles[0]].values()
        return inverse_document_frequencies([item.ids for item in known], len(self.student.tokenizer))

    # -- the loop ---------------------------------------------------------------------------------

    def train(self) -> Distilled:
        """Run the loop; load the best student by held-out retrieval, and save it whole.

        Raises
        ------
        DivergedError, InputError, KeyboardInterrupt
            As `TrainingLoop.run_loop`.
        """
        self.run_loop()
        return self.finish()

    def _batches(self) -> Iterator[list[Example]]:
        config = self.config.training
        return draw_batches(
            self.examples,
            batch_size=config.batch_size,
            alpha=config.sampling,
            anchor=config.anchor,
            seed=self.config.seed,
        )

    def _step(self, step: int, examples: list[Example]) -> dict[str, float]:
        self.student.train()
        role = self.roles[step % len(self.roles)]
        attention = self.config.transport.needs("attention")
        rows, excluded = with_negatives(
            examples, self.pool, self.sentence, self.config.loss.negatives, self.generator, self.neighbours
        )
        with torch.autocast(self.device.type, dtype=self.precision, enabled=self.precision != torch.float32):
            tokens = [self.tokens[role][e.text] for e in examples]
            encoded = self.student(tokens, role, attention=attention, layers=self.layers.student)
        batch = Batch(
            encoded.tokens,
            encoded.mask,
            encoded.sentences,
            encoded.norms,
            encoded.ids,
            self.vectors.targets(rows, excluded).to(self.device),
            encoded.attention,
            self.vectors.centred(encoded.layers),
        )
        loss, figures = self.loss(batch)
        return self._update(step, loss, figures)

    def _measure(self) -> dict[str, float] | None:
        return self.held_out.measure(self.student) if self.held_out else None

    def _said(self, figures: dict[str, float]) -> str:
        return f"{super()._said(figures)}, {figures['plan_effective_matches']:.2f} effective matches a token"

    def finish(self) -> Distilled:
        """Load the best student so far, averaged if so configured and with its whole vocabulary."""
        self.restore_best()
        untrim(self.student)
        self.student.model.set_attn_implementation("sdpa")
        self.student.eval()
        step, best = self.progress.best_step, self.progress.best_value
        return Distilled(self.teacher, self.student, step, best)
