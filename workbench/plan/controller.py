"""Solves the plans of the Plan screen in the warm process."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from textual.message_pump import MessagePump

from engine.errors import OpticalError
from engine.results.record import known_settings
from engine.serving.records import PLAN, PlanReply, PlanRequest
from workbench.context import Context
from workbench.data.runs import Run
from workbench.plan.model import Pair, SolvedPlan, plan_from_record
from workbench.plan.side import Side
from workbench.shell.warm_requests import WarmRequests


class PlanController:
    """Sends the pairs of the sides to the warm process, one request a side at a time.

    Parameters
    ----------
    screen : MessagePump
        The screen; callbacks are called in its message loop.
    context : Context
        The runs, the results database and the warm process.
    on_solved : callable
        Called with a side and the plan that was solved for it.
    report : callable
        Called with a sentence for the status line and its level.
    """

    def __init__(
        self,
        screen: MessagePump,
        context: Context,
        on_solved: Callable[[Side, SolvedPlan], None],
        report: Callable[[str, str], None],
    ) -> None:
        self._context = context
        self._on_solved, self._report = on_solved, report
        self._requests = WarmRequests(
            screen, context, on_progress=self._show_progress, on_failure=self._request_failed
        )
        self._pending: dict[int, tuple[Side, str]] = {}

    def find_run(self, run: str) -> Run | None:
        """Return the record of a run (id), or None if it is not known any more."""
        return next((record for record in self._context.runs if record["id"] == run), None)

    def run_name(self, run: str) -> str:
        """Return the name of a run, or its id if the run is not known any more."""
        record = self.find_run(run)
        return str(record["name"]) if record is not None else run

    def recorded_settings(self, run: str) -> dict[str, Any]:
        """Return the solver settings that a run recorded; empty for a run that has none."""
        return dict(known_settings(self.find_run(run) or {}).get("transport", {}))

    def solve(self, side: Side, run: str, pair: Pair) -> None:
        """Encode `pair` with `run`, and solve its plan with the settings of `side`."""
        self.cancel(side)
        request = PlanRequest(
            results=self._requests.results,
            run=run,
            source=pair.source,
            target=pair.target,
            language=pair.language,
            transport=_changes(side.settings, self.recorded_settings(run)),
        )
        name = self.run_name(run)
        side.request = self._requests.send(PLAN, request, partial(self._show_plan, side, run, name, pair))
        self._pending[side.request] = side, name

    def cancel(self, side: Side) -> None:
        """Cancel the request of `side`, if it is unanswered."""
        if side.request is not None:
            self._requests.cancel(side.request)
            self._pending.pop(side.request, None)
            side.request = None

    def _show_progress(self, number: int, sentence: str) -> None:
        _, name = self._pending[number]
        self._report(f"{name}: {sentence}", "")

    def _request_failed(self, number: int, sentence: str) -> None:
        side, _ = self._pending.pop(number)
        side.request = None
        self._report(sentence, "warn")

    def _show_plan(self, side: Side, run: str, name: str, pair: Pair, reply: PlanReply) -> None:
        if side.request is not None:
            self._pending.pop(side.request, None)
        side.request = None
        try:
            plan = plan_from_record(vars(reply), run, name, pair, stored=False).with_setting(reply.transport)
        except OpticalError as error:
            self._report(str(error), "warn")
            return
        if side.settings is not None:
            side.settings = dict(reply.transport)  # the solver may ignore some, such as annealing
        self._report(f"{name}: {pair.id or 'typed pair'} solved", "")
        self._on_solved(side, plan)


def _changes(settings: dict[str, Any] | None, recorded: dict[str, Any]) -> dict[str, Any]:
    """Return those of `settings` that differ from the run's recorded settings."""
    unknown = object()
    return {name: value for name, value in (settings or {}).items() if recorded.get(name, unknown) != value}
