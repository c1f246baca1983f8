"""Jump mode: a letter on each part of the screen; typing the letter takes the focus there."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen, Screen
from textual.widget import Widget
from textual.widgets import Static

#: In the order of how near they are to the fingers.
LETTERS = "asdfghjklqwertyuiopzxcvbnm"


class Jump(ModalScreen[None]):
    """The letters over the screen as it is."""

    HELP = "**Jump.** Type the letter of the part to go to, or Esc."
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,ctrl+o,f10", "dismiss", "Stay here")]

    def __init__(self, below: Screen[Any]) -> None:
        super().__init__()
        self.below = below

    def compose(self) -> ComposeResult:
        """Put a letter on the corner of each part that is in view and takes the focus."""
        seen = [widget for widget in self.below.focus_chain if widget.region.overlaps(self.below.region)]
        self.targets: dict[str, Widget] = dict(zip(LETTERS, seen, strict=False))
        for letter, widget in self.targets.items():
            label = Static(Text(f" {letter} "), classes="letter")
            label.styles.offset = (widget.region.x, widget.region.y)
            yield label

    def on_key(self, event: events.Key) -> None:
        """Go where the letter stands; any other key does nothing."""
        widget = self.targets.get(event.key)
        if widget is not None:
            event.stop()
            self.dismiss()
            self.below.set_focus(widget)
