"""Text in one language: lines, paragraphs, and one side of bitext."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.bitext.text import code_of, open_text, read_text
from engine.config.pretraining import TextConfig
from engine.errors import InputError


def source(path: Path | str, **changes: Any) -> TextConfig:
    return TextConfig(**{"path": str(path), "language": "sw", **changes})


def test_lines_are_cleaned_and_duplicates_are_removed(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("moja  mbili\n\ntatu\nmoja mbili\nne\u0301\n" + "x" * 30 + "\n", "utf-8")
    assert read_text(source(path, max_characters=20)) == ["moja mbili", "tatu", "né"]
    assert read_text(source(path, start=2, stop=3)) == ["tatu"]
    plain = tmp_path / "tatoeba.swh-eng.swh"
    plain.write_text("habari\n", "utf-8")
    assert read_text(source(plain)) == ["habari"]


def test_a_limit_draws_with_the_seed(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("".join(f"line {i}\n" for i in range(100)), "utf-8")
    drawn = [read_text(source(path, limit=10), seed) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2] and all(len(set(found)) == 10 for found in drawn)
    numbers = [int(text.split()[1]) for text in drawn[0]]
    assert numbers == sorted(numbers)


def test_both_sides_of_bitext_and_their_split(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("".join(f"neno {i}\tword {i}\n" for i in range(200)), "utf-8")
    assert read_text(source(path))[:2] == ["neno 0", "neno 1"]
    english = source(path, side="target")
    assert (code_of(english), read_text(english)[0]) == ("en", "word 0")
    parts = {
        side: {
            part: {text.split()[1] for text in read_text(source(path, side=side, part=part))}
            for part in ("train", "test")
        }
        for side in ("source", "target")
    }
    assert parts["source"] == parts["target"] and not parts["source"]["train"] & parts["source"]["test"]


def test_paragraphs_of_squad(tmp_path: Path) -> None:
    path = tmp_path / "sw.json"
    data = [{"paragraphs": [{"context": "Aya ya kwanza."}, {"context": "Aya ya pili."}]}]
    path.write_text(json.dumps({"data": data}), "utf-8")
    assert read_text(source(path)) == ["Aya ya kwanza.", "Aya ya pili."]
    path.write_text('{"data": [{}]}', "utf-8")
    with pytest.raises(InputError, match="not SQuAD-shaped"):
        read_text(source(path))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"side": "target"}, "belongs to bitext"),
        ({"start": 5}, "no text is left in 'sw'"),
        ({"language": "klingonish"}, "klingonish"),
    ],
)
def test_sources_that_cannot_be_read_are_refused(
    changes: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("moja\n", "utf-8")
    with pytest.raises(InputError, match=sentence):
        read_text(source(path, **changes))
        code_of(source(path, **changes))
    with pytest.raises(InputError):
        open_text(source(path, **changes))


@pytest.mark.data
def test_real_paragraphs(data_home: Path) -> None:
    texts = read_text(source(data_home / "xquad-r" / "hi.json", language="hi"))
    assert len(texts) == 240  # XQuAD has 240 paragraphs in every language
