"""The screen Ask as its user meets it: with a stand-in for the warm process, and once with the real one."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from engine.results.ingest import ingest
from workbench.app import Workbench
from workbench.ask.answer import Answer, HitTable, MatchTable
from workbench.data.warm_process import Reply
from workbench.widgets.table import Cell, Table, rank_change
from workbench.widgets.text import plain

DOCUMENTS = {
    "d0": ("en", "the library is open until eight o'clock in the evening"),
    "d1": ("ar", "المكتبة مفتوحة حتى الساعة الثامنة مساءً"),
    "d2": ("hi", "पुस्तकालय शाम आठ बजे तक खुला रहता है"),
    "d3": ("th", "ห้องสมุดเปิดถึงสองทุ่ม"),
    "d4": ("zh", "图书馆开放到晚上八点"),
    "d5": ("sw", "maktaba iko wazi hadi saa mbili usiku 👩‍🔬"),
}
ORDERS = {"baseline": "d0 d1 d2 d3 d4", "optical": "d4 d1 d0 d5 d2"}
POOLS = [
    {"collection": "tico", "pool": 0, "name": "tico", "direction": "xx-en", "queries": ["sw", "th"],
     "documents": "all", "size": 6},
    {"collection": "tatoeba", "pool": 0, "name": "tatoeba", "direction": "xx-en", "queries": ["sw"],
     "documents": "en", "size": 390},
    {"collection": "tatoeba", "pool": 1, "name": "tatoeba", "direction": "xx-en", "queries": ["mr"],
     "documents": "en", "size": 1000},
]  # fmt: skip
OWN = {
    "sw": [{"id": "sw:1", "text": "maktaba iko wapi"}, {"id": "sw:2", "text": "saa ngapi"}],
    "th": [{"id": "th:1", "text": "ห้องสมุดอยู่ที่ไหน"}],
}


class Finder:
    """Stands in for the warm process: it finds the documents above, in an order that each run has."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.cancelled: list[int] = []
        self.go_on = threading.Event()
        self.go_on.set()

    def request(self, op: str, on_reply: Callable[[Reply], None], **asked: Any) -> int:
        self.requests.append((op, asked))
        identity = len(self.requests)
        threading.Thread(target=self._answer, args=(identity, op, on_reply, asked), daemon=True).start()
        return identity

    def cancel(self, identity: int) -> None:
        self.cancelled.append(identity)

    def close(self) -> None:
        self.go_on.set()

    def asked(self, op: str) -> list[dict[str, Any]]:
        return [asked for name, asked in self.requests if name == op]

    def _answer(
        self, identity: int, op: str, on_reply: Callable[[Reply], None], asked: dict[str, Any]
    ) -> None:
        on_reply(Reply(identity, progress="tico: documents", done=3, total=6))
        if op == "search":
            self.go_on.wait(20)
            if asked["text"] == "?":
                on_reply(Reply(identity, error="the query '?' has no token that counts; type a word"))
                return
        on_reply(Reply(identity, result=getattr(self, f"_{op}")(asked)))

    def _collections(self, asked: dict[str, Any]) -> Any:
        return POOLS

    def _queries(self, asked: dict[str, Any]) -> Any:
        return OWN.get(asked["language"], [])

    def _search(self, asked: dict[str, Any]) -> Any:
        own = asked["text"] in [query["text"] for queries in OWN.values() for query in queries]
        name = asked["run"].rpartition("-")[2]
        hits = [
            {"rank": rank, "score": 0.9 - rank / 10, "document": document, "text": DOCUMENTS[document][1],
             "language": DOCUMENTS[document][0], "grade": 1 if own and document in ("d1", "d3") else None}
            for rank, document in enumerate(ORDERS[name].split(), 1)
        ]  # fmt: skip
        return {"run": asked["run"], "collection": "tico", "hits": hits, "relevant": 2 if own else None,
                "cut": len(asked["text"]) > 100, "searched": 6, "seconds": 0.042}  # fmt: skip

    def _explain(self, asked: dict[str, Any]) -> Any:
        text = DOCUMENTS[asked["document"]][1]
        tokens = ["▁", "ที่", "คือ", "क्ष", "मा", "ال", "مكتبة", "机器", "wapi", "👩‍🔬"]
        matches = [
            {"query_token": token, "document_token": text.split()[place % len(text.split())],
             "score": 0.98 - place * 0.11}
            for place, token in enumerate(tokens)
        ]  # fmt: skip
        score = sum(match["score"] for match in matches) / len(matches)
        return {"run": asked["run"], "document": asked["document"], "text": text, "score": score,
                "matches": matches}  # fmt: skip


