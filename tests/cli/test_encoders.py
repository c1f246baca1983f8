from __future__ import annotations

import json

import pytest

from engine.config import EncoderConfig, parse_config
from engine.encoders.checkpoints import resolve
from engine.results.run_folder import RunFolder
from engine.runs.execute import execute


@pytest.fixture
def student(make_run):
    run = make_run("learned")
    folder = run.checkpoints / "student"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "bert", "num_hidden_layers": 2, "hidden_size": 8}')
    (folder / "optical.json").write_text('{"centring": true}')
    (folder / "model.safetensors").write_bytes(bytes(100))
    make_run("without")
    return run


def test_a_list(call, student):
    code, out, err = call("encoders", "list", "--json")
    assert (code, err) == (0, "")
    listed = {entry["name"]: entry for entry in json.loads(out)}
    at_hand = {name for name, entry in listed.items() if entry["kind"] != "published"}
    assert at_hand == {"multilingual-e5-small", "all-MiniLM-L6-v2", student.id}
    own = listed[student.id]
    assert own["kind"] == "student" and own["languages"] == "so sw" and own["run_name"] == "learned"
    assert "multilingual-e5-small" in own["origin"]
    packaged = listed["all-MiniLM-L6-v2"]
    assert packaged["installed"] and packaged["ready"] and packaged["licence"] == "Apache-2.0"
    # The cache of the tests is empty or holds the conversion of another test.
    lines = {line.split(" ")[0]: line for line in call("encoders", "list").out.splitlines()}
    e5 = listed["multilingual-e5-small"]
    assert ("on first use" in lines["multilingual-e5-small"]) == (not e5["ready"])


def test_a_list_needs_no_database(call):
    assert "multilingual-e5-small" in call("encoders", "list").out


def test_one_encoder(call, student, tmp_path, monkeypatch):
    for name in ("learned", student.id, str(student.checkpoints / "student")):
        told = json.loads(call("encoders", "show", name, "--json").out)
        assert told["model"]["hidden_size"] == 8 and told["settings"] == {"centring": True}
        assert told["size"] == sum(f.stat().st_size for f in (student.checkpoints / "student").iterdir())
    lines = [" ".join(line.split()) for line in call("encoders", "show", "all-MiniLM-L6-v2").out.splitlines()]
    assert {"layers 6", "width 384", "word pieces 30522", "ready yes"} <= set(lines)
    monkeypatch.setenv("OPTICAL_CACHE", str(tmp_path / "empty"))
    told = json.loads(call("encoders", "show", "multilingual-e5-small", "--json").out)
    assert told["folder"] is None and told["ready"] is False and not (tmp_path / "empty").exists()
    assert "on first use" in call("encoders", "show", "multilingual-e5-small").out


def test_what_is_not_there(call, student):
    code, out, err = call("encoders", "show", "multilingual-e5-smal")
    assert (code, out) == (2, "") and "did you mean 'multilingual-e5-small'" in err
    assert call("encoders", "show", "without").code == 2
    (student.checkpoints / "student" / "optical.json").write_text("{")
    code, _, err = call("encoders", "show", "learned")
    assert code == 2 and "optical.json" in err and err.count("\n") == 1


@pytest.mark.parametrize(
    "content",
    ['{"structure": [1]}', '{"structure": {"query": 5}}', '{"structure": {"query": [[]]}}', "{}", "[]"],
)
def test_a_broken_folder_of_two_encoders_is_one_sentence(call, tmp_path, content):
    (tmp_path / "router_config.json").write_text(content)
    code, out, err = call("encoders", "show", str(tmp_path))
    assert (code, out) == (2, "") and "router_config.json" in err and err.count("\n") == 1


def test_published_encoders_say_how_languages_were_balanced(call):
    listed = {entry["name"]: entry for entry in json.loads(call("encoders", "list", "--json").out)}
    xlmr = listed["FacebookAI/xlm-roberta-base"]
    assert (xlmr["kind"], xlmr["sampling"], xlmr["languages"]) == ("published", "α = 0.3", "100")
    for entry in listed.values():
        if entry["kind"] == "published":  # each is what a configuration takes, and says where it is told
            EncoderConfig(checkpoint=entry["name"])
            assert resolve(entry["name"]) == entry["name"] and entry["source"] and entry["languages"]
    assert "UniMax" in call("encoders", "list").out
    lines = [" ".join(line.split()) for line in call("encoders", "show", "google/umt5-base").out.splitlines()]
    assert "sampling UniMax" in lines and any("downloaded from the hub" in line for line in lines)


