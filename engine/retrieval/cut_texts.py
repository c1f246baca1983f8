"""Counting texts that are longer than an encoder takes, of which it reads only the beginning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.encoders.encoder import Encoder, Role
from engine.reporting import Reporter
from engine.results.run_facts import CUT_SHARE, cut_sentence
from engine.results.run_folder import RunFolder
from engine.retrieval.vectors import count_cut, vectors_folder


class CutTexts:
    """Counts the texts of a run that are cut.

    Parameters
    ----------
    reporter : Reporter
        Receives a message about each kind of texts of which more than 1 % are cut.
    """

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._entries: dict[tuple[str, Role], dict[str, Any]] = {}

    def count(self, encoder: Encoder, texts: Sequence[str], role: Role, name: str) -> None:
        """Count those of `texts` that are cut, under `name`, such as ``queries of tatoeba``."""
        setting = "query_length" if role == "query" else "passage_length"
        entry = self._entries.setdefault(
            (name, role),
            {
                "texts": name,
                "cut": 0,
                "of": 0,
                "setting": setting,
                "length": encoder.longest(role),
            },
        )
        entry["cut"] += count_cut(encoder, texts, role, cache=vectors_folder())
        entry["of"] += len(texts)

    @property
    def entries(self) -> list[dict[str, Any]]:
        """What was counted, as `engine.results.run_facts.cut_sentence` takes it."""
        return list(self._entries.values())

    def record(self, run: RunFolder | None, key: str) -> None:
        """Store what was counted in the run's summary under `key`, and report what is more than 1 %."""
        if run is not None:
            run.update(summary={key: self.entries})
        for entry in self.entries:
            if entry["of"] and entry["cut"] / entry["of"] > CUT_SHARE:
                self._reporter.say(cut_sentence(entry))
