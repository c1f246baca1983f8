"""What is published: each dataset's address, files, terms and counts.

Addresses and counts are those of the publishers' own pages and files. Where a repository keeps no
versions apart, the address names a commit, so that the same bytes come every time.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from functools import cache

from engine.collections.lareqa import XQUAD_R_SENTENCES
from engine.datahome.download import RemoteFile
from engine.datahome.ir_datasets_home import shared_resources
from engine.datahome.resource import Resource
from engine.languages import LANGUAGES, language
from engine.paths import assets_folder


def resources() -> dict[str, Resource]:
    """Return every published dataset by name."""
    return {resource.name: resource for resource in (*_own(), *shared_resources())}


@cache
def checksums() -> dict[str, dict[str, tuple[int, str]]]:
    """Return bytes and SHA-256 of published files, by folder and name."""
    table = tomllib.loads((assets_folder() / "checksums.toml").read_text("utf-8"))
    return {
        folder: {name: (size, digest) for name, (size, digest) in entries.items()}
        for folder, entries in table.items()
    }


def _file(address: str, folder: str, path: str, code: str = "") -> RemoteFile:
    size, digest = checksums().get(folder, {}).get(path, (0, ""))
    return RemoteFile(address, path, code, size, f"sha256:{digest}" if digest else "")


# -- the datasets ------------------------------------------------------------------------------------

_GITHUB = "https://raw.githubusercontent.com"
_LAREQA = f"{_GITHUB}/google-research-datasets/lareqa/5405d2a77e83d5ccb47623a3f9e5604c3f103193"
_LASER = f"{_GITHUB}/facebookresearch/LASER/fec5c7d63daa2bea9d127e8252b10e87278586c0/data/tatoeba/v1"
_AFRICLIR = f"{_GITHUB}/castorini/africlirmatrix/29941eca075cc5488f1260af54165b3e6a2282d5/test"
_TICO = "https://tico-19.github.io/data/TM"
_CIRAL = "https://huggingface.co/datasets/CIRAL"
_MEWSLI = "https://storage.googleapis.com/gresearch/mewsli/mewsli-x_20220518_6.zip"

_MLQA_QUESTIONS = {"ar": 517, "de": 512, "en": 1148, "es": 500, "hi": 507, "vi": 511, "zh": 504}
_MLQA_SENTENCES = {"ar": 2545, "de": 2362, "en": 6264, "es": 1787, "hi": 2426, "vi": 2828, "zh": 2322}

#: Tatoeba's languages with fewer than 1,000 pairs.
_TATOEBA_FEWER = {
    **{"am": 168, "ang": 134, "arq": 911, "arz": 477, "ast": 127, "awa": 231, "bs": 354, "ceb": 600},
    **{"ch": 137, "csb": 253, "cy": 575, "dsb": 479, "fo": 262, "fy": 173, "gd": 829, "gsw": 117},
    **{"hsb": 483, "hy": 742, "jv": 205, "ka": 746, "kk": 575, "km": 722, "ku": 410, "max": 284},
    **{"ml": 687, "mn": 440, "nov": 257, "orv": 835, "pms": 525, "sl": 823, "sw": 390, "swg": 112},
    **{"ta": 307, "te": 234, "th": 548, "tk": 203, "tzl": 104, "uz": 428, "xh": 142, "yi": 848},
}

#: Languages of TICO-19's memories with English, as their files spell them.
_TICO_LOCALES = (
    *("ar", "bn", "ckb", "din", "es-LA", "fa", "fr", "fuv", "ha", "hi", "id", "km", "kr", "ku", "lg", "ln"),
    *("mr", "ms", "my", "ne", "nus", "om", "prs", "ps", "pt-BR", "ru", "rw", "so", "sw", "ta", "ti", "tl"),
    *("ur", "zh", "zu"),
)

_AFRICLIR_CODES = (
    *("afr", "amh", "ary", "arz", "hau", "ibo", "nso", "sna", "som", "swa", "tir", "twi", "wol", "yor"),
    "zul",
)

_CIRAL_NAMES = {"ha": "hausa", "so": "somali", "sw": "swahili", "yo": "yoruba"}

_MEWSLI_DEV = {
    **{"ar": 318, "de": 326, "en": 316, "es": 311, "fa": 72, "ja": 310, "pl": 304, "ro": 145},
    **{"ta": 312, "tr": 262, "uk": 315},
}
_MEWSLI_TEST = {
    **{"ar": 1501, "de": 1551, "en": 1490, "es": 1552, "fa": 458, "ja": 1519, "pl": 1562, "ro": 672},
    **{"ta": 1567, "tr": 1215, "uk": 1537},
}


def _own() -> Iterator[Resource]:
    """Yield the datasets that lie in the data home."""
    yield Resource(
        "lareqa",
        "collection",
        "xquad-r",
        "CC BY-SA 4.0",
        "github.com/google-research-datasets/lareqa, XQuAD-R",
        tuple(_file(f"{_LAREQA}/xquad-r/{c}.json", "xquad-r", f"{c}.json", c) for c in XQUAD_R_SENTENCES),
        {"questions": dict.fromkeys(XQUAD_R_SENTENCES, 1190), "sentences": XQUAD_R_SENTENCES},
        collection="lareqa",
    )
    yield Resource(
        "mlqa-r",
        "collection",
        "mlqa-r",
        "CC BY-NC 4.0",
        "github.com/google-research-datasets/lareqa, MLQA-R",
        tuple(_file(f"{_LAREQA}/mlqa-dev-r/{c}.json", "mlqa-r", f"{c}.json", c) for c in _MLQA_QUESTIONS),
        {"questions": _MLQA_QUESTIONS, "sentences": _MLQA_SENTENCES},
        collection="lareqa",
    )
    tatoeba = [entry for entry in LANGUAGES if entry.tatoeba]
    yield Resource(
        "tatoeba",
        "collection",
        "tatoeba",
        "CC BY 2.0 FR",
        "github.com/facebookresearch/LASER, data/tatoeba/v1",
        tuple(
            _file(f"{_LASER}/{name}", "tatoeba", name, entry.code)
            for entry in tatoeba
            for name in (f"tatoeba.{entry.tatoeba}-eng.{side}" for side in (entry.tatoeba, "eng"))
        ),
        {"pairs": {entry.code: _TATOEBA_FEWER.get(entry.code, 1000) for entry in tatoeba}},
        collection="tatoeba",
    )
    yield Resource(
        "mewsli-x",
        "collection",
        "mewsli-x",
        "Apache 2.0, own texts",
        "github.com/google-research/google-research, dense_representations_for_entity_retrieval/mel",
        (
            RemoteFile(
                _MEWSLI,
                "",
                size=291_000_000,
                checksum="md5:6d3f137027c7e0146c7aa0b3c21e90f4",
                archive=True,
            ),
        ),
        {"candidates": {"all": 1_003_893}, "mentions (dev)": _MEWSLI_DEV, "mentions (test)": _MEWSLI_TEST},
        remark="its articles come without their text: get-mewsli-x.sh of its repository restores it from "
        "dumps of WikiNews; the release is not the paper's",
        collection="mewsli-x",
    )
    yield Resource(
        "africlirmatrix",
        "collection",
        "africlirmatrix",
        "Apache 2.0",
        "github.com/castorini/africlirmatrix",
        tuple(
            _file(f"{_AFRICLIR}/{folder}/{name}", "africlirmatrix", name, language(code).code)
            for code in _AFRICLIR_CODES
            for folder, name in (
                ("queries", f"topics.africlirmatrix-v1.0.en.{code}.tsv"),
                ("qrels", f"qrels.africlirmatrix-v1.0.en.{code}.txt"),
            )
        ),
        {
            "topics": {"ha": 1500, "so": 1000, "sw": 1500},
            "judgements": {"ha": 1876, "so": 1049, "sw": 1891},
        },
        remark="these are topics and judgements; its documents, Wikipedia articles, come apart and go into "
        "africlirmatrix-v1.0-<language>/corpus.jsonl beside them",
        collection="africlirmatrix",
        documents="africlirmatrix-v1.0-*/corpus.jsonl*",
    )
    yield _ciral()
    yield Resource(
        "tico-19",
        "bitext",
        "tico-19",
        "CC0 1.0",
        "github.com/tico-19/tico-19.github.io, data/TM",
        tuple(
            _file(f"{_TICO}/{name}", "tico-19", name, language(locale).code)
            for locale in _TICO_LOCALES
            for name in (f"all.en-{locale}.tmx.zip",)
        ),
        {"pairs": {language(locale).code: 3071 for locale in _TICO_LOCALES}},
        remark="segments 0-970 are for evaluation, 971-3070 for training",
    )


def _ciral() -> Resource:
    remotes = []
    for code, name in _CIRAL_NAMES.items():
        for part in ("dev", "test-a", "test-b"):
            for folder in ("topics", "qrels"):
                path = f"ciral-{name}/{folder}/{folder}.ciral-v1.0-{code}-{part}.tsv"
                remotes.append(RemoteFile(f"{_CIRAL}/ciral/resolve/main/{path}", path, code))
        path = f"passages-v1.0/{name}_passages.jsonl"
        remotes.append(RemoteFile(f"{_CIRAL}/ciral-corpus/resolve/main/{path}", path, code))
    codes = tuple(_CIRAL_NAMES)
    published = {
        "passages": (715_355, 827_552, 949_013, 82_095),
        "topics (dev)": (10, 10, 10, 10),
        "judgements (dev)": (165, 187, 196, 185),
        "topics (test-a)": (80, 99, 85, 100),
        "judgements (test-a)": (1447, 1798, 1656, 1921),
        "topics (test-b)": (312, 239, 113, 554),
        "judgements (test-b)": (5930, 4324, 2175, 10_569),
    }
    return Resource(
        "ciral",
        "collection",
        "ciral",
        "Apache 2.0",
        "huggingface.co/datasets/CIRAL/ciral and CIRAL/ciral-corpus",
        tuple(remotes),
        {what: dict(zip(codes, counts, strict=True)) for what, counts in published.items()},
        collection="ciral",
    )
