"""Whatever a file, an expression or a request holds: it is read, or refused in one sentence.

Each check runs for ``OPTICAL_FUZZ_SECONDS``. A failure prints the smallest example; it becomes a test beside
the code that is mended.
"""

from __future__ import annotations

import copy
import itertools
import json
import os
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from engine.config import parse_config, preset_settings, presets
from engine.config.load import load_config, read_settings
from engine.errors import InputError
from engine.jobs.state import state_of
from engine.paths import runs_folder
from engine.results.filters import parse_filter
from engine.results.ingest import ingest
from engine.results.queries import list_runs
from engine.serving.operations import OPERATIONS
from engine.serving.protocol import Server
from tests.bitext import test_fuzz as bitext
from tests.collections import test_fuzz as collections
from tests.faults.conftest import FUZZ_SECONDS, first_seed
from tests.results.test_filters import RUN

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]

Tell = Callable[[str, int, str], None]


def fuzz(check: Callable[[st.DataObject], None]) -> int:
    """Call `check` with drawn data for `FUZZ_SECONDS`, and return how often."""
    end, calls = time.monotonic() + FUZZ_SECONDS, 0

    @settings(
        max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink], print_blob=False,
    )  # fmt: skip
    @given(data=st.data())
    def once(data: st.DataObject) -> None:
        nonlocal calls
        calls += 1
        check(data)

    first = first_seed()
    for number in itertools.count(first):
        if time.monotonic() > end:
            return calls
        seed(number)(once)()
    raise AssertionError


#: What breaks parsers: the edges of types, of encodings and of numbers.
ODD = st.sampled_from(
    [
        *(None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63), 10**30, 1e308, -0.0, float("nan")),
        *(float("inf"), "", " ", "\0", "\ud800", "\u202e", "a\nb", "[/b]", "1e400", "9999-12-31T23:59:59"),
        *("0001-01-01T00:00:00+00:00", "../..", "/", "x" * 300, [], {}, [[]], {"": None}),
    ]
)
VALUES = ODD.map(copy.deepcopy) | collections.values


def places(value: Any) -> list[tuple[Any, ...]]:
    return [path for path in collections._places(value) if path]


def changed(data: st.DataObject, value: Any, *, json_only: bool = False) -> Any:
    """Return `value` with one to three of its parts replaced, removed or added."""
    value = copy.deepcopy(value)
    for _ in range(data.draw(st.integers(1, 3))):
        found = places(value)
        if not found:
            return value
        path = data.draw(st.sampled_from(found))
        holder = value
        for key in path[:-1]:
            holder = holder[key]
        how = data.draw(st.integers(0, 5))
        if how == 0:
            del holder[path[-1]]
        elif how == 1 and isinstance(holder, dict):
            holder[data.draw(st.text(max_size=6))] = data.draw(VALUES)
        elif how == 1:
            holder.insert(0, data.draw(VALUES))
        else:
            holder[path[-1]] = data.draw(VALUES)
    return value


def one_sentence(error: BaseException) -> None:
    text = str(error)
    assert text and "\n" not in text and "Traceback" not in text, repr(text)


@pytest.mark.parametrize("name", bitext.FILES)
def test_bitext(name: str, tell: Tell) -> None:
    def check(data: st.DataObject) -> None:
        content = bitext.FILES[name]
        for _ in range(data.draw(st.integers(1, 4))):
            content = data.draw(collections.damage(content)) if content else data.draw(st.binary(max_size=99))
        bitext.read(name, content)

    tell(f"damaged bitext, {name}", fuzz(check), "pairs, or one sentence")


@pytest.mark.parametrize("name", collections.READERS)
def test_collections(name: str, tell: Tell) -> None:
    def check(data: st.DataObject) -> None:
        files = {file: content.encode() for file, content in collections.READERS[name][0].items()}
        for _ in range(data.draw(st.integers(1, 3))):
            chosen = data.draw(st.sampled_from(sorted(files)))
            if ".json" in chosen and data.draw(st.booleans()):
                try:
                    lined = [json.loads(line) for line in files[chosen].splitlines()]
                except ValueError:
                    continue
                texts = [json.dumps(record) for record in changed(data, lined)]
                files[chosen] = "\n".join(texts).encode("utf-8", "surrogatepass")
            elif files[chosen]:
                files[chosen] = data.draw(collections.damage(files[chosen]))
        try:
            found = collections.read(name, files)
        except InputError:
            return
        collections.check_consistent(found)

    tell(f"damaged collection, {name}", fuzz(check), "a collection, or one sentence")


WORDS = st.sampled_from(
    [
        *("(", ")", "AND", "OR", "NOT", "=", "!=", ">", "<", ">=", "<=", '"', "'", "\\", " ", "RR", "R@1"),
        *("state", "tags", "training.steps", "config", "summary", "created", "seed", "finished", "0.5"),
        *("2026-01-31", "9999-99-99", "1e999", "nan", "-", ".", "..", "bitext", "AP@20", "failure", "\0"),
    ]
)


def test_filters(tell: Tell) -> None:
    def check(data: st.DataObject) -> None:
        parts = data.draw(st.lists(WORDS | st.text(max_size=4), max_size=12))
        try:
            found = parse_filter(data.draw(st.sampled_from(["", " "])).join(parts))
            found.check_fields([RUN])
            assert found.matches(RUN) in (True, False)
            odd = changed(data, {"config": RUN["config"], "summary": {}, "tags": [], "measures": {}})
            found.matches({**RUN, "config": odd.get("config")})
        except InputError as error:
            one_sentence(error)

    tell("expressions of `--filter`", fuzz(check), "a filter, or one sentence")


