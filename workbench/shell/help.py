"""The key map and the help on the focused widget, made from the actions and the widgets' help texts."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.dom import DOMNode
from textual.screen import ModalScreen, Screen
from textual.widgets import Markdown

from workbench.actions import ACTIONS, SCOPES, is_function_key, key_text
from workbench.data.key_map import KeyMap
from workbench.widgets.table import Cell, Column, Table
from workbench.widgets.text_view import TextView, set_border


class KeyTable(ModalScreen[None]):
    """The keys of all screens, as the user's key map has them."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark,f12", "dismiss", "Close")]

    def __init__(self, keys: KeyMap) -> None:
        super().__init__()
        self.key_map = keys

    def compose(self) -> ComposeResult:
        """Yield the table."""
        with Vertical(classes="dialog tall-dialog") as dialog:
            set_border(dialog, title="Keys")
            yield Table(fixed=0)
            yield TextView("Esc  close     Ctrl+P finds an action by its name", classes="keys")

    def on_mount(self) -> None:
        """Fill the table; the keys of the current screen come first."""
        here = getattr(self.app.screen_stack[-2], "scope", "")
        scopes = sorted(SCOPES, key=lambda scope: scope != here)
        rows: list[tuple[Cell | str, str]] = [("Function keys", function_keys(self.key_map)), ("", "")]
        for scope in scopes:
            rows.append((Cell(SCOPES[scope], "head"), ""))
            rows += [(key_text(self.key_map.keys(scope, action)), action.help) for action in ACTIONS[scope]]
            rows.append(("", ""))
        self.query_one(Table).show([Column("Key", 18), Column("Does", 70)], rows[:-1])


def function_keys(keys: KeyMap) -> str:
    """Return the function keys in their order, each with the label of its action, in one line."""
    labels = {
        int(key[1:]): action.label
        for scope, actions in ACTIONS.items()
        for action in actions
        for key in keys.keys(scope, action).split(",")
        if is_function_key(key)
    }
    return "  ".join(f"F{number} {labels[number]}" for number in sorted(labels))


class FocusHelp(ModalScreen[None]):
    """The help texts of the focused widget and its screen, and the keys that work there."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,f1,enter", "dismiss", "Close")]

    def __init__(self, focused: DOMNode, screen: Screen[object]) -> None:
        super().__init__()
        texts = dict.fromkeys(text for node in focused.ancestors_with_self if (text := node.HELP))
        self.text = "\n\n".join(texts) or "There is no help for this part of the screen."
        self.keys: list[tuple[str, str]] = []
        for key, active in screen.active_bindings.items():
            description = active.binding.tooltip or active.binding.description
            if description and description not in [text for _, text in self.keys]:
                self.keys.append((key_text(key), description))

    def compose(self) -> ComposeResult:
        """Yield the text and the keys."""
        with Vertical(classes="dialog tall-dialog") as dialog:
            set_border(dialog, title="Help")
            with VerticalScroll():
                yield Markdown(self.text)
                keys = Text()
                for key, description in self.keys:
                    keys.append(f"{key:<12}", "bold").append(f" {description}\n")
                yield TextView(keys)
            yield TextView("Esc  close", classes="keys")