@pytest.fixture(scope="session")
def askable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for `make` to fill: two runs that look as if they could be asked."""
    return tmp_path_factory.mktemp("askable")


@pytest.fixture
def app(askable: Path, tools: Any, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    """The app on two runs that can be asked, and one that cannot."""
    if not (askable / "runs").exists():
        collections = [{"name": "tatoeba"}]
        for number, name in enumerate(ORDERS):
            run = tools.make_run(askable / "runs", number, name, scored=False, collections=collections)
            (run.checkpoints / "student").mkdir()
        tools.make_run(askable / "runs", 2, "newest", scored=False)
        ingest(askable / "results.duckdb", askable / "runs")
    monkeypatch.chdir(askable)
    return Workbench(Path("results.duckdb"))


@pytest.fixture
def finder(app: Workbench) -> Iterator[Finder]:
    app.context.warm.close()
    app.context.warm = finder = Finder()  # type: ignore[assignment]
    yield finder
    finder.close()


async def opened(app: Workbench, pilot: Pilot[None], tools: Any) -> None:
    await tools.until(pilot, lambda: app.context.snapshot is not None)
    await pilot.press("5")
    await tools.until(pilot, lambda: getattr(app.screen, "ask_scope", None) and app.screen.ask_scope.pool)


async def asked(app: Workbench, pilot: Pilot[None], tools: Any, text: str) -> None:
    app.screen.query_one(Input).value = text
    app.screen.query_one(Input).focus()
    await pilot.press("enter")
    await explained(app, pilot, tools)


async def explained(app: Workbench, pilot: Pilot[None], tools: Any) -> None:
    def done() -> bool:
        answers = app.screen.answers  # type: ignore[attr-defined]
        return all(answer.result and answer.query_one(MatchTable).rows for answer in answers) and not (
            app.screen.requests.waiting  # type: ignore[attr-defined]
        )

    await tools.until(pilot, done)


async def both(app: Workbench, pilot: Pilot[None], tools: Any) -> None:
    """Ask two runs: the newest that can be asked, and the other."""
    await pilot.press("escape", "r")
    await tools.until(pilot, lambda: app.screen.is_modal and app.screen.query_one(Table).rows)
    await pilot.press("down", "tab", "enter")
    await tools.until(pilot, lambda: not app.screen.is_modal and len(app.screen.answers) == 2)  # type: ignore[attr-defined]
    await tools.until(pilot, lambda: app.screen.ask_scope.pool)  # type: ignore[attr-defined]


def words(table: Table) -> list[list[str]]:
    return [[str(cell.text if isinstance(cell, Cell) else cell) for cell in row] for row in table.rows]


def side(app: Workbench, name: str) -> Answer:
    return app.screen.query_one(f"#{name}", Answer)


async def test_a_query_is_answered_and_explained(app: Workbench, finder: Finder, tools: Any) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot, tools)
        await pilot.press(*"wapi", "enter")
        await explained(app, pilot, tools)
        (search,) = finder.asked("search")
        assert search["run"].endswith("-optical")  # the newest that has encoders and a collection
        assert (search["text"], search["language"], search["collection"]) == ("wapi", "sw", "tico")
        assert Path(search["results"]).is_absolute()
        rows = words(side(app, "first").query_one(HitTable))
        assert [row[-1] for row in rows] == [DOCUMENTS[name][1] for name in ORDERS["optical"].split()]
        assert [row[1] for row in rows] == [" "] * 5  # nobody judged what was typed
        assert "rank 1" in str(side(app, "first").query_one(".document").render())
        await pilot.press("down", "down")
        await tools.until(pilot, lambda: finder.asked("explain")[-1]["document"] == "d0")
        await explained(app, pilot, tools)
        assert "rank 3" in str(side(app, "first").query_one(".document").render())
        why = words(side(app, "first").query_one(MatchTable))
        assert [row[0] for row in why][:2] == ["▁", "ที่"] and why[0][2:] == ["0.98", "the"]
        lengths = [len(row[1]) for row in why]
        assert lengths == sorted(lengths, reverse=True) and lengths[0] == 8 and lengths[-1] == 0

        await pilot.press("6")
        await tools.until(pilot, lambda: app.screen.scope == "sql")  # type: ignore[attr-defined]
        await pilot.press("f7")
        await tools.until(pilot, lambda: app.screen.scope == "ask")  # type: ignore[attr-defined]
        assert app.screen.query_one(Input).value == "wapi"
        assert side(app, "first").document == "d0"
        assert len(finder.asked("collections")) == len(finder.asked("search")) == 1


async def test_two_runs_side_by_side(app: Workbench, finder: Finder, tools: Any) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot, tools)
        await both(app, pilot, tools)
        await asked(app, pilot, tools, "maktaba iko wapi")
        assert [answer.run_name for answer in app.screen.answers] == ["optical", "baseline"]  # type: ignore[attr-defined]
        right = words(side(app, "second").query_one(HitTable))
        # d0 was third and is first, d3 was nowhere, d4 was first and is fifth.
        assert [row[3] for row in right] == ["↑2", "=", "↑2", "new", "↓4"]
        assert [row[1] for row in right] == [" ", "✓", " ", "✓", " "]
        assert "✓ 1 of 2" in str(side(app, "first").query_one(".run").render())
        assert "✓ 2 of 2" in str(side(app, "second").query_one(".run").render())
        await pilot.press("down", "down")  # d0 in both lists
        await explained(app, pilot, tools)
        assert side(app, "second").document == side(app, "first").document == "d0"
        await pilot.press("v", "end", "up")  # d3, which the first run did not find
        await tools.until(
            pilot, lambda: "not among the 5" in str(side(app, "first").query_one(".document").render())
        )
        assert "rank 4" in str(side(app, "second").query_one(".document").render())
        explained_before = len(finder.asked("explain"))
        await pilot.press("up", "down")
        await explained(app, pilot, tools)
        assert {run["document"] for run in finder.asked("explain")[explained_before:]} == {"d2"}


async def test_a_new_query_takes_the_place_of_the_one_under_way(
    app: Workbench, finder: Finder, tools: Any
) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot, tools)
        finder.go_on.clear()
        await pilot.press(*"one", "enter")
        await tools.until(pilot, lambda: "tico: documents 3 of 6" in tools.status(pilot))
        stale = len(finder.requests)
        await pilot.press("slash", "2", "enter")
        await tools.until(pilot, lambda: len(finder.asked("search")) == 2)
        assert finder.cancelled == [stale]
        finder.go_on.set()
        await explained(app, pilot, tools)
        assert finder.asked("explain")[0]["text"] == app.screen.text == "2"  # type: ignore[attr-defined]

        finder.go_on.clear()
        await pilot.press("slash", "3", "enter")
        await tools.until(pilot, lambda: len(finder.asked("search")) == 3)
        await pilot.press("escape")
        await pilot.pause()
        assert tools.status(pilot) == "cancelled" and len(finder.cancelled) == 2


async def test_what_fails_is_a_sentence_and_the_next_query_is_answered(
    app: Workbench, finder: Finder, tools: Any
) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot, tools)
        await pilot.press("space", "enter")
        assert "type a query first" in tools.status(pilot)
        await asked(app, pilot, tools, "wapi")
        app.screen.query_one(Input).value = "?"
        app.screen.query_one(Input).focus()
        await pilot.press("enter")
        await tools.until(pilot, lambda: "no token that counts" in tools.status(pilot))
        assert words(side(app, "first").query_one(HitTable)) == []
        assert words(side(app, "first").query_one(MatchTable)) == []
        await asked(app, pilot, tools, "x" * 101)
        assert "the end of the query is cut off" in tools.status(pilot)


async def test_the_collections_own_queries(app: Workbench, finder: Finder, tools: Any) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot, tools)
        await pilot.press("#")
        await tools.until(pilot, lambda: app.screen.is_modal and app.screen.query_one(Table).rows)
        await pilot.press(*"ngapi", "enter")  # Enter does not overtake the letters
        await tools.until(pilot, lambda: finder.asked("search"))
        await explained(app, pilot, tools)
        assert app.screen.query_one(Input).value == app.screen.text == "saa ngapi"  # type: ignore[attr-defined]
        assert [row[1] for row in words(side(app, "first").query_one(HitTable))] == [" ", "✓", " ", " ", " "]
        await pilot.press("greater_than_sign")
        await tools.until(pilot, lambda: app.screen.text == "maktaba iko wapi")  # type: ignore[attr-defined]
        await explained(app, pilot, tools)

        await pilot.press("l")  # the same query in another language
        await tools.until(pilot, lambda: app.screen.is_modal and app.screen.query_one(Table).rows)
        await pilot.press(*"thai", "enter")
        await tools.until(pilot, lambda: app.screen.text == OWN["th"][0]["text"])  # type: ignore[attr-defined]
        assert finder.asked("search")[-1]["language"] == "th"
        await explained(app, pilot, tools)


async def test_a_language_brings_its_pool_and_any_language_will_do(
    app: Workbench, finder: Finder, tools: Any
) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(app, pilot, tools)
        await asked(app, pilot, tools, "maji")
        for key, typed, expected in (
            ("c", "tatoeba sw", ("tatoeba", 0, "sw")),
            ("l", "marathi", ("tatoeba", 1, "mr")),
            ("l", "somali", ("tatoeba", 1, "so")),
        ):
            await pilot.press(key)
            await tools.until(pilot, lambda: app.screen.is_modal and app.screen.query_one(Table).rows)
            app.screen.query_one(Input).value = typed
            await pilot.press("enter")
            await tools.until(pilot, lambda: not app.screen.is_modal)
            await explained(app, pilot, tools)
            search = finder.asked("search")[-1]
            assert (search["collection"], search["pool"], search["language"]) == expected
        assert "Somali (so) → tatoeba, 1,000 documents" in str(app.screen.query_one("#ask-scope").render())
        await pilot.press("number_sign")
        await tools.until(pilot, lambda: "no queries of its own in Somali" in tools.status(pilot))


async def test_nothing_to_ask(tmp_path: Path, tools: Any) -> None:
    tools.make_run(tmp_path / "runs", 0, "alone", scored=False)
    app = Workbench(tmp_path / "results.duckdb")
    async with app.run_test(size=(80, 24)) as pilot:
        await tools.until(pilot, lambda: app.context.snapshot is not None)
        await pilot.press("5")
        await tools.until(pilot, lambda: "no run can be searched yet" in tools.status(pilot))
        await pilot.press(*"maji", "enter", "escape", "r", "c", "l", "number_sign", "v")
        await pilot.pause()
        assert "no run can be searched yet" in tools.status(pilot)
        assert app.context.warm.pid is None


async def test_a_run_that_is_deleted_is_asked_no_more(
    app: Workbench, finder: Finder, tools: Any, tmp_path: Path
) -> None:
    home = tmp_path / "copy"
    shutil.copytree(app.context.results.absolute().parent, home)
    copied = Workbench(home / "results.duckdb")
    copied.context.warm = finder  # type: ignore[assignment]
    async with copied.run_test(size=(80, 24), notifications=True) as pilot:
        await opened(copied, pilot, tools)
        (folder,) = (home / "runs").glob("*-optical")
        shutil.rmtree(folder)
        copied.poll()
        await tools.until(pilot, lambda: side(copied, "first").run_name == "baseline")
        await asked(copied, pilot, tools, "maji")
        assert finder.asked("search")[-1]["run"].endswith("-baseline")


def test_a_mark_that_begins_a_token_gets_a_base() -> None:
    assert [plain(text) for text in ("\u0902", "क्ष", "่า", "")] == ["◌\u0902", "क्ष", "◌่า", ""]


def test_rank_changes() -> None:
    assert [rank_change(*pair).text for pair in ((1, 1), (1, 4), (9, 2), (3, None))] == [
        "=",
        "↑3",
        "↓7",
        "new",
    ]


@pytest.mark.slow
async def test_with_a_real_run_and_the_real_process(
    tiny: Any, tmp_path: Path, tools: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from engine.config import parse_config
    from engine.inspect.explain import explain
    from engine.inspect.search import Searcher
    from engine.runs.execute import execute

    torch.set_num_threads(1)
    settings = tiny.settings("sw", "mr", training={"steps": 4, "evaluate_every": 2})
    run, _ = execute(parse_config(settings), tmp_path / "runs", ["test"])
    searcher = Searcher(run, "sw", precision=torch.float32)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    app = Workbench(tmp_path / "results.duckdb")
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot, tools)
        assert app.screen.ask_scope.pool.queries == ["sw", "mr"]  # type: ignore[attr-defined]
        await pilot.press("escape", "greater_than_sign")
        await explained(app, pilot, tools)
        text = app.screen.text  # type: ignore[attr-defined]
        assert text == searcher.collection.queries[0].text
        hits = searcher.search(text, 20)
        answer = side(app, "first")
        assert [row[-1] for row in words(answer.query_one(HitTable))] == [hit.text for hit in hits]
        assert [row[1] for row in words(answer.query_one(HitTable))].count("✓") == sum(
            bool(h.grade) for h in hits
        )
        why = words(answer.query_one(MatchTable))
        assert [(row[0], row[3]) for row in why] == [
            (match.query_token, match.document_token) for match in explain(searcher, text, hits[0].document)
        ]
        await pilot.press("slash")
        for wrong, says in (("x" * 10_000, "10,000 characters"), ("a\x07", "control character")):
            app.screen.query_one(Input).value = wrong
            app.screen.query_one(Input).focus()
            await pilot.press("enter")
            await tools.until(pilot, lambda says=says: says in tools.status(pilot))
        assert app.context.warm.pid is not None
    assert app.context.warm.pid is None


# -- pictures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
@pytest.mark.parametrize("runs", [1, 2], ids=["one", "two"])
def test_picture(
    app: Workbench,
    finder: Finder,
    runs: int,
    size: tuple[int, int],
    snap_compare: Callable[..., bool],
    tools: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Input, "cursor_blink", False)
    assert snap_compare(app, terminal_size=size, run_before=lambda pilot: _pictured(app, pilot, tools, runs))


@pytest.mark.slow
@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
@pytest.mark.parametrize("look", ["light", "no colours"])
def test_picture_in_other_looks(
    app: Workbench,
    finder: Finder,
    look: str,
    size: tuple[int, int],
    snap_compare: Callable[..., bool],
    tools: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Input, "cursor_blink", False)
    if look == "no colours":
        monkeypatch.setenv("NO_COLOR", "1")
        app = Workbench(app.context.results)
        app.context.warm = finder  # type: ignore[assignment]
    else:
        app.theme = "workbench-light"
    assert snap_compare(app, terminal_size=size, run_before=lambda pilot: _pictured(app, pilot, tools, 2))


async def _pictured(app: Workbench, pilot: Pilot[None], tools: Any, runs: int) -> None:
    await opened(app, pilot, tools)
    if runs == 2:
        await both(app, pilot, tools)
    await asked(app, pilot, tools, "maktaba iko wapi")
    await pilot.press("down")
    await explained(app, pilot, tools)
