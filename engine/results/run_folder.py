"""The folder of a run, which is the only place that a run writes to.

``runs/<id>/`` has ``run.json`` (replaced atomically), ``metrics.jsonl`` (one flushed line for each record),
Parquet tables (`engine.results.tables`), ``log.txt``, ``heartbeat``, ``lock`` (`engine.results.run_lock`) and
``checkpoints/``. A run does not use the database, so it never waits for a reader.
"""

from __future__ import annotations

import json
import math
import os
import re
import secrets
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from engine.atomic import flush, sweep, write_file
from engine.errors import InputError, OpticalError, nearest
from engine.files import read_file
from engine.results import run_lock
from engine.results.metrics_log import Record, append, tail, to_json
from engine.results.provenance import this_process, versions
from engine.results.record import FIELDS, State, parse_record, read_record
from engine.results.repository import git_commit

if TYPE_CHECKING:
    import pyarrow as pa

    from engine.config import RunHeader

__all__ = [
    "FIELDS",
    "HEARTBEAT_SECONDS",
    "Record",
    "RunFolder",
    "State",
    "is_run_id",
    "new_run_id",
    "parse_record",
]
__all__ += ["read_part", "read_record", "run_folders", "table_files", "tail"]

HEARTBEAT_SECONDS = 5.0
"""The least time between two updates of a run's heartbeat file."""

DELETED = ".deleted-"
"""The beginning of the name of a folder that is being deleted, before the run's id. Ingest removes what is
left of it after the run's rows.
"""


class RunFolder:
    """The folder of one run, opened by the process that executes the run or by a reader.

    Use `create` or `open` instead of the constructor.
    """

    def __init__(self, path: Path, record: dict[str, Any]) -> None:
        self.path = path
        self.record = record
        self._beat = -math.inf
        self.observer: Callable[[int, Mapping[str, float]], None] | None = None
        """Receives every record of `log`, too."""

    @classmethod
    def create(
        cls,
        runs: Path,
        config: RunHeader,
        argv: Sequence[str],
        run_id: str | None = None,
        *,
        queued: bool = False,
    ) -> Self:
        """Create the folder of a new run in `runs` and write its ``run.json``.

        Parameters
        ----------
        runs : path
                The folder of run folders, which is created if it is missing.
        config : RunHeader
            The complete configuration of the run.
        argv : sequence of str
            The command that started it.
        run_id : str, optional
            An id from `new_run_id`, chosen by the launcher. Its folder may exist already, with a log.
        queued : bool
            Whether its state is ``queued`` until `begin`, instead of ``running``.

        Raises
        ------
        InputError
            If there is already a run of that id, or `run_id` cannot be the name of a folder.
        OpticalError
            If the folder cannot be written.
        """
        identity = run_id or new_run_id(config.name)
        if not is_run_id(identity):
            raise InputError(f"{identity!r} cannot be the id of a run; use letters, digits, '-', '_' and '.'")
        path = Path(runs) / identity
        if (path / "run.json").exists():
            raise InputError(f"there is already a run {identity!r}; choose another id", path=path)
        try:
            path.mkdir(parents=True, exist_ok=run_id is not None)
            flush(path.parent)
        except OSError as error:
            raise OpticalError(f"{path}: the run's folder cannot be created: {error.strerror}") from error
        now = _now()
        settings = config.model_dump(mode="json")
        record: dict[str, Any] = dict.fromkeys(FIELDS)
        record.update(
            id=identity,
            name=config.name,
            kind=settings.get("kind", "run"),
            state="queued" if queued else "running",
            argv=list(argv),
            config=settings,
            seed=config.seed,
            tags=list(config.tags),
            note=config.note,
            summary={},
            versions=versions(),
            commit=git_commit(),
            created=now,
            started=None if queued else now,
            **this_process(),
        )
        run = cls(path, record)
        run_lock.take(path)
        run._save()
        run.heartbeat()
        return run

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the run folder `path`.

        Raises
        ------
        InputError
            If it has no readable ``run.json``.
        """
        return cls(Path(path), read_record(Path(path)))

    @property
    def id(self) -> str:
        """The run's id, which is its folder's name."""
        return self.path.name

    @property
    def metrics_path(self) -> Path:
        """The curves, ``metrics.jsonl``, for `tail`."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints, which is created when first used."""
        folder = self.path / "checkpoints"
        folder.mkdir(exist_ok=True)
        return folder

    def update(self, **fields: Any) -> None:
        """Change `fields` of ``run.json`` atomically; keys of `summary` are merged, other fields replaced.

        Raises
        ------
        OpticalError
            If a field does not exist, or the file cannot be written.
        """
        for key in fields:
            if key not in FIELDS:
                raise OpticalError(
                    f"run.json has no field {key!r}{nearest(key, FIELDS)}; put it in `summary`"
                )
        summary = {**(self.record.get("summary") or {}), **fields.pop("summary", {})}
        self.record = {**self.record, **fields, "summary": summary}
        self._save()

    def resume(self, argv: Sequence[str], *, queued: bool = False) -> None:
        """Make the calling process the process of this run, with the state ``running`` again.

        If it is `queued`, that is its state until `begin`.

        Raises
        ------
        InputError
            If another process runs it.
        """
        run_lock.take(self.path)
        for folder in (self.path, self.path / "checkpoints"):
            sweep(folder)
        self.update(
            state="queued" if queued else "running",
            failure=None,
            ended=None,
            started=None if queued else _now(),
            argv=list(argv),
            **this_process(),
        )
        self.heartbeat()

    def begin(self) -> None:
        """Record that a queued run is running."""
        self.update(state="running", started=_now())
        self.heartbeat()

    def log(self, step: int, metrics: Mapping[str, float], elapsed: float) -> None:
        """Append one record to ``metrics.jsonl`` and flush it.

        NaN and the infinities are kept. If a step is logged again after a resume, the last record counts.

        Raises
        ------
        OpticalError
            If the line cannot be written (a full disk).
        """
        append(self.metrics_path, Record(int(step), float(elapsed), dict(metrics)))
        if self.observer is not None:
            self.observer(int(step), metrics)
        self.heartbeat()

    def heartbeat(self) -> None:
        """Touch a file, at most every `HEARTBEAT_SECONDS`, to show that the process of the run is alive."""
        now = time.monotonic()
        if now - self._beat >= HEARTBEAT_SECONDS:
            self._beat = now
            (self.path / "heartbeat").touch()

    def write_table(
        self, name: str, rows: Sequence[Mapping[str, Any]] | pa.Table, *, append: bool = False
    ) -> Path:
        """Write `rows` as table `name` of this run, atomically, and return the file.

        Parameters
        ----------
        name : str
            ``scores``, ``query_scores``, ``rankings``, ``texts``, ``plans`` or ``bitext``.
        rows : sequence of mappings, or pyarrow.Table
            The columns of the table (`engine.results.tables.TABLES`), without the run's id.
        append : bool
            Whether to add a part ``<name>-<n>.parquet`` instead of replacing the whole table.

        Raises
        ------
        OpticalError
            If the columns or types are not the table's, or the file cannot be written.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        from engine.results.sealed import seal
        from engine.results.tables import to_table

        table = to_table(name, rows)
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
        content = seal(sink.getvalue().to_pybytes())
        parts = table_files(self.path, name)
        if append and parts:
            target = self.path / f"{name}-{part_number(parts[-1]) + 1}.parquet"
        else:
            target = self.path / f"{name}.parquet"
        write_file(target, content)
        if not append:
            for part in parts:
                if part != target:
                    part.unlink()
        return target

    def finish(self, state: State, failure: str | None = None) -> None:
        """Record the final state of the run; `failure` is a sentence with the reason of a failure."""
        self.update(state=state, failure=failure, ended=_now())
        run_lock.release(self.path)

    def _save(self) -> None:
        text = json.dumps(to_json(self.record), ensure_ascii=False, indent=1, allow_nan=False)
        write_file(self.path / "run.json", text.encode() + b"\n")


def is_run_id(text: str) -> bool:
    """Return whether `text` can be the id of a run, which is the name of its folder."""
    return re.fullmatch(r"[\w][\w.-]*", text) is not None


def new_run_id(name: str) -> str:
    """Return a new id that sorts by time (UTC), such as ``20260131-094500-my-run-4f2a``."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].rstrip("-") or "run"
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{slug}-{secrets.token_hex(2)}"


