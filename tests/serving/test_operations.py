"""The operations give what evaluation stored and what the commands compute, and refuse in sentences."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import pyarrow.parquet as pq
import pytest
import torch

from engine.config import TransportConfig, parse_config
from engine.encoders.encoder import Encoder
from engine.errors import InputError, OpticalError
from engine.evaluation.finished_run import saved_encoders
from engine.inspect.cache import Cache
from engine.reporting import Reporter
from engine.results.ingest import ingest
from engine.results.run_folder import RunFolder
from engine.runs.execute import execute
from engine.serving.operations import Operations
from engine.serving.records import EXPLAIN, LIST_POOLS, LIST_QUERIES, PLAN, SEARCH, Operation

Reply = TypeVar("Reply")
QUICK = {"steps": 4, "evaluate_every": 2}


class Listening(Reporter):
    def __init__(self) -> None:
        self.heard: list[str] = []

    def say(self, sentence: str) -> None:
        self.heard.append(sentence)

    def stage(self, name: str, total: int) -> None:
        self.heard.append(name)


@pytest.fixture(scope="module")
def home(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a distillation of two languages, and one that stopped early, of the same teacher."""
    home = tmp_path_factory.mktemp("asked")
    settings = tiny.settings("sw", "mr")
    given = settings["collections"]
    both = [*given, {**given[0], "label": "reversed", "directions": ["en-xx"]}]
    other = {**settings, "name": "other", "training": {**settings["training"], **QUICK}}
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPTICAL_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        for config in ({**settings, "collections": both}, other):
            execute(parse_config(config), home / "runs", ["test"])
    ingest(home / "results.duckdb", home / "runs")
    return home


@pytest.fixture(scope="module")
def operations() -> Operations:
    return Operations()


@pytest.fixture
def address(home: Path) -> dict[str, Any]:
    return {"results": str(home / "results.duckdb"), "run": "tiny"}


def ask(
    operations: Operations, operation: Operation[Any, Reply], parameters: dict[str, Any], reporter: Any = None
) -> Reply:
    """Send a request over JSON, as the app does, and read the reply."""
    sent = json.loads(json.dumps(parameters))
    result = operations.table()[operation.name](sent, reporter or Listening())
    return operation.read_reply(json.loads(json.dumps(result)))


def rows(home: Path, run: str, table: str) -> Iterator[dict[str, Any]]:
    (folder,) = (home / "runs").glob(f"*-{run}-*")
    for file in folder.glob(f"{table}*.parquet"):
        yield from pq.read_table(file).to_pylist()


def test_a_run_says_what_it_can_be_asked(operations: Operations, address: dict[str, Any]) -> None:
    pools = ask(operations, LIST_POOLS, address)
    assert [(p.collection, p.pool, p.direction, p.queries, p.documents) for p in pools] == [
        ("ciphers", 0, "xx-en", ["sw", "mr"], "en"),
        ("reversed", 0, "en-xx", ["en"], "sw"),
        ("reversed", 1, "en-xx", ["en"], "mr"),
    ]
    assert {pool.size for pool in pools} == {25}


@pytest.mark.slow
def test_the_ranking_is_the_one_that_was_stored(
    operations: Operations, home: Path, address: dict[str, Any]
) -> None:
    stored: dict[str, list[tuple[str, float, int | None]]] = {}
    for row in rows(home, "tiny", "rankings"):
        if row["collection"] == "ciphers":
            ranking = stored.setdefault(row["query_id"], [])
            ranking.append((row["document_id"], row["score"], row["grade"]))
    for code in ("sw", "mr"):
        own = ask(operations, LIST_QUERIES, {**address, "language": code})
        assert len(own) == 25
        for query in own[:5]:
            found = ask(operations, SEARCH, {**address, "language": code, "text": query.text, "k": 7})
            expected = sorted(stored[query.id], key=lambda hit: -hit[1])[:7]
            assert [hit.document for hit in found.hits] == [document for document, _, _ in expected]
            assert [hit.score for hit in found.hits] == pytest.approx(
                [score for _, score, _ in expected], abs=1e-3
            )
            assert [hit.grade for hit in found.hits] == [grade for _, _, grade in expected]
            assert (found.relevant, found.cut, found.searched) == (1, False, 25)
            hit = found.hits[2]
            why = ask(
                operations,
                EXPLAIN,
                {**address, "language": code, "text": query.text, "document": hit.document},
            )
            assert why.text == hit.text
            assert [match.query_token for match in why.matches] == query.text.split()
            assert why.score == pytest.approx(hit.score, abs=1e-3)
    typed = ask(operations, SEARCH, {**address, "language": "sw", "text": "revir " * 30})
    assert typed.relevant is None and typed.cut
    assert {hit.grade for hit in typed.hits} == {None}


def test_a_pool_is_chosen_by_its_number(operations: Operations, address: dict[str, Any]) -> None:
    asked = {**address, "language": "en", "text": "river", "collection": "reversed"}
    for number, code in ((None, "sw"), (0, "sw"), (1, "mr")):
        found = ask(operations, SEARCH, {**asked, "pool": number})
        assert {hit.language for hit in found.hits} == {code}
    with pytest.raises(InputError, match="'reversed' has 2 pools, so there is no pool 2"):
        ask(operations, SEARCH, {**asked, "pool": 2})


