"""The pages that are made from the code name everything, with its default and meaning."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import BaseModel

from engine.cli.answers import ANSWERS
from engine.config import presets
from engine.extensions.runs import RUN_KINDS
from engine.extensions.transport import SOLVERS
from workbench.actions import ACTIONS


@pytest.fixture(scope="module")
def made() -> ModuleType:
    path = Path(__file__).parents[2] / "docs" / "reference_pages.py"
    spec = importlib.util.spec_from_file_location("reference_pages", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages(made: ModuleType) -> dict[str, str]:
    found: dict[str, str] = made.pages()
    return found


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models in an annotation such as ``list[Model] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from models(part)


def settings_of(model: type[BaseModel], path: str, seen: set[Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield the table, key and field of each setting, read from the models and not from the schema."""
    for name, field in model.model_fields.items():
        yield path, name, field
        for inner in models(field.annotation):
            if inner not in seen:
                seen.add(inner)
                yield from settings_of(inner, f"{path}.{name}".strip("."), seen)


def items_by_table(page: str) -> dict[str, dict[str, str]]:
    """Return the text of each setting of each table of a page."""
    tables: dict[str, dict[str, str]] = {}
    for section in page.split("\n## "):
        head, _, rest = section.partition("\n")
        items = dict(part.split("` &nbsp;", 1) for part in rest.split("\n`")[1:])
        for title in re.findall(r"`\[+([a-z_.]+)\]+`", head) or [""]:
            tables[title] = {key.rpartition(".")[2]: text for key, text in items.items()}
    return tables


@pytest.mark.parametrize("kind", list(RUN_KINDS))
def test_every_setting_is_on_the_page_of_its_kind(kind: str, pages: dict[str, str]) -> None:
    tables = items_by_table(pages[f"reference/settings/{kind}.md"])
    for table, key, field in settings_of(RUN_KINDS[kind].settings, "", set()):
        text = tables[table][key]
        assert text.partition("\n:   ")[2].strip(), f"{kind}: {table}.{key} has no meaning"
        assert ("**required**" in text) == field.is_required(), f"{kind}: {table}.{key}"


def test_a_setting_has_its_type_bounds_default_and_choices(pages: dict[str, str]) -> None:
    page = pages["reference/settings/distil.md"]
    assert "`training.steps` &nbsp;integer ≥ 1 · default `300`\n:   Optimiser steps.\n" in page
    assert "`training.warmup` &nbsp;number ≥ 0.0, ≤ 1.0 · default `0.1`" in page
    assert "`bitext` &nbsp;[tables](#bitext) · **required**" in page and "## `[[bitext]]` {#bitext}" in page
    for name, solver in SOLVERS.items():
        assert f"    - `{name}`: {solver.meaning}\n" in page
    assert "## `[teacher]`, `[student]` {#teacher}" in page
    assert "`loss.passages` &nbsp;number ≥ 0 or [table](#loss-passages)" in page
    assert "`loss.passages.nearest` &nbsp;integer ≥ 0 · default `3`" in page


def test_every_link_to_a_table_has_its_section(pages: dict[str, str]) -> None:
    for kind in RUN_KINDS:
        page = pages[f"reference/settings/{kind}.md"]
        for part in page.split("](#")[1:]:
            assert f"{{#{part.partition(')')[0]}}}" in page


def test_commands_presets_and_keys(pages: dict[str, str]) -> None:
    commands = pages["reference/commands.md"]
    assert (
        "## `optical-workbench data import`" in commands
        and "optical-workbench plan [OPTIONS] RUN" in commands
    )
    assert "`--set KEY=VALUE`\n:   Change a setting, such as training.steps=50." in commands
    assert " object at 0x" not in json.dumps(pages) and str(Path.home()) not in commands
    for name in presets():
        assert f"## `{name}`\n" in pages["reference/presets.md"]
    assert all(
        action.help.partition("<")[0] in pages["reference/keys.md"]
        for group in ACTIONS.values()
        for action in group
    )


def test_the_page_of_json_has_every_key_and_its_links_lead_somewhere(pages: dict[str, str]) -> None:
    page = pages["reference/json.md"]
    ids = {line.removeprefix("## ").lower() for line in page.splitlines() if line.startswith("## ")}
    linked = set(re.findall(r"\]\(#(\w+)\)", page))
    assert linked <= ids and "system" in linked
    for command, answer in ANSWERS.items():
        assert f"| `{command}` |" in page
        for key in getattr(answer, "__annotations__", ()):
            assert f"| `{key}` |" in page
