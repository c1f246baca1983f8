"""Local data with its counts, the pickers of the launch form, and the estimate of the time."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input

from engine.bitext.source import read_source
from engine.config import BitextConfig
from workbench.app import Workbench
from workbench.launch.estimate import estimate
from workbench.launch.pair_counts import DAMAGED, EARLIER, PairCounts, find_sources
from workbench.launch.pickers import SourcePicker, language_picker
from workbench.widgets.dialogs import ChoiceDialog
from workbench.widgets.table import Cell, Table


def words(table: Table) -> list[list[str]]:
    return [[str(cell.text if isinstance(cell, Cell) else cell) for cell in row] for row in table.rows]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data home with TICO-19's Somali and Swahili cut to a few segments, and nothing installed."""
    home = tmp_path / "data"
    (home / "tico-19").mkdir(parents=True)
    for code, count in (("so", 3), ("sw", 5)):
        units = "".join(
            f'<tu><tuv xml:lang="en"><seg>sentence {n}</seg></tuv><tuv xml:lang="{code}"><seg>erey {n}</seg>'
            "</tuv></tu>"
            for n in range(count)
        )
        text = f'<?xml version="1.0"?><tmx version="1.4"><header/><body>{units}</body></tmx>'
        with zipfile.ZipFile(home / "tico-19" / f"all.en-{code}.tmx.zip", "w") as archive:
            archive.writestr(f"all.en-{code}.tmx", text)
    monkeypatch.setenv("OPTICAL_DATA", str(home))
    monkeypatch.setattr("importlib.metadata.distributions", list)
    monkeypatch.setattr(SourcePicker, "last_sources", [])
    return home


def test_counts_are_those_of_the_reader_and_are_cached(home: Path) -> None:
    mine = home / "mine.tsv"
    mine.write_text("kow\tone\nlaba\ttwo\nlaba\ttwo\n\tthree\n", "utf-8")
    run = {"config": {"bitext": [{"path": "mine.tsv", "language": "so"}, {"path": "gone.tsv"}]}}
    found = {(s.origin, s.path, s.language): s for s in find_sources([run, {"config": None}])}
    assert list(found) == [
        ("tico-19", "tico-19/all.en-so.tmx.zip", "so"),
        ("tico-19", "tico-19/all.en-sw.tmx.zip", "sw"),
        (EARLIER, "mine.tsv", "so"),
    ]
    counts = PairCounts()
    for source in found.values():
        assert counts.known(source) is None
        if source.origin == EARLIER:
            read = read_source(BitextConfig(path=source.path, language=source.language))
            assert counts.count(source) == len(read) == 2
        else:
            counts.count(source)
    counts.save()
    again = PairCounts()
    assert again.known(found[EARLIER, "mine.tsv", "so"]) == 2
    mine.write_text("kow\tone\n", "utf-8")
    (changed,) = [s for s in find_sources([run]) if s.origin == EARLIER]
    assert again.known(changed) is None and again.count(changed) == 1


