"""The solvers against POT, the textbook iterations and closed forms."""

import warnings
from typing import Any

import numpy as np
import ot
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp

from engine.transport import Plan, sinkhorn, solve
from engine.transport.scaling import scale

SIZES = st.integers(1, 8)
SEEDS = st.integers(0, 2**31)


def problem(seed: int, rows: int, columns: int, holes: bool = True) -> tuple[np.ndarray, ...]:
    """A float64 problem with random costs and masses, some of the masses zero."""
    rng = np.random.default_rng(seed)
    cost = rng.random((rows, columns))
    masses = []
    for size in (rows, columns):
        mass = rng.random(size) + 0.05
        if holes and size > 2:
            mass[rng.permutation(size)[: rng.integers(0, size - 1)]] = 0.0
        masses.append(mass / mass.sum())
    return cost, masses[0], masses[1]


def solved(cost: np.ndarray, a: np.ndarray, b: np.ndarray, dtype=torch.float64, **settings) -> Plan:
    return solve(*(torch.tensor(array, dtype=dtype)[None] for array in (cost, a, b)), **settings)


def reduced(cost: np.ndarray) -> np.ndarray:
    """Costs minus row and column minima: an equivalent problem, and the one on which the iterations start."""
    cost = cost - cost.min(1, keepdims=True)
    return cost - cost.min(0)


def textbook_steps(cost: np.ndarray, a: np.ndarray, b: np.ndarray, epsilon: float, steps: int) -> np.ndarray:
    kernel, v = -reduced(cost) / epsilon, np.zeros(len(b))
    for _ in range(steps):
        u = np.log(a) - logsumexp(kernel + v, axis=1)
        v = np.log(b) - logsumexp(kernel + u[:, None], axis=0)
    return np.exp(kernel + u[:, None] + v)


def entropic_plan(cost: np.ndarray, a: np.ndarray, b: np.ndarray, epsilon: float) -> np.ndarray:
    """POT's log-domain Sinkhorn on the support; zero masses would give NaN."""
    rows, columns = a > 0, b > 0
    plan = np.zeros_like(cost)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it may stop a little above its threshold
        plan[np.ix_(rows, columns)] = ot.sinkhorn(
            a[rows],
            b[columns],
            cost[np.ix_(rows, columns)],
            epsilon,
            method="sinkhorn_log",
            stopThr=1e-12,
            numItermax=20_000,
        )
    return plan


@given(SEEDS, SIZES, SIZES)
@settings(max_examples=60, deadline=None)
def test_exact_is_pots_network_simplex(seed: int, rows: int, columns: int) -> None:
    cost, a, b = problem(seed, rows, columns)
    plan = solved(cost, a, b, solver="exact")
    assert float(plan.value) == pytest.approx(ot.emd2(a, b, cost), abs=1e-12)
    assert plan.converged.all() and float(plan.marginal_error) < 1e-12
    assert float(plan.epsilon) == 0.0


@given(SEEDS, SIZES, SIZES, st.sampled_from([0.05, 0.2, 1.0]))
@settings(max_examples=40, deadline=None)
def test_sinkhorn_converges_to_pots_plan(seed: int, rows: int, columns: int, epsilon: float) -> None:
    cost, a, b = problem(seed, rows, columns)
    plan = solved(cost, a, b, epsilon=epsilon, iterations=20_000, tolerance=1e-12)
    np.testing.assert_allclose(plan.plan[0], entropic_plan(cost, a, b, epsilon), atol=1e-9)


