"""The headline of a run is one named figure, never an average over collections or scorings."""

from __future__ import annotations

from typing import Any

from engine.results.headline import HELD_OUT, headline


def mean(collection: str, scoring: str, measure: str, value: float, **others: Any) -> dict[str, Any]:
    place = {"protocol": "bitext", "direction": "xx-en", "languages": 2, **others}
    return {"collection": collection, "scoring": scoring, "measure": measure, "value": value, **place}


RECORD = {
    "config": {
        "collections": [{"name": "tico", "label": "second"}, {"name": "tatoeba", "directions": ["en-xx"]}],
        "evaluation": {"scoring": ["maxsim", "dense"]},
    },
    "summary": {"held_out_rr": 0.9},
}


def test_it_is_the_first_collection_scoring_and_main_measure_of_the_configuration() -> None:
    means = [
        mean("tatoeba", "dense", "RR", 0.1),
        mean("second", "dense", "RR", 0.2),
        mean("second", "maxsim", "R@1", 0.3),
        mean("second", "maxsim", "RR", 0.4),
        mean("second", "maxsim", "MarginF1", 0.5, protocol="bitext/mining"),
    ]
    found = headline(RECORD, means)
    assert found is not None and found.value == 0.4
    assert (str(found), found.place) == ("RR 0.400", "second · bitext · maxsim · xx-en")
    assert headline(RECORD, means[:1]).value == 0.1  # type: ignore[union-attr]


def test_without_scores_it_is_the_figure_on_held_out_pairs() -> None:
    found = headline(RECORD, ())
    assert found is not None and (found.collection, found.measure, found.value) == (HELD_OUT, "RR", 0.9)
    assert headline({"config": {}, "summary": {}}, ()) is None
    assert headline({"config": {}, "summary": {"held_out_rr": True}}, ()) is None
