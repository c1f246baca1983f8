"""``optical-workbench query``: search a collection with a run's encoders."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from engine.cli.options import complete_run, json_option, print_json, refreshed, results_option
from engine.cli.output import out
from engine.cli.tables import print_line, print_table


@click.command()
@click.argument("run", shell_complete=complete_run)
@click.argument("text")
@click.option("--language", required=True, help="The language of the query, an ISO code such as sw.")
@click.option("--collection", help="A collection of the run. The default is the first.")
@click.option("--k", default=10, show_default=True, type=click.IntRange(1), help="Documents to show.")
@click.option("--explain", is_flag=True, help="Show which document token each query token matches.")
@results_option
@json_option
def query(
    run: str,
    text: str,
    language: str,
    collection: str | None,
    k: int,
    explain: bool,
    results: Path,
    as_json: bool,
) -> None:
    """Search one of RUN's collections for TEXT with RUN's encoders, words, or the runs that it fused.

    If the run translates queries, TEXT is translated first. With a fused run, the columns after the score
    show what each run adds to it, and --explain explains the score of the first.
    """
    refreshed(results)

    from engine.cli.console import ConsoleReporter
    from engine.evaluation.finished_run import find_run
    from engine.inspect.explain import explain as explain_hit
    from engine.inspect.opening import open_searcher

    folder = find_run(results, run)
    with ConsoleReporter() as reporter:
        searcher = open_searcher(folder, language, collection=collection, reporter=reporter)
        hits = searcher.search(text, k)
        translation = searcher.translated(text) if searcher.translates else None
    matches = {hit.document: explain_hit(searcher, text, hit.document) for hit in hits} if explain else {}
    if as_json:
        print_json(
            {
                "run": folder.id,
                "collection": searcher.collection.name,
                "revision": searcher.collection.revision,
                "query": text,
                "language": searcher.language,
                "translation": translation,
                "hits": [
                    {
                        **asdict(hit),
                        **({"matches": [vars(match) for match in matches[hit.document]]} if explain else {}),
                    }
                    for hit in hits
                ],
            }
        )
        return
    if translation is not None:
        print_line(f"searched for: {translation}")
    parts = [part.name for part in hits[0].parts] if hits else []
    judged = any(hit.grade is not None for hit in hits)
    print_table(
        ["rank", "score", *(["grade"] if judged else []), *parts, "document"],
        [
            [
                str(hit.rank),
                f"{hit.score:.4f}",
                *(["" if hit.grade is None else str(hit.grade)] if judged else []),
                *(f"{part.share:+.3f}" for part in hit.parts),
                hit.text,
            ]
            for hit in hits
        ],
        right=["rank", "score", "grade", *parts],
    )
    if explain:
        for hit in hits[:3]:
            out()
            print_table(
                ["query token", "document token", "similarity"],
                [
                    [match.query_token, match.document_token, f"{match.score:.3f}"]
                    for match in matches[hit.document]
                ],
                right=["similarity"],
                title=f"rank {hit.rank}, {hit.score:.4f}: {hit.text}",
            )
