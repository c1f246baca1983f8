"""The pages of the reference that are made from the code: settings, presets, commands, JSON, keys.

``pages()`` returns them as Markdown. ``docs/hooks.py`` adds them to the site.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:  # the pages describe this checkout, wherever else the package is installed
    sys.path.insert(0, str(ROOT))

import click  # noqa: E402
from click.testing import CliRunner  # noqa: E402

from engine.cli.answers import ANSWERS, schema_of  # noqa: E402
from engine.cli.commands import COMMANDS, cli  # noqa: E402
from engine.config import json_schema  # noqa: E402
from engine.extensions.runs import RUN_KINDS  # noqa: E402
from workbench.actions import ACTIONS, SCOPES, key_text  # noqa: E402

Schema = Mapping[str, Any]


def pages() -> dict[str, str]:
    """Return the text of every page by its path below ``docs/``."""
    schema = json_schema()
    return {
        "reference/kinds.md": kinds_page(),
        **{f"reference/settings/{kind}.md": kind_page(kind, schema) for kind in RUN_KINDS},
        "reference/presets.md": presets_page(),
        "reference/commands.md": commands_page(),
        "reference/json.md": json_page(),
        "reference/keys.md": keys_page(),
    }


# -- settings ---------------------------------------------------------------------------------------------


class Table:
    """A table of settings on a page, such as ``[training]``, and the keys under which it is used there."""

    def __init__(self, schema: Schema, title: str) -> None:
        self.titles = [title]
        others = [option for option in schema.get("anyOf", ()) if "properties" not in option]
        self.short = [type_of(option) for option in others if option.get("type") != "null"]
        """What may be written instead of the table, such as a number."""
        inside = next((option for option in schema.get("anyOf", ()) if "properties" in option), {})
        self.schema = {**schema, "properties": schema.get("properties", {}), **inside}

    @property
    def id(self) -> str:
        """The id of its section."""
        return re.sub(r"[^a-z0-9]+", "-", self.titles[0].lower()).strip("-")

    @property
    def prefix(self) -> str:
        """What precedes its keys with ``--set``; nothing if it is used under several keys."""
        title = self.titles[0]
        return "" if len(self.titles) > 1 or title.startswith("[[") else f"{title.strip('[]')}."


def kinds_page() -> str:
    """Return the page that lists the kinds of run."""
    head = (
        "# Kinds of run\n\nThe setting `kind` says what a run does.\n\n| `kind` | what it does |\n|---|---|\n"
    )
    lines = [
        f"| [`{name}`](settings/{name}.md) | {plain(kind.meaning)} |\n" for name, kind in RUN_KINDS.items()
    ]
    return head + "".join(lines)


def kind_page(kind: str, schema: Schema) -> str:
    """Return the page with every setting of a kind of run, made from what ``config schema`` prints."""
    named = schema["$defs"]
    whole = named[schema["discriminator"]["mapping"][kind].rpartition("/")[2]]
    tables = tables_of(whole, named)
    text = [
        f"# Settings of `{kind}`\n\n{plain(whole.get('description', ''))}\n",
        *definitions(whole, "", tables),
    ]
    for table in dict.fromkeys(tables.values()):
        title = ", ".join(f"`{title}`" for title in table.titles)
        text.append(f"## {title} {{#{table.id}}}\n\n{plain(table.schema.get('description', ''))}\n")
        text += definitions(table.schema, table.prefix, tables)
    return "\n".join(text)


def tables_of(whole: Schema, named: Mapping[str, Schema]) -> dict[str, Table]:
    """Return the tables below `whole`, by the name of their model."""
    tables: dict[str, Table] = {}
    waiting = [("", whole)]
    for path, schema in waiting:  # grows: breadth first, so that the tables of the run come first
        for key, setting in schema.get("properties", {}).items():
            name, many = table_name(setting)
            if not name:
                continue
            title = f"[[{path}{key}]]" if many else f"[{path}{key}]"
            if name in tables:
                tables[name].titles += [title] * (title not in tables[name].titles)
            else:
                tables[name] = Table({**setting, **named.get(name, {})}, title)
                waiting.append((f"{path}{key}.", tables[name].schema))
    return tables


def table_name(setting: Schema) -> tuple[str, bool]:
    """Return the name of the table that a setting is, empty if it is none, and whether it is repeated."""
    if "properties" in setting:
        return setting["title"], False
    for option in (setting, *setting.get("anyOf", ())):
        if "$ref" in option:
            return option["$ref"].rpartition("/")[2], False
        if "$ref" in option.get("items", {}):
            return option["items"]["$ref"].rpartition("/")[2], True
    return "", False


def definitions(schema: Schema, prefix: str, tables: Mapping[str, Table]) -> Iterator[str]:
    """Yield each setting as an item of a definition list: its key, type and default, and its meaning."""
    for key, setting in schema.get("properties", {}).items():
        name, many = table_name(setting)
        kind = type_of(setting)
        if name:
            table = tables[name]
            # The schema leaves out a description that is equal to the table's.
            setting = {"description": table.schema.get("description", ""), **setting}
            kind = " or ".join([*table.short, f"[{'tables' if many else 'table'}](#{table.id})"])
        default = default_of(setting, key in schema.get("required", ()))
        meaning, *choices = split_choices(setting)
        lines = [
            f"`{prefix}{key}` &nbsp;{' · '.join(filter(None, (kind, default)))}",
            f":   {plain(meaning)}",
            "",
        ]
        for choice in choices:
            name, _, rest = choice.partition(": ")
            lines.append(f"    - `{name}`: {plain(rest).rstrip('.')}")
        yield "\n".join(lines).rstrip() + "\n"


def split_choices(setting: Schema) -> list[str]:
    """Return the meaning of a setting, and ``name: meaning`` of each choice that its description explains."""
    choices = setting.get("enum") or setting.get("items", {}).get("enum") or ()
    names = "|".join(re.escape(str(choice)) for choice in choices)
    description = setting.get("description", "")
    return re.split(rf"(?:(?<=\.) |; |\n\n)(?=(?:{names}): )", description) if names else [description]


def type_of(setting: Schema) -> str:
    """Return the type of a setting in words."""
    if "anyOf" in setting:
        kinds = [type_of(option) for option in setting["anyOf"] if option.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "const" in setting:
        return code(setting["const"])
    if "enum" in setting:
        return "one of " + ", ".join(map(code, setting["enum"]))
    kind = setting.get("type")
    if kind == "array":
        return f"list of {type_of(setting.get('items', {}))}"
    if kind == "object":
        values = setting.get("additionalProperties")
        return f"table of {type_of(values if isinstance(values, dict) else {})}"
    words = {"integer": "integer", "number": "number", "string": "text", "boolean": "true or false"}
    bounds = [
        f"{word} {setting[key]}"
        for key, word in (
            ("minimum", "≥"),
            ("exclusiveMinimum", ">"),
            ("maximum", "≤"),
            ("exclusiveMaximum", "<"),
        )
        if key in setting
    ]
    return " ".join([words.get(str(kind), "any value"), ", ".join(bounds)]).strip()


def default_of(setting: Schema, required: bool) -> str:
    """Return the default of a setting in words; empty for a table, whose settings have their own."""
    if required:
        return "**required**"
    if "default" in setting:
        return "default none" if setting["default"] is None else f"default {code(setting['default'])}"
    return "default empty" if setting.get("type") == "array" else ""


def code(value: Any) -> str:
    """Return a value as TOML writes it, as code."""
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def plain(text: str) -> str:
    """Return a docstring's text for Markdown: one line, with code between single backticks."""
    return " ".join(text.split()).replace("``", "`").replace("<", "&lt;").replace("|", "\\|")


