"""Run configurations: presets, files, overrides, and what is said of a mistake."""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from engine.cli import toml
from engine.config import (
    DistilConfig,
    EvaluateConfig,
    LossConfig,
    Settings,
    json_schema,
    load_config,
    parse_config,
    preset_settings,
    presets,
    read_settings,
)
from engine.errors import InputError
from engine.extensions.losses import LossSettings
from engine.extensions.runs import RUN_KINDS
from engine.flatten import flatten

BITEXT: dict[str, Any] = {"path": "pairs.tsv", "language": "sw"}
COLLECTION: dict[str, Any] = {"name": "bitext", "bitext": [BITEXT]}
DISTIL: dict[str, Any] = {"kind": "distil", "bitext": [BITEXT]}
EVALUATE: dict[str, Any] = {"kind": "evaluate", "collections": [COLLECTION]}

SQUAD: dict[str, Any] = {"path": "squad.json", "format": "squad"}
#: What a preset may leave to whoever uses it, by the setting's name.
DATA: dict[str, list[dict[str, Any]]] = {
    "bitext": [BITEXT],
    "collections": [COLLECTION],
    "held_out": [COLLECTION],
    "systems": [{"run": "one"}, {"run": "two"}],
    "first_stage": {"run": "one"},
    "sources": [SQUAD, {**SQUAD, "question_language": "sw"}],
    "text": [{"path": "text.txt", "language": "sw"}],
}


def with_data(name: str) -> dict[str, Any]:
    """Return a preset's settings with all data that a run of its kind must have."""
    settings = preset_settings(name)
    required = [
        key for key, field in RUN_KINDS[settings["kind"]].settings.model_fields.items() if field.is_required()
    ]
    required += ["bitext"] if settings.get("method") == "psq" else []
    return {**{key: DATA[key] for key in required if key not in settings}, **settings}


def write(folder: Path, settings: dict[str, Any]) -> Path:
    path = folder / "run.toml"
    path.write_text(toml.dump(settings), "utf-8")
    return path


@pytest.mark.parametrize("name", sorted(presets()))
def test_every_preset_lacks_nothing_but_its_data(name: str, tmp_path: Path) -> None:
    whole = with_data(name)
    left = [key for key in whole if key not in preset_settings(name)]
    if left:
        with pytest.raises(InputError, match=f"{left[0]} is missing"):
            load_config(name)
    config = load_config(write(tmp_path, {"preset": name, **{key: whole[key] for key in left}}))
    assert config.preset == name
    assert config == parse_config(whole)


def test_presets_of_a_comparison_differ_in_their_loss_alone() -> None:
    recipes = {
        name: preset_settings(name) for name in ("optical", "pooled-mse", "contrast", "optical-contrast")
    }
    losses = [recipe.pop("loss") for recipe in recipes.values()]
    assert all(losses.count(loss) == 1 for loss in losses)
    for recipe in recipes.values():
        recipe["transport"].pop("iterations", None)  # fewer where the contrast solves many problems
    first, *others = [{**recipe, "preset": ""} for recipe in recipes.values()]
    assert all(other == first for other in others)


