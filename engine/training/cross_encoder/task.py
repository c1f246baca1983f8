"""Training a cross-encoder: it learns from bitext which English sentence translates a query.

Jiang et al. 2020 ("Cross-lingual Information Retrieval with BERT", arXiv 2004.13005) fine-tune multilingual
BERT as a classifier of query and sentence. The training data is a parallel corpus, because there are no
relevance judgements: a query that is made of one side of a pair belongs to the other side, and to no other
sentence. The differences here, by choice or because the paper does not specify it:

- The query is in the other language, and the document is English.
- The query is the whole sentence, as in bitext retrieval; `query_words` makes short queries of consecutive
  words, as in the paper.
- Each query has several negatives, English sentences near the right one in a teacher's vectors (or random
  ones). With short queries, a sentence whose translation contains the query's words is no negative.
- The encoder is any checkpoint, with a new head over the state of the first token. The loss is binary
  cross-entropy, with the same weight for all pairs of a batch.
- The weights that rank held-out pairs best are kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from engine.bitext.pairs import Pairs
from engine.config import CollectionConfig, CrossEncoderConfig
from engine.encoders.cross import CrossEncoder
from engine.encoders.encoder import Encoder
from engine.encoders.trimming import trim, untrim
from engine.reporting import SILENT, Reporter
from engine.retrieval.vectors import sentence_vectors, vectors_folder
from engine.training.cross_encoder.examples import Candidates, Sentences, reciprocal_ranks, words_of
from engine.training.data.alignment import Aligner
from engine.training.data.prepare import PreparedBitext, prepare, read_bitext
from engine.training.distillation.batches import WINDOW, Example, Place, draw_windows
from engine.training.distillation.known_tokens import CHUNK
from engine.training.optimiser import (
    PROJECTION_RATE,
    adamw,
    check_batch_size,
    freeze_model,
    layer_rates,
)
from engine.training.runtime import Runtime, use_inference_attention, use_training_attention
from engine.training.trainer import TaskInfo


def prepare_cross_encoder(
    config: CrossEncoderConfig,
    collections: Sequence[CollectionConfig],
    runtime: Runtime,
    reporter: Reporter = SILENT,
) -> CrossEncoderTraining:
    """Load the checkpoint, read and align the bitext, and encode its English sentences with the teacher.

    Parameters
    ----------
    config : CrossEncoderConfig
        The run's configuration.
    collections : sequence of CollectionConfig
        What will be re-ranked: none of its sentences is trained on.
    runtime : Runtime
        Where it computes.
    reporter : Reporter
        Receives progress.

    Raises
    ------
    InputError
        If a source or a checkpoint is missing or broken, or nothing is left to train on.
    """
    cross = CrossEncoder.load(
        config.checkpoint, config.max_length, new_head=True, dropout=config.training.dropout
    )
    bitext = read_bitext(
        config.bitext, collections, overlap=config.training.overlap, seed=config.seed, reporter=reporter
    )
    teacher = Encoder.load(config.teacher).to(runtime.device)
    repair = config.training.alignment == "repair"
    prepared = prepare(
        bitext,
        aligner=Aligner(teacher, runtime.precision) if repair else None,
        held_out=config.training.held_out,
        seed=config.seed,
        reporter=reporter,
    )
    rows = Candidates.chosen(prepared.in_training, len(prepared.english), config.seed)
    reporter.stage("teacher vectors", len(rows))
    vectors = sentence_vectors(
        teacher,
        [prepared.english[row] for row in rows.tolist()],
        "passage",
        precision=runtime.precision,
        cache=vectors_folder(),
        progress=reporter.advance,
    )

    def encode(texts: Sequence[str]) -> Tensor:
        return sentence_vectors(teacher, texts, "passage", precision=runtime.precision)

    candidates = Candidates(rows, vectors, encode)
    return CrossEncoderTraining(config, prepared, cross, candidates, runtime, reporter)


class CrossEncoderTraining:
    """The training of a cross-encoder, as a task for the `Trainer`.

    Parameters
    ----------
    config : CrossEncoderConfig
        The run's configuration.
    bitext : PreparedBitext
        What it trains on.
    cross : CrossEncoder
        The cross-encoder.
    candidates : Candidates
        The English sentences that may be negatives, with the teacher's vectors.
    runtime : Runtime
        Where it computes.
    reporter : Reporter
        Receives the progress of what is computed before the first step.

    Raises
    ------
    InputError
        If there is one English sentence only, a batch is larger than the data, or the model has fewer layers
        than are frozen.
    """

    def __init__(
        self,
        config: CrossEncoderConfig,
        bitext: PreparedBitext,
        cross: CrossEncoder,
        candidates: Candidates,
        runtime: Runtime,
        reporter: Reporter = SILENT,
    ) -> None:
        self.config, self.bitext, self.cross, self.runtime = config, bitext, cross, runtime
        self.info = TaskInfo(patience=config.training.patience)
        self.hashes = bitext.hashes
        pairs = Pairs.joined([bitext.training, bitext.held_out])
        self.sentences = Sentences(pairs, bitext.english, bitext.in_training, candidates)
        self.places = bitext.training.languages()
        self.sizes = {language: len(places) for language, places in self.places.items()}
        check_batch_size(config.training.batch_size, len(bitext.training))
        rows = bitext.english.rows[len(bitext.training) :].tolist()
        self.queries = [
            self.sentences.held_out_query(pair, row) for pair, row in zip(bitext.held_out, rows, strict=True)
        ]
        if config.training.trim_vocabulary:
            trim(cross, self._pieces(reporter))
        freeze_model(cross.model.base_model, config.training)
        cross.to(runtime.device)
        use_training_attention(cross.model, runtime)
        rates = layer_rates(cross.model.base_model, config.training.layer_decay)
        rates |= {
            id(parameter): PROJECTION_RATE
            for name, parameter in cross.model.named_parameters()
            if name in cross.fresh
        }
        self.learner = cross
        self.optimiser = adamw(cross, config.training, rates)

    def _pieces(self, reporter: Reporter) -> set[int]:
        """Return the word pieces of all texts that the run draws or measures.

        They are also those of each word, if a short query may begin with it.
        """
        training = self.config.training
        total = min(training.steps * training.batch_size, len(self.bitext.training))
        reporter.stage("word pieces", total)
        held = self.queries
        texts = [query.text for query in held]
        texts += [self.sentences.texts[row] for query in held for row in query.candidates]
        pieces = self._pieces_of([*texts, *self.sentences.negatives_from])
        drawn = self._drawn()
        while pairs := list(islice(drawn, CHUNK)):
            texts = [text for pair in pairs for text in pair]
            if training.query_words is not None:
                texts += [word for source, _ in pairs for word in source.split()]
            pieces |= self._pieces_of(texts)
            reporter.advance(len(pairs))
        return pieces

    def _pieces_of(self, texts: Sequence[str]) -> set[int]:
        encoded = self.cross.tokenizer(list(dict.fromkeys(texts)), add_special_tokens=False, verbose=False)
        return {piece for ids in encoded["input_ids"] for piece in ids}

    def _drawn(self) -> Iterator[tuple[str, str]]:
        """Yield the pairs that the run draws; all, if it draws as many as there are."""
        training, pairs = self.config.training, self.bitext.training
        if training.steps * training.batch_size < len(pairs):
            for window in islice(self._windows(), -(-training.steps // WINDOW)):
                for example in (example for batch in window for example in batch):
                    yield example.text, self.sentences.texts[example.target]
            return
        yield from zip(pairs.texts("source"), pairs.texts("target"), strict=True)

    # -- the task ---------------------------------------------------------------------------------------

    def batches(self) -> Iterator[list[Example]]:
        """Yield batches without end."""
        for window in self._windows():
            yield from window

    def _windows(self) -> Iterator[list[list[Example]]]:
        config = self.config.training
        return draw_windows(
            self.sizes,
            self._examples,
            batch_size=config.batch_size,
            alpha=config.sampling,
            anchor=0.0,
            seed=self.config.seed,
        )

    def _examples(self, places: Sequence[Place]) -> list[Example]:
        """Return the examples at some places."""
        pairs = [int(self.places[language][place]) for language, place in places]
        rows = self.bitext.english.rows[pairs].tolist()
        sources = self.bitext.training.texts("source", pairs)
        return [
            Example(source, language, row, len(source) + len(self.bitext.english[row]))
            for (language, _), source, row in zip(places, sources, rows, strict=True)
        ]

    def loss(
        self, step: int, batch: list[Example], generator: np.random.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Return the binary cross-entropy of a batch, and the share of pairs that are classified right."""
        config = self.config.training
        queries: list[str] = []
        rows: list[int] = []
        labels: list[float] = []
        for example in batch:
            query = example.text
            if config.query_words is not None:
                query = words_of(query, config.query_words, generator)
            negatives = self.sentences.negatives(
                example.text,
                query,
                example.language,
                example.target,
                config.negatives,
                generator,
                nearest=config.negatives_from == "nearest",
            )
            rows += [example.target, *negatives]
            queries += [query] * (1 + len(negatives))
            labels += [1.0] + [0.0] * len(negatives)
        self.cross.train()
        with self.runtime.autocast():
            logits = self.cross(self.cross.tokenize(queries, [self.sentences.texts[row] for row in rows]))
        wanted = torch.tensor(labels, device=logits.device)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, wanted)
        accuracy = float(((logits > 0) == (wanted > 0.5)).float().mean())
        return loss, {"accuracy": accuracy}

    def measure(self) -> dict[str, float] | None:
        """Return the mean reciprocal rank of the right sentence, by language and over languages."""
        if not self.queries:
            return None
        texts = self.sentences.texts
        scores = self.cross.score(
            [query.text for query in self.queries for _ in query.candidates],
            [texts[row] for query in self.queries for row in query.candidates],
            batch_size=self.config.batch_size,
            precision=self.runtime.precision,
        )
        found = reciprocal_ranks(scores.double().numpy(), self.queries)
        figures = {f"held_out_rr_{code}": sum(values) / len(values) for code, values in found.items()}
        figures["held_out_rr"] = sum(figures.values()) / len(figures)
        return figures

    def finish(self) -> CrossEncoder:
        """Return the cross-encoder, ready for inference with its whole vocabulary."""
        untrim(self.cross)
        use_inference_attention(self.cross.model)
        return self.cross.eval()