def whole(name: str) -> dict[str, Any]:
    source = {"path": "x.tsv", "language": "sw"}
    data: dict[str, Any] = {"bitext": [source], "collections": [{"name": "bitext", "bitext": [source]}]}
    return {**preset_settings(name), **data}


def test_settings(tell: Tell) -> None:
    known = sorted(presets())

    def check(data: st.DataObject) -> None:
        try:
            parse_config(changed(data, whole(data.draw(st.sampled_from(known)))), "run.toml")
        except InputError as error:
            one_sentence(error)

    tell("settings of runs with other values", fuzz(check), "a configuration, or one sentence")


def test_toml_files(tmp_path: Path, tell: Tell) -> None:
    texts = [path.read_bytes() for path in presets().values()]
    path = tmp_path / "run.toml"
    keys = sorted(
        {".".join(map(str, place)) for text in texts for place in places(tomllib.loads(text.decode()))}
    )

    def check(data: st.DataObject) -> None:
        content = data.draw(st.sampled_from(texts))
        for _ in range(data.draw(st.integers(0, 3))):
            content = data.draw(collections.damage(content)) if content else b"="
        path.write_bytes(content)
        changes = data.draw(st.lists(st.sampled_from(keys) | st.text(max_size=5), max_size=2))
        overrides = [f"{key}={data.draw(st.text(max_size=5) | VALUES.map(str))}" for key in changes]
        try:
            load_config(path, overrides)
            read_settings(path, overrides)
        except InputError as error:
            one_sentence(error)

    tell("damaged TOML files and `--set`", fuzz(check), "a configuration, or one sentence")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with two runs that are as they should be; one of them is about to be damaged."""
    from engine.config import BitextConfig, DistilConfig
    from engine.results.run_folder import RunFolder

    folder = tmp_path_factory.mktemp("good")
    config = DistilConfig(name="x", bitext=[BitextConfig(path="x.tsv", language="sw")])
    for identity in ("good", "odd"):
        run = RunFolder.create(folder / "runs", config, ["x"], identity)
        run.log(1, {"loss": 1.0}, 1.0)
        run.finish("finished")
    ingest(folder / "results.duckdb", folder / "runs")
    return folder


def test_records_of_runs(good: Path, tell: Tell) -> None:
    """One odd run.json is one complaint; the other runs are read."""
    from workbench.data.runs import RunStore

    odd = runs_folder(good / "results.duckdb") / "odd"
    record = json.loads((odd / "run.json").read_text("utf-8"))

    def check(data: st.DataObject) -> None:
        if data.draw(st.booleans()):
            content = json.dumps(changed(data, record)).encode("utf-8", "surrogatepass")
        else:
            content = data.draw(collections.damage((json.dumps(record) + "\n").encode()))
        (odd / "run.json").write_bytes(content)
        os.utime(odd / "run.json", ns=(1, time.time_ns()))
        results = good / "results.duckdb"
        for problem in ingest(results, odd.parent).problems:
            one_sentence(OSError(problem))
        assert "good" in [run["id"] for run in list_runs(results)]
        assert state_of(odd) in ("finished", "unknown", "failed", "stopped", "crashed", "queued", "running")
        assert "good" in [run["id"] for run in RunStore(results).poll().runs]

    tell("odd records of runs (`run.json`)", fuzz(check), "one complaint, other runs are read")


def test_lines_of_metrics(good: Path, tell: Tell) -> None:
    odd = runs_folder(good / "results.duckdb") / "odd" / "metrics.jsonl"
    content = odd.read_bytes() * 5

    def check(data: st.DataObject) -> None:
        odd.write_bytes(data.draw(collections.damage(content)))
        os.utime(odd, ns=(1, time.time_ns()))
        for problem in ingest(good / "results.duckdb", odd.parent.parent).problems:
            one_sentence(OSError(problem))
        assert "good" in [run["id"] for run in list_runs(good / "results.duckdb")]

    tell("damaged `metrics.jsonl`", fuzz(check), "other lines and runs are read")


REQUEST = {
    "id": 1, "op": "search", "results": "", "run": "good", "language": "sw", "text": "maji", "k": 3,
    "collection": None, "pool": 0, "document": "en:1", "source": "maji", "target": "water",
    "transport": {"epsilon": 0.1, "solver": "sinkhorn", "iterations": 5},
}  # fmt: skip


def test_requests(good: Path, tell: Tell) -> None:
    """Each request has one last reply, and no reply tells of an error in the program."""

    def lines(data: st.DataObject) -> Iterator[str]:
        for _ in range(data.draw(st.integers(1, 4))):
            request = {**REQUEST, "results": str(good / "results.duckdb")}
            request["op"] = data.draw(st.sampled_from([*OPERATIONS, "cancel"]))
            if request["op"] in OPERATIONS and data.draw(st.booleans()):
                request = {key: request[key] for key in ("id", "op", "results", "run")}
            line = json.dumps(changed(data, request))
            damaged = data.draw(st.booleans())
            yield data.draw(collections.damage(line.encode())).decode("utf-8", "replace") if damaged else line

    def check(data: st.DataObject) -> None:
        written: list[str] = []
        Server(OPERATIONS, written.append).serve(list(lines(data)))
        for reply in map(json.loads, written):
            error = reply.get("error")
            if error is not None:
                assert error and "Traceback" not in error  # in JSON, so a path may have any character
                first = error.split(":")[0]
                assert not (first.endswith(("Error", "Exception")) and " " not in first), error

    tell("requests to `serve`", fuzz(check), "one reply each, no error of the program")
