"""Dialogs: confirm, type a line, choose from a list, look at a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from workbench.widgets.table import Cell, Column, Table
from workbench.widgets.text_input import TextInput


class ConfirmDialog(ModalScreen[bool]):
    """Ask before something that cannot be undone."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)", "Yes"),
        Binding("n,escape,enter", "dismiss(False)", "No"),
    ]

    def __init__(self, question: str, consequence: str) -> None:
        super().__init__()
        self.question, self.consequence = question, consequence

    def compose(self) -> ComposeResult:
        """Ask."""
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = self.question
            yield Static(Text(self.consequence), classes="sentence")
            yield Static("y  yes     n, Esc, Enter  no", classes="keys")


class TextDialog(ModalScreen[str | None]):
    """Ask for one line of text; `check` returns a sentence when the text will not do."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Cancel")]

    def __init__(
        self,
        title: str,
        value: str = "",
        *,
        hint: str = "",
        check: Callable[[str], str | None] = lambda text: None,
    ) -> None:
        super().__init__()
        self.heading, self.value, self.hint, self.check = title, value, hint, check

    def compose(self) -> ComposeResult:
        """Ask."""
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = self.heading
            if self.hint:
                yield Static(Text(self.hint), classes="sentence")
            yield TextInput(self.value, select_on_focus=False)
            yield Static(classes="wrong")
            yield Static("Enter  take it     Esc  leave it", classes="keys")

    @on(Input.Changed)
    def _check(self, event: Input.Changed) -> None:
        self.query_one(".wrong", Static).update(Text(self.check(event.value) or ""))

    @on(Input.Submitted)
    def _take(self, event: Input.Submitted) -> None:
        if not self.check(event.value):
            self.dismiss(event.value)


class ChoiceDialog(ModalScreen[Any]):
    """Choose one row of a list, or several with Space; typing narrows the list."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Cancel"),
        Binding("enter", "take", "Take", priority=True),
        Binding("down", "move(1)", show=False, priority=True),
        Binding("up", "move(-1)", show=False, priority=True),
        Binding("ctrl+space,insert,tab", "mark", "Mark", priority=True),
    ]

    def __init__(
        self,
        title: str,
        columns: Sequence[str | Column],
        rows: Sequence[Sequence[Any]],
        keys: Sequence[Any],
        *,
        chosen: Sequence[Any] = (),
        several: bool = False,
        typed: bool = False,
    ) -> None:
        super().__init__()
        self.heading, self.columns, self.rows, self.keys = title, columns, rows, list(keys)
        self.several, self.chosen, self.typed = several, list(chosen), typed

    def compose(self) -> ComposeResult:
        """Show the list."""
        with Vertical(classes="dialog tall-dialog") as dialog:
            dialog.border_title = self.heading
            yield TextInput(placeholder="type to narrow the list")
            empty = "nothing listed fits; Enter takes what is typed" if self.typed else "nothing fits"
            yield Table(id="choices", fixed=0, empty=empty)
            yield Static(id="doing", classes="sentence")
            marking = "Tab  mark     " if self.several else ""
            yield Static(f"{marking}Enter  take     Esc  leave", classes="keys")

    def on_mount(self) -> None:
        """Fill the list and begin at what is chosen already."""
        self._fill("")
        table = self.query_one(Table)
        table.can_focus = False
        if self.chosen and self.chosen[0] in self.keys:
            table.go_to(self.keys.index(self.chosen[0]))

    @on(Input.Changed)
    def _narrow(self, event: Input.Changed) -> None:
        self._fill(event.value)
        if event.value:
            self.query_one(Table).go_to(0)

    def refill(self) -> None:
        """Show the rows as they are now; what was typed, marked and come to stays."""
        self._fill(self.query_one(Input).value)

    def show_status(self, sentence: str) -> None:
        """Say what is being done."""
        self.query_one("#doing", Static).update(Text(sentence))

    def _fill(self, text: str) -> None:
        words = text.casefold().split()
        listed: list[tuple[bool, list[Any], Any]] = []
        for row, key in zip(self.rows, self.keys, strict=True):
            values = [str(value.text if isinstance(value, Cell) else value).casefold() for value in row]
            if all(word in " ".join(values) for word in words):
                sign = Cell("●" if key in self.chosen else " ", "marked")
                listed.append(
                    (
                        bool(text) and text.casefold() not in values,
                        [sign, *row] if self.several else [*row],
                        key,
                    )
                )
        listed.sort(key=lambda entry: entry[0])  # what is spelled just so comes first
        columns = [Column("", 1)] * self.several
        columns += [column if isinstance(column, Column) else Column(column) for column in self.columns]
        self.query_one(Table).show(columns, [row for _, row, _ in listed], [key for _, _, key in listed])

    def action_move(self, rows: int) -> None:
        """Move in the list while the text keeps the focus."""
        self.query_one(Table).action_move(rows)

    def action_mark(self) -> None:
        """Mark the row, or unmark it."""
        key = self.query_one(Table).key
        if self.several and key is not None:
            self.chosen = [other for other in self.chosen if other != key] + [key] * (key not in self.chosen)
            self._fill(self.query_one(Input).value)
            self.query_one(Table).action_move(1)

    @on(Table.Chosen)
    def action_take(self) -> None:
        """Return what is marked, or else the row under the cursor, or else what was typed."""
        # This key overtakes letters that still wait in the line's own queue.
        self.query_one(Input).call_later(self._take)

    def _take(self) -> None:
        self.refill()
        key, text = self.query_one(Table).key, self.query_one(Input).value.strip()
        if self.typed and key is None and text and not self.chosen:
            self.dismiss(text)
        elif self.several:
            self.dismiss(self.chosen or ([key] if key is not None else None))
        elif key is not None:
            self.dismiss(key)


class TableDialog(ModalScreen[None]):
    """Show a table and nothing else."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter", "dismiss", "Close")]

    def __init__(
        self, title: str, columns: Sequence[Column], rows: Sequence[Sequence[Any]], note: str = ""
    ) -> None:
        super().__init__()
        self.heading, self.columns, self.rows, self.note = title, columns, rows, note

    @staticmethod
    def table_width(width: int) -> int:
        """Return the cells that the table has on a screen of `width`."""
        return min(int(0.9 * width), 180) - 7  # less border, padding and scrollbar

    def compose(self) -> ComposeResult:
        """Show it."""
        with Vertical(classes="dialog tall-dialog wide-dialog") as dialog:
            dialog.border_title = self.heading
            yield Table(empty="there is nothing to show")
            if self.note:
                yield Static(Text(self.note), classes="sentence")
            yield Static("Esc  close", classes="keys")

    def on_mount(self) -> None:
        """Fill it."""
        self.query_one(Table).show(self.columns, self.rows)
