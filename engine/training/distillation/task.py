"""Distillation: a student learns to encode a sentence as a frozen teacher encodes its translation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
from torch import Tensor

from engine.bitext.split import sentence_key
from engine.config import DistilConfig
from engine.encoders.encoder import Encoder, Role
from engine.encoders.trimming import trim, untrim
from engine.reporting import SILENT, Reporter
from engine.retrieval.cut_texts import CutTexts
from engine.retrieval.vectors import vectors_folder
from engine.training import processes
from engine.training.data.alignment import Aligner
from engine.training.data.glossary import glossary_of
from engine.training.data.prepare import Bitext, PreparedBitext, prepare, read_bitext
from engine.training.distillation.batches import (
    WINDOW,
    Example,
    Place,
    draw_windows,
    excluded,
    with_negatives,
)
from engine.training.distillation.encoders import load_encoders
from engine.training.distillation.held_out import HeldOut, searched_rows
from engine.training.distillation.known_tokens import CHUNK, KnownTokens
from engine.training.distillation.languages import LanguageSpaces, fit_spaces
from engine.training.distillation.neighbours import Neighbours
from engine.training.distillation.passages import (
    FirstPassages,
    PassagePool,
    ReadPassages,
    check_passages,
    read_passages,
)
from engine.training.distillation.teacher_vectors import TeacherVectors
from engine.training.distillation.validation import FIGURE, Validation, check_validation, read_validation
from engine.training.losses import Batch, Layers, WeightedLoss, build_loss, compared_layers
from engine.training.optimiser import check_batch_size, freeze, make_optimiser
from engine.training.runtime import Runtime, use_inference_attention, use_training_attention
from engine.training.trainer import TaskInfo, describe_retrieval
from engine.transport import TokenTransport, inverse_document_frequencies

#: Most texts that are counted where a frequency is estimated; of more, evenly spaced ones are.
COUNTED = 20_000
#: The same where the share of texts that are cut is estimated: 1 % is then found as 0.6 % to 1.4 %.
LOOKED_AT = 2500
#: Batches whose English sentences the teacher encodes at once, before the first of them.
AHEAD = 4

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
        config.searched,
        overlap=config.training.overlap,
        seed=config.seed,
        reporter=reporter,
    )
    return distillation_of(config, bitext, runtime, reporter)


def distillation_of(
    config: DistilConfig,
    bitext: Bitext,
    runtime: Runtime,
    reporter: Reporter = SILENT,
    read: ReadPassages = read_passages,
) -> Distillation:
    """Prepare the distillation with bitext that was read; `read` reads the passages that losses need.

    Raises
    ------
    InputError
        As `prepare_distillation`.
    """
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
    vectors = TeacherVectors(
        teacher,
        prepared.english,
        config.training.target_role,
        precision=runtime.precision,
        attention=config.transport.needs("attention"),
        layers=layers.teacher,
        cache=vectors_folder(),
        without=None if spaces is None else spaces.of_targets(prepared, config.training.target_role),
    )
    passages = read(config, teacher, runtime.precision, reporter, spaces)
    validation = read_validation(config, validated, teacher, runtime.precision, reporter, spaces)
    return Distillation(
        config, prepared, teacher, student, layers, vectors, runtime, passages, validation, reporter, spaces
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
    reporter : Reporter
        Receives the progress of what is computed before the first step.
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
        reporter: Reporter = SILENT,
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
        self.roles = ROLES[config.training.student_role]
        self.tokens, self.english_tokens = KnownTokens(student), KnownTokens(teacher)
        self.places = bitext.training.languages()
        self.sizes = {language: len(places) for language, places in self.places.items()}
        if config.training.anchor > 0:
            self.sizes["en"] = bitext.in_training
        check_batch_size(config.training.batch_size, sum(self.sizes.values()))
        searched = searched_rows(bitext.in_training, len(bitext.english))
        if bitext.held_out or layers.teacher:
            missing = vectors.missing(searched)
            reporter.stage("teacher vectors", len(missing))
            vectors.make(missing, reporter.advance)
        vectors.centre_layers(searched)
        self.neighbours = self._neighbours(reporter)
        self.transport = TokenTransport(config.transport, self._frequencies(), student.mass_head)
        self.weighted_loss: WeightedLoss = build_loss(config.loss, self.transport, layers)
        held = self._held_out_examples()
        rows = [example.target for examples in held.values() for example in examples]
        first = FirstPassages(passages, vectors, rows) if passages is not None and rows else None
        self.held_out = HeldOut(
            held,
            vectors,
            searched,
            self.transport,
            runtime.precision,
            self.roles[0],
            passages=first,
            spaces=spaces,
        )
        self._ahead: list[int] = []
        if config.training.trim_vocabulary:
            trim(student, self._pieces(reporter))
        freeze(student, config.training)
        use_training_attention(student.model, runtime)
        self.learner = student
        self.optimiser = make_optimiser(student, config.training)

    def _neighbours(self, reporter: Reporter) -> Neighbours | None:
        """Return what finds hard negatives, if the losses need some."""
        settings = self.config.loss
        if not settings.negatives or settings.negatives_from != "nearest":
            return None
        rows = np.arange(self.bitext.in_training)
        if len(rows) > settings.negatives_among:
            generator = np.random.default_rng(self.config.seed)
            rows = np.sort(generator.choice(len(rows), settings.negatives_among, replace=False))
        return Neighbours(self.vectors, rows, seed=self.config.seed, reporter=reporter)

    def _examples(self, places: Sequence[Place]) -> list[Example | None]:
        """Return the examples at some places; None for a pair with a side that has no counted token."""
        rows: list[int] = []
        texts: list[str] = []
        for language, place in places:
            if language == "en" and self.config.training.anchor > 0:
                rows.append(place)
                texts.append(self.bitext.english[place])
            else:
                pair = int(self.places[language][place])
                rows.append(int(self.bitext.english.rows[pair]))
                texts += self.bitext.training.texts("source", [pair])
        lengths = [len(tokens.ids) for tokens in self.tokens.of(texts, self.roles[0])]
        counted = self._counted(texts, [self.bitext.english[row] for row in rows])
        return [
            Example(text, language, row, length) if useful else None
            for (language, _), text, row, length, useful in zip(
                places, texts, rows, lengths, counted, strict=True
            )
        ]

    def _counted(self, texts: Sequence[str], english: Sequence[str]) -> list[bool]:
        """Return for each pair whether both of its sides have a counted token."""
        known = [self.tokens.counted(texts, role) for role in self.roles]
        known.append(self.english_tokens.counted(english, self.config.training.target_role))
        return [all(sides) for sides in zip(*known, strict=True)]

    def _held_out_examples(self) -> dict[str, list[Example]]:
        """Return the held-out examples by language, without those that have no counted token on a side."""
        found: dict[str, list[Example]] = {}
        pairs = self.bitext.held_out
        texts = [pair.source for pair in pairs]
        tokens = self.tokens.of(texts, self.roles[0])
        counted = self._counted(texts, [pair.target for pair in pairs])
        rows = self.bitext.english.rows[len(self.bitext.training) :].tolist()
        for pair, row, known, useful in zip(pairs, rows, tokens, counted, strict=True):
            if useful:
                example = Example(pair.source, pair.source_language, row, len(known.ids))
                found.setdefault(pair.source_language, []).append(example)
        return found

    def _pieces(self, reporter: Reporter) -> set[int]:
        """Return the student's word pieces of all texts that the run draws or measures."""
        training = self.config.training
        total = min(training.steps * training.batch_size, sum(self.sizes.values()))
        reporter.stage("word pieces", total)
        pieces: set[int] = set()

        def add(texts: Iterable[str], roles: Iterable[Role]) -> None:
            for role in roles:
                for tokens in self.tokens.each(texts, role):
                    pieces.update(tokens.ids)

        drawn = self._drawn()
        while texts := list(islice(drawn, CHUNK)):
            add(list(dict.fromkeys(texts)), self.roles)
            reporter.advance(len(texts))
        add(list(self.bitext.held_out.texts("source")), self.roles)
        if self.validation is not None:
            add(self.validation.texts, ["query"])
        return pieces

    def _drawn(self) -> Iterator[str]:
        """Yield the texts that the run draws; all, if it draws as many as there are."""
        training = self.config.training
        if training.steps * training.batch_size < sum(self.sizes.values()):
            for window in islice(self._windows(), -(-training.steps // WINDOW)):
                yield from (example.text for batch in window for example in batch)
            return
        yield from self.bitext.training.texts("source")
        if training.anchor > 0:
            yield from islice(self.bitext.english, self.bitext.in_training)

    def _frequencies(self) -> Tensor | None:
        if not self.config.transport.needs("document_frequencies"):
            return None
        texts = [*self._some_sources(COUNTED), *self.bitext.held_out.texts("source")]
        texts += _some(self.bitext.english, COUNTED)
        ids = [tokens.ids for tokens in self.tokens.each(list(dict.fromkeys(texts)), self.roles[0])]
        return inverse_document_frequencies(ids, len(self.student.tokenizer))

    def _some_sources(self, most: int) -> list[str]:
        """Return distinct source sentences of training pairs."""
        return list(dict.fromkeys(self.bitext.training.spaced(most).texts("source")))

    def count_cut(self, cut: CutTexts) -> CutTexts:
        """Count the training texts that are cut, those of the student and of the teacher.

        Of more than `LOOKED_AT` texts, evenly spaced ones are counted.
        """
        texts = self._some_sources(LOOKED_AT)
        for role in self.roles:
            cut.count(self.student, texts, role, "sentences to train on")
        role = self.config.training.target_role
        cut.count(self.teacher, _some(self.bitext.english, LOOKED_AT), role, "English sentences to train on")
        return cut

    # -- the task ---------------------------------------------------------------------------------------

    def batches(self) -> Iterator[list[Example]]:
        """Yield batches without end."""
        for window in self._windows():
            for start in range(0, len(window), AHEAD):
                part = window[start : start + AHEAD]
                self._ahead = [example.target for batch in part for example in batch]
                yield from part

    def _windows(self) -> Iterator[list[list[Example]]]:
        config = self.config.training
        return draw_windows(
            self.sizes,
            self._examples,
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
        if self._ahead:  # together, because single batches would be encoded more slowly
            missing = self.vectors.missing(self._ahead)
            processes.barrier()  # before another process adds some of them
            self.vectors.make(missing[self.runtime.rank :: self.runtime.world_size])
            processes.barrier()
            self._ahead = []
        nearest = None if self.neighbours is None else self.neighbours.of
        rows = with_negatives(batch, self.bitext.in_training, self.config.loss.negatives, generator, nearest)
        english = [self.bitext.english[row] for row in rows]
        if len(rows) > len(batch):  # a sentence without a counted token has no score
            counted = self.english_tokens.counted(english, self.config.training.target_role)
            counted[: len(batch)] = [True] * len(batch)
            rows = [row for row, useful in zip(rows, counted, strict=True) if useful]
            english = [text for text, useful in zip(english, counted, strict=True) if useful]
        targets = self.vectors.targets(rows, excluded([sentence_key(text) for text in english], len(batch)))
        passages = None
        if self.passages is not None:
            own = targets.sentences[: len(batch)]
            passages = self.passages.draw(own, generator).to(self.runtime.device)
        with self.runtime.autocast():
            tokens = self.tokens.of([example.text for example in batch], role)
            encoded = processes.encode(
                self.student, tokens, role, attention=attention, layers=self.layers.student
            )
        if self.spaces is not None:
            encoded = self.spaces.of_batch(encoded, [example.language for example in batch])
        return self.weighted_loss(
            Batch(
                encoded.tokens,
                encoded.mask,
                encoded.sentences,
                encoded.norms,
                encoded.ids,
                targets.to(self.runtime.device),
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


def _some(texts: Sequence[str], most: int) -> Sequence[str]:
    """Return evenly spaced texts: all, or fewer than twice `most` of more than that."""
    return texts[:: max(1, len(texts) // most)]
