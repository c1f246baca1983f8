"""The plan screen as its user meets it: stored plans, typed pairs, solver settings, two plans, export."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import ot
import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from engine.config import TransportConfig, parse_config
from engine.results.ingest import ingest
from engine.results.queries import ask
from workbench.app import Workbench
from workbench.data.warm_process import Reply
from workbench.plan.side import Side
from workbench.plan.solver_panel import SolverPanel, SolverTable
from workbench.widgets.table import Table


class Solver:
    """Stands in for the warm process: tokens are words, costs come from their lengths, POT solves."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.cancelled: list[int | None] = []
        self.go_on = threading.Event()
        self.go_on.set()

    def request(self, op: str, on_reply: Any, **parameters: Any) -> int:
        assert op == "plan"
        self.requests.append(parameters)
        identity = len(self.requests)
        threading.Thread(target=self._answer, args=(identity, on_reply, parameters), daemon=True).start()
        return identity

    def cancel(self, identity: int | None) -> None:
        self.cancelled.append(identity)

    def close(self) -> None:
        self.go_on.set()

    def _answer(self, identity: int, on_reply: Any, asked: dict[str, Any]) -> None:
        on_reply(Reply(identity, progress="loading the query encoder …"))
        self.go_on.wait()
        if asked["source"] == "?":
            on_reply(Reply(identity, error="the sentence '?' has no token that counts"))
            return
        settings = {**TransportConfig().model_dump(), **asked["transport"]}
        on_reply(Reply(identity, result=problem(asked["source"], asked["target"], asked["run"], settings)))


def problem(source: str, target: str, run: str, settings: dict[str, Any]) -> dict[str, Any]:
    rows, columns = source.split(), target.split()
    cost = np.array([[abs(len(a) - len(b)) + len(a + b + run) % 3 for b in columns] for a in rows]) / 10
    a, b = np.full(len(rows), 1 / len(rows)), np.full(len(columns), 1 / len(columns))
    exact = settings["solver"] == "exact"
    mass = ot.emd(a, b, cost) if exact else ot.sinkhorn(a, b, cost, settings["epsilon"], numItermax=5000)
    return {
        "run": run, "pair": "typed", "source_language": "und", "source_text": source, "target_text": target,
        "source_tokens": rows, "target_tokens": columns, "plan": mass.tolist(), "cost": cost.tolist(),
        "solver": settings["solver"], "epsilon": settings["epsilon"], "iterations": 7, "marginal_error": 1e-9,
        "converged": True, "value": float((mass * cost).sum()), "entropy": 0.5, "transport": settings,
    }  # fmt: skip


@pytest.fixture
def solver(app: Workbench) -> Iterator[Solver]:
    app.context.warm.close()
    app.context.warm = solver = Solver()  # type: ignore[assignment]
    yield solver
    solver.close()


async def opened(app: Workbench, pilot: Pilot[None], tools: Any) -> Side:
    await tools.settled(pilot)
    await pilot.press("4")
    await tools.until(pilot, lambda: app.screen.query_one("#left", Side).plan)
    return app.screen.query_one("#left", Side)


def text(app: Workbench, selector: str) -> str:
    return str(app.screen.query_one(selector).render())


async def test_inspector_tells_the_numbers_of_the_stored_matrix(
    app: Workbench, made: Path, tools: Any
) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        side = await opened(app, pilot, tools)
        assert side.plan is not None
        query = "SELECT plan, cost FROM plans WHERE run = ?"
        mass, cost = map(np.array, ask(made / "results.duckdb", query, [side.plan.run]).rows[0])
        await pilot.press("down", "right")
        row, column = side.heatmap.row, side.heatmap.column
        share = mass[row, column] / mass[row].sum()
        rank = 1 + list(np.sort(mass[row])[::-1]).index(mass[row, column])
        product = mass[row, column] * cost[row, column]
        shown = text(app, "#left .cell")
        assert f"{row + 1} " in shown and f"→ {column + 1} {side.plan.target_tokens[column]}" in shown
        assert f"{share:.0%} of the row, rank {rank}, cost {cost[row, column]:.3f}" in shown
        assert f"contribution {product:.3g} ({product / (mass * cost).sum():.0%})" in shown
        assert "converged, marginal error 1e-05, 50 iterations · entropy 0.70" in text(app, "#left .summary")
        await pilot.press("n")
        order = np.argsort(-mass, axis=None, kind="stable")
        place = list(order).index(row * 5 + column)
        assert side.heatmap.row * 5 + side.heatmap.column == order[(place + 1) % 30]


