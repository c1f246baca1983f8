"""Which keys of a record hold the pair: JSON objects, table columns and header lines use the same names.

A sentence is under a language tag (``so``, ``som_Latn``, ``English``), which may have a word before or after
it (``text_en``, ``so_sentence``), or under the name of its role (`_ROLES`). Codes that are common words, such
as ``id`` and ``no``, name a language only if no other key does and the values are not identifiers or numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from engine.errors import InputError
from engine.languages import (
    LANGUAGES,
    Tag,
    TagChooser,
    has_registered_subtags,
    is_common_word,
    looks_like_language,
    lookup,
    names_language,
)

#: Number of records at the beginning of a file from which keys with ambiguous names are decided.
SAMPLE = 100
#: Names of the key that holds the pair's identifier, in lower case.
_IDS = ("id", "_id", "guid", "uid", "uuid", "sentence_id", "segment_id", "pair_id", "idx")
#: Names of the key that holds the pair's score, in lower case.
_SCORES = ("score", "laser_score", "laser_similarity")
#: Roles of the two sentences: the first is in the requested language, the second in the target language.
_ROLES = (
    ("source", "target"), ("src", "tgt"), ("src", "trg"), ("src", "target"), ("source", "translation"),
    ("original", "translation"), ("1", "2"), ("0", "1"), ("a", "b"),
)  # fmt: skip
#: Words next to a language or a role in the name of a key with sentences.
_TEXT = frozenset({"content", "sent", "sentence", "segment", "seg", "string", "text", "txt"})
#: Words that may stand next to a language only.
_BESIDE_LANGUAGE = _TEXT | {"source", "src", "target", "tgt", "trans", "translated", "translation"}
_SEPARATOR = re.compile(r"[\s_.:/-]+")
#: Last words of the names of keys that describe a sentence.
_ABOUT = frozenset(
    {
        "count", "domain", "hash", "id", "ids", "idx", "index", "len", "length", "line", "number", "prob",
        "score", "similarity", "size", "tokens", "url",
    }
)  # fmt: skip
#: An identifier or number: ASCII without spaces that has a digit or a separator, or a single character.
_IDENTIFIER = re.compile(r"(?=[!-~]*[\d_:/#|@])[!-~]+|[!-~]|true|false", re.IGNORECASE)


class PairKeys:
    """Selects the keys of the two sentences in the records of a file.

    Parameters
    ----------
    source, target : str
        The requested language tags.
    path : path
        The file. Its name may give the order of the languages (``en-so``), which decides for records that
        name only the roles of the sentences.
    sample : sequence of mapping
        The first records, by which keys such as ``id`` are decided. Keys without values decide by name.
    tags : callable, optional
        Returns all keys of the file, if its records may have different keys.
    """

    def __init__(
        self,
        source: str,
        target: str,
        path: Path,
        sample: Sequence[Mapping[str, Any]] = (),
        tags: Callable[[], Iterable[str]] | None = None,
    ) -> None:
        self.path = path
        self._wanted = source, target
        self._ids = _identifiers(sample)

        def words() -> Iterator[str]:
            return (word for key in (tags() if tags is not None else ()) if (word := language_word(key)))

        self._choosers = tuple(TagChooser(wanted, path, words if tags else None) for wanted in self._wanted)
        self._swapped = names_target_first(path.name, source, target)
        self._known: dict[tuple[str, ...], tuple[str, str] | None] = {}

    def find(self, keys: Iterable[str], line: int | None = None) -> tuple[str, str] | None:
        """Return the keys of the source and the target sentence, or None if there are none.

        Parameters
        ----------
        keys : iterable of str
            The keys of a record.
        line : int, optional
            Its line, for error messages.

        Raises
        ------
        InputError
            If several keys match a language and none of them is exactly the requested tag.
        """
        names = tuple(keys)
        if names not in self._known:
            self._known[names] = self._find(names, line)
        return self._known[names]

    def _find(self, names: tuple[str, ...], line: int | None) -> tuple[str, str] | None:
        first, second = (
            self._key(names, wanted, chooser, line)
            for wanted, chooser in zip(self._wanted, self._choosers, strict=True)
        )
        if first is not None and second is not None:
            return first, second
        roles = _role_keys(names)
        if roles is not None:
            return (roles[1], roles[0]) if self._swapped else roles
        lower = {name.casefold(): name for name in names}
        if "english" in lower and "non_english" in lower:
            source, target = self._wanted
            if names_language("en", target):
                return lower["non_english"], lower["english"]
            if names_language("en", source):
                return lower["english"], lower["non_english"]
        return None

    def _key(self, names: tuple[str, ...], wanted: str, chooser: TagChooser, line: int | None) -> str | None:
        code = Tag.parse(wanted).language.code
        words = {
            name: word
            for name in names
            if name not in self._ids and (word := language_word(name)) and names_language(word, code)
        }
        certain = {name: word for name, word in words.items() if not is_common_word(word)}
        beside = {name: word for name, word in words.items() if word != name}  # text_id
        words = certain or beside or words
        chosen = chooser.choose(words.values(), line=line)
        if chosen is None:
            return None
        tag = Tag.parse(chosen)
        same = [name for name, word in words.items() if Tag.parse(word) == tag]
        exact = [name for name in same if name == wanted] or same
        if len(exact) > 1:
            raise InputError(
                f"{', '.join(exact)} all hold sentences in {wanted!r}; remove or rename all but one",
                path=self.path,
                line=line,
            )
        return exact[0]


def language_word(key: str) -> str:
    """Return the language tag in the name of a key of sentences, or an empty string if there is none.

    ``text_en``, ``en_text`` and ``en`` contain ``en``; ``en_id`` and ``so_score`` contain none.
    """
    name = key.strip()
    parts = list(_SEPARATOR.finditer(name))
    if parts:
        first, last = name[: parts[0].start()].casefold(), name[parts[-1].end() :].casefold()
        beside = first in _BESIDE_LANGUAGE
        if last in _ABOUT and not name.endswith("ID") and not (beside and last == "id"):
            return ""  # a region is in upper case
        if beside:
            name = name[parts[0].end() :]
        elif last in _BESIDE_LANGUAGE:
            name = name[: parts[-1].start()]
    return name if lookup(name) is not None and has_registered_subtags(name) else ""


def are_column_names(cells: Sequence[str]) -> bool:
    """Return whether the cells of a line are names of columns, at least one of them a language."""
    names = [cell.strip() for cell in cells]
    words = [language_word(name) for name in names]
    languages = [
        word
        for word in words
        if looks_like_language(word) and not is_common_word(word) and lookup(word) in LANGUAGES
    ]
    others = [
        name
        for name in names
        if is_common_word(name) or _SEPARATOR.split(name.casefold())[-1] in _ABOUT or name.casefold() in _IDS
    ]
    if any(len(name.split()) != 1 for name in names):
        return False
    return len(languages) >= 2 or (bool(languages) and len(languages) + len(others) == len(names))


def language_keys(sample: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the language tags in the keys of records, for recognising a file without known languages.

    Keys that are common words count only if their values are sentences.
    """
    ids = _identifiers(sample)
    found: dict[str, None] = {}
    for record in sample:
        for key in record:
            word = language_word(key)
            if word and key not in ids and (looks_like_language(word) or is_common_word(word)):
                found[word] = None
    certain = {Tag.parse(word).language for word in found if not is_common_word(word)}
    return [
        word
        for word in found
        if not is_common_word(word)
        or (Tag.parse(word).language not in certain and _has_sentences(word, sample))
    ]


