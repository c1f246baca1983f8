"""Facts about a run that follow from its record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.counted import counted

LIVING = ("queued", "running")
"""The states of a run that has a process."""

#: Figures that decide which step of a training is best, the one that decides if there are several first.
FIGURES = {
    "validation": "validation",
    "held_out_passages": "held-out passages",
    "held_out_rr": "held-out RR",
}
#: What is shown after the best step of a run if it is 0.
UNCHANGED = ": what was trained is its initial checkpoint unchanged, because no step was better"
#: If more than this share of texts is cut, a run says so as a warning.
CUT_SHARE = 0.01

_CUT_KEYS = {"texts", "cut", "of", "setting", "length"}


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
    listed = ", ".join(
        f"{counted(count or 0, 'unlabelled passage')} of {name}" for name, count in counts.items()
    )
    return f"learnt from {listed}"


def is_unchanged(record: Mapping[str, Any]) -> bool:
    """Return whether a run trained, and what it kept is its initial checkpoint: no step was better."""
    best = (record.get("summary") or {}).get("best_step")
    return best == 0 and not isinstance(best, bool) and record.get("state") not in LIVING


def state_of_record(record: Mapping[str, Any]) -> str:
    """Return the state of a run, ``unchanged`` if its training changed nothing, and ``folder missing``."""
    state = str(record["state"])
    state += ", unchanged" if is_unchanged(record) else ""
    return state + (", folder missing" if record.get("folder_missing") else "")


def cut_of(record: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each kind of texts of a run that were cut because they are too long."""
    summary = record.get("summary") or {}
    entries = [entry for key in ("cut_in_training", "cut") for entry in summary.get(key) or ()]
    return [
        cut_sentence(entry)
        for entry in entries
        if entry.get("cut") and all(entry.get(key) is not None for key in _CUT_KEYS)
    ]


def cut_sentence(entry: Mapping[str, Any]) -> str:
    """Return a sentence about texts that were cut.

    Parameters
    ----------
    entry : mapping
        ``texts``, which they are, ``cut``, how many were cut, ``of``, how many there are, ``setting``, the
        length to raise, and ``length``, its value.
    """
    share = entry["cut"] / max(1, entry["of"])
    sentence = (
        f"{entry['cut']:,} of {entry['of']:,} {entry['texts']} ({share:.1%}) are longer than "
        f"{entry['setting']} = {entry['length']} and were cut"
    )
    return f"{sentence}; raise it" if share > CUT_SHARE else sentence


def deciding_figure(record: Mapping[str, Any]) -> str:
    """Return the name of the figure that decides which step of a run is best."""
    summary = record.get("summary") or {}
    return next((name for name in FIGURES if name in summary), "held_out_rr")