@given(SEEDS, SIZES, SIZES, st.sampled_from([0.005, 0.05, 0.5]), st.sampled_from(["float32", "float64"]))
@settings(max_examples=60, deadline=None)
def test_a_converged_plan_lies_between_the_bounds(
    seed: int, rows: int, columns: int, epsilon: float, dtype: str
) -> None:
    cost, a, b = problem(seed, rows, columns)
    plan = solved(cost, a, b, getattr(torch, dtype), epsilon=epsilon, iterations=500, tolerance=1e-4)
    met = plan.plan[0].double().numpy()
    errors = [np.abs(met.sum(1) - a).sum(), np.abs(met.sum(0) - b).sum()]
    assert float(plan.marginal_error) == pytest.approx(max(errors), abs=1e-6)
    assert bool(plan.converged) == (float(plan.marginal_error) <= 1e-4)
    assert (met >= 0).all() and (met[a == 0] == 0).all() and (met[:, b == 0] == 0).all()
    least = ot.emd2(a, b, cost)
    # moving the misplaced mass costs at most the range of the costs
    assert float(plan.value) >= least - max(errors) - 1e-6
    if plan.converged:
        # <T, C> - ε H(T) is least at T, and 0 <= H <= log(Q D) for every plan
        assert float(plan.value) <= least + epsilon * np.log(rows * columns) + 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("iterations", [1, 2, 9, 10, 25])
@pytest.mark.parametrize(
    "epsilon", [1e-3, 0.02, 0.5]
)  # at 1e-3 the stabilised kernel is replaced by the log domain
def test_sinkhorn_takes_the_textbooks_steps(epsilon: float, iterations: int, dtype: torch.dtype) -> None:
    cost, a, b = problem(5, 7, 9, holes=False)
    expected = textbook_steps(cost, a, b, epsilon, iterations)
    plan = solved(cost, a, b, dtype, epsilon=epsilon, iterations=iterations, tolerance=1e-30)
    assert int(plan.iterations) == iterations
    tolerance = 1e-11 if dtype == torch.float64 else 1e-3
    np.testing.assert_allclose(plan.plan[0], expected, rtol=tolerance, atol=tolerance * expected.max())


@given(SEEDS, st.sampled_from([0.002, 0.01, 0.1]), st.sampled_from([1, 8, 20]), st.integers(1, 30))
@example(1, 0.01, 20, 10)  # without the log domain, an entry has an error of 0.98 here
@settings(max_examples=60, deadline=None)
def test_sinkhorn_takes_the_same_steps_in_float32_when_masses_are_skewed(
    seed: int, epsilon: float, skew: int, steps: int
) -> None:
    rng = np.random.default_rng(seed)
    cost, a, b = rng.random((6, 4)), rng.random(6) ** skew, rng.random(4) ** skew
    a, b = a / a.sum(), b / b.sum()
    plan = solved(cost, a, b, torch.float32, epsilon=epsilon, iterations=steps, tolerance=1e-30)
    np.testing.assert_allclose(plan.plan[0], textbook_steps(cost, a, b, epsilon, steps), atol=1e-4)


@pytest.mark.parametrize("epsilon", [0.03, 0.1, 0.3])
def test_sinkhorn_stops_at_the_first_check_that_meets_the_tolerance(epsilon: float) -> None:
    cost, a, b = problem(11, 6, 7, holes=False)
    plan = solved(cost, a, b, epsilon=epsilon, iterations=1000, tolerance=1e-3)
    checks = range(10, 1001, 10)
    errors = (np.abs(textbook_steps(cost, a, b, epsilon, n).sum(1) - a).sum() for n in checks)
    assert int(plan.iterations) == next(n for n, error in zip(checks, errors, strict=False) if error <= 1e-3)
    assert plan.converged.all()


