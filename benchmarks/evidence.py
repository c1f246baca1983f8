r"""Check the tables of the documentation against the scores of single queries that ship with them.

    python benchmarks/evidence.py --check    # recompute every table; an error names the first that differs
    python benchmarks/evidence.py --write    # write every table again
    python benchmarks/evidence.py --add recipe-afriqa --doc docs/recipe.md --results r/results.duckdb \
        --systems zero-shot 'contrast-*' 'transport-*' --collection afriqa --measure nDCG@10 \
        --topics clean=yes

docs/evidence/tables.toml lists the tables, and docs/evidence/NAME.parquet has the scores of a table.
``--add`` takes the scores of some systems from a results database, folds seeds as `compare` does, lists the
table and writes it between ``<!-- NAME:begin -->`` and ``<!-- NAME:end -->`` in the document, where these
marks must stand. The first system is the baseline; `--baseline` names others. Tables of kind ``study`` and
``calibration`` are made from the reference study and from docs/evidence/calibration.parquet.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import calibration
import pyarrow as pa
import pyarrow.parquet as pq
from methods_table import write_between_marks

from engine.errors import InputError, OpticalError
from engine.evaluation.comparisons import Family, compare_family
from engine.evaluation.seed_model import LEVEL, Difference, System
from engine.evaluation.significance import Comparison, topic_of
from engine.results.alignment import scoring_condition
from engine.results.queries import ask
from engine.results.systems import RunSystem, Systems
from engine.results.topics import clusters_of, topics_of

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "evidence"
LIST = "tables.toml"
#: The columns of the scores of a table.
SCHEMA = pa.schema(
    [
        *(
            pa.field(name, pa.string())
            for name in ("system", "seed", "language", "query", "cluster", "revision")
        ),
        pa.field("trained", pa.bool_()),
        pa.field("value", pa.float64()),
    ]
)
KINDS = ("comparison", "study", "calibration")


def main() -> int:
    """Check, write or add tables; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--check", action="store_true")
    action.add_argument("--write", action="store_true")
    action.add_argument("--add", metavar="NAME")
    parser.add_argument("--only", metavar="NAME", help="check or write only this table")
    parser.add_argument("--doc", type=Path, help="the document of the table")
    parser.add_argument("--results", type=Path, help="the results database")
    parser.add_argument("--systems", nargs="+", metavar="RUN", help="runs, patterns of names or @keys")
    parser.add_argument("--labels", nargs="+", help="a label of each system; the default is its name")
    parser.add_argument(
        "--baseline", action="append", metavar="LABEL", help="a baseline; the default is the first"
    )
    parser.add_argument("--collection")
    parser.add_argument("--measure")
    parser.add_argument("--scoring", default="maxsim")
    parser.add_argument("--direction")
    parser.add_argument("--topics", metavar="KIND=VALUE", help="only topics with this mark")
    parser.add_argument("--margin", type=float, default=0.01)
    arguments = parser.parse_args()
    try:
        if arguments.add:
            for name in ("doc", "results", "systems", "collection", "measure"):
                if not getattr(arguments, name):
                    parser.error(f"--add needs --{name}")
            add(arguments)
            return 0
        found = [entry for entry in read_list() if arguments.only in (None, entry["name"])]
        if not found:
            raise InputError(f"no table {arguments.only!r} is listed", path=FOLDER / LIST)
        for entry in found:
            if arguments.write and entry["kind"] == "study":
                print("study: written by `optical-workbench study --document`", file=sys.stderr)
                continue
            if arguments.write:
                write_between_marks(ROOT / entry["doc"], entry["name"], render(entry))
            else:
                check(entry)
            print(f"{entry['name']} ({entry['doc']}): {'written' if arguments.write else 'as recomputed'}")
    except OpticalError as error:
        print(f"evidence: {error}", file=sys.stderr)
        return 1
    return 0