async def test_changed_settings_solve_again_at_once(app: Workbench, solver: Solver, tools: Any) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        side = await opened(app, pilot, tools)
        stored = side.plan
        assert stored is not None and stored.stored
        await pilot.press("right", "s")
        cursor = (side.heatmap.row, side.heatmap.column)
        table = app.screen.query_one(SolverTable)
        assert table.has_focus and set(table.keys) < set(TransportConfig.model_fields)
        table.go_to(list(table.keys).index("solver"))
        while not solver.requests or solver.requests[-1]["transport"] != {"solver": "exact"}:
            await pilot.press("right")
        await tools.until(pilot, lambda: side.plan is not stored and side.plan.solver == "exact")
        assert side.plan is not None
        asked = solver.requests[-1]
        assert (asked["run"], asked["source"]) == (stored.run, stored.pair.source)
        assert asked["transport"] == {"solver": "exact"}
        expected = ot.emd2([1 / 6] * 6, [1 / 5] * 5, side.plan.cost)
        assert (side.plan.mass * side.plan.cost).sum() == pytest.approx(expected)
        assert "solved now: exact" in text(app, "#left .summary") and "marginal error" in text(
            app, "#left .summary"
        )
        assert (side.heatmap.row, side.heatmap.column) == cursor

        await pilot.press("enter")
        await pilot.pause()
        await pilot.press("escape", "backspace")
        await tools.until(pilot, lambda: side.plan.solver == "sinkhorn")  # type: ignore[union-attr]
        assert solver.requests[-1]["transport"] == {}

        table.go_to(list(table.keys).index("epsilon"))
        await pilot.press("enter")
        await pilot.pause()
        app.screen.query_one(Input).value = "0"
        await pilot.press("enter")
        assert app.screen.is_modal and "greater than 0" in text(app, ".wrong")
        app.screen.query_one(Input).value = "0.3"
        await pilot.press("enter")
        await tools.until(pilot, lambda: side.plan.epsilon == 0.3)  # type: ignore[union-attr]
        assert solver.requests[-1]["transport"] == {"epsilon": 0.3}
        await pilot.press("escape")
        assert not app.screen.query_one(SolverPanel).display and side.heatmap.has_focus


async def test_only_the_last_of_many_changes_is_shown(app: Workbench, solver: Solver, tools: Any) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        side = await opened(app, pilot, tools)
        await pilot.press("s")
        table = app.screen.query_one(SolverTable)
        table.go_to(list(table.keys or ()).index("epsilon"))
        solver.go_on.clear()
        shown = []
        show = side.show
        side.show = lambda plan: (shown.append(plan.epsilon), show(plan))  # type: ignore[assignment, func-returns-value]
        await pilot.press("right", "right", "right")
        await tools.until(pilot, lambda: "loading the query encoder" in tools.status(pilot))
        solver.go_on.set()
        await tools.until(pilot, lambda: side.request is None)
        assert shown == [0.5] and set(solver.cancelled) >= {1, 2}