@given(SEEDS, SIZES, SIZES, st.sampled_from([0.1, 1.0]), st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_ipot_is_algorithm_1_of_its_paper(
    seed: int, rows: int, columns: int, beta: float, steps: int
) -> None:
    cost, a, b = problem(seed, rows, columns, holes=False)
    kernel = np.exp(-reduced(cost) / beta)
    transport, sigma = np.ones_like(cost), np.ones(columns) / columns
    for _ in range(steps):
        hadamard = kernel * transport
        delta = a / (hadamard @ sigma)
        sigma = b / (hadamard.T @ delta)
        transport = delta[:, None] * hadamard * sigma
    plan = solved(cost, a, b, solver="ipot", epsilon=beta, iterations=steps)
    np.testing.assert_allclose(plan.plan[0], transport, atol=1e-12)
    assert int(plan.iterations) == steps


@pytest.mark.parametrize("steps", [1, 5, 40])
def test_ipot_solves_the_entropic_problem_at_beta_over_k_for_the_marginals_it_meets(steps: int) -> None:
    cost, a, b = problem(3, 6, 8)
    plan = solved(cost, a, b, solver="ipot", epsilon=0.2 * steps, iterations=steps)
    assert float(plan.epsilon) == pytest.approx(0.2)
    met = plan.plan[0].numpy()
    np.testing.assert_allclose(met, entropic_plan(cost, met.sum(1), met.sum(0), 0.2), atol=1e-9)


def test_ipot_equals_sinkhorn_at_beta_over_k() -> None:
    for seed in range(5):
        cost, a, b = problem(seed, 6, 8)
        near = solved(cost, a, b, solver="ipot", epsilon=20.0, iterations=40)
        plan = solved(cost, a, b, epsilon=20.0 / 40, iterations=20_000, tolerance=1e-12)
        assert float(near.marginal_error) < 1e-3
        np.testing.assert_allclose(near.plan, plan.plan, atol=1e-3)


def test_ipot_converges_to_the_exact_plan() -> None:
    cost, a, b = problem(1, 8, 8)
    plan = solved(cost, a, b, solver="ipot", epsilon=0.1, iterations=2000)
    assert float(plan.value) == pytest.approx(ot.emd2(a, b, cost), abs=1e-4)


@pytest.mark.parametrize("solver", ["sinkhorn", "ipot", "exact"])
@pytest.mark.parametrize("rows, columns", [(1, 1), (1, 6), (6, 1)])
def test_with_one_token_on_a_side_there_is_one_plan(solver: str, rows: int, columns: int) -> None:
    cost, a, b = problem(0, rows, columns)
    plan = solved(cost, a, b, torch.float32, solver=solver)
    np.testing.assert_allclose(plan.plan[0], np.outer(a, b), atol=1e-6)
    assert plan.converged.all()


@pytest.mark.parametrize("scale", ["absolute", "spread"])
@pytest.mark.parametrize("solver", ["sinkhorn", "ipot"])
@pytest.mark.parametrize("level", [0.0, 0.7, 1e-4, 1e4])
def test_equal_costs_give_the_independent_coupling(solver: str, scale: str, level: float) -> None:
    _, a, b = problem(2, 5, 7)
    cost = np.full((5, 7), level)
    plan = solved(cost, a, b, torch.float32, solver=solver, epsilon_scale=scale)
    np.testing.assert_allclose(plan.plan[0], np.outer(a, b), atol=1e-6)


def test_costs_equal_up_to_rounding_are_not_taken_for_an_alignment() -> None:
    _, a, b = problem(2, 5, 7)
    cost = 0.7 + 6e-8 * np.random.default_rng(0).integers(0, 2, (5, 7))
    plan = solved(cost, a, b, torch.float32, epsilon_scale="spread", epsilon=1.0)
    np.testing.assert_allclose(plan.plan[0], np.outer(a, b), rtol=0.1)


@pytest.mark.parametrize("solver", ["sinkhorn", "ipot", "exact"])
@pytest.mark.parametrize("magnitude", [1e-4, 1e4])
def test_tiny_and_huge_costs_stay_finite_and_follow_the_spread(solver: str, magnitude: float) -> None:
    cost, a, b = problem(4, 6, 7)
    common = {"solver": solver, "epsilon": 0.5, "iterations": 300}
    absolute = solved(magnitude * cost, a, b, torch.float32, **common)
    for tensor in (absolute.plan, absolute.value, absolute.marginal_error):
        assert tensor.isfinite().all()
    assert float(absolute.value) <= magnitude
    np.testing.assert_allclose(absolute.plan[0].sum(0), b, atol=1e-5)
    spread = solved(magnitude * cost, a, b, torch.float32, epsilon_scale="spread", **common)
    unscaled = solved(cost, a, b, torch.float32, epsilon_scale="spread", **common)
    np.testing.assert_allclose(spread.plan, unscaled.plan, atol=1e-5)


@pytest.mark.parametrize("cell", [1e3, 1e6, 1e12])
def test_one_dominating_cell_is_avoided(cell: float) -> None:
    cost, a, b = problem(6, 6, 7, holes=False)
    cost[2, 3] = cell
    plan = solved(cost, a, b, torch.float32, epsilon=0.05, iterations=2000)
    assert plan.converged.all() and float(plan.plan[0, 2, 3]) == 0.0
    np.testing.assert_allclose(plan.plan[0], entropic_plan(cost, a, b, 0.05), atol=2e-4)


@pytest.mark.parametrize("epsilon", [1e-3, 1e-8, 1e-20, 1e-44, 1e-300])
@pytest.mark.parametrize("magnitude", [1.0, 1e4])
@pytest.mark.parametrize("solver", ["sinkhorn", "ipot"])
def test_plans_at_regularisations_beyond_float32_are_finite_and_not_wrongly_converged(
    solver: str, magnitude: float, epsilon: float
) -> None:
    cost, a, b = problem(7, 6, 7, holes=False)
    plan = solved(magnitude * cost, a, b, torch.float32, solver=solver, epsilon=epsilon)
    assert plan.plan.isfinite().all() and plan.value.isfinite().all()
    error = np.abs(plan.plan[0].double().numpy().sum(1) - a).sum()
    assert bool(plan.converged) == (error <= 1e-4)


@pytest.mark.parametrize("start", [0.02, 0.03, 1.0, 10.0])
@pytest.mark.parametrize("scale", ["absolute", "spread"])
def test_annealing_reaches_the_same_plan(start: float, scale: str) -> None:
    cost, a, b = problem(8, 7, 7)
    common = {"epsilon": 0.02, "epsilon_scale": scale, "iterations": 50_000, "tolerance": 1e-11}
    plain, annealed = solved(cost, a, b, **common), solved(cost, a, b, anneal_from=start, **common)
    assert annealed.converged.all()
    assert torch.equal(annealed.epsilon, plain.epsilon)
    np.testing.assert_allclose(annealed.plan, plain.plan, atol=1e-9)


@pytest.mark.parametrize("iterations", [8, 11, 60, 200])
def test_annealing_takes_at_most_half_of_the_iterations(
    iterations: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[tuple[float, int]] = []

    def counted(log_kernel: torch.Tensor, *rest: Any) -> Any:
        taken.append((float(log_kernel.min()), rest[-1]))
        return scale(log_kernel, *rest)

    monkeypatch.setattr(sinkhorn, "scale", counted)
    cost, a, b = problem(9, 7, 7)
    plan = solved(cost, a, b, epsilon=0.01, anneal_from=1.0, iterations=iterations, tolerance=1e-30)
    assert int(plan.iterations) == iterations == sum(steps for _, steps in taken)
    final = min(kernel for kernel, _ in taken)
    before = sum(steps for kernel, steps in taken if kernel > final)
    assert 7 <= before <= max(7, min(iterations // 2, 35))
    kernels = [kernel for kernel, _ in taken]
    assert kernels == sorted(kernels, reverse=True) and final == pytest.approx(100 * kernels[0])


def test_masses_need_not_sum_to_one() -> None:
    cost, a, b = problem(10, 5, 6)
    for solver in ("sinkhorn", "ipot", "exact"):
        one = solved(cost, a, b, solver=solver)
        for total in (1e-12, 3.0):
            many = solved(cost, total * a, total * b, solver=solver)
            np.testing.assert_allclose(many.plan / total, one.plan, atol=1e-9)
            assert torch.equal(many.iterations, one.iterations)