# -- presets, commands and keys ---------------------------------------------------------------------------


def presets_page() -> str:
    """Return the page with all presets, each with its file."""
    listed = json.loads(
        CliRunner().invoke(cli, ["config", "presets", "--json"], catch_exceptions=False).stdout
    )
    text = [
        '# Presets\n\nA file with `preset = "NAME"` changes settings of that preset. A *recipe* needs data, '
        "which the file adds; a *complete* preset runs as it is: `optical-workbench run xtreme-r-lareqa`.\n"
    ]
    for preset in listed:
        settings = Path(preset["file"]).read_text("utf-8")
        lines = "\n".join(f"    {line}" for line in settings.rstrip().splitlines())
        whole = "complete preset" if preset["preset"] == "complete" else "recipe"
        text.append(
            f"## `{preset['name']}`\n\n{plain(preset['about'])}\n\n"
            f"A {whole} of kind [`{preset['kind']}`](settings/{preset['kind']}.md).\n\n"
            f'??? "Its settings"\n\n    ```toml\n{lines}\n    ```\n'
        )
    return "\n".join(text)


def commands_page() -> str:
    """Return the page with all commands: what ``--help`` prints."""
    head = (
        "# Commands\n\nData goes to stdout and messages go to stderr. The exit status is 0 for success, 1 "
        "for failure, 2 for wrong usage or configuration, 3 for busy, 130 for interrupted. Without a command "
        "`optical-workbench` opens the app.\n"
    )
    top = click.Context(cli, info_name="optical-workbench")
    return "\n".join([head, *(text for name in COMMANDS for text in command_help(name, top))])


