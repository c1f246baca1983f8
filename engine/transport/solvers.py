"""`solve`: check a batch of transport problems and solve it with one of the solvers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, get_args

from engine.errors import nearest
from engine.extensions.transport import SOLVERS, Problem, SolverOptions
from engine.lazy import LazyModule
from engine.transport.plan import Plan
from engine.transport.problem import (
    TransportError,
    balanced_marginals,
    reduced,
    spread,
    support_of,
    working_dtype,
)

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")

EpsilonScale = Literal["absolute", "spread"]


def solve(
    cost: Tensor,
    source_marginal: Tensor,
    target_marginal: Tensor,
    *,
    solver: str = "sinkhorn",
    epsilon: float = 0.05,
    epsilon_scale: EpsilonScale = "absolute",
    anneal_from: float | None = None,
    iterations: int | None = None,
    tolerance: float = 1e-3,
    penalty: float = 0.5,
    mass: float = 0.8,
) -> Plan:
    """Solve a batch of optimal transport problems.

    The plan is computed without autograd and outside autocast, in float32 (float64 for float64 costs).
    Marginals that require a gradient get the gradient of the optimum, the dual potentials, from solvers with
    ``mass_gradient``.

    Parameters
    ----------
    cost : Tensor (B, Q, D)
        Cost of moving a unit of mass from a source to a target token. Any value is allowed where one of them
        has no mass, also NaN.
    source_marginal, target_marginal : Tensor (B, Q), (B, D)
        Mass of each token, >= 0; 0 marks a masked position. A problem's two totals must agree to 1e-3, and
        the target's is then made equal to the source's.
    solver : str
        One of `engine.extensions.transport.SOLVERS`.
    epsilon : float
        Entropic regularisation; the step β of IPOT. Solvers without regularisation ignore it.
    epsilon_scale : {"absolute", "spread"}
        Whether `epsilon` and `anneal_from` are in the unit of the costs or in standard deviations of each
        problem's costs (over pairs of tokens, weighted by the product of their masses). The plan then stays
        the same when all costs are multiplied by, or moved by, a constant.
    anneal_from : float, optional
        Start with this ε and halve it down to `epsilon`, for solvers that anneal.
    iterations : int, optional
        Maximum number of iterations; IPOT takes exactly this number of proximal steps. The default is 500,
        and 50 for IPOT.
    tolerance : float
        Sum of absolute errors of a marginal, as a share of the mass of the problem, at which iterations stop.
        A plan with a larger error is not converged.
    penalty : float
        Price ρ of mass that unbalanced transport leaves or adds, in the unit of the costs for every
        `epsilon_scale`; see `engine.transport.unbalanced`.
    mass : float
        Share of the mass that partial transport moves, in (0, 1].

    Returns
    -------
    Plan

    Raises
    ------
    TransportError
        If shapes disagree, masses are negative, not finite or not balanced, a cost between tokens with mass
        is not finite, or a setting is out of range. The error is a `ValueError` too.
    """
    anneal = _check_settings(solver, epsilon, epsilon_scale, anneal_from, iterations, tolerance)
    _check_relaxation(penalty, mass)
    entry = SOLVERS[solver]
    iterations = entry.iterations if iterations is None else iterations
    learned = torch.is_grad_enabled() and (source_marginal.requires_grad or target_marginal.requires_grad)
    if learned and not entry.mass_gradient:
        able = " or ".join(name for name, other in SOLVERS.items() if other.mass_gradient)
        raise TransportError(f"marginals get no gradient from the solver {solver}; use {able}")
    source, target = balanced_marginals(cost, source_marginal, target_marginal)
    with torch.autocast(cost.device.type, enabled=False):
        support = support_of(source, target)
        cost = torch.where(support, cost.to(working_dtype(cost)), 0.0)
        with torch.no_grad():
            constant = cost.detach()
            if not bool(constant.isfinite().all()):
                worst = int((~constant.isfinite()).nonzero()[0, 0])
                raise TransportError(
                    f"problem {worst} of the batch has a cost that is not finite between tokens with mass"
                )
            unit = constant.new_ones(len(constant))
            if epsilon_scale == "spread":
                unit = spread(constant, source, target)
            total = source.sum(1, keepdim=True)
            problem = Problem(
                reduced(constant, support) if entry.meets_marginals else constant,
                source / total,
                target / total,
                (epsilon * unit).clamp_min_(torch.finfo(unit.dtype).tiny),
            )
            found = entry.function(problem, SolverOptions(iterations, tolerance, anneal, penalty, mass))
            rows = found.plan.sum(2) - (problem.source if found.rows is None else found.rows)
            columns = found.plan.sum(1) - (problem.target if found.columns is None else found.columns)
            error = torch.maximum(rows.abs().sum(1), columns.abs().sum(1))
            plan = found.plan * total.unsqueeze(2)
            done = torch.zeros_like(unit, dtype=torch.long) if found.iterations is None else found.iterations
            surplus = torch.zeros_like(unit)
            if found.surplus is not None:
                surplus = found.surplus * total.squeeze(1)
            regularisation = problem.epsilon if found.epsilon is None else found.epsilon
        if learned:
            assert found.scaling is not None
            potentials = _potentials(problem, constant, found.scaling)
            for marginal, potential in zip((source_marginal, target_marginal), potentials, strict=True):
                surplus = surplus + (potential * (marginal - marginal.detach())).sum(1)
    return Plan(plan, cost, source, target, regularisation, done, surplus, error, error <= tolerance, solver)


def _potentials(problem: Problem, cost: Tensor, scaling: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the dual potentials (B, Q), (B, D), the optimum's gradient in the marginals; 0 where masked.

    They are determined up to a constant, which has no effect on marginals of a fixed total. The constant that
    was subtracted from the costs of a row is read in a column with mass, and the other way round.
    """
    taken = cost - problem.cost
    potentials = []
    for dim, other, factors in ((2, problem.target, scaling[0]), (1, problem.source, scaling[1])):
        anchor = other.argmax(1).view(-1, 1, 1)
        anchor = anchor.expand(-1, taken.shape[1], 1) if dim == 2 else anchor.expand(-1, 1, taken.shape[2])
        potential = problem.epsilon.unsqueeze(1) * factors + taken.gather(dim, anchor).squeeze(dim)
        potentials.append(potential.masked_fill(factors.isinf(), 0.0))
    return potentials[0], potentials[1]


