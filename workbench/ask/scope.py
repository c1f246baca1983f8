"""What is asked: one run or two, the documents they search, the query's language, and ready-made queries."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from rich.text import Text
from textual.widgets import Static

from engine.durations import age_text
from engine.languages import LANGUAGES
from workbench.ask.answer import Answer
from workbench.context import Context
from workbench.data.runs import Run, Snapshot, headline
from workbench.results.figures import name_of
from workbench.shell.screen import ModeScreen
from workbench.shell.warm_requests import WarmRequests
from workbench.widgets.dialogs import ChoiceDialog
from workbench.widgets.text import plain, score

NOBODY = (
    "no run can be asked yet, for that takes encoders and a collection; `optical-workbench demo` makes some, "
    "and 2 starts a run"
)


class Choosing(ModeScreen):
    """The choices of the screen Ask, which asks with them.

    Attributes
    ----------
    runs : list of str
        Ids of the runs that are asked, two at most.
    pools : list of dict
        The pools of documents that all of them have.
    pool : dict or None
        The one that is searched; None while it is not known.
    language : str
        The query's language.
    text : str
        The query that was asked last.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.requests = WarmRequests(self, context, self._progressed, self.failed)
        self.runs: list[str] = []
        self.pools: list[dict[str, Any]] = []
        self.pool: dict[str, Any] | None = None
        self.language = ""
        self.text = ""
        self._own: list[dict[str, str]] = []
        self._wanted: dict[str, Any] | None = None
        self._found: dict[str, list[dict[str, Any]]] = {}
        self._postponed: Callable[[], None] | None = None

    @property
    def answers(self) -> list[Answer]:
        """The answers on the screen, one a run."""
        return [answer for answer in self.query(Answer) if answer.run]

    def ask(self, text: str) -> None:
        """Ask for `text`."""
        raise NotImplementedError

    def _progressed(self, number: int, sentence: str) -> None:
        self.show_status(f"{sentence}     Esc gives it up")

    def failed(self, number: int, sentence: str) -> None:
        """Report that a request has failed."""
        self.show_status(sentence, "bad")

    def when_ready(self, then: Callable[[], None]) -> None:
        """Do `then` once it is known what the runs can be asked."""
        if not self.runs:
            self.show_status(NOBODY, "warn")
        elif self.pool is not None:
            then()
        else:
            self._postponed = then
            if not self.requests.waiting:  # the last attempt failed, or was given up
                self._list()

    def address(self) -> dict[str, Any]:
        """Return what says to the process where to search, but for the run."""
        pool = self.pool or {}
        return {"language": self.language, "collection": pool["collection"], "pool": pool["pool"]}

    # -- runs ---------------------------------------------------------------------------------------

    def runs_changed(self, snapshot: Snapshot) -> None:
        """Choose a run to begin with, and drop those that were deleted."""
        askable = {run["id"]: run for run in snapshot.runs if _askable(run)}
        kept = [run for run in self.runs if run in askable]
        if kept and kept == self.runs:
            return
        if self.runs:
            self.notify("a run that was asked here is gone", severity="warning")
        if not askable:
            self.show_status(NOBODY, "warn")
        if askable or self.runs:
            chosen = [run for run in self.context.chosen_runs if run in askable][:2]
            self._take(kept or chosen or list(askable)[:1], askable)

    def _take(self, runs: list[str], records: dict[str, Run]) -> None:
        """Ask `runs` from now on."""
        self.runs = runs
        for answer, run in zip(self.query(Answer), [*runs, "", ""], strict=False):
            answer.of(run, records[run]["name"] if run else "")
            answer.display = bool(run) or answer.id == "first"
        self._list()

    def _list(self) -> None:
        """Find out what the runs can be asked."""
        self.requests.cancel_all()
        self._wanted, self.pool, self._found = self.pool or self._wanted, None, {}
        for run in self.runs:
            self.requests.request("collections", partial(self._listed, run), run=run)

    def _listed(self, run: str, found: list[dict[str, Any]]) -> None:
        self._found[run] = found
        if set(self._found) != set(self.runs):
            return
        first, *others = (self._found[run] for run in self.runs)
        self.pools = [pool for pool in first if all(pool in other for other in others)]
        if not self.pools:
            self.show_status(
                "these two runs were evaluated on no collection that both have; choose others", "warn"
            )
            return
        self.show_status("")
        self._search_in(self._wanted if self._wanted in self.pools else self.pools[0])
        if self._postponed is not None:
            postponed, self._postponed = self._postponed, None
            postponed()

    def action_choose_runs(self) -> None:
        """Choose one run or two."""
        runs = self.context.runs
        askable = {run["id"]: run for run in runs if _askable(run)}
        if not askable:
            self.show_status(NOBODY, "warn")
            return
        rows = []
        for run in askable.values():
            best = headline(run)
            measure = f"{best[0]} {score(best[1])}" if best else ""
            labels = [str(entry.get("label") or entry["name"]) for entry in run["config"]["collections"]]
            rows.append((run["name"], measure, age_text(run["created"]), ", ".join(dict.fromkeys(labels))))

        def answered(chosen: list[str] | None) -> None:
            if not chosen:
                return
            if len(chosen) > 2:
                self.notify("two runs fit on the screen: the first two that you marked are asked")
            text = self.text
            self._postponed = partial(self.ask, text) if text else None
            self._take(chosen[:2], askable)

        columns = ("Run", "Measure", "Age", "Collections")
        dialog = ChoiceDialog("Runs to ask", columns, rows, list(askable), chosen=self.runs, several=True)
        self.app.push_screen(dialog, answered)

    # -- documents and language ---------------------------------------------------------------------

    def _search_in(self, pool: dict[str, Any] | None) -> None:
        """Search `pool`, in the language as it is if the pool has queries in it, else in its first."""
        if pool is not None:
            self.pool = pool
            self._speak(self.language if self.language in pool["queries"] else pool["queries"][0])

    def _speak(self, language: str) -> None:
        self.language, self._own = language, []
        text = Text(no_wrap=True, overflow="ellipsis")
        if self.pool is not None:
            text.append(name_of(language), "bold").append(f" ({language}) → ")
            text.append(plain(self.pool["name"]), "bold")
            documents = self.pool["documents"]
            spoken = "all languages" if documents == "all" else name_of(documents)
            text.append(f", {self.pool['size']:,} documents in {spoken}")
        self.query_one("#asked", Static).update(text)

    def action_choose_collection(self) -> None:
        """Choose the documents that are searched."""
        rows = [
            (pool["name"], pool["direction"], " ".join(pool["queries"]), pool["documents"], pool["size"])
            for pool in self.pools
        ]

        def answered(pool: dict[str, Any]) -> None:
            self._search_in(pool)
            if self.text:
                self.ask(self.text)

        columns = ("Collection", "Direction", "Queries in", "Documents in", "Documents")
        self._choose("What to search", columns, rows, self.pools, self.pool, answered)

    def action_choose_language(self) -> None:
        """Choose the language of the query: any will do, but only some have judged queries."""
        if self.pool is None:
            return
        judged = list(dict.fromkeys(code for pool in self._siblings() for code in pool["queries"]))
        codes = [*judged, *(entry.code for entry in LANGUAGES if entry.code not in judged)]
        rows = [(code, name_of(code), "✓" if code in judged else "") for code in codes]
        columns = ("Code", "Language", "Has judged queries")
        self._choose("Language of the query", columns, rows, codes, self.language, self._ask_in)

    def _siblings(self) -> list[dict[str, Any]]:
        """Return the pools of the collection that is searched, this one first: some have one a language."""
        here = self.pool or {}
        others = [pool for pool in self.pools if pool["name"] == here["name"] and pool != here]
        return [here, *others]

    def _ask_in(self, language: str) -> None:
        """Speak `language`, and ask again: one of the collection's own queries as it is in that language."""
        known = [query["id"] for query in self._own if query["text"] == self.text]
        self.pool = next((pool for pool in self._siblings() if language in pool["queries"]), self.pool)
        self._speak(language)
        if not self.text:
            return
        if not known:
            self.ask(self.text)
            return
        translated = f"{language}:{known[0].partition(':')[2]}"

        def listed(found: list[dict[str, str]]) -> None:
            self._own = found
            texts = [query["text"] for query in found if query["id"] == translated]
            self.put(texts[0] if texts else self.text)

        self.requests.request("queries", listed, run=self.runs[0], **self.address())

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
            self.app.push_screen(ChoiceDialog(title, columns, rows, keys, chosen=[now]), answered)

    # -- the collection's own queries ----------------------------------------------------------------

    def put(self, text: str) -> None:
        """Put `text` into the line of the query, and ask for it."""
        raise NotImplementedError

    def action_own(self) -> None:
        """Choose one of the collection's own queries."""

        def choose() -> None:
            texts = [query["text"] for query in self._own]
            title = f"{len(texts):,} queries of {plain(self.pool['name'] if self.pool else '')}"
            self._choose(title, ("Query",), [(text,) for text in texts], texts, self.text, self.put)

        self.when_ready(partial(self._with_own, choose))

    def action_next_own(self, way: int) -> None:
        """Ask the next of the collection's own queries, or the one before."""

        def step() -> None:
            texts = [query["text"] for query in self._own]
            place = texts.index(self.text) + way if self.text in texts else 0
            self.put(texts[place % len(texts)])

        self.when_ready(partial(self._with_own, step))

    def _with_own(self, then: Callable[[], None]) -> None:
        """Do `then` once the pool's queries in this language are here."""

        def listed(found: list[dict[str, str]]) -> None:
            self._own = found
            if found:
                self.show_status("")
                then()
            else:
                language = name_of(self.language)
                self.show_status(
                    f"the collection has no queries of its own in {language}; l changes it", "warn"
                )

        if self._own:
            then()
        else:
            self.requests.request("queries", listed, run=self.runs[0], **self.address())


def _askable(run: Run) -> bool:
    """Tell whether a run has encoders, and a collection to search with them."""
    config = run.get("config") or {}
    return bool(config.get("collections")) and (run["folder"] / "checkpoints" / "student").is_dir()
