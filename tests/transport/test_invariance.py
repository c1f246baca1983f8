"""Plans do not depend on the order of tokens, padding, the batch, the number format or masked values."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from engine.transport import Plan, cosine_cost, norm_marginal, solve, uniform_marginal

BALANCED = ["sinkhorn", "ipot", "exact"]
SOLVERS = [*BALANCED, "unbalanced", "partial"]


def batch(seed: int = 0, size: int = 6, rows: int = 7, columns: int = 9) -> tuple[Tensor, Tensor, Tensor]:
    """Cosine costs between related random vectors, of different lengths, with different masses."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(size, rows, 16, generator=generator)
    y = torch.randn(size, columns, 16, generator=generator)
    y[:, : min(rows, columns)] += x[:, : min(rows, columns)]
    lengths = torch.randint(1, rows + 1, (size, 1), generator=generator)
    others = torch.randint(1, columns + 1, (size, 1), generator=generator)
    source = uniform_marginal(torch.arange(rows) < lengths)
    return cosine_cost(x, y), source, norm_marginal(y, torch.arange(columns) < others)


def same(one: Plan, other: Plan, tolerance: float = 1e-6) -> None:
    torch.testing.assert_close(one.plan, other.plan, atol=tolerance, rtol=0.0)
    torch.testing.assert_close(one.value, other.value, atol=tolerance, rtol=tolerance)
    assert torch.equal(one.iterations, other.iterations)


