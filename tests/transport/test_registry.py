"""Every registered cost, marginal and solver keeps what its type promises; entries of other code are used."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config import TransportConfig
from engine.errors import InputError
from engine.extensions.transport import (
    COSTS,
    MARGINALS,
    SOLVERS,
    Cost,
    Marginal,
    MassInputs,
    Problem,
    Solution,
    Solver,
    SolverOptions,
)
from engine.transport import TokenTransport, solve

SIZES = st.integers(1, 6)


def masses(rng: np.random.Generator, batch: int, size: int) -> torch.Tensor:
    """Random masses of which some are zero."""
    mass = rng.random((batch, size)) + 0.05
    mass[:, 1:] *= rng.random((batch, size - 1)) < 0.7
    return torch.from_numpy(mass / mass.sum(1, keepdims=True))


@given(st.sampled_from(list(SOLVERS)), st.integers(0, 2**31), SIZES, SIZES)
@settings(max_examples=80, deadline=None)
def test_every_solver_returns_a_plan_of_its_marginals(name: str, seed: int, rows: int, columns: int) -> None:
    rng = np.random.default_rng(seed)
    cost = torch.from_numpy(rng.random((3, rows, columns)))
    a, b = masses(rng, 3, rows), masses(rng, 3, columns)
    entry = SOLVERS[name]
    plan = solve(cost, a, b, solver=name, epsilon=0.5, iterations=500, tolerance=1e-7)
    moved = plan.plan
    assert plan.solver == name and moved.shape == cost.shape and moved.dtype == torch.float64
    assert (moved >= 0).all() and moved.isfinite().all()
    assert (moved[(a == 0)[:, :, None] | (b == 0)[:, None]] == 0).all()
    if entry.meets_marginals:
        error = torch.maximum((moved.sum(2) - a).abs().sum(1), (moved.sum(1) - b).abs().sum(1))
        torch.testing.assert_close(plan.marginal_error, error, atol=1e-9, rtol=0.0)
        assert (error < 2e-2).all()  # the steps of a proximal method are few, and none depends on its error
    else:
        assert plan.converged.all()
    if not entry.mass_varies:
        share = 1.0 if entry.meets_marginals else 0.8
        torch.testing.assert_close(moved.sum((1, 2)), torch.full((3,), share).double(), atol=1e-5, rtol=0.0)
        assert (moved.sum(2) <= a + 2e-2).all() and (moved.sum(1) <= b + 2e-2).all()


@pytest.mark.parametrize("name", list(SOLVERS))
def test_a_solver_ignores_the_settings_that_it_does_not_declare(name: str) -> None:
    rng = np.random.default_rng(4)
    cost, a, b = torch.from_numpy(rng.random((2, 5, 4))), masses(rng, 2, 5), masses(rng, 2, 4)
    usual = solve(cost, a, b, solver=name)
    others: dict[str, Any] = {"epsilon": 0.3, "iterations": 3, "penalty": 0.05, "mass": 0.3}
    for setting, value in others.items():
        changed = solve(cost, a, b, solver=name, **{setting: value})
        assert torch.equal(changed.plan, usual.plan) != (setting in SOLVERS[name].settings), setting


@pytest.mark.parametrize("name", list(SOLVERS))
def test_only_solvers_that_say_so_give_masses_a_gradient(name: str) -> None:
    a = torch.full((1, 3), 1 / 3, requires_grad=True)
    cost = torch.rand(1, 3, 3, generator=torch.Generator().manual_seed(0))
    if not SOLVERS[name].mass_gradient:
        with pytest.raises(InputError, match=f"no gradient from the solver {name}"):
            solve(cost, a, a.detach(), solver=name)
        return
    solve(cost, a, a.detach(), solver=name).objective.sum().backward()
    assert a.grad is not None and a.grad.abs().sum() > 0


@pytest.mark.parametrize("name", list(COSTS))
def test_every_cost_is_the_function_of_similarity_that_it_declares(name: str) -> None:
    generator = torch.Generator().manual_seed(1)
    x, y = (
        torch.nn.functional.normalize(torch.randn(n, 3, t, 8, generator=generator).double(), dim=-1)
        for n, t in ((1, 4), (2, 5))
    )
    cost = COSTS[name].function(x, y)
    assert cost.shape == (2, 3, 4, 5) and (cost >= 0).all()
    of_similarity = COSTS[name].of_similarity
    if of_similarity is not None:
        torch.testing.assert_close(of_similarity(torch.einsum("...qh,...dh->...qd", x, y)), cost)


def side(mask: torch.Tensor, **changes: Any) -> Any:
    """Encoded texts of random numbers."""
    generator = torch.Generator().manual_seed(2)
    batch, tokens = mask.shape
    made = {
        "tokens": torch.randn(batch, tokens, 4, generator=generator),
        "mask": mask,
        "norms": torch.rand(batch, tokens, generator=generator) + 0.1,
        "ids": torch.arange(batch * tokens).view(batch, tokens),
        "attention": torch.rand(batch, tokens, generator=generator) + 0.1,
    }
    return SimpleNamespace(**(made | changes))


@pytest.mark.parametrize("name", list(MARGINALS))
def test_every_marginal_gives_masses_to_counted_tokens_only_and_says_what_it_needs(name: str) -> None:
    mask = torch.tensor([[True, True, False], [True, False, False]])
    head = torch.nn.Linear(4, 1, bias=False)
    idf = torch.rand(6, generator=torch.Generator().manual_seed(3)) + 0.1
    given = TokenTransport(TransportConfig(marginals=name), idf, head).masses(side(mask))
    torch.testing.assert_close(given.sum(1), torch.ones(2))
    assert (given > 0).equal(mask)
    available: dict[str, tuple[Any, Any]] = {
        "document_frequencies": (TokenTransport(TransportConfig(marginals=name), None, head), side(mask)),
        "mass_head": (TokenTransport(TransportConfig(marginals=name), idf, None), side(mask)),
        "attention": (
            TokenTransport(TransportConfig(marginals=name), idf, head),
            side(mask, attention=None),
        ),
    }
    for source, (transport, encoded) in available.items():
        if source in MARGINALS[name].needs:
            with pytest.raises(InputError, match=f"'{name}' cannot be used"):
                transport.masses(encoded)
        else:
            assert torch.equal(transport.masses(encoded), given)


# -- entries of other code --------------------------------------------------------------------------------


def manhattan(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return (x.unsqueeze(-2) - y.unsqueeze(-3)).abs().sum(-1)


def by_position(given: Any, _: MassInputs) -> torch.Tensor:
    """The first token has the most mass."""
    weights = given.mask / torch.arange(1, given.mask.shape[1] + 1)
    return weights / weights.sum(1, keepdim=True)


def independent(problem: Problem, _: SolverOptions) -> Solution:
    """The independent coupling, whatever the costs are."""
    return Solution(problem.source.unsqueeze(2) * problem.target.unsqueeze(1))


@pytest.fixture
def extras() -> Iterator[None]:
    COSTS.register(Cost("manhattan", "sum of absolute differences", manhattan))
    MARGINALS.register(Marginal("position", "by position", by_position))
    SOLVERS.register(Solver("independent", "the independent coupling", independent, settings=()))
    yield
    COSTS.unregister("manhattan")
    MARGINALS.unregister("position")
    SOLVERS.unregister("independent")


def test_registered_entries_are_used_by_name_and_unknown_again_afterwards(extras: None) -> None:
    config = TransportConfig(cost="manhattan", marginals="position", solver="independent")
    first = side(torch.tensor([[True, True, False], [True, False, False]]))
    second = side(torch.tensor([[True, True], [True, True]]))
    plan = TokenTransport(config).plan(first, second)
    a = np.array([[2 / 3, 1 / 3, 0], [1, 0, 0]])
    np.testing.assert_allclose(plan.plan, a[:, :, None] * np.array([2 / 3, 1 / 3]), atol=1e-6)
    pairs = zip(first.tokens.numpy(), second.tokens.numpy(), strict=True)
    expected = [ot.dist(x, y, "cityblock") for x, y in pairs]
    np.testing.assert_allclose(plan.value, (plan.plan.numpy() * np.stack(expected)).sum((1, 2)), rtol=1e-5)
    assert plan.converged.all() and plan.solver == "independent"
    assert solve(plan.cost, plan.source_marginal, plan.target_marginal, solver="independent").converged.all()


@pytest.mark.parametrize(
    ("setting", "value"), [("cost", "manhattan"), ("marginals", "position"), ("solver", "independent")]
)
def test_names_that_are_not_registered_are_refused(setting: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"{setting}\n.*'{value}'"):
        TransportConfig(**{setting: value})


def test_declarations_and_settings_import_no_numerical_library() -> None:
    code = (
        "import sys; from engine import config; import engine.transport, engine.training.losses; "
        "from engine.extensions.losses import LOSSES; from engine.extensions.scorings import SCORINGS; "
        "from engine.extensions.transport import COSTS, MARGINALS, SOLVERS; "
        "assert all(map(len, (LOSSES, SCORINGS, COSTS, MARGINALS, SOLVERS))); "
        "print([m for m in ('torch', 'numpy', 'pyarrow', 'transformers', 'faiss', 'ot') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
