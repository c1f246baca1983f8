"""Published scores of other models beside a run's own, for ``compare --published``."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from engine.cli.score_groups import Group
from engine.cli.tables import print_line, print_table, score_text
from engine.results.published import SOURCE, published_of


def published_tables(run: str, groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Return a table for each group of a run's scores, and each measure, of which some score is published.

    A table has the place of the scores, the MTEB tasks, and rows, one for each model and language with the
    run's score (``ours``) and the published one (``value``).
    """
    tables = []
    for group in groups:
        for measure in group.measures:
            rows, tasks = [], dict[str, None]()
            for code, own in group.of(measure).items():
                for score in published_of(own):
                    tasks[score.task] = None
                    rows.append(
                        {
                            **{"model": score.model, "language": code, "ours": own["value"]},
                            **{"value": score.value, "difference": own["value"] - score.value},
                            **{"split": score.split, "subset": score.subset},
                        }
                    )
            if rows:
                place = {"run": run, **group.key._asdict(), "measure": measure}
                tables.append({**place, "tasks": list(tasks), "rows": rows})
    return tables


def published_records(tables: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of all tables with the place of their scores."""
    return [
        {**{name: value for name, value in table.items() if name not in ("rows", "tasks")}, **row}
        for table in tables
        for row in table["rows"]
    ]


def print_published(tables: Sequence[dict[str, Any]]) -> None:
    """Print for each table the mean of each model and of the run over the languages that both have."""
    if not tables:
        print_line(
            "No published scores are known of these tasks (a sample, a reduced pool and another direction or "
            "measure are other tasks)."
        )
        return
    for table in tables:
        print_line()
        by_model: dict[str, list[dict[str, Any]]] = {}
        for row in table["rows"]:
            by_model.setdefault(row["model"], []).append(row)
        means = {
            model: (fmean(row["value"] for row in rows), fmean(row["ours"] for row in rows), len(rows))
            for model, rows in by_model.items()
        }
        lines = [
            (model, str(count), score_text(theirs), score_text(ours), f"{ours - theirs:+.3f}")
            for model, (theirs, ours, count) in sorted(means.items(), key=lambda one: -one[1][0])
        ]
        names = (table[name] for name in ("collection", "protocol", "scoring", "direction", "measure"))
        print_table(
            ("published", "languages", "mean", "this run", "difference"),
            lines,
            right=("languages", "mean", "this run", "difference"),
            title=" · ".join([*names, f"{table['run']} beside {SOURCE} ({', '.join(table['tasks'])})"]),
        )
