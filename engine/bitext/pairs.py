"""Sentence pairs that need not fit in memory: Arrow tables, those of large sources mapped from files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from engine.bitext.mapped import AROUND, looked_at
from engine.bitext.seen import distinct, text_number
from engine.bitext.split import sentence_key
from engine.errors import InputError
from engine.extensions.bitext import SentencePair

Rows = npt.NDArray[np.int64]

#: Pairs of a table.
BLOCK = 1 << 14
#: Columns of the side in the teacher's language; a repaired shift moves them.
_OF_TARGET = ("target", "key", "same")
_LANGUAGE = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("target", pa.string()),
        ("source_language", _LANGUAGE),
        ("target_language", _LANGUAGE),
        ("id", pa.string()),
        ("score", pa.float64()),
        ("document", pa.string()),
        ("passage", pa.string()),
        ("key", pa.uint64()),
        ("same", pa.uint64()),
    ]
)
"""The fields of a pair, the beginning of the target's `sentence_key`, and a hash of its spelling."""
_FIELDS = SCHEMA.names[:8]


class Pairs(Sequence[SentencePair]):
    """A sequence of sentence pairs, of which only those that are looked at are made.

    Parameters
    ----------
    tables : sequence of RecordBatch
        The pairs, with the columns of `SCHEMA`.
    rows : array of int (N,), optional
        The pairs of the sequence among those of `tables`; None takes all.
    targets : array of int (N,), optional
        The pairs whose target side is taken, if it is not that of `rows`.
    """

    def __init__(
        self, tables: Sequence[pa.RecordBatch], rows: Rows | None = None, targets: Rows | None = None
    ) -> None:
        self._tables = tables
        self._starts = np.cumsum([0, *(table.num_rows for table in tables)])
        self._rows = np.arange(self._starts[-1]) if rows is None else rows
        self._targets = targets

    @classmethod
    def of(cls, pairs: Iterable[SentencePair]) -> Pairs:
        """Return `pairs`, unless they are such a sequence already, as one in memory."""
        if isinstance(pairs, cls):
            return pairs
        left = iter(pairs)
        tables: list[pa.RecordBatch] = []
        while block := list(islice(left, BLOCK)):
            tables.append(table_of(block))
        return cls(tables)

    @classmethod
    def joined(cls, parts: Sequence[Pairs]) -> Pairs:
        """Return the pairs of all `parts`."""
        tables: list[pa.RecordBatch] = []
        rows: list[Rows] = []
        targets: list[Rows] = []
        start = 0
        for part in parts:
            rows.append(part._rows + start)
            targets.append((part._rows if part._targets is None else part._targets) + start)
            tables += part._tables
            start += int(part._starts[-1])
        moved = any(part._targets is not None for part in parts)
        none = np.zeros(0, dtype=np.int64)
        return cls(tables, np.concatenate([none, *rows]), np.concatenate([none, *targets]) if moved else None)

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> SentencePair: ...

    @overload
    def __getitem__(self, index: slice) -> Pairs: ...

    def __getitem__(self, index: int | slice) -> SentencePair | Pairs:
        """Return one pair, or the pairs of a slice without copying them."""
        if isinstance(index, slice):
            return self.select(np.arange(len(self))[index])
        return next(self._made(range(len(self))[index], None))

    def __iter__(self) -> Iterator[SentencePair]:
        """Yield all pairs in order."""
        for start in range(0, len(self), BLOCK):
            yield from self._made(start, start + BLOCK)

    def __add__(self, other: Iterable[SentencePair]) -> Pairs:
        """Return these pairs and then the others."""
        return Pairs.joined([self, Pairs.of(other)])

    def __eq__(self, other: object) -> bool:
        """Return whether two sequences have equal pairs."""
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def select(self, places: npt.NDArray[Any]) -> Pairs:
        """Return the pairs at `places`, or where `places` (N,) is true."""
        targets = None if self._targets is None else self._targets[places]
        return Pairs(self._tables, self._rows[places], targets)

    def moved(self, places: Rows, targets: Rows) -> Pairs:
        """Return the pairs at `places` with the targets of the pairs at `targets`."""
        own = self._rows if self._targets is None else self._targets
        return Pairs(self._tables, self._rows[places], own[targets])

    def numbers(self, column: str) -> npt.NDArray[np.uint64]:
        """Return the values (N,) of the column ``key`` or ``same``."""
        found = [table.column(column).to_numpy() for table in self._tables]
        whole: npt.NDArray[np.uint64] = np.concatenate([np.zeros(0, dtype=np.uint64), *found])
        looked_at(whole.nbytes)
        return whole[self._rows_of(column)]

    def spaced_in_each_language(self, most: int) -> Pairs:
        """Return the pairs of each source language that `spaced` would return, in their order."""
        found = [places[:: max(1, len(places) // most)] for places in self.languages().values()]
        return self.select(np.sort(np.concatenate([np.zeros(0, dtype=np.int64), *found])))

    def languages(self) -> dict[str, Rows]:
        """Return the places of the pairs of each source language, in the order in which they first occur."""
        codes: dict[str, int] = {}
        found = []
        for table in self._tables:
            column = table.column("source_language")
            own = np.array([codes.setdefault(code, len(codes)) for code in column.dictionary.to_pylist()])
            found.append(own[column.indices.to_numpy()].astype(np.int16))
        numbers = np.concatenate([np.zeros(0, dtype=np.int16), *found])[self._rows]
        places = {code: np.flatnonzero(numbers == number) for code, number in codes.items()}
        there = {code: rows for code, rows in places.items() if len(rows)}
        return dict(sorted(there.items(), key=lambda item: int(item[1][0])))

    def once(self) -> Pairs:
        """Return the pairs without the repetitions of a pair (`repeat`)."""
        _, first = np.unique(self._rows, return_index=True)
        return self.select(np.sort(first))

    def lengths(self, column: str) -> npt.NDArray[np.int32]:
        """Return the lengths (N,) of the texts of a column, in characters."""
        found = []
        for table in self._tables:
            found.append(pc.utf8_length(table.column(column)).to_numpy())
            looked_at(table.column(column).nbytes)
        whole: npt.NDArray[np.int32] = np.concatenate([np.zeros(0, dtype=np.int32), *found])
        return whole[self._rows_of(column)]

    def texts(self, column: str, places: Sequence[int] | Rows | None = None) -> Iterator[str]:
        """Yield the texts of a column, at `places` or of all pairs."""
        rows = self._rows_of(column)
        rows = rows if places is None else rows[np.asarray(places, dtype=np.int64)]
        for start in range(0, len(rows), BLOCK):
            yield from self._values(column, rows[start : start + BLOCK])

    def blocks(self, *columns: str) -> Iterator[list[pa.Array]]:
        """Yield some columns of consecutive pairs, as Arrow arrays."""
        for start in range(0, len(self), BLOCK):
            yield [self._array(name, self._rows_of(name)[start : start + BLOCK]) for name in columns]

    def hash(self, *columns: str) -> str:
        """Return a hash of the texts of some columns: of a line for each pair, with tabs between them."""
        digest = hashlib.blake2b(digest_size=12)
        for block in self.blocks(*columns):
            lines = pc.binary_join_element_wise(*block, "\t")
            lines = pc.binary_join_element_wise(lines, "", "\n")
            _, offsets, content = lines.buffers()
            first, last = np.frombuffer(offsets, np.int32)[[lines.offset, lines.offset + len(lines)]]
            digest.update(memoryview(content)[first:last])
        return digest.hexdigest()

    def spaced(self, most: int) -> Pairs:
        """Return evenly spaced pairs: all, or fewer than twice `most` of more than that."""
        return self.select(np.arange(0, len(self), max(1, len(self) // most)))

    def _rows_of(self, column: str) -> Rows:
        return self._targets if self._targets is not None and column in _OF_TARGET else self._rows

    def _made(self, start: int, stop: int | None) -> Iterator[SentencePair]:
        places = slice(start, start + 1 if stop is None else stop)
        columns = [self._values(name, self._rows_of(name)[places]) for name in _FIELDS]
        return (SentencePair(*values) for values in zip(*columns, strict=True))

    def _values(self, column: str, rows: Rows) -> list[Any]:
        if len(rows) == 1:
            table = int(np.searchsorted(self._starts, rows[0], side="right")) - 1
            looked_at(AROUND)
            return [self._tables[table].column(column)[int(rows[0] - self._starts[table])].as_py()]
        values: list[Any] = self._array(column, rows).to_pylist()
        return values

    def _array(self, column: str, rows: Rows) -> pa.Array:
        """Return the values of `rows`, which is fast where consecutive rows are in one table."""
        tables = np.searchsorted(self._starts, rows, side="right") - 1
        cuts = [0, *(np.flatnonzero(np.diff(tables)) + 1).tolist(), len(rows)]
        parts = []
        for first, last in pairwise(cuts):
            if first < last:
                table = int(tables[first])
                inside = pa.array(rows[first:last] - self._starts[table])
                part = self._tables[table].column(column).take(inside)
                parts.append(part.cast(pa.string()) if pa.types.is_dictionary(part.type) else part)
                looked_at(part.nbytes)
        return pa.concat_arrays(parts) if parts else pa.array([], SCHEMA.field(column).type)


def table_of(pairs: Sequence[SentencePair]) -> pa.RecordBatch:
    """Return some pairs as a table with the columns of `SCHEMA`."""
    columns: list[Any] = [[getattr(pair, name) for pair in pairs] for name in _FIELDS]
    columns.append([int.from_bytes(sentence_key(pair.target)[:8]) for pair in pairs])
    columns.append([text_number(pair.target) for pair in pairs])
    arrays = [
        pa.array(values, pa.string()).dictionary_encode()
        if field.type == _LANGUAGE
        else pa.array(values, field.type)
        for values, field in zip(columns, SCHEMA, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def held_out(pairs: Iterable[SentencePair], count: int) -> tuple[Pairs, Pairs]:
    """Split pairs by their target (English) sentences, so that no sentence is in both parts.

    The sentences with the smallest BLAKE2b hashes are held out: the choice depends only on the sentences, not
    on their order or language. If the pairs of all languages are passed in one call, a sentence that several
    languages share is in the same part for all of them. Sentences that differ only in case, punctuation,
    spacing or escaped characters (``&gt;``) are treated as the same: 162 of the 3,071 English segments of
    TICO-19 are spelled differently in its files for different languages.

    Parameters
    ----------
    pairs : iterable of SentencePair
        Pairs of any languages.
    count : int
        Number of distinct target sentences to hold out.

    Returns
    -------
    kept, held : Pairs
        Both in the order of `pairs`.

    Raises
    ------
    InputError
        If no sentence would be kept.
    """
    known = Pairs.of(pairs)
    keys = known.numbers("key")
    every = distinct(keys)
    if count >= len(every) and count:
        raise InputError(
            f"cannot hold out {count:,} of {len(every):,} distinct sentences and keep some for training; "
            "lower held_out"
        )
    held = np.isin(keys, every[:count])
    return known.select(~held), known.select(held)


class DistinctTexts(Sequence[str]):
    """The distinct targets of pairs, in the order in which they first occur.

    Attributes
    ----------
    pairs : Pairs
        The first pair of each text.
    rows : array of int (N,)
        The number of each pair's target in this sequence.
    """

    def __init__(self, pairs: Pairs) -> None:
        _, first, inverse = np.unique(pairs.numbers("same"), return_index=True, return_inverse=True)
        order = np.argsort(first, kind="stable")
        number = np.empty(len(order), dtype=np.int64)
        number[order] = np.arange(len(order))
        self.pairs = pairs.select(first[order])
        self.rows: Rows = number[inverse.reshape(-1)]

    def __len__(self) -> int:
        """Return the number of distinct texts."""
        return len(self.pairs)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        """Return one text, or those of a slice."""
        places = range(len(self))[index]
        if isinstance(places, range):
            return list(self.pairs.texts("target", places))
        return next(self.pairs.texts("target", [places]))

    def __iter__(self) -> Iterator[str]:
        """Yield all texts in order."""
        return self.pairs.texts("target")

    def __eq__(self, other: object) -> bool:
        """Return whether two sequences have the same texts."""
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]
