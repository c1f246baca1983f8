"""Commands and configurations in the documentation are valid."""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from packaging.version import Version
from pydantic import ValidationError

from engine.cli.commands import cli
from engine.config import json_schema, over_preset
from engine.errors import InputError
from engine.extensions.runs import RUN_KINDS
from workbench.data.user_settings import read_user_settings

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
PROGRAM = "optical-workbench"


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Yield the language and the text of each fenced block."""
    text = page.read_text("utf-8")
    yield from re.findall(r"^ *```(\S*)\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the arguments of each command of ours in the blocks of a page."""
    for language, text in blocks(page):
        if language not in ("", "sh", "console"):
            continue
        for line in re.sub(r"\\\n", " ", text).splitlines():
            for part in re.split(r" && | \| ", line):
                words = split(part)
                while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):  # variables of the environment
                    del words[0]
                if words[:1] == [PROGRAM] and "[OPTIONS]" not in words:
                    yield words[1:]


def mentions(page: Path) -> Iterator[list[str]]:
    """Yield the arguments of each command of ours in a line of text, which may lack some."""
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    for span in re.findall(rf"`({PROGRAM}\b[^`]*)`", text):
        yield split(span.replace("\n", " "))[1:]


def split(line: str) -> list[str]:
    """Return the words of a line of shell; none if it is no such line."""
    try:
        return shlex.split(line, comments=True)
    except ValueError:
        return []


NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
SCHEMA = json_schema()


@pytest.fixture(autouse=True)
def unchanged_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo what options such as ``--data`` set."""
    monkeypatch.setattr(os, "environ", os.environ.copy())


def parse(words: list[str], complete: bool) -> click.Context | None:
    """Parse the arguments of a command without running it.

    Raises
    ------
    click.UsageError
        If there is no such command or option, or, in a complete command, an argument is missing.
    """
    command: click.Command = cli
    context = click.Context(cli)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name, *words = words
        found = command.get_command(context, name)
        if found is None:
            raise click.UsageError(f"there is no command {name!r}")
        command, context = found, click.Context(found, parent=context)
    try:
        return command.make_context(command.name, list(words), parent=context.parent)
    except click.exceptions.Exit:  # --help, --version
        return None
    except click.exceptions.NoArgsIsHelpError:
        return None
    except click.MissingParameter:
        if complete:
            raise
        return None


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_are_valid(page: Path) -> None:
    for complete, words in itertools.chain(
        ((True, words) for words in commands(page)), ((False, words) for words in mentions(page))
    ):
        if words[:1] == ["--results"]:  # the app
            continue
        words = [word for word in words if word not in ("...", "…")]
        try:
            context = parse(words, complete)
        except click.UsageError as error:
            pytest.fail(f"{page.name}: {' '.join(words)}: {error.format_message()}")
        for override in (context and context.params.get("overrides")) or ():
            key = override.partition("=")[0]
            assert is_setting(key), f"{page.name}: there is no setting {key}"


def is_setting(key: str) -> bool:
    """Whether some kind of run has this setting."""
    kinds = SCHEMA["discriminator"]["mapping"].values()
    return any(reaches({"$ref": kind}, key.split(".")) for kind in kinds)


def reaches(schema: dict[str, Any], parts: list[str]) -> bool:
    """Whether a dotted key leads to a part of the schema."""
    if "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
    if not parts:
        return True
    inside = schema.get("properties", {}).get(parts[0])
    if inside is None and parts[0].isdigit():
        inside = schema.get("items")
    return (inside is not None and reaches(inside, parts[1:])) or any(
        reaches(option, parts) for option in schema.get("anyOf", ())
    )


def test_a_wrong_command_or_setting_is_found() -> None:
    found = [words for page in PAGES for words in commands(page)]
    assert len(found) > 50 and ["data", "list"] in found
    for words in (
        ["rum", "a.toml"],
        ["run", "a.toml", "--sett", "seed=1"],
        ["data", "lisst"],
        ["query", "RUN"],
    ):
        with pytest.raises(click.UsageError):
            parse(words, True)
    assert parse(["query", "RUN"], False) is None
    assert (
        is_setting("training.steps") and is_setting("bitext.0.stop") and is_setting("loss.passages.nearest")
    )
    assert not is_setting("training.step") and not is_setting("bitext.stop")


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_configurations_are_valid(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings have names and values that a run accepts; what a part of a file lacks is not asked for."""
    for language, text in blocks(page):
        if language != "toml":
            continue
        settings = tomllib.loads(text)
        if "project" in settings:  # a distribution's pyproject.toml
            continue
        if "keys" in settings:  # the app's own settings
            monkeypatch.setenv("OPTICAL_CONFIG", str(tmp_path))
            (tmp_path / "app.toml").write_text(text, "utf-8")
            assert read_user_settings().alerts.command
            continue
        kinds = list(RUN_KINDS)
        if "kind" in settings or "preset" in settings:
            settings = over_preset(settings)
            kinds = [settings.get("kind", "distil")]
        problems = {kind: wrong(kind, settings) for kind in kinds}
        if all(problems.values()) and not from_elsewhere(page, settings):
            pytest.fail(f"{page.name}: {text}\n{json.dumps(problems, indent=1)}")


def wrong(kind: str, settings: dict[str, Any]) -> list[str]:
    """Return what a kind of run refuses in `settings`, missing settings aside."""
    try:
        RUN_KINDS[kind].settings.model_validate(settings)
    except ValidationError as error:
        return [str(item["msg"]) for item in error.errors() if item["type"] != "missing"]
    except InputError as error:
        return [str(error)]
    return []


def from_elsewhere(page: Path, settings: dict[str, Any]) -> bool:
    """Whether a configuration uses the entries that docs/extending.md adds, whose own test runs it."""
    return page.name == "extending.md" and "centroid" in settings.get("loss", {})


def test_a_wrong_configuration_is_found() -> None:
    assert wrong("distil", {"training": {"step": 1}}) and not wrong("distil", {"training": {"steps": 1}})


def test_links_lead_to_files() -> None:
    """As on a page of the repository; the site's own check is ``mkdocs build --strict``."""
    made = re.compile(r"(\.\./)?reference/|changelog\.md")  # pages that docs/hooks.py adds
    for page in (*PAGES, ROOT / "CHANGELOG.md"):
        text = re.sub(r"^ *```.*?^ *```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if "://" in target or target.startswith(("#", "mailto:")) or made.match(target):
                continue
            assert (page.parent / target.partition("#")[0]).exists(), f"{page.name} links to {target}"


def test_the_changes_are_headed_by_the_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    version = Version(project["tool"]["setuptools_scm"]["fallback_version"])
    first = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert first and Version(first[1]) == Version(version.base_version)
