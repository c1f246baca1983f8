"""A cross-encoder learns from bitext which English sentence a query in another language means.

Jiang et al. 2020 ("Cross-lingual Information Retrieval with BERT", arXiv 2004.13005) fine-tune multilingual
BERT as a classifier over query and sentence, with training data made of a parallel corpus, since no relevance
judgements exist: a query made of one side of a pair belongs to the other side, and to no other sentence. What
differs here, by choice or because the paper leaves it open:

- The direction is this project's: the query is in the other language, the document is English.
- The query is the whole sentence, which is what bitext retrieval asks; `query_words` makes short ones of
  words in a row, like the paper's.
- Negatives are English sentences close to the right one in a teacher's vectors (or random ones), several to
  a query. With short queries, sentences whose translation holds the query's words are none.
- The encoder is any checkpoint, with a new head over the first token's state; the loss is binary
  cross-entropy over all pairs of a batch alike.
- What is kept is the checkpoint that ranks held-out pairs best.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from engine.bitext.source import draw
from engine.config import BitextConfig, CollectionConfig
from engine.config.cross_encoder import CrossEncoderConfig, CrossTrainingConfig
from engine.encoders.cross import CrossEncoder
from engine.encoders.encoder import Encoder
from engine.encoders.trimming import trim, untrim
from engine.extensions.bitext import SentencePair
from engine.paths import cache_home
from engine.reporting import SILENT, Reporter
from engine.results.run_folder import RunFolder
from engine.retrieval.vectors import sentence_vectors
from engine.training.cross_encoder.examples import Sentences, reciprocal_ranks, words_of
from engine.training.data.alignment import repair
from engine.training.data.bitext import Pairs, bitext_rows, read_sources, set_aside
from engine.training.data.overlap import Overlap
from engine.training.distillation.batches import Example, draw_batches
from engine.training.loop import TrainingLoop
from engine.training.optimiser import PROJECTION_RATE, adamw, freeze_model


@dataclass(frozen=True)
class Learning:
    """What a run learns from and is evaluated on; the collections are the first stage's."""

    bitext: Sequence[BitextConfig]
    collections: Sequence[CollectionConfig]
    training: CrossTrainingConfig
    seed: int


