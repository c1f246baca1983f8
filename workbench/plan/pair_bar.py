"""Where a sentence pair is typed: the run that encodes it, its language, and the two sentences."""

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
from textual.widgets import Input, Static

from engine.errors import InputError
from engine.languages import language
from workbench.actions import bindings
from workbench.plan.model import Pair
from workbench.widgets.text_input import TextInput


class RunField(Static, can_focus=True):
    """The run; Enter or a click asks for another."""

    HELP = "**Run.** Enter or Space chooses the run whose encoders read the two sentences."
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,space", "ask", "ChoiceDialog", show=False)]

    class Asked(Message):
        """Another run is wanted."""

    def action_ask(self) -> None:
        """Ask for another run."""
        self.post_message(self.Asked())

    def on_click(self) -> None:
        """Ask for another run."""
        self.action_ask()


class PairBar(Vertical):
    """Two lines to type in, and above them the run and the language."""

    HELP = (
        "**Typed pair.** Enter encodes and solves it, Tab goes on to the next field, Esc closes. The run's "
        "query encoder reads the first sentence, its document encoder the second."
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings("pair")

    class Typed(Message):
        """A pair is to be solved."""

        def __init__(self, pair: Pair) -> None:
            super().__init__()
            self.pair = pair

    class Refused(Message):
        """What was typed will not do."""

        def __init__(self, sentence: str) -> None:
            super().__init__()
            self.sentence = sentence

    class Closed(Message):
        """The user is done with typing."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.run = ""

    def compose(self) -> ComposeResult:
        """Run and language, and the sentences."""
        with Horizontal():
            yield RunField(id="pair-run")
            yield Static("language", classes="name")
            yield TextInput(id="pair-language", placeholder="sw", max_length=20)
            yield Static(id="pair-family")
        yield TextInput(id="pair-source", placeholder="a sentence in that language")
        yield TextInput(id="pair-target", placeholder="its English translation")

    def take(self, run: str, name: str, pair: Pair | None, languages: list[str]) -> None:
        """Begin with a run (its id and name), the pair that is shown, and languages to suggest."""
        self.take_run(run, name)
        code = self.query_one("#pair-language", Input)
        code.suggester = SuggestFromList(languages, case_sensitive=False)
        if pair is not None:
            texts = {"language": pair.language, "source": _line(pair.source), "target": _line(pair.target)}
            for part, text in texts.items():
                entry = self.query_one(f"#pair-{part}", Input)
                entry.value, entry.cursor_position = text, len(text)
        elif not code.value and languages:
            code.value = languages[0]

    def take_run(self, run: str, name: str) -> None:
        """Take another run."""
        self.run = run
        self.query_one(RunField).update(Text(f"run ‹ {name} ›", no_wrap=True, overflow="ellipsis"))

    def begin(self) -> None:
        """Put the focus where typing begins."""
        self.query_one("#pair-source", Input).focus()

    @on(Input.Changed, "#pair-language")
    def _tell_name(self, event: Input.Changed) -> None:
        name = self.query_one("#pair-family", Static)
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
        """Close."""
        self.post_message(self.Closed())


def _line(text: str) -> str:
    """Return `text` on one line, with nothing in it that could steer the terminal."""
    return "".join(c for c in " ".join(text.split()) if unicodedata.category(c) not in ("Cc", "Cs"))
