"""The runs and their measures, read from run folders and the results database. Called in threads only.

Modules that import DuckDB or pydantic are imported inside functions, so that the first screen is painted
before they are needed.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import BusyError, OpticalError
from engine.flatten import flatten
from engine.paths import runs_folder
from engine.results.record import known_settings

Run = dict[str, Any]

STEPS_SECONDS = 30.0
"""The curves of a running run are ingested at most this often; the screen reads them from the run folder."""

BUSY_SECONDS = 1.0
"""How long `poll` waits for a database that another process holds; the next poll tries again."""

UPDATING = "the database is being brought up to date with the run folders …"


@dataclass
class Snapshot:
    """The runs at one time.

    Attributes
    ----------
    runs : list of dict
        The records of the runs, newest first.
    problems : list of str
        A sentence for each problem.
    revision : int
        Counts the changes of the database.
    """

    runs: list[Run] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    revision: int = 0


class RunStore:
    """Reads the run folders next to a results database, and ingests those that changed.

    Only one thread at a time may call `poll`.
    """

    def __init__(self, results: Path) -> None:
        self.results = results
        self.folder = runs_folder(results)
        self._seen: dict[str, tuple[float, ...]] = {}
        self._steps: dict[str, float] = {}
        self._ingested_steps = 0.0
        self._means: dict[str, list[dict[str, Any]]] = {}
        self._speeds: dict[str, float] = {}
        self._stored: set[str] = set()
        self._kept: dict[str, Run] = {}
        self._problems: list[str] = []
        self._revision = 0
        self._polled = False
        self._database: tuple[float, int] | None = None

    def poll(self, early: Callable[[Snapshot], object] = lambda snapshot: None) -> Snapshot:
        """Read all run folders, bring the database up to date, and return the runs.

        The first time, `early` is called with the runs before the database is read, which takes long if it is
        large.
        """
        from engine.jobs.queue import places
        from engine.jobs.state import state_of
        from engine.results.record import utc
        from engine.results.run_folder import read_record

        records: list[Run] = []
        problems: list[str] = []
        folders = self._folders(problems)
        queue = places(self.folder)
        for path in folders:
            try:
                record = read_record(path)
            except OpticalError as error:
                problems.append(str(error))
                continue
            record["id"] = path.name
            record["folder"] = path
            record["state"] = state_of(path, record)
            record["place"] = queue.get(path.name)
            for name in ("created", "started", "ended"):
                record[name] = utc(record[name])
            records.append(record)
        records.sort(key=_age, reverse=True)
        if not self._polled and records:
            early(Snapshot(list(records), [*problems, UPDATING]))
        self._polled = True
        self._refresh(folders)
        from engine.results.headline import headline

        records = sorted([*records, *self._missing(folders)], key=_age, reverse=True)
        for record in records:
            means = self._means.get(record["id"], [])
            record["measures"] = _by_measure(means)
            record["headline"] = headline(record, means)
            record["speed"] = self._speeds.get(record["id"])
        # Ingest says of a record that cannot be read what was said above.
        told = [said for said in self._problems if not any(said.endswith(problem) for problem in problems)]
        return Snapshot(records, list(dict.fromkeys(problems + told)), self._revision)

    def _folders(self, problems: list[str]) -> list[Path]:
        from engine.results.run_folder import run_folders

        try:
            return run_folders(self.folder)
        except OpticalError as error:
            problems.append(str(error))
            return []

    def _missing(self, folders: list[Path]) -> list[Run]:
        """Return the runs of the database whose folder is missing."""
        from engine.results.queries import records_of
        from engine.results.run_folder import deleted_folders

        there = {path.name for path in folders}
        missing = self._stored - there - deleted_folders(self.folder).keys()
        unknown = missing - self._kept.keys()
        if unknown:
            try:
                found = records_of(self.results, sorted(unknown), wait=BUSY_SECONDS)
            except OpticalError as error:
                self._problems = list(dict.fromkeys([*self._problems, str(error)]))
                found = []
            for record in found:
                self._kept[record["id"]] = {
                    **record,
                    "folder": self.folder / record["id"],
                    "folder_missing": True,
                }
        self._kept = {run: record for run, record in self._kept.items() if run in missing}
        return list(self._kept.values())

    def _refresh(self, folders: list[Path]) -> None:
        """Ingest if a folder changed, and read the measures if the database changed."""
        seen, steps = {}, {}
        for path in folders:
            with contextlib.suppress(OSError):
                files = [file for file in path.iterdir() if _is_ingested(file)]
                seen[path.name] = tuple(sorted(map(_stamp, files)))
            steps[path.name] = _stamp(path / "metrics.jsonl")
        overdue = steps != self._steps and time.monotonic() - self._ingested_steps > STEPS_SECONDS
        gone = bool(seen) and not self.results.exists()
        # If another process holds the database, the next poll tries again.
        if (self.results.exists() or seen) and (seen != self._seen or overdue or gone) and self._ingest():
            self._seen, self._steps, self._ingested_steps = seen, steps, time.monotonic()
        with contextlib.suppress(OSError):
            status = self.results.stat()
            now = (status.st_mtime, status.st_size)
            if now != self._database:
                self._read_measures()
                self._database = now
                self._revision += 1

    def _ingest(self) -> bool:
        """Ingest, and return whether the database was free."""
        from engine.results.ingest import ingest

        try:
            self._problems = ingest(self.results, self.folder, wait=BUSY_SECONDS).problems
        except OpticalError as error:
            self._problems = [str(error)]
            return not isinstance(error, BusyError)
        return True

    def _read_measures(self) -> None:
        from engine.results.headline import read_means
        from engine.results.queries import ask

        try:
            means = read_means(self.results, wait=BUSY_SECONDS)
            speeds = ask(
                self.results,
                "SELECT run, arg_max(value, step) FROM steps WHERE metric = 'pairs_per_second' GROUP BY run",
                wait=BUSY_SECONDS,
            ).rows
            stored = ask(self.results, "SELECT id FROM runs", wait=BUSY_SECONDS).rows
        except OpticalError as error:
            if str(error) not in self._problems:
                self._problems = [*self._problems, str(error)]
            return
        self._speeds = dict(speeds)
        self._stored = {row[0] for row in stored}
        self._means = means


def headline(run: Run) -> tuple[str, float] | None:
    """Return the name of the measure and the value of a run's headline, or None if it has none.

    The key ``headline`` of a run has the whole figure (`engine.results.headline.Headline`).
    """
    figure = run.get("headline")
    if figure is None:
        return None
    return figure.measure if figure.scoring else f"held-out {figure.measure}", figure.value


def languages_of(run: Run) -> list[str]:
    """Return the languages of a run's bitext; without bitext, the query languages of its collections."""
    config = known_settings(run)
    sources = list(config.get("bitext", ()))
    for collection in config.get("collections", ()):
        if not config.get("bitext"):
            sources += [{"language": code} for code in collection.get("languages") or ()]
            sources += collection.get("bitext") or ()
    return list(dict.fromkeys(str(source.get("language")) for source in sources if source.get("language")))


def saves_state(kind: str) -> bool:
    """Return whether runs of `kind` save their state while they train, from which they can be resumed."""
    from engine.extensions.runs import RUN_KINDS

    return kind in RUN_KINDS and RUN_KINDS[kind].saves_state


def differing_settings(runs: list[Run]) -> list[tuple[str, list[Any]]]:
    """Return the settings in which `runs` differ, each with its value in every run."""
    flats = [flatten(run.get("config") or {}) for run in runs]
    names = dict.fromkeys(name for settings in flats for name in settings)
    table = [(name, [settings.get(name) for settings in flats]) for name in names]
    return [(name, values) for name, values in table if any(value != values[0] for value in values)]


def _by_measure(means: list[dict[str, Any]]) -> dict[str, list[float]]:
    values: dict[str, list[float]] = {}
    for mean in means:
        values.setdefault(mean["measure"], []).append(mean["value"])
    return values


def _age(record: Run) -> tuple[Any, str]:
    return record["created"], record["id"]


def _stamp(file: Path) -> float:
    with contextlib.suppress(OSError):
        status = file.stat()
        return status.st_mtime_ns + status.st_size
    return 0.0


def _is_ingested(file: Path) -> bool:
    return file.name == "run.json" or file.suffix == ".parquet"
