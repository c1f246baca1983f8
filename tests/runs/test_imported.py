"""Rankings and scores of other programs become runs with the measures that trec_eval gives them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import duckdb
import ir_measures
import pytest

from engine.cli.commands import run as command
from engine.config import parse_config
from engine.errors import InputError
from engine.evaluation.mteb import measure_of, name_of, read_results, results_of
from engine.results.run_folder import RunFolder, read_part, table_files
from engine.runs.execute import execute


def rows(run: RunFolder, name: str) -> list[dict[str, Any]]:
    return [row for file in table_files(run.path, name) for row in read_part(file).to_pylist()]


def write_ranking(path: Path, seed: int, topics: int = 12, tag: str = "other") -> dict[str, dict[str, float]]:
    """Write a run with equal scores, ranks that are wrong, and lines in no order; return it."""
    draw = random.Random(seed)
    found: dict[str, dict[str, float]] = {}
    lines = []
    for topic in range(topics):
        documents = draw.sample(range(80), 40)
        found[f"t{topic}"] = {f"d{number}": float(draw.randrange(8)) for number in documents}
        lines += [f"t{topic} Q0 {d} 1 {s} {tag}" for d, s in found[f"t{topic}"].items()]
    draw.shuffle(lines)
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return found


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A file of judgements of topics t0 to t11, and one of a run."""
    draw = random.Random(7)
    judged = [
        f"t{topic} 0 d{document} {draw.randrange(4)}"
        for topic in range(12)
        for document in draw.sample(range(80), 20)
    ]
    qrels = tmp_path / "qrels.txt"
    qrels.write_text("\n".join(judged) + "\n", "utf-8")
    write_ranking(tmp_path / "bm25.trec", 1)
    return qrels, tmp_path / "bm25.trec"


def settings(qrels: Path, *rankings: Path, **changes: Any) -> dict[str, Any]:
    paths = [str(path) for path in rankings]
    collection = {"name": "judgements", "path": str(qrels), "rankings": paths, "languages": ["sw"]}
    return {
        "kind": "import",
        "rankings": [{"path": paths[0]}],
        "collections": [{**collection, "document_languages": ["en"]}],
        **changes,
    }


def test_measures_are_those_of_trec_eval(files: tuple[Path, Path], tmp_path: Path) -> None:
    qrels, ranking = files
    run, _ = execute(parse_config(settings(qrels, ranking)), tmp_path / "runs", ["test"])
    ours = {
        (row["query_id"], row["measure"]): row["value"]
        for row in rows(run, "query_scores")
        if row["measure"] != "Judged@10"
    }
    measures = [ir_measures.parse_measure(name) for name in ("nDCG@10", "AP", "RR", "R@100")]
    theirs = {
        (f"sw:{metric.query_id}", str(metric.measure)): metric.value
        for metric in ir_measures.pytrec_eval.iter_calc(
            measures, ir_measures.read_trec_qrels(str(qrels)), ir_measures.read_trec_run(str(ranking))
        )
    }
    assert len(ours) == 48 and ours.keys() == theirs.keys()
    for key, value in theirs.items():
        assert ours[key] == pytest.approx(value, abs=1e-6), key
    assert {row["direction"] for row in rows(run, "scores")} == {"xx-en"}
    # ranks are ours, from the scores; the file's said 1 everywhere
    first = [row for row in rows(run, "rankings") if row["query_id"] == "sw:t0"]
    assert [row["rank"] for row in first] == list(range(1, 41))
    keys = [(row["score"], row["document_id"]) for row in first]
    assert keys == sorted(keys, reverse=True)


