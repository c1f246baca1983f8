"""The Ask screen: search with one run or two, and see which tokens explain a hit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widgets import Input

from engine.counted import counted
from engine.durations import age_text
from engine.languages import LANGUAGES, language_name
from engine.results.record import known_settings
from engine.serving.records import EXPLAIN, SEARCH, ExplainReply, SearchReply
from workbench.actions import bindings
from workbench.ask.answer import NO_RUN, Answer, HitTable
from workbench.ask.scope import MAX_RUNS, AskScope, is_searchable
from workbench.context import Context
from workbench.data.runs import Run, Snapshot, headline
from workbench.shell.screen import ModeScreen
from workbench.shell.warm_requests import WarmRequests
from workbench.widgets.dialogs import ChoiceDialog
from workbench.widgets.table import Table
from workbench.widgets.text import plain, score
from workbench.widgets.text_input import TextInput
from workbench.widgets.text_view import TextView

HITS = 20
HOW_TO_START = (
    f"{NO_RUN}: that takes saved encoders and a collection; `optical-workbench demo` makes such runs, and 2 "
    "starts a run"
)


class QueryInput(TextInput):
    """The line in which the query is typed."""

    HELP = (
        "**Query.** Enter searches, Esc goes to the hits. Typing # in the empty line lists the collection's "
        "own queries, whose relevant documents are known."
    )


class AskScreen(ModeScreen):
    """Searches with one run, or compares two."""

    CSS_PATH = "ask.tcss"
    HELP = (
        "**Ask.** The first search waits until the encoders and the vectors of the documents are loaded. "
        "They stay in memory until the app is closed."
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings("ask")
    scope = "ask"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.requests = WarmRequests(
            self, context, on_progress=self._show_progress, on_failure=self._request_failed
        )
        self.ask_scope = AskScope(self.requests, on_change=self._show_scope, report=self.show_status)
        self.text = ""
        self._explanations: dict[tuple[str, str], ExplainReply] = {}
        self._failed = False

    def compose_body(self) -> ComposeResult:
        """Yield the query, what is searched, and the answers."""
        yield QueryInput(placeholder="type a query and press Enter; # lists the collection's own", id="query")
        yield TextView(id="ask-scope")
        with Horizontal(id="answers"):
            yield Answer("first")
            second = Answer("second")
            second.display = False
            yield second

    def on_mount(self) -> None:
        """Focus the query."""
        super().on_mount()
        self.query_one(QueryInput).focus()

    @property
    def answers(self) -> list[Answer]:
        """The answers that belong to a run."""
        return [answer for answer in self.query(Answer) if answer.run]

    @property
    def current_answer(self) -> Answer:
        """The answer that has the focus, else the first."""
        parents = self.focused.ancestors if self.focused is not None else []
        return next((answer for answer in self.answers if answer in parents), self.answers[0])

    # -- runs, documents and language ---------------------------------------------------------------

    def runs_changed(self, snapshot: Snapshot) -> None:
        """Choose a run to begin with, and leave out runs that were deleted."""
        searchable = {run["id"]: run for run in snapshot.runs if is_searchable(run)}
        before = self.ask_scope.runs
        kept = [run for run in before if run in searchable]
        if kept and kept == before:
            return
        if before:
            self.notify("a run that was searched here was deleted", severity="warning")
        if not searchable:
            self.show_status(HOW_TO_START, "warn")
        if searchable or before:
            chosen = [run for run in self.context.chosen_runs if run in searchable][:MAX_RUNS]
            self._set_runs(kept or chosen or list(searchable)[:1], searchable)

    def _set_runs(self, runs: list[str], records: dict[str, Run]) -> None:
        for answer, run in zip(self.query(Answer), [*runs, "", ""], strict=False):
            answer.set_run(run, records[run]["name"] if run else "")
            answer.display = bool(run) or answer.id == "first"
        self.ask_scope.set_runs(runs)

    def _show_scope(self) -> None:
        """Show the query language and the documents that are searched."""
        language, pool = self.ask_scope.language, self.ask_scope.pool
        text = Text(no_wrap=True, overflow="ellipsis")
        if pool is not None:
            text.append(language_name(language), "bold").append(f" ({language}) → ")
            text.append(plain(pool.name), "bold")
            documents = "all languages" if pool.documents == "all" else language_name(pool.documents)
            text.append(f", {counted(pool.size, 'document')} in {documents}")
        self.query_one("#ask-scope", TextView).update(text)

    def action_choose_runs(self) -> None:
        """Choose one run, or two to compare."""
        searchable = {run["id"]: run for run in self.context.runs if is_searchable(run)}
        if not searchable:
            self.show_status(HOW_TO_START, "warn")
            return
        rows = []
        for run in searchable.values():
            best = headline(run)
            measure = f"{best[0]} {score(best[1])}" if best else ""
            labels = [
                str(entry.get("label") or entry["name"])
                for entry in known_settings(run).get("collections", [])
            ]
            rows.append((run["name"], measure, age_text(run["created"]), ", ".join(dict.fromkeys(labels))))

        def take(chosen: list[str] | None) -> None:
            if not chosen:
                return
            if len(chosen) > MAX_RUNS:
                self.notify("two runs fit on the screen: the first two that you marked are searched")
            self._set_runs(chosen[:MAX_RUNS], searchable)
            if self.text:
                self.ask_scope.when_ready(partial(self.search, self.text))

        columns = ("Run", "Measure", "Age", "Collections")
        dialog = ChoiceDialog(
            "Runs to search with",
            columns,
            rows,
            list(searchable),
            chosen=self.ask_scope.runs,
            several=True,
        )
        self.app.push_screen(dialog, take)

    def action_choose_collection(self) -> None:
        """Choose the documents that are searched."""
        pools = self.ask_scope.pools
        rows = [
            (pool.name, pool.direction, " ".join(pool.queries), pool.documents, pool.size) for pool in pools
        ]

        def take(place: int) -> None:
            self.ask_scope.set_pool(pools[place])
            if self.text:
                self.search(self.text)

        columns = ("Collection", "Direction", "Queries in", "Documents in", "Documents")
        now = pools.index(self.ask_scope.pool) if self.ask_scope.pool in pools else None
        self._choose("What to search", columns, rows, range(len(pools)), now, take)

    def action_choose_language(self) -> None:
        """Choose the language of the query. Any language is possible; some have judged queries."""
        if self.ask_scope.pool is None:
            return
        judged = self.ask_scope.languages_with_queries()
        codes = [*judged, *(entry.code for entry in LANGUAGES if entry.code not in judged)]
        rows = [(code, language_name(code), "✓" if code in judged else "") for code in codes]

        def take(language: str) -> None:
            if self.text:
                self.ask_scope.translate_query(self.text, language, self._put)
            else:
                self.ask_scope.set_language(language)

        columns = ("Code", "Language", "Has judged queries")
        self._choose("Language of the query", columns, rows, codes, self.ask_scope.language, take)

    def action_own(self) -> None:
        """Choose one of the collection's own queries."""

        def choose() -> None:
            texts = [query.text for query in self.ask_scope.queries]
            name = self.ask_scope.pool.name if self.ask_scope.pool else ""
            title = f"{counted(len(texts), 'query', 'queries')} of {plain(name)}"
            self._choose(title, ("Query",), [(text,) for text in texts], texts, self.text, self._put)

        self._when_ready(partial(self.ask_scope.with_queries, choose))

    def action_next_own(self, step: int) -> None:
        """Search for the next of the collection's own queries, or for the one before."""

        def search() -> None:
            self._put(self.ask_scope.next_query(self.text, step))

        self._when_ready(partial(self.ask_scope.with_queries, search))

    def _choose(
        self,
        title: str,
        columns: tuple[str, ...],
        rows: list[Any],
        keys: Sequence[Any],
        now: Any,
        then: Callable[[Any], None],
    ) -> None:
        """Let the user choose a row, and call `then` with its key; nothing is shown without rows."""

        def take(key: Any) -> None:
            if key is not None:
                then(key)

        if rows:
            self.app.push_screen(ChoiceDialog(title, columns, rows, keys, chosen=[now]), take)

    # -- searching ----------------------------------------------------------------------------------

    def _when_ready(self, then: Callable[[], None]) -> None:
        if self.ask_scope.runs:
            self.ask_scope.when_ready(then)
        else:
            self.show_status(HOW_TO_START, "warn")

    @on(Input.Changed, "#query")
    def _list_on_number_sign(self, event: Input.Changed) -> None:
        if event.value == "#":
            self.query_one(QueryInput).value = ""
            self.action_own()

    @on(Input.Submitted, "#query")
    def _submitted(self, event: Input.Submitted) -> None:
        if event.value.strip():
            self._when_ready(partial(self.search, event.value))
        else:
            self.show_status("type a query first; # lists the collection's own", "warn")

    def _put(self, text: str) -> None:
        """Put `text` into the line of the query, and search for it."""
        self.query_one(QueryInput).value = text
        self.search(text)

    def search(self, text: str) -> None:
        """Search for `text` with all runs. Requests that are unanswered are cancelled."""
        self._cancel_requests()
        self.text, self._failed = text, False
        self.show_status("searching …")
        for answer in self.answers:
            answer.show_waiting()
            request = self.ask_scope.search_request(answer.run, text, HITS)
            answer.search = self.requests.send(SEARCH, request, partial(self._show_result, answer))
        if self.query_one(QueryInput).has_focus:
            self.answers[0].query_one(HitTable).focus()

    def _cancel_requests(self) -> None:
        """Cancel all requests, and forget the explanations of the last query."""
        self.requests.cancel_all()
        self._explanations = {}
        for answer in self.query(Answer):
            answer.search = answer.explanation = None

    def _show_result(self, answer: Answer, result: SearchReply) -> None:
        answer.search = None
        answer.show_result(result)
        answers = self.answers
        if any(other.search is not None for other in answers):
            return
        if len(answers) == 2:
            answers[1].compare(answers[0].ranks())
        if result.cut:
            self.show_status(
                "the end of the query is cut off: it has more tokens than its encoder takes", "warn"
            )
        elif not self._failed:
            self.show_status("")
        self._explain()

    def _show_progress(self, number: int, sentence: str) -> None:
        self.show_status(f"{sentence}     Esc cancels")

    def _request_failed(self, number: int, sentence: str) -> None:
        """Show the error, and remove the old result of a search that failed."""
        self.show_status(sentence, "bad")
        self._failed = True
        for answer in self.answers:
            if number == answer.search:
                answer.clear()
            if number in (answer.search, answer.explanation):
                answer.search = answer.explanation = None

    # -- explanations -------------------------------------------------------------------------------

    @on(Table.Moved)
    def _cursor_moved(self, message: Table.Moved) -> None:
        if isinstance(message.table, HitTable):
            self._explain()

    @on(events.DescendantFocus)
    def _focus_moved(self) -> None:
        self._explain()

    def _explain(self) -> None:
        """Explain the score of the document under the cursor, by every run."""
        if not self.answers or any(answer.search is not None for answer in self.answers):
            return
        document = self.current_answer.document
        for answer in self.answers:
            if answer is not self.current_answer:
                answer.go_to(document)
            if answer.explanation is not None and answer.explained == document:
                continue
            self.requests.cancel(answer.explanation)
            answer.explanation, answer.explained = None, document
            if document is None or answer.result is None:
                answer.clear_explanation()
            elif (answer.run, document) in self._explanations:
                answer.show_explanation(self._explanations[answer.run, document])
            else:
                request = self.ask_scope.explain_request(answer.run, self.text, document)
                show = partial(self._show_explanation, answer)
                answer.explanation = self.requests.send(EXPLAIN, request, show, quiet=True)

    def _show_explanation(self, answer: Answer, explanation: ExplainReply) -> None:
        answer.explanation = None
        self._explanations[answer.run, explanation.document] = explanation
        answer.show_explanation(explanation)

    # -- keys ---------------------------------------------------------------------------------------

    def action_edit(self) -> None:
        """Focus the query."""
        self.query_one(QueryInput).focus()

    def action_other_side(self) -> None:
        """Focus the hits of the other run."""
        for answer in self.answers:
            if answer is not self.current_answer:
                answer.query_one(HitTable).focus()
                return

    def action_leave(self) -> None:
        """Cancel the requests that are unanswered; if there are none, go from the query to the hits."""
        if self.requests.waiting:
            for answer in self.answers:
                if answer.search is not None:
                    answer.clear()
            self._cancel_requests()
            self.show_status("cancelled")
        else:
            self.query_one("#first HitTable").focus()
