"""Dialogs that pick bitext or languages and show how many pairs there are; other values can be typed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any, ClassVar

from textual import work
from textual.message import Message
from textual.worker import Worker, get_current_worker

from engine.languages import LANGUAGES, language_name, lookup
from workbench.launch.pair_counts import DAMAGED, PairCounts, Source, can_be_counted, find_sources
from workbench.shell.screen import report_worker_error
from workbench.widgets.dialogs import ChoiceDialog
from workbench.widgets.table import Cell, Column

REDRAW_SECONDS = 0.4

Listing = tuple[list[tuple[Any, ...]], list[Any]]
"""The rows of a dialog and their keys."""


class SourcePicker(ChoiceDialog):
    """A list that is filled while sources are found and counted; Enter takes typed text if no row matches.

    Parameters
    ----------
    title : str
        The title of the dialog.
    columns : sequence
        The columns of the list.
    list_rows : callable
        Takes the sources that were found and the counts, by source key, and returns the rows and their keys.
    runs : sequence of dict
        Earlier runs, whose bitext is listed too.
    wanted : sequence of str
        Languages that are counted first.
    collection : str
        The only dataset to list; empty lists all bitext.
    chosen : sequence
        The keys that are marked.
    several : bool
        Whether several rows can be marked.
    """

    #: The sources that a picker found last; the next one shows them at once.
    last_sources: ClassVar[list[Source]] = []

    class Found(Message):
        """Sources were found, or more of them were counted."""

        def __init__(self, sources: list[Source], counts: dict[str, int], done: bool) -> None:
            super().__init__()
            self.sources, self.counts, self.done = sources, counts, done

    def __init__(
        self,
        title: str,
        columns: Sequence[str | Column],
        list_rows: Callable[[Sequence[Source], Mapping[str, int]], Listing],
        *,
        runs: Sequence[dict[str, Any]],
        wanted: Sequence[str] = (),
        collection: str = "",
        chosen: Sequence[Any] = (),
        several: bool = False,
    ) -> None:
        super().__init__(title, columns, [], [], chosen=chosen, several=several, typed=True)
        self._list_rows, self._runs, self._wanted, self._collection = (
            list_rows,
            runs,
            list(wanted),
            collection,
        )
        self.sources = self._relevant(SourcePicker.last_sources)
        self.counts: dict[str, int] = {}

    def on_mount(self) -> None:
        """Show the sources that are known, and start to look for more."""
        self.show_status("looking for data …")
        self.rows, self.keys = self._list_rows(self.sources, self.counts)
        self._look()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Report the error that ended a worker."""
        report_worker_error(self.app, event)

    @work(thread=True, exclusive=True, group="counts", exit_on_error=False)
    def _look(self) -> None:
        worker, counts = get_current_worker(), PairCounts()
        SourcePicker.last_sources = find_sources(self._runs)
        sources = self._relevant(SourcePicker.last_sources)
        known = {source.key: count for source in sources if (count := counts.known(source)) is not None}
        self.post_message(self.Found(sources, dict(known), False))
        left = [source for source in sources if source.key not in known and can_be_counted(source)]
        left.sort(key=lambda source: (source.language not in self._wanted, source.kind, source.language))
        posted = monotonic()
        for source in left:
            if worker.is_cancelled:
                break
            known[source.key] = counts.count(source)
            if monotonic() - posted > REDRAW_SECONDS:
                self.post_message(self.Found(sources, dict(known), False))
                posted = monotonic()
        if left:
            counts.save()
        self.post_message(self.Found(sources, known, not worker.is_cancelled))

    def _relevant(self, sources: Sequence[Source]) -> list[Source]:
        kinds = ("collection",) if self._collection else ("bitext", "catalogues")
        return [s for s in sources if s.kind in kinds and self._collection in ("", s.origin)]

    def on_source_picker_found(self, message: Found) -> None:
        """Show what was found and counted."""
        self.sources, self.counts = message.sources, message.counts
        left = sum(can_be_counted(source) for source in self.sources) - len(self.counts)
        self.show_status("" if message.done else f"counting pairs, {left} sources to go …" if left else "")
        self.rows, self.keys = self._list_rows(self.sources, self.counts)
        self.refill()