async def test_typed_pair_is_solved_and_exported(
    app: Workbench, solver: Solver, tmp_path: Path, tools: Any
) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        side = await opened(app, pilot, tools)
        stored = side.plan
        await pilot.press("t")
        await pilot.pause()
        source, target = (app.screen.query_one(f"#pair-{part}", Input) for part in ("source", "target"))
        assert stored is not None and source.has_focus and source.value == stored.pair.source
        source.value = "?"
        await pilot.press("enter")
        await tools.until(pilot, lambda: "no token that counts" in tools.status(pilot))
        assert side.plan is stored
        source.value, target.value = "biyo nadiif ah", "clean water"
        app.screen.query_one("#pair-language", Input).value = "som"
        await pilot.press("enter")
        await tools.until(pilot, lambda: side.plan is not stored)
        assert side.plan is not None and side.plan.source_tokens == ["biyo", "nadiif", "ah"]
        assert side.plan.pair.language == "so" and solver.requests[-1]["language"] == "so"
        await pilot.press("escape", "e")
        await pilot.pause()
        app.screen.query_one(Input).value = str(tmp_path / "typed.npz")
        await pilot.press("enter")
        await tools.until(pilot, lambda: "written" in tools.status(pilot))
    with np.load(tmp_path / "typed.npz", allow_pickle=False) as exported:
        assert exported["plan"].sum(1) == pytest.approx([1 / 3] * 3, abs=1e-6)
        assert exported["plan"].sum(0) == pytest.approx([1 / 2] * 2, abs=1e-6)
        assert exported["target_tokens"].tolist() == ["clean", "water"]
        record = json.loads(str(exported["record"]))
    assert (record["pair"], record["source_text"]) == ("typed", "biyo nadiif ah")


async def test_two_runs_side_by_side(app: Workbench, solver: Solver, tools: Any) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        left = await opened(app, pilot, tools)
        right = app.screen.query_one("#right", Side)
        await pilot.press("d")
        assert "there is no other plan" in tools.status(pilot)
        await pilot.press("w")
        await pilot.pause()
        rows = [[str(value) for value in row] for row in app.screen.query_one(Table).rows]
        assert [row[0] for row in rows] == ["baseline", "newest", "optical"]
        assert [row[2] for row in rows] == ["sinkhorn 0.05", "solve now", "solve now"]
        await pilot.press("enter")
        await tools.until(pilot, lambda: right.plan)
        assert left.plan is not None and right.plan is not None and right.plan.name == "baseline"
        assert left.region.width > 50 and right.region.width > 50 and left.region.y == right.region.y
        await pilot.press("down", "left", "l", "r")
        await pilot.pause()
        assert (left.heatmap.row, left.heatmap.column) == (right.heatmap.row, right.heatmap.column)
        assert left.heatmap.shading == right.heatmap.shading
        # Other settings for one of them, and then for both.
        await pilot.press("v")
        await tools.until(pilot, lambda: right.heatmap.has_focus)
        await pilot.press("s")
        table = app.screen.query_one(SolverTable)
        table.go_to(list(table.keys or ()).index("epsilon"))
        await pilot.press("right")
        await tools.until(pilot, lambda: right.plan.epsilon == 0.1)  # type: ignore[union-attr]
        assert solver.requests[-1]["run"] == right.plan.run and left.plan.epsilon == 0.05
        await pilot.press("escape", "d")
        await pilot.pause()
        difference = right.plan.mass - left.plan.mass
        assert right.heatmap.values() == pytest.approx(difference)
        row, column = right.heatmap.row, right.heatmap.column
        change = f"{difference[row, column]:+.2g}".replace("-", "−")
        assert f"{change} vs. left" in text(app, "#right .cell")
        assert f"{abs(difference).sum() / 2:.0%} of the mass moved" in text(app, "#right .summary")
        await pilot.press("equals_sign")
        await tools.until(pilot, lambda: left.plan.epsilon == 0.1)  # type: ignore[union-attr]
        assert right.heatmap.values() == pytest.approx(right.plan.mass - left.plan.mass)
        await pilot.press("w")
        await pilot.pause()
        assert right.region.width == 0 and left.region.width == 120


