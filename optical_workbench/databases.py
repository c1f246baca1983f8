"""The results database, in SQL."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.paths import results_path

if TYPE_CHECKING:
    import duckdb


def results(path: str | Path | None = None) -> Results:
    """Open a results database, after bringing it up to date with the run folders in ``runs/`` next to it.

    Parameters
    ----------
    path : path, optional
        The database. The default is ``$OPTICAL_RESULTS``, or ``results.duckdb`` in the working folder.

    Raises
    ------
    InputError
        If there is neither a database nor a folder of runs next to it, or the file is not a results database.
    BusyError
        If another program has it open for writing; try again in a moment.

    Warns
    -----
    UserWarning
        For each run folder or table of a run that cannot be read, which is left out, and if the database
        cannot be brought up to date.
    """
    return Results(refreshed(results_path() if path is None else Path(path)))


def refreshed(path: Path, run: Path | None = None) -> Path:
    """Bring the database `path` up to date with its run folders, and return it; warn of what is left out.

    After the run in the folder `run` has finished, no problem is an error.
    """
    from engine.results.refresh import read_in, refresh

    for problem in refresh(path) if run is None else read_in(path, run):
        warnings.warn(problem, stacklevel=3)
    return path


class Results:
    """A results database that is read with SQL. Use `optical_workbench.results` to open one.

    Parameters
    ----------
    path : Path
        The DuckDB file. ``optical-workbench sql --help`` lists its tables and views;
        ``engine/results/schema.sql`` describes their columns.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"Results({str(self.path)!r})"

    def sql(self, query: str, parameters: Sequence[Any] = ()) -> duckdb.DuckDBPyRelation:
        """Run one SQL statement, read-only, and return its result as a relation of DuckDB.

        The result is held in memory and the file is closed again, so runs that finish later can still be
        added to the database. The statement can read no other file.

        Parameters
        ----------
        query : str
            One statement that returns a table, such as ``FROM leaderboard``, with ``?`` for each parameter.
        parameters : sequence
            The values of the parameters.

        Returns
        -------
        duckdb.DuckDBPyRelation
            Call ``.df()`` for pandas, ``.pl()`` for polars, ``.arrow()`` for Arrow, ``.fetchall()`` for
            tuples, or go on with ``.filter(...)``, ``.order(...)`` and the like.

        Raises
        ------
        InputError
            If there is no such database, or `query` is not one statement that returns a table.
        OpticalError
            If DuckDB rejects the statement, with its reason.
        """
        import duckdb

        from engine.results.queries import ask_arrow

        return duckdb.connect(":memory:").from_arrow(ask_arrow(self.path, query, parameters))
