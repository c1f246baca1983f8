"""The table of all methods, made only from the results database: quality, gain over zero-shot, cost."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.cli.options import refreshed
from engine.errors import InputError
from engine.evaluation.significance import LanguageComparison, compare_languages, holm
from engine.results.queries import ask, list_runs, query_scores_of

BASELINE = "zero-shot"
TAG = "methods"
#: The collections, the measure of each that the table shows, and whether it shows every language.
MEASURES = {"tico-19": ("RR", True), "lareqa": ("mAP@20", False)}
#: Differences with a corrected p below this are marked.
LEVEL = 0.05

Scores = dict[str, dict[str, float]]


def markdown(results: Path, systems: Sequence[str]) -> str:
    """Return the table of the `systems` that have finished runs in `results`, with its legend.

    Raises
    ------
    InputError
        If no system has a finished run.
    """
    runs = [run for run in list_runs(refreshed(results), f"tags={TAG}") if run["state"] == "finished"]
    by_system = {
        system: [run for run in reversed(runs) if run["name"].rpartition("-")[0] == system]
        for system in systems
    }
    found = {system: ones for system, ones in by_system.items() if ones}
    if not found:
        raise InputError("no run of this benchmark is finished", path=results)
    heads, cells = ["system"], {system: [system] for system in found}
    for collection, (measure, every) in MEASURES.items():
        ids = {system: [run["id"] for run in ones] for system, ones in found.items()}
        scores = {system: average_scores(results, collection, measure, one) for system, one in ids.items()}
        columns, rows = quality({system: one for system, one in scores.items() if one}, every)
        heads += [*columns[:-2], *(f"{collection} {column}" for column in columns[-2:])]
        for system in found:
            cells[system] += rows.get(system, ["–"] * len(columns))
    heads += ["pairs/s", "peak GiB", "best step"]
    for system, ones in found.items():
        cells[system] += cost(results, ones)
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *cells.values()]
    return "\n".join(["| " + " | ".join(line) + " |" for line in lines] + ["", legend(found)])


def legend(found: Mapping[str, Sequence[Mapping[str, object]]]) -> str:
    """Return a sentence that explains the figures."""
    seeds = max(len(ones) for ones in found.values())
    measures = " and ".join(f"{measure} on {collection}" for collection, (measure, _) in MEASURES.items())
    return (
        f"{measures}; {seeds} seed{'s' if seeds > 1 else ''}, a query's scores averaged over them. Δ is the "
        "mean over languages minus that of zero-shot, with its 95 % bootstrap interval over topics; * "
        f"differs from zero-shot with p < {LEVEL:g} in a paired randomisation test, Holm-corrected over all "
        "systems (means) or over all systems and languages. Pairs per second are those of the median step; "
        "other work on the machine was not excluded. Memory is the peak of the process."
    )


def quality(scores: Mapping[str, Scores], every: bool) -> tuple[list[str], dict[str, list[str]]]:
    """Return a collection's columns and each system's cells: languages if `every`, then mean and Δ."""
    baseline = scores.get(BASELINE)
    tested = {
        system: compare_languages(baseline, one)
        for system, one in scores.items()
        if baseline and system != BASELINE
    }
    languages = list(next(iter(scores.values()))) if scores and every else []
    of_means = dict(zip(tested, holm([one.mean.p for one in tested.values()]), strict=True))
    of_languages = correct_languages(tested)
    rows = {}
    for system, one in scores.items():
        means = {code: statistics.mean(values.values()) for code, values in one.items()}
        row = [format_score(means[code]) + star(of_languages.get((system, code))) for code in languages]
        row.append(format_score(statistics.mean(means.values())))
        if system in tested:
            mean = tested[system].mean
            row.append(f"{mean.delta:+.4f}{star(of_means[system])} [{mean.low:+.4f}, {mean.high:+.4f}]")
        else:
            row.append("")
        rows[system] = row
    return [*languages, "mean", "Δ [95 %]"], rows


def format_score(value: float) -> str:
    """Return a score between 0 and 1 with four places."""
    return f"{value:.4f}".removeprefix("0")


def star(p: float | None) -> str:
    """Return a star for a significant difference."""
    return "\\*" if p is not None and p < LEVEL else ""


def correct_languages(tested: Mapping[str, LanguageComparison]) -> dict[tuple[str, str], float]:
    """Return the p value of every system and language, corrected over all of them."""
    raw = {(system, code): c.p for system, one in tested.items() for code, c in one.languages.items()}
    return dict(zip(raw, holm(list(raw.values())), strict=True))


def cost(results: Path, runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the speed of the median step, the peak memory and the best steps that the runs recorded.

    The median is used because the mean is distorted by other work on the machine.
    """
    summaries = [run["summary"] or {} for run in runs]
    between = ask(
        results,
        "SELECT run, median(seconds) FROM (SELECT run, elapsed - lag(elapsed) OVER (PARTITION BY run "
        "ORDER BY step) AS seconds FROM steps WHERE metric = 'loss' AND list_contains(?::VARCHAR[], run)) "
        "GROUP BY run",
        [[run["id"] for run in runs]],
    )
    seconds = dict(between.rows)
    speeds = [
        run["config"]["training"]["batch_size"] / seconds[run["id"]] for run in runs if run["id"] in seconds
    ]
    memory = [one["peak_memory_bytes"] for one in summaries if "peak_memory_bytes" in one]
    steps = [f"{one['best_step']:.0f}" for one in summaries if "best_step" in one]
    return [
        f"{statistics.mean(speeds):.1f}" if speeds else "–",
        f"{max(memory) / 2**30:.2f}" if memory else "–",
        ", ".join(steps) or "–",
    ]


def average_scores(results: Path, collection: str, measure: str, runs: Sequence[str]) -> Scores:
    """Return each query's score by MaxSim averaged over `runs`, by language."""
    values: dict[str, dict[str, list[float]]] = {}
    answer = query_scores_of(results, list(runs), scoring="maxsim", measure=measure, collection=collection)
    for row in answer.records():
        values.setdefault(row["query_language"], {}).setdefault(row["query_id"], []).append(row["value"])
    return {
        language: {query: statistics.mean(found) for query, found in queries.items()}
        for language, queries in values.items()
    }


def write_between_marks(file: Path, name: str, text: str) -> None:
    """Write `text` between ``<!-- NAME:begin -->`` and ``<!-- NAME:end -->`` in a Markdown file.

    Raises
    ------
    InputError
        If the file does not have each mark exactly once, in that order.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    whole = file.read_text("utf-8") if file.is_file() else ""
    before, opened, rest = whole.partition(begin)
    _, closed, after = rest.partition(end)
    if not (opened and closed) or begin in after:
        raise InputError(
            f"the file has no marks {begin} and {end}; add them where the table belongs", path=file
        )
    file.write_text(f"{before}{begin}\n{text}\n{end}{after}", "utf-8")
