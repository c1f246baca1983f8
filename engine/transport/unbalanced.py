"""Unbalanced transport: tokens may give less or more mass than they have, at a price."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.extensions.transport import Problem, Solution, Solver, SolverOptions
from engine.lazy import LazyModule
from engine.transport.problem import CHECK_EVERY
from engine.transport.relaxed import Relaxed

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")


def unbalanced(problem: Problem, *, penalty: float, iterations: int, tolerance: float) -> Relaxed:
    """Minimise <T, C> + ε KL(T | a bᵀ) + ρ KL(T 1 | a) + ρ KL(Tᵀ 1 | b), where ρ is the `penalty`.

    Alternate maximisation of the dual in the log domain (Chizat et al. 2018, arXiv 1607.05816). After every
    round the potentials are translated optimally (Séjourné et al. 2022, arXiv 2201.00730); without this step
    a large ρ would need about ρ/ε rounds.

    Parameters
    ----------
    problem : Problem
        With costs that are not reduced: a constant that is added to them changes the plan.
    penalty : float
        ρ in the unit of the costs. Matching tokens at a cost above 2ρ is more expensive than leaving them.
    iterations : int
        Maximum number of rounds.
    tolerance : float
        Stop when the marginals of the plan are this close to those that follow from the potentials,
        a exp(-f/ρ) and b exp(-g/ρ) (sums of absolute errors).
    """
    ratio = (penalty / problem.epsilon).unsqueeze(1)
    log_kernel, log_source, log_target = problem.log_kernel(), problem.source.log(), problem.target.log()
    source, target = problem.source, problem.target
    found = Relaxed.empty(problem, iterations)
    active = torch.arange(len(source), device=source.device)
    f, g = torch.zeros_like(source), torch.zeros_like(target)
    for done in range(1, iterations + 1):
        shrink = ratio / (ratio + 1.0)
        f = -shrink * (log_kernel + (log_target + g).unsqueeze(1)).logsumexp(2)
        g = -shrink * (log_kernel + (log_source + f).unsqueeze(2)).logsumexp(1)
        shift = _translation(f, log_source, ratio) - _translation(g, log_target, ratio)
        f, g = f + shift, g - shift
        if done % CHECK_EVERY and done < iterations:
            continue
        plan = (log_kernel + (log_source + f).unsqueeze(2) + (log_target + g).unsqueeze(1)).exp_()
        rows, columns = source * (-f / ratio).exp(), target * (-g / ratio).exp()
        error = torch.maximum((plan.sum(2) - rows).abs().sum(1), (plan.sum(1) - columns).abs().sum(1))
        met = (error <= tolerance) | (done == iterations)
        found.put(active[met], plan[met], rows[met], columns[met], done)
        if bool(met.all()):
            break
        active, log_kernel, ratio = active[~met], log_kernel[~met], ratio[~met]
        source, target, log_source, log_target = (
            tensor[~met] for tensor in (source, target, log_source, log_target)
        )
        f, g = f[~met], g[~met]
    return found


def price(relaxed: Relaxed, problem: Problem, penalty: float) -> Tensor:
    """Return the price ρ KL(T 1 | a) + ρ KL(Tᵀ 1 | b) of the mass that plans leave or add (B,).

    The marginals of T are those that follow from its potentials, because a large ρ would magnify the small
    errors of the actual ones. The computation is in double precision for the same reason.
    """
    paid = torch.zeros_like(problem.epsilon, dtype=torch.float64)
    for moved, mass in ((relaxed.rows, problem.source), (relaxed.columns, problem.target)):
        share = (moved / mass.masked_fill(mass == 0, 1.0)).double()
        paid += (mass.double() * (torch.special.xlogy(share, share) - share + 1.0)).sum(1)
    return (penalty * paid).to(problem.cost.dtype)


def _translation(potential: Tensor, log_mass: Tensor, ratio: Tensor) -> Tensor:
    """Return half of ρ log Σ a exp(-f/ρ), in the unit of ε: (B, 1).

    The computation is in double precision: for a large ρ it multiplies a large number by the logarithm of
    almost one.
    """
    wide = ratio.double()
    logarithm = (log_mass.double() - potential.double() / wide).logsumexp(1, keepdim=True)
    return (0.5 * wide * logarithm).to(potential.dtype)


def _solve(problem: Problem, options: SolverOptions) -> Solution:
    found = unbalanced(
        problem, penalty=options.penalty, iterations=options.iterations, tolerance=options.tolerance
    )
    return Solution(
        found.plan,
        found.iterations,
        rows=found.rows,
        columns=found.columns,
        surplus=price(found, problem, options.penalty),
    )


UNBALANCED = Solver(
    name="unbalanced",
    meaning="entropic transport that may leave mass at the price `penalty`",
    function=_solve,
    settings=("epsilon", "iterations", "tolerance", "penalty"),
    meets_marginals=False,
    mass_varies=True,
)