class CrossTraining(TrainingLoop[list[Example]]):
    """The training of one cross-encoder.

    Parameters
    ----------
    config : CrossEncoderConfig
        The run's configuration.
    collections : sequence of CollectionConfig
        What will be ranked anew: none of its sentences is learnt from.
    run : RunFolder
        Where metrics and checkpoints go.
    reporter : Reporter
        Who watches.

    Raises
    ------
    InputError
        If a source or a checkpoint is missing or broken, or nothing is left to learn from.
    """

    def __init__(
        self,
        config: CrossEncoderConfig,
        collections: Sequence[CollectionConfig],
        run: RunFolder,
        reporter: Reporter = SILENT,
    ) -> None:
        super().__init__(config.training, config.seed, run, reporter)
        self.config = config
        self.cross = CrossEncoder.load(
            config.checkpoint, config.max_length, new_head=True, dropout=config.training.dropout
        )
        pairs, hashes = self._pairs(collections)
        every = [*pairs.training, *pairs.held_out]
        texts = list(dict.fromkeys(pair.target for pair in every))
        in_training = len({pair.target for pair in pairs.training})
        reporter.say(
            f"{len(pairs.training):,} training pairs, {len(pairs.held_out):,} held out, "
            f"{len(texts):,} English sentences"
        )
        self.sentences = Sentences(texts, in_training, every, self._teacher_vectors(texts))
        del self.teacher  # its part is done
        self.examples: dict[str, list[Example]] = {}
        for pair in pairs.training:
            row = self.sentences.rows[pair.target]
            length = len(pair.source) + len(pair.target)
            self.examples.setdefault(pair.source_language, []).append(
                Example(pair.source, pair.source_language, row, length)
            )
        self.asked = [self.sentences.asked(pair) for pair in pairs.held_out]
        if config.training.trim_vocabulary:
            trim(self.cross, self._pieces(every))
        freeze_model(self.cross.model.base_model, config.training)
        self.cross.to(self.device)
        if self.device.type == "cpu" and self.precision == torch.bfloat16:
            # the fused kernel's backward pass is the slower one here
            self.cross.model.set_attn_implementation("eager")
        fresh = {
            id(parameter): PROJECTION_RATE
            for name, parameter in self.cross.model.named_parameters()
            if name in self.cross.fresh
        }
        self.begin(self.cross, adamw(self.cross, config.training, fresh), hashes, 0.0)

    # -- preparation ------------------------------------------------------------------------------

    def _pairs(self, collections: Sequence[CollectionConfig]) -> tuple[Pairs, list[str]]:
        """Read the bitext as a distillation does; return the pairs, and the hashes of its sources."""
        config = self.config
        sources, dropped = read_sources(config.bitext)
        learning = Learning(config.bitext, collections, config.training, config.seed)
        overlap = Overlap(learning, sources, self.reporter)
        self.teacher = Encoder.load(config.teacher).to(self.device)
        if config.training.alignment == "repair":
            sources = [
                repair(pairs, self.teacher, self.precision, self.run, self.reporter) for pairs in sources
            ]
        sources = overlap.drop(sources, dropped)  # not before: a shift shows among neighbours only
        sources = [
            draw(pairs, source.limit, config.seed)
            for source, pairs in zip(config.bitext, sources, strict=True)
        ]
        records = bitext_rows(config.bitext, sources, dropped)
        self.run.write_table("bitext", records)
        found = [pair for pairs in sources for pair in pairs]
        return set_aside(found, config.training.held_out), [str(record["hash"]) for record in records]

    def _teacher_vectors(self, texts: Sequence[str]) -> torch.Tensor:
        self.reporter.stage("teacher vectors", len(texts))
        return sentence_vectors(
            self.teacher,
            texts,
            "passage",
            precision=self.precision,
            cache=cache_home() / "vectors",
            progress=self.reporter.advance,
        )

    def _pieces(self, pairs: Sequence[SentencePair]) -> set[int]:
        """Return the word pieces of all texts, and of their words alone, as a query may begin with any."""
        texts = dict.fromkeys(text for pair in pairs for text in (pair.source, pair.target))
        if self.config.training.query_words is not None:
            texts |= dict.fromkeys(word for pair in pairs for word in pair.source.split())
        encoded = self.cross.tokenizer(list(texts), add_special_tokens=False, verbose=False)
        return {piece for ids in encoded["input_ids"] for piece in ids}

    # -- the loop ---------------------------------------------------------------------------------

    def train(self) -> CrossEncoder:
        """Run the loop (`TrainingLoop.run_loop`), and return the model with its best weights."""
        self.run_loop()
        return self.finish()

    def finish(self) -> CrossEncoder:
        """Load the best weights so far, with the whole vocabulary."""
        self.restore_best()
        untrim(self.cross)
        self.cross.model.set_attn_implementation("sdpa")
        self.cross.eval()
        judged = self.asked and self.progress.step >= self.training.evaluate_every
        if judged and not self.progress.best_step:
            self.reporter.say("no step ranked held-out pairs better than before training; see the curves")
        return self.cross

    def _batches(self) -> Iterator[list[Example]]:
        config = self.config.training
        return draw_batches(
            self.examples,
            batch_size=config.batch_size,
            alpha=config.sampling,
            anchor=0.0,
            seed=self.config.seed,
        )

    def _step(self, step: int, batch: list[Example]) -> dict[str, float]:
        config = self.config.training
        queries: list[str] = []
        rows: list[int] = []
        labels: list[float] = []
        for example in batch:
            query = example.text
            if config.query_words is not None:
                query = words_of(query, config.query_words, self.generator)
            against = self.sentences.against(
                example.text,
                query,
                example.language,
                example.target,
                config.negatives,
                self.generator,
                nearest=config.negatives_from == "nearest",
            )
            rows += [example.target, *against]
            queries += [query] * (1 + len(against))
            labels += [1.0] + [0.0] * len(against)
        self.cross.train()
        with torch.autocast(self.device.type, dtype=self.precision, enabled=self.precision != torch.float32):
            logits = self.cross(self.cross.tokenize(queries, [self.sentences.texts[row] for row in rows]))
        wanted = torch.tensor(labels, device=logits.device)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, wanted)
        accuracy = float(((logits > 0) == (wanted > 0.5)).float().mean())
        return self._update(step, loss, {"accuracy": accuracy})

    def _measure(self) -> dict[str, float] | None:
        if not self.asked:
            return None
        texts = self.sentences.texts
        scores = self.cross.score(
            [query.text for query in self.asked for _ in query.candidates],
            [texts[row] for query in self.asked for row in query.candidates],
            batch_size=self.config.batch_size,
            precision=self.precision,
        )
        found = reciprocal_ranks(scores.double().numpy(), self.asked)
        figures = {f"held_out_rr_{code}": sum(values) / len(values) for code, values in found.items()}
        figures["held_out_rr"] = sum(figures.values()) / len(figures)
        return figures
