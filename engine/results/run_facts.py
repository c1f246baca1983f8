"""Facts about a run that follow from its record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def encoder_of(record: Mapping[str, Any]) -> str:
    """Return the checkpoint that a run starts from; empty if there is none.

    A student without a checkpoint of its own starts from the teacher.
    """
    config = record.get("config") or {}
    for role in ("student", "encoder", "teacher"):
        part = config.get(role)
        if isinstance(part, dict) and part.get("checkpoint"):
            return str(part["checkpoint"])
    return ""


def passages_of(record: Mapping[str, Any]) -> str:
    """Return a sentence about the passages whose scores a run learnt from; empty if there are none.

    A run that learns from the documents that it is evaluated on has seen their text, though no judgement.
    """
    counts = (record.get("summary") or {}).get("passages")
    if not isinstance(counts, dict) or not counts:
        return ""
    listed = ", ".join(f"{count:,} unlabelled passages of {name}" for name, count in counts.items())
    return f"learnt from {listed}"
