"""Languages: their codes, names and how different spellings of a code meet."""

from __future__ import annotations

from engine.errors import InputError

_CODES = {
    "so": "som", "sw": "swa swh", "tl": "tgl fil", "mr": "mar", "hi": "hin", "fr": "fra fre", "ru": "rus",
    "zh": "zho chi cmn", "ar": "ara arb", "es": "spa", "pt": "por", "id": "ind", "ta": "tam", "ur": "urd",
    "bn": "ben", "ne": "nep npi", "my": "mya bur", "km": "khm", "en": "eng", "de": "deu ger", "fi": "fin",
    "cy": "cym wel", "te": "tel", "th": "tha", "tr": "tur", "vi": "vie", "el": "ell gre", "ka": "kat geo",
    "kk": "kaz", "ml": "mal", "jv": "jav", "mn": "mon", "eu": "eus baq", "is": "isl ice", "ga": "gle",
    "ig": "ibo", "kab": "", "br": "bre", "tt": "tat", "az": "aze", "sq": "sqi alb", "hy": "hye arm",
}  # fmt: skip
_ALIASES = {alias: code for code, others in _CODES.items() for alias in (code, *others.split())}


def same_language(a: str, b: str) -> bool:
    """Tell whether two codes name one language, whatever their script, region or standard."""

    def base(code: str) -> str:
        tag = code.replace("_", "-").split("-")[0].split("@")[0].lower()
        if not tag.isalpha() or len(tag) > 3:
            raise InputError(f"unknown language code {code!r}")
        return _ALIASES.get(tag, tag)

    return base(a) == base(b)
