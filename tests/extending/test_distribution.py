"""The distribution on docs/extending.md adds a loss, a bitext format and a collection by entry points."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from engine.cli import toml
from engine.jobs.child import child_environment, python_command

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"


class Installed(NamedTuple):
    """A working folder with `extras.toml` and its data, and the environment in which the extras are found."""

    folder: Path
    environment: dict[str, str]

    def run(self, command: list[str]) -> str:
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def python(self, program: str) -> Any:
        return json.loads(self.run([sys.executable, "-P", "-c", program]).splitlines()[-1])


@pytest.fixture(scope="module")
def installed(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Write the page's files as pip installs them: the package, and a .dist-info with its entry points."""
    site, folder = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("extras")
    blocks = re.findall(
        r"^```(?:python|toml)\n# (\S+)\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    files = dict(blocks)
    assert len(blocks) == len(files) == 5
    project = tomllib.loads(files.pop("pyproject.toml"))["project"]
    config = tomllib.loads(files.pop("extras.toml"))
    for name, content in files.items():
        (site / name).parent.mkdir(exist_ok=True)
        (site / name).write_text(content, "utf-8")
    info = site / "retrieval_extras-1.0.dist-info"
    info.mkdir()
    info.joinpath("METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    groups = (
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
        for group, entries in project["entry-points"].items()
    )
    info.joinpath("entry_points.txt").write_text("\n".join(groups))
    pairs = [line.split("\t") for line in tiny.training["sw"].read_text("utf-8").splitlines()]
    (folder / "train.interlinear").write_text("".join(f"{s}\n{t}\n" for s, t in pairs), "utf-8")
    (folder / "pairs.tsv").write_bytes(tiny.test["sw"].read_bytes())
    config = {**config, "teacher": tiny.encoder(), "training": tiny.loop()}
    (folder / "extras.toml").write_text(toml.dump(config), "utf-8")
    environment = child_environment()
    path = os.pathsep.join(filter(None, (environment.get("PYTHONPATH"), str(site))))
    cache = str(tmp_path_factory.getbasetemp() / "cache")
    return Installed(folder, {**environment, "PYTHONPATH": path, "OPTICAL_CACHE": cache})


FORM = """
import json, sys, tomllib
from pathlib import Path
from workbench.launch.form import Form
form = Form.from_preset()
settings = tomllib.loads(Path("extras.toml").read_text("utf-8"))
form.set_value(("name",), "from-the-form")
for key in ("teacher", "training"):
    for name, value in settings[key].items():
        form.set_value((key, name), value)
form.set_value(("bitext", 0, "path"), "train.interlinear")
form.set_value(("bitext", 0, "language"), "sw")
form.set_value(("bitext", 0, "format"), "interlinear")
form.set_value(("loss", "transport"), 0.5)
form.set_value(("loss", "centroid", "weight"), 1.0)
form.set_value(("loss", "centroid", "margin"), 0.01)
place = form.add_item(("collections",))
for name, value in (("name", "word-pairs"), ("path", "pairs.tsv"), ("languages", ["sw"]), ("shortest", 4)):
    form.set_value((*place, name), value)
rows = {".".join(map(str, row.path)): row for row in form.rows()}
form.save(Path("form.toml"))
print(json.dumps({
    "formats": rows["bitext.0.format"].choices,
    "collections": rows["collections.0.name"].choices,
    "margin": rows["loss.centroid.margin"].meaning,
    "shortest": rows["collections.0.shortest"].meaning,
    "slow": sorted({"torch", "pyarrow"} & set(sys.modules)),
}))
"""


def test_the_form_offers_the_entries_and_writes_a_file_that_runs(installed: Installed) -> None:
    shown = installed.python(FORM)
    assert "interlinear" in shown["formats"] and "word-pairs" in shown["collections"]
    assert shown["margin"] == "Squared distance that costs nothing."
    assert shown["shortest"] == "Leave out pairs whose query has fewer characters." and shown["slow"] == []
    written = tomllib.loads((installed.folder / "form.toml").read_text("utf-8"))
    assert written["loss"]["centroid"] == {"weight": 1.0, "margin": 0.01}
    printed = installed.run(python_command("engine.cli", "config", "check", "form.toml", "--json"))
    assert [found["queries"] for found in json.loads(printed)["collections"]] == [25]


def test_the_schema_lists_the_entries(installed: Installed) -> None:
    schema = installed.run(python_command("engine.cli", "config", "schema"))
    assert all(name in schema for name in ('"interlinear"', '"word-pairs"', '"centroid"', '"shortest"'))


def checked(record: dict[str, Any], scores: list[dict[str, Any]]) -> None:
    assert record["state"] == "finished" and record["config"]["loss"]["centroid"]["margin"] == 0.01
    assert record["config"]["collections"][0]["shortest"] == 4
    (mean,) = (row for row in scores if row["measure"] == "RR")
    assert mean["protocol"] == "word-pairs" and mean["queries"] == 25 and mean["value"] > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("config", ["extras.toml", "form.toml"])
def test_a_distillation_from_the_command_line(installed: Installed, config: str) -> None:
    if config == "form.toml":
        installed.python(FORM)
    printed = installed.run(python_command("engine.cli", "run", config, "--json"))
    folder = installed.folder / "runs" / json.loads(printed)["run"]
    printed = installed.run(python_command("engine.cli", "sql", "FROM scores", "--json"))
    scores = [row for row in json.loads(printed) if row["run"] == folder.name]
    checked(json.loads((folder / "run.json").read_text("utf-8")), scores)
    metrics = [json.loads(line)["metrics"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert "centroid" in set().union(*metrics)


@pytest.mark.slow
def test_a_distillation_from_python(installed: Installed) -> None:
    found = installed.python(
        "import json, optical_workbench as ow\n"
        "run = ow.run('extras.toml', name='python', progress=False)\n"
        "scores = [vars(score) for score in run.scores()]\n"
        "print(json.dumps([run.folder.record, scores]))"
    )
    checked(*found)


def test_doctor_reports_entry_points_that_fail(installed: Installed, tmp_path: Path) -> None:
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    info.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    info.joinpath("entry_points.txt").write_text("[optical_workbench.losses]\nbad = no_such_module:LOSS\n")
    path = os.pathsep.join([installed.environment["PYTHONPATH"], str(tmp_path)])
    environment = {**installed.environment, "PYTHONPATH": path}
    command = python_command("engine.cli", "doctor", "--json")
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    findings = json.loads(done.stdout)["findings"]
    (found,) = (entry for entry in findings if entry["what"] == "extensions")
    assert found["state"] == "warning" and "no_such_module:LOSS" in found["found"]
