from __future__ import annotations

import json
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cli import toml
from engine.cli.commands import run as run_command
from engine.config import load_config, parse_config, presets
from engine.extensions.runs import RUN_KINDS

CONFIG = """
name = "trial"
[[bitext]]
path = "pairs.tsv"
language = "so"
[transport]
epsilon = 0.1
[[collections]]
name = "bitext"
[[collections.bitext]]
path = "pairs.tsv"
language = "so"
"""

QUESTIONS = {"path": "x.json", "format": "squad"}
DATA = {
    "bitext": [{"path": "x", "language": "so"}],
    "collections": [{"name": "lareqa"}],
    "held_out": [{"name": "tatoeba"}],
    "systems": [{"run": "one"}, {"run": "two"}],
    "first_stage": {"run": "one"},
    "sources": [QUESTIONS, {**QUESTIONS, "question_language": "so"}],
    "text": [{"path": "x", "language": "so"}],
}


def teacher(tiny):
    """A line that names the tiny checkpoint, which opens in no time."""
    return f'teacher = {{checkpoint = "{tiny.checkpoint}", query_length = 24, passage_length = 24}}\n'


@pytest.fixture
def file(tmp_path, monkeypatch, tiny):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs.tsv").write_text("biyo nadiif ah\tclean water\nbiyo\twater\n")
    file = tmp_path / "trial.toml"
    file.write_text(teacher(tiny) + CONFIG + "[training]\nbatch_size = 2\n")
    return file


def test_what_is_shown_is_what_runs(call, file, tmp_path):
    code, out, err = call("config", "show", str(file), "--set", "training.steps=5")
    assert (code, err) == (0, "")
    shown = tomllib.loads(out)
    assert shown["training"]["steps"] == 5 and shown["transport"]["epsilon"] == 0.1
    assert shown["training"]["learning_rate"] == 2e-5 and "# stop is not set" in out
    again = tmp_path / "again.toml"
    again.write_text(out)
    assert load_config(again) == load_config(file, ["training.steps=5"])
    told = json.loads(call("config", "show", str(file), "--json").out)
    assert told == load_config(file).model_dump(mode="json")


def test_presets(call):
    listed = json.loads(call("config", "presets", "--json").out)
    assert [entry["name"] for entry in listed] == list(presets()) and listed
    for entry in listed:
        assert entry.keys() == {"name", "kind", "preset", "about", "file"} and entry["about"]
        code, out, err = call("config", "show", entry["name"])
        assert (code, err) == (0, "")
        settings = tomllib.loads(out)
        # A recipe lacks nothing but its data.
        fields = RUN_KINDS[entry["kind"]].settings.model_fields
        lacking = [key for key, field in fields.items() if field.is_required() and key not in settings]
        assert (entry["preset"] == "recipe") == bool(lacking)
        lacking += ["bitext"] if settings.get("method") == "psq" else []
        settings |= {key: DATA[key] for key in lacking}
        assert parse_config(settings).kind == entry["kind"]
        assert entry["name"] in call("config", "presets").out


def test_the_schema_describes_every_setting(call):
    schema = json.loads(call("config", "schema").out)
    kinds = schema["discriminator"]["mapping"]
    assert kinds.keys() == RUN_KINDS.keys() >= {"distil", "evaluate"}
    for name, definition in schema["$defs"].items():
        for option in definition.get("anyOf", [definition]):
            for key, setting in option.get("properties", {}).items():
                assert setting.get("description"), f"{name}.{key}"
    assert schema["$defs"]["TransportConfig"]["properties"]["epsilon"]["default"] == 0.05
    assert schema["$defs"]["TransportConfig"]["additionalProperties"] is False


