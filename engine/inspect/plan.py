"""Solve the transport plan of a sentence pair with a run's encoders and settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from engine.config import DistilConfig, EncoderConfig, RunHeader, TransportConfig
from engine.encoders.components import component_key, language_of, remove_components, role_of
from engine.encoders.encoder import Encoded, Encoder, Role, document_role
from engine.errors import InputError
from engine.evaluation.document_frequencies import load_frequencies
from engine.evaluation.finished_run import config_of, saved_encoders
from engine.evaluation.plan_rows import PlanRow, plan_row
from engine.extensions.transport import SOLVERS
from engine.inspect.cache import Cache, Recent
from engine.inspect.texts import clean_text
from engine.reporting import SILENT, Reporter
from engine.results.run_folder import RunFolder
from engine.transport import TokenTransport
from engine.validation import validate_settings


class Planner:
    """Solves plans of sentence pairs; a pair that was encoded before is not encoded again.

    Parameters
    ----------
    cache : Cache, optional
        Keeps the encoders.
    most : int
        The most encoded pairs that are kept; each needs some ten kilobytes.
    """

    def __init__(self, cache: Cache | None = None, most: int = 32) -> None:
        self.cache = cache or Cache()
        self._pairs: Recent[EncodedPair] = Recent(most)

    def plan(
        self,
        run: RunFolder,
        source: str,
        target: str,
        transport: TransportConfig,
        *,
        language: str = "und",
        reporter: Reporter = SILENT,
    ) -> PlanRow:
        """Return the transport plan of a sentence pair.

        Parameters
        ----------
        run : RunFolder
            A finished run with encoders.
        source, target : str
            The sentences that the run's query encoder and document encoder read.
        transport : TransportConfig
            How the plan is solved (see `transport_settings`).
        language : str
            Code of the source's language, which is recorded with the plan.
        reporter : Reporter
            Receives the progress of loading.

        Raises
        ------
        InputError
            If the run has no encoders, a sentence has no counted token, is too long or contains control
            characters, or the run did not keep what the marginals are made from.
        """
        encoders = saved_encoders(run)
        role = target_role(config_of(run), encoders[1].config)

        def encode() -> EncodedPair:
            student, teacher = (self.cache.encoder(encoder, reporter) for encoder in encoders)
            return encode_pair(student, teacher, source, target, role, language)

        key = "\0".join([*(encoder.key for encoder in encoders), role, language, source, target])
        frequencies = load_frequencies(run.checkpoints)
        return solve_pair(self._pairs.get(key, encode), transport, language=language, idf=frequencies)


@dataclass(frozen=True)
class EncodedPair:
    """A sentence pair with the token vectors of both sides, ready to be solved with any settings.

    `head` is the student's head for learned marginals, if it has one.
    """

    source: str
    target: str
    source_tokens: list[str]
    target_tokens: list[str]
    query: Encoded
    document: Encoded
    head: torch.nn.Linear | None


@torch.inference_mode()
def encode_pair(
    student: Encoder, teacher: Encoder, source: str, target: str, target_role: Role, language: str = "und"
) -> EncodedPair:
    """Encode a sentence pair; `target_role` is the role in which the teacher encodes its sentence.

    If the student was trained without the components of languages, those of `language` are removed.

    Raises
    ------
    InputError
        If a sentence has no counted token, is too long or contains control characters, or the components of
        `language` are not known.
    """
    source, target = clean_text(source, "the source sentence"), clean_text(target, "the target sentence")
    query = student(student.tokenize([source], "query"), "query", attention=True)
    document = teacher(teacher.tokenize([target], target_role), target_role, attention=True)
    if student.components:
        query = _without(query, student, "query", language)
        others = {language_of(key) for key in teacher.components}
        document = _without(document, teacher, target_role, others.pop() if len(others) == 1 else "und")
    for side, text in ((query, source), (document, target)):
        if not side.mask.any():
            raise InputError(f"the sentence {text!r} has no token that counts")
    source_tokens = student.pieces(query.ids[0].tolist())
    target_tokens = teacher.pieces(document.ids[0].tolist())
    return EncodedPair(source, target, source_tokens, target_tokens, query, document, student.mass_head)


def _without(encoded: Encoded, encoder: Encoder, role: Role, language: str) -> Encoded:
    """Return the vectors of a text without the components of its language, which a distillation saved."""
    components = encoder.components.get(component_key("tokens", role, language))
    if components is None:
        known = sorted({language_of(key) for key in encoder.components if role_of(key) == role})
        raise InputError(
            f"the run removes components of languages, and has none of {language!r}; name the language of "
            f"the sentence, one of {', '.join(known)}"
        )
    return replace(encoded, tokens=remove_components(encoded.tokens, components))


@torch.inference_mode()
def solve_pair(
    pair: EncodedPair, config: TransportConfig, *, language: str, idf: Tensor | None = None
) -> PlanRow:
    """Return the transport plan of an encoded pair.

    Parameters
    ----------
    pair : EncodedPair
    config : TransportConfig
        How it is solved.
    language : str
        Code of the source's language, which is recorded with the plan.
    idf : Tensor of shape (V,), optional
        The inverse document frequencies that the run kept, for marginals by them.

    Raises
    ------
    InputError
        If what the marginals are made from is not available.
    """
    if config.needs("document_frequencies") and idf is None:
        raise InputError(
            f"transport.marginals: the run kept no document frequencies, so '{config.marginals}' cannot be "
            "used; choose other marginals"
        )
    plan = TokenTransport(config, idf, pair.head).plan(pair.query, pair.document)
    return plan_row(
        plan,
        0,
        pair="typed",
        language=language,
        source_text=pair.source,
        target_text=pair.target,
        source_tokens=pair.source_tokens,
        target_tokens=pair.target_tokens,
    )


def transport_settings(run: RunHeader, changes: Mapping[str, Any]) -> TransportConfig:
    """Return the transport settings of a run's configuration, with `changes`.

    A run that distilled nothing has the default settings. Annealing is turned off where it does not fit the
    changed settings, and another solver does its own number of iterations unless `changes` have one.

    Raises
    ------
    InputError
        If `changes` are not settings of transport.
    """
    recorded = run.transport if isinstance(run, DistilConfig) else TransportConfig()
    settings = {**recorded.model_dump(), **changes}
    if "iterations" not in changes and settings["solver"] != recorded.solver:
        del settings["iterations"]
    if "anneal_from" not in changes:
        start, epsilon = settings["anneal_from"] or 0.0, settings["epsilon"]
        fits = isinstance(epsilon, int | float) and start >= epsilon
        solver = SOLVERS.get(settings["solver"])  # an unknown one is refused below
        if solver is None or "anneal_from" not in solver.settings or not fits:
            settings["anneal_from"] = None
    return validate_settings(TransportConfig, settings, "transport")


def target_role(run: RunHeader, teacher: EncoderConfig) -> Role:
    """Return the role in which the teacher of a run encodes its sentences.

    A sentence and its translation are of one kind, so the teacher of a run that distils nothing encodes the
    second as a peer of the first.
    """
    return (
        run.training.target_role if isinstance(run, DistilConfig) else document_role(teacher, symmetric=True)
    )
