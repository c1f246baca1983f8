"""Text on the screen: nothing in it is markup, and no control character has an effect."""

from __future__ import annotations

from typing import Any

from rich.segment import Segment
from rich.text import Text
from textual.color import Color
from textual.content import Content
from textual.filter import LineFilter
from textual.widget import Widget
from textual.widgets import Static

from engine.visible import without_controls
from workbench.widgets.text import inert, plain


class TextView(Static):
    """A text that is shown as it is. Styles are those of a rich `Text`; markup is not parsed.

    The app uses no other widget for text, so a name or a sentence cannot change the screen or end the app.

    Parameters
    ----------
    content : str or Text
        The text.
    id, classes : str, optional
        Those of the widget.
    """

    def __init__(
        self, content: str | Text = "", *, id: str | None = None, classes: str | None = None
    ) -> None:
        super().__init__(inert(content), markup=False, id=id, classes=classes)

    def update(self, content: Any = "", *, layout: bool = True) -> None:
        """Show `content`, a str or a rich `Text`."""
        super().update(inert(content), layout=layout)


def set_border(widget: Widget, *, title: str | None = None, subtitle: str | Text | None = None) -> None:
    """Write a title or a subtitle into the border of `widget`; None changes nothing."""
    if title is not None:
        widget.border_title = Content(plain(title))
    if subtitle is not None:
        widget.border_subtitle = inert(subtitle)


class ControlFilter(LineFilter):
    """Drops control characters from what is painted.

    `plain` and `inert` make them visible. This filter is for Textual's own widgets that show what users type,
    such as inputs and the editor.
    """

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Return the segments without control characters, which have no width."""
        if all(segment.text.isprintable() for segment in segments):
            return segments
        return [Segment(without_controls(text), style, control) for text, style, control in segments]
