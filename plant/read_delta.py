"""Delta tables: a folder below the data folder, read at the version that it had when it was found.

A row's line is its number in that version. Features that the reader does not know (deletion vectors, renamed columns)
are refused as a whole: read without them, rows would come back that were deleted.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pyarrow as pa
import pyarrow.compute as pc

from plant.errors import SourceError
from plant.raw_rows import RawRows
from plant.read_files import below_data, names_once, refused, unreadable, wanted
from plant.read_marks import bound
from plant.read_parquet import ROWS, stretches, with_since
from plant.sources import Export


def at_version(export: Export) -> Export:
    """The export at the version that the table has now. Raises SourceError."""
    return replace(export, version=int(_table(export).version()))


def identity(export: Export) -> str:
    """`id@version` of the table: what it holds changes only with its version. Raises SourceError."""
    table = _table(export)
    return f"{table.metadata().id}@{table.version()}"


def header(export: Export) -> list[str]:
    """Column names. Raises SourceError."""
    return names_once(export, list(_dataset(export).schema.names))


def read(export: Export, columns: set[str]) -> Generator[RawRows, None, None]:
    """The rows in batches. Raises SourceError."""
    dataset = _dataset(export)
    names = names_once(export, list(dataset.schema.names))
    asked = wanted(columns, names)
    needed = with_since(export, names, asked)
    try:
        first = 1
        fragments = sorted(dataset.get_fragments(), key=lambda f: str(f.path))
        fresh = _fresh(export, dataset)
        for fragment in fragments:
            count = int(fragment.count_rows())
            if fresh is None or fragment.path in fresh:
                yield from stretches(export, _tables(fragment, dataset.schema, needed), asked, first)
            first += count
    except SourceError:
        raise
    except Exception as e:  # two libraries and a file system, each with errors of its own
        raise unreadable(export, e) from e


def _tables(fragment: Any, schema: pa.Schema, columns: list[str]) -> Iterator[pa.Table]:
    for batch in fragment.to_batches(schema=schema, columns=columns, batch_size=ROWS, batch_readahead=1):
        yield pa.Table.from_batches([batch])


def _fresh(export: Export, dataset: Any) -> set[str] | None:
    """Files that may hold rows above the high-water mark, by the statistics in the log; None: all of them."""
    limit = bound(export)
    if limit is None or export.source.since is None:
        return None
    field = pc.field(export.source.since.column)
    kind = dataset.schema.field(export.source.since.column).type
    if limit.kind != "t" or not pa.types.is_timestamp(kind) or (kind.tz is None) != (limit.value.tzinfo is None):
        return None
    newer = field > pa.scalar(limit.value, pa.timestamp("us", kind.tz))
    return {f.path for f in dataset.get_fragments(filter=newer | field.is_null())}


def _table(export: Export) -> Any:
    from deltalake import DeltaTable  # a tenth of a second: only where a Delta table is read

    try:
        return DeltaTable(str(export.file), version=export.version)
    except Exception as e:  # deltalake's errors have no root of their own
        raise unreadable(export, e) from e


def _dataset(export: Export) -> Any:
    table = _table(export)
    try:
        files = [_local(uri) for uri in table.file_uris()]
        if export.data is not None:
            below_data(export.source_name, files, export.data)
        return table.to_pyarrow_dataset(as_large_types=False)
    except SourceError:
        raise
    except Exception as e:
        raise refused(
            export,
            "unreadable_file",
            f"cannot be read as Delta: {(str(e).splitlines() or [''])[0][:300]}",
            "a table without deletion vectors and column mapping",
            "write it once more without these features (REORG TABLE ... APPLY (PURGE)), or export it as Parquet",
        ) from e


def _local(uri: str) -> Path:
    """The path of a data file; anything that is no file of this machine stays a path that lies nowhere below."""
    parsed = urlparse(uri)
    return Path(unquote(parsed.path)) if parsed.scheme == "file" else Path(uri)
