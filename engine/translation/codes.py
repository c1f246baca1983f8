"""What a checkpoint's tokenizer calls a language.

NLLB says ``swh_Latn``, M2M100 ``sw``, mBART-50 ``sw_KE``; Marian's checkpoints with several target languages
want ``>>eng<<`` in front of the text; others, such as Marian's for one pair or T5's, name no language at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from engine.errors import InputError
from engine.languages import Language, names_language

_CODE = re.compile(r"[a-z]{2,3}(_[A-Za-z]{2,4})?")


def language_codes(tokenizer: Any) -> dict[str, int]:
    """Return the tokenizer's codes of languages and the ids of their tokens; none where it has none.

    A code is what its ``src_lang`` takes.
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
    """Return the one of `codes` that means the language `entry`, in its usual script if there are several.

    Raises
    ------
    InputError
        If none does.
    """
    found = [code for code in codes if names_language(code.partition("_")[0].strip("><"), entry.code)]
    if not found:
        raise InputError(
            f"translation.checkpoint {checkpoint!r} knows no {entry.name} ({entry.code}); leave that "
            "language out, or choose another checkpoint"
        )
    usual = [code for code in found if code.partition("_")[2] == entry.script]
    return min(usual or found, key=len)


def target_prefix(tokenizer: Any, entry: Language, checkpoint: str) -> str:
    """Return what Marian's checkpoints of several target languages want in front of the text, if anything."""
    codes: list[str] = getattr(tokenizer, "supported_language_codes", None) or []
    if not codes:
        return ""
    return code_of(entry, codes, checkpoint) + " "
