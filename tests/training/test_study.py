"""A study end to end on planted text: its runs, stopping, failing and resuming."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from engine.config import StudyConfig, parse_config
from engine.config.study import STUDY, planned
from engine.errors import InputError, OpticalError
from engine.evaluation.study import compute_study
from engine.evaluation.study_report import markdown
from engine.jobs.resume import check_unchanged, reopen
from engine.pictures.study_plots import save_plots
from engine.reporting import Reporter
from engine.results.ingest import ingest
from engine.results.run_folder import RunFolder, read_record
from engine.runs import execute as training

LANGUAGES = ("sw", "mr")


@pytest.fixture
def settings(tiny: Any) -> dict[str, Any]:
    """Settings of a study of two arms with one seed, whose stages take a few steps each."""
    teacher = tiny.encoder(centring=False)
    loop = {"batch_size": 8, "precision": "fp32", "held_out": 8, "evaluate_every": 3, "threads": 1}
    english = {"path": str(tiny.training["sw"]), "language": "sw"}
    pairs = [{"path": str(tiny.training[code]), "language": code} for code in LANGUAGES]
    test = [{"path": str(tiny.test[code]), "language": code} for code in LANGUAGES]
    recipe = {"teacher": teacher, "loss": {"maxsim_contrast": 1.0}}
    return {
        "kind": "study",
        "name": "tiny",
        "seeds": [4],
        "arms": [
            {"name": "as-it-comes", "sampling": {"alpha": 1.0}},
            {"name": "alike", "sampling": {"alpha": 0.0}},
        ],
        "primary": ["alike", "as-it-comes"],
        "pretrain": {
            "text": [{**english, "side": "target"}, *pairs],
            "tokenizer": {"vocabulary": 120},
            "model": {"layers": 1, "width": 16, "heads": 2},
            "pretraining": {"steps": 3, "batch_size": 4, "length": 24, "held_out": 4, "threads": 1},
        },
        "transfer": {
            **recipe,
            "student": {"query_length": 24, "passage_length": 24, "centring": False,
                        "projection": "linear", "projection_dim": 32},
            "bitext": [{**english, "monolingual": True}],
            "training": {**loop, "steps": 3, "learning_rate": 1e-3},
        },
        "distil": {**recipe, "bitext": pairs, "training": {**loop, "steps": 3, "alignment": "trust"}},
        "collections": [{"name": "bitext", "label": "ciphers", "bitext": test}],
    }  # fmt: skip


class StopAt(Reporter):
    """A user who stops the study when a stage of some name begins its work."""

    def __init__(self, label: str) -> None:
        self.label, self.begun = label, False

    def say(self, sentence: str) -> None:
        self.begun |= self.label in sentence

    def stage(self, name: str, total: int) -> None:
        if self.begun:
            raise KeyboardInterrupt


def started(runs: Path) -> dict[str, str]:
    """Return when each finished run was started."""
    records = [read_record(path) for path in runs.iterdir()]
    return {record["id"]: record["started"] for record in records if record["state"] == "finished"}


@pytest.mark.slow
def test_a_study_that_is_stopped_goes_on_where_it_was(settings: dict[str, Any], tmp_path: Path) -> None:
    config, runs = parse_config(settings), tmp_path / "runs"
    assert isinstance(config, StudyConfig)
    with pytest.raises(KeyboardInterrupt):
        training.execute(config, runs, ["test"], run_id="study", reporter=StopAt("alike, seed 4, transfer"))
    assert read_record(runs / "study")["state"] == "stopped"
    assert read_record(runs / "study.alike.s4.transfer")["state"] == "stopped"
    assert not (runs / "study.alike.s4.distil").exists()
    before = started(runs)
    assert set(before) == {f"study.as-it-comes.s4.{s}" for s in ("pretrain", "transfer", "distil")} | {
        "study.alike.s4.pretrain"
    }

    training.resume(reopen(runs / "study", ["test"]))

    after = started(runs)
    assert {run: after[run] for run in before} == before  # what was finished was not done again
    assert set(after) == {"study", *(stage.run_id("study") for stage in planned(config))}
    records = {path.name: read_record(path) for path in runs.iterdir()}
    assert records["study"]["summary"]["runs"] == [stage.run_id("study") for stage in planned(config)]
    assert records["study"]["summary"]["stages"] == "6 of 6"
    # each stage begins with what the one before it left, and all have one tokenizer
    for arm in ("as-it-comes", "alike"):
        for stage, earlier in (
            ("transfer", "pretrain/checkpoints/encoder"),
            ("distil", "transfer/checkpoints/student"),
        ):
            student = records[f"study.{arm}.s4.{stage}"]["config"]["student"]
            assert student["checkpoint"].endswith(f"study.{arm}.s4.{earlier}")
            assert student["projection"] == "linear"
    tokenizers = {
        (runs / f"study.{arm}.s4.pretrain/checkpoints/encoder/tokenizer.json").read_bytes()
        for arm in ("as-it-comes", "alike")
    }
    assert len(tokenizers) == 1
    # the arms differ in sampling and, but for the first, in whose tokenizer they take: in nothing else
    one, other = (records[f"study.{arm}.s4.pretrain"]["config"] for arm in ("as-it-comes", "alike"))
    assert {key for key in one if one[key] != other[key]} == {"name", "tags", "sampling", "tokenizer"}
    # both kinds of scores are stored: before distillation and after it
    for stage in ("transfer", "distil"):
        assert (runs / f"study.alike.s4.{stage}" / "scores.parquet").is_file()


@pytest.mark.slow
def test_a_stage_that_fails_stops_the_study_and_can_be_tried_again(
    settings: dict[str, Any], tmp_path: Path, tiny: Any
) -> None:
    config, runs = parse_config(settings), tmp_path / "runs"
    copy = tmp_path / "pairs.tsv"
    copy.write_bytes(tiny.training["sw"].read_bytes())
    config.distil.bitext[0].path = str(copy)

    class Careless(Reporter):
        def say(self, sentence: str) -> None:
            if "distil" in sentence and copy.exists():
                copy.unlink()

    with pytest.raises(OpticalError, match=r"stage 3 of 6: as-it-comes, seed 4, distil failed: .*pairs\.tsv"):
        training.execute(config, runs, ["test"], run_id="study", reporter=Careless())
    assert read_record(runs / "study")["state"] == "failed"
    assert len(started(runs)) == 2
    copy.write_bytes(tiny.training["sw"].read_bytes())
    training.resume(reopen(runs / "study", ["test"]))
    assert len(started(runs)) == 7


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    """Return the word embeddings and the first layer's weights in a checkpoint."""
    found = load_file(folder / "model.safetensors")
    return {name.removeprefix("bert."): found[name] for name in found if "pooler" not in name}


