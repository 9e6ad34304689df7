"""Exports: what a source consists of today, and how its rows are read, whatever the format.

An export is one thing to read: a file, a sheet, a version of a Delta table, the answer to a query. The rest of the
plant knows these functions and nothing of the formats.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa

from plant import read_csv, read_delta, read_excel, read_jsonl, read_parquet, read_sql
from plant.forms import PSEUDO
from plant.raw_rows import RawRows
from plant.read_ahead import read_ahead
from plant.read_files import find_files, sha256
from plant.read_marks import later
from plant.sources import Export, Source

__all__ = ["Export", "find_exports", "fingerprint", "header", "later", "read"]

_FORMATS = {
    "csv": read_csv,
    "parquet": read_parquet,
    "excel": read_excel,
    "jsonl": read_jsonl,
    "delta": read_delta,
    "sql": read_sql,
}
# Formats that are read by compiled code outside the interpreter's lock: there a second thread pays.
_AHEAD = {"csv", "parquet", "delta"}


def find_exports(name: str, source: Source, data: Path, after: str | None = None) -> list[Export]:
    """The exports of a source in the order in which they are read (by name).

    after: the high-water mark that the last load left (`later` of all `RawRows.mark`); with it, rows at or below
    mark - overlap are not read. What turns up later than the overlap allows is therefore never seen: that is what a
    site chooses with `since`. After a change of the mapping, read without it.

    Raises SourceError when there are none and the source is not optional, or when a path leaves the data folder.
    """
    if source.format == "sql":
        return read_sql.find(name, source, data, after)
    paths = find_files(name, source, data)
    exports = [Export(name, source, p.relative_to(data).as_posix(), p, after, data) for p in paths]
    return [read_delta.at_version(e) for e in exports] if source.format == "delta" else exports


def fingerprint(export: Export) -> str | None:
    """What changes when the content does: SHA-256 of a file, id and version of a Delta table.

    None where only reading tells (a database). Raises SourceError.
    """
    if export.source.format == "sql":
        return None
    return read_delta.identity(export) if export.source.format == "delta" else sha256(export)


def header(export: Export) -> list[str]:
    """Column names, without reading the rows. Raises SourceError."""
    return _FORMATS[export.source.format].header(export)


def read(export: Export, columns: set[str], lines: frozenset[int] | None = None) -> Iterator[RawRows]:
    """The rows, a stretch at a time in bounded memory, only the columns asked for; with `lines`, only those lines.

    `@content` among the columns asks for all of them; the other pseudo-columns are not the reader's. There is always at
    least one stretch, be it without rows. Close the iterator where it is not read to its end.

    Raises SourceError when the export as a whole is unreadable, at the latest at its end.
    """
    source: Generator[RawRows, None, None] = _FORMATS[export.source.format].read(export, columns)
    stretches = read_ahead(source) if export.source.format in _AHEAD else source
    last, some = max(lines, default=0) if lines is not None else None, False
    with closing(stretches):
        for rows in stretches:
            some = True
            yield rows if lines is None else _only(rows, lines)
            if last is not None and len(rows.lines) and rows.lines[-1] >= last:
                return
    if not some:
        yield RawRows(export.label, _no_rows(export, columns), np.empty(0, dtype=np.int64))


def _no_rows(export: Export, columns: set[str]) -> pa.Table:
    names = header(export) if export.source.format != "sql" else sorted(columns - PSEUDO)
    return pa.table({n: pa.array([], pa.string()) for n in names if n in columns or "@content" in columns})


def _only(rows: RawRows, lines: frozenset[int]) -> RawRows:
    keep = np.isin(rows.lines, np.fromiter(lines, dtype=np.int64, count=len(lines)))
    malformed = [m for m in rows.malformed if m.line in lines]
    return RawRows(rows.label, rows.table.filter(pa.array(keep)), rows.lines[keep], malformed, rows.mark)
