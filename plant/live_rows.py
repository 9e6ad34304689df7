"""Rows of the live log: checked one by one against the contract of their table, told by hashes, kept as Arrow bytes.

Rows come from outside as a frame of canonical columns; what a cell may be is decided here, never guessed: a text is a
str, a number a finite real number, a flag a bool, a time has a time zone. An empty text is an empty cell.
"""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from plant.errors import StoreError, did_you_mean, listing
from plant.row_problems import Quote, RowProblems, check_contract
from plant.tables import LINEAGE, TIME_DTYPE, Table, conform

AHEAD = pd.Timedelta(minutes=5)  # clocks of the plant may be this fast
NO_TIME = int(np.iinfo(np.int64).min)
_LINEAGE = {c.name: c for c in LINEAGE}
_REAL = (numbers.Real, Decimal)


@dataclass(frozen=True)
class Refused:
    """A row that was not taken: its position in what was given (from 0), the column with the problem, the reason."""

    row: int
    column: str
    reason: str


@dataclass(frozen=True)
class Words:
    """A column of texts: `words[codes]`, -1 where empty."""

    codes: np.ndarray
    words: np.ndarray


Cells = Words | np.ndarray  # float64 (NaN), datetime64[us] (NaT), or int8 of a flag (-1: empty)


@dataclass(frozen=True)
class Rows:
    """n good rows of a table by column; columns without a filled cell are left out.

    position: of each row in what was given. key, content: 64-bit hashes. moment: time in the key, microseconds (NO_TIME
    where there is none), which keeps neighbours in time neighbours in an index. said: `recorded_at` as the source says.
    """

    table: Table
    columns: dict[str, Cells]
    position: np.ndarray
    key: np.ndarray
    moment: np.ndarray
    content: np.ndarray
    said: np.ndarray


def checked(table: Table, frame: pd.DataFrame, now: pd.Timestamp) -> tuple[Rows, list[Refused]]:
    """The good rows of a frame, and why the others are refused (the first problem of each)."""
    n = len(frame)
    problems = RowProblems(n)
    columns: dict[str, Cells] = {}
    known = [*table.names, *_LINEAGE]
    for name in dict.fromkeys(frame.columns):
        values = frame[name]
        if isinstance(values, pd.DataFrame):
            problems.at(str(name))(np.ones(n, dtype=bool), f"the column '{str(name)[:80]}' stands twice")
            continue
        if name not in known and not (table.open_values and isinstance(name, str) and name.strip() and _encodes(name)):
            found = pd.notna(values.to_numpy(dtype=object))
            hint = did_you_mean(str(name)[:80], known) or f"; allowed: {listing(table.names, 20)}"
            problems.at(str(name))(found, f"{table.name} has no column '{str(name)[:80]}'{hint}")
            continue
        columns[name] = _cells(table, name, values, problems)
    # A column that was not given is empty in every row.
    asked = {*(c.name for c in table.columns if c.required), *table.one_of}
    empty = {name: _empty(columns[name]) if name in columns else np.ones(n, dtype=bool) for name in asked}
    order = [c.name for c in (*table.columns, *LINEAGE) if c.kind == "time" and c.name in columns]
    soon = (now + AHEAD).as_unit("us").tz_convert("UTC").tz_localize(None).to_datetime64()
    check_contract(table, empty, {name: _times_of(columns[name]) for name in order}, problems, soon)
    refused = [Refused(row, column, reason) for row, (column, reason) in sorted(problems.said.items())]
    position = np.flatnonzero(~problems.mask)
    return _told(table, columns if not refused else taken(columns, position), position), refused


def _cells(table: Table, name: str, values: pd.Series, problems: RowProblems) -> Cells:
    column = _LINEAGE.get(name) or table.column(name)
    quote: Quote = lambda rows: [_shown(v) for v in values.iloc[rows]]  # noqa: E731
    problem = problems.at(name, quote)
    if column.kind == "string":
        words = _words(values, problem)
        if column.codes:
            odd = np.array([w not in column.codes for w in words.words] + [False], dtype=bool)
            problem(odd[words.codes], "'{}' is not allowed here; allowed: " + ", ".join(column.codes))
        return words
    if column.kind == "float":
        return _floats(values, problem)
    return _times(values, problem) if column.kind == "time" else _flags(values, problem)


def _shown(value: object) -> str:
    try:
        return str(value).encode("utf-8", "replace").decode("utf-8")
    except ValueError:  # a whole number of thousands of digits
        return type(value).__name__


