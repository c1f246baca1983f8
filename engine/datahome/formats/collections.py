"""Recognising test collections: published ones by their files' shape, and folders of one's own."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.bitext.files import damage_named
from engine.collections.folder import load_folder
from engine.collections.lareqa import load_lareqa
from engine.collections.mewsli_x import CANDIDATES
from engine.collections.tatoeba import load_tatoeba
from engine.datahome.count import line_counts, mewsli_x_counts
from engine.datahome.formats.seen import Seen, inside
from engine.datahome.manifest import Part
from engine.datahome.resource import Resource
from engine.datahome.resources import resources
from engine.errors import InputError
from engine.languages import LANGUAGES, language

_TATOEBA = re.compile(r"tatoeba\.(?P<language>\w+)-eng\.((?P=language)|eng)")
_OWN = re.compile(r"(documents|corpus|collection|docs|topics|queries|qrels)\b")
_RECORD = re.compile(rb"\S+[ \t]+(0|Q0)[ \t]+\S+[ \t]+-?\d+\s*")


def collection_folder(folder: Path, code: str | None = None) -> Seen | None:
    """Recognise a folder that holds a test collection.

    Raises
    ------
    InputError
        If it is one and broken.
    """
    files = inside(folder)
    names = [file.relative_to(folder).as_posix() for file in files]
    if any(_TATOEBA.fullmatch(name) for name in names):
        return _tatoeba(folder, names)
    if CANDIDATES in names:
        return _mewslix(folder, names)
    for dataset in ("ciral", "africlirmatrix"):
        resource = resources()[dataset]
        wanted = {remote.path.rpartition("/")[2] for remote in resource.remotes}
        if any(name.rpartition("/")[2] in wanted for name in names):
            return _by_lines(folder, names, resource)
    here = [name for name in names if "/" not in name]
    json_files = [name for name in here if name.endswith(".json")]
    if json_files and all(_paragraphs(folder / name) is not None for name in json_files):
        return _lareqa(folder, json_files, len(names))
    if len({found[1] for name in names if (found := _OWN.match(name))}) >= 3:
        return _own(folder, names, code)
    return None


def collection_file(path: Path) -> Seen | None:
    """Recognise a single file of a published collection.

    Raises
    ------
    InputError
        If it is a part of a collection that can only be imported as a whole.
    """
    if _TATOEBA.fullmatch(path.name):
        raise InputError("Tatoeba's files come in twos; import the folder that holds both", path=path)
    paragraphs = _paragraphs(path)
    if paragraphs is not None:
        seen = _lareqa(path.parent, [path.name], 1)
        if seen.known:
            return seen
        raise InputError(
            "this is a file of LAReQA's shape, but none of XQuAD-R or MLQA-R; import the folder with all its "
            "languages",
            path=path,
        )
    with path.open("rb") as file:
        lines = [line for line in file.readlines(1 << 16) if line.strip()][:100]
    if len(lines) > 1 and all(_RECORD.fullmatch(line) for line in lines[:-1]):
        raise InputError(
            "these are relevance judgements; import the folder that also holds the topics and documents "
            "(documents.*, topics.*, qrels.*)",
            path=path,
        )
    return None


def _tatoeba(folder: Path, names: list[str]) -> Seen:
    by_tatoeba = {entry.tatoeba: entry.code for entry in LANGUAGES if entry.tatoeba}
    by_code: dict[str, list[str]] = {}
    for name in names:
        if (found := _TATOEBA.fullmatch(name)) and found["language"] in by_tatoeba:
            by_code.setdefault(by_tatoeba[found["language"]], []).append(name)
    parts = {
        code: Part(found, "", {"pairs": len(load_tatoeba(folder, [code])[0].queries)})
        for code, found in by_code.items()
    }
    used = sum(len(found) for found in by_code.values())
    known = "tatoeba" if _is(resources()["tatoeba"], parts) else ""
    return Seen(
        "Tatoeba's test sets", "collection", "tatoeba", folder, parts, known, left_out=len(names) - used
    )


def _lareqa(folder: Path, names: list[str], total: int) -> Seen:
    """Recognise XQuAD-R, MLQA-R, or files of their shape, one a language."""
    parts = {}
    for name in names:
        code = language(Path(name).stem).code
        questions = sentences = 0
        for paragraph in _paragraphs(folder / name) or ():
            questions += len(paragraph["qas"])
            sentences += len(paragraph["sentence_breaks"])
        parts[code] = Part([name], "", {"questions": questions, "sentences": sentences})
    known = next((name for name in ("lareqa", "mlqa-r") if _is(resources()[name], parts)), "")
    if not known and total > 1:
        load_lareqa(folder)  # it has to be whole, since nothing tells what it should be
    title = {"lareqa": "LAReQA's XQuAD-R", "mlqa-r": "LAReQA's MLQA-R"}.get(known, "of LAReQA's shape")
    return Seen(title, "collection", "lareqa", folder, parts, known, left_out=total - len(names))


def _by_lines(folder: Path, names: list[str], resource: Resource) -> Seen:
    """Recognise a published collection by its files' names, wherever in the folder they lie."""
    remotes = {remote.path.rpartition("/")[2]: remote for remote in resource.remotes}
    by_code: dict[str, list[tuple[str, str]]] = {}
    for name in names:
        if remote := remotes.get(name.rpartition("/")[2]):
            by_code.setdefault(remote.language, []).append((remote.path, name))
    parts = {
        code: Part(
            [name for _, name in found],
            "",
            line_counts(resource.name, code, [(path, folder / name) for path, name in found]),
        )
        for code, found in by_code.items()
    }
    corpora = tuple(name for name in names if name.endswith("/corpus.jsonl"))
    used = sum(map(len, by_code.values())) + len(corpora)
    title = f"{resource.name}'s topics and judgements" + (", with documents" if corpora else "")
    return Seen(
        title,
        "collection",
        resource.collection,
        folder,
        parts,
        resource.name,
        corpora,
        left_out=len(names) - used,
    )