@pytest.mark.data
def test_counts_of_real_files(data_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.metadata.distributions", list)
    source = next(s for s in find_sources() if (s.origin, s.language) == ("tico-19", "so"))
    assert source.path == "tico-19/all.en-so.tmx.zip"
    assert (
        PairCounts().count(source) == len(read_source(BitextConfig(path=source.path, language="so"))) > 3000
    )


def test_damaged_data_and_a_damaged_cache_cause_no_error(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = home / "cache"
    cache.mkdir()
    monkeypatch.setenv("OPTICAL_CACHE", str(cache))
    (cache / "pair-counts.json").write_text('{"a": 1, "b": ["x"', "utf-8")
    file = home / "tico-19" / "all.en-so.tmx.zip"
    file.write_bytes(file.read_bytes()[:200])
    source = next(s for s in find_sources() if s.language == "so")
    assert PairCounts().count(source) == DAMAGED


async def test_several_sources_are_picked_at_once(home: Path, tmp_path: Path, tools: Any) -> None:
    app = Workbench(tmp_path / "results.duckdb")
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("2")
        form = app.screen.query_one(Table)
        await tools.until(pilot, lambda: form.rows)
        form.go_to(list(form.keys or ()).index(("bitext", 0, "path")))
        await pilot.press("enter")
        await tools.until(pilot, lambda: isinstance(app.screen, ChoiceDialog))
        rows = app.screen.query_one(Table)
        await tools.until(pilot, lambda: len(rows.rows) == 2 and "…" not in str(words(rows)))
        assert [row[1:5] for row in words(rows)] == [
            ["so", "Somali", "3", "tico-19"],
            ["sw", "Swahili", "5", "tico-19"],
        ]
        await pilot.press("tab", "tab", "enter")
        await tools.until(pilot, lambda: not app.screen.is_modal)
        picked = [(item["path"], item["language"]) for item in app.screen.form.settings["bitext"]]
        assert picked == [("tico-19/all.en-so.tmx.zip", "so"), ("tico-19/all.en-sw.tmx.zip", "sw")]
        assert not app.screen.form.errors

        # Choosing another language also sets the path of its file.
        form.go_to(list(form.keys or ()).index(("bitext", 0, "language")))
        await pilot.press("enter")
        await tools.until(pilot, lambda: isinstance(app.screen, SourcePicker) and app.screen.counts)
        app.screen.query_one(Input).value = "sw"
        await tools.until(pilot, lambda: app.screen.query_one(Table).key == "sw")
        await pilot.press("enter")
        await tools.until(pilot, lambda: not app.screen.is_modal)
        assert app.screen.form.get_value(("bitext", 0)) == {
            "path": "tico-19/all.en-sw.tmx.zip",
            "language": "sw",
            "target_language": "en",
        }


async def test_an_exact_match_comes_first(home: Path, tmp_path: Path, tools: Any) -> None:
    app = Workbench(tmp_path / "results.duckdb")
    async with app.run_test(size=(80, 24)) as pilot:
        await tools.until(pilot, lambda: app.context.snapshot is not None)
        picker = language_picker([], [])
        app.push_screen(picker)
        await tools.until(pilot, lambda: app.screen is picker and picker.query(Table))
        for code in ("so", "tr", "hsb"):
            picker.query_one(Input).value = code
            await tools.until(pilot, lambda code=code: picker.query_one(Table).key == code)


SETTINGS = {
    "teacher": {"checkpoint": "e5"},
    "student": None,
    "training": {"steps": 600, "batch_size": 32, "threads": None, "frozen_layers": 0},
    "loss": {"transport": 1.0},
}


def timed(name: str, speed: float | None, host: str = "here", **changes: Any) -> dict[str, Any]:
    return {"name": name, "host": host, "speed": speed, "config": json.loads(json.dumps(SETTINGS)) | changes}


@pytest.mark.parametrize(
    ("runs", "says"),
    [
        ([], "no run of this encoder was timed on this machine"),
        ([timed("there", 9.0, host="there")], "no run of this encoder"),
        ([timed("other", 9.0, teacher={"checkpoint": "labse"})], "no run of this encoder"),
        ([timed("student", 9.0, student={"checkpoint": "labse"})], "no run of this encoder"),
        ([timed("untimed", None)], "no run of this encoder"),
        ([timed("new", 32.0), timed("old", 64.0)], "about 10 min, at the 32 pairs/s of new"),
        (
            [timed("other loss", 64.0, loss={}), timed("same", 32.0)],
            "about 10 min, at the 32 pairs/s of same",
        ),
    ],
)
def test_the_estimate_names_its_source(runs: list[dict[str, Any]], says: str) -> None:
    assert says in estimate(SETTINGS, runs, "here")
    assert estimate({"encoder": {}}, runs, "here") == ""
