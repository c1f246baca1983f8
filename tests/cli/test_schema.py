"""The published schemas of ``--json``. `tests.json_schemas` checks the output of commands in all tests."""

from __future__ import annotations

import json
from collections.abc import Iterator

import click
import pytest

from engine.cli.answers import ANSWERS, VERSION, schema_of
from engine.cli.commands import cli
from engine.results.tables import RUNS, TABLES
from tests.json_schemas import check_output

jsonschema = pytest.importorskip("jsonschema")


def commands(group: click.Group, before: str = "") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


def test_every_command_with_json_has_a_schema():
    with_json = {
        name for name, command in commands(cli) if any("--json" in option.opts for option in command.params)
    }
    assert with_json == ANSWERS.keys()


def test_records_of_the_database_have_all_columns():
    assert set(schema_of("plan")["properties"]) == set(TABLES["plans"].names)
    assert set(schema_of("show")["properties"]) >= set(RUNS.names)
    bitext = schema_of("show")["$defs"]["BitextUsed"]
    assert set(bitext["properties"]) == set(TABLES["bitext"].names)


def test_schemas_are_printed(call):
    for name in ("runs", "queue list"):
        found = json.loads(call_schema(call, *name.split()))
        jsonschema.Draft202012Validator.check_schema(found)
        assert found["version"] == VERSION and found == json.loads(json.dumps(schema_of(name)))
    every = json.loads(call_schema(call))
    assert every["commands"].keys() == ANSWERS.keys()
    code, _, err = call("schema", "queue")
    assert code == 2 and "no command 'queue' has --json" in err and err.count("\n") == 1


def call_schema(call, *names):
    code, out, _ = call("schema", *names)
    assert code == 0
    return out


@pytest.mark.parametrize(
    ("command", "change"),
    [
        ("stop", {"state": None}),
        ("stop", {"more": 1}),
        ("stop", {"id": ...}),
        ("queue list", {"created": "yesterday"}),
    ],
)
def test_another_output_is_found(command, change):
    right = {
        "stop": {"id": "x", "state": "stopped"},
        "queue list": {
            "place": 1,
            "id": "x",
            "name": "x",
            "kind": "distil",
            "created": "2026-01-01T00:00:00Z",
        },
    }[command]

    def text(record):
        kept = {key: value for key, value in record.items() if value is not ...}
        return json.dumps([kept] if command == "queue list" else kept)

    check_output(command, text(right))
    with pytest.raises(AssertionError):
        check_output(command, text({**right, **change}))


def test_numbers_that_json_lacks_are_in_the_schema():
    values = {"best_step": 1, "figure": "held_out_rr", "steps": [1, 2], "values": ["NaN", 0.5]}
    held_out = schema_of("show")["$defs"]["HeldOut"]
    assert jsonschema.Draft202012Validator(held_out).is_valid(values)
    assert not jsonschema.Draft202012Validator(held_out).is_valid({**values, "values": ["many"]})
