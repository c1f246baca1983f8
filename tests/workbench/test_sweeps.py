"""Results shows the runs of a sweep that was chosen."""

from __future__ import annotations

from workbench.results.screen import _members


def test_the_runs_of_a_sweep_are_those_of_its_summary() -> None:
    sweep = {"id": "s", "kind": "sweep", "summary": {"runs": ["s.001.s0", "s.001.s1"]}}
    assert _members(sweep) == ["s.001.s0", "s.001.s1"]
    assert _members({**sweep, "summary": {}}) == [] and _members({**sweep, "summary": None}) == []
    assert _members({**sweep, "kind": "distil"}) == [] and _members({**sweep, "kind": "unknown"}) == []
