"""Make `engine/assets/published.csv.gz` from a table of MTEB's results.

The input is a CSV with the columns task, model, dataset_revision, split, subset, measure and value, one row
for each figure, from github.com/embeddings-benchmark/results. The output has only the figures whose task
this program evaluates in the same way, under the names of its tables: collection, protocol, direction,
languages of queries and documents, measure.

    python benchmarks/published.py published.csv
"""

from __future__ import annotations

import csv
import gzip
import io
import sys
from pathlib import Path

from engine.collections.belebele import _VARIANTS as BELEBELE_VARIANTS
from engine.collections.ntrex import _VARIANTS as NTREX_VARIANTS
from engine.errors import InputError
from engine.languages import LANGUAGES, language
from engine.paths import assets_folder
from engine.results.published import COLUMNS, FILE

#: MTEB's names of files of NTREX-128 that are called differently.
_NTREX = {"zho_Hans": "zho-CN", "zho_Hant": "zho-TW", "srp_Cyrl": "srp-Cyrl", "srp_Latn": "srp-Latn"}
_TATOEBA = {entry.tatoeba: entry.code for entry in LANGUAGES if entry.tatoeba}


def convert(row: dict[str, str]) -> dict[str, str] | None:
    """Return the row under this program's names; None if it evaluates no such task in the same way."""
    task, subset = row["task"], row["subset"]
    first, _, second = subset.partition("-")
    names: tuple[str, str, str, str, str, str] | None = None
    if task == "Tatoeba" and second == "eng" and first in _TATOEBA:
        names = ("tatoeba", "xtreme-r", "xx-en", _TATOEBA[first], "en", "Success@1")
    elif task == "NTREXBitextMining":
        foreign = first if second == "eng_Latn" else second
        tag = _NTREX.get(foreign, foreign.partition("_")[0])
        name = f"ntrex-{tag}" if tag in NTREX_VARIANTS else "ntrex"
        code = language(tag).code
        sides = (code, "en") if second == "eng_Latn" else ("en", code)
        names = (name, "ntrex-128", "xx-en" if second == "eng_Latn" else "en-xx", *sides, "Success@1")
    elif task == "BelebeleRetrieval":
        second = second or first
        variants = [tag for tag in (first, second) if tag in BELEBELE_VARIANTS]
        name = f"belebele-{variants[0]}" if variants else "belebele"
        names = (
            name,
            "passages",
            _direction(first, second),
            language(first).code,
            language(second).code,
            "nDCG@10",
        )
    elif task == "MLQARetrieval" and row["split"] == "test":
        # The first language is that of the paragraphs, as in the names of MLQA's files.
        names = (
            "mlqa",
            "paragraphs",
            _direction(second, first),
            language(second).code,
            language(first).code,
            "nDCG@10",
        )
    if names is None:
        return None
    return {
        **dict(zip(COLUMNS[: len(names)], names, strict=True)),
        "model": row["model"],
        "value": row["value"],
        "task": task,
        "split": row["split"],
        "subset": subset,
        "dataset_revision": row["dataset_revision"],
    }


def _direction(asked: str, searched: str) -> str:
    english = [tag.startswith("eng") for tag in (asked, searched)]
    return {(False, True): "xx-en", (True, False): "en-xx"}.get((english[0], english[1]), "xx-xx")


def main(source: Path) -> None:
    """Convert the table at `source`."""
    with source.open(encoding="utf-8", newline="") as file:
        made, unknown = [], 0
        for row in csv.DictReader(file):
            try:
                converted = convert(row)
            except InputError:  # a language that this program does not know
                unknown += 1
                continue
            if converted is not None:
                made.append(converted)
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(sorted(made, key=lambda one: [one[name] for name in COLUMNS]))
    place = assets_folder() / FILE
    place.write_bytes(gzip.compress(text.getvalue().encode(), 9, mtime=0))
    print(f"{len(made):,} figures in {place.name}, {place.stat().st_size:,} bytes; {unknown:,} left out")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
