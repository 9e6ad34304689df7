"""Parquet: typed columns, a batch of rows at a time. A row's line is its number, from 1."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from plant.raw_rows import RawRows
from plant.read_cells import marks, stripped
from plant.read_files import names_once, refused, unreadable, wanted
from plant.read_marks import above, bound, highest
from plant.sources import Export

ROWS = 1 << 20  # rows of a stretch
_UNREADABLE = (pa.ArrowException, OSError, UnicodeError, OverflowError)
_PLAIN = (
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_timestamp,
    pa.types.is_date,
    pa.types.is_string,
    pa.types.is_large_string,
)


def header(export: Export) -> list[str]:
    """Column names. Raises SourceError."""
    try:
        return names_once(export, list(pq.read_schema(export.file).names))
    except _UNREADABLE as e:
        raise unreadable(export, e) from e


def read(export: Export, columns: set[str]) -> Generator[RawRows, None, None]:
    """The rows in batches. Raises SourceError."""
    try:
        # Buffered and not fetched ahead: else a row group of any size would be in memory as a whole.
        with pq.ParquetFile(export.file, buffer_size=1 << 22, pre_buffer=False) as file:
            names = names_once(export, list(file.schema_arrow.names))
            asked = wanted(columns, names)
            batches = file.iter_batches(ROWS, columns=with_since(export, names, asked))
            yield from stretches(export, (pa.Table.from_batches([b]) for b in batches), asked)
    except _UNREADABLE as e:
        raise unreadable(export, e) from e


def with_since(export: Export, names: list[str], asked: list[str]) -> list[str]:
    """The columns to read: those asked for and that of the high-water mark. Raises SourceError where it is missing."""
    since = export.source.since
    if since is None or since.column in asked:
        return asked
    if since.column not in names:
        raise refused(
            export,
            "unknown_column",
            f"has no column '{since.column}' (sources.{export.source_name}.since)",
            ", ".join(names),
            "name a column of the export",
        )
    return [*asked, since.column]


def stretches(
    export: Export, tables: Iterable[pa.Table], asked: list[str], first: int = 1
) -> Generator[RawRows, None, None]:
    """Raw rows of typed tables; rows at or below the high-water mark are left out, but keep their number."""
    limit, line = bound(export), first
    for raw in tables:
        typed = pa.table({n: plain(export, n, raw[n]) for n in raw.column_names}) if raw.column_names else raw
        lines = np.arange(line, line + raw.num_rows, dtype=np.int64)
        line += raw.num_rows
        mark = None
        if export.source.since is not None:
            keep = above(export, typed[export.source.since.column], limit)
            if keep is not None and not keep.all():
                typed, lines = typed.filter(pa.array(keep)), lines[keep]
            mark = highest(export, typed[export.source.since.column])
        yield RawRows(export.label, typed.select(asked) if asked else typed, lines, mark=mark)


def plain(export: Export, name: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """A typed column without what differs by writer: dictionaries, bytes for text, NaN or blanks for empty cells.

    Raises SourceError for columns with more than one value in a cell.
    """
    kind = values.type
    if isinstance(kind, pa.BaseExtensionType):
        values = pa.chunked_array([c.storage for c in values.chunks], kind.storage_type)
    if pa.types.is_run_end_encoded(values.type):
        values = pa.chunked_array([pc.run_end_decode(c) for c in values.chunks], values.type.value_type)
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    kind = values.type
    if pa.types.is_nested(kind):
        raise _refused(export, name, kind)
    if pa.types.is_null(kind) or not any(is_kind(kind) for is_kind in _PLAIN):
        try:
            values = _as_text(values)
        except _UNREADABLE as e:
            raise _refused(export, name, kind, e) from e
    if pa.types.is_floating(values.type):
        if pa.types.is_float16(values.type):
            values = values.cast(pa.float32())
        nan = pc.is_nan(values)
        if pc.any(nan).as_py():
            values = pc.if_else(nan, pa.scalar(None, values.type), values)
    elif pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        values.validate(full=True)  # a damaged file may hold bytes that are no text
        values = stripped(values, marks(export.source))
    return values


def _as_text(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Bytes, times of day and the like as text."""
    if pa.types.is_fixed_size_binary(values.type):
        values = values.cast(pa.binary())
    return values.cast(pa.string())


def _refused(export: Export, name: str, kind: pa.DataType, why: Any = None) -> Exception:
    said = f" ({str(why).splitlines()[0][:200]})" if why else ""
    return refused(
        export,
        "unreadable_file",
        f"cannot be read: column '{name}' of {export.name} holds {kind}{said}",
        "numbers, text, true/false and times, one value a cell",
        "export the column flat, or leave it out of the mapping",
    )
