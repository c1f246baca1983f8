"""Pictures and arrays of plans: what is in the files, in every script."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.image import imread

from engine.errors import InputError, OpticalError
from engine.pictures import fonts
from engine.pictures.plans import export_plan
from engine.pictures.shading import Shading

SOURCES = ["المكتبة", "ขอบคุณ", "क्षत्रिय", "机器翻译", "👩‍🔬", "ə", "$a$"]
TARGETS = ["thank", "you", "<b>", "&"]


@pytest.fixture
def row() -> dict[str, Any]:
    mass = np.random.default_rng(0).dirichlet(np.full(4, 0.5), 7).astype(np.float32) / 7
    return {
        "plan": mass, "cost": 1 - mass, "source_tokens": SOURCES, "target_tokens": TARGETS, "value": 0.4,
        "solver": "sinkhorn", "epsilon": 0.05, "entropy": 0.7, "marginal_error": 1e-5, "source_text": "x",
    }  # fmt: skip


def test_arrays_keep_numbers_tokens_and_record(row: dict[str, Any], tmp_path: Path) -> None:
    assert export_plan(row, tmp_path / "a.npz") == ""
    with np.load(tmp_path / "a.npz", allow_pickle=False) as stored:
        assert (stored["plan"] == row["plan"]).all() and (stored["cost"] == row["cost"]).all()
        assert stored["plan"].sum(1) == pytest.approx(np.full(7, 1 / 7), abs=1e-6)
        assert stored["source_tokens"].tolist() == SOURCES
        record = json.loads(str(stored["record"]))
    assert record["epsilon"] == 0.05 and "target_tokens" not in record


def test_svg_has_every_label_as_text(row: dict[str, Any], tmp_path: Path) -> None:
    assert export_plan(row, tmp_path / "a.svg", marks=True) == ""
    texts = {element.text for element in ElementTree.parse(tmp_path / "a.svg").iter() if element.text}
    assert {*SOURCES, *TARGETS} <= texts


def test_png_numbers_labels_that_no_font_has_and_says_so(
    row: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = [(name, path) for name, path in fonts.installed_fonts() if name == "DejaVu Sans"]
    monkeypatch.setattr(fonts, "installed_fonts", lambda: plain)
    said = export_plan(row, tmp_path / "a.png")
    assert said.startswith(
        "no installed font draws Thai or Devanagari or CJK or emoji, so 4 labels are numbers"
    )
    assert imread(tmp_path / "a.png").shape[2] == 4
    row["source_tokens"] = ["المكتبة", *"abcdef"]  # DejaVu has Arabic, which matplotlib shapes
    assert export_plan(row, tmp_path / "b.png") == ""


def test_a_font_with_the_script_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _font(tmp_path / "deva.ttf", "क्षत्रिय")
    plain = [(name, file) for name, file in fonts.installed_fonts() if name == "DejaVu Sans"]
    monkeypatch.setattr(fonts, "installed_fonts", lambda: [*plain, ("Made", str(path))])
    assert fonts.fonts_for("क्षत्रिय") == ["Made"]
    assert fonts.fonts_for("क्ष\u200dत्रिय\ufe0f") == ["Made"]  # joiners, selectors have no glyph of their own
    assert fonts.fonts_for("abc") == fonts.fonts_for("") == ["DejaVu Sans"]
    assert fonts.fonts_for("▁क्ष") == ["Made", "DejaVu Sans"]
    assert fonts.fonts_for("क ไทย") == []


def _font(path: Path, characters: str) -> Path:
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for point in ((0, 500), (500, 500), (500, 0)):
        pen.lineTo(point)
    pen.closePath()
    names = {ord(character): f"g{ord(character):x}" for character in characters}
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", *names.values()])
    builder.setupCharacterMap(names)
    builder.setupGlyf(dict.fromkeys([".notdef", *names.values()], pen.glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys([".notdef", *names.values()], (600, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Made", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    return path


def test_a_wrong_ending_or_place_is_a_sentence(row: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.npz, \.png, \.svg"):
        export_plan(row, tmp_path / "a.pdf")
    with pytest.raises(OpticalError, match="cannot be written: No such file"):
        export_plan(row, tmp_path / "none" / "a.npz")
    assert list(tmp_path.iterdir()) == []


MATRIX = np.array([[4.0, 1.0, 0.0], [0.02, 0.01, 0.04]])


@pytest.mark.parametrize(
    ("by", "divisor"),
    [("all", lambda m: m.max()), ("row", lambda m: m.max(1, keepdims=True)), ("column", lambda m: m.max(0))],
)
def test_shades_are_shares_of_the_largest(by: Any, divisor: Callable[[Any], Any]) -> None:
    shares = Shading(by=by).shares(MATRIX)
    assert shares == pytest.approx(MATRIX / np.where(divisor(MATRIX) > 0, divisor(MATRIX), 1))
    assert (Shading(by=by).shares(-MATRIX) == shares).all()


def test_shades_of_costs_logarithms_and_thresholds() -> None:
    assert Shading("cost").shares(MATRIX + 7) == pytest.approx(MATRIX / 4)
    logarithmic = Shading(logarithmic=True).shares(MATRIX)
    assert logarithmic[0, 0] == 1 and logarithmic[0, 2] == 0
    assert logarithmic[1, 2] == pytest.approx(1 - 2 / 3)  # a hundredth is two of three decades down
    hidden = np.isnan(Shading(threshold=0.01).shares(MATRIX))
    assert hidden.tolist() == [[False, False, True], [True, True, False]]
    assert Shading("product").values(MATRIX, MATRIX + 1)[0, 0] == 20
    assert not np.isnan(Shading().shares(np.zeros((2, 2)))).any()
