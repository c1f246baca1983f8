"""The editor of SQL statements, and the list of completions at its cursor."""

from __future__ import annotations

from rich.text import Text
from textual import events
from textual.geometry import Offset
from textual.widgets import TextArea

from workbench.sql.completion import Completion, Names, complete, word_before
from workbench.widgets.text import fit, plain
from workbench.widgets.text_input import run_bound_action
from workbench.widgets.text_view import TextView

SHOWN = 8
"""The number of completions that are listed at once."""

_WIDEST = 32


class CompletionList(TextView):
    """The completions of the word before the cursor; one of them is selected."""

    DEFAULT_CSS = """
    CompletionList {
        overlay: screen; constrain: inside inflect; width: auto; height: auto; display: none;
        background: $panel; color: $foreground;
    }
    """

    def __init__(self) -> None:
        super().__init__(id="sql-completions")
        self.offered: list[Completion] = []
        self.selected = 0

    def offer(self, completions: list[Completion], cursor: Offset, word: str) -> None:
        """Show completions below the cursor, under the word that they complete; hide the list if empty."""
        self.offered, self.selected = completions, 0
        self.display = bool(completions)
        if completions:
            self.absolute_offset = cursor - (len(word) + 1, -1)
            self._draw()

    def move(self, rows: int) -> None:
        """Select another completion."""
        self.selected = (self.selected + rows) % len(self.offered)
        self._draw()

    def _draw(self) -> None:
        first = max(0, min(self.selected - SHOWN // 2, len(self.offered) - SHOWN))
        shown = self.offered[first : first + SHOWN]
        width = min(max(len(plain(one.text)) for one in shown), _WIDEST)
        lines = Text(no_wrap=True)
        for place, one in enumerate(shown, first):
            style = "bold reverse" if place == self.selected else ""
            lines.append("\n" * (place > first))
            lines.append(f" {fit(plain(one.text), width)} ", style).append(
                f" {fit(plain(one.kind), 9)}", "dim"
            )
        self.update(lines)


class SqlEditor(TextArea):
    """The editor of the statement."""

    HELP = (
        "**Editor.** Write one SQL statement. F5 or Ctrl+J runs it, F8 lists statements that ran before. "
        "While you write, names, keywords and functions are offered: Tab inserts the selected one, ↑ and ↓ "
        "select, Esc hides the list, Ctrl+Space shows it."
    )

    def __init__(self, text: str, completions: CompletionList) -> None:
        super().__init__(text, id="sql-editor", tab_behavior="focus", show_line_numbers=False)
        self.names = Names()
        self._list = completions
        self._typed = False

    async def on_key(self, event: events.Key) -> None:
        """Handle keys in the order in which they were typed; some are for the list while it is shown."""
        self._typed = event.is_printable or event.key == "backspace"
        if event.key in ("ctrl+@", "ctrl+space"):
            self._offer(asked=True)
        elif self._list.display and event.key in ("up", "down"):
            self._list.move(1 if event.key == "down" else -1)
        elif self._list.display and event.key == "tab":
            self._accept()
        elif self._list.display and event.key == "escape":
            self.hide_completions()
        else:
            if not self._typed:
                self.hide_completions()
            await run_bound_action(self, event)
            return
        event.stop()
        event.prevent_default()

    def on_text_area_changed(self) -> None:
        """Offer completions for what was typed."""
        if self._typed:
            self._offer(asked=False)

    def on_blur(self) -> None:
        """Hide the list."""
        self.hide_completions()

    def hide_completions(self) -> None:
        """Hide the list of completions."""
        self._typed = False
        self._list.offer([], Offset(), "")

    def _offer(self, *, asked: bool) -> None:
        before = self.get_text_range((0, 0), self.cursor_location)
        after = self.get_text_range(self.cursor_location, self.document.end)
        word = word_before(before)
        # Without a word everything could follow, which is shown only if it is asked for or after a point.
        wanted = asked or word or before.endswith(".")
        self._list.offer(
            complete(before, after, self.names) if wanted else [], self.cursor_screen_offset, word
        )

    def _accept(self) -> None:
        """Replace the word before the cursor by the selected completion."""
        row, column = self.cursor_location
        word = word_before(self.get_text_range((0, 0), self.cursor_location))
        chosen = self._list.offered[self._list.selected].text
        self._typed = False
        self.replace(chosen, (row, column - len(word)), (row, column), maintain_selection_offset=False)
        self.hide_completions()
