"""Transport plans: `solve` for any costs, and the plan of two sentences."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

from optical_workbench.tables import Table

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    import polars as pl
    import pyarrow as pa
    import torch

    from engine.transport import Plan

ArrayT = TypeVar("ArrayT")


@dataclass(frozen=True, eq=False)
class TransportPlan(Generic[ArrayT]):
    """The solution of a transport problem, or of a batch of B problems, with its diagnostics.

    All arrays are of the kind that was given to `solve`. For a single problem the leading dimension B is
    absent.

    Attributes
    ----------
    plan : array, (B, Q, D)
        The mass that moves from each source to each target. A constant to autograd.
    value : array, (B,)
        The transport cost <T, C>. For tensors it is differentiable in the cost, with the plan constant.
    objective : array, (B,)
        What the solver minimises, without the entropy: `value`, plus the penalty of the solver
        ``unbalanced``.
    epsilon : array, (B,)
        The strength of the entropic regularisation, in units of the cost; 0 for the solver ``exact``.
    iterations : array of int, (B,)
        The number of iterations.
    marginal_error : array, (B,)
        The larger of the two marginals' sums of absolute errors, as a share of the problem's mass.
    converged : array of bool, (B,)
        Whether `marginal_error` is within the tolerance.
    row_entropy : array, (B, Q)
        The entropy of each row of the plan, in nats, after the row is scaled to the sum 1.
    solver : str
        The name of the solver.
    """

    plan: ArrayT
    value: ArrayT
    objective: ArrayT
    epsilon: ArrayT
    iterations: ArrayT
    marginal_error: ArrayT
    converged: ArrayT
    row_entropy: ArrayT
    solver: str


@overload
def solve(
    cost: torch.Tensor,
    a: torch.Tensor | None = None,
    b: torch.Tensor | None = None,
    *,
    solver: str = "sinkhorn",
    epsilon: float = 0.05,
    **settings: Any,
) -> TransportPlan[torch.Tensor]: ...


@overload
def solve(
    cost: npt.ArrayLike,
    a: npt.ArrayLike | None = None,
    b: npt.ArrayLike | None = None,
    *,
    solver: str = "sinkhorn",
    epsilon: float = 0.05,
    **settings: Any,
) -> TransportPlan[npt.NDArray[Any]]: ...


def solve(
    cost: Any,
    a: Any = None,
    b: Any = None,
    *,
    solver: str = "sinkhorn",
    epsilon: float = 0.05,
    **settings: Any,
) -> TransportPlan[Any]:
    """Solve an optimal transport problem, or a batch of them.

    Parameters
    ----------
    cost : array or tensor, (Q, D) or (B, Q, D)
        The cost of moving one unit of mass from each source to each target.
    a, b : array or tensor, (Q,) and (D,), or (B, Q) and (B, D), optional
        The masses of sources and targets, at least 0. A mass of 0 masks a position; its costs may then be
        NaN. The two totals must be equal to a relative 1e-3. The default is mass 1/Q and 1/D.
    solver : str
        ``sinkhorn`` (Cuturi 2013, in the log domain), ``ipot`` (Xie et al. 2020), ``exact`` (network
        simplex), ``unbalanced`` (Chizat et al. 2018), ``partial``, or a registered one.
    epsilon : float
        The strength of the entropic regularisation, in units of the cost. The solver ``exact`` ignores it.
    **settings
        Further settings of `engine.transport.solve`: `epsilon_scale`, `anneal_from`, `iterations`,
        `tolerance`, `penalty` and `mass`.

    Returns
    -------
    TransportPlan
        Of tensors if `cost` is a tensor, else of NumPy arrays. Computed in float32, or in float64 if `cost`
        is of float64.

    Raises
    ------
    InputError
        If shapes disagree, a mass is negative or the totals differ, a cost between positions with mass is not
        finite, or a setting is out of range. The error is a `ValueError`, too.

    Examples
    --------
    >>> plan = ow.solve([[0.0, 1.0], [1.0, 0.0]], solver="exact")
    >>> plan.plan
    array([[0.5, 0. ],
           [0. , 0.5]])
    """
    import numpy as np
    import torch

    from engine import transport

    if isinstance(cost, torch.Tensor):
        costs, tensors = cost, True
    else:
        array = np.asarray(cost)
        costs = torch.as_tensor(array if array.dtype.kind == "f" else array.astype(np.float64))
        tensors = False
    single = costs.ndim == 2
    if costs.ndim not in (2, 3):
        raise transport.TransportError(f"cost must be (Q, D) or (B, Q, D), not {tuple(costs.shape)}")
    batch = costs.unsqueeze(0) if single else costs

    def marginal(masses: Any, size: int) -> torch.Tensor:
        if masses is None:
            return batch.new_full((len(batch), size), 1.0 / size)
        found = masses if isinstance(masses, torch.Tensor) else torch.as_tensor(np.asarray(masses))
        found = found.to(device=batch.device)
        return found.expand(len(batch), -1) if found.ndim == 1 else found

    solved: Plan = transport.solve(
        batch,
        marginal(a, batch.shape[1]),
        marginal(b, batch.shape[2]),
        solver=solver,
        epsilon=epsilon,
        **settings,
    )

    def returned(tensor: torch.Tensor) -> Any:
        one = tensor[0] if single else tensor
        return one if tensors else one.numpy()[()]

    return TransportPlan(
        plan=returned(solved.plan),
        value=returned(solved.value),
        objective=returned(solved.objective),
        epsilon=returned(solved.epsilon),
        iterations=returned(solved.iterations),
        marginal_error=returned(solved.marginal_error),
        converged=returned(solved.converged),
        row_entropy=returned(solved.row_entropy()),
        solver=solved.solver,
    )


@dataclass(frozen=True)
class PlanEntry:
    """One entry of a plan: the mass that moves from a source token to a target token, and its cost.

    `source` and `target` are the positions of the tokens, from 0.
    """

    source: int
    target: int
    source_token: str
    target_token: str
    mass: float
    cost: float


@dataclass(frozen=True, eq=False)
class SentencePlan:
    """The transport plan between the tokens of two sentences.

    Attributes
    ----------
    source_text, target_text : str
        The sentence that the student encoded and the sentence that the teacher encoded.
    source_tokens, target_tokens : list of Q and of D str
        The word pieces of the tokens that have mass.
    plan, cost : array of float32, (Q, D)
        The mass that moves, and the cost of a unit of it.
    value : float
        The transport cost <T, C>.
    solver : str
    epsilon : float
        The strength of the entropic regularisation, in units of the cost.
    iterations : int
    marginal_error : float
        The larger sum of absolute errors of the two marginals.
    converged : bool
        Whether `marginal_error` is within the tolerance.
    entropy : float
        The mean entropy of the rows, in nats.
    """

    source_text: str
    target_text: str
    source_tokens: list[str]
    target_tokens: list[str]
    plan: npt.NDArray[np.float32]
    cost: npt.NDArray[np.float32]
    value: float
    solver: str
    epsilon: float
    iterations: int
    marginal_error: float
    converged: bool
    entropy: float

    def __repr__(self) -> str:
        return (
            f"<SentencePlan of {len(self.source_tokens)} x {len(self.target_tokens)} tokens, {self.solver}, "
            f"cost {self.value:.4f}>"
        )

    def entries(self) -> Table[PlanEntry]:
        """Return the Q x D entries of the plan, row by row."""
        return Table(
            PlanEntry,
            (
                PlanEntry(i, j, source, target, float(self.plan[i, j]), float(self.cost[i, j]))
                for i, source in enumerate(self.source_tokens)
                for j, target in enumerate(self.target_tokens)
            ),
        )

    @overload
    def to_frame(self, kind: Literal["pandas"] = "pandas") -> pd.DataFrame: ...

    @overload
    def to_frame(self, kind: Literal["polars"]) -> pl.DataFrame: ...

    @overload
    def to_frame(self, kind: Literal["arrow"]) -> pa.Table: ...

    def to_frame(self, kind: Any = "pandas") -> Any:
        """Return the entries as a data frame; the parameter is that of `Table.to_frame`."""
        return self.entries().to_frame(kind)

    def save(self, path: str | Path) -> Path:
        """Write the plan to a file, which is replaced if it exists.

        Parameters
        ----------
        path : path
            The ending decides: ``.png`` or ``.svg`` for a picture, ``.npz`` for the arrays ``plan`` and
            ``cost`` and the tokens.

        Raises
        ------
        InputError
            If the name has another ending.
        OpticalError
            If the file cannot be written.
        """
        from engine.pictures.plans import export_plan

        export_plan(vars(self), Path(path))
        return Path(path)
