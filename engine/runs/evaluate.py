"""A run that evaluates encoders as they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from engine.bitext.pairs import DistinctTexts, Pairs
from engine.bitext.source import draw
from engine.collections.load import load_collections
from engine.config import EncoderConfig, EvaluateConfig
from engine.encoders.checkpoints import FITTED_FILE
from engine.encoders.encoder import Encoder
from engine.encoders.fitting import (
    evenly_spaced,
    fit,
    fitted_partner,
    needs_fitting,
    same_space,
    same_weights,
)
from engine.encoders.saving import save_fitted
from engine.errors import InputError
from engine.evaluation.language_removal import (
    COMPONENTS_FILE,
    Isolation,
    LanguageComponents,
    LanguageShifts,
    Removal,
    Shift,
    given_components,
)
from engine.evaluation.runner import document_texts, evaluate
from engine.evaluation.scores import Scores
from engine.extensions.bitext import SentencePair
from engine.lexicon.glossary import Glossary
from engine.paths import expanded
from engine.reporting import Reporter
from engine.results.run_folder import RunFolder
from engine.training.data.bitext import MANY, bitext_rows, read_sources, texts_by_language
from engine.training.data.glossary import glossary_of
from engine.training.data.prepare import read_bitext
from engine.training.distillation.encoders import check_projection
from engine.training.runtime import Runtime

FittedState = dict[str, torch.Tensor]
"""The parts of an encoder's state that are fitted: its mean and projection."""


def evaluate_run(config: EvaluateConfig, run: RunFolder, reporter: Reporter) -> list[Scores]:
    """Load the encoders, fit what is not fitted yet, and search every collection.

    Raises
    ------
    OpticalError, KeyboardInterrupt
        As `engine.runs.execute.execute`.
    """
    runtime = Runtime.start(config.seed)  # a linear projection that was never saved is drawn at random
    run.update(device=str(runtime.device))
    queries, documents = open_encoders(config, runtime.precision, reporter)
    if config.gloss:
        queries.glossary = _learnt_glossary(config, run, reporter)
    isolation = removal_of(config, run.checkpoints / COMPONENTS_FILE, queries, documents)
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


def open_encoders(
    config: EvaluateConfig,
    precision: torch.dtype,
    reporter: Reporter,
    known: dict[str, FittedState] | None = None,
) -> tuple[Encoder, Encoder]:
    """Load the query encoder and the document encoder, and fit what is not fitted yet.

    `known` keeps what was fitted, for encoders that differ only in what concerns queries.

    Raises
    ------
    InputError
        If an encoder cannot be loaded or fitted.
    """
    check_projection(config.encoder, "encoder")
    check_shift(config)
    queries = Encoder.load(config.encoder)
    documents = queries
    if config.document_encoder is not config.encoder:
        documents = Encoder.load(config.document_encoder)
    _fit(config, queries, documents, precision, reporter, {} if known is None else known)
    if queries.components and not config.language_components:
        count = len(next(iter(queries.components.values())))
        reporter.say(
            f"{config.encoder.checkpoint!r} was trained without {count} of each language's components, "
            f"which are not removed here; language_components = {count} removes them"
        )
    return queries, documents


def _learnt_glossary(config: EvaluateConfig, run: RunFolder, reporter: Reporter) -> Glossary:
    """Return a glossary from the bitext without what overlaps with the evaluation; mark the questions.

    Raises
    ------
    InputError
        If the bitext cannot be read, or nothing of it is left.
    """
    bitext = read_bitext(
        config.bitext, config.collections, overlap="drop", seed=config.seed, reporter=reporter, setting=None
    )
    used = bitext.overlap.drop(bitext.pairs, bitext.drops)
    run.write_table("bitext", bitext_rows(config.bitext, used, bitext.drops))
    glossary = glossary_of(bitext, config.seed, reporter)
    if marks := bitext.overlap.marks(used):
        run.write_table("topics", marks, append=True)
    return glossary


def removal_of(
    config: EvaluateConfig, fitted_file: Path, queries: Encoder, documents: Encoder
) -> Removal | None:
    """Return what is removed from vectors, if `config` removes something; what is fitted is saved in a file.

    Components that a distillation saved with the encoders are used as they are (``fitted = "saved"``).

    Raises
    ------
    InputError
        If the bitext or the file cannot be read.
    """
    if config.language_components:
        given = {} if config.fitted == "new" else given_components(queries, documents)
        given = {key: one for key, one in given.items() if len(one) == config.language_components}
        return Isolation(
            LanguageComponents(config.language_components, fitted_file),
            texts_by_language(_pairs(config)),
            given,
        )
    if config.language_shift:
        return Shift(LanguageShifts(fitted_file), *_translations(config))
    return None


