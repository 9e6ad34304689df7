"""Reading exports: each file becomes a table of raw cells, each row with the line it stands on.

CSV cells stay text (stripped, missing marks become null); Parquet keeps its types. A line that does not
have the header's number of fields is not dropped: it is handed on as malformed, for the quarantine.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from plant.errors import SourceError, listing, nearest
from plant.forms import Source


@dataclass(frozen=True)
class Malformed:
    """A line that is not a row of its file."""

    line: int
    text: str
    reason: str


@dataclass(frozen=True)
class RawFile:
    """One read file. `lines[i]` is the line (counted from 1, header included) of row i of `table`."""

    label: str
    table: pa.Table
    lines: np.ndarray
    malformed: list[Malformed] = field(default_factory=list)


def find_files(name: str, source: Source, data: Path) -> list[Path]:
    """Files of a source in name order. Raises SourceError when there are none, or a path leaves the data folder."""
    if not data.is_dir():
        raise SourceError(
            "missing_data",
            f"the data folder {data} does not exist",
            "a folder that holds the site's exports",
            "give it with --data DIR",
        )
    if Path(source.path).is_absolute() or ".." in Path(source.path).parts:
        raise SourceError(
            "path_outside",
            f"source '{name}': path '{source.path}' leaves the data folder",
            "a path below the data folder",
            "put the export below the folder given with --data",
        )
    root = data.resolve()
    files = sorted(p for p in data.glob(source.path) if p.is_file())
    outside = [p for p in files if not p.resolve().is_relative_to(root)]
    if outside:
        raise SourceError(
            "path_outside",
            f"source '{name}': {outside[0].name} is a link that leaves the data folder",
            "files below the data folder",
        )
    if not files and not source.optional:
        there = sorted(str(p.relative_to(data)) for p in data.rglob("*") if p.is_file())
        raise SourceError(
            "missing_file",
            f"source '{name}' ({source.system}): no file matches '{source.path}' below {data} {nearest(source.path, there)}".rstrip(),
            f"files there: {listing(there)}" if there else "the folder is empty",
            f"put the export there, correct sources.{name}.path in site.yaml, or mark the source as `optional: true`",
        )
    return files


def fingerprint(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def header(name: str, source: Source, path: Path) -> list[str]:
    """Column names of a file, without reading its rows."""
    try:
        if source.format == "parquet":
            return list(pq.read_schema(path).names)
        if source.header:
            return list(source.header)
        with path.open(encoding=source.encoding, newline="") as f:
            first = f.readline().lstrip("\ufeff")
        read = (
            pacsv.read_csv(pa.py_buffer(first.encode()), parse_options=_parse_options(source))
            if first.strip()
            else None
        )
    except (UnicodeError, pa.ArrowInvalid, OSError) as e:
        raise _unreadable(name, source, path, e) from e
    if read is None:
        raise SourceError(
            "empty_file", f"source '{name}': {path.name} is empty", "a header line and rows", "export it again"
        )
    names = [n.strip() for n in read.column_names]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise SourceError(
            "bad_header", f"source '{name}': {path.name} names these columns twice: {listing(twice)}", "each name once"
        )
    return names


def _parse_options(source: Source) -> pacsv.ParseOptions:
    return pacsv.ParseOptions(
        delimiter=source.delimiter, quote_char='"', double_quote=True, escape_char=False, newlines_in_values=True
    )


def _unreadable(name: str, source: Source, path: Path, e: Exception) -> SourceError:
    text = str(e).splitlines()[0][:300]
    hint = (
        f"correct sources.{name}.encoding (now {source.encoding})"
        if "utf8" in text.lower() or isinstance(e, UnicodeError)
        else "export the file again"
    )
    return SourceError(
        "unreadable_file",
        f"source '{name}': {path.name} cannot be read as {source.format}: {text}",
        f"a whole {source.format} file in the encoding that site.yaml names",
        hint,
    )


def read_file(name: str, source: Source, path: Path, label: str, columns: set[str]) -> RawFile:
    """The rows of one file, only the columns asked for. Raises SourceError when the file as a whole is unreadable."""
    try:
        if source.format == "parquet":
            table = pq.read_table(path, columns=sorted(columns))
            return RawFile(label, table, np.arange(1, table.num_rows + 1))
        return _read_csv(name, source, path, label, columns)
    except (UnicodeError, pa.ArrowInvalid, pa.ArrowKeyError, OSError) as e:
        raise _unreadable(name, source, path, e) from e


def _read_csv(name: str, source: Source, path: Path, label: str, columns: set[str]) -> RawFile:
    names = header(name, source, path)
    malformed: list[Malformed] = []

    def note(row: pacsv.InvalidRow) -> str:
        reason = f"the line has {row.actual_columns} fields, the header {row.expected_columns}"
        malformed.append(Malformed(row.number or 0, row.text, reason))
        return "skip"

    parse = _parse_options(source)
    parse.invalid_row_handler = note
    table = pacsv.read_csv(
        path,
        # One thread: only then does the handler learn the number of the line it refuses.
        read_options=pacsv.ReadOptions(
            column_names=names,
            skip_rows=0 if source.header else 1,
            encoding=source.encoding,
            use_threads=False,
            block_size=1 << 24,
        ),
        parse_options=parse,
        convert_options=pacsv.ConvertOptions(
            column_types={n: pa.string() for n in names},
            include_columns=sorted(columns & set(names)),
            strings_can_be_null=False,
        ),
    )
    missing = pa.array([m.strip() for m in source.missing], pa.string())
    cleaned = {}
    for column in table.column_names:
        cells = pc.utf8_trim_whitespace(table[column])
        cleaned[column] = pc.if_else(pc.is_in(cells, value_set=missing), pa.scalar(None, pa.string()), cells)
    count = table.num_rows + len(malformed)
    offset = 1 if source.header else 2
    refused = np.array([m.line for m in malformed], dtype=np.int64)
    lines = np.setdiff1d(np.arange(offset, offset + count), refused)[: table.num_rows]
    return RawFile(label, pa.table(cleaned), lines, malformed)