def read_list() -> list[dict[str, Any]]:
    """Return the entries of the list of tables.

    Raises
    ------
    InputError
        If it is missing or broken, or an entry lacks something.
    """
    place = FOLDER / LIST
    try:
        entries = tomllib.loads(place.read_text("utf-8"))["tables"]
    except (OSError, KeyError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"the list of tables cannot be read: {error}", path=place) from error
    for entry in entries:
        lacking = [name for name in ("name", "doc", "kind") if name not in entry]
        if lacking or entry["kind"] not in KINDS:
            raise InputError(f"a table has no {', '.join(lacking) or 'known kind'}: {entry}", path=place)
    return list(entries)


def check(entry: Mapping[str, Any]) -> None:
    """Compare a table in its document with what its scores give.

    Raises
    ------
    InputError
        If they differ; the message has the first line that does.
    """
    path = ROOT / entry["doc"]
    whole = path.read_text("utf-8")
    begin, end = marks_of(entry)
    if begin not in whole or end not in whole:
        raise InputError(f"table {entry['name']!r} has no marks", path=path)
    before, _, rest = whole.partition(begin)
    printed, expected = rest.partition(end)[0].split("\n"), render(entry).split("\n")
    first = before.count("\n") + 1
    for number, (here, there) in enumerate(zip(printed, expected, strict=False), first):
        if here != there:
            raise InputError(
                f"table {entry['name']!r} differs: it says\n  {here}\nand its scores give\n  {there}",
                path=path,
                line=number,
            )
    if len(printed) != len(expected):
        raise InputError(
            f"table {entry['name']!r} has {len(printed)} lines, and its scores give {len(expected)}",
            path=path,
        )


def marks_of(entry: Mapping[str, Any]) -> tuple[str, str]:
    """Return what stands before and after a table in its document."""
    if entry["kind"] == "study":
        return "<!-- study: made by `optical-workbench study` -->\n\n", "\n\n<!-- study: end -->"
    return f"<!-- {entry['name']}:begin -->\n", f"\n<!-- {entry['name']}:end -->"


def render(entry: Mapping[str, Any]) -> str:
    """Return a table as Markdown, computed from its scores."""
    if entry["kind"] == "calibration":
        systems = calibration.read_scores(FOLDER / entry["scores"])
        count = int(entry["comparisons"])
        return f"{calibration.simulated(count)}\n\n{calibration.real(systems, count)}"
    if entry["kind"] == "study":
        from engine.evaluation.study import compute_study
        from engine.evaluation.study_report import markdown
        from engine.results.reference import newest_study, reference_results

        results = reference_results()
        study = newest_study(results)
        assert study is not None
        return markdown(compute_study(results, study))
    family, systems = compare(entry)
    return comparison_table(entry, family, systems)


def compare(entry: Mapping[str, Any]) -> tuple[Family, dict[str, System]]:
    """Return the comparisons of a table, and its systems by label."""
    table = pq.read_table(FOLDER / entry["scores"], schema=SCHEMA)
    found: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    clusters: dict[str, str] = {}
    trained: dict[str, bool] = {}
    for row in table.to_pylist():
        runs = found.setdefault(row["system"], {})
        runs.setdefault(row["seed"], {}).setdefault(row["language"], {})[row["query"]] = row["value"]
        trained[row["system"]] = row["trained"]
        if row["cluster"] is not None:
            clusters[topic_of(row["query"])] = row["cluster"]
    systems = {name: System(name, list(found[name].values()), trained[name]) for name in entry["systems"]}
    return compare_family(systems, entry["baselines"], clusters=clusters, margin=entry["margin"]), systems


