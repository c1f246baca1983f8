"""The figures of many plans at once: those of each alone, and of plans that are known."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.config import TransportConfig, parse_config
from engine.encoders.encoder import Encoder
from engine.inspect.plan import encode_pair, solve_pair

_spec = importlib.util.spec_from_file_location(
    "sharpness", Path(__file__).parents[2] / "benchmarks" / "sharpness.py"
)
assert _spec is not None and _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
sys.modules["sharpness"] = _module  # where dataclasses look for it
_spec.loader.exec_module(_module)
sharpness = _module.sharpness

PAIRS = [
    ("river stone cloud", "garden letter"),
    ("horse", "bread winter doctor market village"),
    ("", "river"),
]


@pytest.fixture(scope="module")
def encoder(tiny: Any) -> Encoder:
    return Encoder.load(parse_config(tiny.settings()).teacher)  # type: ignore[union-attr]


def test_figures_are_those_of_each_plan_alone(encoder: Encoder) -> None:
    config = TransportConfig(epsilon=0.3, marginals="norm")
    *found, without = sharpness(encoder, encoder, PAIRS, config)
    assert without is None
    for pair, one in zip(PAIRS, found, strict=False):
        row = solve_pair(encode_pair(encoder, encoder, *pair, "passage"), config, language="sw")
        assert one is not None
        assert (one.source_tokens, one.target_tokens) == row.plan.shape
        shares = row.plan / row.plan.sum(1, keepdims=True)
        entropy = float(np.mean(-(shares * np.log(np.maximum(shares, 1e-30))).sum(1)))
        assert one.entropy == pytest.approx(entropy, abs=1e-4)
        assert one.cost == pytest.approx(float((row.plan * row.cost).sum()), abs=1e-4)
        assert one.epsilon == pytest.approx(row.epsilon, rel=1e-4)


def test_a_great_epsilon_spreads_over_all_tokens_and_a_sentence_meets_itself_at_no_cost(
    encoder: Encoder,
) -> None:
    flat, single = sharpness(encoder, encoder, PAIRS[:2], TransportConfig(epsilon=1e4))
    assert flat is not None and single is not None
    assert flat.entropy == pytest.approx(math.log(2), abs=1e-3)
    assert single.entropy == pytest.approx(math.log(5), abs=1e-3)
    plain = Encoder.load(encoder.config.model_copy(update={"query_prefix": "", "passage_prefix": ""}))
    (own,) = sharpness(plain, plain, [("river stone cloud",) * 2], TransportConfig(solver="exact"))
    assert own is not None and own.cost == pytest.approx(0, abs=1e-5) and own.entropy == pytest.approx(0)
