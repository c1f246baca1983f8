"""Transport plans of a few held-out pairs, kept with the run so that one can look inside."""

from __future__ import annotations

from typing import Any

from engine.training.distil import Distillation
from engine.transport import Plan

#: Pairs of each language whose plans are kept.
PLANS = 8


def held_out_plans(distillation: Distillation) -> list[dict[str, Any]]:
    """Return rows of the ``plans`` table for the first held-out pairs of every language."""
    rows = []
    for language, examples in distillation.held_out.examples.items():
        chosen = examples[:PLANS]
        plan = distillation.held_out.plan(distillation.student, chosen, distillation.idf)
        for index, example in enumerate(chosen):
            source = distillation.tokens[example.text].ids
            store = distillation.vectors
            start, stop = (int(store.store.offsets[example.target + k]) for k in (0, 1))
            rows.append(
                plan_row(
                    plan,
                    index,
                    pair=f"{language}:{example.target}",
                    language=language,
                    source_text=example.text,
                    target_text=distillation.english[example.target],
                    source_tokens=distillation.student.pieces(source),
                    target_tokens=distillation.teacher.pieces(store.ids[start:stop].tolist()),
                )
            )
    return rows


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
) -> dict[str, Any]:
    """Return problem `index` of `plan` as a row of the ``plans`` table, cut to the tokens that count.

    `source_tokens` are all tokens of the source; `target_tokens` those that count.
    """
    rows = (plan.source_marginal[index] > 0).nonzero()[:, 0].cpu()
    columns = (plan.target_marginal[index] > 0).nonzero()[:, 0].cpu()
    entropy = plan.row_entropy()[index].cpu()[rows]
    return {
        "pair": pair,
        "source_language": language,
        "source_text": source_text,
        "target_text": target_text,
        "source_tokens": [source_tokens[i] for i in rows.tolist()],
        "target_tokens": [target_tokens[j] for j in columns.tolist()],
        "plan": plan.plan[index].cpu()[rows][:, columns].float().numpy(),
        "cost": plan.cost[index].detach().cpu()[rows][:, columns].float().numpy(),
        "solver": plan.solver,
        "epsilon": float(plan.epsilon[index]),
        "iterations": int(plan.iterations[index]),
        "marginal_error": float(plan.marginal_error[index]),
        "converged": bool(plan.converged[index]),
        "value": float(plan.value[index].detach()),
        "entropy": float(entropy.mean()),
    }
