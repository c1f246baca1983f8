"""The package itself: names, imports, frames, transport, SQL."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import optical_workbench as ow
from engine.jobs.child import child_environment

SLOW = {"torch", "transformers", "duckdb", "pyarrow", "numpy", "pandas", "polars", "pydantic", "textual"}


def python(program: str, *options: str, **keywords: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *options, "-c", program],
        capture_output=True, text=True, env=child_environment(), **keywords,
    )  # fmt: skip


def test_the_import_is_light_and_names_are_found() -> None:
    program = f"import sys, optical_workbench as ow; print(sorted({SLOW!r} & set(sys.modules)), dir(ow))"
    done = python(program)
    assert done.stderr == "" and done.stdout.startswith("[] ")
    assert all(name in done.stdout for name in ow.__all__)
    done = python(
        "import sys, optical_workbench as ow; ow.open_run; ow.results; print('torch' in sys.modules)"
    )
    assert (done.stdout, done.stderr) == ("False\n", "")
    with pytest.raises(AttributeError, match="slove"):
        _ = ow.slove  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ow.__all__)
def test_every_name_is_documented(name: str) -> None:
    documented = getattr(ow, name)
    assert documented.__doc__ and documented.__doc__.strip()[0].isupper()
    if callable(documented) and not isinstance(documented, type):
        parameters = [word for word in documented.__annotations__ if word != "return"]
        assert all(word in documented.__doc__ for word in parameters)


def test_another_module_called_engine_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "engine.py").write_text("raise SystemExit('executed')\n")
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import optical_workbench"
    done = python(program)
    assert done.returncode == 1 and "executed" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(
        f"ImportError: the module 'engine' at {tmp_path}/engine.py hides the package 'engine'"
    )
    done = python(
        "import sys, types; sys.modules['engine'] = types.ModuleType('engine'); import optical_workbench"
    )
    assert "ImportError: a module called 'engine' without a file hides" in done.stderr


def test_the_program_as_a_module(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "optical_workbench", "config", "presets"],
        capture_output=True, text=True, env=child_environment(), cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0 and "optical-contrast" in done.stdout


# -- frames -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    name: str
    count: int
    share: float | None
    good: bool = True


ROWS = st.lists(
    st.builds(
        Row,
        name=st.text(max_size=5),
        count=st.integers(-(2**63), 2**63 - 1),
        share=st.none() | st.floats(allow_nan=False),
        good=st.booleans(),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(ROWS)
def test_frames_hold_the_rows(rows: list[Row]) -> None:
    table = ow.Table(Row, rows)
    dictionaries = [vars(row) for row in rows]
    assert table.to_frame("arrow").to_pylist() == dictionaries
    assert table.to_frame("polars").to_dicts() == dictionaries
    frame = table.to_frame()
    assert list(frame.columns) == list(table.columns)
    assert [int(count) for count in frame["count"]] == [row.count for row in rows]
    assert list(table) == rows and list(table[1:]) == rows[1:] and len(table) == len(rows)
    assert repr(table).startswith(f"Table of {len(rows)} Row [")


def test_frames_without_their_library(monkeypatch: pytest.MonkeyPatch) -> None:
    table = ow.Table(Row, [Row("a", 1, None)])
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ow.InputError, match=r"polars is not installed.*optical-workbench\[polars\]"):
        table.to_frame("polars")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ow.InputError, match=r"pandas is not installed.*optical-workbench\[pandas\]"):
        table.to_frame()
    with pytest.raises(ow.InputError, match="'excel'"):
        table.to_frame("excel")  # type: ignore[call-overload]


# -- transport ----------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_exact_plans_are_those_of_pot(rows: int, columns: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    cost = generator.random((rows, columns))
    a, b = generator.dirichlet(np.ones(rows)), generator.dirichlet(np.ones(columns))
    plan = ow.solve(cost, a, b, solver="exact")
    assert plan.value == pytest.approx(ot.emd2(a, b, cost), abs=1e-9)
    assert plan.plan.shape == (rows, columns) and plan.plan.dtype == np.float64
    np.testing.assert_allclose(plan.plan.sum(1), a, atol=1e-9)
    batch = ow.solve(np.stack([cost, cost]), a, np.stack([b, b]), solver="exact")
    assert batch.plan.shape == (2, rows, columns)
    np.testing.assert_allclose(batch.plan[1], plan.plan)


def test_sinkhorn_is_that_of_pot_for_tensors_and_lists() -> None:
    cost = torch.rand(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    plan = ow.solve(cost, epsilon=0.1, iterations=5000, tolerance=1e-10)
    expected = ot.sinkhorn(np.full(3, 1 / 3), np.full(4, 1 / 4), cost.detach().numpy(), 0.1, stopThr=1e-12)
    assert isinstance(plan.plan, torch.Tensor) and bool(plan.converged)
    np.testing.assert_allclose(plan.plan.numpy(), expected, atol=1e-8)
    (gradient,) = torch.autograd.grad(plan.value, cost)
    torch.testing.assert_close(gradient, plan.plan)
    lists = ow.solve([[0, 1], [1, 0]], [1, 1], [1, 1], solver="exact")
    np.testing.assert_array_equal(lists.plan, [[1, 0], [0, 1]])
    assert lists.value == 0 and lists.row_entropy.tolist() == [0, 0] and lists.solver == "exact"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.0, 1.0],), "(Q, D)"),
        (([[0.0, 1.0]], [1.0], [1.0]), "must be"),
        (([[0.0, 1.0]], [1.0], [1.0, 1.0]), "must be equal"),
        (([[0.0, np.nan]],), "not finite"),
    ],
)
def test_problems_without_a_meaning(arguments: Any, message: str) -> None:
    with pytest.raises(ow.InputError) as error:
        ow.solve(*arguments)
    assert message in str(error.value) and isinstance(error.value, ValueError)


# -- SQL ----------------------------------------------------------------------------------------------


def test_sql(finished: ow.Run) -> None:
    results = ow.results(finished.results)
    relation = results.sql("SELECT id, created, config->>'seed' AS seed, 1.5::DECIMAL(4,2) AS d FROM runs")
    frame = relation.df()
    assert finished.id in set(frame["id"]) and str(frame["created"].dtype).startswith("datetime64")
    assert relation.pl().shape == frame.shape
    assert relation.filter(f"id = '{finished.id}'").fetchall()[0][2] == "0"
    assert results.sql("SELECT ?::INTEGER + ?", [1, 2]).fetchall() == [(3,)]
    for wrong, message in (
        ("SELECT 1; SELECT 2", "one SQL statement"),
        ("SELECT nonsense FROM runs", "nonsense"),
        ("FROM 'elsewhere.csv'", "refused"),
        ("DELETE FROM runs", "refused|no table"),
    ):
        with pytest.raises(ow.OpticalError, match=message):
            results.sql(wrong)


def test_a_relation_does_not_hold_the_database(finished: ow.Run, tiny: Any) -> None:
    """While a relation is in use another run is added to the database."""
    relation = ow.results(finished.results).sql("SELECT count(*) FROM runs")
    run = ow.run(
        tiny.settings(collections=[], training={"steps": 2}, name="another"),
        results=finished.results, progress=False,
    )  # fmt: skip
    before = relation.fetchall()[0][0]
    again = ow.results(finished.results)
    assert again.sql("SELECT count(*) FROM runs").fetchall() == [(before + 1,)]
    assert again.sql("SELECT id FROM latest WHERE name = 'another'").fetchall() == [(run.id,)]


def test_problems_of_run_folders_are_warnings(tmp_path: Path, finished: ow.Run) -> None:
    broken = tmp_path / "runs" / "broken"
    broken.mkdir(parents=True)
    (broken / "run.json").write_text("{")
    with pytest.warns(UserWarning, match="broken"):
        ow.results(tmp_path / "results.duckdb")
    with pytest.raises(ow.InputError):
        ow.results(tmp_path / "elsewhere" / "results.duckdb").sql("FROM runs")


# -- registering --------------------------------------------------------------------------------------


def test_a_registered_solver_is_used_until_it_is_removed() -> None:
    from engine.extensions.transport import SOLVERS, Problem, Solution, Solver, SolverOptions

    def independent(problem: Problem, options: SolverOptions) -> Solution:
        return Solution(problem.source.unsqueeze(2) * problem.target.unsqueeze(1))

    solver = Solver(name="independent", meaning="The product of the marginals.", function=independent)
    assert ow.register(solver) is solver
    try:
        plan = ow.solve([[0.0, 1.0, 2.0]], [1.0], [0.2, 0.3, 0.5], solver="independent")
        np.testing.assert_allclose(plan.plan, [[0.2, 0.3, 0.5]])
        with pytest.raises(ow.InputError, match="there is already a solver 'independent'"):
            ow.register(solver)
    finally:
        SOLVERS.unregister("independent")
    with pytest.raises(ow.InputError, match="independent"):
        ow.solve([[0.0]], solver="independent")
    with pytest.raises(ow.InputError, match="no registry for a Row"):
        ow.register(Row("a", 1, None))
