"""The language codes of a checkpoint's tokenizer.

NLLB uses ``swh_Latn``, M2M100 ``sw`` and mBART-50 ``sw_KE``. Marian checkpoints with several target languages
need ``>>eng<<`` before the text. Others, such as Marian checkpoints for one pair and T5, have no codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from engine.errors import InputError
from engine.languages import Language, names_language

_CODE = re.compile(r"[a-z]{2,3}(_[A-Za-z]{2,4})?")


def language_codes(tokenizer: Any) -> dict[str, int]:
    """Return the language codes of a tokenizer and their token ids; empty if it has none.

    The codes are the values that its attribute ``src_lang`` accepts.
    """
    table: Mapping[str, int] | None = getattr(tokenizer, "lang_code_to_id", None)
    if table is not None:
        return dict(table)
    if not hasattr(type(tokenizer), "src_lang"):
        return {}
    special = set(tokenizer.all_special_tokens) | set(tokenizer.get_added_vocab())
    return {
        token: int(tokenizer.convert_tokens_to_ids(token))
        for token in sorted(special)
        if "_" in token and _CODE.fullmatch(token)
    }


def code_of(entry: Language, codes: Iterable[str], checkpoint: str) -> str:
    """Return the code in `codes` of the language `entry`; if there are several, the one in its usual script.

    Raises
    ------
    InputError
        If there is none.
    """
    found = [code for code in codes if names_language(code.partition("_")[0].strip("><"), entry.code)]
    if not found:
        raise InputError(
            f"translation.checkpoint {checkpoint!r} does not support {entry.name} ({entry.code}); remove "
            "that language, or choose another checkpoint"
        )
    usual = [code for code in found if code.partition("_")[2] == entry.script]
    return min(usual or found, key=len)


def target_prefix(tokenizer: Any, entry: Language, checkpoint: str) -> str:
    """Return the prefix that a Marian checkpoint with several target languages needs, or an empty string."""
    codes: list[str] = getattr(tokenizer, "supported_language_codes", None) or []
    if not codes:
        return ""
    return code_of(entry, codes, checkpoint) + " "