@pytest.mark.parametrize(
    "settings",
    [
        *(with_data(name) for name in presets()),
        {
            **EVALUATE,
            "note": 'a "quoted" \\ remark\nof two lines',
            "tags": ["ä", "b c"],
            "teacher": {"query_prefix": ""},
            "collections": [COLLECTION, {"name": "lareqa", "languages": ["ar"], "limit": 3}],
        },
    ],
)
def test_toml_reads_back_what_was_written(settings: dict[str, Any], tmp_path: Path) -> None:
    config = parse_config(settings)
    assert load_config(write(tmp_path, config.model_dump(mode="json"))) == config
    assert load_config(write(tmp_path, settings)) == config


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({**DISTIL, "trainig": {}}, "trainig is not a setting (did you mean 'training'?)"),
        (
            {**DISTIL, "teacher": {"chekpoint": "x"}},
            "teacher.chekpoint is not a setting (did you mean 'checkpoint'?)",
        ),
        (
            {**DISTIL, "student": {"query_lenght": 9}},
            "student.query_lenght is not a setting (did you mean 'query_length'?)",
        ),
        (
            {**DISTIL, "bitext": [BITEXT, {**BITEXT, "max_charcters": 9}]},
            "bitext.1.max_charcters is not a setting (did you mean 'max_characters'?)",
        ),
        (
            {**DISTIL, "loss": {"transport": 1.0, "temprature": 1.0}},
            "loss.temprature is not a setting (did you mean 'temperature'?)",
        ),
        (
            {**DISTIL, "transport": {"epsilom": 1.0}},
            "transport.epsilom is not a setting (did you mean 'epsilon'?)",
        ),
        (
            {**DISTIL, "training": {"learning_rte": 1.0}},
            "training.learning_rte is not a setting (did you mean 'learning_rate'?)",
        ),
        (
            {**DISTIL, "evaluation": {"scorng": ["dense"]}},
            "evaluation.scorng is not a setting (did you mean 'scoring'?)",
        ),
        (
            {**DISTIL, "collections": [{**COLLECTION, "lable": "x"}]},
            "collections.0.lable is not a setting (did you mean 'label'?)",
        ),
        (
            {**DISTIL, "collections": [{**COLLECTION, "bitext": [{**BITEXT, "formt": "tsv"}]}]},
            "collections.0.bitext.0.formt is not a setting (did you mean 'format'?)",
        ),
        ({**EVALUATE, "encodr": {}}, "encodr is not a setting (did you mean 'encoder'?)"),
        (
            {**EVALUATE, "encoder": {"poolng": "cls"}},
            "encoder.poolng is not a setting (did you mean 'pooling'?)",
        ),
        ({**EVALUATE, "training": {"steps": 3}}, "training is not a setting"),
    ],
)
def test_an_unknown_key_names_the_nearest(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_config(settings, "run.toml")
    assert str(caught.value).startswith(f"run.toml: {sentence}")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({**DISTIL, "training": {"steps": 0}}, r"training\.steps: input should be .* 1, not 0"),
        ({**DISTIL, "training": {"steps": "many"}}, r"training\.steps: .* integer.*, not 'many'"),
        ({**DISTIL, "training": {"anchor": 1.5}}, r"training\.anchor: .* 1, not 1\.5"),
        (
            {**DISTIL, "transport": {"solver": "sinkhron"}},
            r"transport\.solver: .*'sinkhorn'.*, not 'sinkhron'",
        ),
        ({**DISTIL, "loss": {"temperature": 0.1}}, "loss: every loss has weight 0"),
        ({**DISTIL, "loss": {"transport": -1}}, r"loss\.transport: .*, not -1"),
        ({"kind": "distil"}, "bitext is missing"),
        ({"kind": "distil", "bitext": []}, "bitext: "),
        ({"kind": "distil", "bitext": [{"path": "x"}]}, r"bitext\.0\.language is missing"),
        ({"kind": "evaluate", "collections": [{"name": "bitext"}]}, "needs at least one"),
        ({**DISTIL, "kind": "distill"}, "'distill'"),
        ({**DISTIL, "training": {"steps": 0, "clip": 0}}, r"\(and 1 more\)"),
    ],
)
def test_a_wrong_value_is_one_sentence(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        parse_config(settings, "run.toml")
    assert "\n" not in str(caught.value) and str(caught.value).startswith("run.toml: ")


def test_a_file_is_laid_over_its_preset(tmp_path: Path) -> None:
    base = preset_settings("optical-contrast")
    path = write(tmp_path, {"preset": "optical-contrast", "bitext": [BITEXT], "training": {"steps": 7}})
    config = load_config(path, ["loss.transport=0.5", "name=mine"])
    assert isinstance(config, DistilConfig)
    assert (config.training.steps, config.loss.transport, config.name) == (7, 0.5, "mine")
    assert config.training.learning_rate == base["training"]["learning_rate"]
    assert config.loss.maxsim_contrast == base["loss"]["maxsim_contrast"]
    assert config.preset == "optical-contrast"
    with pytest.raises(
        InputError, match=r"no preset 'optical-contrats' \(did you mean 'optical-contrast'\?\)"
    ):
        load_config(path, ["preset=optical-contrats"])


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("training.steps=9", ("training", "steps"), 9),
        ("training.learning_rate=1e-4", ("training", "learning_rate"), 1e-4),
        ("training.trim_vocabulary=false", ("training", "trim_vocabulary"), False),
        ("name=so and sw", ("name",), "so and sw"),
        ("name='5'", ("name",), "5"),
        ('tags=["a", "b"]', ("tags",), ["a", "b"]),
        ("student.checkpoint=other", ("student", "checkpoint"), "other"),
        ("note=", ("note",), ""),
        ("note=a=b", ("note",), "a=b"),
    ],
)
def test_overrides_are_toml_or_text(tmp_path: Path, override: str, key: tuple[str, ...], value: Any) -> None:
    config: Any = load_config(write(tmp_path, DISTIL), [override])
    for name in key:
        config = getattr(config, name)
    assert config == value


