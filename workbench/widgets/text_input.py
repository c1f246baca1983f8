"""Lines and editors that take keys in the order in which they were typed."""

from __future__ import annotations

from textual import events
from textual.widget import Widget
from textual.widgets import Input


async def run_bound_action(widget: Widget, event: events.Key) -> None:
    """Do at once what a key is bound to, if it is no letter; for the ``on_key`` of what takes text.

    Textual lets a key that is no letter travel from the widget up to the app before it is looked up, while
    the letters typed after it are taken at once. On a busy machine, or when text is pasted, deletions then
    come after the letters that were to replace what they delete.
    """
    bound = None if event.is_printable else widget.screen.active_bindings.get(event.key)
    if bound is not None and bound.enabled:
        event.stop()
        event.prevent_default()
        await widget.app.run_action(bound.binding.action, default_namespace=bound.node)


class TextInput(Input):
    """A line for text."""

    async def on_key(self, event: events.Key) -> None:
        """Take keys in their order."""
        await run_bound_action(self, event)