async def test_where_one_fits_two_plans_take_turns(app: Workbench, solver: Solver, tools: Any) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        left = await opened(app, pilot, tools)
        right = app.screen.query_one("#right", Side)
        await pilot.press("w")
        await pilot.pause()
        await pilot.press("down", "enter")  # newest, which has stored none
        await tools.until(pilot, lambda: right.plan and right.heatmap.has_focus)
        assert (left.region.width, right.region.width) == (0, 80)
        assert right.plan is not None and right.plan.name == "newest" and not right.plan.stored
        await pilot.press("v")
        await tools.until(pilot, lambda: left.heatmap.has_focus)
        assert (left.region.width, right.region.width) == (80, 0)
        # Another stored plan takes its pair with it to the other side.
        requests = len(solver.requests)
        await pilot.press("greater_than_sign")
        await tools.until(pilot, lambda: len(solver.requests) > requests and right.request is None)
        assert left.plan is not None and left.plan.name == "baseline"
        await pilot.resize_terminal(120, 40)
        await pilot.pause()
        assert left.region.width > 50 and right.region.width > 50


async def test_a_tiny_terminal_still_tells_convergence_and_entropy(app: Workbench, tools: Any) -> None:
    async with app.run_test(size=(40, 12)) as pilot:
        side = await opened(app, pilot, tools)
        for key in ("", "s"):
            await pilot.press(*key)
            await pilot.pause()
            facts = app.screen.query_one("#left .summary")
            assert facts.region.height == 2 and facts.region.bottom <= 12
            told = "\n".join(strip.text for strip in facts.render_lines(facts.size.region))
            assert "converged, marginal error 1e-05" in told and "entropy 0.70" in told
        assert app.screen.query_one(SolverTable).region.height >= 4
        await pilot.press("escape")
        await pilot.pause()
        assert side.heatmap.region.height >= 3


async def test_without_runs_or_plans_it_says_what_to_do(tmp_path: Path, tools: Any) -> None:
    app = Workbench(tmp_path / "results.duckdb")
    async with app.run_test(size=(80, 24)) as pilot:
        await tools.until(pilot, lambda: app.context.snapshot is not None)
        await pilot.press("4")
        await pilot.pause()
        for key in ("t", "w", "d", "e", "v", "s", "escape", "greater_than_sign", "o"):
            await pilot.press(key)
            if key == "t":
                assert "optical-workbench demo" in tools.status(pilot)
        assert "no run has stored a plan" in tools.status(pilot)


@pytest.mark.slow
async def test_the_warm_process_solves_what_the_run_stored(tmp_path: Path, tiny: Any, tools: Any) -> None:
    """A real run, encoded and solved again by the real process, equals its stored plan; exact equals POT."""
    from engine.runs.execute import execute

    execute(parse_config(tiny.settings("sw")), tmp_path / "runs", ["test"])
    ingest(tmp_path / "results.duckdb", tmp_path / "runs")
    app = Workbench(tmp_path / "results.duckdb")
    async with app.run_test(size=(120, 40)) as pilot:
        side = await opened(app, pilot, tools)
        stored = side.plan
        assert stored is not None and stored.stored
        app.screen.controller.solve(side, stored.run, stored.pair)  # type: ignore[attr-defined]
        await tools.until(pilot, lambda: side.request is None)
        again = side.plan
        assert again is not None and not again.stored, tools.status(pilot)
        assert (again.source_tokens, again.target_tokens) == (stored.source_tokens, stored.target_tokens)
        assert again.mass == pytest.approx(stored.mass, abs=1e-4)
        assert (again.solver, again.iterations) == (stored.solver, stored.iterations)
        await pilot.press("s")
        table = app.screen.query_one(SolverTable)
        table.go_to(list(table.keys or ()).index("solver"))
        side.settings = {
            **TransportConfig(**tiny.settings("sw")["transport"]).model_dump(),
            "solver": "exact",
        }
        app.screen.controller.solve(side, stored.run, stored.pair)  # type: ignore[attr-defined]
        await tools.until(pilot, lambda: side.plan.solver == "exact")  # type: ignore[union-attr]
        exact = side.plan
        assert exact is not None and exact.converged
        rows, columns = exact.mass.shape
        expected = ot.emd2(np.full(rows, 1 / rows), np.full(columns, 1 / columns), exact.cost)
        assert (exact.mass * exact.cost).sum() == pytest.approx(expected, abs=1e-5)
        assert exact.value == pytest.approx(expected, abs=1e-5)