def role_keys(keys: Iterable[str]) -> tuple[str, str] | None:
    """Return the keys that name the roles of the two sentences (``src`` and ``tgt``), or None."""
    names = tuple(keys)
    lower = {name.casefold(): name for name in names}
    if "english" in lower and "non_english" in lower:
        return lower["non_english"], lower["english"]
    return _role_keys(names)


def id_key(keys: Iterable[str], used: Iterable[str] = ()) -> str | None:
    """Return the key of the pair's identifier, which is none of the keys `used` for sentences, or None."""
    lower = {key.strip().casefold(): key for key in keys if key not in set(used)}
    return next((lower[name] for name in _IDS if name in lower), None)


def score_key(keys: Iterable[str]) -> str | None:
    """Return the key of the pair's score, or None if there is none."""
    lower = {key.strip().casefold(): key for key in keys}
    return next((lower[name] for name in _SCORES if name in lower), None)


def are_identifiers(values: Iterable[object]) -> bool:
    """Return whether all values that are not empty are identifiers or numbers, and there is one."""
    given = [value for value in values if value is not None and str(value).strip()]
    return bool(given) and all(
        not isinstance(value, str) or _IDENTIFIER.fullmatch(value.strip()) for value in given
    )


def names_target_first(name: str, source: str, target: str) -> bool:
    """Return whether the name of a file contains both codes, the target's immediately before the source's."""
    parts = [part for part in re.split(r"[^A-Za-z]+", name) if 2 <= len(part) <= 3]
    # Upper-case parts are regions (en_XX-so_SO), unless all codes are in upper case.
    codes = [part for part in parts if not part.isupper()]
    return any(
        names_language(first, target) and names_language(second, source)
        for sequence in (codes, parts)
        for first, second in pairwise(sequence)
    )


def _identifiers(sample: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the keys whose names are common words and whose values are identifiers or numbers."""
    names = {key for record in sample for key in record if is_common_word(language_word(key))}
    return {name for name in names if are_identifiers(record.get(name) for record in sample)}


def _has_sentences(word: str, sample: Sequence[Mapping[str, Any]]) -> bool:
    return any(
        isinstance(value, str) and len(value.split()) > 1
        for record in sample
        for key, value in record.items()
        if language_word(key) == word
    )


def _role_keys(names: Sequence[str]) -> tuple[str, str] | None:
    """Return the first pair of keys that name two roles in the same way."""
    by_role: dict[tuple[str, str], str] = {}
    for name in names:
        words = _SEPARATOR.split(re.sub(r"(?<=[a-z])(?=\d$)", "_", name.strip().casefold()))
        beside = "_".join(word for word in words if word in _TEXT)
        role = "_".join(word for word in words if word not in _TEXT)
        if beside or not re.fullmatch("[012ab]", role):
            by_role.setdefault((role, beside), name)
    # "source" may be where a pair comes from, if there is a "source_text".
    for beside in sorted({beside for _, beside in by_role}, reverse=True):
        for first, second in _ROLES:
            if (first, beside) in by_role and (second, beside) in by_role:
                return by_role[first, beside], by_role[second, beside]
    return None