def comparison_table(entry: Mapping[str, Any], family: Family, systems: Mapping[str, System]) -> str:
    """Return a table with a row for each system, and for each pair of systems its tests."""
    languages = list(family.pairs[0].difference.languages)
    several = len(entry["baselines"]) > 1
    heads = ["system", "seeds", *languages, *(["mean"] if len(languages) > 1 else []), "Δ [95 %]"]
    heads += ["p (Holm)", "verdict", "visible", "these checkpoints: [95 %], p"]
    rows = []
    for name, system in systems.items():
        pairs = [pair for pair in family.pairs if pair.system == name]
        marks = pairs[0].difference.languages if len(pairs) == 1 else {}
        row = [name, str(len(system.runs)) if system.trained else "–"]
        row += [f"{mean_of(system, [code])}{star(marks.get(code))}" for code in languages]
        row += [mean_of(system, languages)] if len(languages) > 1 else []
        if not pairs:
            rows.append([*row, *[""] * 5])
        for pair in pairs:
            _, one, tested = pair.rows()[-1]
            against = f" against {pair.baseline}" if several else ""
            rows.append([*row, *tests(one, tested, against)])
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    told = f"{entry['collection']}, {entry['measure']}, {entry['scoring']}"
    told += f", {entry['direction']}" if entry.get("direction") else ""
    told += f", topics with {entry['topics']}" if entry.get("topics") else ""
    sentences = [f"{told}. {family.heading}.", *(f"{note}." for note in family.notes)]
    return "\n".join(["| " + " | ".join(line) + " |" for line in lines] + ["", " ".join(sentences)])


def tests(one: Difference, tested: Comparison, against: str) -> list[str]:
    """Return the cells of a comparison of means."""
    of_checkpoints = f"[{tested.low:+.4f}, {tested.high:+.4f}], {tested.p_holm:.4f}" if one.units > 1 else "–"
    if one.low is None or one.high is None or one.p_holm is None or one.smallest is None:
        return [f"{one.delta:+.4f}{against}", "–", "–", "–", of_checkpoints]
    return [
        f"{one.delta:+.4f} [{one.low:+.4f}, {one.high:+.4f}]{against}",
        f"{one.p_holm:.4f}",
        one.verdict,
        f"{one.smallest:.4f}",
        of_checkpoints,
    ]


def mean_of(system: System, languages: Sequence[str]) -> str:
    """Return the mean over seeds, languages and queries, with four places."""
    value = fmean(fmean(fmean(run[code].values()) for code in languages) for run in system.runs)
    return f"{value:.4f}".removeprefix("0")


def star(one: Difference | None) -> str:
    """Return a star for a difference that is significant over trainings."""
    return "\\*" if one is not None and one.p_holm is not None and one.p_holm < LEVEL else ""


def add(arguments: argparse.Namespace) -> None:
    """Take the scores of systems from a results database, list the table and write it into its document."""
    from engine.cli.options import refreshed

    results = refreshed(arguments.results)
    stored = Systems.read(results)
    systems = stored.choose(arguments.systems)
    labels = arguments.labels or [system.name for system in systems]
    if len(labels) != len(systems):
        raise InputError(f"--labels has {len(labels)} labels for {len(systems)} systems")
    baselines = arguments.baseline or labels[:1]
    marks = [all_topics(results, system.lead, arguments.collection) for system in systems]
    clusters = clusters_of(marks)
    wanted = wanted_topics(arguments.topics, marks)
    rows = [
        row
        for label, system in zip(labels, systems, strict=True)
        for row in scores_of_system(results, arguments, label, system, clusters, wanted)
    ]
    revisions: dict[str, set[str]] = {}
    for row in rows:
        revisions.setdefault(row["language"], set()).add(row["revision"])
    for code, found in revisions.items():
        if len(found) > 1:
            raise InputError(f"in {code!r} the systems were scored on revisions {', '.join(sorted(found))}")
    shared = set.intersection(*({r["language"] for r in rows if r["system"] == label} for label in labels))
    rows = [row for row in rows if row["language"] in shared]
    entry = {
        **{"name": arguments.add, "doc": str(arguments.doc), "kind": "comparison"},
        **{"scores": f"{arguments.add}.parquet", "systems": labels, "baselines": baselines},
        **{"collection": arguments.collection, "measure": arguments.measure, "scoring": arguments.scoring},
        **{name: value for name in ("direction", "topics") if (value := getattr(arguments, name))},
        "margin": arguments.margin,
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        pa.Table.from_pylist(rows, schema=SCHEMA),
        FOLDER / str(entry["scores"]),
        compression="zstd",
        compression_level=19,
    )
    write_between_marks(ROOT / arguments.doc, arguments.add, render(entry))
    listed = [
        known
        for known in (read_list() if (FOLDER / LIST).is_file() else [])
        if known["name"] != arguments.add
    ]
    write_list([*listed, entry])
    print(f"{arguments.add}: {len(rows):,} scores of {len(labels)} systems")


