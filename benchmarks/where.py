"""Find the queries on which one run is worse than another, and describe its transport plans there.

    python benchmarks/where.py zero-shot-0 optical-0 --results methods/results.duckdb

Takes the queries of one collection whose scores differ, and as many whose scores do not (drawn by hash). For
each, it solves the transport between the query and its relevant sentence with the second run's student,
teacher and settings. For lost, won and tied queries it prints: token counts, cost, the mean entropy of the
plan's rows (also as a share of ln of the number of target tokens), and ε in the unit of the costs. It also
prints Spearman's correlation of the score difference with each figure, and the queries with the largest
losses. The output is Markdown.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from scipy.stats import spearmanr
from sharpness import sharpness

from engine.cli.options import refreshed
from engine.collections.load import load_collections
from engine.config import DistilConfig, EvaluateConfig
from engine.errors import InputError, OpticalError
from engine.evaluation.finished_run import encoders_config_of, encoders_of, find_run, saved_encoders
from engine.evaluation.significance import holm
from engine.results.queries import query_scores_of
from engine.results.run_folder import RunFolder

FIGURES = (
    "query tokens",
    "sentence tokens",
    "their ratio",
    "cost",
    "row entropy",
    "share of ln D",
    "ε",
    "before",
)


def main() -> None:
    """Compare two runs query by query and print the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("baseline", help="id or name of the run to compare with")
    parser.add_argument("system", help="id or name of the run whose plans are described")
    parser.add_argument("--results", type=Path, default=Path("methods/results.duckdb"))
    parser.add_argument("--collection", default="tico-19")
    parser.add_argument("--measure", default="RR")
    parser.add_argument("--least", type=float, default=0.0, help="larger differences count as won or lost")
    parser.add_argument(
        "--most", type=int, default=600, help="queries whose transport is solved (default 600)"
    )
    parser.add_argument("--worst", type=int, default=10, help="queries listed (default 10)")
    arguments = parser.parse_args()
    try:
        report(arguments)
    except OpticalError as error:
        sys.exit(str(error))


def report(arguments: argparse.Namespace) -> None:
    """Print the report."""
    from engine.evaluation.document_frequencies import load_frequencies
    from engine.inspect.plan import target_role, transport_settings

    results = refreshed(arguments.results)
    baseline, system = (find_run(results, name) for name in (arguments.baseline, arguments.system))
    before, after = (scores(results, run, arguments) for run in (baseline, system))
    differences = {query: after[query] - before[query] for query in before.keys() & after.keys()}
    if not differences:
        raise InputError(f"{baseline.id} and {system.id} have no query of {arguments.collection!r} in common")
    config = encoders_config_of(system)
    pairs = query_texts(config, arguments.collection)
    chosen = draw_queries(differences, arguments.least, arguments.most)
    settings, role = transport_settings(config, {}), target_role(config, saved_encoders(system)[1].config)
    idf = load_frequencies(system.path / "checkpoints")
    solved = sharpness(*encoders_of(system), [pairs[q] for q in chosen], settings, target_role=role, idf=idf)
    rows = {
        query: (
            one.source_tokens,
            one.target_tokens,
            one.source_tokens / one.target_tokens,
            one.cost,
            one.entropy,
            one.entropy / math.log(one.target_tokens) if one.target_tokens > 1 else 0.0,
            one.epsilon,
            before[query],
        )
        for query, one in zip(chosen, solved, strict=True)
        if one is not None
    }
    outcomes = {query: outcome(differences[query], arguments.least) for query in differences}
    print(f"{arguments.measure} of {system.record['name']} minus that of {baseline.record['name']}, ", end="")
    print(f"{arguments.collection}; transport with {settings.solver}, ε {settings.epsilon:g}.\n")
    print_table([["language", "lost", "won", "tied", "mean Δ"], *by_language(differences, outcomes)])
    means = [
        [name, str(sum(outcomes[q] == name for q in rows)), *averages(rows, outcomes, name)]
        for name in OUTCOMES
    ]
    correlations = [
        spearmanr([differences[q] for q in rows], [row[i] for row in rows.values()]) for i in range(8)
    ]
    corrected = holm([1.0 if math.isnan(one.pvalue) else float(one.pvalue) for one in correlations])
    correlation_cells = [
        f"{one.statistic:+.3f}" + ("\\*" if p < 0.05 else "")
        for one, p in zip(correlations, corrected, strict=True)
    ]
    print_table([["", "queries", *FIGURES], *means, ["Spearman with Δ", str(len(rows)), *correlation_cells]])
    lost = sorted((q for q in rows if differences[q] < 0), key=lambda q: differences[q])[: arguments.worst]
    listed = [
        [q, f"{differences[q]:+.3f}", f"{rows[q][0]} / {rows[q][1]}", f"{rows[q][4]:.2f}", *pairs[q]]
        for q in lost
    ]
    print_table([["query", "Δ", "tokens", "row entropy", "query text", "its sentence"], *listed])


