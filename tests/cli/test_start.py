"""Without a command the app opens, on the database that is asked for."""

from __future__ import annotations

import os
import sys

import pytest

from engine.cli import main


class Replaced(BaseException):
    """What `os.execve` is to its caller: the end."""


@pytest.mark.parametrize(
    ("arguments", "results"),
    [([], "from-before"), (["--results", "a/b.duckdb"], "a/b.duckdb"), (["--results=c.duckdb"], "c.duckdb")],
)
def test_the_app_opens(arguments: list[str], results: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def execve(program: str, argv: list[str], environment: dict[str, str]) -> None:
        assert argv == [program, "-P", "-m", "workbench"]
        assert environment["OPTICAL_RESULTS"] == results
        raise Replaced

    monkeypatch.setattr(os, "execve", execve)
    monkeypatch.setenv("OPTICAL_RESULTS", "from-before")
    monkeypatch.setattr(sys, "argv", ["optical-workbench", *arguments])
    with pytest.raises(Replaced):
        main()
    assert os.environ["OPTICAL_RESULTS"] == results


@pytest.mark.parametrize("arguments", [["--results"], ["--results", "a", "b"], ["--reslts=a"]])
def test_other_options_are_no_app(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["optical-workbench", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2 and "No such option" in capsys.readouterr().err
