"""Jump mode: a letter on each part of the screen; the part whose letter is typed gets the focus."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen, Screen
from textual.widget import Widget

from workbench.widgets.text_view import TextView

LETTERS = "asdfghjklqwertyuiopzxcvbnm"
"""The home row first."""


class JumpScreen(ModalScreen[None]):
    """The letters, drawn over the screen below."""

    HELP = "**Jump.** Type the letter of the part to go to, or Esc."
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,ctrl+o,f10", "dismiss", "Stay here")]

    def __init__(self, below: Screen[Any]) -> None:
        super().__init__()
        self.below = below

    def compose(self) -> ComposeResult:
        """Yield a letter for the corner of each visible part that can have the focus."""
        seen = [widget for widget in self.below.focus_chain if widget.region.overlaps(self.below.region)]
        self.targets: dict[str, Widget] = dict(zip(LETTERS, seen, strict=False))
        for letter, widget in self.targets.items():
            label = TextView(Text(f" {letter} "), classes="letter")
            label.styles.offset = (widget.region.x, widget.region.y)
            yield label

    def on_key(self, event: events.Key) -> None:
        """Focus the part that has the typed letter; other keys do nothing."""
        widget = self.targets.get(event.key)
        if widget is not None:
            event.stop()
            self.dismiss()
            self.below.set_focus(widget)
