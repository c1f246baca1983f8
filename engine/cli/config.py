"""``config``: show presets, settings and the JSON schema, check a configuration, and estimate its run."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.cli import toml
from engine.cli.options import data_option, json_option, print_json, results_option, set_option
from engine.cli.output import warn, write
from engine.cli.tables import print_facts, print_line, print_table
from engine.config import (
    json_schema,
    load_config,
    parse_config,
    preset_settings,
    presets,
    read_settings,
)
from engine.counted import counted
from engine.errors import InputError
from engine.extensions.runs import RUN_KINDS
from engine.paths import runs_folder

if TYPE_CHECKING:
    from engine.cli.answers import CheckedCollection
    from engine.collections.base import Collection


@click.group()
def config() -> None:
    """Show presets, settings and their JSON schema, and check configurations."""


@config.command("presets")
@json_option
def presets_command(as_json: bool) -> None:
    """List the presets of the package.

    A preset of type "recipe" needs data: a TOML file with `preset = "NAME"` adds it. A "complete" one runs as
    it is.
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
@set_option
@json_option
def show(source: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Print all settings that a run with this configuration has, in TOML."""
    settings, _ = _resolved(source, overrides)
    if as_json:
        print_json(settings)
    else:
        write(toml.dump(settings))


def _resolved(source: str, overrides: Sequence[str]) -> tuple[dict[str, Any], bool]:
    """Return all settings of a file or preset, and whether they are complete.

    A preset may leave out its data; the settings of the data are then None.
    """
    try:
        return load_config(source, overrides).model_dump(mode="json"), True
    except InputError:
        if source not in presets():
            raise
        known = preset_settings(source)
        given = {*known, *(override.partition("=")[0].strip().split(".")[0] for override in overrides)}
        kind = RUN_KINDS.get_entry(str(known["kind"]))
        fields = kind.settings.model_fields
        left = [name for name, field in fields.items() if field.is_required() and name not in given]
        if not all(name in kind.placeholders for name in left):
            raise
        settings = read_settings(source, overrides)
        try:
            whole = parse_config({**{name: kind.placeholders[name] for name in left}, **settings}, source)
        except InputError:  # other settings may make it need data that is optional otherwise
            left = [name for name in kind.placeholders if name not in given]
            whole = parse_config({**kind.placeholders, **settings}, source)
        return {**whole.model_dump(mode="json"), **dict.fromkeys(left)}, False


def _about(path: Path) -> str:
    """Return the comment at the beginning of a file."""
    lines = itertools.takewhile(lambda line: line.startswith("#"), path.read_text("utf-8").splitlines())
    return " ".join(line.lstrip("# ") for line in lines)


@config.command("explain")
@click.argument("key")
@click.argument("source", metavar="[FILE_OR_PRESET]", required=False)
@set_option
@json_option
def explain_command(key: str, source: str | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Explain the setting KEY, such as transport.epsilon: meaning, values, default, presets that set it.

    With a file or preset, its value there and whether --set, the file, its preset or the default gives it.
    """
    from engine.config.explain import explain, origin, presets_with

    found = explain(key)
    setting = presets_with(key)
    here = None if source is None else origin(key, source, _resolved(source, overrides)[0], overrides)
    if as_json:
        value = {} if here is None else {"value": here[0], "value_from": here[1]}
        print_json({"key": found[0].key, "settings": list(map(vars, found)), "presets": setting, **value})
        return
    for place, one in enumerate(found):
        if place:
            print_line()
        kinds = "every kind" if len(one.kinds) == len(RUN_KINDS) else ", ".join(one.kinds)
        print_facts(
            [
                ("setting", one.key),
                ("of kind", kinds),
                ("meaning", one.meaning),
                ("values", one.type),
                ("default", "it has to be given" if one.required else toml.value_text(one.default)),
            ]
        )
        if one.choices:
            print_line()
            print_table(("value", "meaning"), list(one.choices.items()))
    if here is not None:
        print_line()
        print_facts([(f"in {source}", f"{toml.value_text(here[0])} ({_GIVEN[here[1]]})")])
    if setting:
        print_line()
        print_table(("set by preset", "value"), [(name, toml.value_text(v)) for name, v in setting.items()])


#: What gives a setting its value, in words.
_GIVEN = {
    "--set": "from --set",
    "file": "from this file",
    "preset": "from the preset",
    "default": "the default",
}


@config.command("schema")
def schema() -> None:
    """Print the JSON schema of run configurations, for editors and other tools."""
    print_json(json_schema())


@config.command("check")
@click.argument("source", metavar="FILE_OR_PRESET")
@set_option
@data_option
@results_option
@json_option
def check(source: str, overrides: tuple[str, ...], results: Path, as_json: bool) -> None:
    """Check that a run with this configuration will start: settings, data and encoders.

    Encoders are opened and collections read completely; bitext is read up to its first
    batch. Runs that are fused or re-ranked are looked for next to --results. No hub is used.
    """
    from engine.runs.checks import check_config

    loaded = load_config(source, overrides)
    collections, found = check_config(loaded, runs_folder(results))
    problems = [f"{key}: {error}" for key, error in found]
    described = [_described(collection) for collection in collections]
    if as_json:
        head = {"file": source, "name": loaded.name, "kind": loaded.kind}
        print_json({**head, "collections": described, "problems": problems})
    if problems:
        for problem in problems[:-1]:
            warn(f"{source}: {problem}")
        raise InputError(problems[-1], path=source)
    if not as_json:
        print_line(f"{source}: valid, of kind {loaded.kind!r}; its data and encoders are available locally")
        lines = [[str(value) for value in entry.values()] for entry in described]
        print_table(
            tuple(described[0]) if described else (), lines, right=("languages", "queries", "documents")
        )


@config.command("estimate")
@click.argument("source", metavar="FILE_OR_PRESET")
@set_option
@data_option
@click.option(
    "--pairs-per-second",
    type=click.FloatRange(min=0, min_open=True),
    help="Pairs or questions a second that another machine trains on, instead of the speed measured here.",
)
@click.option(
    "--tokens-per-second",
    type=click.FloatRange(min=0, min_open=True),
    help="Tokens a second that another machine pre-trains on, instead of the speed measured here.",
)
@json_option
def estimate_command(
    source: str,
    overrides: tuple[str, ...],
    pairs_per_second: float | None,
    tokens_per_second: float | None,
    as_json: bool,
) -> None:
    """Print the time, memory and disk that a run with this configuration will need on this machine.

    Some real batches are encoded, a few steps trained and a few queries searched, and the times grow with
    what the whole run has. The cache is taken for empty, and other programs for idle.
    """
    from engine.estimate.any_kind import estimate
    from engine.estimate.sheet import Given

    found = estimate(load_config(source, overrides), Given(pairs_per_second, tokens_per_second))
    if as_json:
        print_json(found.record())
        return
    lines = [
        (one.name, f"{one.count:,} {one.unit}", _time(one.seconds), _cpu(one.cpu_seconds, one.basis))
        for one in found.stages
    ]
    lines.append(("all", "", _time(found.seconds), _cpu(found.cpu_seconds, "measured")))
    print_table(("stage", "of", "time", "CPU time"), lines, right=("of", "time", "CPU time"))
    print_line()
    print_facts(
        [
            ("measured on", f"{found.device}, {counted(found.threads, 'CPU thread')}"),
            ("memory", _size(found.memory)),
            *([("memory of the GPU", _size(found.device_memory))] if found.device_memory else []),
            *((f"disk: {name}", _size(size)) for name, size in found.disk.items() if size),
        ]
    )
    for sentence in found.notes:
        print_line(sentence)


def _time(seconds: float) -> str:
    if seconds >= 5400:
        return f"{seconds / 3600:,.1f} h"
    return f"{seconds / 60:.1f} min" if seconds >= 90 else f"{seconds:.1f} s"


def _cpu(seconds: float, basis: str) -> str:
    return _time(seconds) if basis == "measured" else "given"


def _size(count: int) -> str:
    return f"{count / 2**30:,.2f} GiB" if count >= 2**29 else f"{count / 2**20:,.1f} MiB"


def _described(collection: Collection) -> CheckedCollection:
    return {
        "collection": collection.name,
        "protocol": collection.protocol,
        "direction": collection.direction,
        "languages": len(collection.query_languages),
        "queries": len(collection.queries),
        "documents": len(collection.documents),
        "revision": collection.revision,
    }