def _mewslix(folder: Path, names: list[str]) -> Seen:
    counts = mewsli_x_counts(folder)
    mentions = {what: by_code for what, by_code in counts.items() if "all" not in by_code}
    codes = sorted({code for by_code in mentions.values() for code in by_code})
    parts = {
        code: Part(names, "", {what: by_code.get(code, 0) for what, by_code in mentions.items()})
        for code in codes
    }
    return Seen("Mewsli-X", "collection", "mewsli-x", folder, parts, "mewsli-x")


def _own(folder: Path, names: list[str], code: str | None) -> Seen:
    """Recognise a folder of documents, topics and judgements."""
    codes = [code] if code else []
    try:
        collection = load_folder(folder, languages=codes)
    except InputError as error:
        if "language" in str(error) and not code:
            raise InputError(f"{error} (--language here)") from error
        raise
    topics = Counter(query.language for query in collection.queries)
    documents = len(collection.documents)
    files = [name for name in names if _OWN.match(name)]
    parts = {one: Part(files, "", {"topics": count, "documents": documents}) for one, count in topics.items()}
    return Seen(
        "a folder of documents, topics and judgements",
        "collection",
        "folder",
        folder,
        parts,
        left_out=len(names) - len(files),
    )


def _is(resource: Resource, parts: dict[str, Part]) -> bool:
    """Tell whether all counts are those of a published dataset."""
    return all(
        resource.counts.get(what, {}).get(code) == count
        for code, part in parts.items()
        for what, count in part.counts.items()
    )


def _paragraphs(path: Path) -> list[dict[str, Any]] | None:
    """Return the paragraphs of a file of LAReQA's shape, None if it is another."""
    with damage_named(path), path.open("rb") as file:
        if not file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
            return None
        file.seek(0)
        content = file.read()
    try:
        articles = json.loads(content)["data"]
        found = list(_checked(articles))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return found or None


def _checked(articles: Any) -> Iterator[dict[str, Any]]:
    for article in articles:
        for paragraph in article["paragraphs"]:
            len(paragraph["qas"]), len(paragraph["sentence_breaks"])
            yield paragraph