def bitext_picker(path: str, language: str, runs: Sequence[dict[str, Any]]) -> SourcePicker:
    """Return a dialog that picks sources of sentence pairs, those in `language` first.

    The answer is a list of (path, language, language of the other side), or a typed path.
    """

    def list_rows(sources: Sequence[Source], counts: Mapping[str, int]) -> Listing:
        order = sorted(
            sources,
            key=lambda source: (
                source.language != language,
                language_name(source.language),
                -counts.get(source.key, 0),
            ),
        )
        rows: list[tuple[Any, ...]] = [
            (
                source.language,
                language_name(source.language),
                _count_cell(counts.get(source.key)),
                source.origin,
                Cell(source.path, "dim"),
            )
            for source in order
        ]
        return rows, [(source.path, source.language, source.target) for source in order]

    columns = ("", "Language", Column("Pairs", 8, right=True), "From", "Path")
    wanted = [language] * bool(language)
    return SourcePicker("Bitext", columns, list_rows, runs=runs, wanted=wanted, several=True)


def language_picker(
    chosen: Sequence[str],
    runs: Sequence[dict[str, Any]],
    *,
    collection: str = "",
    several: bool = False,
) -> SourcePicker:
    """Return a dialog that picks a language, or several; the answer is codes, or the text that was typed.

    With a `collection`, only its languages are listed, with their numbers of queries.
    """

    def list_rows(sources: Sequence[Source], counts: Mapping[str, int]) -> Listing:
        by_language: dict[str, list[Source]] = {}
        for source in sources:
            by_language.setdefault(source.language, []).append(source)
        codes = list(dict.fromkeys([*(entry.code for entry in LANGUAGES), *by_language]))
        codes = [code for code in codes if not collection or code in by_language or not sources]
        codes.sort(key=lambda code: (code not in by_language, language_name(code)))
        rows: list[tuple[Any, ...]] = [
            (
                code,
                language_name(code),
                _total_cell(by_language.get(code, []), counts),
                _script(code),
                "yes" if _in_xlmr(code) else Cell("no", "warn"),
                Cell(" ".join(dict.fromkeys(source.origin for source in by_language.get(code, ()))), "dim"),
            )
            for code in codes
        ]
        return rows, codes

    what = "Queries" if collection else "Pairs"
    return SourcePicker(
        "Languages" if several else "Language",
        ("", "Language", Column(what, 9, right=True), "Script", "XLM-R", "From"),
        list_rows,
        runs=runs,
        wanted=chosen,
        collection=collection,
        chosen=chosen,
        several=several,
    )


def path_of_language(sources: Sequence[Source], path: str, language: str) -> str | None:
    """Return the path for `language` in the dataset that `path` belongs to, or None if there is none."""
    origins = {source.origin for source in sources if source.path == path}
    return next((s.path for s in sources if s.origin in origins and s.language == language), None)


def _script(code: str) -> str:
    found = lookup(code)
    return "" if found is None else found.script


def _in_xlmr(code: str) -> bool:
    found = lookup(code)
    return found is not None and found.xlmr


def _count_cell(count: int | None) -> Any:
    if count is None:
        return Cell("…", "dim")
    return Cell("damaged", "bad") if count == DAMAGED else f"{count:,}"


def _total_cell(sources: list[Source], counts: Mapping[str, int]) -> Any:
    found = [counts.get(source.key) for source in sources if can_be_counted(source)]
    if None in found:
        return Cell("…", "dim")
    return f"{sum(max(count or 0, 0) for count in found):,}" if found else ""
