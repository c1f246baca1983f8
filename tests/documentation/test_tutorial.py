"""The tutorial's commands run, in their order, on data of the tutorial's shape and a tiny encoder."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest

from engine.cli import toml
from engine.cli.commands import run

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
#: Commands that need a network, or another program.
ELSEWHERE = (["data", "fetch"], ["doctor"])


def pairs(path: Path) -> list[list[str]]:
    """Return the sentence pairs of a TSV file, the cipher first."""
    return [line.split("\t") for line in path.read_text("utf-8").splitlines()]


def write_data(home: Path, tiny: Any) -> None:
    """Write NTREX-128's Hausa and English lines, three a document, and AfriQA's questions."""
    lines = pairs(tiny.training["sw"])
    ntrex = home / "ntrex-128"
    ntrex.mkdir(parents=True)
    for name, side in (("newstest2019-ref.hau", 0), ("newstest2019-src.eng", 1)):
        text = "".join(f"{line[side]}\n" for line in lines)
        (ntrex / f"{name}.txt").write_text(text, "utf-8")
    documents = "".join(f"news.{number // 3}\n" for number in range(len(lines)))
    (ntrex / "DOCUMENT_IDS.tsv").write_text(documents, "utf-8")
    folder = home / "afriqa" / "gold_passages" / "hau"
    folder.mkdir(parents=True)
    with (folder / "gold_span_passages.afriqa.hau.en.test.json").open("w", encoding="utf-8") as file:
        for number, (cipher, english) in enumerate(pairs(tiny.test["sw"])):
            answer = {"answer_start": [0], "text": [english.split()[0]]}
            record = {"id": str(number), "question_lang": cipher, "question_translated": english}
            record |= {"context": english, "title": f"title {number}", "answer_pivot": answer}
            file.write(json.dumps(record) + "\n")


def configuration(text: str, tiny: Any) -> dict[str, Any]:
    """Return a configuration of the page with the tiny encoder and a short training."""
    settings = tomllib.loads(text)
    if "encoder" in settings:
        return {**settings, "encoder": tiny.encoder()}
    short = {**tiny.loop(), "steps": 4, "evaluate_every": 2}
    assert settings["training"].keys() == {"steps", "longest_target", "evaluate_every"}
    return {**settings, "teacher": tiny.encoder(), "training": settings["training"] | short}


def test_the_tutorial_runs(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_data(tmp_path / "data", tiny)
    monkeypatch.setenv("OPTICAL_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    printed: dict[str, str] = {}
    for language, block in re.findall(
        r"^```(\S*)\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE
    ):
        if language == "toml":
            name = block.partition("\n")[0].removeprefix("# ")
            Path(name).write_text(toml.dump(configuration(block, tiny)), "utf-8")
            continue
        for line in block.splitlines():
            program, *words = shlex.split(line, comments=True)
            if program != "optical-workbench" or any(words[: len(those)] == those for those in ELSEWHERE):
                continue
            code = run(words)
            output = capsys.readouterr()
            assert code == 0, f"{line}: {output.err}"
            printed[" ".join(words)] = output.out
    assert "nDCG@10" in printed["run zero-shot.toml"] and "nDCG@10" in printed["run hausa.toml"]
    assert "hausa" in printed["runs"] and "zero-shot" in printed["runs"]
    assert Path("plan.svg").read_text("utf-8").startswith("<?xml")
    assert len(printed) == 12