@pytest.mark.parametrize("scale", ["absolute", "spread"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_a_batch_gives_the_same_plans_as_its_problems_one_by_one(solver: str, scale: str) -> None:
    cost, a, b = batch()
    common = {"solver": solver, "epsilon_scale": scale, "iterations": 200}
    together = solve(cost, a, b, **common)
    if solver == "sinkhorn":
        assert len(together.iterations.unique()) > 1  # they stop at different times
    for index in range(len(cost)):
        one = slice(index, index + 1)
        alone = solve(cost[one], a[one], b[one], **common)
        torch.testing.assert_close(alone.plan, together.plan[one], atol=1e-6, rtol=0.0)
        torch.testing.assert_close(alone.epsilon, together.epsilon[one])
        assert torch.equal(alone.iterations, together.iterations[one])


@pytest.mark.parametrize("garbage", [0.0, 1e30, -1e30, float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("scale", ["absolute", "spread"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_padding_with_garbage_changes_nothing(solver: str, scale: str, garbage: float) -> None:
    cost, a, b = batch()
    padded = torch.full((6, 11, 14), garbage)
    padded[:, :7, :9] = cost.masked_fill((a[:, :, None] * b[:, None]) == 0, garbage)
    padded.requires_grad_()
    wide_a, wide_b = torch.zeros(6, 11), torch.zeros(6, 14)
    wide_a[:, :7], wide_b[:, :9] = a, b
    common = {"solver": solver, "epsilon_scale": scale}
    narrow, wide = solve(cost, a, b, **common), solve(padded, wide_a, wide_b, **common)
    torch.testing.assert_close(wide.plan[:, :7, :9], narrow.plan, atol=1e-6, rtol=0.0)
    assert wide.plan[:, 7:].count_nonzero() == 0 and wide.plan[..., 9:].count_nonzero() == 0
    torch.testing.assert_close(wide.value, narrow.value)
    torch.testing.assert_close(wide.row_entropy()[:, :7], narrow.row_entropy(), atol=1e-5, rtol=0.0)
    wide.value.sum().backward()
    assert padded.grad is not None and torch.equal(padded.grad, wide.plan)


@given(st.integers(0, 2**31), st.integers(2, 8), st.integers(2, 8), st.sampled_from(SOLVERS))
@example(1924, 8, 8, "ipot")
@settings(max_examples=40, deadline=None)
def test_permuting_tokens_permutes_the_plan(seed: int, rows: int, columns: int, solver: str) -> None:
    cost, a, b = batch(seed, 3, rows, columns)
    generator = torch.Generator().manual_seed(seed)
    i, j = torch.randperm(rows, generator=generator), torch.randperm(columns, generator=generator)
    plain = solve(cost, a, b, solver=solver)
    moved = solve(cost[:, i][:, :, j], a[:, i], b[:, j], solver=solver)
    # A plan is exp(-C/ε) scaled, so rounding an exponent by its float32 unit changes an entry, which is at
    # most 1, by that much. The last kernel of IPOT has ε = β / iterations: exponents up to 2,000, error 2e-4.
    exponent = (cost.abs().amax((1, 2)) / plain.epsilon).masked_fill(plain.epsilon == 0, 0.0)
    bound = 1e-5 + torch.finfo(torch.float32).eps * exponent[:, None, None]
    assert bool(((moved.plan - plain.plan[:, i][:, :, j]).abs() <= bound).all())


def test_permuting_tokens_permutes_the_plan_of_ipot_in_float64() -> None:
    """The deviation in float32 is rounding: in float64 it is smaller by the ratio of their precisions."""
    cost, a, b = (tensor.double() for tensor in batch(1924, 3, 8, 8))
    i, j = torch.arange(7, -1, -1), torch.tensor([3, 1, 0, 2, 7, 6, 5, 4])
    plain = solve(cost, a, b, solver="ipot")
    moved = solve(cost[:, i][:, :, j], a[:, i], b[:, j], solver="ipot")
    torch.testing.assert_close(moved.plan, plain.plan[:, i][:, :, j], atol=1e-11, rtol=0.0)


@pytest.mark.parametrize("solver", SOLVERS)
def test_narrow_costs_are_promoted(solver: str) -> None:
    cost, a, b = batch()
    for dtype in (torch.bfloat16, torch.float16):
        narrow, wide = cost.to(dtype), cost.to(dtype).float()
        plan, expected = solve(narrow, a, b, solver=solver), solve(wide, a, b, solver=solver)
        assert plan.plan.dtype == plan.value.dtype == torch.float32
        assert torch.equal(plan.plan, expected.plan) and torch.equal(plan.value, expected.value)
    assert solve(cost.double(), a, b, solver=solver).plan.dtype == torch.float64


@pytest.mark.parametrize("solver", SOLVERS)
def test_autocast_and_inference_mode_change_nothing(solver: str) -> None:
    cost, a, b = batch()
    plain = solve(cost, a, b, solver=solver)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        same(solve(cost, a, b, solver=solver), plain, 0.0)
    with torch.inference_mode():
        same(solve(cost, a, b, solver=solver), plain, 0.0)


@given(st.floats(1e-3, 1e3), st.floats(-1.0, 1.0), st.sampled_from([*BALANCED, "partial"]))
@settings(max_examples=40, deadline=None)
def test_with_spread_the_plan_does_not_depend_on_the_unit_and_the_zero_of_costs(
    factor: float, shift: float, solver: str
) -> None:
    cost, a, b = (tensor.double() for tensor in batch())
    common = {"solver": solver, "epsilon": 0.3, "epsilon_scale": "spread", "iterations": 20}
    moved = solve(factor * (cost + shift), a, b, **common)
    torch.testing.assert_close(moved.plan, solve(cost, a, b, **common).plan, atol=1e-9, rtol=0.0)


def test_spread_is_the_weighted_standard_deviation() -> None:
    cost, a, b = batch()
    epsilon = solve(cost, a, b, epsilon=0.3, epsilon_scale="spread").epsilon.numpy()
    for index, (costs, source, target) in enumerate(zip(cost.numpy(), a.numpy(), b.numpy(), strict=True)):
        weights = np.outer(source, target)
        mean = np.average(costs, weights=weights)
        deviation = np.sqrt(np.average((costs - mean) ** 2, weights=weights))
        if (weights > 0).sum() > 1:
            assert epsilon[index] == pytest.approx(0.3 * deviation, rel=1e-4)


def test_inputs_are_not_changed() -> None:
    tensors = batch()
    copies = [tensor.clone() for tensor in tensors]
    for solver in SOLVERS:
        solve(*tensors, solver=solver)
    assert all(torch.equal(tensor, copy) for tensor, copy in zip(tensors, copies, strict=True))


def test_an_empty_batch_gives_an_empty_plan() -> None:
    for solver in SOLVERS:
        plan = solve(torch.zeros(0, 3, 4), torch.zeros(0, 3), torch.zeros(0, 4), solver=solver)
        assert plan.plan.shape == (0, 3, 4) and plan.value.shape == (0,)
