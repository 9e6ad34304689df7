"""What tests of the readers share: an export of one file, and its rows as plain values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from plant.errors import SourceError
from plant.exports import Export, find_exports, header, read
from plant.sources import Source

Row = tuple[Any, ...]


def export(data: Path, path: str = "", after: str | None = None, **source: Any) -> Export:
    """The one export of a source `log` below `data`."""
    given = {"system": "machine log", "format": "csv"} | ({"path": path} if path else {}) | source
    [one] = find_exports("log", Source.model_validate(given), data, after)
    return one


def rows(one: Export, columns: set[str] | None = None) -> tuple[list[Row], list[tuple[int, str]]]:
    """(line, cell, cell, ...) of the rows in the order of `header`, (line, reason) of what is no row."""
    names = [n for n in header(one) if columns is None or n in columns]
    good: list[Row] = []
    bad: list[tuple[int, str]] = []
    for stretch in read(one, set(names)):
        good += zip(stretch.lines.tolist(), *(stretch.table[n].to_pylist() for n in names), strict=True)
        bad += [(m.line, m.reason) for m in stretch.malformed]
    return good, bad


def refusal(one: Export) -> SourceError | None:
    """Why the export cannot be read; None where it was read to its end. Any other error is one of ours."""
    try:
        rows(one)
    except SourceError as e:
        return e
    return None


def says_enough(refused: SourceError | None, name: str) -> bool:
    """A refusal names the source, the file, what is allowed and what to do."""
    return refused is None or bool(
        "'log'" in refused.found and name in refused.found and refused.allowed and refused.hint
    )


def marks(one: Export, column: str) -> list[str | None]:
    return [stretch.mark for stretch in read(one, {column})]
