"""Which runs are one system."""

from __future__ import annotations

from typing import Any

from engine.config import parse_config
from engine.results.systems import RunFacts, Systems


def facts(name: str, config: dict[str, Any]) -> RunFacts:
    return RunFacts(name, name, "distil", "finished", config)


def recorded(seed: int, **changes: Any) -> dict[str, Any]:
    """The configuration of a run as its record has it, in full."""
    settings = {"bitext": [{"path": "pairs.tsv", "language": "sw"}], "seed": seed, **changes}
    return parse_config(settings).model_dump(mode="json")


def test_a_record_of_a_version_without_a_setting_has_its_default() -> None:
    old = recorded(0)
    for group, setting in ((old, "language_components"), (old["evaluation"], "token_bits")):
        del group[setting]
    del old["bitext"][0]["min_score"], old["loss"], old["tracking"]
    systems = Systems(
        [
            facts("old", old),
            facts("new", recorded(1)),
            facts("other", recorded(2, evaluation={"token_bits": 2})),
        ]
    )
    assert systems.siblings("old") == ["old", "new"]
    assert systems.difference("old", "other") == "they differ in evaluation.token_bits (16 and 2)"