OUTCOMES = ("lost", "won", "tied")


def outcome(difference: float, least: float) -> str:
    """Return whether a difference is a loss, a win or a tie."""
    return "lost" if difference < -least else "won" if difference > least else "tied"


def scores(results: Path, run: RunFolder, arguments: argparse.Namespace) -> dict[str, float]:
    """Return the score of each query by MaxSim."""
    asked = query_scores_of(
        results, [run.id], scoring="maxsim", measure=arguments.measure, collection=arguments.collection
    )
    return {row["query_id"]: row["value"] for row in asked.records()}


def query_texts(config: object, name: str) -> dict[str, tuple[str, str]]:
    """Return the text of each query and of its most relevant document.

    Raises
    ------
    InputError
        If the run was not evaluated on that collection.
    """
    if not isinstance(config, DistilConfig | EvaluateConfig):
        raise InputError("the system must be a run of kind 'distil' or 'evaluate'")
    for one in config.collections:
        if (one.label or one.name) == name:
            pairs = {}
            for collection in load_collections(one, config.seed):
                texts = {document.id: document.text for document in collection.documents}
                for query in collection.queries:
                    best = max(collection.judgements[query.id].items(), key=lambda grade: grade[1])[0]
                    pairs[query.id] = query.text, texts[best]
            return pairs
    raise InputError(f"the run was not evaluated on {name!r}")


def draw_queries(differences: dict[str, float], least: float, most: int) -> list[str]:
    """Return queries that differ and as many that do not, about `most` in all, drawn by hash."""
    order = sorted(differences, key=lambda query: hashlib.blake2b(query.encode()).digest())
    differing = [query for query in order if outcome(differences[query], least) != "tied"][: most // 2]
    alike = [query for query in order if outcome(differences[query], least) == "tied"]
    return differing + alike[: max(len(differing), 1)]


def by_language(differences: dict[str, float], outcomes: dict[str, str]) -> list[list[str]]:
    """Return for each language the numbers of lost, won and tied queries and the mean difference."""
    languages = sorted({query.partition(":")[0] for query in differences})
    rows = []
    for language in languages:
        own = [query for query in differences if query.partition(":")[0] == language]
        counts = [str(sum(outcomes[query] == name for query in own)) for name in OUTCOMES]
        rows.append([language, *counts, f"{statistics.mean(differences[query] for query in own):+.4f}"])
    return rows


def averages(rows: dict[str, tuple[float, ...]], outcomes: dict[str, str], name: str) -> list[str]:
    """Return the mean of every figure over the queries of one kind."""
    own = [row for query, row in rows.items() if outcomes[query] == name]
    return [f"{statistics.mean(column):.3f}" for column in zip(*own, strict=True)] or ["–"] * len(FIGURES)


def print_table(lines: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table."""
    head, *rest = lines
    for line in (head, ["---"] * len(head), *rest):
        print("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |")
    print()


if __name__ == "__main__":
    main()
