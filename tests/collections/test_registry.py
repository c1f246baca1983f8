"""A collection that is registered from outside: settings, schema, evaluation, and the data commands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import Field

from engine.bitext.files import find
from engine.cli.commands import run
from engine.collections.base import Collection, Document, Query, revision_of
from engine.config import CollectionConfig, load_config, parse_config
from engine.config.base import Settings
from engine.errors import InputError
from engine.extensions.collections import COLLECTIONS, CollectionReader, FolderLayout
from engine.extensions.published import Counts, LanguageFiles, PublishedData, PublishedFile, RecognisedData
from engine.results.queries import ask


class NumbersSettings(Settings):
    """Settings that only this collection has."""

    step: int = Field(1, ge=1)
    """Use every n-th line."""


def load(config: CollectionConfig, seed: int) -> list[Collection]:
    settings = config.own_settings
    assert isinstance(settings, NumbersSettings)
    return [make(find(config.folder), settings.step)]


def make(folder: Path, step: int = 1) -> Collection:
    words = (folder / "so.numbers").read_text("utf-8").split()[::step]
    return Collection(
        name="numbers",
        revision=revision_of(word.encode() for word in words),
        protocol="numbers",
        direction="xx-xx",
        queries=tuple(Query(f"so:{word}", word, "so") for word in words),
        documents=tuple(Document(f"so:d-{word}", f"{word} waa tiro", "so") for word in words),
        judgements={f"so:{word}": {f"so:d-{word}": 1} for word in words},
        measures=("RR@10", "R@10"),
    )


def count(folder: Path) -> Counts:
    return {"words": {"so": len(make(folder).queries)}}


def recognise(folder: Path, names: object, code: str | None) -> RecognisedData | None:
    if not (folder / "so.numbers").exists():
        return None
    languages = {"so": LanguageFiles(["so.numbers"], "", {"words": count(folder)["words"]["so"]})}
    return RecognisedData("numbers", "collection", "numbers", folder, languages)


def check(config: CollectionConfig) -> None:
    if config.limit == 13:
        raise ValueError("13 is not allowed here")


NUMBERS = CollectionReader(
    name="numbers",
    meaning="Words for numbers.",
    load=load,
    measures={"numbers": ("RR@10", "R@10")},
    settings=NumbersSettings,
    check=check,
    folder="number-words",
    published=PublishedData(
        "numbers",
        "number-words",
        "CC0 1.0",
        "example.org",
        (PublishedFile("https://example.org/so.numbers", "so.numbers", "so"),),
        {"words": {"so": 4}},
    ),
    layout=FolderLayout(recognise=recognise, count=count, load_language=lambda folder, code: make(folder)),
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data home with the collection's files; the collection is registered during the test."""
    folder = tmp_path / "home" / "number-words"
    folder.mkdir(parents=True)
    (folder / "so.numbers").write_text("kow\nlaba\nsaddex\nafar\n", "utf-8")
    monkeypatch.setenv("OPTICAL_DATA", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    COLLECTIONS.register(NUMBERS)
    yield tmp_path / "home"
    COLLECTIONS.unregister("numbers")


def configure(path: Path, lines: str = "") -> str:
    path.write_text(f'kind = "lexical"\nname = "n"\n[[collections]]\nname = "numbers"\n{lines}\n')
    return str(path)


def test_it_is_evaluated_from_toml_with_its_own_setting(home: Path, tmp_path: Path) -> None:
    config = configure(tmp_path / "c.toml", "step = 2")
    results = tmp_path / "results.duckdb"
    assert run(["run", config, "--results", str(results)]) == 0
    rows = ask(results, "SELECT collection, measure, value, queries FROM scores ORDER BY measure").records()
    assert {(row["collection"], row["measure"]) for row in rows} >= {("numbers", "RR@10")}
    assert {row["value"] for row in rows if row["measure"] == "RR@10"} == {1.0}
    recorded = json.loads(next((tmp_path / "runs").glob("*/run.json")).read_text("utf-8"))["config"]
    assert recorded["collections"][0]["step"] == 2
    again = parse_config(recorded)
    assert again.model_dump(mode="json")["collections"][0]["step"] == 2


def test_its_settings_are_checked_like_all_others(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    config = load_config(configure(path))
    assert config.model_dump(mode="json")["collections"][0]["step"] == 1  # defaults are recorded
    for lines, message in (
        ("stepp = 2", "collections.0.stepp is not a setting"),
        ("step = 0", "collections.0.step: input should be greater than or equal to 1"),
        ('split = "dev"', "the collection 'numbers' has no split"),
        ("limit = 13", "13 is not allowed here"),
    ):
        with pytest.raises(InputError, match=message):
            load_config(configure(path, lines))
    with pytest.raises(InputError, match=r"collections\.0\.step is not a setting"):
        parse_config({"kind": "lexical", "collections": [{"name": "lareqa", "step": 2}]})


def test_the_schema_lists_it_and_its_setting(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "schema"]) == 0
    schema = json.loads(capsys.readouterr().out)["$defs"]["CollectionConfig"]
    assert "numbers" in schema["properties"]["name"]["enum"]
    assert "numbers: Words for numbers." in schema["properties"]["name"]["description"]
    assert schema["properties"]["step"]["minimum"] == 1
    assert schema["properties"]["step"]["description"] == "numbers: Use every n-th line."
    assert schema["additionalProperties"] is False


def test_the_data_commands_know_it(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "list", "--json"]) == 0
    listed = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert listed["numbers"]["languages"] == ["so"] and listed["numbers"]["licence"] == "CC0 1.0"
    assert run(["data", "show", "numbers"]) == 0
    shown = capsys.readouterr().out
    assert 'name = "numbers"' in shown and "so: kow" in shown and "Words for numbers." in shown
    assert "a pool for each document language" in shown
    assert run(["data", "check", "numbers"]) == 0
    (home / "number-words" / "so.numbers").write_text("kow\n", "utf-8")
    assert run(["data", "check", "numbers"]) == 1
    assert "it has 1 words and was published with 4" in capsys.readouterr().out
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "so.numbers").write_text("toban\n", "utf-8")
    assert run(["data", "import", "mine", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["reader"] == "numbers"
    assert run(["data", "check", "mine"]) == 0


def test_without_it_the_name_and_the_setting_are_unknown() -> None:
    with pytest.raises(InputError, match=r"'bitext'.* not 'numbers'"):
        parse_config({"kind": "lexical", "collections": [{"name": "numbers"}]})
    with pytest.raises(TypeError, match="no settings of its own"):
        _ = CollectionConfig(name="tatoeba").own_settings


@pytest.mark.parametrize("name", COLLECTIONS)
def test_every_built_in_collection_declares_what_is_needed(name: str) -> None:
    reader = COLLECTIONS[name]
    assert reader.meaning.endswith(".") and reader.measures
    documented = (Path(__file__).parents[2] / "docs" / "collections.md").read_text("utf-8")
    assert f"`{name}`" in documented
    if reader.published is not None:
        assert reader.published.licence and reader.published.source
        # Counts name languages of the files, unless an archive holds them all.
        files = {file.language for file in reader.published.published_files} - {""}
        counted = {code for by in reader.published.published_counts.values() for code in by} - {"all"}
        assert not files or counted <= files or reader.published.shared


def test_the_form_shows_its_setting(home: Path, tmp_path: Path) -> None:
    from workbench.launch.form import Form

    form = Form.from_config({"kind": "lexical", "collections": [{"name": "numbers", "step": 2}]})
    assert not form.errors
    (row,) = [row for row in form.rows() if row.name == "step"]
    assert (row.value, row.default, row.meaning) == (2, 1, "Use every n-th line.")
    assert form.check_text(row.path, "0") == "input should be greater than or equal to 1"
    form.save(tmp_path / "c.toml")
    assert load_config(tmp_path / "c.toml").model_dump()["collections"][0]["step"] == 2
    form.set_value(("collections", 0, "name"), "lareqa")
    assert not form.errors and "step" not in {row.name for row in form.rows()}