def command_help(name: str, parent: click.Context) -> Iterator[str]:
    """Yield the help of a command, its arguments and options, and that of the commands below it."""
    assert isinstance(parent.command, click.Group)
    command = parent.command.get_command(parent, name)
    assert command is not None
    context = click.Context(command, info_name=name, parent=parent)
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    yield f"## `{context.command_path}`\n"
    yield "\n\n".join(map(plain, paragraphs)) + f"\n\n```\n{usage}\n```\n"
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and record[1] and "--help" not in parameter.opts:
            yield f"`{record[0]}`\n:   {plain(record[1])}\n"
    for below in command.list_commands(context) if isinstance(command, click.Group) else ():
        yield from command_help(below, context)


def json_page() -> str:
    """Return the page with what each command prints with ``--json``, made from what ``schema`` prints."""
    schemas = {command: schema_of(command) for command in ANSWERS}
    records: dict[str, Schema] = {}
    lines = []
    for command, schema in schemas.items():
        records |= schema.get("$defs", {})
        whole = schema
        if "properties" in schema:  # pydantic names only what is inside others
            name = ANSWERS[command].__name__
            if (
                records.get(name, schema).get("properties") != schema["properties"]
            ):  # another one has this name
                name = command.title().replace(" ", "")
            records[name], whole = schema, {"$ref": f"#/$defs/{name}"}
        lines.append(f"| `{command}` | {json_type(whole)} |")
    text = [
        "# JSON\n\nWhat each command prints with `--json`. `optical-workbench schema COMMAND` prints the "
        "JSON Schema ([versions](../reference.md#json)).\n\n| command | prints |\n|---|---|",
        *lines,
        "",
    ]
    for name, record in sorted(records.items()):
        text.append(f"## {name}\n\n{plain(record.get('description', ''))}\n")
        if "properties" not in record:
            text.append(f"A {json_type(record)}.\n")
            continue
        text += ["| key | type | |", "|---|---|---|"]
        for key, value in record["properties"].items():
            kind = json_type(value) + ("" if key in record.get("required", ()) else ", not always there")
            text.append(f"| `{key}` | {kind} | {plain(value.get('description', ''))} |")
        text.append("")
    return "\n".join(text)


def json_type(schema: Schema) -> str:
    """Return the type of a JSON value in words, with links to the records on the page."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        options = [option for option in schema["anyOf"] if "NaN" not in option.get("enum", ())]
        return " or ".join(map(json_type, options))
    if "prefixItems" in schema:
        items = (f"{item.get('title', '')} {json_type(item)}".strip() for item in schema["prefixItems"])
        return f"list of {', '.join(items)}"
    kind = schema.get("type")
    if kind == "array":
        return f"list of {json_type(schema.get('items', {}))}"
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"object of {json_type(values if isinstance(values, dict) else {})}"
    if kind == "null":
        return "null"
    return "time" if schema.get("format") == "date-time" else type_of(schema)


def keys_page() -> str:
    """Return the page with the keys of the app, and the names of its actions in ``app.toml``."""
    text = [
        "# Keys of the app\n",
        "The last column has the name of the action under `[keys]` in [`app.toml`]"
        "(../howto/app.md#your-own-keys-and-alerts).\n",
    ]
    for scope, title in SCOPES.items():
        text.append(f"## {title}\n\n| key | does | name |\n|---|---|---|")
        for action in ACTIONS[scope]:
            keys = " ".join(f"`{key}`" for key in key_text(action.keys).split())
            text.append(f"| {keys} | {plain(action.help)} | `{scope}.{action.id}` |")
        text.append("")
    return "\n".join(text)