def _fit(
    config: EvaluateConfig,
    queries: Encoder,
    documents: Encoder,
    precision: torch.dtype,
    reporter: Reporter,
    known: dict[str, FittedState],
) -> None:
    """Give both encoders a mean and a projection: those of the run that saved them, or else fitted ones.

    Raises
    ------
    InputError
        If one encoder keeps what a run fitted, and nothing of it fits the other one.
    """
    encoders = [documents] if documents is queries else [documents, queries]
    refit = config.fitted == "new"
    unfitted = [one for one in encoders if needs_fitting(one.config) or (refit and _is_fitted(one.config))]
    if len(unfitted) == 1 and len(encoders) == 2:
        (one,) = unfitted
        other = documents if one is queries else queries
        if _is_fitted(other.config):
            _share(one, other, reporter)
            return
    if not unfitted:
        return
    # All texts are encoded as the documents of the first collection.
    symmetric = config.collections[0].reader.symmetric
    keys = [passage_key(encoder.config) for encoder in unfitted]
    texts = [] if known.keys() >= set(keys) else _unlabelled(config)
    for encoder, key in zip(unfitted, keys, strict=True):
        if key in known:
            encoder.load_state_dict(known[key], strict=False)
        elif any(text.strip() for text in texts) or encoder.config.projection == "whitening":
            role = encoder.document_role(symmetric=symmetric)
            fit(encoder, evenly_spaced(texts), role, precision=precision)
            known[key] = {
                name: value.clone()
                for name, value in encoder.state_dict().items()
                if not name.startswith("model.")
            }
        else:
            reporter.say("there is no text to fit the centring mean on, so vectors are not centred")


def passage_key(config: EncoderConfig) -> str:
    """Return the settings on which the vectors of documents depend: all but those of queries.

    Without a prefix of passages, documents may have that of queries.
    """
    of_queries = {"query_length"} if config.passage_prefix is None else {"query_prefix", "query_length"}
    return config.model_dump_json(exclude=of_queries)


def _is_fitted(config: EncoderConfig) -> bool:
    """Return whether a run saved a mean or a projection with the encoder, and it uses one."""
    folder = expanded(config.checkpoint)
    return (config.centring or config.projection == "whitening") and (folder / FITTED_FILE).is_file()


def _share(encoder: Encoder, saved: Encoder, reporter: Reporter) -> None:
    """Give `encoder` the mean and projection of the run that saved the other encoder, `saved`."""
    ours, theirs = encoder.config.checkpoint, saved.config.checkpoint
    beside = fitted_partner(saved.config, encoder.config)
    if same_weights(encoder.config, saved.config) and same_space(encoder.config, saved.config):
        encoder.load_fitted(expanded(theirs))
    elif beside is not None:
        encoder.load_fitted(beside)
    else:
        raise InputError(
            f"{theirs!r} keeps the mean and projection of the run that saved it, and next to it there are "
            f"none for {ours!r}; name that run's other encoder, or set fitted = 'new' to fit both on "
            "unlabelled text"
        )
    reporter.say(f"{ours!r} takes the mean and projection that were saved with {theirs!r} (fitted = 'saved')")


def _translations(config: EvaluateConfig) -> tuple[dict[str, tuple[Sequence[str], Sequence[str]]], str]:
    """Return the texts of each language with their translations, and the language of these.

    At most as many pairs of a language are taken as a mean is fitted on.
    """
    pairs: dict[str, dict[SentencePair, None]] = {}
    for pair in _pairs(config).spaced_in_each_language(MANY):
        pairs.setdefault(pair.source_language, {})[pair] = None
    sides = {code: ([p.source for p in found], [p.target for p in found]) for code, found in pairs.items()}
    # the texts of both sides have the same places
    chosen = {code: (evenly_spaced(own), evenly_spaced(others)) for code, (own, others) in sides.items()}
    return chosen, config.bitext[0].target_language


def check_shift(config: EvaluateConfig) -> None:
    """Check that languages that are shifted have translations in one language.

    Raises
    ------
    InputError
        If there is no bitext, or it has several target languages.
    """
    if not config.language_shift:
        return
    if not config.bitext:
        raise InputError("language_shift is fitted on sentence pairs; name them in [[bitext]]")
    if len(targets := sorted({source.target_language for source in config.bitext})) > 1:
        raise InputError(
            f"language_shift needs translations in one language, not in {' and '.join(targets)}; leave out "
            "the sources in the others"
        )


def _unlabelled(config: EvaluateConfig) -> Sequence[str]:
    if config.bitext:
        return DistinctTexts(_pairs(config))
    first = config.collections[0]
    return document_texts(load_collections(first, config.seed)[0], context=first.context)


def _pairs(config: EvaluateConfig) -> Pairs:
    """Return the pairs of the bitext, of each source at most as many as its limit."""
    sources, _ = read_sources(config.bitext)
    limits = [source.limit for source in config.bitext]
    return Pairs.joined(
        [draw(pairs, limit, config.seed) for limit, pairs in zip(limits, sources, strict=True)]
    )
