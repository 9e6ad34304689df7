"""Peeking into an unknown file: its format by its content, its columns and a bounded number of its rows."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from plant.guess_cells import Verdict
from plant.guess_text import Sample, guess_encoding, read_text, take_sample

_ROWS = 1000  # rows looked at in formats that know their columns
_MOST_UNPACKED = 300 << 20  # bytes of an Excel file; above, it is not opened


@dataclass(frozen=True)
class Peek:
    """Columns and sample rows of one export. columns[i]: text cells, stripped, "" where empty.

    types[i]: "" where the cells are text, else what the file says they are: time, zoned, number, bool.
    keys: what site.yaml needs beside path and format to read it. label: sheet or table within the file.
    """

    format: str
    names: list[str]
    columns: list[list[str]]
    types: list[str]
    rows: int
    whole: bool
    keys: dict[str, Any] = field(default_factory=dict)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    unfit: list[tuple[int, int]] = field(default_factory=list)
    label: str = ""


def peek(path: Path, root: Path) -> list[Peek] | str:
    """What a file (or Delta folder) holds, one entry a sheet or table; in words why there is nothing to connect."""
    found = _peek(path, root)
    if isinstance(found, str):
        return found
    return [p for p in found if p.names] or "it has no columns"


def _peek(path: Path, root: Path) -> list[Peek] | str:
    try:
        if path.is_dir():
            return _delta(path)
        with path.open("rb") as f:
            start = f.read(16)
        if start.startswith(b"PAR1"):
            return _parquet(path)
        if start.startswith(b"SQLite format 3\0"):
            return _sqlite(path, root)
        if start.startswith(b"PK\x03\x04"):
            return _excel(path)
        if start.startswith(b"\xd0\xcf\x11\xe0"):
            return "an Excel file of before 2007: save it as .xlsx"
        if start.startswith((b"%PDF", b"\x89PNG", b"\xff\xd8\xff", b"{\\rtf")):
            return "a document or picture"
        return _text(path)
    except Exception as e:  # a damaged file of any format: each library has its own errors for it
        return f"it cannot be opened ({type(e).__name__}: {(str(e).splitlines() or ['no reason given'])[0][:120]})"


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and value != value):  # NaN
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    return str(value).strip()


def _text(path: Path) -> list[Peek] | str:
    sample = take_sample(path)
    encoding = guess_encoding(sample)
    if encoding.value is not None and (found := _jsonl(sample, encoding)):
        return found
    table = read_text(sample)
    if isinstance(table, str):
        return table
    keys: dict[str, Any] = {}
    if table.delimiter.value != ",":
        keys["delimiter"] = table.delimiter.value
    if table.encoding.value != "utf-8":
        keys["encoding"] = table.encoding.value
    if table.header.value:
        keys["header"] = table.header.value
    if table.header_line.value != 1:
        keys["header_line"] = table.header_line.value
    verdicts = {
        "encoding": table.encoding, "delimiter": table.delimiter,
        "header": table.header if table.header.value else table.header_line,
    }  # fmt: skip
    if sample.compression:
        verdicts["compression"] = Verdict(sample.compression, "by its first bytes")
    types = [""] * len(table.names)
    return [Peek("csv", table.names, table.columns, types, table.rows, table.whole, keys, verdicts, table.unfit)]


def _typed(rows: list[dict[str, Any]], names: list[str]) -> tuple[list[list[str]], list[str]]:
    """Text cells and types of typed values."""
    columns, types = [], []
    for name in names:
        values = [row.get(name) for row in rows]
        filled = [v for v in values if v is not None and v != ""]
        columns.append([_cell(v) for v in values])
        if filled and all(isinstance(v, bool) for v in filled):
            types.append("bool")
        elif filled and all(isinstance(v, int | float) and not isinstance(v, bool) for v in filled):
            types.append("number")
        elif filled and all(hasattr(v, "isoformat") for v in filled):
            types.append("zoned" if getattr(filled[0], "tzinfo", None) else "time")
        else:
            types.append("")
    return columns, types


def _jsonl(sample: Sample, encoding: Verdict) -> list[Peek] | None:
    text = sample.head.decode(encoding.value, errors="replace").lstrip("\ufeff")
    lines = [line for line in text.splitlines() if line]
    lines = lines if sample.whole else lines[:-1]
    if not lines or not all(line.lstrip().startswith("{") for line in lines[:3]):
        return None
    rows, odd = [], []
    for number, line in enumerate(lines[:_ROWS], 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict):
            rows.append(row)
        else:
            odd.append((number, 0))
    if len(rows) < 0.5 * len(lines[:_ROWS]):
        return None
    names = [str(k) for k in dict.fromkeys(k for row in rows for k in row)]
    columns, types = _typed(rows, names)
    keys = {} if encoding.value == "utf-8" else {"encoding": encoding.value}
    verdicts = {"encoding": encoding, "format": Verdict("jsonl", "each line is a JSON object")}
    whole = sample.whole and len(lines) <= _ROWS
    return [Peek("jsonl", names, columns, types, len(lines), whole, keys, verdicts, odd)]


def _arrow(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> tuple[list[list[str]], list[str]]:
    rows: list[dict[str, Any]] = []
    for batch in batches:
        rows += batch.slice(0, _ROWS).to_pylist()
        if len(rows) >= _ROWS:
            break
    columns, types = _typed(rows[:_ROWS], list(schema.names))
    for i, one in enumerate(schema):
        kind = one.type.value_type if pa.types.is_dictionary(one.type) else one.type
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            types[i] = "zoned" if getattr(kind, "tz", None) else "time"
        elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            types[i] = "number"
    return columns, types


def _parquet(path: Path) -> list[Peek]:
    with pq.ParquetFile(path) as file:
        groups = sorted({0, file.num_row_groups - 1} - {-1})
        half = max(1, _ROWS // max(1, len(groups)))
        batches = [next(file.iter_batches(half, row_groups=[g]), None) for g in groups]
        schema, rows = file.schema_arrow, file.metadata.num_rows
    columns, types = _arrow(schema, [b for b in batches if b is not None])
    verdicts = {"format": Verdict("parquet", "by its first bytes; it names its columns and types")}
    return [Peek("parquet", list(schema.names), columns, types, rows, rows <= _ROWS, {}, verdicts)]


def _delta(path: Path) -> list[Peek]:
    from deltalake import DeltaTable  # slow, and only here

    data = DeltaTable(str(path)).to_pyarrow_dataset()
    columns, types = _arrow(data.schema, data.head(_ROWS).to_batches())
    rows = data.count_rows()
    verdicts = {"format": Verdict("delta", "a folder with a _delta_log; it names its columns and types")}
    return [Peek("delta", list(data.schema.names), columns, types, rows, rows <= _ROWS, {}, verdicts)]


def _sqlite(path: Path, root: Path) -> list[Peek] | str:
    url = f"sqlite:///{path.relative_to(root).as_posix()}"
    db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    try:
        known = db.execute("select name from sqlite_master where type in ('table', 'view') order by name")
        names = [n for (n,) in known]
        out = []
        for name in (n for n in names if not n.startswith("sqlite_")):
            quoted = '"' + name.replace('"', '""') + '"'
            query = "".join(("select * from ", quoted))
            cursor = db.execute(query)
            fields = [c[0] for c in cursor.description]
            rows = [dict(zip(fields, row, strict=True)) for row in cursor.fetchmany(_ROWS)]
            columns, types = _typed(rows, fields)
            keys = {"url": url, "query": query}
            verdicts = {"format": Verdict("sql", "a SQLite database; add `since:` so that only new rows are asked for")}
            whole = len(rows) < _ROWS
            out.append(Peek("sql", fields, columns, types, len(rows), whole, keys, verdicts, label=name))
        return out or "a SQLite database without tables"
    finally:
        db.close()


def _excel(path: Path) -> list[Peek] | str:
    with zipfile.ZipFile(path) as packed:
        if "xl/workbook.xml" not in packed.namelist():
            return "a zip archive: unpack it"
        if sum(i.file_size for i in packed.infolist()) > _MOST_UNPACKED:
            return "an Excel file of more than 300 MB when unpacked: export it as CSV"
    from openpyxl import load_workbook  # slow, and only here

    book = load_workbook(path, read_only=True, data_only=True)
    out = []
    try:
        for number, sheet in enumerate(book.worksheets):
            grid = [list(row) for row in sheet.iter_rows(max_row=_ROWS, max_col=500, values_only=True)]
            if (one := _sheet(sheet.title, grid, number)) is not None:
                out.append(one)
    finally:
        book.close()
    return out or "an Excel file without a table of at least two columns and two rows"


def _sheet(title: str, grid: list[list[Any]], number: int) -> Peek | None:
    """A sheet whose first row that is filled well, with text, holds the names."""
    wide = max((sum(v is not None for v in row) for row in grid), default=0)
    at = next((i for i, row in enumerate(grid) if sum(v is not None for v in row) > 0.5 * wide), None)
    if wide < 2 or at is None or len(grid) < at + 2:
        return None
    names = [_cell(v) for v in grid[at]]
    while names and not names[-1]:
        names.pop()
    if any(not isinstance(v, str) for v in grid[at][: len(names)] if v is not None) or "" in names:
        return None
    rows = [dict(zip(names, row, strict=False)) for row in grid[at + 1 :] if any(v is not None for v in row)]
    columns, types = _typed(rows, names)
    keys: dict[str, Any] = {"sheet": title} if number else {}
    if at:
        keys["header_line"] = at + 1
    header = Verdict(at + 1, f"row {at + 1} is the first that is filled and holds text", "likely")
    verdicts = {"format": Verdict("excel", f"an Excel file, sheet {title}"), "header": header}
    return Peek("excel", names, columns, types, len(rows), len(grid) < _ROWS, keys, verdicts, label=title)
