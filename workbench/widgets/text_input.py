"""Text inputs that handle keys in the order in which they were typed."""

from __future__ import annotations

from textual import events
from textual.widget import Widget
from textual.widgets import Input


async def run_bound_action(widget: Widget, event: events.Key) -> None:
    """Run the action that a key is bound to at once, unless the key is a character.

    Call it from the ``on_key`` of a widget that takes text. Textual sends a key that is no character from the
    widget up to the app before it runs the bound action, while characters typed after it are inserted at
    once. On a busy machine, or when text is pasted, a deletion could then come after the characters that were
    typed after it.
    """
    bound = None if event.is_printable else widget.screen.active_bindings.get(event.key)
    if bound is not None and bound.enabled:
        event.stop()
        event.prevent_default()
        await widget.app.run_action(bound.binding.action, default_namespace=bound.node)


class TextInput(Input):
    """An input of one line."""

    async def on_key(self, event: events.Key) -> None:
        """Handle a key before the keys that were typed after it."""
        await run_bound_action(self, event)
