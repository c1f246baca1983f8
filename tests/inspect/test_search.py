"""Searchers are kept between queries: nothing is hashed or loaded twice, and changed files are noticed."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save

from engine.config import parse_config
from engine.encoders.changes import CHANGES_FILE
from engine.encoders.encoder import Encoder
from engine.encoders.saving import save_encoder
from engine.errors import InputError
from engine.inspect.cache import Cache, FileStamps, Recent
from engine.inspect.explain import explain
from engine.inspect.opening import Searchers
from engine.inspect.search import Searcher
from engine.lexicon import glossary
from engine.reporting import Reporter
from engine.results.run_folder import RunFolder
from engine.runs.execute import execute
from tests.conftest import cipher


class Heard(Reporter):
    def __init__(self) -> None:
        self.sentences: list[str] = []

    def say(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def stage(self, name: str, total: int) -> None:
        self.sentences.append(name)


@pytest.fixture(scope="module")
def finished(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    torch.set_num_threads(1)
    settings = tiny.settings("sw", "mr", training={"steps": 4, "evaluate_every": 2})
    both = [
        *settings["collections"],
        {**settings["collections"][0], "label": "again", "directions": ["en-xx"]},
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPTICAL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        run, _ = execute(
            parse_config({**settings, "collections": both}), tmp_path_factory.mktemp("runs"), ["test"]
        )
    return run


@pytest.fixture
def run(finished: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy whose files a test may change."""
    folder = tmp_path / finished.path.name
    shutil.copytree(finished.path, folder)
    return RunFolder.open(folder)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Numbers of calls of every function that hashes, and of loading an encoder."""
    counted: Counter[str] = Counter()

    def count(place: str) -> None:
        module, _, name = place.rpartition(".")
        target = pytest.importorskip(module) if module != "Encoder" else Encoder
        before = getattr(target, name)

        def counting(*arguments: Any, **options: Any) -> Any:
            counted[name] += 1
            return before(*arguments, **options)

        monkeypatch.setattr(target, name, counting)

    for name in sorted(hashlib.algorithms_guaranteed - {"shake_128", "shake_256"} | {"new"}):
        count(f"hashlib.{name}")
    count("engine.retrieval.vectors.fingerprint")
    count("Encoder.load")
    return counted


def test_a_kept_searcher_hashes_and_loads_nothing(finished: RunFolder, calls: Counter[str]) -> None:
    searchers = Searchers()
    first = searchers.open(finished, "sw")
    assert calls["load"] == 2 and calls["fingerprint"] >= 1 and calls["blake2b"] >= 3
    calls.clear()
    hits = first.search("revir enots", 5)
    for hit in hits:
        searcher = searchers.open(RunFolder.open(finished.path), "sw")
        matches = explain(searcher, "revir enots", hit.document)
        assert sum(match.score for match in matches) / len(matches) == pytest.approx(hit.score, abs=1e-3)
        assert searchers.open(finished, "sw").search("revir", 3)
    assert searcher is first
    assert calls == Counter()


def test_pools_and_languages_have_searchers_of_their_own(finished: RunFolder, calls: Counter[str]) -> None:
    searchers = Searchers()
    found = [
        searchers.open(finished, language, collection=collection, pool=pool)
        for language, collection, pool in (
            ("sw", None, None), ("mr", None, None), ("en", "again", 0), ("en", "again", 1),
        )
    ]  # fmt: skip
    assert len({id(searcher) for searcher in found}) == 4
    assert [searcher.collection.document_language for searcher in found] == ["en", "en", "sw", "mr"]
    assert calls["load"] == 2  # they share the encoders
    languages = [{hit.language for hit in searcher.search("river", 3)} for searcher in found]
    assert languages == [{"en"}, {"en"}, {"sw"}, {"mr"}]


@pytest.mark.parametrize(
    "pattern", ["run.json", "checkpoints/student/model*.safetensors", "checkpoints/teacher"]
)
def test_changed_files_are_noticed(run: RunFolder, pattern: str) -> None:
    (place,) = run.path.glob(pattern)  # the student's weights are whole, or those that changed
    searchers = Searchers()
    first = searchers.open(run, "sw")
    assert searchers.open(run, "sw") is first
    status = place.stat()
    os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))
    assert not first.up_to_date
    assert searchers.open(run, "sw") is not first


def test_changed_weights_that_are_saved_as_changes_are_noticed(tiny: Any, tmp_path: Path) -> None:
    training = {"steps": 4, "evaluate_every": 2, "frozen_layers": 1}
    run, _ = execute(parse_config(tiny.settings("sw", training=training)), tmp_path / "runs", ["test"])
    place = run.checkpoints / "student" / CHANGES_FILE
    assert not place.with_name("model.safetensors").exists()
    searchers = Searchers()
    first = searchers.open(run, "sw")
    before = first.search("revir enots", 3)
    # written in place, so neither the folder nor the size of the file tells of it
    tensors = load_file(place)
    for name, tensor in tensors.items():
        if tensor.is_floating_point():
            tensors[name] = tensor + 0.3 * torch.randn(
                tensor.shape, generator=torch.Generator().manual_seed(1)
            )
    place.write_bytes(save(tensors))
    assert not first.up_to_date
    after = searchers.open(run, "sw").search("revir enots", 3)
    assert [hit.score for hit in after] != [hit.score for hit in before]
    assert after == Searcher(run, "sw").search("revir enots", 3)


def test_runs_with_one_encoder_and_different_glossaries_do_not_share_it(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.lexicon.glossary.COMMON", 0.5)  # the ciphers have few words
    settings = {
        "kind": "evaluate",
        "encoder": tiny.encoder(),
        "collections": tiny.settings("sw")["collections"],
        "bitext": [{"path": str(tiny.training["sw"]), "language": "sw"}],
    }
    runs = [
        execute(parse_config({**settings, **more}), tmp_path / "runs", ["test"])[0]
        for more in ({}, {"gloss": True})
    ]
    searchers = Searchers()
    text = cipher("candle", "sw")
    pieces = [searchers.open(run, "sw").encode_query(text).pieces for run in runs]
    assert "candle" in pieces[1] and "candle" not in pieces[0]
    glossed = searchers.open(runs[1], "sw")
    file = runs[1].checkpoints / "student" / glossary.FILE
    os.utime(file, ns=(0, 0))
    assert not glossed.up_to_date


def test_another_checkpoint_is_loaded_and_gives_its_own_results(run: RunFolder) -> None:
    searchers = Searchers()
    before = searchers.open(run, "sw").search("revir enots", 3)
    student = run.checkpoints / "student"
    encoder = Encoder.load(searchers.open(run, "sw").query_encoder.config)
    with torch.no_grad():
        for parameter in encoder.model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    save_encoder(encoder, student)
    after = searchers.open(run, "sw").search("revir enots", 3)
    assert [hit.score for hit in after] != [hit.score for hit in before]
    assert after == Searcher(run, "sw").search("revir enots", 3)


def test_deleted_encoders_are_noticed(run: RunFolder) -> None:
    searchers = Searchers()
    searchers.open(run, "sw")
    shutil.rmtree(run.checkpoints)
    with pytest.raises(InputError, match="has no encoders in checkpoints/"):
        searchers.open(run, "sw")


def test_what_the_cache_dropped_is_loaded_again(finished: RunFolder) -> None:
    searchers = Searchers(Cache(encoders=2, documents=1))
    address = {"collection": "again"}
    first = searchers.open(finished, "en", pool=0, **address)
    expected = first.search("river", 3)
    kept = first.vectors
    searchers.open(finished, "en", pool=1, **address)
    heard = Heard()
    assert searchers.open(finished, "en", pool=0, reporter=heard, **address) is first
    assert first.vectors is not kept and first.search("river", 3) == expected
    assert heard.sentences == [f"{first.collection.name}: documents"]


def test_recent_values() -> None:
    made: list[str] = []

    def get(recent: Recent[str], key: str) -> str:
        return recent.get(key, lambda: made.append(key) or key)  # type: ignore[func-returns-value]

    recent: Recent[str] = Recent(2)
    for key in "abacabb":
        assert get(recent, key) == key
    assert made == ["a", "b", "c", "b"]
    assert recent.find("c") is None and recent.find("b") == "b"
    recent.drop("b")
    recent.drop("never kept")
    assert recent.find("b") is None


def test_stamps_of_files(tmp_path: Path) -> None:
    file, missing = tmp_path / "a", tmp_path / "b"
    file.write_text("1")
    stamps = FileStamps.of([file, missing, tmp_path])
    assert stamps.unchanged()
    file.write_text("22")
    assert not stamps.unchanged()
    stamps = FileStamps.of([file, missing])
    missing.write_text("3")
    assert not stamps.unchanged()
    stamps = FileStamps.of([file])
    file.unlink()
    assert not stamps.unchanged()