@pytest.mark.parametrize(
    ("settings", "folder", "listed_as"),
    [
        ({"kind": "pretrain", "text": [{"path": "x.txt", "language": "so"}]}, "encoder", "pretrained"),
        ({"kind": "teacher", "sources": [{"path": "x.json", "format": "squad"}]}, "teacher", "teacher"),
    ],
)
def test_what_a_run_trained_is_listed(call, results, settings, folder, listed_as):
    run = RunFolder.create(results.parent / "runs", parse_config({"name": "learned", **settings}), ["x"])
    run.finish("finished")
    trained = run.checkpoints / folder
    trained.mkdir(parents=True)
    (trained / "config.json").write_text('{"model_type": "bert", "num_hidden_layers": 4}')
    (trained / "model.safetensors").write_bytes(bytes(10))
    listed = {entry["name"]: entry for entry in json.loads(call("encoders", "list", "--json").out)}
    assert listed[run.id]["kind"] == listed_as and listed[run.id]["folder"] == str(trained)
    assert json.loads(call("encoders", "show", "learned", "--json").out)["model"]["num_hidden_layers"] == 4


def test_the_settings_of_an_own_folder_are_shown_once(call, student):
    folder = student.checkpoints / "student"
    (folder / "optical.json").write_text(json.dumps({"centring": True, "query_length": 96}))
    shown = call("encoders", "show", str(folder)).out.splitlines()
    rows = [line.split()[0] for line in shown if line.strip()]
    assert rows.count("query_length") == 1
    assert len(set(rows)) == len(rows)


def test_the_encoders_of_a_run_are_exported_with_a_card(call, results, tiny, tmp_path):
    settings = tiny.settings("sw", tags=["=x|y"])
    run, _ = execute(
        parse_config(settings), results.parent / "runs", ["optical-workbench", "run", str(tmp_path)]
    )
    folder = tmp_path / "exported"
    code, out, err = call("encoders", "export", run.id, str(folder), "--for", "sentence-transformers")
    assert (code, out, err) == (0, f"{folder}\n", "")
    modules = json.loads((folder / "modules.json").read_text())
    assert [module["type"].rsplit(".", 1)[-1] for module in modules] == ["Router"]
    card = (folder / "README.md").read_text("utf-8")
    assert card.startswith("---\nlanguage:\n- sw\nlibrary_name: sentence-transformers\n")
    assert "MultiVectorEncoder" in card and '"maxsim_contrast": 1.0' in card and "| sw | 25 | " in card
    assert "training.sw.tsv" in card and str(tiny.checkpoint.parent) not in card and str(tmp_path) not in card
    code, out, err = call("encoders", "show", str(folder))
    assert code == 0 and str(folder / "query_0_Transformer") in out
    code, out, err = call("encoders", "show", str(folder / "query_0_Transformer"))
    assert code == 0 and "centring" in out
    code, out, err = call("encoders", "export", run.id, str(folder), "--for", "sentence-transformers")
    assert code == 2 and "the folder exists" in err and err.count("\n") == 1
    code, out, err = call("encoders", "export", run.id, str(tmp_path / "other"), "--for", "pylate")
    assert code == 2 and "PyLate has no module for centring" in err and not (tmp_path / "other").exists()
    plain, dense = tmp_path / "plain", tmp_path / "dense"
    code, out, _ = call("encoders", "export", run.id, str(plain), "--for", "transformers")
    assert code == 0 and out.split() == [str(plain / "query"), str(plain / "document")]
    asked = ("encoders", "export", run.id, str(dense), "--scoring", "dense", "--for")
    code, out, err = call(*asked, "transformers")
    assert code == 2 and "computes token vectors" in err
    code, out, _ = call(*asked, "sentence-transformers")
    assert code == 0 and json.loads((dense / "query_1_Pooling" / "config.json").read_text())
