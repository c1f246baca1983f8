"""NTREX-128 (Federmann et al. 2022): 1,997 English sentences of news with professional translations.

A file for each of 128 languages and variants (``newstest2019-ref.fra-CA.txt``) has one sentence on each line,
and ``newstest2019-src.eng.txt`` the English sentences. ``DOCUMENT_IDS.tsv`` has the document of each line, of
123; without it the sentences have no document. A second reference (``ref-2``) is not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from engine.bitext.files import files_in, numbered_lines, tagged_files
from engine.counted import counted
from engine.errors import InputError
from engine.extensions.bitext import BitextFormat, SentencePair
from engine.languages import choose_tag

FILE_NAME = re.compile(r"newstest2019-(?:ref|src)\.(?P<tag>[a-z]{3}(?:-[A-Za-z]+)?)\.txt")
"""Names of NTREX-128's files."""
DOCUMENTS = "DOCUMENT_IDS.tsv"


def ntrex_files(folder: Path) -> dict[str, Path]:
    """Return NTREX-128's files in a folder and its subfolders by their language tags, in their order.

    Raises
    ------
    InputError
        If there is none.
    """
    found = tagged_files(folder, FILE_NAME)
    if not found:
        raise InputError(
            "this folder has no file newstest2019-ref.<language>.txt of NTREX-128; give the folder that has "
            "them",
            path=folder,
        )
    return found


def choose_file(folder: Path, files: Mapping[str, Path], wanted: str) -> tuple[str, Path] | None:
    """Return the tag and the file of the language `wanted`; None if there is none.

    Raises
    ------
    InputError
        If several variants match and none is exactly the one that is wanted.
    """
    tag = choose_tag(wanted, files, path=folder)
    return None if tag is None else (tag, files[tag])


def read_sentences(path: Path) -> list[str]:
    """Return the sentences of a file, one for each line.

    Raises
    ------
    InputError
        If a line is empty, since then a sentence is missing, or the file has none.
    """
    sentences = []
    for number, line in numbered_lines(path):
        if not line.strip():
            raise InputError("a sentence is missing here; fetch the file again", path=path, line=number)
        sentences.append(line.strip())
    if not sentences:
        raise InputError("it has no sentence; fetch the file again", path=path)
    return sentences


def read_documents(folder: Path, count: int) -> list[str]:
    """Return the document of each of `count` lines; empty texts if ``DOCUMENT_IDS.tsv`` is not there.

    Raises
    ------
    InputError
        If it has another number of lines.
    """
    place = next(iter(files_in(folder, f"**/{DOCUMENTS}")), None)
    if place is None and (folder.parent / DOCUMENTS).is_file():  # `folder` is the one with the sentences
        place = folder.parent / DOCUMENTS
    if place is None:
        return [""] * count
    documents = [line.split("\t")[-1].strip() for _, line in numbered_lines(place, blank=False)]
    if len(documents) != count:
        raise InputError(
            f"it names the documents of {counted(len(documents), 'line')} and the sentences have "
            f"{count:,}; fetch "
            "both again",
            path=place,
        )
    return documents


def read_ntrex(path: Path, source: str, target: str) -> Iterator[SentencePair]:
    """Yield the sentences of two languages in their order; an id is the document and the line.

    Raises
    ------
    InputError
        If a file is missing or broken, or the two have different numbers of lines.
    """
    folder = path if path.is_dir() else path.parent
    files = ntrex_files(folder)
    chosen = []
    for wanted in (source, target):
        found = choose_file(folder, files, wanted)
        if found is None:
            raise InputError(
                f"there is no file newstest2019-ref.….txt in {wanted!r}; the languages here are "
                f"{', '.join(files)}",
                path=folder,
            )
        chosen.append(found[1])
    first, second = map(read_sentences, chosen)
    if len(first) != len(second):
        raise InputError(
            f"it has {counted(len(first), 'line')} and {chosen[1].name} has {len(second):,}; fetch both "
            "files again",
            path=chosen[0],
        )
    documents = read_documents(folder, len(first))
    for number, (one, other, document) in enumerate(zip(first, second, documents, strict=True), 1):
        name = f"{document}:{number}" if document else str(number)
        yield SentencePair(one, other, source, target, name, document=document)


def _is_folder(names: Sequence[str]) -> bool:
    return any(FILE_NAME.fullmatch(name.rpartition("/")[2]) for name in names)


def _languages(path: Path, names: Sequence[str]) -> Iterator[str]:
    return (found["tag"] for name in names if (found := FILE_NAME.fullmatch(name.rpartition("/")[2])))


NTREX = BitextFormat(
    name="ntrex",
    meaning="the folder of NTREX-128, news with the documents that the sentences are from",
    title="a folder of NTREX-128",
    read=read_ntrex,
    is_folder=_is_folder,
    languages=_languages,
)