def test_two_imported_runs_are_compared_and_fused(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    qrels, first = files
    second = tmp_path / "dense.trec"
    write_ranking(second, 2)
    for name, own, other in (("one", first, second), ("two", second, first)):
        config = settings(qrels, own, other, name=name)
        config["collections"][0]["rankings"] = [str(first), str(second)]
        execute(parse_config(config), tmp_path / "runs", ["test"])
    fused = {"kind": "fuse", "name": "both", "systems": [{"run": "one"}, {"run": "two"}]}
    run, _ = execute(parse_config(fused), tmp_path / "runs", ["test"])
    assert {row["scoring"] for row in rows(run, "scores")} == {"rrf"}
    results = str(tmp_path / "results.duckdb")
    assert command(["compare", "one", "two", "both", "--json", "--results", results]) == 0
    assert {row["queries"] for row in json.loads(capsys.readouterr().out)["tables"][0]["rows"]} == {12}
    reranked = {"kind": "cross-encoder", "first_stage": {"run": "one", "depth": 5}, "checkpoint": "x"}
    with pytest.raises(InputError, match="a cross-encoder reads texts"):
        execute(parse_config(reranked), tmp_path / "runs", ["test"])


def test_ids_without_language_are_those_of_a_collection(tmp_path: Path) -> None:
    """A folder's collection has ids with their language; published rankings have them without."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "documents.en.tsv").write_text("d1\tone\nd2\ttwo\nd3\tthree\n", "utf-8")
    (folder / "topics.sw.tsv").write_text("1\tmoja\n2\tmbili\n3\ttatu\n", "utf-8")
    (folder / "qrels.txt").write_text("1 0 d1 1\n2 0 d2 1\n3 0 d3 1\n", "utf-8")
    (tmp_path / "r.trec").write_text(
        "1 Q0 d1 1 3.0 x\n1 Q0 d2 2 2.0 x\nsw:2 Q0 d1 1 3.0 x\nsw:2 Q0 d2 2 2.5 x\n9 Q0 d1 1 1 x\n", "utf-8"
    )
    config = {
        "kind": "import",
        "rankings": [{"path": str(tmp_path / "r.trec")}],
        "collections": [{"name": "folder", "path": str(folder)}],
    }
    run, (scores,) = execute(parse_config(config), tmp_path / "runs", ["test"])
    assert scores.values["RR"]["sw"] == {"sw:1": 1.0, "sw:2": 0.5, "sw:3": 0.0}
    notes = " ".join(run.record["summary"]["notes"])
    assert "1 topic of the ranking is not judged" in notes and "'9'" in notes
    assert "1 judged query is not in the ranking" in notes
    (tmp_path / "r.trec").write_text("1 Q0 d1 1 3.0 x\n1 Q0 d99 2 2.0 x\n", "utf-8")
    with pytest.raises(InputError, match=r"r\.trec.*line 2.*'d99' is not in the collection"):
        execute(parse_config(config), tmp_path / "runs", ["test"])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("t1 Q0 d1 1 2.0\n", r"line 1: 5 columns where a TREC run has six"),
        ("t1 Q0 d1 1 high x\n", r"line 1: 'high' is not a score"),
        ("t1 Q0 d1 1 nan x\n", r"line 1: 'nan' is not a score"),
        ("t1 Q0 d1 1 2 x\nt1 Q0 d1 2 1 x\n", r"line 2: document 'd1' is found twice"),
        ("", r"it contains no ranking"),
        ("q Q0 d1 1 2 x\n", r"no topic of the ranking is a judged query .*'q'"),
    ],
)
def test_a_broken_ranking_is_one_sentence(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, said: str
) -> None:
    path = tmp_path / "broken.trec"
    path.write_text(content, "utf-8")
    place = ["--results", str(tmp_path / "results.duckdb")]
    assert command(["import", str(path), "--judgements", str(files[0]), *place]) in (1, 2)
    err = capsys.readouterr().err.splitlines()[-1]
    import re

    assert re.search(said, err), err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "needs --judgements FILE or --collection NAME"),
        (["--judgements", "none.txt"], "no such file"),
        (["--collection", "judgement"], "collections.0.name"),
        (["--collection", "judgements"], "collections.path is missing"),
        (["--judgements", "qrels.txt", "--language", "qqq"], "qqq"),
        (
            ["--judgements", "qrels.txt", "--set", "rankigs=3"],
            "rankigs is not a setting (did you mean 'rankings'?)",
        ),
    ],
)
def test_what_is_missing_is_said(
    files: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    place = ["--results", str(tmp_path / "results.duckdb")]
    assert command(["import", "bm25.trec", *arguments, *place]) == 2
    err = capsys.readouterr().err
    assert said in err and "Traceback" not in err


def test_a_finished_import_succeeds_whatever_the_database_is(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results.duckdb"
    duckdb.connect(str(results)).close()
    assert command(["import", str(files[1]), "--judgements", str(files[0]), "--results", str(results)]) == 0
    out, err = capsys.readouterr()
    (run,) = (tmp_path / "runs").iterdir()
    assert out.splitlines()[-1] == run.name and "this is not a results database" in err
    assert RunFolder.open(run).record["state"] == "finished"


RESULT = {
    "dataset_revision": "69e8f12da6e31d59addadda9a9c8a2e601a0e282",
    "task_name": "Tatoeba",
    "mteb_version": "1.12.75",
    "scores": {
        "test": [
            {
                "accuracy": 0.9,
                "f1": 0.87,
                "main_score": 0.87,
                "hf_subset": "afr-eng",
                "languages": ["afr-Latn", "eng-Latn"],
            },
            {
                "ndcg_at_10": 0.5,
                "map_at_100": 0.25,
                "main_score": 0.5,
                "hf_subset": "xyz",
                "languages": ["som-Latn"],
            },
        ]
    },
    "evaluation_time": 1.0,
    "kg_co2_emissions": None,
}


def test_results_of_mteb_become_scores(tmp_path: Path) -> None:
    path = tmp_path / "Tatoeba.json"
    path.write_text(json.dumps(RESULT), "utf-8")
    run, scores = execute(parse_config({"kind": "import", "mteb": [str(path)]}), tmp_path / "runs", ["test"])
    assert scores == []
    found = {(row["collection"], row["query_language"], row["measure"]): row for row in rows(run, "scores")}
    known = found["tatoeba", "af", "Success@1"]  # as `engine.results.published` has it
    assert (known["value"], known["protocol"], known["direction"]) == (0.9, "xtreme-r", "xx-en")
    assert known["revision"] == "mteb 69e8f12da6e3"
    assert found["Tatoeba", "so", "nDCG@10"]["value"] == 0.5
    assert found["Tatoeba", "so", "AP@100"]["value"] == 0.25


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"task_name": "a", "dataset_revision": "b", "scores": 1}']
)
def test_what_is_no_result_of_mteb_is_one_sentence(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content, "utf-8")
    with pytest.raises(InputError, match=r"x\.json.*result of MTEB"):
        read_results(path)


def test_results_written_are_read_again(tmp_path: Path) -> None:
    path = tmp_path / "Tatoeba.json"
    path.write_text(json.dumps(RESULT), "utf-8")
    before = read_results(path)
    (tmp_path / "again").mkdir()
    files = results_of(before, 2.0)
    after = []
    for name, content in files.items():
        (tmp_path / "again" / name).write_text(json.dumps(content), "utf-8")
        after += read_results(tmp_path / "again" / name)

    def key(row: dict[str, Any]) -> tuple[Any, ...]:
        return (
            row["collection"],
            row["query_language"],
            row["document_language"],
            row["measure"],
            row["value"],
        )

    assert sorted(map(key, after)) == sorted(map(key, before))


@pytest.mark.parametrize(
    "measure", ["nDCG@10", "AP@100", "R@5", "P@1", "RR@10", "F1", "Success@1", "RR", "AP"]
)
def test_names_of_measures_are_turned_into_each_other(measure: str) -> None:
    name = name_of(measure)
    assert name is not None and measure_of(name) == measure
