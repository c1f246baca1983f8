"""Remove what vectors have from their language before they are searched.

LIR (Yang et al. 2021, arXiv 2109.04727) removes the principal components of each language. SHIFT (Jang et al.
2026, arXiv 2606.18801) subtracts the mean difference between a language and another one, which sentence pairs
give. Neither needs training.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.atomic import replacing
from engine.collections.base import Collection
from engine.config import DistilConfig, EvaluateConfig
from engine.config.runs import RunConfig
from engine.encoders.components import component_key, principal_components, remove_components, role_of
from engine.encoders.encoder import Encoder, Role
from engine.errors import InputError, OpticalError
from engine.retrieval.tokens import TokenStore

Vectors = TokenStore | Tensor

COMPONENTS_FILE = "languages.safetensors"
"""Name of the file of components or shifts in a run's ``checkpoints/``."""

Encode = Callable[[Sequence[str]], Vectors]
"""Returns vectors of texts, comparable with those of a collection."""


class LanguageVectors(ABC):
    """What is removed from the vectors of each language, by collection, role and scoring.

    Queries and documents of one language are kept apart, because their vectors come from different encoders
    or have different prefixes. A *place* names a collection, a scoring and a role (`place_of`).

    Parameters
    ----------
    path : path
        File of what was fitted. What it has already is used.

    Raises
    ------
    InputError
        If the file cannot be read.
    """

    title: str
    """What is removed, for messages."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._fitted: dict[str, Tensor] = dict(load_file(str(path))) if path.is_file() else {}
        except (SafetensorError, OSError) as error:
            raise InputError(f"the {self.title} cannot be read: {error}", path=path) from error

    @abstractmethod
    def without(self, rows: Tensor, fitted: Tensor) -> Tensor:
        """Return the vectors `rows` (N, H) of a language without what was `fitted` (R, H) for it."""

    def _keep(self, place: str, fitted: Mapping[str, Tensor]) -> None:
        """Keep what was fitted for each language in `place`, and save all.

        Raises
        ------
        OpticalError
            If the file cannot be written.
        """
        self._fitted |= {f"{place} {language}": found for language, found in fitted.items()}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self.path) as part:
                save_file(self._fitted, str(part))
        except (OSError, SafetensorError) as error:
            raise OpticalError(f"{self.path}: the {self.title} could not be written ({error})") from error

    def remove(self, place: str, vectors: Vectors, languages: Sequence[str]) -> Vectors:
        """Return `vectors` without what their languages have in `place` (`languages`, one code an entry).

        Raises
        ------
        InputError
            If nothing was fitted for a language in `place`.
        """

        def change(own: Tensor, code: str) -> Tensor:
            return self.without(own, self.of(place, code).to(own.device))

        return _each_language(vectors, languages, change)

    def remove_from_tokens(self, place: str, store: TokenStore, languages: Sequence[str]) -> TokenStore:
        """Return the token vectors of texts in `languages` as `remove` does."""
        left = self.remove(place, store, languages)
        assert isinstance(left, TokenStore)
        return left

    def of(self, place: str, language: str) -> Tensor:
        """Return what was fitted for `language` in `place`, (R, H).

        Raises
        ------
        InputError
            If there is nothing.
        """
        found = self._fitted.get(f"{place} {language}")
        if found is None:
            known = sorted(key.rpartition(" ")[2] for key in self._fitted if key.rpartition(" ")[0] == place)
            raise InputError(
                f"the run has no {self.title} of {language!r} to remove, so it cannot encode texts in that "
                f"language; it has those of {', '.join(known) or 'no language'}"
            )
        return found


class LanguageComponents(LanguageVectors):
    """The principal components of each language (LIR).

    Parameters
    ----------
    count : int
        Number of components that are removed from the vectors of each language.
    path : path
        As of `LanguageVectors`.
    """

    title = "components"

    def __init__(self, count: int, path: Path) -> None:
        super().__init__(path)
        self.count = count

    def without(self, rows: Tensor, fitted: Tensor) -> Tensor:
        """Return `rows` without the components `fitted`."""
        return remove_components(rows, fitted)

    def fit(self, place: str, vectors: Mapping[str, Vectors]) -> None:
        """Fit the components of `place` on the vectors of each language, and save them.

        Raises
        ------
        InputError
            If a language has too few vectors.
        OpticalError
            If the file cannot be written.
        """
        self._keep(
            place,
            {language: components_of(language, found, self.count) for language, found in vectors.items()},
        )

    def take(self, place: str, components: Mapping[str, Tensor]) -> None:
        """Take components of `place` that were fitted before, by language, and save them."""
        self._keep(place, components)


class LanguageShifts(LanguageVectors):
    """The mean difference between the vectors of each language and those of the translations (SHIFT)."""

    title = "shift"

    def without(self, rows: Tensor, fitted: Tensor) -> Tensor:
        """Return ``v - s`` for `rows` (N, H) and the shift s = `fitted` (1, H), scaled to unit length."""
        if not fitted.any():
            return rows
        return torch.nn.functional.normalize(rows.float() - fitted, dim=-1).to(rows.dtype)

    def fit(self, place: str, vectors: Mapping[str, tuple[Vectors, Vectors] | None]) -> None:
        """Fit the shifts of `place`, and save them.

        Parameters
        ----------
        place : str
        vectors : mapping of language code to tuple of vectors
            Vectors of texts of the language and of their translations; None for the language of the
            translations, which is not shifted.

        Raises
        ------
        OpticalError
            If the file cannot be written.
        """
        means = {
            language: None if pair is None else [rows_of(part).float().mean(0, keepdim=True) for part in pair]
            for language, pair in vectors.items()
        }
        width = next((mean[0].shape[1] for mean in means.values() if mean is not None), 1)
        self._keep(
            place,
            {
                language: torch.zeros(1, width) if mean is None else (mean[0] - mean[1]).cpu()
                for language, mean in means.items()
            },
        )


class Removal(Protocol):
    """Fits what languages have in common on the vectors of an evaluation, and removes it."""

    def isolated(
        self, collection: Collection, scoring: str, role: Role, vectors: Vectors, encode: Encode
    ) -> Vectors:
        """Return the vectors of a collection's queries or passages without what their languages have.

        `encode` returns vectors of other texts from the same encoder.

        Raises
        ------
        InputError, OpticalError
            If a language lacks what it is fitted on, or the file cannot be written.
        """


class Isolation:
    """Fits language components on the vectors of an evaluation, and removes them.

    Parameters
    ----------
    components : LanguageComponents
    texts : mapping of language code to sequence of str
        Unlabelled text to fit on. A language without such text is fitted on the vectors that are searched:
        the collection's queries in that language, or its documents.
    given : mapping of str to Tensor, optional
        Components that are not fitted, because a distillation did, by
        `engine.encoders.components.component_key`.
    """

    def __init__(
        self,
        components: LanguageComponents,
        texts: Mapping[str, Sequence[str]],
        given: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.components = components
        self.texts = texts
        self.given = given or {}
        self._encoded: dict[tuple[str, str, str], Vectors] = {}

    def isolated(
        self, collection: Collection, scoring: str, role: Role, vectors: Vectors, encode: Encode
    ) -> Vectors:
        """Return vectors without the components of their languages, as `Removal.isolated`."""
        items = collection.queries if role == "query" else collection.documents
        languages = [item.language for item in items]
        kind = "tokens" if isinstance(vectors, TokenStore) else "sentences"
        given = {
            code: found
            for code in dict.fromkeys(languages)
            if (found := self.given.get(component_key(kind, role, code))) is not None
        }
        fitted_on = {}
        for language, own in by_language(vectors, languages).items():
            if language in given:
                continue
            key = (scoring, role, language)
            if language in self.texts and key not in self._encoded:
                self._encoded[key] = encode(self.texts[language])
            fitted_on[language] = self._encoded.get(key, own)
        place = place_of(collection, scoring, role)
        self.components.fit(place, fitted_on)
        self.components.take(place, given)
        return self.components.remove(place, vectors, languages)


class Shift:
    """Fits the shift of each language on sentence pairs, and subtracts it.

    Parameters
    ----------
    shifts : LanguageShifts
    pairs : mapping of language code to tuple of sequences of str
        Texts of each language and their translations.
    pivot : str
        Language of the translations, whose vectors stay as they are.
    """

    def __init__(
        self, shifts: LanguageShifts, pairs: Mapping[str, tuple[Sequence[str], Sequence[str]]], pivot: str
    ) -> None:
        self.shifts, self.pairs, self.pivot = shifts, pairs, pivot
        self._encoded: dict[tuple[str, str, str], tuple[Vectors, Vectors]] = {}

    def isolated(
        self, collection: Collection, scoring: str, role: Role, vectors: Vectors, encode: Encode
    ) -> Vectors:
        """Return vectors without the shifts of their languages, as `Removal.isolated`."""
        items = collection.queries if role == "query" else collection.documents
        languages = [item.language for item in items]
        fitted_on: dict[str, tuple[Vectors, Vectors] | None] = {}
        for language in dict.fromkeys(languages):
            if language == self.pivot:
                fitted_on[language] = None
                continue
            if language not in self.pairs:
                raise InputError(
                    f"language_shift needs sentence pairs of every language that is searched, and [[bitext]] "
                    f"has none in {language!r}; it has {', '.join(self.pairs) or 'no pairs'}"
                )
            key = (scoring, role, language)
            if key not in self._encoded:
                own, translated = self.pairs[language]
                self._encoded[key] = encode(own), encode(translated)
            fitted_on[language] = self._encoded[key]
        place = place_of(collection, scoring, role)
        self.shifts.fit(place, fitted_on)
        return self.shifts.remove(place, vectors, languages)


def rows_of(vectors: Vectors) -> Tensor:
    """Return all vectors (N, H) of texts: their token vectors, or their sentence vectors."""
    return vectors.vectors if isinstance(vectors, TokenStore) else vectors


def place_of(collection: Collection, scoring: str, role: Role) -> str:
    """Return the name under which the components of a collection's queries or documents are saved."""
    side = "query" if role == "query" else "passage"
    return f"{collection.name} {collection.revision} {scoring} {side}"


