"""Run configurations, open runs, and use them: `run`, `open_run`, `evaluate` and `Run`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import InputError
from engine.inspect.records import Hit, Match
from engine.paths import results_path, runs_folder
from engine.reporting import SILENT, Reporter
from optical_workbench.databases import refreshed
from optical_workbench.encoders import Encoder
from optical_workbench.plans import SentencePlan
from optical_workbench.tables import Table

if TYPE_CHECKING:
    from engine.config import RunHeader
    from engine.estimate.records import Estimate
    from engine.inspect.opening import RunSearcher
    from engine.inspect.session import Session
    from engine.results.run_folder import RunFolder


def run(
    config: str | Path | Mapping[str, Any],
    *,
    results: str | Path | None = None,
    progress: bool | Reporter = True,
    **overrides: Any,
) -> Run:
    """Run a configuration to its end, in this process, and return the finished run.

    It does what ``optical-workbench run`` does: it makes a run folder in ``runs/`` next to the results
    database, runs, evaluates, and adds the results to the database.

    Parameters
    ----------
    config : path, str or mapping
        A TOML file, the name of a preset, or the settings as a dictionary.
    results : path, optional
        The results database. The default is ``$OPTICAL_RESULTS``, or ``results.duckdb`` in the working
        folder.
    progress : bool or engine.reporting.Reporter
        Whether to show progress on stderr, or the object to report it to.
    **overrides
        Settings that replace those of `config`, such as ``seed=1`` or ``training={"steps": 100}``.
        Dictionaries are merged into the tables of `config`.

    Raises
    ------
    InputError
        If a setting or a file is wrong; the sentence names it.
    OpticalError
        If the run fails for another reason that its user can act on.
    KeyboardInterrupt
        If it is interrupted. A training run has then saved its state, and ``open_run(name).resume()`` resumes
        it.

    Examples
    --------
    >>> ow.run("somali.toml", name="somali-short", training={"steps": 200})
    >>> ow.run({"preset": "optical-contrast", "bitext": [{"path": "so.tsv", "language": "so"}]})
    """
    parsed, source = _parsed(config, overrides)
    return _execute(parsed, results, progress, f"optical_workbench.run({source!r})")


def estimate(
    config: str | Path | Mapping[str, Any],
    *,
    pairs_per_second: float | None = None,
    tokens_per_second: float | None = None,
    **overrides: Any,
) -> Estimate:
    """Return the time, memory and disk that a run of this configuration will need on this machine.

    Some real batches are encoded, a few steps trained and a few queries searched, and the times grow with
    what the whole run has. It takes seconds to minutes. The cache is taken for empty.

    Parameters
    ----------
    config : path, str or mapping
        As of `run`.
    pairs_per_second, tokens_per_second : float, optional
        Pairs or questions of training, and tokens of pre-training, that another machine trains on in a
        second; they replace the measured speed.
    **overrides
        As of `run`.

    Returns
    -------
    engine.estimate.sheet.Estimate
        Times in seconds, for each stage (`stages`) and in all, memory and disk in bytes.

    Raises
    ------
    InputError
        If a setting or a file is wrong, runs of the kind cannot be estimated, or a speed is given that the
        run has no use for.

    Examples
    --------
    >>> ow.estimate("somali.toml").seconds / 3600
    >>> ow.estimate("somali.toml", training={"steps": 3000}).memory / 2**30
    """
    from engine.estimate.any_kind import estimate as estimated
    from engine.estimate.sheet import Given

    return estimated(_parsed(config, overrides)[0], Given(pairs_per_second, tokens_per_second))


def _parsed(config: str | Path | Mapping[str, Any], overrides: Mapping[str, Any]) -> tuple[RunHeader, str]:
    """Return a configuration with `overrides`, and the name of its source."""
    from engine.config import merge_settings, over_preset, parse_config, read_settings

    if isinstance(config, Mapping):
        settings, source = over_preset(merge_settings(config, overrides)), "the configuration"
    else:
        settings, source = merge_settings(read_settings(config), overrides), str(config)
    return parse_config(settings, source, fetch=True), source


def open_run(name: str | Path, *, results: str | Path | None = None) -> Run:
    """Open a run.

    Parameters
    ----------
    name : str or path
        The run's id, the beginning of an id, the run's name (which stands for its newest run), or the path of
        its folder.
    results : path, optional
        The results database. The default is ``$OPTICAL_RESULTS``, or ``results.duckdb`` in the working
        folder.

    Raises
    ------
    InputError
        If there is no such run, or several ids begin with `name`.
    """
    from engine.evaluation.finished_run import find_run
    from engine.results.run_folder import RunFolder

    if isinstance(name, Path):
        database = name.absolute().parent.parent / "results.duckdb" if results is None else Path(results)
        return Run(RunFolder.open(name), database)
    database = results_path() if results is None else Path(results)
    if not (runs_folder(database) / name / "run.json").is_file():
        refreshed(database)
    return Run(find_run(database, name), database)


def evaluate(
    run: Run,
    collections: str | Mapping[str, Any] | Iterable[str | Mapping[str, Any]],
    *,
    results: str | Path | None = None,
    progress: bool | Reporter = True,
    **overrides: Any,
) -> Run:
    """Evaluate the encoders of a finished run on other collections, in a new run of kind ``evaluate``.

    The encoders keep the settings, centring and projection that the run fitted, and the collections are
    searched with the run's own evaluation settings.

    Parameters
    ----------
    run : Run
        A finished run with encoders.
    collections : str, mapping, or a list of them
        The name of a collection, such as ``"tatoeba"``, a TOML file with ``[[collections]]``, or settings, as
        ``{"name": "tatoeba", "languages": ["sw"]}``. ``optical-workbench data list`` lists the collections.
    results : path, optional
        The results database. The default is the database of `run`.
    progress : bool or engine.reporting.Reporter
        Whether to show progress on stderr, or the object to report it to.
    **overrides
        Further settings of a run of kind ``evaluate``, such as ``name="elsewhere"`` or
        ``evaluation={"scoring": ["dense"]}``.

    Raises
    ------
    InputError
        If the run has no encoders, there is no such collection, or its files are missing.

    Examples
    --------
    >>> ow.evaluate(ow.open_run("somali"), {"name": "tatoeba", "languages": ["sw"]}).scores()
    """
    from engine.runs.elsewhere import elsewhere

    parsed = elsewhere(run.folder, _collection_settings(collections), overrides)
    return _execute(
        parsed,
        run.results if results is None else results,
        progress,
        f"optical_workbench.evaluate({run.id!r})",
    )


@dataclass(frozen=True)
class Score:
    """The mean of a measure over the queries of one language, with its 95 % bootstrap interval.

    The fields are the columns of the table ``scores`` of the results database, without the run.
    """

    collection: str
    revision: str
    protocol: str
    scoring: str
    direction: str
    query_language: str
    document_language: str
    measure: str
    value: float
    low: float | None
    high: float | None
    queries: int


@dataclass(frozen=True)
class Step:
    """The value of a metric after a training step; `elapsed` is in seconds since the start of the run."""

    step: int
    elapsed: float
    metric: str
    value: float


class Run:
    """A run: what it recorded, its scores, and its encoders, which search and solve transport plans.

    Encoders and document vectors are loaded when they are first needed and stay in memory for later calls,
    also of other runs that use the same ones. Only a few are kept.

    Parameters
    ----------
    folder : engine.results.run_folder.RunFolder
        The run's folder. Use `run` or `open_run` to get a `Run`.
    results : Path
        The results database that the run belongs to.
    """

    def __init__(self, folder: RunFolder, results: Path) -> None:
        self.folder = folder
        self.results = results

    def __repr__(self) -> str:
        return f"<Run {self.id}, {self.folder.record['kind']}, {self.state}>"

    @property
    def id(self) -> str:
        """The run's id, which is the name of its folder."""
        return self.folder.id

    @property
    def name(self) -> str:
        """The run's name in its configuration."""
        return str(self.folder.record["name"] or self.id)

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self.folder.path

    @property
    def state(self) -> str:
        """``running``, ``finished``, ``failed``, ``stopped``, ``crashed`` or ``unknown``, at this moment."""
        from engine.jobs.state import state_of

        return state_of(self.path)

    @property
    def summary(self) -> dict[str, Any]:
        """Facts that the run recorded about itself, such as its number of parameters and its best step."""
        return dict(self.folder.record["summary"] or {})

    @cached_property
    def config(self) -> RunHeader:
        """The run's configuration, one of the models in `engine.config`."""
        from engine.evaluation.finished_run import config_of

        return config_of(self.folder)

    def scores(self) -> Table[Score]:
        """Return the mean scores, one row for each collection, scoring, language and measure."""
        from engine.results.run_folder import read_part, table_files

        names = [field.name for field in fields(Score)]
        files = table_files(self.path, "scores")
        rows = (row for file in files for row in read_part(file, names).to_pylist())
        return Table(Score, (Score(**row) for row in rows))

    def steps(self) -> Table[Step]:
        """Return the metrics of the training so far, such as ``loss`` and ``held_out_rr``, by step."""
        from engine.results.run_folder import tail

        return Table(
            Step,
            (
                Step(record.step, record.elapsed, metric, value)
                for record in tail(self.folder.metrics_path).records
                for metric, value in record.metrics.items()
            ),
        )

    def resume(self, *, progress: bool | Reporter = True) -> Run:
        """Resume a run that was stopped, failed or crashed, from its last saved state, and return it.

        Raises
        ------
        InputError
            If the run is finished or running.
        """
        from engine.jobs.resume import reopen
        from engine.runs.execute import resume

        with _reporter(progress) as reporter:
            folder = reopen(self.path, [f"optical_workbench.open_run({self.id!r}).resume()"])
            resume(folder, reporter)
        refreshed(self.results, folder.path)
        return Run(folder, self.results)

    @property
    def encoder(self) -> Encoder:
        """The encoder of queries.

        Raises
        ------
        InputError
            If the run has no encoders.
        """
        return self._encoder(0)

    @property
    def document_encoder(self) -> Encoder:
        """The encoder of documents: the teacher, unless the student encodes documents as well."""
        return self._encoder(1)

    def search(
        self,
        text: str,
        language: str,
        *,
        collection: str | None = None,
        pool: int | None = None,
        k: int = 10,
    ) -> Table[Hit]:
        """Search a collection of the run for the documents that are nearest to a query.

        Parameters
        ----------
        text : str
            The query.
        language : str
            The query's language, as an ISO code such as ``so``.
        collection : str, optional
            The label of one of the run's collections. The default is the first.
        pool : int, optional
            Which of the collection's pools of documents, from 0. The default is the first one for queries in
            `language`.
        k : int
            The number of documents.

        Returns
        -------
        Table of Hit
            The documents, best first, with `rank`, `score`, `document` (its id), `text`, `language`,
            `grade` (its judgement, if the query is one of the collection's own) and `parts` (what each run
            adds to the score, if the run fuses others).

        Raises
        ------
        InputError
            If the run has no encoders, no such collection or pool, or the query is empty.
        """
        if k < 1:
            raise InputError(f"k is the number of documents to return, at least 1, not {k}")
        return Table(Hit, self._searcher(language, collection, pool).search(text, k))

    def explain(
        self,
        text: str,
        document: str,
        language: str,
        *,
        collection: str | None = None,
        pool: int | None = None,
    ) -> Table[Match]:
        """Show which token of a document each token of a query matches best.

        Parameters
        ----------
        text : str
            The query.
        document : str
            The id of a document of the pool, such as that of a hit.
        language, collection, pool
            As for `search`.

        Returns
        -------
        Table of Match
            One row for each token of the query: `query_token`, `document_token` and `score`, their
            similarity. The mean of the similarities is the document's score. With a lexical run, one row
            for each shared term, whose sum is the score; a fused run explains the first of its runs.
        """
        from engine.inspect.explain import explain

        return Table(Match, explain(self._searcher(language, collection, pool), text, document))

    def plan(self, source: str, target: str, *, language: str = "und", **transport: Any) -> SentencePlan:
        """Solve the transport plan between the tokens of two sentences.

        Parameters
        ----------
        source : str
            The sentence that the student encodes.
        target : str
            The English sentence that the teacher encodes.
        language : str
            The language of `source`, for the record.
        **transport
            Settings of `engine.config.TransportConfig` that replace the run's own, such as ``epsilon=0.1`` or
            ``solver="exact"``.

        Raises
        ------
        InputError
            If the run has no encoders, a sentence is empty, or a setting is wrong.
        """
        from engine.inspect.plan import transport_settings

        settings = transport_settings(self.config, transport)
        row = _session().planner.plan(self.folder, source, target, settings, language=language)
        return SentencePlan(**{field.name: getattr(row, field.name) for field in fields(SentencePlan)})

    def _encoder(self, index: int) -> Encoder:
        import torch

        from engine.evaluation.finished_run import saved_encoders
        from engine.training.precision import precision_of

        loaded = _session().cache.encoder(saved_encoders(self.folder)[index])
        precision = precision_of(self.config, torch.device("cpu"))
        entries = getattr(self.config, "collections", [])
        symmetric = bool(entries) and all(entry.reader.symmetric for entry in entries)
        return Encoder(loaded, loaded.document_role(symmetric=symmetric) if index else "query", precision)

    def _searcher(self, language: str, collection: str | None, pool: int | None) -> RunSearcher:
        return _session().searchers.open(self.folder, language, collection=collection, pool=pool)


@cache
def _session() -> Session:
    from engine.inspect.session import Session

    return Session()


def _collection_settings(
    collections: str | Mapping[str, Any] | Iterable[str | Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Return the settings of the collections that are given by name or by settings."""
    from engine.runs.elsewhere import collections_called

    given = [collections] if isinstance(collections, str | Mapping) else collections
    return [
        settings
        for one in given
        for settings in (collections_called(one) if isinstance(one, str) else [dict(one)])
    ]


@contextmanager
def _reporter(progress: bool | Reporter) -> Iterator[Reporter]:
    if isinstance(progress, Reporter):
        yield progress
    elif progress:
        from engine.cli.console import ConsoleReporter

        with ConsoleReporter() as reporter:
            yield reporter
    else:
        yield SILENT


def _execute(config: RunHeader, results: str | Path | None, progress: bool | Reporter, command: str) -> Run:
    from engine.runs.execute import execute

    database = results_path() if results is None else Path(results)
    with _reporter(progress) as reporter:
        folder, _ = execute(config, runs_folder(database), [command], reporter=reporter)
    refreshed(database, folder.path)
    return Run(folder, database)
