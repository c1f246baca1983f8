"""What stands under the plan screen: facts of a plan, the heatmap, the solver's settings, typed pairs."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from rich.cells import cell_len
from rich.color import Color
from textual.app import App, ComposeResult
from textual.widgets import Input

from engine.config import TransportConfig
from engine.errors import InputError
from engine.extensions.transport import SOLVERS
from workbench.plan.heatmap import GUTTER, Heatmap
from workbench.plan.model import Pair, SolvedPlan, plan_from_record
from workbench.plan.pair_bar import PairBar
from workbench.plan.solver_form import SolverForm, neighbour

TOKENS = ["المكتبة", "ขอบคุณ", "क्षत्रिय", "机器翻译", "👩‍🔬", "a\x1b[31m\nb", "x" * 40]


def solved(mass: Any, cost: Any = None, **changes: Any) -> SolvedPlan:
    rows, columns = mass.shape
    settings: dict[str, Any] = {
        "run": "r", "name": "one", "pair": Pair("p", "ar", "s", "t"), "mass": mass,
        "source_tokens": (TOKENS * 9)[:rows], "target_tokens": [f"t{n}" for n in range(columns)],
        "cost": 1 - mass if cost is None else cost, "solver": "sinkhorn", "epsilon": 0.1, "iterations": 10,
        "marginal_error": 1e-6, "converged": True, "value": 0.5, "entropy": math.log(3), **changes,
    }  # fmt: skip
    return SolvedPlan(**settings)


def test_cell_facts_are_those_of_the_matrix() -> None:
    mass = np.array([[0.1, 0.3], [0.6, 0.0]])
    plan = solved(mass)
    # 0.1 x 0.9 of 0.1 x 0.9 + 0.3 x 0.7 + 0.6 x 0.4 = 0.54
    assert plan.describe_cell(0, 0) == (
        "mass 0.1, 25% of the row, rank 2, cost 0.900, contribution 0.09 (17%)"
    )
    assert "rank 1" in plan.describe_cell(0, 1) and "0% of the row" in plan.describe_cell(1, 1)
    assert "an empty row" in solved(np.zeros((2, 2))).describe_cell(0, 0)
    assert "3.0 matches" in plan.summary() and plan.summary().startswith("converged, marginal error 1e-06")
    assert solved(mass, converged=False).summary().startswith("NOT CONVERGED")


def test_difference_is_the_total_variation() -> None:
    one, other = solved(np.array([[0.5, 0.0], [0.0, 0.5]])), solved(np.array([[0.25, 0.25], [0.0, 0.5]]))
    assert other.describe_difference(one) == "25% of the mass moved, 2 of 2 rows peak at the same token"
    assert one.has_same_tokens(other) and not one.has_same_tokens(solved(np.ones((2, 3))))


def test_an_answer_whose_matrix_does_not_fit_its_tokens_is_refused() -> None:
    plan = solved(np.full((2, 3), 1 / 6))
    assert (plan_from_record(plan.to_record(), "r", "one", plan.pair, stored=True).mass == plan.mass).all()
    with pytest.raises(InputError, match="do not fit its tokens"):
        plan_from_record({**plan.to_record(), "target_tokens": ["a"]}, "r", "one", plan.pair, stored=True)
    with pytest.raises(InputError, match="do not fit its tokens"):
        plan_from_record({**plan.to_record(), "plan": [[1], [2, 3]]}, "r", "one", plan.pair, stored=True)


# -- settings -------------------------------------------------------------------------------------


def test_every_setting_of_a_problem_has_its_line_and_nothing_else() -> None:
    form = SolverForm({"solver": "ipot", "epsilon": 0.5})
    of_losses = ["layers", "teacher_layers", "layer_weights"]
    assert [row.name for row in form.rows()] + of_losses == list(TransportConfig.model_fields)
    assert [row.value for row in form.rows()][:1] == ["ipot"] and not form.changed
    assert form.row("epsilon").meaning == TransportConfig.model_fields["epsilon"].description


def test_settings_step_through_choices_and_round_numbers() -> None:
    form = SolverForm({})
    for expected in (0.1, 0.2, 0.5, 1.0):
        assert form.step("epsilon", 1) == "" and form.settings["epsilon"] == expected
    assert form.row("epsilon").changed
    form.restore("epsilon")
    assert form.settings["epsilon"] == TransportConfig().epsilon
    assert form.step("solver", -1) == ""
    assert form.settings["solver"] == list(SOLVERS)[-1]
    form.settings["iterations"] = 1
    assert "greater than or equal to 1" in form.step("iterations", -1)
    assert form.settings["iterations"] == 1
    assert form.step("anneal_from", -1) == "" and form.settings["anneal_from"] is None
    assert form.step("anneal_from", 1) == "" and form.settings["anneal_from"] == 0.1
    assert (
        form.check("epsilon", "none of it")
        and form.check("epsilon", "-1")
        and not form.check("epsilon", "3e-2")
    )
    assert form.set_value("anneal_from", form.parse("anneal_from", "")) == ""
    assert form.settings["anneal_from"] is None


@pytest.mark.parametrize("value", [1e-5, 0.05, 0.07, 0.1, 1, 3, 50, 99_999])
def test_neighbours_are_the_next_of_1_2_5(value: float) -> None:
    row = [digit * 10.0**power for power in range(-7, 8) for digit in (1, 2, 5)]
    assert neighbour(value, 1) == pytest.approx(min(n for n in row if n > value * 1.000001))
    assert neighbour(value, -1) == pytest.approx(max(n for n in row if n < value * 0.999999))


# -- widgets --------------------------------------------------------------------------------------


class Alone(App[None]):
    """One widget and nothing else."""

    def __init__(self, widget: Any) -> None:
        super().__init__()
        self.widget = widget

    def compose(self) -> ComposeResult:
        yield self.widget


@pytest.mark.parametrize(("size", "shape"), [((80, 24), (32, 40)), ((120, 40), (32, 40)), ((80, 24), (3, 4))])
async def test_heatmap_lines_have_the_views_width_and_the_cursor_its_cell(
    size: tuple[int, int], shape: tuple[int, int]
) -> None:
    mass = np.random.default_rng(0).random(shape)
    heatmap = Heatmap()
    async with Alone(heatmap).run_test(size=size) as pilot:
        heatmap.show(mass, 1 - mass, (TOKENS * 9)[: shape[0]], [f"t{place}" for place in range(shape[1])])
        heatmap.focus()
        await pilot.pause()
        assert (heatmap.row, heatmap.column) == np.unravel_index(mass.argmax(), shape)
        for _ in range(2):
            width = heatmap.scrollable_content_region.width
            for line in range(size[1]):
                assert sum(cell_len(segment.text) for segment in heatmap.render_line(line)) == width
            heatmap.subtract((mass / 2, 1 - mass / 2))
        heatmap.subtract(None)
        await pilot.press("n", "n")
        order = np.argsort(-mass, axis=None)
        assert heatmap.row * shape[1] + heatmap.column == order[2]
        for key in ("l", "r", "c", "x", "m", "p", "full_stop", "N", "down", "right"):
            await pilot.press(key)
        assert heatmap.shading.layer == "cost" and heatmap.shading.by == "column"
        assert heatmap.shading.logarithmic and heatmap.shading.threshold == 0.01


def words(heatmap: Heatmap, line: int) -> str:
    return "".join(segment.text for segment in heatmap.render_line(line))


async def test_labels_stay_when_a_large_plan_scrolls() -> None:
    mass = np.eye(90) + 0.1
    heatmap = Heatmap()
    async with Alone(heatmap).run_test(size=(100, 20)) as pilot:
        heatmap.show(mass, mass, [f"row{n + 1}" for n in range(90)], [f"t{n}" for n in range(90)])
        heatmap.go_to(79, 84)
        await pilot.pause()
        assert heatmap.scroll_offset.x > 0 and heatmap.scroll_offset.y > 0
        assert "▾" in words(heatmap, 0)
        here = [line for line in range(20) if "◆" in words(heatmap, line)]
        assert len(here) == 1 and words(heatmap, here[0]).strip().startswith("row80▸")
        # The mark stands under the arrow, which is as many cells on.
        assert words(heatmap, here[0]).index("◆") in range(
            words(heatmap, 0).index("▾"), 2 + words(heatmap, 0).index("▾")
        )
        row = words(heatmap, here[0] - 1)
        assert row[:GUTTER].strip() == "row79"


async def test_a_click_goes_to_the_cell_under_the_mouse() -> None:
    heatmap = Heatmap()
    async with Alone(heatmap).run_test(size=(120, 40)) as pilot:
        heatmap.show(np.eye(32, 40), np.eye(32, 40), ["s"] * 32, ["t"] * 40)
        await pilot.pause()
        await pilot.click(Heatmap, offset=(GUTTER + 2 * 7, 1 + 5))
        assert (heatmap.row, heatmap.column) == (5, 7)
        await pilot.click(Heatmap, offset=(GUTTER - 3, 1 + 9))
        assert (heatmap.row, heatmap.column) == (5, 7)


def luminance(colour: Color) -> float:
    red, green, blue = colour.get_truecolor()
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


async def test_larger_is_brighter_and_argmax_is_marked() -> None:
    mass = np.array([[0.01, 0.02, 0.04, 0.08, 0.16], [0.2, 0.1, 0.1, 0.1, 0.19]])
    heatmap = Heatmap()
    async with Alone(heatmap).run_test(size=(120, 40)) as pilot:
        heatmap.show(mass, mass, ["a", "b"], list("vwxyz"))
        await pilot.pause()
        line = 1 + (heatmap.cell_height - 1) // 2
        cells = list(heatmap.render_line(line))[1:6]
        shades = [luminance(cell.style.bgcolor) for cell in cells if cell.style and cell.style.bgcolor]
        assert all(a < b for a, b in itertools.pairwise(shades)) and len(shades) == 5
        assert [("•" in cell.text) for cell in cells] == [False] * 4 + [True]
        await pilot.pause()
        heatmap.subtract((mass[:, ::-1], mass))
        cells = list(heatmap.render_line(line))[1:6]
        assert [cell.text.strip(" ◆") for cell in cells] == ["−", "−", "", "+", "+"]


@pytest.mark.parametrize("colours", [False, True])
async def test_without_colours_shades_are_characters(monkeypatch: pytest.MonkeyPatch, colours: bool) -> None:
    if not colours:
        monkeypatch.setenv("NO_COLOR", "1")
    heatmap = Heatmap()
    async with Alone(heatmap).run_test(size=(80, 24)) as pilot:
        heatmap.show(np.array([[0.0, 0.5, 1.0]]), np.zeros((1, 3)), ["a"], ["x", "y", "z"])
        heatmap.action_marks()
        await pilot.pause()
        line = words(heatmap, 1)[GUTTER:]
        assert ("█" in line) != colours and (not colours or "▀" not in line)


async def test_pair_bar_refuses_half_a_pair_and_unknown_languages() -> None:
    bar, heard = PairBar(), []

    class Listening(Alone):
        def on_pair_bar_typed(self, message: PairBar.Typed) -> None:
            heard.append(message.pair)

        def on_pair_bar_refused(self, message: PairBar.Refused) -> None:
            heard.append(message.sentence)

    async with Listening(bar).run_test(size=(80, 24)) as pilot:
        bar.show("r", "one", Pair("p", "sw", "a\x1b[31m\n b", "c"), ["sw"])
        bar.focus_source()
        source = bar.query_one("#pair-source", Input)
        assert source.value == "a[31m b"
        await pilot.press("enter")
        source.value = "  "
        await pilot.press("enter")
        source.value = "d"
        bar.query_one("#pair-language", Input).value = "swahil"
        await pilot.press("enter")
        await pilot.pause()
    assert heard[0] == Pair("", "sw", "a[31m b", "c")
    assert "both sentences" in heard[1]
    assert "swahil" in heard[2]
