"""What an evaluation of encoders as they are will need."""

from __future__ import annotations

from engine.collections.load import load_collections
from engine.config import EvaluateConfig
from engine.encoders.encoder import Encoder
from engine.encoders.fitting import FITTED_ON, needs_fitting
from engine.estimate.encoding import measure
from engine.estimate.searching import add_evaluation
from engine.estimate.sheet import Cost, Sheet
from engine.estimate.sources import read
from engine.evaluation.runner import document_texts
from engine.training.runtime import Runtime


def estimate_evaluate(config: EvaluateConfig, sheet: Sheet) -> None:
    """Add the stages of an evaluation to an estimate.

    Raises
    ------
    InputError
        If a collection, a source or a checkpoint is missing or broken.
    """
    runtime = Runtime.start(config.seed)
    sheet.meter.device = runtime.device
    cost, queries = sheet.meter.of(lambda: Encoder.load(config.encoder).to(runtime.device))
    documents = queries
    if config.document_encoder is not config.encoder:
        more, documents = sheet.meter.of(lambda: Encoder.load(config.document_encoder).to(runtime.device))
        cost += more
    encoders = [queries] if documents is queries else [queries, documents]
    sheet.add("loading the encoders", len(encoders), "encoders", cost)
    sources = [read(sheet.meter, source) for source in config.bitext]
    reading = sum((source.cost for source in sources), Cost())
    sheet.add("reading and cleaning pairs", sum(source.kept for source in sources), "pairs", reading)
    removed = config.language_components or config.language_shift
    if removed or any(needs_fitting(encoder.config) for encoder in encoders):
        first = config.collections[0]
        texts = [text for source in sources for text in source.pairs.texts("source")]
        if not texts:
            loaded = load_collections(first, config.seed)[0]
            texts = document_texts(loaded, context=first.context)
        role = documents.document_role(symmetric=first.reader.symmetric)
        rate = measure(sheet.meter, documents, texts, role, runtime.precision)
        one = rate.of(texts) * (1 / len(texts))
        fitted = min(FITTED_ON, len(texts)) * sum(needs_fitting(encoder.config) for encoder in encoders)
        sheet.add("fitting the mean", fitted, "texts", one * fitted)
        if removed:
            languages = len({source.language for source in config.bitext}) + 1 if sources else 0
            count = 2 * FITTED_ON * languages
            sheet.add("what is removed of each language", count, "texts", one * count)
    if config.gloss:
        sheet.note("learning the glossary is not counted")
    add_evaluation(
        sheet,
        config.collections,
        config.evaluation,
        queries=queries,
        documents=documents,
        precision=runtime.precision,
        seed=config.seed,
        translation=config.translation,
    )
