"""Counting what files hold without keeping it: lines of the largest, and Mewsli-X's mentions."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from engine.bitext.files import damage_named, open_bytes
from engine.collections.mewsli_x import CANDIDATES
from engine.errors import InputError

#: What the lines of files are, by dataset; the files' paths in its folder are matched.
_LINES = {
    "africlirmatrix": {"topics": r"topics\..+", "judgements": r"qrels\..+"},
    "ciral": {
        "passages": r"passages.+",
        **{
            f"{what} ({part})": rf".+/{folder}\..+-{part}\.tsv"
            for part in ("dev", "test-a", "test-b")
            for what, folder in (("topics", "topics"), ("judgements", "qrels"))
        },
    },
    "mmarco": {"documents": r".+_collection\.tsv"},
    "miracl": {
        "documents": r".+/docs-\d+\.jsonl\.gz",
        "topics (dev)": r".+/dev/topics\.tsv",
        "judgements (dev)": r".+/dev/qrels\.tsv",
    },
    "neuclir": {"documents": r".+/docs\.jsonl\.gz"},
    "hc4": {"judgements (test)": r".+/test\.qrels.+"},
    "wikiclir": {"documents": r".+/wiki_{code}\.documents", "judgements": r".+/en2{code}\.rel"},
}


def line_counts(dataset: str, code: str, files: Iterable[tuple[str, Path]]) -> dict[str, int]:
    """Count the lines of one language's files.

    Parameters
    ----------
    dataset : str
        A published dataset whose files are counted by their lines.
    code : str
        The language.
    files : iterable of str and path
        Each file's path as published, and where it lies.

    Raises
    ------
    InputError
        If a file cannot be read.
    """
    counts: dict[str, int] = {}
    for published, file in files:
        for what, pattern in _LINES[dataset].items():
            if re.fullmatch(pattern.replace("{code}", re.escape(code)), published):
                counts[what] = counts.get(what, 0) + count_lines(file)
    return counts


def count_lines(file: Path) -> int:
    """Return the number of lines of a file, a last one without an end included.

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


def mewsli_x_counts(folder: Path) -> dict[str, dict[str, int]]:
    """Count Mewsli-X's candidates, under the code ``all``, and its mentions by language.

    Articles count with or without their text.

    Raises
    ------
    InputError
        If a file is missing, or is not Mewsli-X's.
    """
    counts: dict[str, dict[str, int]] = {"candidates": {"all": count_lines(folder / CANDIDATES)}}
    for part in ("dev", "test"):
        restored = folder / f"wikinews_mentions-{part}.jsonl"
        file = restored if restored.exists() else folder / f"wikinews_mentions_no_text-{part}.jsonl"
        counts[f"mentions ({part})"] = _mentions(file)
    return counts


def _mentions(file: Path) -> dict[str, int]:
    counted: Counter[str] = Counter()
    with damage_named(file), file.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                article = json.loads(line)
                counted[str(article["context"]["language"])] += len(article["mentions"])
            except (ValueError, KeyError, TypeError) as error:
                raise InputError("this is no article of Mewsli-X", path=file, line=number) from error
    return dict(counted)
