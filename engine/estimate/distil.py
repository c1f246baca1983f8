"""What a distillation will need."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from engine.bitext.pairs import DistinctTexts, Pairs
from engine.config import DistilConfig
from engine.encoders.encoder import Encoder
from engine.encoders.fitting import FITTED_ON, needs_fitting
from engine.errors import InputError
from engine.estimate.encoding import Encoding, measure
from engine.estimate.searching import add_evaluation, extended, part_of, repeated
from engine.estimate.sheet import Cost, Sheet
from engine.estimate.sources import Source, read
from engine.estimate.training import (
    add_steps,
    bytes_of,
    distinct_drawn,
    measurements,
    saved_bytes,
    trained_bytes,
)
from engine.evaluation.runner import document_texts, vector_kind
from engine.evaluation.scores import evaluate_collection
from engine.extensions.scorings import SCORINGS
from engine.reporting import SILENT, Reporter
from engine.retrieval.tokens import TokenStore
from engine.training.data.alignment import beginning, pairs_read_first
from engine.training.data.bitext import texts_by_language
from engine.training.data.glossary import glossary_of
from engine.training.data.overlap import Overlap
from engine.training.data.prepare import Bitext
from engine.training.distillation.batches import WINDOW, Example
from engine.training.distillation.held_out import SEARCHED
from engine.training.distillation.languages import LanguageSpaces
from engine.training.distillation.passages import (
    PassagePool,
    PassageTexts,
    check_passages,
    passage_texts,
)
from engine.training.distillation.task import AHEAD, LOOKED_AT, distillation_of
from engine.training.distillation.validation import check_validation
from engine.training.runtime import Runtime

#: Pairs that the measured steps draw from, of each source at least, and English sentences held out of them.
PAIRS, LEAST, HELD_OUT = 256, 8, 24
#: Pairs of each source with which looking for overlap is measured.
FEW, SOME = 16, 1000
#: The most passages that losses are measured with, and how much the vectors of two differ that have one text.
POOL, NOISE = 4000, 0.05
#: Queries of the validation that are searched.
ASKED = 32
#: Bytes of memory for each pair: numbers of rows, keys and spellings.
OF_PAIR = 120
#: Bytes of the cache for each byte of text of a source that is mapped from there.
KEPT = 1.3


def estimate_distil(config: DistilConfig, sheet: Sheet) -> None:
    """Add the stages of a distillation to an estimate.

    Raises
    ------
    InputError
        If a source, a collection or a checkpoint is missing or broken.
    """
    check_passages(config)
    runtime = Runtime.start(config.seed, config.training)
    sheet.meter.device = runtime.device
    sources = [read(sheet.meter, source) for source in config.bitext]
    reading = sum((source.cost for source in sources), Cost())
    sheet.add("reading and cleaning pairs", sum(source.kept for source in sources), "pairs", reading)
    rehearsal = _Rehearsal(config, sources, runtime, sheet)
    rehearsal.add_preparation()
    rehearsal.add_measurements()
    task = rehearsal.task
    add_steps(
        sheet,
        config,
        config.training,
        runtime,
        task,
        list(islice(task.batches(), WINDOW)),
        units=config.training.batch_size,
        unit="pairs",
        size=_length,
    )
    sheet.need(OF_PAIR * rehearsal.pairs)
    sheet.disk["cache"] += round(KEPT * sum(source.size for source in sources if not source.whole))
    trained = trained_bytes(task.learner)
    student = task.finish()
    sheet.disk["run folder"] += saved_bytes(trained, bytes_of(student.model))
    if config.training.patience is not None:
        sheet.note("the training is counted to its last step; training.patience may end it earlier")
    add_evaluation(
        sheet,
        config.collections,
        config.evaluation,
        queries=student,
        documents=student if config.evaluation.documents == "student" else task.teacher,
        precision=runtime.precision,
        seed=config.seed,
    )


class _Rehearsal:
    """A distillation with few pairs, and what is known of all of them."""

    def __init__(
        self, config: DistilConfig, sources: Sequence[Source], runtime: Runtime, sheet: Sheet
    ) -> None:
        self.config, self.sources, self.runtime, self.sheet = config, sources, runtime, sheet
        training = config.training
        some = [spaced(source.pairs, SOME) for source in sources]
        overlap = self._overlap(some)
        used = [self._usable(overlap.without(part)) or part for part in some]
        left = [len(one) / len(part) for one, part in zip(used, some, strict=True)]
        totals = [share * source.total for share, source in zip(left, sources, strict=True)]
        most = max(PAIRS, 2 * training.batch_size) + HELD_OUT
        self.bitext = Bitext(
            config.bitext,
            [
                spaced(part, max(LEAST, round(most * total / sum(totals))))
                for part, total in zip(used, totals, strict=True)
            ],
            [copy.deepcopy(source.drops) for source in sources],
            overlap,
        )
        held_out = min(training.held_out, HELD_OUT)
        rehearsed = config.model_copy(
            update={"validation": None, "training": training.model_copy(update={"held_out": held_out})}
        )
        self.passages: list[tuple[PassageTexts, Encoding]] = []
        self.task = distillation_of(rehearsed, self.bitext, runtime, SILENT, self._read_passages)
        prepared = self.task.bitext
        repeats = [getattr(source, "repeat", 1) for source in config.bitext]
        self.pairs = round(sum(total * n for total, n in zip(totals, repeats, strict=True)))
        """Pairs of all sources that are left, with their repetitions."""
        self.distinct = max(
            1, round(sum(share * source.distinct for share, source in zip(left, sources, strict=True)))
        )
        """Distinct English sentences, if no two sources share one."""
        if len(sources) > 1 and all(source.whole for source in sources):
            together = Pairs.joined([source.pairs for source in sources])
            self.distinct = min(self.distinct, len(DistinctTexts(together)))
        self.teacher = measure(
            sheet.meter,
            self.task.teacher,
            list(prepared.english),
            training.target_role,
            runtime.precision,
            attention=config.transport.needs("attention"),
            layers=self.task.layers.teacher,
        )
        self.foreign = list(dict.fromkeys(prepared.training.texts("source")))
        role = self.task.roles[0]
        self.student = measure(sheet.meter, self.task.student, self.foreign, role, runtime.precision)

    # -- before the first step ----------------------------------------------------------------------------

    def _overlap(self, more: Sequence[Pairs]) -> Overlap:
        """Add looking for overlap, measured with few pairs and with `more` of each source; return theirs."""
        config, sheet = self.config, self.sheet
        searched = config.searched if config.training.overlap == "drop" else []
        asked = None if searched else config.searched

        def look(part: Sequence[Pairs]) -> tuple[tuple[int, Cost], Overlap]:
            work = partial(Overlap, config.bitext, part, searched, config.seed, SILENT, asked=asked)
            cost, found = sheet.meter.of(work)
            return (sum(map(len, part)), cost), found

        second, found = look(more)
        first = 0, Cost()
        with suppress(InputError):  # all of the few overlap, and others do not
            first, _ = look([spaced(pairs, FEW) for pairs in more])
        total = sum(source.kept for source in self.sources)
        if config.searched:
            cost = extended(first, second, total)
            sheet.add("overlap with the evaluation", total, "pairs", cost)
        return found

    def _usable(self, pairs: Pairs) -> Pairs:
        """Return the pairs that are as short as the run asks."""
        training = self.config.training
        short = np.ones(len(pairs), dtype=bool)
        for side, longest in (("target", training.longest_target), ("source", training.longest_source)):
            if longest is not None:
                short &= pairs.lengths(side) <= longest
        return pairs.select(short)

    def _read_passages(
        self,
        config: DistilConfig,
        teacher: Encoder,
        precision: torch.dtype,
        reporter: Reporter,
        spaces: LanguageSpaces | None,
    ) -> PassagePool | None:
        """Encode a few passages, and return a pool with their vectors again and again, a little changed."""
        settings = list(config.loss.over_passages().values())
        if not settings:
            return None
        sources, counts = passage_texts(config, max(own.limit for own in settings))
        for source in sources:
            role = teacher.document_role(symmetric=source.symmetric)
            self.passages.append((source, measure(self.sheet.meter, teacher, source.texts, role, precision)))
        first = self.passages[0][1]
        count = min(POOL, sum(len(source.texts) for source in sources))
        sentences, tokens = repeated(first, "sentences", count), repeated(first, "tokens", count)
        assert isinstance(sentences, Tensor) and isinstance(tokens, TokenStore)
        noise = torch.randn(sentences.shape, generator=torch.Generator().manual_seed(0))
        scorings = list(dict.fromkeys(scoring for own in settings for scoring in own.scoring))
        return PassagePool(
            torch.nn.functional.normalize(sentences + NOISE * noise, dim=1),
            tokens if any(SCORINGS[scoring].compares == "tokens" for scoring in scorings) else None,
            nearest=max(own.nearest for own in settings),
            random=max(own.random for own in settings),
            scorings=scorings,
            counts=counts,
        )

    def add_preparation(self) -> None:
        """Add what is encoded and learnt before the first step, and during the steps by the teacher."""
        config, sheet, sources = self.config, self.sheet, self.sources
        training = config.training
        foreign, english = self._per_text(self.student, self.foreign), self._per_english()
        if training.alignment == "repair":
            read_first = sum(
                pairs_read_first(source.kept)
                for one, source in zip(config.bitext, sources, strict=True)
                if not one.one_language
            )
            begun = [[beginning(text) for text in texts] for texts in (self.foreign, self.english)]
            cost = self._per_text(self.student, begun[0]) + self._per_text(self.teacher, begun[1])
            sheet.add("looking for shifts of lines", read_first, "pairs", cost * read_first)
        if needs_fitting(config.teacher):
            fitted = min(FITTED_ON, self.distinct)
            sheet.add("fitting the mean", fitted, "sentences", english * fitted)
        if config.language_components:
            texts = texts_by_language(Pairs.joined([source.pairs for source in sources]))
            count = sum(map(len, texts.values()))
            sheet.add("language components", count, "sentences", foreign * count)
        if config.gloss:
            sample = sum(map(len, self.bitext.pairs))
            cost, _ = sheet.meter.of(partial(glossary_of, self.bitext, config.seed, SILENT))
            sheet.add("glossary", self.pairs, "pairs", cost * (self.pairs / sample))
        draws = training.steps * training.batch_size
        windows = -(-training.steps // AHEAD) * AHEAD * training.batch_size
        searched = min(max(SEARCHED, training.held_out), self.distinct)
        # a sentence is encoded if it is searched, drawn, or drawn as a negative
        left = 1 - searched / self.distinct
        left *= 1 - distinct_drawn(windows, self.pairs, self.distinct) / self.distinct
        negatives = training.steps * config.loss.negatives
        if negatives and config.loss.negatives_from == "nearest":
            left *= 1 - min(1.0, config.loss.negatives_among / self.distinct)
        elif negatives:
            left *= math.exp(-negatives / self.distinct)
        encoded = self.distinct * (1 - left)
        sheet.add("teacher vectors of English sentences", encoded, "sentences", english * encoded)
        mean = sum(map(len, self.english)) / max(1, len(self.english))
        sheet.disk["cache"] += round(
            encoded * (self.teacher.bytes_of(self.english) / max(1, len(self.english)) + mean)
        )
        sheet.disk["cache"] += round(8 * encoded * self.teacher.tokens_of(self.english))
        looked_at = (min(draws, self.pairs) + min(2 * LOOKED_AT, self.pairs)) * len(self.task.roles)
        some = self.foreign[:PAIRS]
        cost, _ = sheet.meter.of(lambda: self.task.student.tokenize(some, self.task.roles[0]))
        sheet.add("word pieces", looked_at, "sentences", cost * (looked_at / max(1, len(some))))
        memory = 0
        for source, rate in self.passages:
            sheet.add("passages for the loss", len(source.texts), "passages", rate.of(source.texts))
            memory += rate.bytes_of(source.texts)
        sheet.disk["cache"] += memory
        sheet.need(memory)

    @property
    def english(self) -> list[str]:
        """English sentences of the pairs."""
        return list(self.task.bitext.english)

    def _per_text(self, rate: Encoding, texts: Sequence[str]) -> Cost:
        return rate.of(texts) * (1 / max(1, len(texts)))

    def _per_english(self) -> Cost:
        return self._per_text(self.teacher, self.english)

    # -- measurements ---------------------------------------------------------------------------------------

    def add_measurements(self) -> None:
        """Add the measurements of held-out retrieval and of the validation."""
        config, sheet, task = self.config, self.sheet, self.task
        times = measurements(config.training)
        examples = sum(map(len, task.held_out.examples.values()))
        if config.training.held_out and examples:
            searched = min(max(SEARCHED, config.training.held_out), self.distinct)
            rows = torch.arange(searched) % len(task.held_out.documents)
            task.held_out.__dict__["documents"] = task.held_out.documents.select(rows)
            cost, _ = sheet.meter.of(partial(task.held_out.measure, task.student))
            count = config.training.held_out * self.pairs / self.distinct
            sheet.add("held-out retrieval", times * count, "queries", cost * (times * count / examples))
        if config.validation is not None:
            self._add_validation(times)

    def _add_validation(self, times: int) -> None:
        """Add the validation's documents, and its searches during the training."""
        config, sheet, task = self.config, self.sheet, self.task
        assert config.validation is not None
        scoring = config.evaluation.scoring[0]
        scoring = SCORINGS[scoring].exact or scoring
        kind = vector_kind(scoring)
        role = task.teacher.document_role(symmetric=config.validation.reader.symmetric)
        for collection in check_validation(config):
            passages = document_texts(collection, context=config.validation.context)
            asked = [query.text for query in collection.queries]
            documents = measure(sheet.meter, task.teacher, passages, role, self.runtime.precision)
            queries = measure(sheet.meter, task.student, asked, "query", self.runtime.precision)
            sheet.add("validation: documents", len(passages), "documents", documents.of(passages))
            sheet.disk["cache"] += documents.bytes_of(passages)
            part = part_of(collection, ASKED, len(passages))
            search = partial(
                evaluate_collection,
                part,
                repeated(queries, kind, len(part.queries)),
                repeated(documents, kind, len(passages)),
                scoring=scoring,
                depth=config.evaluation.depth,
            )
            cost, _ = sheet.meter.of(search)
            one = queries.of(asked) + cost * (len(asked) / max(1, len(part.queries)))
            sheet.add("validation: searches", times * len(asked), "queries", one * times)


def spaced(pairs: Pairs, count: int) -> Pairs:
    """Return at most `count` evenly spaced pairs."""
    if count >= len(pairs):
        return pairs
    return pairs.select(np.linspace(0, len(pairs), count, endpoint=False).astype(np.int64))


def _length(batch: Sequence[Example]) -> int:
    return sum(example.length for example in batch)
