"""What a shell user relies on: completion, the manual page, -q, and settings that explain themselves."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.cli.commands import COMMANDS, run
from engine.config import DistilConfig, load_config
from engine.config.explain import explain, origin, presets_with
from engine.errors import InputError


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_code_names_program_and_variable(call: Any, capsys: Any, shell: str) -> None:
    assert run(["completion", shell]) == 0
    code = capsys.readouterr().out
    assert "_OPTICAL_WORKBENCH_COMPLETE" in code and "optical-workbench" in code
    program = shutil.which(shell)
    if program is not None:
        checked = subprocess.run([program, "-n"], input=code, text=True, capture_output=True, check=False)
        assert checked.returncode == 0, checked.stderr


def test_a_shell_is_told_commands_and_ids_of_runs(results: Path, make_run: Any) -> None:
    """Click's protocol for bash: the words so far and the number of the one to complete."""
    one = make_run("one")

    def ask(words: str, number: int) -> list[str]:
        environment = {
            **os.environ,
            "_OPTICAL_WORKBENCH_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(number),
        }
        told = subprocess.run(
            [sys.executable, "-m", "engine.cli"], env=environment, text=True, capture_output=True, check=True
        )
        return [line.partition(",")[2] for line in told.stdout.splitlines()]

    assert ask("optical-workbench com", 1) == ["compare", "completion"]
    assert ask(f"optical-workbench show --results {results} {one.id[:6]}", 4) == [one.id]


def test_the_manual_page_has_every_command_and_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["man"]) == 0
    page = capsys.readouterr().out
    for name in COMMANDS:
        assert f"\n.SS {name}\n" in page.replace("\\-", "-"), name
    assert "\n.SS config explain\n" in page and "\\-\\-equivalent" not in page
    assert re.search(r"^\.B .*\\-\\-margin", page, re.MULTILINE)
    # every line that begins with a dot is a request that is meant
    requests = {line.split()[0] for line in page.splitlines() if line.startswith(".")}
    assert requests <= {".TH", ".SH", ".SS", ".B", ".TP", ".PP", ".nf", ".fi"}
    if (groff := shutil.which("groff")) is not None:
        shown = subprocess.run(
            [groff, "-man", "-Tutf8", "-ww"], input=page, text=True, capture_output=True, check=True
        )
        assert "optical-workbench" in shown.stdout and not shown.stderr


def test_quiet_keeps_errors_and_data(call: Any, make_run: Any) -> None:
    one = make_run("one")
    assert "no run matches" in call("runs", "--filter", "name=two").err
    assert call("runs", "--filter", "name=two", "-q") == (0, "", "")
    assert "nothing" in call("show", "nothing", "-q").err
    assert one.id in call("runs", "--quiet").out
    # it holds for one command
    assert "nothing to delete" in call("prune", "--filter", "name=one", "--yes").err


def test_a_setting_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "explain", "transport.epsilon", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    (setting,) = told["settings"]
    default = DistilConfig(bitext=[{"path": "x", "language": "so"}]).transport.epsilon  # type: ignore[list-item]
    assert setting["default"] == default and not setting["required"]
    assert "above 0" in setting["type"] and "distil" in setting["kinds"]
    assert told["presets"]["demo"] == 0.1
    assert run(["config", "explain", "transport.epsilon", "demo"]) == 0
    out = capsys.readouterr().out
    assert "in demo  0.1 (from the preset)" in out


def test_choices_and_lists_are_explained() -> None:
    (marginals,) = explain("transport.marginals")
    assert marginals.choices["uniform"]
    limits = explain("bitext.0.limit")
    assert {one.key for one in limits} == {"bitext.limit"}
    assert [one.required for one in explain("bitext.language")].count(True) >= 1
    assert presets_with("kind")["demo"] == "distil"


@pytest.mark.parametrize(
    ("key", "advice"),
    [
        ("transport.epsilom", "did you mean 'transport.epsilon'"),
        ("epsilon", "'transport.epsilon'"),
        ("0", "there is no setting '0'"),  # a number alone
    ],
)
def test_an_unknown_setting_names_the_nearest(key: str, advice: str) -> None:
    with pytest.raises(InputError, match="there is no setting") as caught:
        explain(key)
    assert advice in str(caught.value)


def test_where_a_value_comes_from(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text(
        'preset = "demo"\n[training]\nsteps = 7\n[[bitext]]\npath = "x"\nlanguage = "so"\n', "utf-8"
    )

    def of(key: str, *overrides: str) -> tuple[Any, str]:
        return origin(key, file, load_config(file, overrides).model_dump(mode="json"), overrides)

    assert of("training.steps") == (7, "file")
    assert of("training.steps", "training.steps=9") == (9, "--set")
    assert of("transport.epsilon") == (0.1, "preset")
    assert of("training.clip") == (1.0, "default")
    assert of("bitext.language") == ("so", "file")
    with pytest.raises(InputError, match="of kind 'distil' has no setting 'systems'"):
        of("systems")
