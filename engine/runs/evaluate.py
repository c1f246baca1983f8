"""A run that evaluates encoders as they are."""

from __future__ import annotations

from collections.abc import Sequence

from engine.collections.load import load_collections
from engine.config import EvaluateConfig
from engine.encoders.encoder import Encoder
from engine.encoders.fitting import evenly_spaced, fit, needs_fitting
from engine.encoders.saving import save_fitted
from engine.evaluation.language_removal import COMPONENTS_FILE, Isolation, LanguageComponents
from engine.evaluation.runner import document_texts, evaluate
from engine.evaluation.scores import Scores
from engine.reporting import Reporter
from engine.results.run_folder import RunFolder
from engine.training.data.bitext import read_sources
from engine.training.distillation.encoders import check_projection
from engine.training.runtime import Runtime


def evaluate_run(config: EvaluateConfig, run: RunFolder, reporter: Reporter) -> list[Scores]:
    """Load the encoders, fit what is not fitted yet, and search every collection.

    Raises
    ------
    OpticalError, KeyboardInterrupt
        As `engine.runs.execute.execute`.
    """
    runtime = Runtime.start(config.seed)  # a linear projection that was never saved is drawn at random
    run.update(device=str(runtime.device))
    check_projection(config.encoder, "encoder")
    queries = Encoder.load(config.encoder)
    documents = queries
    if config.teacher is not None and config.evaluation.documents == "teacher":
        documents = Encoder.load(config.teacher)
    encoders = [documents] if documents is queries else [documents, queries]
    if any(needs_fitting(encoder.config) for encoder in encoders):
        texts = _unlabelled(config)
        for encoder in encoders:
            if not needs_fitting(encoder.config):
                continue
            if any(text.strip() for text in texts) or encoder.config.projection == "whitening":
                fit(encoder, evenly_spaced(texts), "passage", precision=runtime.precision)
            else:
                reporter.say("there is no text to fit the centring mean on, so vectors are not centred")
    isolation = None
    if config.language_components:
        components = LanguageComponents(config.language_components, run.checkpoints / COMPONENTS_FILE)
        isolation = Isolation(components, _by_language(config))
    save_fitted(queries, run.checkpoints / "student")
    save_fitted(documents, run.checkpoints / "teacher")
    return evaluate(
        config.collections,
        config.evaluation,
        queries=queries.to(runtime.device),
        documents=documents.to(runtime.device),
        precision=runtime.precision,
        run=run,
        seed=config.seed,
        reporter=reporter,
        translation=config.translation,
        isolation=isolation,
    )


def _by_language(config: EvaluateConfig) -> dict[str, Sequence[str]]:
    """Return the texts of the bitext by language, at most as many of each as a mean is fitted on."""
    texts: dict[str, dict[str, None]] = {}
    if config.bitext:
        sources, _ = read_sources(config.bitext)
        for pair in (pair for pairs in sources for pair in pairs):
            texts.setdefault(pair.source_language, {})[pair.source] = None
            texts.setdefault(pair.target_language, {})[pair.target] = None
    return {code: evenly_spaced(list(found)) for code, found in texts.items()}


def _unlabelled(config: EvaluateConfig) -> list[str]:
    if config.bitext:
        sources, _ = read_sources(config.bitext)
        return list(dict.fromkeys(pair.target for pairs in sources for pair in pairs))
    first = config.collections[0]
    return document_texts(load_collections(first, config.seed)[0], context=first.context)
