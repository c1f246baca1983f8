"""Values of texts, kept in one file in the cache that many runs read and add to.

A file holds what one encoder computed of texts, each found by a hash of its text. It is an SQLite database:
several runs may use it at once, a run that is killed leaves it whole, and only what is asked for is in
memory. Every value has a checksum; a damaged value, or what another version made, is made again.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from engine.results.provenance import made_by

SCHEMA = 1
"""The format of the values. Files of other formats are emptied."""
LIMIT = 16 * 2**30
"""Largest size of a file in bytes. The oldest values make room for new ones."""
IN_MEMORY = 2**30
"""Largest size where no file can be written."""

#: Bytes of the checksum before each value.
_CHECKSUM = 8
#: Seconds to wait while another run writes.
_PATIENCE = 60.0


class Kept:
    """Values of texts.

    Parameters
    ----------
    path : path, optional
        The file. Without one, or where it cannot be written, values are kept in memory.
    limit : int
        Largest size of the file in bytes.
    """

    def __init__(self, path: Path | None, limit: int = LIMIT) -> None:
        self.path, self.limit = path, limit
        self.trouble = ""
        """Why the file is not used, if it is not."""
        self._open()

    def get(self, text: str) -> bytes | None:
        """Return the value of a text, or None."""
        try:
            row = self._file.execute("SELECT value FROM kept WHERE key = ?", (_key(text),)).fetchone()
        except sqlite3.Error as error:
            self._recover(error)
            return None
        if row is None:
            return None
        content = bytes(row[0])
        return content[_CHECKSUM:] if _sum(content[_CHECKSUM:]) == content[:_CHECKSUM] else None

    def missing(self, texts: Iterable[str]) -> Iterator[str]:
        """Yield those of `texts` that have no value."""
        for text in texts:
            try:
                found = self._file.execute("SELECT 1 FROM kept WHERE key = ?", (_key(text),)).fetchone()
            except sqlite3.Error as error:
                self._recover(error)
                found = None
            if found is None:
                yield text

    def put(self, values: Sequence[tuple[str, bytes]]) -> None:
        """Add the values of texts; those that are there already are replaced."""
        rows = [(_key(text), _sum(value) + value) for text, value in values]
        for _ in range(3):  # the file, a new file, and memory
            try:
                with self._file:
                    self._make_room(sum(len(value) for _, value in rows))
                    self._file.executemany("INSERT OR REPLACE INTO kept (key, value) VALUES (?, ?)", rows)
                return
            except sqlite3.Error as error:
                self._recover(error)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _open(self) -> None:
        if self.path is not None:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._connect(str(self.path))
                return
            except (OSError, sqlite3.OperationalError) as error:
                self.trouble = str(error)
            except sqlite3.DatabaseError:  # it is no database
                with suppress(OSError):
                    self.path.unlink()
                with suppress(sqlite3.Error):
                    self._connect(str(self.path))
                    return
        self.limit = min(self.limit, IN_MEMORY)
        self._connect(":memory:")

    def _connect(self, name: str) -> None:
        self._file = sqlite3.connect(name, timeout=_PATIENCE)
        try:
            # losing the last values in a power failure costs only time
            for setting in ("page_size = 16384", "synchronous = OFF", "cache_size = -4096"):
                self._file.execute(f"PRAGMA {setting}")
            with self._file:
                self._file.execute("CREATE TABLE IF NOT EXISTS maker (name TEXT)")
                self._file.execute(
                    "CREATE TABLE IF NOT EXISTS kept"
                    " (number INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, value BLOB NOT NULL)"
                )
                maker = json.dumps(made_by(SCHEMA))
                if self._file.execute("SELECT name FROM maker").fetchall() != [(maker,)]:
                    self._file.execute("DELETE FROM kept")
                    self._file.execute("DELETE FROM maker")
                    self._file.execute("INSERT INTO maker VALUES (?)", (maker,))
        except sqlite3.Error:
            self._file.close()
            raise

    def _recover(self, error: sqlite3.Error) -> None:
        """Go on with a new file if this one is damaged, and in memory if it cannot be used."""
        with suppress(sqlite3.Error):
            self._file.close()
        if self.path is not None and not isinstance(error, sqlite3.OperationalError):
            with suppress(OSError):
                self.path.unlink()
        else:
            self.trouble, self.path = str(error), None
        self._open()

    def _make_room(self, size: int) -> None:
        """Remove the oldest values while they and `size` bytes are more than the limit."""
        while True:
            pages, free, page = (
                self._file.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("page_count", "freelist_count", "page_size")
            )
            first, count = self._file.execute("SELECT min(number), count(*) FROM kept").fetchone()
            if (pages - free) * page + size <= self.limit or not count:
                return
            self._file.execute("DELETE FROM kept WHERE number < ?", (first + max(1, count // 16),))


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _sum(value: bytes) -> bytes:
    return hashlib.blake2b(value, digest_size=_CHECKSUM).digest()
