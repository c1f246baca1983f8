"""A ``run.json`` that this program did not write costs its own run, in one sentence, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.cli.commands import run as run_command
from engine.cli.score_groups import languages_of
from engine.errors import InputError
from engine.hashes import Hashes
from engine.results.headline import headline
from engine.results.ingest import ingest
from engine.results.queries import ask, list_runs
from engine.results.record import DEEPEST, known_settings, parse_record, read_record
from engine.results.run_facts import cut_of, encoder_of, passages_of, state_of_record
from engine.results.run_rows import read_run
from tests.odd_runs import VALUES, changed, nested, places, write_odd_files, write_odd_values

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(VALUES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def test_odd_files_are_one_sentence_each(make_run, results, runs):
    good = make_run("good")
    folders = write_odd_files(runs, good.path)
    report = ingest(results, runs)
    assert report.added == [good.id] and len(report.problems) == len(folders)
    for what, folder in folders.items():
        (said,) = [text for text in report.problems if text.startswith(f"run {folder.name} was left out: ")]
        assert "\n" not in said and len(said) < 500, what
        with pytest.raises(InputError):
            read_record(folder)
    assert ask(results, "SELECT id FROM runs").rows == [(good.id,)]


def test_other_files_of_a_run_may_be_pipes(make_run, results, runs):
    good = make_run("good")
    for name in ("metrics.jsonl", "scores.parquet", "heartbeat", "log.txt"):
        (good.path / name).unlink(missing_ok=True)
        os.mkfifo(good.path / name)
    report = ingest(results, runs)
    assert report.added == [good.id]
    assert sorted(text.split("'")[1] for text in report.problems) == ["scores", "steps"]
    assert all("it is not a regular file" in text for text in report.problems)
    assert ask(results, "SELECT count(*) FROM plans").rows == [(2,)]


def check(folders: list[Path], results: Path, runs: Path, good: str) -> None:
    """Check that each of `folders` is read, and can be used, or is said to be left out."""
    report = ingest(results, runs)
    found = {record["id"]: record for record in list_runs(results)}
    assert good in found
    for folder in folders:
        said = [text for text in report.problems if text.startswith(f"run {folder.name} ")]
        assert len(said) == (folder.name not in found) and not any("\n" in text for text in said)
        if folder.name not in found:
            with pytest.raises(InputError):
                read_record(folder)
            continue
        for record in (read_record(folder), found[folder.name]):
            headline(record, [])
            cut_of(record), encoder_of(record), passages_of(record), state_of_record(record)


def test_odd_values_are_left_out_or_can_be_used(make_run, results, runs):
    good = make_run("good")
    check(write_odd_values(runs, good.path, every=31), results, runs, good.id)


@pytest.mark.slow
def test_every_odd_value_is_left_out_or_can_be_used(make_run, results, runs):
    good = make_run("good")
    check(write_odd_values(runs, good.path), results, runs, good.id)


RECORD = {
    **{
        "id": "x",
        "name": "n",
        "kind": "distil",
        "state": "finished",
        "failure": None,
        "argv": ["a"],
        "seed": 1,
    },
    **{"tags": ["t"], "note": "", "versions": {"torch": "2", "pot": None}, "pid": 3, "process_started": 1.5},
    **{"created": "2026-01-01T00:00:00+00:00", "ended": None},
    "config": {
        **{"kind": "distil", "teacher": {"checkpoint": "e"}, "training": {"steps": 5}},
        "bitext": [{"path": "x", "language": "so"}],
        "collections": [{"name": "bitext", "languages": ["so"], "directions": ["xx-en"], "bitext": []}],
        "evaluation": {"scoring": ["maxsim"]},
    },
    "summary": {
        **{"best_step": 0, "held_out_rr": 0.5, "notes": ["n"], "passages": {"c": 5}},
        "cut": [{"texts": "queries", "cut": 3, "of": 9, "setting": "query_length", "length": 8}],
    },
}


@given(data=st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_values_are_left_out_or_can_be_used(runs, data):
    record = RECORD
    for path in data.draw(st.lists(st.sampled_from(places(RECORD)), min_size=1, max_size=3)):
        # An earlier change may have removed the place.
        with suppress(KeyError, IndexError, TypeError):
            record = changed(record, path, data.draw(JSON))
    folder = runs / "odd"
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "run.json").write_text(json.dumps(record))
    try:
        found = read_record(folder)
    except InputError as error:
        assert "\n" not in str(error)
        with pytest.raises(InputError):
            read_run(folder, {}, Hashes(runs))
    else:
        headline(found, [])
        assert len(cut_of(found)) <= 1 and isinstance(encoder_of(found) + passages_of(found), str)
        assert state_of_record(found).startswith(("running", "finished", "failed", "stopped"))
        (rows,) = read_run(folder, {}, Hashes(runs)).tables["runs"]
        assert rows["id"].to_pylist() == ["odd"] and rows["name"].to_pylist() == [found["name"]]


@given(st.binary(max_size=400))
def test_any_bytes_are_a_record_or_one_sentence(content):
    try:
        parse_record(content, Path("runs/x/run.json"))
    except InputError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("depth", [DEEPEST - 2, DEEPEST - 1])
def test_the_depth_is_bounded(depth):
    record = {"id": "x", "name": "n", "kind": "k", "state": "failed", "created": "2026-01-01T00:00:00+00:00"}
    text = json.dumps({**record, "summary": {"deep": 0}}).replace('"deep": 0', f'"deep": {nested(depth)}')
    file = Path("runs/x/run.json")
    if depth == DEEPEST - 2:  # the record and its summary are two more
        assert parse_record(text.encode(), file)["name"] == "n"
    else:
        with pytest.raises(InputError, match="more than 100 lists and objects inside one another"):
            parse_record(text.encode(), file)


def test_what_is_wrong_is_named(make_run):
    run = make_run("good", full=False)
    record = json.loads((run.path / "run.json").read_text())
    for change, sentence in (
        (
            {"created": "9999-12-31T23:59:59Z"},
            "created is '9999-12-31T23:59:59Z', not a time in ISO 8601 between",
        ),
        ({"created": "0001-01-01"}, "created is '0001-01-01', not a time"),
        ({"seed": "seven"}, "seed is 'seven', not a whole number"),
        ({"tags": ["a", 3]}, "tags.1 is 3, not text"),
        ({"config": []}, "config is not an object"),
        ({"summary": {"cut": [{"of": "x"}]}}, "summary.cut.0.of is 'x', not a whole number"),
        ({"name": None}, "name is missing"),
        ({"state": "walking"}, "state 'walking' is not one of queued, running, finished, failed, stopped"),
        ({"note": "\ud800"}, "half a character"),
    ):
        (run.path / "run.json").write_text(json.dumps({**record, **change}))
        with pytest.raises(InputError) as caught:
            read_record(run.path)
        assert str(caught.value).startswith(f"{run.path / 'run.json'}: this is not the record of a run: ")
        assert sentence in str(caught.value)


def test_settings_of_a_kind_of_another_distribution_may_have_any_type(make_run, results, runs):
    run = make_run("good", full=False)
    record = json.loads((run.path / "run.json").read_text())
    settings = {"kind": "other", "training": "fast", "bitext": "all", "collections": {"a": 1}, "teacher": [2]}
    record |= {
        "kind": "other",
        "config": {**settings, "transport": 0.5, "preset": 3, "student": None, "x": 1},
    }
    (run.path / "run.json").write_text(json.dumps(record))
    ingest(results, runs)
    (found,) = list_runs(results)
    assert read_record(run.path)["config"] == found["config"] == record["config"]
    assert known_settings(found) == {"kind": "other", "x": 1}
    assert (headline(found, []), encoder_of(found), languages_of(found, [])) == (None, "", [])
    assert run_command(["runs", "--results", str(results)]) == 0
    assert run_command(["show", run.id, "--results", str(results)]) == 0


def test_settings_of_the_known_shape_are_kept():
    assert known_settings(RECORD) == RECORD["config"] and known_settings({"config": None}) == {}
    odd = {"bitext": [{"language": 5}], "training": {"steps": "x"}, "collections": []}
    assert known_settings({"config": odd}) == {"collections": []}


def test_the_boot_is_recorded(make_run):
    record = read_record(make_run("good", full=False).path)
    kernel = Path("/proc/sys/kernel/random/boot_id")
    assert record["boot"] == kernel.read_text().strip() if kernel.exists() else record["boot"]


def test_a_folder_whose_name_is_no_text_is_left_out(make_run, results, runs):
    good = make_run("good", full=False)
    odd = os.fsencode(runs) + b"/\xff\xfe"
    os.mkdir(odd)  # noqa: PTH102
    Path(os.fsdecode(odd), "run.json").write_bytes((good.path / "run.json").read_bytes())
    report = ingest(results, runs)
    assert report.added == [good.id] and "the name of the folder is not UTF-8" in report.problems[0]
    # It can be said on a terminal.
    code = "import sys; from engine.cli.commands import run; run(['runs', '--results', sys.argv[1]])"
    done = subprocess.run([sys.executable, "-c", code, str(results)], capture_output=True, check=False)
    assert (
        good.id.encode() in done.stdout and b"is not UTF-8" in done.stderr and b"Traceback" not in done.stderr
    )


def test_a_key_of_other_form_is_named_on_one_line(make_run):
    folder = make_run("odd", full=False).path
    record = json.loads((folder / "run.json").read_text("utf-8"))
    (folder / "run.json").write_text(json.dumps({**record, "versions": {"a\n\x1b[2J": False}}), "utf-8")
    with pytest.raises(InputError) as caught:
        read_record(folder)
    assert str(caught.value).endswith("versions.a\\n\\x1b[2J is False, not text")
