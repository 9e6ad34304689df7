"""Exports: what a source consists of today, and how its rows are read, whatever the format.

An export is one thing to read: a file, a sheet, a version of a Delta table, the answer to a query. The rest of the
plant knows these four functions and nothing of the formats.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from plant import readers
from plant.raw_rows import RawRows
from plant.sources import Source


@dataclass(frozen=True)
class Export:
    """label: its name in lineage and messages, e.g. `cmms/orders.csv`, unique in the source. path: None for a query.

    after: the source's high-water mark; rows at or below it, less the overlap, are not asked for where the format
    can leave them out.
    """

    source_name: str
    source: Source
    label: str
    path: Path | None
    after: str | None = None


def find_exports(name: str, source: Source, data: Path, after: str | None = None) -> list[Export]:
    """The exports of a source in the order in which they are read (by name).

    Raises SourceError when there are none and the source is not optional, or when a path leaves the data folder.
    """
    paths = readers.find_files(name, source, data)
    return [Export(name, source, p.relative_to(data).as_posix(), p, after) for p in paths]


def fingerprint(export: Export) -> str | None:
    """SHA-256 of the content; None where only reading tells (a database)."""
    return readers.fingerprint(export.path) if export.path else None


def header(export: Export) -> list[str]:
    """Column names, without reading the rows. Raises SourceError."""
    assert export.path is not None  # noqa: S101
    return readers.header(export.source_name, export.source, export.path)


def read(export: Export, columns: set[str], lines: frozenset[int] | None = None) -> Iterator[RawRows]:
    """The rows, a stretch at a time in bounded memory, only the columns asked for; with `lines`, only those lines.

    Raises SourceError when the export as a whole is unreadable, at the latest at its end.
    """
    assert export.path is not None  # noqa: S101
    rows = readers.read_file(export.source_name, export.source, export.path, export.label, columns)
    if lines is None:
        yield rows
        return
    keep = np.isin(rows.lines, np.array(sorted(lines), dtype=np.int64))
    yield RawRows(
        rows.label, rows.table.filter(keep), rows.lines[keep], [m for m in rows.malformed if m.line in lines], rows.mark
    )


def later(one: str | None, other: str | None) -> str | None:
    """The larger of two high-water marks of a source."""
    return max((m for m in (one, other) if m is not None), default=None)
