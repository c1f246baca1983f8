"""Dialogs: confirm, type text, choose from a list, show a table."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from engine.paths import expanded
from workbench.widgets.table import Cell, Column, Table
from workbench.widgets.text_input import TextInput
from workbench.widgets.text_view import TextView, set_border


class ConfirmDialog(ModalScreen[bool]):
    """A question that is answered with yes or no, with its consequence.

    Parameters
    ----------
    question, consequence : str
        What is asked, and what yes does.
    careful : bool
        Whether yes ends or deletes something; Enter then means no.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)", "Yes"),
        Binding("n,escape", "dismiss(False)", "No"),
        Binding("enter", "default", show=False),
    ]

    def __init__(self, question: str, consequence: str, *, careful: bool = False) -> None:
        super().__init__()
        self.question, self.consequence, self.careful = question, consequence, careful

    def compose(self) -> ComposeResult:
        """Yield the consequence and the keys."""
        keys = "y  yes     n, Esc, Enter  no" if self.careful else "y, Enter  yes     n, Esc  no"
        with Vertical(classes="dialog") as dialog:
            set_border(dialog, title=self.question)
            yield TextView(self.consequence, classes="sentence")
            yield TextView(keys, classes="keys")

    def action_default(self) -> None:
        """Answer yes, or no if yes would end or delete something."""
        self.dismiss(not self.careful)


class TextDialog(ModalScreen[str | None]):
    """A line of text to type. `check` returns why a text is not valid, or None."""

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
        """Yield the hint, the text, the message of the check and the keys."""
        with Vertical(classes="dialog") as dialog:
            set_border(dialog, title=self.heading)
            if self.hint:
                yield TextView(Text(self.hint), classes="sentence")
            yield TextInput(self.value, select_on_focus=False)
            yield TextView(classes="wrong")
            yield TextView("Enter  accept     Esc  cancel", classes="keys")

    @on(Input.Changed)
    def _check(self, event: Input.Changed) -> None:
        self.query_one(".wrong", TextView).update(Text(self.check(event.value) or ""))

    @on(Input.Submitted)
    def _accept(self, event: Input.Submitted) -> None:
        if not self.check(event.value):
            self.dismiss(event.value)


class ChoiceDialog(ModalScreen[Any]):
    """A list to choose one row from, or several; typed text filters the list.

    Parameters
    ----------
    title : str
        The title of the dialog.
    columns : sequence
        The columns of the list, or their titles.
    rows : sequence
        The cells of each row.
    keys : sequence
        The value that each row stands for.
    chosen : sequence
        The keys that are chosen at first.
    several : bool
        Whether several rows can be marked; the answer is then a list of keys.
    typed : bool
        Whether typed text that matches no row is an answer too.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Cancel"),
        Binding("enter", "accept", "Accept", priority=True),
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
        """Yield the filter, the list, the status and the keys."""
        with Vertical(classes="dialog tall-dialog") as dialog:
            set_border(dialog, title=self.heading)
            yield TextInput(placeholder="type to filter the list")
            empty = "no row matches; Enter accepts the typed text" if self.typed else "no row matches"
            yield Table(id="choices", fixed=0, empty=empty)
            yield TextView(id="doing", classes="sentence")
            marking = "Tab  mark     " if self.several else ""
            yield TextView(f"{marking}Enter  accept     Esc  cancel", classes="keys")

    def on_mount(self) -> None:
        """Fill the list and move the cursor to the row that is chosen."""
        self._fill("")
        table = self.query_one(Table)
        table.can_focus = False
        if self.chosen and self.chosen[0] in self.keys:
            table.go_to(self.keys.index(self.chosen[0]))

    @on(Input.Changed)
    def _filter(self, event: Input.Changed) -> None:
        self._fill(event.value)
        if event.value:
            self.query_one(Table).go_to(0)

    def refill(self) -> None:
        """Show the rows as they are now; the filter, the marks and the cursor do not change."""
        self._fill(self.query_one(Input).value)

    def show_status(self, sentence: str) -> None:
        """Show what is being done."""
        self.query_one("#doing", TextView).update(Text(sentence))

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
        listed.sort(key=lambda item: item[0])  # rows with a cell equal to the text come first
        columns = [Column("", 1)] * self.several
        columns += [column if isinstance(column, Column) else Column(column) for column in self.columns]
        self.query_one(Table).show(columns, [row for _, row, _ in listed], [key for _, _, key in listed])

    def action_move(self, rows: int) -> None:
        """Move the cursor of the list; the filter keeps the focus."""
        self.query_one(Table).action_move(rows)

    def action_mark(self) -> None:
        """Mark the row under the cursor, or unmark it."""
        key = self.query_one(Table).key
        if self.several and key is not None:
            self.chosen = [other for other in self.chosen if other != key] + [key] * (key not in self.chosen)
            self._fill(self.query_one(Input).value)
            self.query_one(Table).action_move(1)

    @on(Table.Chosen)
    def action_accept(self) -> None:
        """Answer with the marked rows, the row under the cursor, or the typed text."""
        # Letters that were typed before this key may still wait in the queue of the input.
        self.query_one(Input).call_later(self._answer)

    def _answer(self) -> None:
        self.refill()
        key, text = self.query_one(Table).key, self.query_one(Input).value.strip()
        if self.typed and key is None and text and not self.chosen:
            self.dismiss(text)
        elif self.several:
            self.dismiss(self.chosen or ([key] if key is not None else None))
        elif key is not None:
            self.dismiss(key)


class TableDialog(ModalScreen[None]):
    """A table to read."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter", "dismiss", "Close")]

    def __init__(
        self, title: str, columns: Sequence[Column], rows: Sequence[Sequence[Any]], note: str = ""
    ) -> None:
        super().__init__()
        self.heading, self.columns, self.rows, self.note = title, columns, rows, note

    @staticmethod
    def table_width(width: int) -> int:
        """Return the width of the table, in cells, on a screen of `width` cells."""
        return min(int(0.9 * width), 180) - 7  # without border, padding and scrollbar

    def compose(self) -> ComposeResult:
        """Yield the table, the note and the keys."""
        with Vertical(classes="dialog tall-dialog wide-dialog") as dialog:
            set_border(dialog, title=self.heading)
            yield Table(empty="there are no rows")
            if self.note:
                yield TextView(Text(self.note), classes="sentence")
            yield TextView("Esc  close", classes="keys")

    def on_mount(self) -> None:
        """Fill the table."""
        self.query_one(Table).show(self.columns, self.rows)


def unusual_name(name: str) -> str | None:
    """Return why no file can have this name, such as one that is too long, or None."""
    try:
        os.lstat(expanded(name))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return f"a file cannot be written there: {reason}"
    return None
