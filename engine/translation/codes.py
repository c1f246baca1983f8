"""The language codes of a checkpoint's tokenizer.

NLLB uses ``swh_Latn``, M2M100 ``sw`` and mBART-50 ``sw_KE``. Marian checkpoints with several target languages
need ``>>eng<<`` before the text. Others, such as Marian checkpoints for one pair and T5, have no codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from engine.errors import InputError
from engine.languages import Tag, names_language

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


def code_of(wanted: str, codes: Iterable[str], checkpoint: str) -> str:
    """Return the code in `codes` of the language tag `wanted`.

    If a script or region was requested, it is the code that matches it best. Otherwise, if there are several,
    it is the one in the usual script.

    Raises
    ------
    InputError
        If there is none.
    """
    tag = Tag.parse(wanted)
    entry = tag.language
    found = {
        code: _tag_of(code) for code in codes if names_language(_bare(code).partition("_")[0], entry.code)
    }
    if not found:
        raise InputError(
            f"translation.checkpoint {checkpoint!r} does not support {entry.name} ({entry.code}); remove "
            "that language, or choose another checkpoint"
        )
    if tag.script or tag.region:
        matching = [code for code, other in found.items() if tag.matches(other)]
        if not matching:
            raise InputError(
                f"translation.checkpoint {checkpoint!r} does not support {entry.name} as {wanted!r}; it has "
                f"{', '.join(found)}"
            )
        return min(matching, key=lambda code: (tag.distance(found[code]), len(code)))
    usual = [code for code in found if _bare(code).partition("_")[2] == entry.script]
    return min(usual or found, key=len)


def _bare(code: str) -> str:
    """Return a code without the signs around it; ``XX`` is not a region."""
    return code.strip("><").removesuffix("_XX")


def _tag_of(code: str) -> Tag:
    return Tag.parse(_bare(code))


def target_prefix(tokenizer: Any, wanted: str, checkpoint: str) -> str:
    """Return the prefix that a Marian checkpoint with several target languages needs, or an empty string."""
    codes: list[str] = getattr(tokenizer, "supported_language_codes", None) or []
    if not codes:
        return ""
    return code_of(wanted, codes, checkpoint) + " "