def run_folders(runs: Path) -> list[Path]:
    """Return the folders in `runs` that may be run folders, sorted by name; none if there is no `runs`.

    Raises
    ------
    InputError
        If `runs` cannot be read.
    """
    try:
        with os.scandir(runs) as entries:  # much faster than Path.iterdir over thousands of folders
            names = [entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=runs) from error
    return [runs / name for name in sorted(names)]


def deleted_folders(runs: Path) -> dict[str, Path]:
    """Return what is left in `runs` of the folders of deleted runs (`engine.jobs.edit`), by run."""
    return {path.name.removeprefix(DELETED): path for path in runs.glob(f"{DELETED}*")}


def table_files(path: Path, name: str) -> list[Path]:
    """Return the Parquet files of table `name` in the run folder `path`, in the order of writing."""
    found = [file for file in path.glob(f"{name}*.parquet") if re.fullmatch(rf"{name}(-\d+)?", file.stem)]
    return sorted(found, key=part_number)


def read_part(file: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the rows in the Parquet file `file` of a table, or some `columns` of them.

    Raises
    ------
    InputError
        If it cannot be read, or its content differs from the checksums that were written with it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from engine.results.sealed import check_seal

    try:
        content = read_file(file)
        check_seal(content)
        return pq.read_table(
            pa.BufferReader(content),
            columns=None if columns is None else list(columns),
            page_checksum_verification=True,
        )
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise InputError(f"the table is damaged or cannot be read: {reason}", path=file) from error


def part_number(file: Path) -> int:
    """Return the number of a part of a table, ``<name>-<n>.parquet``; that of the first part is 0."""
    number = file.stem.partition("-")[2]
    return int(number) if number else 0


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
