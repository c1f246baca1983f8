"""Transport plans of a few held-out pairs, which are stored with the run."""

from __future__ import annotations

from engine.evaluation.plan_rows import PlanRow, plan_row
from engine.training.distillation.task import Distillation

#: Number of pairs of each language whose plans are stored.
PLANS = 8


def held_out_plans(distillation: Distillation) -> list[PlanRow]:
    """Return the plans of the first held-out pairs of every language."""
    rows = []
    student = distillation.student
    for language, examples in distillation.held_out.examples.items():
        chosen = examples[:PLANS]
        plan = distillation.held_out.plan(student, chosen)
        for index, example in enumerate(chosen):
            source = distillation.tokens.of([example.text], distillation.held_out.role)[0].ids
            if student.config.query_expansion:
                source = source + [student.tokenizer.mask_token_id] * (plan.plan.shape[1] - len(source))
            rows.append(
                plan_row(
                    plan,
                    index,
                    pair=f"{language}:{example.target}",
                    language=language,
                    source_text=example.text,
                    target_text=distillation.bitext.english[example.target],
                    source_tokens=student.pieces(source),
                    target_tokens=distillation.teacher.pieces(
                        distillation.vectors.of([example.target]).ids.tolist()
                    ),
                )
            )
    return rows
