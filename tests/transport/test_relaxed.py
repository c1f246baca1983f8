"""Unbalanced and partial transport against POT, their optimality conditions and their limits."""

from __future__ import annotations

import warnings

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from engine.transport import Plan, cosine_cost, solve, uniform_marginal

SIZES = st.integers(1, 7)
SEEDS = st.integers(0, 2**31)
TIGHT = {"iterations": 20_000, "tolerance": 1e-11}


def problem(seed: int, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    masses = [rng.random(size) + 0.05 for size in (rows, columns)]
    return rng.random((rows, columns)), masses[0] / masses[0].sum(), masses[1] / masses[1].sum()


def solved(cost: np.ndarray, a: np.ndarray, b: np.ndarray, dtype=torch.float64, **more) -> Plan:
    return solve(*(torch.tensor(array, dtype=dtype)[None] for array in (cost, a, b)), **more)


def divergence(p: np.ndarray, q: np.ndarray) -> float:
    """KL between masses whose totals may differ."""
    return float(np.sum(p * np.log(p / q) - p + q))


@given(SEEDS, SIZES, SIZES, st.sampled_from([0.05, 0.3]), st.sampled_from([0.05, 0.5, 5.0]))
@settings(max_examples=20, deadline=None)
def test_unbalanced_is_pots(seed: int, rows: int, columns: int, epsilon: float, penalty: float) -> None:
    cost, a, b = problem(seed, rows, columns)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = ot.unbalanced.sinkhorn_unbalanced(
            a, b, cost, epsilon, penalty, numItermax=50_000, stopThr=1e-14
        )
    plan = solved(cost, a, b, solver="unbalanced", epsilon=epsilon, penalty=penalty, **TIGHT)
    np.testing.assert_allclose(plan.plan[0], expected, atol=1e-8)
    assert plan.converged.all() and float(plan.mass) == pytest.approx(expected.sum())
    price = penalty * (divergence(expected.sum(1), a) + divergence(expected.sum(0), b))
    assert float(plan.surplus) == pytest.approx(price, abs=1e-7)
    assert float(plan.objective) == pytest.approx((expected * cost).sum() + price, abs=1e-7)


@given(SEEDS, SIZES, SIZES, st.sampled_from([0.05, 0.3]), st.sampled_from([0.2, 0.7, 0.95]))
@settings(max_examples=20, deadline=None)
def test_partial_is_pots(seed: int, rows: int, columns: int, epsilon: float, share: float) -> None:
    """POT uses the entropy instead of KL to a bᵀ; the difference is a change of the costs."""
    cost, a, b = problem(seed, rows, columns)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = ot.partial.entropic_partial_wasserstein(
            a,
            b,
            cost - epsilon * np.log(np.outer(a, b)),
            epsilon,
            m=share,
            numItermax=50_000,
            stopThr=1e-14,
            method="sinkhorn_log",
        )
    plan = solved(cost, a, b, solver="partial", epsilon=epsilon, mass=share, **TIGHT)
    np.testing.assert_allclose(plan.plan[0], expected, atol=1e-7)
    assert plan.converged.all() and float(plan.surplus) == 0.0


def test_partial_with_equal_masses_is_pots_without_a_change_of_the_costs() -> None:
    cost, _, _ = problem(3, 5, 6)
    a, b = np.full(5, 1 / 5), np.full(6, 1 / 6)
    expected = ot.partial.entropic_partial_wasserstein(a, b, cost, 0.1, m=0.6, stopThr=1e-14)
    plan = solved(cost, a, b, solver="partial", epsilon=0.1, mass=0.6, **TIGHT)
    np.testing.assert_allclose(plan.plan[0], expected, atol=1e-8)


@given(SEEDS, SIZES, SIZES, st.sampled_from([0.3, 0.8, 0.999]))
@settings(max_examples=6, deadline=None)
def test_sharp_partial_transport_approaches_the_linear_programme(
    seed: int, rows: int, columns: int, share: float
) -> None:
    cost, a, b = problem(seed, rows, columns)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        least = ot.partial.partial_wasserstein2(a, b, cost, m=share)
    plan = solved(cost, a, b, solver="partial", epsilon=0.002, mass=share, iterations=5000, tolerance=1e-5)
    # KL(T | a bᵀ) lies between -1 and the entropy of the masses for plans within the marginals
    # the error of the marginals may lie where the cost is highest
    slack = 1e-4 + float(plan.marginal_error) * float(cost.max())
    assert least - slack <= float(plan.value) <= least + slack + 0.002 * (1 + np.log(20 * rows * columns))


@given(SEEDS, SIZES, SIZES, st.sampled_from([0.1, 0.5, 0.9, 1.0]), st.sampled_from(["float32", "float64"]))
@settings(max_examples=20, deadline=None)
def test_a_partial_plan_moves_its_share_and_no_token_gives_more_than_it_has(
    seed: int, rows: int, columns: int, share: float, dtype: str
) -> None:
    cost, a, b = problem(seed, rows, columns)
    plan = solved(cost, a, b, getattr(torch, dtype), solver="partial", mass=share, iterations=2000)
    moved = plan.plan[0].double().numpy()
    assert moved.sum() == pytest.approx(share, abs=1e-5)
    over = np.maximum(moved.sum(1) - a, 0).sum(), np.maximum(moved.sum(0) - b, 0).sum()
    assert max(over) <= float(plan.marginal_error) + 1e-5


@pytest.mark.parametrize(
    ("solver", "limit"),
    [("unbalanced", {"penalty": 1e4}), ("unbalanced", {"penalty": 1e8}), ("partial", {"mass": 1.0})],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_limit_is_balanced_transport(solver: str, limit: dict[str, float], dtype: torch.dtype) -> None:
    cost, a, b = problem(1, 6, 8)
    balanced = solved(cost, a, b, epsilon=0.05, **TIGHT)
    relaxed = solved(cost, a, b, dtype, solver=solver, epsilon=0.05, iterations=500, tolerance=1e-5, **limit)
    assert relaxed.converged.all() and int(relaxed.iterations) <= 200
    torch.testing.assert_close(relaxed.plan.double(), balanced.plan, atol=1e-4, rtol=0.0)
    torch.testing.assert_close(relaxed.objective.double(), balanced.value, atol=1e-3, rtol=0.0)


def test_a_higher_penalty_moves_more_mass_and_a_distant_token_keeps_its_mass() -> None:
    cost = np.full((3, 3), 1.5)
    np.fill_diagonal(cost, 0.05)
    cost[2, 2] = 1.5
    third = np.full(3, 1 / 3)
    plans = [
        solved(cost, third, third, solver="unbalanced", epsilon=0.02, penalty=p, **TIGHT)
        for p in (0.1, 0.4, 2.0)
    ]
    masses = [float(plan.mass) for plan in plans]
    assert masses == sorted(masses) and masses[0] < 0.7 < 0.95 > masses[1]
    assert float(plans[0].plan[0, 2].sum()) < 1e-3 < 0.1 < float(plans[0].plan[0, 0].sum())
    left = solved(cost, third, third, solver="partial", epsilon=0.02, mass=2 / 3, **TIGHT)
    np.testing.assert_allclose(left.plan[0], np.diag([1 / 3, 1 / 3, 0]), atol=1e-6)


@pytest.mark.parametrize(("solver", "more"), [("unbalanced", {"penalty": 0.3}), ("partial", {"mass": 0.6})])
def test_the_gradient_of_the_objective_is_that_of_the_optimum(solver: str, more: dict[str, float]) -> None:
    cost, a, b = problem(4, 4, 5)
    epsilon = 0.1

    def optimum(costs: np.ndarray) -> float:
        plan = solved(costs, a, b, solver=solver, epsilon=epsilon, **more, **TIGHT).plan[0].numpy()
        paid = 0.0
        if solver == "unbalanced":
            paid = more["penalty"] * (divergence(plan.sum(1), a) + divergence(plan.sum(0), b))
        return float((plan * costs).sum() + paid + epsilon * divergence(plan, np.outer(a, b)))

    tensor = torch.tensor(cost)[None].requires_grad_()
    masses = (torch.tensor(a)[None], torch.tensor(b)[None])
    plan = solve(tensor, *masses, solver=solver, epsilon=epsilon, **more, **TIGHT)
    (gradient,) = torch.autograd.grad(plan.objective.sum(), tensor)
    step, numeric = 1e-5, np.zeros_like(cost)
    for index in np.ndindex(*cost.shape):
        moved = [cost.copy(), cost.copy()]
        moved[0][index] += step
        moved[1][index] -= step
        numeric[index] = (optimum(moved[0]) - optimum(moved[1])) / (2 * step)
    np.testing.assert_allclose(gradient[0], numeric, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("epsilon", [1e-3, 0.05, 10.0])
@pytest.mark.parametrize("magnitude", [0.0, 1e-4, 1.0, 1e4])
@pytest.mark.parametrize("solver", ["unbalanced", "partial"])
def test_adversarial_costs_stay_finite(
    solver: str, magnitude: float, epsilon: float, dtype: torch.dtype
) -> None:
    cost, a, b = problem(4, 6, 7)
    plan = solved(magnitude * cost, a, b, dtype, solver=solver, epsilon=epsilon, iterations=300)
    for tensor in (plan.plan, plan.value, plan.objective, plan.marginal_error, plan.effective_matches()):
        assert tensor.isfinite().all()
    moved = plan.plan[0].double().numpy()
    if solver == "partial":
        assert moved.sum() == pytest.approx(0.8, abs=1e-3)
        over = max(np.maximum(moved.sum(1) - a, 0).sum(), np.maximum(moved.sum(0) - b, 0).sum())
        assert over <= 2 * float(plan.marginal_error) + 1e-3
    else:
        assert 0.0 <= float(plan.objective) <= 2 * 0.5 + 1e-3  # leaving all mass costs 2ρ


def test_a_plan_that_moves_nothing() -> None:
    cost, a, b = problem(0, 3, 4)
    plan = solved(1e4 + cost, a, b, torch.float32, solver="unbalanced", epsilon=0.1, penalty=0.5)
    assert float(plan.mass) == 0.0 and float(plan.effective_matches()) == 1.0
    assert (plan.plan == 0).all()
    assert float(plan.objective) == pytest.approx(2 * 0.5)  # all mass of both sides is left at its price


@pytest.mark.parametrize("rows, columns", [(1, 1), (1, 6), (6, 1)])
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_partial_with_one_token_on_a_side(rows: int, columns: int, share: float) -> None:
    cost, a, b = problem(0, rows, columns)
    plan = solved(cost, a, b, torch.float32, solver="partial", epsilon=0.05, mass=share, iterations=500)
    assert plan.converged.all() and float(plan.mass) == pytest.approx(share, abs=1e-5)
    if share == 1.0:
        np.testing.assert_allclose(plan.plan[0], np.outer(a, b), atol=1e-5)


@pytest.mark.parametrize("solver", ["unbalanced", "partial"])
def test_masses_need_not_sum_to_one(solver: str) -> None:
    cost, a, b = problem(10, 5, 6)
    one = solved(cost, a, b, solver=solver)
    for total in (1e-6, 3.0):
        many = solved(cost, total * a, total * b, solver=solver)
        np.testing.assert_allclose(many.plan / total, one.plan, atol=1e-9)
        np.testing.assert_allclose(many.objective / total, one.objective, atol=1e-9)


def entropic_optimum(cost: Tensor, a: Tensor, b: Tensor, epsilon: float) -> Tensor:
    plan = solve(cost, a, b, epsilon=epsilon, iterations=50_000, tolerance=1e-13)
    return (plan.value - epsilon * torch.special.entr(plan.plan).sum((1, 2))).detach()


@pytest.mark.parametrize("scale", ["absolute", "spread"])
def test_marginals_get_the_gradient_of_the_entropic_optimum(scale: str) -> None:
    """Along directions that keep the total, as a softmax does."""
    generator = torch.Generator().manual_seed(3)
    x, y = (torch.randn(2, n, 5, generator=generator, dtype=torch.float64) for n in (4, 6))
    logits = [torch.randn(2, n, generator=generator, dtype=torch.float64, requires_grad=True) for n in (4, 6)]
    mask = torch.ones(2, 6, dtype=torch.bool)
    mask[0, 4:] = False

    def masses(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        return left.softmax(1), right.masked_fill(~mask, -torch.inf).softmax(1)

    cost = cosine_cost(x, y)
    plan = solve(cost, *masses(*logits), epsilon=0.3, epsilon_scale=scale, iterations=50_000, tolerance=1e-13)
    assert torch.equal(plan.objective.detach(), plan.value)
    gradients = torch.autograd.grad(plan.objective.sum(), logits)
    step = 1e-5
    for side, gradient in enumerate(gradients):
        numeric = torch.zeros_like(gradient)
        for index in np.ndindex(*gradient.shape):
            found = []
            for sign in (1, -1):
                moved = [tensor.detach().clone() for tensor in logits]
                moved[side][index] += sign * step
                problem_epsilon = float(plan.epsilon[index[0]])
                found.append(entropic_optimum(cost, *masses(*moved), problem_epsilon)[index[0]])
            numeric[index] = (found[0] - found[1]) / (2 * step)
        torch.testing.assert_close(gradient, numeric, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("solver", ["ipot", "exact", "unbalanced", "partial"])
def test_other_solvers_refuse_marginals_that_require_a_gradient(solver: str) -> None:
    source = torch.full((1, 3), 1 / 3, requires_grad=True)
    with pytest.raises(ValueError, match=f"no gradient from the solver {solver}; use sinkhorn"):
        solve(torch.rand(1, 3, 3), source, uniform_marginal(torch.ones(1, 3)), solver=solver)
    with torch.no_grad():  # no gradient is required here
        solve(torch.rand(1, 3, 3), source, uniform_marginal(torch.ones(1, 3)), solver=solver)


@pytest.mark.parametrize(
    ("settings_", "sentence"),
    [
        ({"penalty": 0.0}, "penalty must be a number above zero, not 0.0"),
        ({"penalty": float("inf")}, "penalty must be a number above zero"),
        ({"mass": 0.0}, "mass must be a share above 0 and at most 1"),
        ({"mass": 1.01}, "mass must be a share above 0 and at most 1 of the whole, not 1.01"),
        ({"mass": float("nan")}, "mass must be a share"),
        ({"solver": "partial", "anneal_from": 1.0}, "anneal_from belongs to the solver sinkhorn"),
    ],
)
def test_settings_out_of_range_are_refused(settings_: dict[str, object], sentence: str) -> None:
    third = torch.full((1, 3), 1 / 3)
    with pytest.raises(ValueError, match=sentence):
        solve(torch.rand(1, 3, 3), third, third, **settings_)
