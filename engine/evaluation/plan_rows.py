"""Transport plans of sentence pairs as rows of the table ``plans``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.transport import Plan


@dataclass(frozen=True, eq=False)
class PlanRow:
    """The transport plan of one sentence pair.

    Attributes
    ----------
    pair : str
        Id of the pair, ``typed`` for one that a user typed.
    source_language, source_text, target_text : str
    source_tokens, target_tokens : list of str
        Pieces of the Q source tokens and the D target tokens that have mass.
    plan, cost : ndarray of shape (Q, D), float32
    solver : str
    epsilon : float
        Strength of the entropy, after scaling by the cost.
    iterations : int
    marginal_error : float
        Largest distance of the plan's marginals from the given ones.
    converged : bool
    value : float
        Cost <T, C> of the plan.
    entropy : float
        Mean entropy of the rows, in nats.
    """

    pair: str
    source_language: str
    source_text: str
    target_text: str
    source_tokens: list[str]
    target_tokens: list[str]
    plan: npt.NDArray[np.float32]
    cost: npt.NDArray[np.float32]
    solver: str
    epsilon: float
    iterations: int
    marginal_error: float
    converged: bool
    value: float
    entropy: float

    def columns(self) -> dict[str, Any]:
        """Return the values by the name of their column."""
        return dict(vars(self))


def plan_row(
    plan: Plan,
    index: int,
    *,
    pair: str,
    language: str,
    source_text: str,
    target_text: str,
    source_tokens: list[str],
    target_tokens: list[str],
) -> PlanRow:
    """Return one problem of a batch of plans, without the tokens that have no mass.

    Parameters
    ----------
    plan : Plan
    index : int
        The problem's place in the batch.
    pair, language, source_text, target_text : str
        The pair's id, the language of its source, and its sentences.
    source_tokens, target_tokens : list of str
        Names of the plan's rows and columns; names beyond them are ignored.
    """
    rows = (plan.source_marginal[index] > 0).nonzero()[:, 0].cpu()
    columns = (plan.target_marginal[index] > 0).nonzero()[:, 0].cpu()
    entropy = plan.row_entropy()[index].cpu()[rows]
    return PlanRow(
        pair=pair,
        source_language=language,
        source_text=source_text,
        target_text=target_text,
        source_tokens=[source_tokens[i] for i in rows.tolist()],
        target_tokens=[target_tokens[j] for j in columns.tolist()],
        plan=plan.plan[index].cpu()[rows][:, columns].float().numpy(),
        cost=plan.cost[index].detach().cpu()[rows][:, columns].float().numpy(),
        solver=plan.solver,
        epsilon=float(plan.epsilon[index]),
        iterations=int(plan.iterations[index]),
        marginal_error=float(plan.marginal_error[index]),
        converged=bool(plan.converged[index]),
        value=float(plan.value[index].detach()),
        entropy=float(entropy.mean()),
    )
