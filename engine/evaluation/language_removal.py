"""Language information removal: remove the components of a language from vectors before they are searched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.atomic import replacing
from engine.collections.base import Collection
from engine.encoders.components import principal_components, remove_components
from engine.encoders.encoder import Role
from engine.errors import InputError, OpticalError
from engine.retrieval.tokens import TokenStore

Vectors = TokenStore | Tensor

COMPONENTS_FILE = "languages.safetensors"
"""Name of the file of components in a run's ``checkpoints/``."""


class LanguageComponents:
    """The components of each language, by collection, role and scoring.

    Queries and documents of one language have separate components, because their vectors come from different
    encoders or have different prefixes. A *place* names a collection, a scoring and a role (`place_of`).

    Parameters
    ----------
    count : int
        Number of components that are removed from the vectors of each language.
    path : path
        File of the components. Those that it has already are used.

    Raises
    ------
    InputError
        If the file cannot be read.
    """

    def __init__(self, count: int, path: Path) -> None:
        self.count = count
        self.path = path
        try:
            self._fitted: dict[str, Tensor] = dict(load_file(str(path))) if path.is_file() else {}
        except (SafetensorError, OSError) as error:
            raise InputError(f"the language components cannot be read: {error}", path=path) from error

    def fit(self, place: str, vectors: Mapping[str, Vectors]) -> None:
        """Fit the components of `place` on the vectors of each language, and save them.

        Raises
        ------
        InputError
            If a language has too few vectors.
        OpticalError
            If the file cannot be written.
        """
        for language, found in vectors.items():
            rows = found.vectors if isinstance(found, TokenStore) else found
            try:
                self._fitted[f"{place} {language}"] = principal_components(rows, self.count)
            except InputError as error:
                raise InputError(f"{error} or give more text in {language!r} as [[bitext]]") from error
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self.path) as part:
                save_file(self._fitted, str(part))
        except (OSError, SafetensorError) as error:
            raise OpticalError(f"{self.path}: the components could not be written ({error})") from error

    def remove(self, place: str, vectors: Vectors, languages: Sequence[str]) -> Vectors:
        """Return `vectors` without the components of their languages (`languages`, one code an entry).

        Raises
        ------
        InputError
            If a language has no components in `place`.
        """
        if isinstance(vectors, TokenStore):
            return self.remove_from_tokens(place, vectors, languages)
        return self._remove(place, vectors, languages, torch.ones(len(vectors), dtype=torch.int64))

    def remove_from_tokens(self, place: str, store: TokenStore, languages: Sequence[str]) -> TokenStore:
        """Return the token vectors of texts without the components of the texts' languages, as `remove`."""
        return TokenStore(self._remove(place, store.vectors, languages, store.lengths), store.offsets)

    def _remove(self, place: str, rows: Tensor, languages: Sequence[str], lengths: Tensor) -> Tensor:
        codes = list(dict.fromkeys(languages))
        number = {code: index for index, code in enumerate(codes)}
        owner = torch.tensor([number[code] for code in languages], dtype=torch.int64)
        owner = owner.repeat_interleave(lengths.cpu()).to(rows.device)
        left = torch.empty_like(rows)
        for index, code in enumerate(codes):
            mine = owner == index
            left[mine] = remove_components(rows[mine], self.of(place, code).to(rows.device))
        return left

    def of(self, place: str, language: str) -> Tensor:
        """Return the components (R, H) of `language` in `place`.

        Raises
        ------
        InputError
            If there are none.
        """
        found = self._fitted.get(f"{place} {language}")
        if found is None:
            known = sorted(key.rpartition(" ")[2] for key in self._fitted if key.rpartition(" ")[0] == place)
            raise InputError(
                f"the run has no components of {language!r} to remove, so it cannot encode texts in that "
                f"language; it has those of {', '.join(known) or 'no language'}"
            )
        return found


class Isolation:
    """Fits language components on the vectors of an evaluation, and removes them.

    Parameters
    ----------
    components : LanguageComponents
    texts : mapping of language code to sequence of str
        Unlabelled text to fit on. A language without such text is fitted on the vectors that are searched:
        the collection's queries in that language, or its documents.
    """

    def __init__(self, components: LanguageComponents, texts: Mapping[str, Sequence[str]]) -> None:
        self.components = components
        self.texts = texts
        self._encoded: dict[tuple[str, str, str], Vectors] = {}

    def isolated(
        self,
        collection: Collection,
        scoring: str,
        role: Role,
        vectors: Vectors,
        encode: Callable[[Sequence[str]], Vectors],
    ) -> Vectors:
        """Return the vectors of a collection's queries or passages without language components.

        `encode` returns vectors of other texts from the same encoder.

        Raises
        ------
        InputError, OpticalError
            As `LanguageComponents.fit`.
        """
        items = collection.queries if role == "query" else collection.documents
        languages = [item.language for item in items]
        fitted_on = {}
        for language, own in by_language(vectors, languages).items():
            key = (scoring, role, language)
            if language in self.texts and key not in self._encoded:
                self._encoded[key] = encode(self.texts[language])
            fitted_on[language] = self._encoded.get(key, own)
        place = place_of(collection, scoring, role)
        self.components.fit(place, fitted_on)
        return self.components.remove(place, vectors, languages)


def place_of(collection: Collection, scoring: str, role: Role) -> str:
    """Return the name under which the components of a collection's queries or passages are saved."""
    return f"{collection.name} {collection.revision} {scoring} {role}"


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
