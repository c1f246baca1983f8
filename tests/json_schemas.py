"""What commands print with ``--json`` is compared with the published schemas, in all tests."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from functools import cache
from typing import Any

import click

NO_SUCH_KEY = {"additionalProperties": False}


def strict(schema: Any) -> Any:
    """Return a schema that allows only the keys that it describes."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: strict(part) for key, part in schema.items()}
    return {**NO_SUCH_KEY, **found} if "properties" in schema and schema.get("type") == "object" else found


@cache
def validator(command: str) -> Any:
    """Return what checks the output of a command; None if jsonschema is not installed."""
    try:
        import jsonschema
    except ImportError:
        return None
    from engine.cli.answers import schema_of

    found = schema_of(command)
    jsonschema.Draft202012Validator.check_schema(found)
    formats = jsonschema.FormatChecker([])
    formats.checks("date-time", ValueError)(
        lambda text: not isinstance(text, str) or datetime.fromisoformat(text).tzinfo is not None
    )
    return jsonschema.Draft202012Validator(strict(found), format_checker=formats)


def check_output(command: str, text: str) -> None:
    """Raise AssertionError if `text` is not what the schema of a command describes."""
    if (checker := validator(command)) is not None:
        errors = [
            f"{error.json_path}: {error.message[:300]}" for error in checker.iter_errors(json.loads(text))
        ]
        assert not errors, (command, errors)


def checked_write(document: str) -> None:
    """Print as `engine.cli.output.write` does, and check what a command prints with ``--json``."""
    context = click.get_current_context(silent=True)
    if context is not None and context.params.get("as_json"):
        check_output(context.command_path.partition(" ")[2], document)
    sys.stdout.write(document)
