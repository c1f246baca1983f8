"""Diagnostics of a plan: gradients, entropy, matches."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.transport import Plan, cosine_cost, solve, uniform_marginal


def vectors(rows: int, seed: int) -> Tensor:
    return torch.randn(2, rows, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def masses(rows: int, seed: int) -> Tensor:
    mass = torch.rand(2, rows, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    mass[0, rows - 1] = 0.0
    return mass / mass.sum(1, keepdim=True)


def given_plan(plan: list[list[float]]) -> Plan:
    tensor = torch.tensor([plan])
    none = torch.zeros(1)
    return Plan(tensor, tensor, tensor.sum(2), tensor.sum(1), none, none, none, none, none == 0, "exact")


def entropic_objective(cost: Tensor, a: Tensor, b: Tensor, epsilon: float) -> Tensor:
    """The optimum of <T, C> - ε H(T) of each problem."""
    plan = solve(cost, a, b, epsilon=epsilon, iterations=50_000, tolerance=1e-13)
    return (plan.value - epsilon * torch.special.entr(plan.plan).sum((1, 2))).detach()


@pytest.mark.parametrize("epsilon", [0.05, 0.5])
def test_the_gradient_of_value_is_that_of_the_entropic_objective(epsilon: float) -> None:
    x, y, a, b = vectors(4, 0).requires_grad_(), vectors(5, 1), masses(4, 2), masses(5, 3)
    plan = solve(cosine_cost(x, y), a, b, epsilon=epsilon, iterations=50_000, tolerance=1e-13)
    (gradient,) = torch.autograd.grad(plan.value.sum(), x)
    step, numeric = 1e-5, torch.zeros_like(x)
    with torch.no_grad():
        for index in np.ndindex(*x.shape):
            for sign in (1, -1):
                moved = x.clone()
                moved[index] += sign * step
                objective = entropic_objective(cosine_cost(moved, y), a, b, epsilon)
                numeric[index] += sign * objective[index[0]] / (2 * step)
    torch.testing.assert_close(gradient, numeric, atol=1e-7, rtol=1e-5)


def test_the_plan_is_a_constant_in_the_gradient_of_value() -> None:
    x, y = vectors(4, 0), vectors(5, 1)
    cost = cosine_cost(x, y).requires_grad_()
    for solver in ("sinkhorn", "ipot", "exact"):
        plan = solve(cost, masses(4, 2), masses(5, 3), solver=solver)
        assert not plan.plan.requires_grad
        (gradient,) = torch.autograd.grad(plan.value.sum(), cost)
        assert torch.equal(gradient, plan.plan)
        assert torch.autograd.gradcheck(lambda c, t=plan.plan: (t * c).sum((1, 2)), (cost,))


def test_at_small_epsilon_the_gradient_equals_the_unrolled_one() -> None:
    x, y, a, b = vectors(6, 0).requires_grad_(), vectors(6, 1), masses(6, 2), masses(6, 3)
    a, b = (mass + 1e-3 for mass in (a, b))
    a, b = (mass / mass.sum(1, keepdim=True) for mass in (a, b))
    cost, epsilon = cosine_cost(x, y), 0.003
    f, g = torch.zeros_like(a), torch.zeros_like(b)
    for _ in range(5000):
        f = a.log() - (-cost / epsilon + g[:, None]).logsumexp(2)
        g = b.log() - (-cost / epsilon + f[:, :, None]).logsumexp(1)
    unrolled_plan = (f[:, :, None] + g[:, None] - cost / epsilon).exp()
    (unrolled,) = torch.autograd.grad((unrolled_plan * cost).sum(), x, retain_graph=True)
    plan = solve(cost, a, b, epsilon=epsilon, iterations=5000, tolerance=1e-12)
    (detached,) = torch.autograd.grad(plan.value.sum(), x)
    assert float(torch.cosine_similarity(unrolled.flatten(), detached.flatten(), dim=0)) > 0.999


def test_a_permutation_is_one_hard_match() -> None:
    plan = given_plan([[0.0, 0.5, 0.0], [0.0, 0.0, 0.25], [0.25, 0.0, 0.0]])
    assert (plan.row_entropy() == 0).all()
    assert float(plan.effective_matches()) == 1.0


def test_the_independent_coupling_matches_everything() -> None:
    cost = torch.rand(1, 5, 8, generator=torch.Generator().manual_seed(0))
    plan = solve(cost, uniform_marginal(torch.ones(1, 5)), uniform_marginal(torch.ones(1, 8)), epsilon=1e6)
    torch.testing.assert_close(plan.row_entropy(), torch.full((1, 5), math.log(8)))
    assert float(plan.effective_matches()) == pytest.approx(8.0, rel=1e-4)


def test_entropy_is_weighted_by_mass_and_masked_rows_are_ignored() -> None:
    plan = given_plan([[0.375, 0.375, 0.0], [0.0, 0.0, 0.25], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(plan.row_entropy(), torch.tensor([[math.log(2), 0.0, 0.0]]))
    assert float(plan.effective_matches()) == pytest.approx(2**0.75)


def test_smaller_epsilon_gives_fewer_matches_and_a_lower_value() -> None:
    cost, a, b = cosine_cost(vectors(6, 0), vectors(7, 1)), masses(6, 2), masses(7, 3)
    plans = [solve(cost, a, b, epsilon=e, iterations=20_000, tolerance=1e-9) for e in (1.0, 0.1, 0.01)]
    for blunt, sharp in itertools.pairwise(plans):
        assert (sharp.effective_matches() < blunt.effective_matches()).all()
        assert (sharp.value < blunt.value).all()
    exact = solve(cost, a, b, solver="exact")
    torch.testing.assert_close(plans[-1].value, exact.value, atol=5e-3, rtol=0.0)
    assert (plans[-1].plan.argmax(-1) == exact.plan.argmax(-1))[a > 0].float().mean() > 0.8


def test_defaults_converge_on_the_costs_of_related_tokens() -> None:
    """Costs as between translations: each token is near one other, and all share a direction."""
    generator = torch.Generator().manual_seed(3)
    noise = torch.randn(64, 30, 64, generator=generator)
    source = torch.nn.functional.normalize(noise + 1.0, dim=-1)
    other = noise[:, torch.randperm(30, generator=generator)[:26]]
    other = other + torch.randn(other.shape, generator=generator)
    target = torch.nn.functional.normalize(other + 1.0, dim=-1)
    cost = 1 - source @ target.transpose(1, 2)
    a, b = torch.full((64, 30), 1 / 30), torch.full((64, 26), 1 / 26)
    for epsilon in (0.05, 0.1, 0.2):
        plan = solve(cost, a, b, epsilon=epsilon, epsilon_scale="spread")
        assert float(plan.converged.float().mean()) > 0.9 and float(plan.marginal_error.max()) < 1e-2
        sharp = solve(cost, a, b, epsilon=epsilon, epsilon_scale="spread", iterations=5000, tolerance=1e-6)
        assert float((plan.effective_matches() - sharp.effective_matches()).abs().median()) < 0.01
