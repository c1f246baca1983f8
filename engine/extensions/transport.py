"""Costs, marginals and solvers of optimal transport: what an entry declares, and what it is called with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from engine.registry import Registry

if TYPE_CHECKING:
    import torch
    from torch import Tensor


# -- costs ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cost:
    """A cost of moving mass from one token to another.

    Parameters
    ----------
    name : str
        The name in settings.
    meaning : str
        A phrase for the documentation of the settings.
    function : callable
        ``function(x, y)`` returns the costs (..., Q, D), >= 0, of token vectors x (..., Q, H) and
        y (..., D, H), differentiable in both. Leading dimensions broadcast.
    of_similarity : callable, optional
        The cost of two unit vectors as an elementwise function of their inner product, where the cost depends
        on nothing else. With it, inner products that are already computed are used again.
    """

    name: str
    meaning: str
    function: Callable[[Tensor, Tensor], Tensor]
    of_similarity: Callable[[Tensor], Tensor] | None = None


COSTS: Registry[Cost] = Registry("cost", Cost, "engine.transport", "optical_workbench.costs")
"""All costs, by name."""


# -- marginals --------------------------------------------------------------------------------------------


class Side(Protocol):
    """Encoded texts: the queries of a student, the sentences of a teacher, or any others.

    B texts of at most T tokens.
    """

    @property
    def tokens(self) -> Tensor:
        """Unit token vectors (B, T, H)."""

    @property
    def mask(self) -> Tensor:
        """The counted tokens (B, T), bool."""

    @property
    def norms(self) -> Tensor:
        """Lengths of the token vectors before normalisation (B, T)."""

    @property
    def ids(self) -> Tensor:
        """Ids of the tokens in the vocabulary (B, T)."""

    @property
    def attention(self) -> Tensor | None:
        """Attention that each token receives in the last layer (B, T); None where it was not asked for."""


MassSource = Literal["attention", "document_frequencies", "mass_head"]
"""What masses can be computed from, other than the token vectors and their lengths."""


@dataclass(frozen=True)
class MassInputs:
    """What masses are computed from, next to the encoded texts.

    Parameters
    ----------
    idf : Tensor (V,), optional
        Inverse document frequency of each token of the vocabulary; given if the marginal needs
        ``document_frequencies``.
    head : torch.nn.Linear, optional
        Maps a token vector to the logit of its mass; given if the marginal needs a ``mass_head``. Student and
        teacher share it, because their tokens share a space.
    """

    idf: Tensor | None = None
    head: torch.nn.Linear | None = None


@dataclass(frozen=True)
class Marginal:
    """A rule that gives each token its mass.

    Parameters
    ----------
    name : str
        The name in settings.
    meaning : str
        A phrase for the documentation of the settings.
    function : callable
        ``function(side, inputs)`` returns the masses (B, T) of a `Side`: >= 0, 0 for masked tokens, and rows
        that sum to one. `inputs` is a `MassInputs`.
    needs : tuple of {"attention", "document_frequencies", "mass_head"}
        What the function reads. Document frequencies need one vocabulary for student and teacher. A mass
        head is trained, so a solver and a loss that train masses are needed with it.
    """

    name: str
    meaning: str
    function: Callable[[Side, MassInputs], Tensor]
    needs: tuple[MassSource, ...] = ()


MARGINALS: Registry[Marginal] = Registry(
    "marginal",
    Marginal,
    "engine.transport",
    "optical_workbench.marginals",
    first=("uniform", "norm", "idf", "attention", "learned"),
)
"""All marginals, by name."""


# -- solvers ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Problem:
    """A batch of transport problems, checked and detached from autograd.

    Parameters
    ----------
    cost : Tensor (B, Q, D)
        Costs, 0 where masked. A solver that meets both marginals gets them reduced: a constant was
        subtracted from each row and column (`engine.transport.problem.reduced`), which changes no plan.
    source : Tensor (B, Q)
        Mass of each source token, summing to one; 0 marks a masked position.
    target : Tensor (B, D)
        Mass of each target token, summing to one; 0 marks a masked position.
    epsilon : Tensor (B,)
        Entropic regularisation of each problem, in the unit of its costs.
    """

    cost: Tensor
    source: Tensor
    target: Tensor
    epsilon: Tensor

    def log_kernel(self) -> Tensor:
        """Return -C/ε (B, Q, D)."""
        return self.cost / -self.epsilon.view(-1, 1, 1)


@dataclass(frozen=True)
class SolverOptions:
    """The settings of a solver; each solver reads those that it declares.

    Parameters
    ----------
    iterations : int
        Most iterations.
    tolerance : float
        Sum of absolute errors of the marginals at which iterations stop.
    anneal : float
        Multiple of ε to start at, >= 1 (the setting ``anneal_from``, divided by ``epsilon``).
    penalty : float
        Price of mass that is left or added, in the unit of the costs.
    mass : float
        Share of the mass to move, in (0, 1].
    """

    iterations: int = 500
    tolerance: float = 1e-3
    anneal: float = 1.0
    penalty: float = 0.5
    mass: float = 0.8


@dataclass(frozen=True, eq=False)
class Solution:
    """What a solver returns for a `Problem`.

    Parameters
    ----------
    plan : Tensor (B, Q, D)
        Mass moved from each source token to each target token, >= 0, exactly 0 where masked.
    iterations : Tensor (B,), int64, optional
        Iterations done on each problem; None means 0.
    epsilon : Tensor (B,), optional
        Regularisation of the entropic problem that the plan solves; None means that of the problem.
    rows, columns : Tensor (B, Q), (B, D), optional
        Marginals that the optimal plan would have; None means those of the problem.
    surplus : Tensor (B,), optional
        The part of the minimised objective that is neither <T, C> nor the regularisation; None means 0.
    scaling : pair of Tensor (B, Q), (B, D), optional
        Logarithms of the factors that scale exp(-C/ε) to the plan, -inf where masked. A solver with
        ``mass_gradient`` returns them.
    """

    plan: Tensor
    iterations: Tensor | None = None
    epsilon: Tensor | None = None
    rows: Tensor | None = None
    columns: Tensor | None = None
    surplus: Tensor | None = None
    scaling: tuple[Tensor, Tensor] | None = None


SolverSetting = Literal["epsilon", "anneal_from", "iterations", "tolerance", "penalty", "mass"]


@dataclass(frozen=True)
class Solver:
    """A solver of transport problems.

    Parameters
    ----------
    name : str
        The name in settings.
    meaning : str
        A phrase for the documentation of the settings.
    function : callable
        ``function(problem, options)`` returns a `Solution`. It is called without autograd and outside
        autocast, in float32 or float64.
    settings : tuple of str
        The settings that it uses, of ``epsilon``, ``anneal_from``, ``iterations``, ``tolerance``, ``penalty``
        and ``mass``.
    meets_marginals : bool
        Whether the sums of a plan are both marginals. If not, the plan depends on constants that are added
        to the costs, so the costs are not reduced.
    mass_varies : bool
        Whether the moved mass depends on the costs.
    mass_gradient : bool
        Whether marginals get the gradient of the optimum; needs ``scaling`` in the solution.
    iterations : int
        Most iterations if none are set.
    """

    name: str
    meaning: str
    function: Callable[[Problem, SolverOptions], Solution]
    settings: tuple[SolverSetting, ...] = ("epsilon", "iterations", "tolerance")
    meets_marginals: bool = True
    mass_varies: bool = False
    mass_gradient: bool = False
    iterations: int = 500


SOLVERS: Registry[Solver] = Registry(
    "solver",
    Solver,
    "engine.transport",
    "optical_workbench.solvers",
    first=("sinkhorn", "ipot", "exact", "unbalanced", "partial"),
)
"""All solvers, by name."""
