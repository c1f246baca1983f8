"""Texts that are longer than an encoder takes are counted, stored and shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.cli.commands import run as run_command
from engine.config import EncoderConfig, parse_config
from engine.encoders.encoder import Encoder
from engine.reporting import Reporter
from engine.results.run_facts import cut_of, cut_sentence
from engine.retrieval.vectors import count_cut
from engine.runs.execute import execute


def entry(cut: int, of: int) -> dict[str, Any]:
    return {"texts": "queries of x", "cut": cut, "of": of, "setting": "query_length", "length": 64}


def test_more_than_one_percent_is_a_warning() -> None:
    assert cut_sentence(entry(1, 100)) == (
        "1 of 100 queries of x (1.0%) are longer than query_length = 64 and were cut"
    )
    assert cut_sentence(entry(2, 100)).endswith("and were cut; raise it")
    assert cut_of({"summary": {"cut": [entry(0, 100), entry(3, 100)]}}) == [cut_sentence(entry(3, 100))]
    assert cut_of({"summary": None}) == []


@pytest.mark.parametrize("length", [5, 6, 7])
def test_a_text_that_just_fits_is_not_cut(tiny: Any, length: int, tmp_path: Path) -> None:
    # [CLS], the prefix's two pieces, the words, [SEP]
    encoder = Encoder.load(EncoderConfig(**tiny.encoder(query_length=length)))
    texts = ["water", "water water", "water water water", "water " * 40]
    expected = sum(len(encoder.tokenizer("query: " + text)["input_ids"]) > length for text in texts)
    assert count_cut(encoder, texts, "query", cache=tmp_path) == expected
    assert [tokens.cut for tokens in encoder.tokenize(texts, "query")].count(True) == expected
    assert count_cut(encoder, texts, "query", cache=tmp_path) == expected


class Heard(Reporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, sentence: str) -> None:
        self.said.append(sentence)


def test_a_run_stores_and_shows_them(tiny: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = parse_config(tiny.settings("sw", teacher={"query_length": 8}, training={"steps": 1}))
    heard = Heard()
    run, _ = execute(config, tmp_path / "runs", ["test"], reporter=heard)
    summary = run.record["summary"]
    texts = {one["texts"]: one for key in ("cut_in_training", "cut") for one in summary[key]}
    assert texts.keys() == {
        "sentences to train on",
        "English sentences to train on",
        "documents of ciphers",
        "queries of ciphers",
    }
    assert texts["documents of ciphers"]["cut"] == 0
    queries = texts["queries of ciphers"]
    assert queries["of"] == 25 and 0 < queries["cut"] < 25
    assert cut_sentence(queries) in heard.said
    assert run_command(["show", run.id, "--results", str(tmp_path / "results.duckdb")]) == 0
    assert "queries of ciphers" in capsys.readouterr().out
