"""CSV files of Arrow batches that a spreadsheet does not run."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from engine.visible import csv_cell

if TYPE_CHECKING:
    import pyarrow as pa


class InertCsvWriter:
    """Writes record batches as CSV; text is written as `engine.visible.csv_cell` returns it.

    Parameters
    ----------
    path : str
        The file.
    schema : Schema
        That of the batches.
    """

    def __init__(self, path: str, schema: pa.Schema) -> None:
        import pyarrow as pa
        from pyarrow import csv

        fields = [
            pa.field(csv_cell(field.name), pa.string() if _is_text(field.type) else field.type)
            for field in schema
        ]
        self._schema = pa.schema(fields)
        self._writer = csv.CSVWriter(path, self._schema)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def write_batch(self, batch: pa.RecordBatch) -> None:
        """Write the rows of `batch`."""
        import pyarrow as pa

        columns = [_inert(column) if _is_text(column.type) else column for column in batch.columns]
        self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._schema))


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _inert(column: Any) -> Any:
    import pyarrow as pa

    return pa.array([csv_cell(value) for value in column.to_pylist()], pa.string())
