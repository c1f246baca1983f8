"""Published scores stand beside a run's own only where task, languages, direction and measure agree."""

from __future__ import annotations

import pytest

from engine.results.published import published_rows


def test_a_score_of_each_task_is_the_published_one() -> None:
    known = {
        ("ntrex", "ntrex-128", "xx-en", "so", "en", "Success@1"): 0.91788,
        ("ntrex", "ntrex-128", "en-xx", "en", "so", "Success@1"): 0.92839,
        ("ntrex-zho-TW", "ntrex-128", "xx-en", "zh", "en", "Success@1"): 0.96996,
        ("ntrex", "ntrex-128", "xx-en", "zh", "en", "Success@1"): 0.95043,
    }
    for key, value in known.items():
        found = {score.model: score.value for score in published_rows(*key)}
        assert found["intfloat/multilingual-e5-small"] == value
        assert list(found.values()) == sorted(found.values(), reverse=True)
    for task in ("tatoeba", "belebele", "mlqa"):
        protocol, measure = {
            "tatoeba": ("xtreme-r", "Success@1"),
            "belebele": ("passages", "nDCG@10"),
            "mlqa": ("paragraphs", "nDCG@10"),
        }[task]
        assert published_rows(task, protocol, "xx-en", "de", "en", measure)


@pytest.mark.parametrize(
    "change",
    [
        {"direction": "xx-xx"},
        {"measure": "RR"},
        {"protocol": "ntrex-128-test"},
        {"query_language": "qq"},
        {"revision": "2bc7acfa122b, sample of 100"},
        {"revision": "2bc7acfa122b-pool100"},
    ],
)
def test_another_task_has_none(change: dict[str, str]) -> None:
    key = {
        "collection": "ntrex",
        "protocol": "ntrex-128",
        "direction": "xx-en",
        "query_language": "sw",
        "document_language": "en",
        "measure": "Success@1",
        "revision": "2bc7acfa122b",
    }
    assert published_rows(**key) and not published_rows(**{**key, **change})
