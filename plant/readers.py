"""Reading exports: each file becomes a table of raw cells, each row with the line it stands on.

CSV cells stay text (stripped, missing marks become null); Parquet keeps its types. A line that does not
have the header's number of fields is not dropped: it is handed on as malformed, for the quarantine.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from plant.errors import SourceError, listing, nearest
from plant.raw_rows import Malformed, RawRows
from plant.sources import Source


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
    try:
        files = sorted(p for p in data.glob(source.path) if p.is_file())
    except (ValueError, NotImplementedError) as e:
        raise SourceError(
            "bad_path",
            f"source '{name}': path '{source.path}' is no pattern: {e}",
            "a path such as cmms/orders_*.csv",
            f"correct sources.{name}.path in site.yaml",
        ) from e
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
            f"source '{name}' ({source.system}): no file matches '{source.path}' below {data} "
            f"{nearest(source.path, there)}".rstrip(),
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
            first = f.readline().lstrip("\ufeff").strip()
        names = [n.strip() for n in next(csv.reader([first], delimiter=source.delimiter), [])]
    except (UnicodeError, csv.Error, pa.ArrowInvalid, OSError) as e:
        raise _unreadable(name, source, path, e) from e
    if not names:
        raise SourceError(
            "empty_file", f"source '{name}': {path.name} is empty", "a header line and rows", "export it again"
        )
    if not first.isprintable() and not first.replace("\t", "").isprintable():
        raise SourceError(
            "not_text",
            f"source '{name}': {path.name} is not text in {source.encoding}: its first line holds control characters",
            f"a {source.format} file in the encoding that site.yaml names",
            "is it compressed, or in another encoding (UTF-16)?",
        )
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


def read_file(name: str, source: Source, path: Path, label: str, columns: set[str]) -> RawRows:
    """The rows of one file, only the columns asked for. Raises SourceError when the file as a whole is unreadable."""
    try:
        if source.format == "parquet":
            table = _plain(name, path, pq.read_table(path, columns=sorted(columns)))
            return RawRows(label, table, np.arange(1, table.num_rows + 1))
        return _read_csv(name, source, path, label, columns)
    except (UnicodeError, pa.ArrowInvalid, pa.ArrowKeyError, OSError) as e:
        raise _unreadable(name, source, path, e) from e


def _plain(name: str, path: Path, table: pa.Table) -> pa.Table:
    """Typed columns without what differs by writer: dictionaries, bytes for text, NaN or blanks for empty cells."""
    out = {}
    for column in table.column_names:
        values = table[column]
        if pa.types.is_nested(values.type) and not pa.types.is_dictionary(values.type):
            raise SourceError(
                "unreadable_file",
                f"source '{name}': column '{column}' of {path.name} holds {values.type}",
                "numbers, text, true/false and times, one value a cell",
                "export the column flat",
            )
        if pa.types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        if pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type):
            values = values.cast(pa.string())
        if pa.types.is_floating(values.type):
            values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
        if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
            values = _cells(values, [""])
        out[column] = values
    return pa.table(out) if out else table


def _cells(values: pa.ChunkedArray, missing: list[str]) -> pa.ChunkedArray:
    trimmed = pc.utf8_trim_whitespace(values)
    marks = pa.array(missing, trimmed.type)
    return pc.if_else(pc.is_in(trimmed, value_set=marks), pa.scalar(None, trimmed.type), trimmed)


def _read_csv(name: str, source: Source, path: Path, label: str, columns: set[str]) -> RawRows:
    names = header(name, source, path)
    malformed: list[Malformed] = []

    def note(row: pacsv.InvalidRow) -> str:
        reason = f"the line has {row.actual_columns} fields, the header {row.expected_columns}"
        malformed.append(Malformed(row.number or 0, row.text, reason))
        return "skip"

    parse = _parse_options(source)
    parse.invalid_row_handler = note
    with path.open(encoding=source.encoding, newline="") as f:
        starts, last, still_open = _records(f, source.delimiter)
    above = 0 if source.header else 1  # records above the rows: the header
    if len(starts) <= above:
        return RawRows(label, pa.table({n: pa.array([], pa.string()) for n in names}), np.empty(0, dtype=np.int64))
    table = pacsv.read_csv(
        path,
        # One thread: only then does the handler learn the number of the row it refuses.
        read_options=pacsv.ReadOptions(
            column_names=names,
            skip_rows=above,
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
    # Rows are counted without blank lines, and a quoted text may span several: back to lines as an editor shows them.
    refused = [m.line - 1 for m in malformed]
    malformed = [Malformed(starts[i], m.text, m.reason) for i, m in zip(refused, malformed, strict=True)]
    lines = np.delete(starts, [*range(above), *refused])
    if still_open:
        reason = f"a quotation mark in this row is never closed, and takes in every line up to line {last}"
        if len(lines) and lines[-1] == starts[-1]:
            text = source.delimiter.join(str(c[-1]) for c in table.columns)
            table, lines = table.slice(0, table.num_rows - 1), lines[:-1]
            malformed.append(Malformed(int(starts[-1]), text, reason))
        else:
            malformed[-1] = Malformed(malformed[-1].line, malformed[-1].text, reason)
    missing = [m.strip() for m in source.missing]
    return RawRows(label, pa.table({n: _cells(table[n], missing) for n in table.column_names}), lines, malformed)


def _records(lines: Iterable[str], delimiter: str) -> tuple[np.ndarray, int, bool]:
    """First line of each record that is not blank, number of the last line, whether a quote is still open there."""
    starts: list[int] = []
    inside, number = False, 0
    for number, line in enumerate(lines, 1):
        if not inside:
            if line in ("\n", "\r\n", "\r"):
                continue
            starts.append(number)
        if '"' in line:
            inside = _open_after(line.rstrip("\r\n"), delimiter, inside)
    return np.array(starts, dtype=np.int64), number, inside


def _open_after(line: str, delimiter: str, inside: bool) -> bool:
    """Whether a quoted field is open at the end of `line`; a quote counts at the start of a field only, or doubled."""
    before = delimiter
    for char in line:
        if char == '"' and inside:
            inside, before = False, char
        elif char == '"' and before in (delimiter, '"'):
            inside, before = True, ""
        else:
            before = char if not inside else ""
    return inside
