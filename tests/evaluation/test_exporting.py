"""Files for other programs: trec_eval measures the rankings as they were measured here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ir_measures
import pytest

from engine.cli.commands import run as command
from engine.config import parse_config
from engine.errors import InputError
from engine.evaluation.exporting import export_mteb, export_trec
from engine.results.run_folder import RunFolder, read_part, table_files
from engine.runs.execute import execute


@pytest.fixture
def searched(tmp_path: Path) -> RunFolder:
    """A lexical run on documents of which many are equal, so that scores are."""
    folder = tmp_path / "folder"
    folder.mkdir()
    words = ("moto maji", "moto", "maji", "ndege samaki", "moto maji")
    documents = "".join(f"d{number}\t{words[number % 5]}\n" for number in range(30))
    (folder / "documents.sw.tsv").write_text(documents, "utf-8")
    (folder / "topics.sw.tsv").write_text("1\tmoto maji\n2\tsamaki\n3\tmaji\n", "utf-8")
    (folder / "qrels.txt").write_text("1 0 d4 2\n1 0 d20 1\n2 0 d8 1\n3 0 d12 1\n3 0 d0 1\n", "utf-8")
    config = {
        "kind": "lexical",
        "name": "the words",
        "collections": [{"name": "folder", "path": str(folder), "label": "a/b"}],
    }
    run, _ = execute(parse_config(config), tmp_path / "runs", ["test"])
    return run


def values(run: RunFolder) -> dict[tuple[str, str], float]:
    return {
        (row["query_id"], row["measure"]): row["value"]
        for file in table_files(run.path, "query_scores")
        for row in read_part(file).to_pylist()
    }


def test_trec_eval_measures_what_was_measured_here(searched: RunFolder, tmp_path: Path) -> None:
    written, problems = export_trec(searched, tmp_path / "out", "the words")
    assert not problems
    assert [path.name for path in written] == ["a-b.xx-xx.bm25.trec", "a-b.xx-xx.qrels"]
    measures = [ir_measures.parse_measure(name) for name in ("nDCG@10", "AP", "RR", "R@100")]
    found = {
        (metric.query_id, str(metric.measure)): metric.value
        for metric in ir_measures.pytrec_eval.iter_calc(
            measures,
            ir_measures.read_trec_qrels(str(written[1])),
            ir_measures.read_trec_run(str(written[0])),
        )
    }
    ours = values(searched)
    assert len(found) == 12
    for key, value in found.items():
        assert ours[key] == pytest.approx(value, abs=1e-6), key
    tags = {line.split()[5] for line in written[0].read_text().splitlines()}
    assert tags == {"the-words"}


def test_an_export_is_imported_with_the_same_scores(searched: RunFolder, tmp_path: Path) -> None:
    (ranking, _), _ = export_trec(searched, tmp_path / "out", "x")
    config = {
        "kind": "import",
        "rankings": [{"path": str(ranking)}],
        "collections": searched.record["config"]["collections"],
    }
    again, _ = execute(parse_config(config), tmp_path / "runs", ["test"])
    assert values(again) == pytest.approx(values(searched))


def test_judgements_of_other_data_are_left_out(searched: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "folder" / "qrels.txt").write_text("1 0 d4 2\n", "utf-8")
    written, problems = export_trec(searched, tmp_path / "out", "x")
    assert [path.suffix for path in written] == [".trec"]
    assert len(problems) == 1 and "not that of revision" in problems[0]


def test_results_of_mteb(searched: RunFolder, tmp_path: Path) -> None:
    (path,) = export_mteb(searched, tmp_path / "out")
    content = json.loads(path.read_text())
    (entry,) = content["scores"]["test"]
    stored = {
        row["measure"]: row["value"]
        for file in table_files(searched.path, "scores")
        for row in read_part(file).to_pylist()
    }
    assert entry["ndcg_at_10"] == entry["main_score"] == stored["nDCG@10"]
    assert entry["map"] == stored["AP"] and entry["recall_at_100"] == stored["R@100"]
    assert entry["languages"] == ["swa-Latn"] and content["task_name"] == "a/b"


def test_a_file_of_results_opens_in_mteb(searched: RunFolder, tmp_path: Path) -> None:
    mteb = pytest.importorskip("mteb")
    (path,) = export_mteb(searched, tmp_path / "out")
    result = mteb.TaskResult.from_disk(path)
    assert result.task_name == "a/b" and result.scores["test"][0]["hf_subset"] == "sw-sw"


def test_no_pool_replaces_the_files_of_another(tmp_path: Path) -> None:
    """Each language of Tatoeba has a pool, and two labels may be one name of a file."""
    data = tmp_path / "tatoeba"
    data.mkdir()
    for tag in ("swh", "mar"):
        (data / f"tatoeba.{tag}-eng.eng").write_text("water here\nfish there\n", "utf-8")
        (data / f"tatoeba.{tag}-eng.{tag}").write_text(f"water {tag}\nfish {tag}\n", "utf-8")
    tatoeba = {"name": "tatoeba", "path": str(data), "languages": ["sw", "mr"]}
    labels = [{**tatoeba, "languages": ["sw"], "label": label} for label in ("a/b", "c/b", "a-b")]
    config = {"kind": "lexical", "name": "words", "collections": [tatoeba, *labels]}
    run, _ = execute(parse_config(config), tmp_path / "runs", ["test"])
    stored = [row for file in table_files(run.path, "rankings") for row in read_part(file).to_pylist()]
    written, problems = export_trec(run, tmp_path / "out", "x")
    assert not problems and len(set(written)) == len(written) == 10
    rankings = [path.read_text("utf-8").splitlines() for path in written if path.suffix == ".trec"]
    assert sum(map(len, rankings)) == len(stored)
    assert {line.split()[0].partition("-")[0] for lines in rankings for line in lines} == {"sw:sw", "mr:mr"}
    judged = [line for path in written if path.suffix == ".qrels" for line in path.open(encoding="utf-8")]
    assert len(judged) == 10
    results = export_mteb(run, tmp_path / "mteb")
    tasks = [json.loads(path.read_text("utf-8"))["task_name"] for path in results]
    assert len(set(results)) == len(results) == 4 and {"a/b", "c/b", "a-b"} < set(tasks)


def test_what_cannot_be_written_is_said(searched: RunFolder, tmp_path: Path, capsys: Any) -> None:
    place = ["--results", str(tmp_path / "results.duckdb")]
    (tmp_path / "file").touch()
    assert command(["export", searched.id, str(tmp_path / "file"), "--for", "trec", *place]) == 2
    assert "it is a file" in capsys.readouterr().err
    assert command(["export", "nothing", str(tmp_path / "x"), "--for", "mteb", *place]) == 2
    assert command(["export", searched.id, str(tmp_path / "x"), "--for", "trec", "--raw", *place]) == 2
    assert command(["export", searched.id, str(tmp_path / "x"), "--for", "trec", *place]) == 0
    assert "a-b.xx-xx.bm25.trec" in capsys.readouterr().err
    (tmp_path / "folder" / "documents.sw.tsv").write_text("d 1\tmoto\n", "utf-8")
    (tmp_path / "folder" / "qrels.txt").write_text("query-id\tcorpus-id\tscore\n1\td 1\t1\n", "utf-8")
    config = parse_config({**searched.record["config"]})
    run, _ = execute(config, tmp_path / "runs", ["test"])
    with pytest.raises(InputError, match="white space"):
        export_trec(run, tmp_path / "y", "x")
