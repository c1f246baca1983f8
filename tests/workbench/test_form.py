"""The launch form and the rows of its settings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel

from engine.cli.toml import dump
from engine.config import (
    BitextConfig,
    CollectionConfig,
    DistilConfig,
    EvaluateConfig,
    EvaluationConfig,
    load_config,
    presets,
)
from engine.errors import InputError
from engine.registry import OneOf, Registry
from workbench.data.fields import field_choices, list_choices, parse_value
from workbench.launch.form import Form


@dataclass(frozen=True)
class Fruit:
    name: str


FRUITS = Registry("fruit", Fruit, "tests_have_no_such_package", "optical_workbench.tests")
FRUITS._built_in = lambda: iter((Fruit("apple"), Fruit("pear")))  # type: ignore[method-assign]


class Settings(BaseModel):
    plain: Annotated[str, OneOf(FRUITS)] = "apple"
    extended: Annotated[str, OneOf(FRUITS, besides=("auto",))] = "auto"
    optional: Annotated[str, OneOf(FRUITS)] | None = None
    several: list[Annotated[str, OneOf(FRUITS)]] = []
    literal: Literal["a", "b"] = "a"
    directions: list[Literal["there", "back"]] = []
    switch: bool = False
    text: str = ""
    words: list[str] = []


def test_choices_come_from_registries_literals_and_switches() -> None:
    fields = Settings.model_fields
    assert {name: field_choices(info) for name, info in fields.items()} == {
        "plain": ("apple", "pear"),
        "extended": ("auto", "apple", "pear"),
        "optional": (None, "apple", "pear"),
        "several": (),
        "literal": ("a", "b"),
        "directions": (),
        "switch": (False, True),
        "text": (),
        "words": (),
    }
    allowed = {name: list_choices(info) for name, info in fields.items() if list_choices(info)}
    assert allowed == {"several": ("apple", "pear"), "directions": ("there", "back")}


def test_an_entry_that_is_registered_later_is_a_choice() -> None:
    FRUITS.register(Fruit("quince"))
    try:
        assert field_choices(Settings.model_fields["plain"]) == ("apple", "pear", "quince")
    finally:
        FRUITS.unregister("quince")
    assert field_choices(Settings.model_fields["plain"]) == ("apple", "pear")


def test_typed_text_becomes_a_value_of_the_settings_type() -> None:
    assert parse_value("", ("optional",), Settings) is None
    assert parse_value(" pear ", ("optional",), Settings) == "pear"
    assert parse_value("apple, pear", ("several",), Settings) == ["apple", "pear"]


def test_form_writes_the_configuration_that_the_command_line_reads(tmp_path: Path) -> None:
    form = Form.from_preset()
    assert form.errors[("bitext", 0, "path")] == "field required"
    form.set_value(("bitext", 0, "path"), 'a "b"\\c.tmx')
    form.set_value(("bitext", 0, "language"), "so")
    second = form.add_item(("bitext", 0, "language"))
    assert second == ("bitext", 1)
    form.set_value(("bitext", 1, "language"), "sw")
    form.set_value(("training", "steps"), 7)
    form.set_value(("loss", "pooled_mse"), 0.5)
    form.set_value(("name",), "erste Übung")
    path = tmp_path / "x.toml"
    form.save(path)
    read = load_config(path)
    assert isinstance(read, DistilConfig)
    assert read.name == "erste Übung" and read.training.steps == 7
    assert [source.language for source in read.bitext] == ["so", "sw"]
    # Setting one weight keeps the other weights of the group's default.
    assert (read.loss.transport, read.loss.pooled_mse) == (1.0, 0.5)


@pytest.mark.parametrize("name", sorted(presets()))
def test_the_form_does_not_change_a_preset(name: str, tmp_path: Path) -> None:
    source = {"path": "x.tmx", "language": "so"}
    form = Form.from_preset(name)
    if not form.preset_settings.get("bitext") and form.kind == "distil":
        form.set_value(("bitext",), [source])
    by_hand = tmp_path / "by-hand.toml"
    given = "" if form.preset_settings.get("bitext") or form.kind != "distil" else dump({"bitext": [source]})
    by_hand.write_text(f'preset = "{name}"\n{given}', "utf-8")
    if form.validate() is None:  # other kinds need data too; form and file are refused for the same setting
        with pytest.raises(InputError) as refused:
            load_config(by_hand)
        with pytest.raises(InputError) as refusal:
            form.save(tmp_path / "made.toml")
        assert re.split(r"[.:]", str(refusal.value))[0] in str(refused.value)
        return
    form.save(tmp_path / "made.toml")
    read = load_config(tmp_path / "made.toml")
    expected = load_config(by_hand)
    assert read.model_dump() == expected.model_dump()
    # A setting of the preset can be restored to its default.
    if "learning_rate" in form.preset_settings.get("training", {}):
        form.restore(("training", "learning_rate"))
        form.save(tmp_path / "other.toml")
        assert load_config(tmp_path / "other.toml").training.learning_rate == 2e-5  # type: ignore[union-attr]


def test_the_form_keeps_a_whole_configuration() -> None:
    config = EvaluateConfig(
        collections=[CollectionConfig(name="bitext", bitext=[BitextConfig(path="x", language="so")])]
    )
    form = Form.from_config(config.model_dump(mode="json"))
    assert form.kind == "evaluate" and not form.errors
    assert form.validate() == config
    lines = {line.path: line for line in form.rows()}
    assert lines["evaluation", "depth"].meaning == EvaluationConfig.model_fields["depth"].description


def test_the_form_shows_the_message_of_the_model_at_the_setting() -> None:
    form = Form.from_preset()
    form.set_value(("training", "steps"), 0)
    line = next(line for line in form.rows() if line.path == ("training", "steps"))
    assert line.error == "input should be greater than or equal to 1"
    form.restore(("training", "steps"))
    assert ("training", "steps") not in form.errors
    with pytest.raises(InputError, match=r"bitext\.0\.path: field required"):
        form.to_toml()
