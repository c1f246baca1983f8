"""The tour at the first start: a few steps at the bottom of the screens that they explain."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from engine.paths import cache_home
from workbench.widgets.text_view import TextView, set_border


@dataclass(frozen=True)
class Step:
    """A step: the mode whose screen is shown, whether the reference study is opened there, and the text."""

    mode: str
    title: str
    text: str
    study: bool = False


STEPS = (
    Step(
        "runs",
        "Welcome",
        "Optical Workbench teaches an encoder to search in languages that its teacher knows less well, and "
        "shows per language what that gained. This tour goes once through the screens. Nothing is started or "
        "changed.",
    ),
    Step(
        "runs",
        "1 Runs",
        "Every run has a row here: training, evaluation, searches with words. Curves, settings and log are "
        "below; v switches between them. Space marks runs to draw and compare them together. The command "
        "`optical-workbench demo` makes the first runs in a few minutes, without a network.",
    ),
    Step(
        "results",
        "3 Results",
        "Here are scores per language, with intervals and tests against a baseline. This is a study that "
        "comes with Optical Workbench: what its arms gained and lost per language. v shows the next sheet, "
        "w the findings in sentences.",
        study=True,
    ),
    Step(
        "launch",
        "2 Launch",
        "A form with every setting of a run. p starts from a preset; the line below explains the setting "
        "under the cursor. Ctrl+S writes the file and starts the command that is shown.",
    ),
    Step(
        "plan",
        "4 Plan and 5 Ask",
        "Plan shows which words of a sentence the transport plan matches with which words of its "
        "translation. Ask searches with a run's encoders in any language, and explains each hit.",
    ),
    Step(
        "sql",
        "6 SQL, and keys",
        "All results are in one DuckDB database, which this screen queries. Everywhere: ? lists all keys, F1 "
        "explains what has the focus, Ctrl+P finds an action by its name, Ctrl+Q quits; runs continue.",
    ),
)

Answer = Literal["next", "back", "end"]


class TourStep(ModalScreen[Answer]):
    """One step of the tour."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space,right", "dismiss('next')", "Next"),
        Binding("backspace,left", "dismiss('back')", "Back"),
        Binding("escape,q", "dismiss('end')", "End"),
    ]

    def __init__(self, place: int) -> None:
        super().__init__()
        self.place = place

    def compose(self) -> ComposeResult:
        """Yield the text and the keys."""
        step = STEPS[self.place]
        with Vertical(classes="dialog") as dialog:
            set_border(dialog, title=f"{step.title} ({self.place + 1} of {len(STEPS)})")
            yield TextView(step.text, classes="sentence")
            yield TextView("Enter  next     Backspace  back     Esc  end the tour", classes="keys")


def _marker() -> Path:
    return cache_home() / "tour-seen"


def is_first_start() -> bool:
    """Return whether the tour was not shown yet to this user."""
    return not _marker().exists()


def remember_tour() -> None:
    """Remember that the tour was shown. Errors of writing are ignored; it is then shown again."""
    with suppress(OSError):
        _marker().parent.mkdir(parents=True, exist_ok=True)
        _marker().touch()
