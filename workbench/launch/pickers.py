"""Pickers for bitext and for languages, which say how many pairs there are; what is not listed is typed."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Any, ClassVar

from textual import work
from textual.message import Message
from textual.worker import get_current_worker

from engine.languages import LANGUAGES, language, language_name
from workbench.launch.pair_counts import DAMAGED, Counts, Source, countable, sources
from workbench.widgets.dialogs import ChoiceDialog
from workbench.widgets.table import Cell, Column

REDRAW_SECONDS = 0.4


class Picker(ChoiceDialog):
    """A list that is filled while data at hand is found and counted; Enter takes typed text if nothing fits.

    `wanted` are the languages whose pairs are counted first, `collection` the one dataset to look at instead
    of all bitext, and `runs` earlier ones.
    """

    #: What was at hand when a picker last looked, which the next one shows at once.
    last: ClassVar[list[Source]] = []

    class Found(Message):
        """What is at hand was listed, or more of it was counted."""

        def __init__(self, found: list[Source], counts: dict[str, int], done: bool) -> None:
            super().__init__()
            self.found, self.counts, self.done = found, counts, done

    def __init__(
        self,
        title: str,
        columns: Sequence[str | Column],
        *,
        runs: Sequence[dict[str, Any]],
        wanted: Sequence[str] = (),
        collection: str = "",
        chosen: Sequence[Any] = (),
        several: bool = False,
    ) -> None:
        super().__init__(title, columns, [], [], chosen=chosen, several=several, typed=True)
        self.runs, self.wanted, self.collection = runs, list(wanted), collection
        self.found = self._of_use(Picker.last)
        self.counts: dict[str, int] = {}

    def on_mount(self) -> None:
        """Show what is known at once, and begin to look."""
        self.show_status("looking for data …")
        self._arrange()
        self._look()

    @work(thread=True, exclusive=True, group="counts", exit_on_error=False)
    def _look(self) -> None:
        worker, counts = get_current_worker(), Counts()
        Picker.last = sources(self.runs)
        found = self._of_use(Picker.last)
        known = {source.key: count for source in found if (count := counts.known(source)) is not None}
        self.post_message(self.Found(found, dict(known), False))
        left = [source for source in found if source.key not in known and countable(source)]
        left.sort(key=lambda source: (source.language not in self.wanted, source.kind, source.language))
        last = monotonic()
        for source in left:
            if worker.is_cancelled:
                break
            known[source.key] = counts.count(source)
            if monotonic() - last > REDRAW_SECONDS:
                self.post_message(self.Found(found, dict(known), False))
                last = monotonic()
        if left:
            counts.save()
        self.post_message(self.Found(found, known, not worker.is_cancelled))

    def _of_use(self, found: Sequence[Source]) -> list[Source]:
        kinds = ("collection",) if self.collection else ("bitext", "catalogues")
        return [s for s in found if s.kind in kinds and self.collection in ("", s.origin)]

    def on_picker_found(self, message: Found) -> None:
        """Take in what was found and counted."""
        self.found, self.counts = message.found, message.counts
        left = sum(countable(source) for source in self.found) - len(self.counts)
        self.show_status("" if message.done else f"counting pairs, {left} sources to go …" if left else "")
        self._arrange()
        self.refill()

    def _arrange(self) -> None:
        """Make the rows."""
        raise NotImplementedError


class PickBitext(Picker):
    """Sources of sentence pairs; the answer is a list of (path, language, the other one), or a typed path."""

    def __init__(self, path: str, language: str, runs: Sequence[dict[str, Any]]) -> None:
        columns = ("", "Language", Column("Pairs", 8, right=True), "From", "Path")
        super().__init__(
            "Bitext to learn from", columns, runs=runs, wanted=[language] * bool(language), several=True
        )
        self.here = (path, language)

    def _arrange(self) -> None:
        order = sorted(
            self.found,
            key=lambda source: (
                source.language not in self.wanted,
                language_name(source.language),
                -self.counts.get(source.key, 0),
            ),
        )
        self.rows = [
            (
                source.language,
                language_name(source.language),
                _count(self.counts.get(source.key)),
                source.origin,
                Cell(source.path, "dim"),
            )
            for source in order
        ]
        self.keys = [(source.path, source.language, source.target) for source in order]


class PickLanguage(Picker):
    """Languages; the answer is a list of codes, or what was typed."""

    def __init__(
        self,
        chosen: Sequence[str],
        runs: Sequence[dict[str, Any]],
        *,
        collection: str = "",
        several: bool = False,
    ) -> None:
        what = "Queries" if collection else "Pairs"
        columns = ("", "Language", Column(what, 9, right=True), "Script", "XLM-R", "From")
        super().__init__(
            "Languages" if several else "Language",
            columns,
            runs=runs,
            wanted=chosen,
            collection=collection,
            chosen=chosen,
            several=several,
        )

    def _arrange(self) -> None:
        having: dict[str, list[Source]] = {}
        for source in self.found:
            having.setdefault(source.language, []).append(source)
        codes = [entry.code for entry in LANGUAGES]
        codes += sorted(having.keys() - set(codes))
        codes = [code for code in codes if not self.collection or code in having or not self.found]
        codes.sort(key=lambda code: (code not in having, language_name(code)))
        self.rows = [
            (
                code,
                language_name(code),
                self._total(having.get(code, [])),
                language(code).script,
                "yes" if language(code).xlmr else Cell("no", "warn"),
                Cell(" ".join(dict.fromkeys(source.origin for source in having.get(code, ()))), "dim"),
            )
            for code in codes
        ]
        self.keys = codes

    def _total(self, having: list[Source]) -> Any:
        counts = [self.counts.get(source.key) for source in having if countable(source)]
        if None in counts:
            return Cell("…", "dim")
        return f"{sum(max(count or 0, 0) for count in counts):,}" if counts else ""

    def path_for(self, language: str, path: str) -> str | None:
        """Return the path of the dataset that `path` belongs to in `language`, if it has one for each."""
        origins = {source.origin for source in self.found if source.path == path}
        return next(
            (s.path for s in self.found if s.origin in origins and s.language == language),
            None,
        )


def _count(count: int | None) -> Any:
    if count is None:
        return Cell("…", "dim")
    return Cell("damaged", "bad") if count == DAMAGED else f"{count:,}"
