"""What the folder layouts of several collections share: counting lines, recognising published file names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from engine.bitext.files import damage_named, open_bytes
from engine.extensions.published import LanguageFiles, PublishedData, RecognisedData


def count_lines(file: Path) -> int:
    """Return the number of lines of a file; a last line without an end counts.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    count, last = 0, b"\n"
    with damage_named(file), open_bytes(file) as stream:
        while block := stream.read(1 << 20):
            count += block.count(b"\n")
            last = block[-1:]
    return count + (last != b"\n")


def count_published_lines(
    published: PublishedData, code: str, files: Iterable[tuple[str, Path]]
) -> dict[str, int]:
    """Count the lines of the files of one language, as `PublishedData.lines` says.

    Parameters
    ----------
    published : PublishedData
    code : str
        The language.
    files : iterable of (str, path)
        Each file's published path, and the path that it has here.

    Raises
    ------
    InputError
        If a file cannot be read.
    """
    counts: dict[str, int] = {}
    for path, file in files:
        for what, pattern in published.lines.items():
            if re.fullmatch(pattern.replace("{code}", re.escape(code)), path):
                counts[what] = counts.get(what, 0) + count_lines(file)
    return counts


def recognise_published_names(
    published: PublishedData, folder: Path, names: Sequence[str], code: str | None = None
) -> RecognisedData | None:
    """Recognise published data by the names of its files, in whichever subfolders they are.

    Parameters
    ----------
    published : PublishedData
        It has the name of the collection that reads it.
    folder : path
    names : sequence of str
        Paths of the files in `folder`.
    code : str, optional
        Not used, since the names of the files contain the language.

    Raises
    ------
    InputError
        If a file cannot be read.
    """
    files = {file.path.rpartition("/")[2]: file for file in published.published_files}
    by_code: dict[str, list[tuple[str, str]]] = {}
    for name in names:
        if file := files.get(name.rpartition("/")[2]):
            by_code.setdefault(file.language, []).append((file.path, name))
    if not by_code:
        return None
    languages = {
        code: LanguageFiles(
            [name for _, name in found],
            "",
            count_published_lines(published, code, [(path, folder / name) for path, name in found]),
        )
        for code, found in by_code.items()
    }
    corpora = tuple(name for name in names if name.endswith("/corpus.jsonl"))
    used = sum(map(len, by_code.values())) + len(corpora)
    return RecognisedData(
        f"{published.name}'s topics and judgements" + (", with documents" if corpora else ""),
        "collection",
        published.name,
        folder,
        languages,
        published.name,
        corpora,
        left_out=len(names) - used,
    )
