"""The tutorial's commands run, in their order, on data of the tutorial's shape and a tiny encoder."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
import zipfile
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest

from engine.cli import toml
from engine.cli.commands import run

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
#: Commands that need a network, or another program.
ELSEWHERE = (["data", "fetch"], ["doctor"])


def pairs(path: Path) -> list[list[str]]:
    """Return the sentence pairs of a TSV file, Swahili first."""
    return [line.split("\t") for line in path.read_text("utf-8").splitlines()]


def write_data(home: Path, tiny: Any) -> None:
    """Write TICO-19's Swahili file, whose part from segment 971 is trained on, and AfriQA's questions."""
    evaluation = [[f"sehemu {number}", f"segment {number}"] for number in range(971)]
    units = "".join(
        f'<tu><tuv xml:lang="en"><seg>{escape(english)}</seg></tuv>'
        f'<tuv xml:lang="sw"><seg>{escape(swahili)}</seg></tuv></tu>'
        for swahili, english in evaluation + pairs(tiny.training["sw"])
    )
    (home / "tico-19").mkdir(parents=True)
    with zipfile.ZipFile(home / "tico-19" / "all.en-sw.tmx.zip", "w") as archive:
        head = '<header srclang="en" datatype="plaintext" segtype="sentence" adminlang="en" o-tmf="x"/>'
        archive.writestr("all.en-sw.tmx", f'<tmx version="1.4">{head}<body>{units}</body></tmx>')
    folder = home / "afriqa" / "gold_passages" / "swa"
    folder.mkdir(parents=True)
    with (folder / "gold_span_passages.afriqa.swa.en.test.json").open("w", encoding="utf-8") as file:
        for number, (swahili, english) in enumerate(pairs(tiny.test["sw"])):
            answer = {"answer_start": [0], "text": [english.split()[0]]}
            record = {"id": str(number), "question_lang": swahili, "question_translated": english}
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
    assert "nDCG@10" in printed["run zero-shot.toml"] and "nDCG@10" in printed["run swahili.toml"]
    assert "swahili" in printed["runs"] and "zero-shot" in printed["runs"]
    assert Path("plan.svg").read_text("utf-8").startswith("<?xml")
    assert len(printed) == 12