def test_what_two_runs_share_is_loaded_once(home: Path, address: dict[str, Any]) -> None:
    operations = Operations()
    asked = {**address, "language": "sw", "text": "revir enots"}
    first, second, third = Listening(), Listening(), Listening()
    ask(operations, SEARCH, asked, first)
    ask(operations, SEARCH, {**asked, "run": "other"}, second)
    ask(operations, SEARCH, asked, third)
    assert [line for line in first.heard if "loading" in line] == [
        "loading tiny's query encoder …",
        "loading tiny's document encoder …",
    ]
    assert "ciphers: documents" in first.heard
    assert second.heard == ["loading other's query encoder …"]
    assert third.heard == []


def test_a_cache_keeps_what_was_used_last(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder,) = (home / "runs").glob("*-tiny-*")
    student, teacher = saved_encoders(RunFolder.open(folder))
    loaded: list[str] = []
    load = Encoder.load

    def counting(config: Any, **options: Any) -> Encoder:
        loaded.append(Path(config.checkpoint).name)
        return load(config, **options)

    monkeypatch.setattr(Encoder, "load", counting)
    cache = Cache(encoders=1)
    for saved in (student, student, teacher, student):
        cache.encoder(saved)
    assert loaded == ["student", "checkpoint", "student"]


def test_a_plan_is_the_one_that_was_stored_and_solved_again_without_encoding(
    operations: Operations, home: Path, address: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = next(rows(home, "tiny", "plans"))
    asked = {**address, "source": kept["source_text"], "target": kept["target_text"], "language": "sw"}
    plan = ask(operations, PLAN, asked)
    for name in ("source_tokens", "target_tokens", "solver"):
        assert getattr(plan, name) == kept[name]
    assert torch.allclose(torch.tensor(plan.plan), torch.tensor(kept["plan"]), atol=1e-3)
    assert plan.value == pytest.approx(kept["value"], abs=1e-3)
    assert TransportConfig(**plan.transport).epsilon == 0.2

    monkeypatch.setattr(Encoder, "forward", lambda *_: pytest.fail("it was encoded again"))
    values = {}
    for transport in ({"solver": "exact"}, {"epsilon": 0.05, "iterations": 2000}, {"epsilon": 5}):
        again = ask(operations, PLAN, {**asked, "transport": transport})
        values[str(transport)] = again.value
        assert again.converged
        for name, value in transport.items():
            assert again.transport[name] == value
    assert list(values.values()) == sorted(values.values())  # the exact plan is the cheapest


@pytest.mark.parametrize(
    ("op", "parameters", "says"),
    [
        ("search", {"text": "x" * 10_000}, "the query has 10,000 characters; type at most 2,000"),
        ("search", {"text": "a\x1b[2J"}, "the control character U+001B"),
        ("search", {"text": " \n"}, "the query is empty"),
        ("search", {"text": "x", "language": "swahilii"}, "unknown language code 'swahilii'"),
        ("search", {"text": "x", "k": 0}, "k: input should be greater than or equal to 1, not 0"),
        (
            "search",
            {"text": "x", "collektion": "y"},
            "collektion is not a setting (did you mean 'collection'?)",
        ),
        ("search", {"text": "x", "run": "tinny"}, "there is no run 'tinny' (did you mean 'tiny'?)"),
        ("search", {"text": "x", "run": "../runs"}, "there is no run '../runs'"),
        ("search", {"text": "x", "results": "nowhere.duckdb"}, "nowhere.duckdb"),
        ("search", {}, "text is missing"),
        ("explain", {"text": "x", "document": "en:999"}, "has no document 'en:999'"),
        ("plan", {"source": "", "target": "x"}, "the source sentence is empty"),
        (
            "plan",
            {"source": "x", "target": "\x00"},
            "the target sentence contains the control character U+0000",
        ),
        (
            "plan",
            {"source": "x", "target": "x", "transport": {"epsilon": -1}},
            "transport.epsilon: input should be greater than 0, not -1",
        ),
        (
            "plan",
            {"source": "x", "target": "x", "transport": {"solver": "simplex"}},
            "transport.solver: input should be 'sinkhorn', 'ipot'",
        ),
        (
            "plan",
            {"source": "x", "target": "x", "transport": {"epsilom": 1}},
            "transport.epsilom is not a setting (did you mean 'epsilon'?)",
        ),
    ],
)
def test_refusals(
    operations: Operations, address: dict[str, Any], op: str, parameters: dict[str, Any], says: str
) -> None:
    with pytest.raises(OpticalError) as raised:
        operations.table()[op]({**address, "language": "sw", **parameters}, Listening())
    assert says in str(raised.value)


def test_runs_that_lost_their_encoders_or_their_folder(
    operations: Operations, home: Path, address: dict[str, Any], tmp_path: Path
) -> None:
    shutil.copytree(home, tmp_path / "copy")
    asked = {"results": str(tmp_path / "copy" / "results.duckdb"), "language": "sw", "text": "revir"}
    (folder,) = (tmp_path / "copy" / "runs").glob("*-other-*")
    shutil.rmtree(folder / "checkpoints")
    with pytest.raises(InputError, match="has no encoders in checkpoints/"):
        ask(operations, SEARCH, {**asked, "run": "other"})
    shutil.rmtree(folder)
    with pytest.raises(InputError, match=r"the folder of run '.*' is missing; restore it, or remove"):
        ask(operations, SEARCH, {**asked, "run": "other"})
