"""Distillation that begins from LIR: what each language's vectors have in common is removed before training.

The principal components of each language (Yang et al. 2021, arXiv 2109.04727) are fitted once, on the vectors
of the untrained student and of the teacher, and stay fixed. Everything that is compared is without them: the
student's vectors of a text without those of its language, the teacher's without those of the language of its
texts. So at step 0 the student scores as LIR without training does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from engine.collections.base import Collection
from engine.config import DistilConfig
from engine.encoders.components import component_key, remove_components
from engine.encoders.encoder import Encoded, Encoder, Role
from engine.evaluation.language_removal import components_of, without_components
from engine.reporting import Reporter
from engine.retrieval.tokens import TokenStore
from engine.retrieval.vectors import Kind, vectors, vectors_folder
from engine.training.data.bitext import texts_by_language
from engine.training.data.prepare import Bitext, PreparedBitext
from engine.training.distillation.teacher_vectors import Without

KINDS: tuple[Kind, ...] = ("tokens", "sentences")


@dataclass(frozen=True)
class LanguageSpaces:
    """The components of languages that a distillation removes.

    Attributes
    ----------
    count : int
        Number of components of each language.
    queries : mapping of str to Tensor (R, H)
        Those of the untrained student's vectors, by `engine.encoders.components.component_key`.
    documents : mapping of str to Tensor (R, H)
        Those of the teacher's vectors.
    texts : mapping of language code to sequence of str
        What they were fitted on.
    """

    count: int
    queries: Mapping[str, Tensor]
    documents: Mapping[str, Tensor]
    texts: Mapping[str, Sequence[str]]

    def of_batch(self, encoded: Encoded, languages: Sequence[str]) -> Encoded:
        """Return the student's vectors of queries in `languages`, one code each, without their components."""

        def stacked(kind: Kind) -> Tensor:
            found = [self.queries[component_key(kind, "query", code)] for code in languages]
            return torch.stack(found).to(encoded.tokens.device)

        return replace(
            encoded,
            tokens=remove_components(encoded.tokens, stacked("tokens")),
            sentences=remove_components(encoded.sentences[:, None], stacked("sentences"))[:, 0],
        )

    def of_queries(
        self, kind: Kind, found: TokenStore | Tensor, languages: Sequence[str]
    ) -> TokenStore | Tensor:
        """Return the student's vectors of one kind without the components of their languages."""
        return without_components(
            found, languages, lambda code, _: self.queries[component_key(kind, "query", code)]
        )

    def of_documents(
        self, kind: Kind, role: Role, found: TokenStore | Tensor, languages: Sequence[str]
    ) -> TokenStore | Tensor:
        """Return the teacher's vectors of one kind without the components of their languages.

        Those of a language without bitext are fitted on the vectors themselves.
        """

        def fitted(code: str, own: Tensor) -> Tensor:
            known = self.documents.get(component_key(kind, role, code))
            return components_of(code, own, self.count) if known is None else known

        return without_components(found, languages, fitted)

    def of_targets(self, bitext: PreparedBitext, role: Role) -> Without:
        """Return a function that removes the components from the teacher's vectors of English sentences."""

        def without(kind: Kind, found: TokenStore | Tensor, rows: Sequence[int]) -> TokenStore | Tensor:
            languages = list(bitext.english.pairs.texts("target_language", rows))
            return self.of_documents(kind, role, found, languages)

        return without


def fit_spaces(
    config: DistilConfig,
    bitext: Bitext,
    student: Encoder,
    teacher: Encoder,
    precision: torch.dtype,
    reporter: Reporter,
    validation: Sequence[Collection] = (),
) -> LanguageSpaces | None:
    """Fit the components on both sides of the bitext, record them with both encoders, and return them.

    Nothing is fitted, and None returned, if `config` removes no components. Languages of `validation` without
    bitext are fitted on its queries. Pairs that overlap with the evaluation are not used.

    Raises
    ------
    InputError
        If a language has too few vectors.
    """
    student.components, teacher.components = {}, {}
    if not config.language_components:
        return None
    texts = texts_by_language(bitext.clean(config.seed))
    targets = sorted({source.target_language for source in config.bitext} & texts.keys())
    queries: dict[str, list[str]] = {}
    for collection in validation:
        for query in collection.queries:
            queries.setdefault(query.language, []).append(query.text)
    asked = {**queries, **texts}
    roles = dict.fromkeys(("passage", teacher.document_role(symmetric=True), config.training.target_role))
    work: list[tuple[Encoder, Role, str, Sequence[str]]] = [
        (student, "query", code, some) for code, some in asked.items()
    ]
    work += [(teacher, role, code, texts[code]) for role in roles for code in targets]
    reporter.stage("language components", len(work))
    for encoder, role, code, some in work:
        found = vectors(encoder, some, role, KINDS, precision=precision, cache=vectors_folder())
        for kind in KINDS:
            encoder.components[component_key(kind, role, code)] = components_of(
                code, found[kind], config.language_components
            )
        reporter.advance()
    return LanguageSpaces(
        config.language_components, dict(student.components), dict(teacher.components), texts
    )