def given_components(queries: Encoder, documents: Encoder) -> dict[str, Tensor]:
    """Return the components that a distillation saved with both encoders."""
    of_queries = {key: one for key, one in queries.components.items() if role_of(key) == "query"}
    return of_queries | {key: one for key, one in documents.components.items() if role_of(key) != "query"}


def components_of(language: str, vectors: Vectors, count: int) -> Tensor:
    """Return the first components (R, H) of a language's vectors.

    Raises
    ------
    InputError
        If it has too few vectors.
    """
    try:
        return principal_components(rows_of(vectors), count).cpu()
    except InputError as error:
        raise InputError(f"{error} or give more text in {language!r} as [[bitext]]") from error


def without_components(
    vectors: Vectors, languages: Sequence[str], components: Callable[[str, Tensor], Tensor]
) -> Vectors:
    """Return vectors without the components of their languages.

    Parameters
    ----------
    vectors : TokenStore or Tensor
        Vectors of texts.
    languages : sequence of str
        The language of each text.
    components : callable
        Takes a language and its vectors (N, H), and returns its components (R, H).
    """

    def change(own: Tensor, code: str) -> Tensor:
        return remove_components(own, components(code, own).to(own.device))

    return _each_language(vectors, languages, change)


def _each_language(
    vectors: Vectors, languages: Sequence[str], change: Callable[[Tensor, str], Tensor]
) -> Vectors:
    """Return the vectors of texts in `languages` as `change` returns those (N, H) of each language."""
    rows = rows_of(vectors)
    codes = list(dict.fromkeys(languages))
    number = {code: index for index, code in enumerate(codes)}
    owner = torch.tensor([number[code] for code in languages], dtype=torch.int64)
    if isinstance(vectors, TokenStore):
        owner = owner.repeat_interleave(vectors.lengths.cpu())
    owner = owner.to(rows.device)
    left = torch.empty_like(rows)
    for index, code in enumerate(codes):
        mine = owner == index
        left[mine] = change(rows[mine], code)
    return TokenStore(left, vectors.offsets) if isinstance(vectors, TokenStore) else left


def by_language(vectors: Vectors, languages: Sequence[str]) -> dict[str, Vectors]:
    """Return the entries of `vectors` by language; `languages` has one code for each entry."""
    rows: dict[str, list[int]] = {}
    for index, language in enumerate(languages):
        rows.setdefault(language, []).append(index)
    found = {}
    for language, indices in rows.items():
        chosen = torch.tensor(indices)
        found[language] = vectors.select(chosen) if isinstance(vectors, TokenStore) else vectors[chosen]
    return found


def saved_removal(config: RunConfig, path: Path) -> LanguageVectors | None:
    """Return what a finished run removes from vectors, from its file `path`; None if it removes nothing."""
    if isinstance(config, EvaluateConfig | DistilConfig) and config.language_components:
        return LanguageComponents(config.language_components, path)
    if isinstance(config, EvaluateConfig) and config.language_shift:
        return LanguageShifts(path)
    return None
