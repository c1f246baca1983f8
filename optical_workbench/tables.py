"""`Table`: rows with named columns that become data frames."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

from engine.errors import InputError

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

RowT = TypeVar("RowT")


class Table(Sequence[RowT], Generic[RowT]):
    """Rows of one dataclass. A table is a sequence of its rows, and `to_frame` makes a data frame of it.

    Parameters
    ----------
    row : type
        The rows' dataclass; its fields are the columns.
    rows : iterable
        The rows, in order.
    """

    def __init__(self, row: type[RowT], rows: Iterable[RowT] = ()) -> None:
        self._row = row
        self._rows = tuple(rows)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(field.name for field in dataclasses.fields(self._row))  # type: ignore[arg-type]

    @overload
    def __getitem__(self, index: int) -> RowT: ...

    @overload
    def __getitem__(self, index: slice) -> Table[RowT]: ...

    def __getitem__(self, index: int | slice) -> RowT | Table[RowT]:
        if isinstance(index, slice):
            return Table(self._row, self._rows[index])
        return self._rows[index]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[RowT]:
        return iter(self._rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Table) and (self._row, self._rows) == (other._row, other._rows)

    def __hash__(self) -> int:
        return hash((self._row, self._rows))

    def __repr__(self) -> str:
        shown = [f"  {row!r}," for row in self._rows[:10]]
        more = [f"  ... {len(self) - 10} more"] if len(self) > 10 else []
        return "\n".join([f"Table of {len(self)} {self._row.__name__} [", *shown, *more, "]"])

    @overload
    def to_frame(self, kind: Literal["pandas"] = "pandas") -> pd.DataFrame: ...

    @overload
    def to_frame(self, kind: Literal["polars"]) -> pl.DataFrame: ...

    @overload
    def to_frame(self, kind: Literal["arrow"]) -> pa.Table: ...

    def to_frame(self, kind: str = "pandas") -> pd.DataFrame | pl.DataFrame | pa.Table:
        """Return the rows as a data frame.

        Parameters
        ----------
        kind : {"pandas", "polars", "arrow"}
            The library of the frame. pandas and polars are optional:
            ``pip install 'optical-workbench[pandas]'`` or ``'optical-workbench[polars]'``.

        Raises
        ------
        InputError
            If `kind` is another name, or its library is not installed.
        """
        import pyarrow as pa

        hints = typing.get_type_hints(self._row)
        schema = pa.schema([(name, _arrow_type(hints[name])) for name in self.columns])
        columns = {name: [getattr(row, name) for row in self._rows] for name in self.columns}
        table = pa.table(columns, schema=schema)
        try:
            if kind == "arrow":
                return table
            if kind == "pandas":
                return table.to_pandas()
            if kind == "polars":
                import polars

                return typing.cast("pl.DataFrame", polars.from_arrow(table))
        except ImportError as error:
            raise InputError(
                f"{kind} is not installed; install it with: pip install 'optical-workbench[{kind}]'"
            ) from error
        raise InputError(f"there is no frame of kind {kind!r}; choose 'pandas', 'polars' or 'arrow'")


def _arrow_type(annotation: Any) -> pa.DataType:
    """Return the Arrow type of a field: text, whole numbers, numbers, truth values, or None besides."""
    import pyarrow as pa

    if isinstance(annotation, types.UnionType):
        (annotation,) = (part for part in typing.get_args(annotation) if part is not types.NoneType)
    return {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}[annotation]
