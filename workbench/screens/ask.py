"""Ask: type a query, see what one run finds, or two side by side, and which tokens brought it up."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Static

from engine.languages import LANGUAGES
from workbench.actions import bindings
from workbench.comparing import name_of
from workbench.screens.base import Room
from workbench.screens.dialogs import Choose
from workbench.store import Run, Snapshot, headline
from workbench.text import age, plain, score
from workbench.widgets.answer import Answer, Hits
from workbench.widgets.table import Table
from workbench.worker import Reply

HITS = 20
NOBODY = (
    "no run can be asked yet, for that takes encoders and a collection; `optical-workbench demo` makes some, "
    "and 2 starts a run"
)


class Question(Input):
    """The query. Enter asks, and # in the empty line lists the collection's own queries."""

    HELP = (
        "**Query.** Enter asks, Esc goes to the hits. Typing # in the empty line lists the collection's own "
        "queries, whose relevant documents are known."
    )


class AskScreen(Room):
    """Queries to one run, or to two."""

    HELP = (
        "**Ask.** The first answer waits for the encoders and the documents' vectors to be loaded; they then "
        "stay in memory until the app is closed."
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings("ask")
    room = "ask"

    class Heard(Message):
        """The process that searches has replied."""

        def __init__(self, reply: Reply) -> None:
            super().__init__()
            self.reply = reply

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[str] = []
        self.pools: list[dict[str, Any]] = []
        self.pool: dict[str, Any] | None = None
        self.language = ""
        self.own: list[dict[str, str]] = []
        self.text = ""
        """The query that the answers are to."""
        self._waits: dict[int, Callable[[Any], None]] = {}
        self._pools_of: dict[str, list[dict[str, Any]]] = {}
        self._postponed: Callable[[], None] | None = None
        self._explained: dict[tuple[str, str], dict[str, Any]] = {}

    def body(self) -> ComposeResult:
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

    # -- runs, collections, languages --------------------------------------------------------------

    @property
    def answers(self) -> list[Answer]:
        """The answers on the screen, one a run."""
        return [answer for answer in self.query(Answer) if answer.run]

    @property
    def here(self) -> Answer:
        """The answer that the user is at."""
        parents = self.focused.ancestors if self.focused is not None else []
        return next((answer for answer in self.answers if answer in parents), self.answers[0])

    def runs_changed(self, snapshot: Snapshot) -> None:
        """Choose runs to begin with, and drop those that were deleted."""
        askable = {run["id"]: run for run in snapshot.runs if _askable(run)}
        kept = [run for run in self.runs if run in askable]
        if kept and kept == self.runs:
            return
        chosen = [run for run in self.bench.chosen_runs if run in askable][:2]
        if not askable:
            self.say(NOBODY, "warn")
        self._take(kept or chosen or list(askable)[:1], askable)

    def _take(self, runs: list[str], records: dict[str, Run]) -> None:
        """Ask `runs` from now on, and find out what they can be asked."""
        self.runs = runs
        self._forget()
        for answer, run in zip(self.query(Answer), [*runs, "", ""], strict=False):
            answer.of(run, records[run]["name"] if run else "")
            answer.display = bool(run) or answer.id == "first"
        self._pools_of = {}
        for run in runs:
            self._request("collections", partial(self._listed, run), run=run)

    def _listed(self, run: str, found: list[dict[str, Any]]) -> None:
        self._pools_of[run] = found
        if set(self._pools_of) != set(self.runs):
            return
        first, *others = (self._pools_of[run] for run in self.runs)
        self.pools = [pool for pool in first if all(pool in other for other in others)]
        if not self.pools:
            self.pool = None
            self.say("these two runs were evaluated on no collection that both have; choose others", "warn")
            return
        pool = self.pool if self.pool in self.pools else self.pools[0]
        self.say("")
        self._search_in(pool, self.language)
        if self._postponed is not None:
            postponed, self._postponed = self._postponed, None
            postponed()

    def _search_in(self, pool: dict[str, Any], language: str) -> None:
        """Take a pool, and a language to ask it in: `language` if it has queries in it, else its first."""
        self.pool = pool
        self._speak(language if language in pool["queries"] else pool["queries"][0])

    def _speak(self, language: str) -> None:
        self.language, self.own = language, []
        self._describe()

    def _describe(self) -> None:
        text = Text(no_wrap=True, overflow="ellipsis")
        if self.pool is not None:
            text.append(name_of(self.language), "bold").append(f" ({self.language}) → ")
            text.append(plain(self.pool["name"]), "bold")
            documents = self.pool["documents"]
            spoken = "all languages" if documents == "all" else name_of(documents)
            text.append(f", {self.pool['size']:,} documents in {spoken}")
        self.query_one("#asked", Static).update(text)

    def action_choose_runs(self) -> None:
        """Choose one run or two."""
        runs = self.bench.snapshot.runs if self.bench.snapshot else []
        askable = {run["id"]: run for run in runs if _askable(run)}
        if not askable:
            self.say(NOBODY, "warn")
            return
        rows = []
        for run in askable.values():
            best = headline(run)
            names = dict.fromkeys(_label(entry) for entry in run["config"]["collections"])
            rows.append(
                (
                    run["name"],
                    f"{best[0]} {score(best[1])}" if best else "",
                    age(run["created"]),
                    ", ".join(names),
                )
            )

        def answered(chosen: list[str] | None) -> None:
            if chosen:
                text = self.text
                self._take(chosen[:2], askable)
                if len(chosen) > 2:
                    self.notify("two runs fit on the screen; the first two that you marked are asked")
                if text:
                    self._postponed = lambda: self._ask(text)

        columns = ("Run", "Measure", "Age", "Collections")
        dialog = Choose("Runs to ask", columns, rows, list(askable), chosen=self.runs, several=True)
        self.app.push_screen(dialog, answered)

    def action_choose_collection(self) -> None:
        """Choose the documents that are searched."""
        rows = [
            (
                pool["name"],
                pool["direction"],
                " ".join(pool["queries"]),
                pool["documents"],
                f"{pool['size']:,}",
            )
            for pool in self.pools
        ]
        columns = ("Collection", "Direction", "Queries in", "Documents in", "Documents")
        self._choose("What to search", columns, rows, self.pools, self.pool, self._changed_pool)

    def _changed_pool(self, pool: dict[str, Any]) -> None:
        self._search_in(pool, self.language)
        self._ask_again()

    def action_choose_language(self) -> None:
        """Choose the language of the query; any will do, but only some have judged queries."""
        if self.pool is None:
            return
        judged = self.pool["queries"]
        codes = [*judged, *(entry.code for entry in LANGUAGES if entry.code not in judged)]
        rows = [(code, name_of(code), "✓" if code in judged else "") for code in codes]
        columns = ("Code", "Language", "Has judged queries")
        self._choose("Language of the query", columns, rows, codes, self.language, self._changed_language)

    def _changed_language(self, language: str) -> None:
        self._speak(language)
        self._ask_again()

    def _choose(
        self,
        title: str,
        columns: tuple[str, ...],
        rows: list[Any],
        keys: list[Any],
        now: Any,
        then: Callable[[Any], None],
    ) -> None:
        def answered(key: Any) -> None:
            if key is not None:
                then(key)

        if rows:
            self.app.push_screen(Choose(title, columns, rows, keys, chosen=[now]), answered)

    # -- the collection's own queries ---------------------------------------------------------------

    def action_own(self) -> None:
        """Choose one of the collection's own queries."""

        def choose() -> None:
            rows = [(query["text"],) for query in self.own]
            texts = [query["text"] for query in self.own]
            title = f"{len(rows):,} queries of {plain(self.pool['name'] if self.pool else '')}"
            self._choose(title, ("Query",), rows, texts, self.text, self._put)

        self._with_own(choose)

    def action_next_own(self, way: int) -> None:
        """Ask the next of the collection's own queries, or the one before."""

        def step() -> None:
            texts = [query["text"] for query in self.own]
            place = texts.index(self.text) + way if self.text in texts else 0
            self._put(texts[place % len(texts)])

        self._with_own(step)

    def _with_own(self, then: Callable[[], None]) -> None:
        """Do `then` once the pool's queries in this language are here."""

        def listed(found: list[dict[str, str]]) -> None:
            self.own = found
            self.say("")
            if found:
                then()
            else:
                language = name_of(self.language)
                self.say(f"the collection has no queries of its own in {language}; l chooses another", "warn")

        if self.own:
            then()
        elif self.pool is None:
            self._postponed = lambda: self._with_own(then)
        else:
            self._request("queries", listed, run=self.runs[0], **self._address())

    def _put(self, text: str) -> None:
        self.query_one(Question).value = text
        self._ask(text)

    # -- asking -------------------------------------------------------------------------------------

    @on(Input.Changed, "#question")
    def _typed(self, event: Input.Changed) -> None:
        if event.value == "#":
            self.query_one(Question).value = ""
            self.action_own()

    @on(Input.Submitted, "#question")
    def _submitted(self, event: Input.Submitted) -> None:
        if not self.runs:
            self.say(NOBODY, "warn")
        elif not event.value.strip():
            self.say("type a query first; # lists the collection's own", "warn")
        elif self.pool is None:
            self._postponed = lambda: self._ask(event.value)
        else:
            self._ask(event.value)

    def _ask_again(self) -> None:
        if self.text:
            self._ask(self.text)

    def _ask(self, text: str) -> None:
        """Ask all runs for `text`; what is under way is given up."""
        if self.pool is None:
            return
        self._forget()
        self.text = text
        self.say("asking …")
        for answer in self.answers:
            answer.clear()
            answer.asked = self._request(
                "search",
                partial(self._found, answer),
                run=answer.run,
                text=text,
                k=HITS,
                **self._address(),
            )
        if self.query_one(Question).has_focus:
            self.answers[0].query_one(Hits).focus()

    def _address(self) -> dict[str, Any]:
        pool = self.pool or {}
        return {"language": self.language, "collection": pool["collection"], "pool": pool["pool"]}

    def _found(self, answer: Answer, result: dict[str, Any]) -> None:
        answer.asked = None
        answer.show(result)
        answers = self.answers
        if any(other.asked is not None for other in answers):
            return
        if len(answers) == 2:
            answers[1].compare(answers[0].ranks())
        self.say(
            "the end of the query is cut off: the encoder does not take so many tokens"
            if result["cut"]
            else "",
            "warn" if result["cut"] else "",
        )
        self._explain()

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
            self._give_up(answer.explaining)
            answer.explaining = None
            if document is None:
                answer.clear_why()
            elif (answer.run, document) in self._explained:
                answer.explain(self._explained[answer.run, document])
            else:
                answer.explaining = self._request(
                    "explain",
                    partial(self._why, answer),
                    run=answer.run,
                    text=self.text,
                    document=document,
                    **self._address(),
                )

    def _why(self, answer: Answer, result: dict[str, Any]) -> None:
        answer.explaining = None
        self._explained[answer.run, result["document"]] = result
        answer.explain(result)

    def action_edit(self) -> None:
        """Go to the query."""
        self.query_one(Question).focus()

    def action_other_side(self) -> None:
        """Go to the other list."""
        others = [answer for answer in self.answers if answer is not self.here]
        if others:
            others[0].query_one(Hits).focus()

    def action_leave(self) -> None:
        """Give up what is under way; else go from the query to the hits."""
        if self._waits:
            self._forget()
            self._postponed = None
            self.say("given up")
        else:
            self.query_one("#first Hits").focus()

    # -- the process that searches -------------------------------------------------------------------

    def _request(self, op: str, then: Callable[[Any], None], **parameters: Any) -> int:
        results = str(self.bench.results.absolute())
        identity = self.bench.worker.request(op, self._hear, results=results, **parameters)
        self._waits[identity] = then
        return identity

    def _hear(self, reply: Reply) -> None:
        self.post_message(self.Heard(reply))  # in the worker's thread

    @on(Heard)
    def _heard(self, message: Heard) -> None:
        reply = message.reply
        if reply.id not in self._waits:
            return  # something else was asked meanwhile
        if not reply.last:
            counted = f" {reply.done:,} of {reply.total:,}" if reply.total else ""
            self.say(f"{reply.progress}{counted}     Esc gives it up")
            return
        then = self._waits.pop(reply.id)
        if not reply.error:
            then(reply.result)
            return
        for answer in self.answers:
            if reply.id in (answer.asked, answer.explaining):
                answer.asked = answer.explaining = None
        self.say(reply.error, "bad")

    def _forget(self) -> None:
        """Give up all requests, and what was explained of the last query."""
        for identity in list(self._waits):
            self._give_up(identity)
        self._explained = {}
        for answer in self.query(Answer):
            answer.asked = answer.explaining = None

    def _give_up(self, identity: int | None) -> None:
        if identity is not None and self._waits.pop(identity, None) is not None:
            self.bench.worker.cancel(identity)


def _askable(run: Run) -> bool:
    """Tell whether a run has encoders, and a collection to search with them."""
    config = run.get("config") or {}
    return bool(config.get("collections")) and (run["folder"] / "checkpoints" / "student").is_dir()


def _label(collection: dict[str, Any]) -> str:
    return str(collection.get("label") or collection.get("name"))