def all_topics(results: Path, run: str, collection: str) -> dict[str, dict[str, str]]:
    """Return the value of each topic by kind, over all revisions of a collection."""
    revisions = ask(results, "SELECT DISTINCT revision FROM scores WHERE run = ?", [run]).rows
    return topics_of(results, run, collection, [row[0] for row in revisions])


def wanted_topics(mark: str | None, marks: Sequence[Mapping[str, Mapping[str, str]]]) -> set[str] | None:
    """Return the topics that have a mark in every system that has marks of its kind; None without a mark."""
    if mark is None:
        return None
    kind, _, value = mark.partition("=")
    having = [known[kind] for known in marks if kind in known]
    if not having:
        raise InputError(f"no system has topics with marks of kind {kind!r}")
    return {topic for topic in having[0] if all(own.get(topic) == value for own in having)}


def scores_of_system(
    results: Path,
    arguments: argparse.Namespace,
    label: str,
    system: RunSystem,
    clusters: Mapping[str, str],
    wanted: set[str] | None,
) -> list[dict[str, Any]]:
    """Return the scores of the runs of a system on the collection that was asked for.

    `clusters` are by topic, and `wanted` are the topics that count, if not all do.

    Raises
    ------
    InputError
        If it has none.
    """
    condition, values = scoring_condition(arguments.scoring)
    where = ["list_contains(?::VARCHAR[], run)", "collection = ?", "measure = ?", condition]
    parameters = [system.runs, arguments.collection, arguments.measure, *values]
    if arguments.direction:
        where.append("direction = ?")
        parameters.append(arguments.direction)
    found = ask(
        results,
        f"""
        SELECT run, protocol, direction, revision, query_id, value,
            CASE direction WHEN 'en-xx' THEN coalesce(document_language, query_language)
                ELSE query_language END AS language
        FROM query_scores WHERE {" AND ".join(where)} ORDER BY ALL
        """,
        parameters,
    ).records()
    if not found:
        raise InputError(f"{label} has no scores of {arguments.measure} on {arguments.collection}")
    for name in ("protocol", "direction"):
        values = sorted({row[name] for row in found})
        if len(values) > 1:
            raise InputError(f"{label} has scores with several {name}s ({', '.join(values)}); choose one")
    seeds = dict(zip(system.runs, system.seeds or [""] * len(system.runs), strict=True))
    rows = []
    for row in found:
        topic = topic_of(row["query_id"])
        if wanted is None or topic in wanted:
            rows.append(
                {
                    **{"system": label, "seed": seeds[row["run"]], "language": row["language"]},
                    **{"query": row["query_id"], "cluster": clusters.get(topic)},
                    **{"revision": row["revision"], "trained": system.trained, "value": row["value"]},
                }
            )
    if not rows:
        raise InputError(f"{label} has no topic with {arguments.topics}")
    return rows


def write_list(entries: Sequence[Mapping[str, Any]]) -> None:
    """Write the list of tables as TOML."""
    lines = ["# The tables of the documentation that `python benchmarks/evidence.py --check` recomputes."]
    for entry in entries:
        lines += [
            "",
            "[[tables]]",
            *(f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in entry.items()),
        ]
    (FOLDER / LIST).write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
