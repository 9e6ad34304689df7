"""Cells on their way into a table: text stripped and marked as missing, Python values typed.

Typed columns keep their type. A column of several kinds becomes text, written as the source writes numbers.
"""

from __future__ import annotations

import datetime as dt
import decimal
import math
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from plant.sources import Source

_LARGEST, _EXACT = 2**63, 2**53  # int64; whole numbers that a float holds exactly


def marks(source: Source) -> list[str]:
    """Words that stand for an empty cell; an empty cell is always one."""
    return sorted({"", *(m.strip() for m in source.missing)})


def stripped(values: pa.ChunkedArray, missing: list[str], looked_up: bool = False) -> pa.ChunkedArray:
    """Text without blanks at its ends; marks of missing cells are null.

    looked_up: the marks are null already, so that only what the stripping has changed is compared again.
    """
    trimmed = pc.utf8_trim_whitespace(values)
    if looked_up and pc.sum(pc.binary_length(trimmed)).as_py() == pc.sum(pc.binary_length(values)).as_py():
        return values
    if missing == [""]:
        none = pc.equal(pc.binary_length(trimmed), 0)
        if not pc.any(none).as_py():
            return trimmed
    else:
        none = pc.is_in(trimmed, value_set=pa.array(missing, trimmed.type))
    return pc.if_else(none, pa.scalar(None, trimmed.type), trimmed)


def typed(values: Sequence[Any], source: Source, missing: frozenset[str]) -> pa.ChunkedArray:
    """One column of Python values: bool, int, float, text, times, dates; None, NaN and marks of missing are null.

    Aware times become UTC. Values of several kinds become text; so do times of day, durations, identifiers.
    """
    kinds = set(map(type, values)) - {type(None)}
    try:  # the usual cases, without a look at each cell
        if kinds == {int} or kinds == {bool}:
            return pa.chunked_array([pa.array(values)])
        if kinds == {str}:
            return stripped(pa.chunked_array([pa.array(values, pa.string())]), sorted(missing))
    except (OverflowError, pa.ArrowException):
        pass
    plain = [_plain(v, missing) for v in values]
    kinds = {type(v) for v in plain if v is not None}
    return pa.chunked_array([_array(plain, kinds, source)])


def _array(plain: list[Any], kinds: set[type], source: Source) -> pa.Array:
    try:
        if not kinds:
            return pa.array(plain, pa.string())
        if kinds == {int}:
            return pa.array(plain, pa.int64())
        if kinds <= {int, float} and all(type(v) is not int or abs(v) <= _EXACT for v in plain):
            return pa.array(plain, pa.float64())
        if kinds <= {dt.datetime, dt.date}:
            return _times(plain, kinds)
        if len(kinds) == 1:
            return pa.array(plain, pa.bool_() if kinds == {bool} else pa.string() if kinds == {str} else None)
    except (OverflowError, pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        pass
    return pa.array([None if v is None else as_text(v, source) for v in plain], pa.string())


def _times(plain: list[Any], kinds: set[type]) -> pa.Array:
    if kinds == {dt.date}:
        return pa.array(plain, pa.date32())
    aware = {v.tzinfo is not None for v in plain if isinstance(v, dt.datetime)}
    if len(aware) > 1 or (True in aware and dt.date in kinds):
        raise pa.ArrowTypeError("times with and without a zone")
    if aware == {True}:
        return pa.array([v and v.astimezone(dt.UTC) for v in plain], pa.timestamp("us", "UTC"))
    midnight = dt.time()
    full = [dt.datetime.combine(v, midnight) if type(v) is dt.date else v for v in plain]
    return pa.array(full, pa.timestamp("us"))


def _plain(value: Any, missing: frozenset[str]) -> Any:
    """The value as one of the kinds that a table holds."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, str):
        text = value.strip()
        return None if text in missing else text
    if isinstance(value, decimal.Decimal):
        return None if value.is_nan() else value
    if isinstance(value, bytes | bytearray | memoryview):
        raw = bytes(value)
        try:
            return _plain(raw.decode("utf-8"), missing)
        except UnicodeDecodeError:
            return raw.hex()
    if isinstance(value, dt.datetime | bool | int | float | dt.date):
        return value if type(value) in _KINDS else _base(value)
    return as_text(value, None)


_KINDS = {bool, int, float, dt.datetime, dt.date}


def _base(value: Any) -> Any:
    """A value of a subclass (numpy's float, pandas' Timestamp) as the plain kind."""
    for kind in (bool, int, float):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, dt.datetime):
        return dt.datetime.fromisoformat(value.isoformat()[:32])
    return dt.date(value.year, value.month, value.day)


def as_text(value: Any, source: Source | None) -> str:
    """A value in a column of mixed kinds; numbers with the decimal mark of the source, so that they stay the same."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        whole = value.is_integer() and abs(value) < _EXACT
        return str(int(value)) if whole else _marked(repr(value), source)
    if isinstance(value, decimal.Decimal):
        return _marked(format(value, "f") if value.is_finite() else str(value), source)
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, uuid.UUID | dt.timedelta):
        return str(value)
    return str(value)


def _marked(number: str, source: Source | None) -> str:
    return number.replace(".", source.decimal) if source is not None else number


def is_nested(value: Any) -> bool:
    """Whether a value is more than one cell holds."""
    return isinstance(value, dict | list | tuple | set | frozenset)


def table(
    names: list[str], rows: Iterable[Sequence[Any]], source: Source, count: int, at: Callable[[str], int] | None = None
) -> pa.Table:
    """A table of `count` rows of Python values; `at` gives the place of a name in a row, its own order by default."""
    several = list(rows)
    missing = frozenset(marks(source))
    place = at or {n: i for i, n in enumerate(names)}.__getitem__
    columns = {n: typed([row[place(n)] for row in several], source, missing) for n in names}
    return pa.table(columns) if columns else pa.table({"": pa.nulls(count)}).select([])
