"""Ask: type a query, see what one run finds, or two side by side, and which tokens brought it up."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widgets import Input, Static

from workbench.actions import bindings
from workbench.ask.answer import Answer, Hits
from workbench.ask.scope import Choosing
from workbench.context import Context
from workbench.widgets.table import Table
from workbench.widgets.text_input import TextInput

HITS = 20


class Question(TextInput):
    """The query. Enter asks, and # in the empty line lists the collection's own queries."""

    HELP = (
        "**Query.** Enter asks, Esc goes to the hits. Typing # in the empty line lists the collection's own "
        "queries, whose relevant documents are known."
    )


class AskScreen(Choosing):
    """Queries to one run, or to two."""

    HELP = (
        "**Ask.** The first answer waits for the encoders and the documents' vectors to be loaded; they then "
        "stay in memory until the app is closed."
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings("ask")
    scope = "ask"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._explained: dict[tuple[str, str], dict[str, Any]] = {}
        self._trouble = False

    def compose_body(self) -> ComposeResult:
        """The query, what is asked, and the answers."""
        yield Question(placeholder="type a query; Enter asks, # lists the collection's own", id="question")
        yield Static(id="asked")
        with Horizontal(id="answers"):
            yield Answer("first")
            second = Answer("second")
            second.display = False
            yield second

    def on_mount(self) -> None:
        """Begin with the query."""
        super().on_mount()
        self.query_one(Question).focus()

    @property
    def here(self) -> Answer:
        """The answer that the user is at."""
        parents = self.focused.ancestors if self.focused is not None else []
        return next((answer for answer in self.answers if answer in parents), self.answers[0])

    @on(Input.Changed, "#question")
    def _typed(self, event: Input.Changed) -> None:
        if event.value == "#":
            self.query_one(Question).value = ""
            self.action_own()

    @on(Input.Submitted, "#question")
    def _submitted(self, event: Input.Submitted) -> None:
        if event.value.strip():
            self.when_ready(partial(self.ask, event.value))
        else:
            self.show_status("type a query first; # lists the collection's own", "warn")

    def put(self, text: str) -> None:
        """Put `text` into the line of the query, and ask for it."""
        self.query_one(Question).value = text
        self.ask(text)

    def ask(self, text: str) -> None:
        """Ask all runs for `text`; what is under way is given up."""
        self._forget()
        self.text, self._trouble = text, False
        self.show_status("asking …")
        for answer in self.answers:
            answer.wait()
            answer.asked = self.requests.request(
                "search", partial(self._answered, answer), run=answer.run, text=text, k=HITS, **self.address()
            )
        if self.query_one(Question).has_focus:
            self.answers[0].query_one(Hits).focus()

    def _forget(self) -> None:
        """Give up all requests, and forget what was explained of the last query."""
        self.requests.cancel_all()
        self._explained = {}
        for answer in self.query(Answer):
            answer.asked = answer.explaining = None

    def _answered(self, answer: Answer, result: dict[str, Any]) -> None:
        answer.asked = None
        answer.show(result)
        answers = self.answers
        if any(other.asked is not None for other in answers):
            return
        if len(answers) == 2:
            answers[1].compare(answers[0].ranks())
        if result["cut"]:
            self.show_status(
                "the end of the query is cut off: its encoder does not take so many tokens", "warn"
            )
        elif not self._trouble:
            self.show_status("")
        self._explain()

    def failed(self, identity: int, sentence: str) -> None:
        """Leave no old answer under a query that failed."""
        super().failed(identity, sentence)
        self._trouble = True
        for answer in self.answers:
            if identity == answer.asked:
                answer.clear()
            if identity in (answer.asked, answer.explaining):
                answer.asked = answer.explaining = None

    @on(Table.Moved)
    def _moved(self, message: Table.Moved) -> None:
        if isinstance(message.table, Hits):
            self._explain()

    @on(events.DescendantFocus)
    def _focus_moved(self) -> None:
        self._explain()

    def _explain(self) -> None:
        """Explain the document under the cursor, by every run."""
        if not self.answers or any(answer.asked is not None for answer in self.answers):
            return
        document = self.here.document
        for answer in self.answers:
            if answer is not self.here:
                answer.go_to(document)
            if answer.explaining is not None and answer.why_document == document:
                continue
            self.requests.cancel(answer.explaining)
            answer.explaining, answer.why_document = None, document
            if document is None or answer.result is None:
                answer.clear_why()
            elif (answer.run, document) in self._explained:
                answer.explain(self._explained[answer.run, document])
            else:
                answer.explaining = self.requests.request(
                    "explain",
                    partial(self._because, answer),
                    quiet=True,
                    run=answer.run,
                    text=self.text,
                    document=document,
                    **self.address(),
                )

    def _because(self, answer: Answer, result: dict[str, Any]) -> None:
        answer.explaining = None
        self._explained[answer.run, result["document"]] = result
        answer.explain(result)

    def action_edit(self) -> None:
        """Go to the query."""
        self.query_one(Question).focus()

    def action_other_side(self) -> None:
        """Go to the other list."""
        for answer in self.answers:
            if answer is not self.here:
                answer.query_one(Hits).focus()
                return

    def action_leave(self) -> None:
        """Give up what is under way; else go from the query to the hits."""
        if self.requests.waiting:
            for answer in self.answers:
                if answer.asked is not None:
                    answer.clear()
            self._forget()
            self.show_status("given up")
        else:
            self.query_one("#first Hits").focus()
