"""The bar in which a sentence pair is typed: the run that encodes it, its language, and two sentences."""

from __future__ import annotations

import unicodedata
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.suggester import SuggestFromList
from textual.widgets import Input

from engine.errors import InputError
from engine.languages import language
from workbench.actions import bindings
from workbench.plan.model import Pair
from workbench.widgets.text_input import TextInput
from workbench.widgets.text_view import TextView


class RunField(TextView, can_focus=True):
    """The run that encodes the pair; Enter or a click chooses another."""

    HELP = "**Run.** Enter or Space chooses the run whose encoders encode the two sentences."
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,space", "press", "Choose", show=False)]

    class Pressed(Message):
        """The user wants to choose another run."""

    def action_press(self) -> None:
        """Report that the user wants to choose another run."""
        self.post_message(self.Pressed())

    def on_click(self) -> None:
        """Report that the user wants to choose another run."""
        self.action_press()


class PairBar(Vertical):
    """The run and the language, and below them a line for each sentence."""

    HELP = (
        "**Typed pair.** Enter encodes the pair and solves its plan, Tab goes to the next field, Esc closes. "
        "The query encoder of the run encodes the first sentence, its document encoder the second."
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings("pair")

    class Typed(Message):
        """A pair was typed."""

        def __init__(self, pair: Pair) -> None:
            super().__init__()
            self.pair = pair

    class Refused(Message):
        """The pair is not complete or its language is unknown."""

        def __init__(self, sentence: str) -> None:
            super().__init__()
            self.sentence = sentence

    class Closed(Message):
        """The user closed the bar."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.run = ""

    def compose(self) -> ComposeResult:
        """Yield the run, the language and the sentences."""
        with Horizontal():
            yield RunField(id="pair-run")
            yield TextView("language", classes="name")
            yield TextInput(id="pair-language", placeholder="sw", max_length=20)
            yield TextView(id="pair-language-name")
        yield TextInput(id="pair-source", placeholder="a sentence in that language")
        yield TextInput(id="pair-target", placeholder="its English translation")

    def show(self, run: str, name: str, pair: Pair | None, languages: list[str]) -> None:
        """Show a run (its id and name) and a pair, and suggest `languages`; None keeps the typed pair."""
        self.set_run(run, name)
        code = self.query_one("#pair-language", Input)
        code.suggester = SuggestFromList(languages, case_sensitive=False)
        if pair is not None:
            texts = {
                "language": pair.language,
                "source": _one_line(pair.source),
                "target": _one_line(pair.target),
            }
            for part, text in texts.items():
                entry = self.query_one(f"#pair-{part}", Input)
                entry.value, entry.cursor_position = text, len(text)
        elif not code.value and languages:
            code.value = languages[0]

    def set_run(self, run: str, name: str) -> None:
        """Encode with another run."""
        self.run = run
        self.query_one(RunField).update(Text(f"run ‹ {name} ›", no_wrap=True, overflow="ellipsis"))

    def focus_source(self) -> None:
        """Focus the first sentence."""
        self.query_one("#pair-source", Input).focus()

    @on(Input.Changed, "#pair-language")
    def _show_language(self, event: Input.Changed) -> None:
        name = self.query_one("#pair-language-name", TextView)
        try:
            name.update(Text(language(event.value.strip()).name if event.value.strip() else ""))
        except InputError:
            name.update("?")

    @on(Input.Submitted)
    def _typed(self) -> None:
        source, target, code = (
            self.query_one(f"#pair-{part}", Input).value.strip() for part in ("source", "target", "language")
        )
        if not source or not target:
            self.post_message(self.Refused("type both sentences; Tab goes from one to the other"))
            return
        try:
            code = language(code).code if code else "und"
        except InputError as error:
            self.post_message(self.Refused(str(error)))
            return
        self.post_message(self.Typed(Pair("", code, source, target)))

    def action_leave(self) -> None:
        """Report that the user closed the bar."""
        self.post_message(self.Closed())


def _one_line(text: str) -> str:
    """Return `text` on one line, without control characters."""
    return "".join(c for c in " ".join(text.split()) if unicodedata.category(c) not in ("Cc", "Cs"))
