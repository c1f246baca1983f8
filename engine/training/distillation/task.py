"""Distillation: a student learns to encode a sentence as a frozen teacher encodes its translation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from engine.bitext.split import sentence_key
from engine.config import DistilConfig
from engine.encoders.encoder import Encoder, Role, Tokens
from engine.encoders.trimming import trim, untrim
from engine.errors import InputError
from engine.extensions.bitext import SentencePair
from engine.paths import cache_home
from engine.reporting import SILENT, Reporter
from engine.retrieval.cut_texts import CutTexts
from engine.training.data.alignment import Aligner
from engine.training.data.glossary import glossary_of
from engine.training.data.prepare import PreparedBitext, prepare, read_bitext
from engine.training.distillation.batches import Example, draw_batches, nearest_neighbours, with_negatives
from engine.training.distillation.encoders import load_encoders
from engine.training.distillation.held_out import HeldOut
from engine.training.distillation.languages import LanguageSpaces, fit_spaces
from engine.training.distillation.passages import (
    FirstPassages,
    PassagePool,
    check_passages,
    read_passages,
)
from engine.training.distillation.teacher_vectors import TeacherVectors, encode_targets
from engine.training.distillation.validation import FIGURE, Validation, check_validation, read_validation
from engine.training.losses import Batch, Layers, WeightedLoss, build_loss, compared_layers
from engine.training.optimiser import check_batch_size, freeze, make_optimiser
from engine.training.runtime import Runtime, use_inference_attention, use_training_attention
from engine.training.trainer import TaskInfo, describe_retrieval
from engine.transport import TokenTransport, inverse_document_frequencies

#: The roles in which the student encodes, one after the other.
ROLES: dict[str, tuple[Role, ...]] = {
    "query": ("query",),
    "passage": ("passage",),
    "both": ("query", "passage"),
}


def prepare_distillation(config: DistilConfig, runtime: Runtime, reporter: Reporter = SILENT) -> Distillation:
    """Read the bitext, load both encoders, align the bitext, and encode its English sentences.

    Raises
    ------
    InputError
        If a source or a checkpoint is missing or broken, the encoders cannot share a space, or nothing is
        left to train on.
    """
    check_passages(config)
    bitext = read_bitext(
        config.bitext,
        [*config.collections, *([config.validation] if config.validation is not None else [])],
        overlap=config.training.overlap,
        seed=config.seed,
        reporter=reporter,
    )
    teacher, student = load_encoders(config, *bitext.texts(config.seed), runtime.precision)
    if config.gloss:
        student.glossary = glossary_of(bitext, config.seed, reporter)
    layers = compared_layers(config.transport, student, teacher)
    teacher.to(runtime.device)
    student.to(runtime.device)
    validated = [] if config.validation is None else check_validation(config)
    spaces = fit_spaces(config, bitext, student, teacher, runtime.precision, reporter, validated)
    repair = config.training.alignment == "repair"
    prepared = prepare(
        bitext,
        aligner=Aligner(student, runtime.precision) if repair else None,
        held_out=config.training.held_out,
        seed=config.seed,
        reporter=reporter,
        longest_target=config.training.longest_target,
        longest_source=config.training.longest_source,
    )
    reporter.stage("teacher vectors", len(prepared.english))
    vectors = encode_targets(
        teacher,
        prepared.english,
        config.training.target_role,
        precision=runtime.precision,
        attention=config.transport.needs("attention"),
        layers=layers.teacher,
        cache=cache_home() / "vectors",
        progress=reporter.advance,
    )
    if spaces is not None:
        pairs = [*prepared.training, *prepared.held_out]
        language = {pair.target: pair.target_language for pair in pairs}
        languages = [language[text] for text in prepared.english]
        vectors = spaces.of_targets(vectors, config.training.target_role, languages)
    passages = read_passages(config, teacher, runtime.precision, reporter, spaces)
    validation = read_validation(config, validated, teacher, runtime.precision, reporter, spaces)
    return Distillation(
        config, prepared, teacher, student, layers, vectors, runtime, passages, validation, spaces
    )


class Distillation:
    """A distillation, as a task for the `Trainer`.

    Parameters
    ----------
    config : DistilConfig
        The run's configuration.
    bitext : PreparedBitext
        What it trains on.
    teacher, student : Encoder
        Both encoders, on the runtime's device.
    layers : Layers
        The layers that transport compares.
    vectors : TeacherVectors
        The teacher's vectors of the English sentences.
    runtime : Runtime
        Where it computes.
    passages : PassagePool, optional
        Passages, if a loss needs some.
    validation : Validation, optional
        What decides which step is best; without it, held-out pairs do.
    spaces : LanguageSpaces, optional
        What is removed from the student's vectors of each language; it is removed from the others already.

    Raises
    ------
    InputError
        If no pair has counted tokens, a batch is larger than the data, or the student has fewer layers than
        are frozen.
    """

    def __init__(
        self,
        config: DistilConfig,
        bitext: PreparedBitext,
        teacher: Encoder,
        student: Encoder,
        layers: Layers,
        vectors: TeacherVectors,
        runtime: Runtime,
        passages: PassagePool | None = None,
        validation: Validation | None = None,
        spaces: LanguageSpaces | None = None,
    ) -> None:
        self.config, self.bitext, self.runtime, self.passages = config, bitext, runtime, passages
        self.validation, self.spaces = validation, spaces
        self.teacher, self.student, self.layers, self.vectors = teacher, student, layers, vectors
        deciding = ["held_out_rr"]
        deciding += ["held_out_passages"] if passages is not None else []
        deciding += [FIGURE] if validation is not None else []
        *others, best_by = deciding
        self.info = TaskInfo(
            best_by=best_by,
            patience=config.training.patience,
            averaging=config.training.averaging,
            ema=config.training.ema,
            describe=self._describe,
            summarised=tuple(others),
        )
        self.hashes = list(bitext.hashes)
        for used in (passages, validation):
            self.hashes += used.hashes if used is not None else ()
        self.spellings = _spellings(bitext.english)
        trained = vectors.store.lengths[: bitext.in_training]
        # a sentence without a counted token has no score, so it cannot be a negative
        self.negatives = trained.nonzero()[:, 0].numpy()
        self.neighbours = None
        if config.loss.negatives and config.loss.negatives_from == "nearest":
            self.neighbours = nearest_neighbours(vectors.sentences[: bitext.in_training])
        self.roles = ROLES[config.training.student_role]
        self.tokens = self._tokenize()
        self.examples, held = self._examples()
        pairs = sum(map(len, self.examples.values()))
        check_batch_size(config.training.batch_size, pairs)
        self.transport = TokenTransport(config.transport, self._frequencies(), student.mass_head)
        self.weighted_loss: WeightedLoss = build_loss(config.loss, self.transport, layers)
        rows = [example.target for examples in held.values() for example in examples]
        first = FirstPassages(passages, vectors, rows) if passages is not None and rows else None
        self.held_out = HeldOut(
            held, vectors, self.transport, runtime.precision, self.roles[0], passages=first, spaces=spaces
        )
        if config.training.trim_vocabulary:
            asked = student.tokenize(validation.texts, "query") if validation is not None else []
            known = [tokens for role in self.tokens.values() for tokens in role.values()]
            trim(student, {piece for tokens in [*known, *asked] for piece in tokens.ids})
        freeze(student, config.training)
        use_training_attention(student.model, runtime)
        self.learner = student
        self.optimiser = make_optimiser(student, config.training)

    def _tokenize(self) -> dict[Role, dict[str, Tokens]]:
        """Return the student's tokens of every text, in each role."""
        texts = [pair.source for pair in [*self.bitext.training, *self.bitext.held_out]]
        texts += self.bitext.english[: self.bitext.in_training]
        distinct = list(dict.fromkeys(texts))
        return {
            role: dict(zip(distinct, self.student.tokenize(distinct, role), strict=True))
            for role in self.roles
        }

    def _examples(self) -> tuple[dict[str, list[Example]], dict[str, list[Example]]]:
        """Return the examples to train on and those that are held out, by language."""
        english = self.bitext.english
        rows = {text: row for row, text in enumerate(english)}

        def example(text: str, language: str, target: str) -> Example:
            return Example(text, language, rows[target], len(self.tokens[self.roles[0]][text].ids))

        def counts(text: str) -> bool:
            return all(any(known[text].counted) for known in self.tokens.values())

        def by_language(pairs: Sequence[SentencePair]) -> dict[str, list[Example]]:
            found: dict[str, list[Example]] = {}
            for pair in pairs:
                if counts(pair.source) and self.vectors.store.lengths[rows[pair.target]] > 0:
                    found.setdefault(pair.source_language, []).append(
                        example(pair.source, pair.source_language, pair.target)
                    )
            return found

        training, held = by_language(self.bitext.training), by_language(self.bitext.held_out)
        if not training:
            raise InputError("no pair has countable tokens on both sides; see punctuation and special_tokens")
        if self.config.training.anchor > 0:
            anchors = english[: self.bitext.in_training]
            training["en"] = [example(text, "en", text) for text in anchors if counts(text)]
        return training, held

    def _frequencies(self) -> Tensor | None:
        if not self.config.transport.needs("document_frequencies"):
            return None
        known = self.tokens[self.roles[0]].values()
        return inverse_document_frequencies([item.ids for item in known], len(self.student.tokenizer))

    def count_cut(self, cut: CutTexts) -> CutTexts:
        """Count the training texts that are cut, those of the student and of the teacher."""
        texts = {pair.source for pair in self.bitext.training}
        for role, known in self.tokens.items():
            found = sum(known[text].cut for text in texts)
            cut.add(self.student, found, len(texts), role, "sentences to train on")
        role = self.config.training.target_role
        cut.count(self.teacher, self.bitext.english, role, "English sentences to train on")
        return cut

    # -- the task ---------------------------------------------------------------------------------------

    def batches(self) -> Iterator[list[Example]]:
        """Yield batches without end."""
        config = self.config.training
        return draw_batches(
            self.examples,
            batch_size=config.batch_size,
            alpha=config.sampling,
            anchor=config.anchor,
            seed=self.config.seed,
        )

    def loss(
        self, step: int, batch: list[Example], generator: np.random.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Return the weighted loss of a batch, and the figures of its parts."""
        self.student.train()
        role = self.roles[step % len(self.roles)]
        attention = self.config.transport.needs("attention")
        rows, excluded = with_negatives(
            batch, self.negatives, self.spellings, self.config.loss.negatives, generator, self.neighbours
        )
        passages = None
        if self.passages is not None:
            own = torch.tensor(rows[: len(batch)])
            passages = self.passages.draw(self.vectors.sentences[own], generator).to(self.runtime.device)
        with self.runtime.autocast():
            tokens = [self.tokens[role][example.text] for example in batch]
            encoded = self.student(tokens, role, attention=attention, layers=self.layers.student)
        if self.spaces is not None:
            encoded = self.spaces.of_batch(encoded, [example.language for example in batch])
        return self.weighted_loss(
            Batch(
                encoded.tokens,
                encoded.mask,
                encoded.sentences,
                encoded.norms,
                encoded.ids,
                self.vectors.targets(rows, excluded).to(self.runtime.device),
                encoded.attention,
                self.vectors.centred(encoded.layers),
                passages,
            )
        )

    def measure(self) -> dict[str, float] | None:
        """Return the figures of held-out retrieval, and of the validation."""
        figures = self.held_out.measure(self.student) if self.held_out else {}
        if self.validation is not None:
            figures |= self.validation.search(self.student)
        return figures or None

    def _describe(self, figures: Mapping[str, float]) -> str:
        """Return a sentence about the measured figures."""
        found = []
        if self.validation is not None:
            found.append(f"validation {self.validation.measure} {figures[FIGURE]:.4f}")
        if "held_out_rr" in figures:
            found.append(describe_retrieval(figures))
        if "held_out_passages" in figures:
            found.append(f"the teacher's first passage at MRR {figures['held_out_passages']:.4f}")
        if "plan_effective_matches" in figures:
            found.append(f"{figures['plan_effective_matches']:.2f} effective matches a token")
        return ", ".join(found)

    def finish(self) -> Encoder:
        """Return the student, ready for inference with its whole vocabulary."""
        untrim(self.student)
        use_inference_attention(self.student.model)
        return self.student.eval()


def _spellings(texts: Sequence[str]) -> Tensor:
    """Return a number (M,) for each text; texts that spell the same sentence share one."""
    numbers: dict[bytes, int] = {}
    return torch.tensor([numbers.setdefault(sentence_key(text), len(numbers)) for text in texts])