def _words(values: pd.Series, problem: Any) -> Words:
    if isinstance(values.dtype, pd.CategoricalDtype):
        raw, codes = values.cat.categories.to_numpy(dtype=object), values.cat.codes.to_numpy().astype(np.int64)
        text = np.array([isinstance(w, str) for w in raw], dtype=bool)
        problem(~np.append(text, True)[codes], "'{}' is not a text")
    else:
        cells = values.to_numpy(dtype=object)
        text = np.array([isinstance(v, str) for v in cells], dtype=bool)
        problem(~text & ~pd.isna(cells), "'{}' is not a text")
        codes, raw = pd.factorize(np.where(text, cells, None))
        text = np.ones(len(raw), dtype=bool)
    fine, blank = np.array([_encodes(w) for w in raw], dtype=bool), np.array([not str(w).strip() for w in raw], bool)
    problem(np.append(text & ~fine, False)[codes], "'{}' is not valid Unicode")
    codes = np.where(np.append(blank | ~text | ~fine, True)[codes], -1, codes)
    used, codes = np.unique(codes, return_inverse=True)
    first = int(len(used) and used[0] < 0)
    return Words(codes - first, raw[used[first:]])


def _encodes(word: object) -> bool:
    try:
        str(word).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _floats(values: pd.Series, problem: Any) -> np.ndarray:
    if pd.api.types.is_bool_dtype(values.dtype) or not pd.api.types.is_any_real_numeric_dtype(values.dtype):
        cells = values.to_numpy(dtype=object)
        empty = pd.isna(cells)
        real = np.array([isinstance(v, _REAL) and not isinstance(v, bool | np.bool_) for v in cells], dtype=bool)
        problem(~real & ~empty, "'{}' is not a number")
        out = np.array([_float(v) if r and not e else np.nan for v, r, e in zip(cells, real, empty, strict=True)])
    else:
        out = values.to_numpy(dtype=np.float64, na_value=np.nan)
    problem(np.isinf(out), "'{}' is not a finite number")
    return out.astype(np.float64) + 0.0  # one zero: -0.0 says the same


def _float(value: Any) -> float:
    try:
        return float(value)
    except (OverflowError, ValueError):
        return np.inf


def _times(values: pd.Series, problem: Any) -> np.ndarray:
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return values.to_numpy(dtype="datetime64[us]")
    cells = values.to_numpy(dtype=object)
    empty = pd.isna(cells)
    time = np.array([isinstance(v, datetime) for v in cells], dtype=bool) & ~empty
    problem(~time & ~empty, "'{}' is not a time")
    zoned = np.array([t and v.utcoffset() is not None for v, t in zip(cells, time, strict=True)], dtype=bool)
    problem(time & ~zoned, "'{}' has no time zone")
    out, lost = np.full(len(cells), np.datetime64("NaT"), dtype="datetime64[us]"), np.zeros(len(cells), dtype=bool)
    for i in np.flatnonzero(zoned).tolist():
        try:
            out[i] = pd.Timestamp(cells[i]).as_unit("us").tz_convert("UTC").tz_localize(None).to_datetime64()
        except (OverflowError, ValueError):
            lost[i] = True
    problem(lost, "'{}' is not a time of this calendar")
    return out


def _flags(values: pd.Series, problem: Any) -> np.ndarray:
    cells = values.to_numpy(dtype=object)
    flag = np.array([isinstance(v, bool | np.bool_) for v in cells], dtype=bool)
    problem(~flag & ~pd.isna(cells), "'{}' is neither true nor false")
    return np.array([int(v) if f else -1 for v, f in zip(cells, flag, strict=True)], dtype=np.int8)


def _empty(cells: Cells) -> np.ndarray:
    if isinstance(cells, Words):
        return cells.codes < 0
    return cells < 0 if cells.dtype == np.int8 else np.isnat(cells) if cells.dtype.kind == "M" else np.isnan(cells)


def _times_of(cells: Cells) -> np.ndarray:
    assert not isinstance(cells, Words)  # noqa: S101 - a time column is read by _times
    return cells


def taken(columns: dict[str, Cells], rows: np.ndarray) -> dict[str, Cells]:
    """Some rows of all columns."""
    return {n: Words(c.codes[rows], c.words) if isinstance(c, Words) else c[rows] for n, c in columns.items()}


# ---- what a row says, as hashes -----------------------------------------------------------------------------------


