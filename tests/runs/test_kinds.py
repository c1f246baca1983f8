"""Kinds of run: what the built-in ones declare, and a kind from another distribution."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from engine.config import RunHeader, json_schema, load_config, parse_config
from engine.errors import InputError
from engine.evaluation.finished_run import encoders_config_of
from engine.evaluation.scores import Scores
from engine.extensions.runs import RUN_KINDS, Input, RunKind
from engine.jobs.resume import reopen
from engine.registry import resolve_reference
from engine.reporting import Reporter
from engine.results.run_folder import RunFolder
from engine.runs.execute import execute, resume


@pytest.mark.parametrize("name", RUN_KINDS)
def test_what_a_kind_declares_exists(name: str) -> None:
    kind = RUN_KINDS[name]
    assert kind.name == name and issubclass(kind.settings, RunHeader) and kind.meaning.endswith(".")
    assert callable(resolve_reference(kind.execute))
    assert set(kind.placeholders) <= set(kind.settings.model_fields)
    if kind.loop is not None:
        settings = resolve_reference(f"{kind.settings.__module__}:{kind.settings.__name__}")
        assert kind.loop in settings.model_fields and kind.saves_state


@pytest.mark.parametrize("name", RUN_KINDS)
def test_placeholders_are_all_that_a_configuration_needs(name: str) -> None:
    kind = RUN_KINDS[name]
    missing = {key for key, field in kind.settings.model_fields.items() if field.is_required()}
    if not missing <= set(kind.placeholders):
        return  # a study names its stages itself
    # an import needs one of two settings, and neither alone is required
    given = missing or set(kind.placeholders)
    config = parse_config({"kind": name, **{key: kind.placeholders[key] for key in given}})
    for read in kind.inputs(config):
        assert callable(resolve_reference(read.check))
        assert read.key.partition(".")[0] in kind.settings.model_fields


# -- a kind from elsewhere ---------------------------------------------------------------------------


class CountConfig(RunHeader):
    """Count the lines of a file."""

    kind: Literal["count"] = "count"
    """The kind of run."""
    path: str
    """The file."""
    stop: bool = False
    """Whether it is stopped the first time."""


def count_lines(config: CountConfig, run: RunFolder, reporter: Reporter) -> list[Scores]:
    if config.stop and "lines" not in run.record["summary"]:
        run.update(summary={"lines": None})
        raise KeyboardInterrupt
    run.update(summary={"lines": len(Path(config.path).read_text("utf-8").splitlines())})
    return []


def find_file(path: str) -> None:
    if not Path(path).is_file():
        raise InputError("there is no such file", path=path)


@pytest.fixture
def count() -> Iterator[None]:
    """A registered kind of run."""
    here = __name__
    RUN_KINDS.register(
        RunKind(
            settings=CountConfig,
            execute=f"{here}:count_lines",
            inputs=lambda config: [Input("path", f"{here}:find_file", config.path)],
        )
    )
    yield
    RUN_KINDS.unregister("count")


def test_a_registered_kind_is_read_checked_executed_and_resumed(
    count: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from click.testing import CliRunner

    from engine.cli.config import check

    lines = tmp_path / "lines.txt"
    file = tmp_path / "count.toml"
    file.write_text(f'kind = "count"\nname = "lines"\npath = "{lines}"\n', "utf-8")
    answer = CliRunner().invoke(check, [str(file)])
    assert isinstance(answer.exception, InputError) and "path: " in str(answer.exception)
    lines.write_text("one\ntwo\n", "utf-8")
    assert CliRunner().invoke(check, [str(file)]).exit_code == 0

    config = load_config(file)
    assert isinstance(config, CountConfig)
    run, scores = execute(config, tmp_path / "runs", ["test"])
    assert scores == [] and run.record["summary"]["lines"] == 2 and run.record["kind"] == "count"
    with pytest.raises(
        InputError, match="of kind 'count' and has no encoders; choose a run of kind 'distil',"
    ):
        encoders_config_of(run)

    stopped = load_config(file, ["stop=true"])
    with pytest.raises(KeyboardInterrupt):
        execute(stopped, tmp_path / "runs", ["test"], run_id="cut")
    resumed = reopen(tmp_path / "runs" / "cut", ["again"])
    resume(resumed)
    assert resumed.record["state"] == "finished" and resumed.record["summary"]["lines"] == 2

    with pytest.raises(InputError, match=r"lines\.toml: pth is not a setting \(did you mean 'path'"):
        parse_config({"kind": "count", "pth": "x", "path": "y"}, "lines.toml")


def test_a_registered_kind_is_in_the_schema_and_in_the_form(count: None) -> None:
    from workbench.launch.form import Form

    schema: dict[str, Any] = json.loads(json.dumps(json_schema()))
    assert "count" in schema["discriminator"]["mapping"] and "CountConfig" in schema["$defs"]
    form = Form.from_config({"kind": "count"})
    assert {row.path for row in form.rows()} >= {("path",), ("stop",)}


def test_an_unknown_kind_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"there is no kind of run 'distill' \(did you mean 'distil'"):
        parse_config({"kind": "distill"})
