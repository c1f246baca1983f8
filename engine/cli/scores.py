"""The scores of a run that has just ended, as tables."""

from __future__ import annotations

from collections.abc import Sequence

import click

from engine.cli.tables import print_table
from engine.evaluation.scores import Scores


def print_scores(scores: Sequence[Scores]) -> None:
    """Print one table a collection and scoring: a row a language, a column a measure, then the mean."""
    for result in scores:
        collection = result.collection
        measures = list(result.values)
        means = {(mean.query_language, mean.measure): mean for mean in result.means}
        rows = []
        for language in collection.query_languages:
            cells = [means[language, measure] for measure in measures]
            rows.append([language, f"{cells[0].queries:,}", *(f"{cell.value:.4f}" for cell in cells)])
        if len(rows) > 1:
            rows.append(["mean", "", *(f"{result.macro(measure):.4f}" for measure in measures)])
        print_table(
            ["language", "queries", *measures],
            rows,
            right=["queries", *measures],
            title=f"{collection.name} ({collection.protocol}, {collection.direction}, {result.scoring})",
        )
        if collection.reference:
            click.echo(collection.reference)
        click.echo()