def _told(table: Table, columns: dict[str, Cells], position: np.ndarray) -> Rows:
    """Hashes of key and content; `recorded_at` and where a row came from say nothing of the plant."""
    n = len(position)
    said = columns.pop("recorded_at", None) if "recorded_at" in columns else None
    columns = {name: cells for name, cells in columns.items() if not _empty(cells).all()}
    told = {name: _hashed(name, cells) for name, cells in columns.items() if name not in _LINEAGE}
    nothing = np.zeros(n, dtype=np.uint64)
    key = nothing + _word_hash(f"table {table.name}")
    moment = np.full(n, NO_TIME)
    for name in table.key:
        key = key + told.get(name, nothing)
        if table.column(name).kind == "time" and name in columns:
            moment = _times_of(columns[name]).astype(np.int64)
    content = nothing + sum(told.values(), nothing)
    at = np.full(n, NO_TIME) if said is None else _times_of(said).astype(np.int64)
    return Rows(table, columns, position, _spread(key).view(np.int64), moment, content.view(np.int64), at)


def _hashed(name: str, cells: Cells) -> np.ndarray:
    """64 bits of each cell and the name of its column; 0 where it is empty."""
    if isinstance(cells, Words):
        values = pd.util.hash_array(cells.words, categorize=False) if len(cells.words) else np.zeros(0, np.uint64)
        own = _spread(values + _word_hash(name))
        return np.append(own, np.uint64(0))[cells.codes]
    bits = cells.astype(np.int64) if cells.dtype.kind != "f" else cells.view(np.int64)
    return np.where(_empty(cells), np.uint64(0), _spread(_spread(bits.view(np.uint64)) + _word_hash(name)))


def _word_hash(word: str) -> np.uint64:
    return np.uint64(pd.util.hash_array(np.array([word], dtype=object), categorize=False)[0])


def _spread(x: np.ndarray) -> np.ndarray:
    """The finalizer of SplitMix64 (Steele, Lea, Flood 2014): every bit of the answer depends on every bit."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


# ---- as bytes -----------------------------------------------------------------------------------------------------


def encoded(columns: dict[str, Cells], recorded: np.ndarray) -> bytes:
    """Filled columns and `recorded_at` (datetime64[us], UTC) as an Arrow IPC stream, compressed with Zstandard."""
    arrays = {name: _array(cells) for name, cells in columns.items()} | {"recorded_at": _array(recorded)}
    rows = pa.table(arrays)
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as out, pa.ipc.new_stream(out, rows.schema) as writer:
        writer.write_table(rows)
    return sink.getvalue().to_pybytes()


def _array(cells: Cells) -> pa.Array:
    if isinstance(cells, Words):
        used, codes = np.unique(cells.codes, return_inverse=True)
        empty = int(len(used) and used[0] < 0)
        words = pa.array(cells.words[used[empty:]], pa.string())
        return pa.DictionaryArray.from_arrays(pa.array((codes - empty).astype(np.int32), mask=codes < empty), words)
    if cells.dtype.kind == "M":
        return pa.array(cells).cast(pa.timestamp("us", tz="UTC"))
    if cells.dtype == np.int8:
        return pa.array(cells > 0, mask=cells < 0)
    return pa.array(cells, from_pandas=True)


def decoded(table: Table, contents: list[bytes]) -> list[pd.DataFrame]:
    """Frames of the contract (`plant.tables.conform`), one for each of `contents`. Raises StoreError."""
    try:
        tables = [_read(content) for content in contents]
    except (pa.ArrowException, OSError) as e:
        raise StoreError(
            "damaged_log", f"the live log holds {table.name} that cannot be read", hint="restore it from a backup"
        ) from e
    out: dict[int, pd.DataFrame] = {}
    alike: dict[tuple[str, ...], list[int]] = {}
    for i, rows in enumerate(tables):
        alike.setdefault(tuple(rows.column_names), []).append(i)
    for numbers_ in alike.values():  # one conversion for many small appends
        together = pa.concat_tables([tables[i] for i in numbers_])
        frame = conform(table, _plain(together))
        at = 0
        for i in numbers_:
            part = frame.iloc[at : at + tables[i].num_rows]
            part.index = pd.RangeIndex(len(part))
            out[i], at = part, at + len(part)
    return [out[i] for i in range(len(tables))]


def _read(content: bytes) -> pa.Table:
    with pa.CompressedInputStream(pa.BufferReader(content), "zstd") as stream, pa.ipc.open_stream(stream) as reader:
        return reader.read_all()


def _plain(rows: pa.Table) -> pd.DataFrame:
    for i, field in enumerate(rows.schema):
        if pa.types.is_dictionary(field.type):
            rows = rows.set_column(i, field.name, rows[field.name].cast(pa.string()))
    frame = rows.to_pandas(types_mapper={pa.bool_(): pd.BooleanDtype()}.get)
    times = {f.name: TIME_DTYPE for f in rows.schema if pa.types.is_timestamp(f.type)}
    return frame.astype(times)