@pytest.mark.slow
def test_an_arm_without_pretraining_has_the_same_architecture_and_tokenizer(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    settings["arms"].insert(0, {"name": "none", "random_weights": True})
    settings["primary"], settings["seeds"] = ["as-it-comes", "none"], [4, 5]
    config, runs = parse_config(settings), tmp_path / "runs"
    assert isinstance(config, StudyConfig)
    training.execute(config, runs, ["test"], run_id="study")
    assert not (runs / "study.none.s4.pretrain").exists()
    assert (runs / "study.none.s5.distil" / "scores.parquet").is_file()
    random = {seed: runs / f"study/checkpoints/none.s{seed}" for seed in (4, 5)}
    pretrained = runs / "study.as-it-comes.s4.pretrain/checkpoints/encoder"
    assert (random[5] / "tokenizer.json").read_bytes() == (pretrained / "tokenizer.json").read_bytes()
    one, other, trained = weights_of(random[4]), weights_of(random[5]), weights_of(pretrained)
    shared = one.keys() & trained.keys()
    assert "embeddings.word_embeddings.weight" in shared
    assert all(one[name].shape == trained[name].shape for name in shared)
    for with_it in (other, trained):
        assert not torch.equal(
            one["embeddings.word_embeddings.weight"], with_it["embeddings.word_embeddings.weight"]
        )
    ingest(tmp_path / "results.duckdb", runs)
    found = compute_study(tmp_path / "results.duckdb", "study", resamples=99)
    assert list(found.arms) == ["none", "as-it-comes", "alike"] and found.seeds == [4, 5]
    assert set(found.curves["pretrain"]) == {"as-it-comes", "alike"}
    assert found.facts.runs == 16 and found.facts.block == 4 * 24
    assert found.primary is not None and found.primary.difference.p is not None
    assert (found.primary.arm, found.primary.baseline) == ("as-it-comes", "none")


#: Published checkpoints are of these classes.
CLASSES = {
    "mbert": ("BertConfig", "BertModel", {"max_position_embeddings": 64}),
    "xlmr": ("XLMRobertaConfig", "XLMRobertaModel", {"max_position_embeddings": 66, "pad_token_id": 1}),
    "mmbert": (
        "ModernBertConfig",
        "ModernBertModel",
        {"max_position_embeddings": 64, "global_attn_every_n_layers": 1, "pad_token_id": 1},
    ),
}


@pytest.mark.slow
def test_published_checkpoints_are_compared_without_a_pretraining(
    settings: dict[str, Any], tmp_path: Path, tiny: Any
) -> None:
    import transformers as hf

    tokenizer = hf.AutoTokenizer.from_pretrained(tiny.checkpoint)
    size = {"vocab_size": len(tokenizer), "hidden_size": 16, "num_hidden_layers": 2}
    size |= {"num_attention_heads": 2, "intermediate_size": 32}
    for name, (config_class, model_class, own) in CLASSES.items():
        torch.manual_seed(len(name))
        model = getattr(hf, model_class)(getattr(hf, config_class)(**size | own))
        model.save_pretrained(tmp_path / name, safe_serialization=True)
        tokenizer.save_pretrained(tmp_path / name)
    del settings["pretrain"]
    settings["arms"] = [{"name": name, "checkpoint": str(tmp_path / name)} for name in CLASSES]
    settings["arms"].append({"name": "none", "checkpoint": str(tmp_path / "mmbert"), "random_weights": True})
    settings["primary"] = ["mbert", "xlmr"]
    config, runs = parse_config(settings), tmp_path / "runs"
    assert isinstance(config, StudyConfig)
    assert [read.key for read in STUDY.inputs(config)][:2] == ["arms.0.checkpoint", "arms.1.checkpoint"]
    training.execute(config, runs, ["test"], run_id="study")
    records = {name: read_record(runs / f"study.{name}.s4.transfer")["config"] for name in (*CLASSES, "none")}
    # everything but the encoder is equal
    first = records["mbert"]
    for name, record in records.items():
        assert {key for key in first if first[key] != record[key]} <= {"name", "tags", "student"}
        student = record["student"]
        assert student == first["student"] | {"checkpoint": student["checkpoint"]}
        assert student["checkpoint"].endswith(f"/{name}" if name != "none" else "/checkpoints/none.s4")
    ingest(tmp_path / "results.duckdb", runs)
    found = compute_study(tmp_path / "results.duckdb", "study", resamples=99)
    assert found.arms["none"] == {"checkpoint": str(tmp_path / "mmbert"), "random_weights": True}
    assert found.sizes == {} and set(found.curves) == {"distil"} and found.facts.layers is None
    said = markdown(found)
    assert "Primary comparison (mbert minus xlmr" in said and "one seed each" in said
    assert "Published checkpoints differ in more than the balance" in said
    assert "pre-trained encoders have" not in said
    (tmp_path / "plots").mkdir()
    save_plots(found, tmp_path / "plots")


def test_a_published_checkpoint_that_is_missing_is_found_before_anything_trains(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    settings["arms"].append({"name": "absent", "checkpoint": str(tmp_path / "absent")})
    with pytest.raises(InputError, match=r"arms\.2\.checkpoint: .*absent"):
        training.execute(parse_config(settings), tmp_path / "runs", ["test"], run_id="study")
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["study"]


def test_missing_sources_are_found_before_anything_trains(settings: dict[str, Any], tmp_path: Path) -> None:
    settings["distil"]["bitext"][1]["path"] = "nowhere.tsv"
    with pytest.raises(InputError, match=r"distil\.bitext\.1.*nowhere\.tsv"):
        training.execute(parse_config(settings), tmp_path / "runs", ["test"], run_id="study")
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["study"]


def test_a_study_resumes_only_as_it_was_configured(settings: dict[str, Any], tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "runs", parse_config(settings), ["test"])
    settings = json.loads(json.dumps(settings))
    settings["arms"][1]["sampling"]["alpha"] = 0.25
    with pytest.raises(InputError, match=r"arms\.1\.sampling\.alpha is 0\.25 here and 0\.0 in run"):
        check_unchanged(run, parse_config(settings), "study.toml")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"seeds": [1, 1]}, "seeds holds a seed twice"),
        ({"seed": 3}, "the seeds of a study are `seeds`"),
        ({"collections": []}, "collections is missing"),
        ({"arms": [{"name": "a", "sampling": {}}, {"name": "a", "sampling": {}}]}, "a name twice"),
        ({"arms": [{"name": "a", "sampling": {"alpha": 2.0}}, {"name": "b", "sampling": {}}]},
         r"arms\.0\.sampling\.alpha: input should be less than or equal to 1"),
        ({"transfer.student.checkpoint": "elsewhere"}, "transfer.student.checkpoint is the encoder of"),
        ({"primary": ["alike", "as-it-come"]}, r"primary names 'as-it-come', which is no arm .did you mean"),
        ({"primary": ["alike", "alike"]}, "primary names the same arm twice"),
        ({"arms.1": {"name": "alike"}}, r"arms\.1: give the arm sampling, checkpoint or random_weights"),
        ({"arms.1": {"name": "alike", "sampling": {}, "checkpoint": "x"}}, "sampling is for a pre-trained"),
        ({"pretrain": None}, "pretrain is missing; the arms with sampling are pre-trained"),
        ({"arms": [{"name": "as-it-comes", "checkpoint": "x"}, {"name": "alike", "checkpoint": "y"}]},
         "pretrain is set and no arm has sampling"),
        ({"arms": [{"name": "as-it-comes", "checkpoint": "x"}, {"name": "alike", "random_weights": True}],
          "pretrain": None}, r"arms\.1\.checkpoint is missing; no arm is pre-trained"),
        ({"transfer.student.passage_length": 100}, r"passage_length = 100 is more than the 24 tokens"),
        ({"transfer.student": None}, "transfer.student is missing"),
        ({"distil.student": {}}, "distil.student is the student of transfer"),
        ({"distil.teacher.pooling": "cls"}, "give both the same teacher"),
        ({"distil.seed": 5}, "distil.seed is set by the study"),
        ({"pretrain.preset": "pretrain"}, "pretrain.preset: the stages of a study cannot use a preset"),
        ({"distil.training.stepz": 5}, "distil.training.stepz is not a setting .did you mean 'steps'"),
    ],
)  # fmt: skip
def test_impossible_studies_are_refused(
    settings: dict[str, Any], changes: dict[str, Any], sentence: str
) -> None:
    settings = json.loads(json.dumps(settings))
    for key, value in changes.items():
        *parents, last = key.split(".")
        place = settings
        for parent in parents:
            place = place[parent]
        if isinstance(place, list):
            place[int(last)] = value
        else:
            place[last] = value
    with pytest.raises(InputError, match=sentence):
        parse_config(settings)
