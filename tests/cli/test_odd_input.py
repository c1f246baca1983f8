"""What the system refuses, and what would take all memory, is one sentence."""

from __future__ import annotations

import html
import json
import os
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from engine.cli.commands import run as run_command
from engine.errors import is_out_of_memory
from engine.paths import expanded
from engine.serving.protocol import Server
from engine.visible import markdown_literal, markdown_text


def test_a_user_who_does_not_exist(capsys):
    assert expanded("~nosuchuser/x") == Path("~nosuchuser/x")
    assert expanded("~/x") == Path(os.path.expanduser("~/x"))  # noqa: PTH111
    assert run_command(["data", "import", "~nosuchuser/x", "--name", "x"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == "optical-workbench: ~nosuchuser/x: there is no such file or folder; give another path"


@pytest.mark.parametrize("command", [["config", "check"], ["encoders", "show"], ["data", "show"]])
def test_a_name_that_is_too_long(command, capsys):
    assert run_command([*command, "a" * 300]) in (1, 2)
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")]
)
def test_no_memory_is_one_sentence_and_status_1(error, monkeypatch, capsys):
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("engine.cli.commands.cli.main", fail)
    assert is_out_of_memory(error) and run_command(["runs"]) == 1
    assert capsys.readouterr().err == (
        "optical-workbench: there is not enough memory; end other programs, or ask for less at a time\n"
    )


def test_other_errors_are_not_hidden(monkeypatch):
    monkeypatch.setattr("engine.cli.commands.cli.main", lambda *_, **__: [][1])
    with pytest.raises(IndexError):
        run_command(["runs"])
    assert not is_out_of_memory(RuntimeError("shapes differ"))


def test_cancelling_what_nobody_asked_does_not_cancel_a_later_request():
    replies = []
    server = Server({}, lambda line: replies.append(json.loads(line)))
    server.serve(['{"id": 7, "op": "cancel"}', '{"id": 7, "op": "nothing"}'])
    assert len(replies) == 1 and "there is no operation 'nothing'" in replies[0]["error"]
    assert not server._cancelled and not server._open


def test_names_in_a_markdown_document_stay_names():
    assert markdown_text("p < .05 in [.01, .02] & 3 > 2") == "p < .05 in [.01, .02] & 3 > 2"
    assert markdown_text("a<script>b</script>") == r"a\<script>b\</script>"
    assert markdown_text("<!-- study: end -->") == r"\<!-- study: end -->"
    assert markdown_text("![x](http://y) a|b `c`") == r"![x]\(http://y) a\|b \`c\`"
    assert "\n" not in markdown_text("a\n# b\x1b")


@pytest.mark.parametrize(
    "name",
    [
        "a*b*_c_",
        "~~a~~",
        "a&lt;b&#38;c",
        "![x](y) [x][y] <b>",
        "`a` \\* a|b",
        "{a} # b!",
        "nDCG@10 - 0.5 & 1",
    ],
)
def test_every_character_of_a_name_is_shown_in_a_markdown_document(name):
    reader = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    shown = html.escape(name, quote=False)
    assert reader.renderInline(markdown_literal(name)) == shown
    table = reader.render(f"| a |\n|---|\n| {markdown_literal(name)} |\n")
    assert f"<td>{shown}</td>" in table