def _check_settings(
    solver: str,
    epsilon: float,
    epsilon_scale: str,
    anneal_from: float | None,
    iterations: int | None,
    tolerance: float,
) -> float:
    """Return the multiple of ε at which annealing starts; raise TransportError for a setting out of range."""
    _check_choice("solver", solver, tuple(SOLVERS))
    _check_choice("epsilon_scale", epsilon_scale, get_args(EpsilonScale))
    for key, number in (("epsilon", epsilon), ("tolerance", tolerance)):
        if not (number > 0 and math.isfinite(number)):
            raise TransportError(f"{key} must be a number above zero, not {number}")
    if iterations is not None and iterations < 1:
        raise TransportError(f"iterations must be at least 1, not {iterations}")
    if anneal_from is None:
        return 1.0
    if "anneal_from" not in SOLVERS[solver].settings:
        able = " or ".join(name for name, entry in SOLVERS.items() if "anneal_from" in entry.settings)
        raise TransportError(f"anneal_from belongs to the solver {able}, so leave it out with {solver}")
    if not (anneal_from >= epsilon and math.isfinite(anneal_from / epsilon)):
        raise TransportError(f"anneal_from must be at least epsilon ({epsilon}), not {anneal_from}")
    return anneal_from / epsilon


def _check_choice(key: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise TransportError(f"{key} must be one of {', '.join(known)}, not {value!r}{nearest(value, known)}")


def _check_relaxation(penalty: float, mass: float) -> None:
    """Raise TransportError for a price or a share out of range."""
    if not (penalty > 0 and math.isfinite(penalty)):
        raise TransportError(f"penalty must be a number above zero, not {penalty}")
    if not 0 < mass <= 1:
        raise TransportError(f"mass must be a share above 0 and at most 1 of the whole, not {mass}")