def test_items_of_lists_are_counted_as_in_errors(tmp_path: Path) -> None:
    path = write(tmp_path, DISTIL)
    config: Any = load_config(path, ["bitext.0.stop=7", "tags.0=a", "tags.1=b", "tags.0=c"])
    assert (config.bitext[0].stop, config.tags) == (7, ["c", "b"])
    count = len(config.bitext)
    more: Any = load_config(path, [f"bitext.{count}.path=b.tmx", f"bitext.{count}.language=sw"])
    assert [source.language for source in more.bitext][count:] == ["sw"]
    with pytest.raises(InputError, match=r"bitext\.0\.stop: .*not -7"):
        load_config(path, ["bitext.0.stop=-7"])
    assert flatten(more.model_dump())["bitext.0.path"] == config.bitext[0].path


def test_an_item_of_a_list_of_a_preset_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text("preset = 'balance-study'\n", "utf-8")
    whole = read_settings(path)
    for source in ("balance-study", path):
        changed = read_settings(source, ["collections.0.languages=['sw']"])["collections"]
        assert changed[0] == {**whole["collections"][0], "languages": ["sw"]}
        assert changed[1:] == whole["collections"][1:]


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("bitext.9.stop=1", "'9' is not an item of a list of"),
        ("bitext.first.stop=1", "'first' is not an item of a list of"),
        ("training.steps", "--set takes key=value"),
        ("=5", "--set takes key=value"),
        ("kind.sort=5", "'kind' holds no further keys"),
        ("training.stepps=5", "did you mean 'steps'"),
        ("training.steps=five", "not 'five'"),
    ],
)
def test_wrong_overrides(tmp_path: Path, override: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        load_config(write(tmp_path, DISTIL), [override])


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "no such file or preset"), (b"steps = = 3", "line 1"), (b"name = '\xff'", "not UTF-8")],
)
def test_a_broken_file_is_one_sentence(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "run.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=says) as caught:
        load_config(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_and_a_misspelt_preset(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="directory"):
        load_config(tmp_path)
    with pytest.raises(InputError, match="did you mean 'optical'"):
        load_config("optcal")


def test_the_kind_is_told_from_what_is_there() -> None:
    assert isinstance(parse_config({"bitext": [BITEXT]}), DistilConfig)
    assert isinstance(parse_config({"collections": [COLLECTION]}), EvaluateConfig)


def models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Yield a settings class and those inside it."""
    yield model
    for field in model.model_fields.values():
        annotations = [field.annotation]
        while annotations:
            annotation = annotations.pop()
            annotations += typing.get_args(annotation)
            if isinstance(annotation, type) and issubclass(annotation, Settings | LossSettings):
                yield from models(annotation)
            elif annotation is LossConfig:  # its schema is part of the schema around it
                yield from list(models(LossConfig))[1:]


def test_every_setting_says_what_it_is() -> None:
    for model in {found for kind in RUN_KINDS.values() for found in models(kind.settings)}:
        assert model.__doc__, model
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"


def test_the_json_schema_describes_every_field_and_refuses_others() -> None:
    schema = json.loads(json.dumps(json_schema()))
    assert len(schema["$defs"]) == len(
        {found for kind in RUN_KINDS.values() for found in models(kind.settings)}
    )
    for name, whole in schema["$defs"].items():
        part = whole.get("anyOf", [whole])[-1]  # a number stands for the settings of a loss
        assert part["additionalProperties"] is False
        assert part["description"], name
        for key, field in part["properties"].items():
            assert field.get("description"), f"{name}.{key}"


def test_an_assignment_is_checked() -> None:
    config = parse_config(DISTIL)
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        config.seed = -1


def test_a_key_of_control_characters_is_one_sentence() -> None:
    with pytest.raises(InputError, match=r"^run\.toml: \\n is not a setting$"):
        parse_config({**with_data("optical"), "\n": 1}, "run.toml")


def test_a_checkpoint_that_cannot_be_a_folder_is_one_sentence() -> None:
    name = "x" * 300
    settings = {**with_data("optical"), "teacher": {"checkpoint": name}}
    with pytest.raises(InputError, match=rf"^'{name}' cannot be a checkpoint: \w"):
        parse_config(settings, "run.toml")