def test_a_valid_file(call, file):
    code, out, err = call("config", "check", str(file))
    assert (code, err) == (0, "") and "valid" in out
    told = json.loads(call("config", "check", str(file), "--json").out)
    assert told["problems"] == [] and (told["name"], told["kind"]) == ("trial", "distil")
    (collection,) = told["collections"]
    assert (collection["queries"], collection["documents"], collection["languages"]) == (2, 2, 1)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("[trainin]\nsteps = 5", "'training'"),
        ("[training]\nsteps = 0", "training.steps"),
        ("[training", "trial.toml"),
        ('preset = "optcal"', "no preset"),
    ],
)
def test_settings_that_are_wrong(call, file, line, words):
    file.write_text(line + "\n" + CONFIG if line.startswith("preset") else CONFIG + line)
    for command in ("check", "show"):
        code, out, err = call("config", command, str(file))
        assert (code, out) == (2, "") and words in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('[teacher]\ncheckpoint = "nobody/nothing-of-this-name"', "teacher.checkpoint: 'nobody/nothing-of"),
        (
            '[teacher]\ncheckpoint = "{tiny}"\nquery_length = 5000',
            "query_length = 5000 is more than the checkpoint's 64 positions",
        ),
        ("[training]\nbatch_size = 2\nfrozen_layers = 3", "training.frozen_layers: "),
        (
            "[training]\nbatch_size = 3",
            "training.batch_size: 3 is more than the 2 sentence pairs of the data",
        ),
        ("[evaluation]\ndepth = 3", "collections.0: measure 'nDCG@10' needs more ranks than depth = 3"),
    ],
)
def test_what_would_fail_once_the_run_has_started_is_found_before(call, file, tmp_path, tiny, lines, words):
    documents = "".join(f"d{n}\twater {n}\n" for n in range(12))
    (tmp_path / "folder").mkdir()
    for name, content in (
        ("documents.en.tsv", documents),
        ("topics.so.tsv", "q\tbiyo\n"),
        ("qrels", "q 0 d1 1\n"),
    ):
        (tmp_path / "folder" / name).write_text(content.replace("\\\t", "\t").replace("\\\n", "\n"))
    text = CONFIG.partition("[[collections]]")[0]
    if "[training]" not in lines:
        text = "training.batch_size = 2\n" + text
    if "[teacher]" not in lines:
        text = teacher(tiny) + text
    lines = lines.replace("{tiny}", str(tiny.checkpoint))
    keep = lines.partition("]")[0] + "]"
    assert keep not in text
    file.write_text(text + lines + '\n[[collections]]\nname = "folder"\npath = "folder"\n')
    code, out, err = call("config", "check", str(file))
    assert (code, out) == (2, "") and words in err and err.count("\n") == 1
    code, out, err = call("run", str(file), "--detach")
    assert (code, out) == (2, "") and words in err and err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_runs_that_are_fused_or_re_ranked_are_looked_for(file, tmp_path, make_run, zero, capsys):
    first = make_run("first", zero, zero_shot=True)
    make_run("second", zero, state="failed")
    fused = 'kind = "fuse"\n[[systems]]\nrun = "first"\n[[systems]]\nrun = "%s"\n'
    ranked = 'kind = "cross-encoder"\n[first_stage]\nrun = "frist"\n'
    for text, words in (
        (fused % "absent", "systems.1: there is no run 'absent'"),
        (fused % "second", "is failed, not finished"),
        (ranked, "first_stage: there is no run 'frist' (did you mean 'first'?)"),
    ):
        file.write_text(text)
        assert run_command(["config", "check", str(file), "--results", str(tmp_path / "results.duckdb")]) == 2
        assert words in capsys.readouterr().err
        assert run_command(["run", str(file), "--detach", "--results", str(tmp_path / "results.duckdb")]) == 2
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {first.id, *_others(tmp_path, first.id)}


def _others(folder, identity):
    """Return the ids of the runs that the test made, besides `identity`; none was started."""
    found = [path.name for path in (folder / "runs").iterdir() if path.name != identity]
    assert len(found) == 1
    return found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            'kind = "pretrain"\nmodel.checkpoint = "{tiny}"\npretraining.length = 600\n'
            '[[text]]\npath = "pairs.tsv"\nlanguage = "en"\n',
            "model.checkpoint: pretraining.length = 600 is more than the checkpoint's 64 positions",
        ),
        (
            'kind = "cross-encoder"\nfirst_stage.run = "x"\ntraining.frozen_layers = 13\n'
            'training.batch_size = 2\n[[bitext]]\npath = "pairs.tsv"\nlanguage = "so"\n',
            "training.frozen_layers: training.frozen_layers = 13, but the encoder has 12 layers",
        ),
        (
            'kind = "evaluate"\n[[bitext]]\npath = "absent.tsv"\nlanguage = "so"\n[[collections]]\n'
            'name = "bitext"\n[[collections.bitext]]\npath = "pairs.tsv"\nlanguage = "so"\n',
            "bitext.0: absent.tsv",
        ),
        (
            'kind = "teacher"\n[[sources]]\npath = "q.tsv"\nformat = "text-triples"\n',
            "training.batch_size: 32 is more than the 1 question of the data",
        ),
    ],
)
def test_each_kind_of_run_is_checked(call, file, tmp_path, tiny, text, words):
    (tmp_path / "q.tsv").write_text("what is water\twater is wet\tfire is hot\n")
    file.write_text(text.replace("{tiny}", str(tiny.checkpoint)))
    code, _, err = call("config", "check", str(file))
    assert code == 2 and words in err and "Traceback" not in err


def test_things_that_are_not_available_are_all_named(call, file):
    file.write_text(
        'kind = "distil"\n[teacher]\ncheckpoint = "./nowhere"\n[[bitext]]\npath = "nothing.tsv"\n'
        'language = "so"\n[[bitext]]\npath = "pairs.tsv"\nlanguage = "smoali"\n[[collections]]\n'
        'name = "tatoeba"\npath = "nofolder"\n'
    )
    code, out, err = call("config", "check", str(file))
    assert (code, out) == (2, "") and err.count("\n") == 4 and "Traceback" not in err
    for words in (
        "teacher.checkpoint: ",
        "bitext.0: nothing.tsv",
        "bitext.1: unknown language",
        "collections.0: ",
    ):
        assert words in err
    code, out, err = call("config", "check", str(file), "--json")
    assert code == 2 and len(json.loads(out)["problems"]) == 4
    code, _, err = call("config", "check", "no-such-file.toml")
    assert code == 2 and "no such file or preset" in err


text = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | text
values = st.recursive(
    scalars | st.none(),
    lambda inner: st.lists(scalars) | st.dictionaries(text, inner) | st.lists(st.dictionaries(text, inner)),
    max_leaves=20,
)


def without_none(value):
    if isinstance(value, dict):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    return [without_none(item) for item in value] if isinstance(value, list) else value


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(text, values))
def test_toml_reads_back(written):
    assert tomllib.loads(toml.dump(written)) == without_none(written)
