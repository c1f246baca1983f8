"""A problem or a setting that is not valid is refused with one sentence."""

import pytest
import torch

from engine.errors import InputError, OpticalError
from engine.transport import exact, solve

COST = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(0))
SOURCE, TARGET = torch.full((2, 3), 1 / 3), torch.full((2, 4), 1 / 4)


def changed(tensor: torch.Tensor, index: tuple[int, ...], value: float) -> torch.Tensor:
    tensor = tensor.clone()
    tensor[index] = value
    return tensor


@pytest.mark.parametrize(
    "cost, source, target, sentence",
    [
        (COST[0], SOURCE, TARGET, r"not \(3, 4\), \(2, 3\), \(2, 4\)$"),
        (COST, TARGET, SOURCE, r"must be \(B, Q, D\), \(B, Q\), \(B, D\)"),
        (COST, SOURCE[:1], TARGET, r"not \(2, 3, 4\), \(1, 3\), \(2, 4\)"),
        (COST, changed(SOURCE, (1, 0), -0.1), TARGET, "the source marginal contains a mass that is negative"),
        (COST, SOURCE, changed(TARGET, (0, 1), float("nan")), "the target marginal contains a mass"),
        (COST, SOURCE, changed(TARGET, (0, 1), float("inf")), "the target marginal contains a mass"),
        (COST, SOURCE, changed(TARGET, (1, 0), 0.3), r"problem 1 .* source mass 1 and target mass 1\.05;"),
        (COST, changed(SOURCE, (1,), 0.0), changed(TARGET, (1,), 0.0), "problem 1 .* above zero"),
        (COST, SOURCE, changed(TARGET, (0,), 0.0), "problem 0 .* target mass 0;"),
        (changed(COST, (1, 2, 3), float("nan")), SOURCE, TARGET, "problem 1 .* cost that is not finite"),
        (changed(COST, (0, 0, 0), float("inf")), SOURCE, TARGET, "problem 0 .* cost that is not finite"),
    ],
)
@pytest.mark.parametrize("solver", ["sinkhorn", "ipot", "exact"])
def test_problems(
    solver: str, cost: torch.Tensor, source: torch.Tensor, target: torch.Tensor, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        solve(cost, source, target, solver=solver)
    assert isinstance(caught.value, InputError) and "\n" not in str(caught.value)


def test_totals_that_agree_to_a_thousandth_are_made_equal() -> None:
    plan = solve(COST, SOURCE, 1.0009 * TARGET, iterations=1000)
    assert plan.converged.all()
    torch.testing.assert_close(plan.target_marginal, TARGET)
    with pytest.raises(ValueError, match="problem 0"):
        solve(COST, SOURCE, 1.002 * TARGET)


@pytest.mark.parametrize(
    "settings, sentence",
    [
        ({"solver": "sinkhron"}, r"solver must be one of .*not 'sinkhron' \(did you mean 'sinkhorn'\?\)"),
        ({"epsilon_scale": "relative"}, "epsilon_scale must be one of absolute, spread"),
        ({"epsilon": 0.0}, "epsilon must be a number above zero, not 0.0"),
        ({"epsilon": float("nan")}, "epsilon must be a number above zero"),
        ({"tolerance": -1.0}, "tolerance must be a number above zero"),
        ({"iterations": 0}, "iterations must be at least 1, not 0"),
        ({"anneal_from": 0.01}, r"anneal_from must be at least epsilon \(0.05\), not 0.01"),
        ({"anneal_from": float("inf")}, "anneal_from must be at least epsilon"),
        ({"anneal_from": 1.0, "solver": "ipot"}, "anneal_from belongs to the solver sinkhorn"),
        ({"anneal_from": 1.0, "iterations": 5}, "halves ε 5 times .* raise iterations"),
    ],
)
def test_settings(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        solve(COST, SOURCE, TARGET, **settings)


@pytest.mark.filterwarnings("ignore:numItermax")
def test_a_simplex_that_does_not_converge_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "MOST_PIVOTS", 1)
    cost = torch.rand(1, 20, 20, generator=torch.Generator().manual_seed(0))
    mass = torch.full((1, 20), 0.05)
    with pytest.raises(OpticalError, match="exact transport solver did not converge"):
        solve(cost, mass, mass, solver="exact")
