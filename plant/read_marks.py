"""High-water marks: how far a source was read, as text that is kept with the load.

A mark is the largest value of the `since` column that was read, with its kind in front: `t:` a time (ISO; with Z in
UTC, without on the clock of the source; microseconds), `n:` a number, `s:` an ISO time that the source keeps as text.
The next load leaves rows out whose value lies at or below mark - overlap. A row that turns up later than that is not
read any more: `overlap` has to be longer than the longest delay. Rows without a value are always read.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from plant.errors import SourceError
from plant.read_files import refused
from plant.sources import Export, duration

_ISO = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)"
    r"(?:(?P<at>[T ])(?P<clock>\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)(?P<zone>Z|[+-]\d\d(?::?\d\d)?)?)?"
)
_ISO_CELL = r"^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d(?::?\d\d)?)?)?$"
# A value in the future (a typing error, a clock gone wrong) is read but is no mark: everything after it would be left
# out until that day. Two days, for clocks of any zone that are a day fast.
_AHEAD = dt.timedelta(days=2)
_SUMMER_TIME = pd.Timedelta(hours=1)  # local clocks go back by it once a year, and with them the largest value


@dataclass(frozen=True)
class Bound:
    """Rows have to exceed `value`: a datetime (kind t), a Decimal (n) or text (s)."""

    kind: str
    value: Any


def later(one: str | None, other: str | None) -> str | None:
    """The larger of two high-water marks of a source. Marks of several kinds: times, then numbers, then text."""
    marks = [m for m in (one, other) if m is not None]
    return max(marks, key=_order, default=None)


def _order(mark: str) -> tuple[int, Decimal, str]:
    kind, _, text = mark.partition(":")
    if kind == "n":
        return 1, Decimal(text), ""
    return (2 if kind == "t" else 0), Decimal(0), text.removesuffix("Z")


def bound(export: Export) -> Bound | None:
    """What rows have to exceed: the mark less the overlap, or the start. None where everything is read.

    Raises SourceError when the overlap does not suit the mark.
    """
    since = export.source.since
    if since is None:
        return None
    if export.after is None:
        if since.start is None:
            return None
        return Bound("s", since.start) if isinstance(since.start, str) else Bound("n", Decimal(str(since.start)))
    kind, _, text = export.after.partition(":")
    try:
        if kind == "n":
            return Bound("n", Decimal(text) - _numeric(export))
        back = _period(export, text)
        if kind == "t":
            return Bound("t", dt.datetime.fromisoformat(text) - back)
        return Bound("s", _earlier(text, back) if back else text)
    except (ValueError, InvalidOperation, OverflowError) as e:
        raise SourceError(
            "bad_mark",
            f"source '{export.source_name}': '{export.after}' is no high-water mark",
            "a mark that an earlier load has left",
            f"load the source anew, without a mark, or remove sources.{export.source_name}.since",
        ) from e


def _numeric(export: Export) -> Decimal:
    overlap = export.source.since.overlap if export.source.since else 0
    if isinstance(overlap, str):
        raise _unsuited(export, f"'{overlap}', a duration, but the column holds numbers", "a number such as 100")
    return Decimal(str(overlap))


def _period(export: Export, text: str) -> dt.timedelta:
    """How far to go back from a time. An hour more on a local clock: it stands twice at the end of summer time."""
    overlap = export.source.since.overlap if export.source.since else 0
    if not isinstance(overlap, str) and overlap:
        raise _unsuited(export, f"{overlap}, a number, but the column holds times", "a duration such as 2h")
    back = duration(overlap) if isinstance(overlap, str) else pd.Timedelta(0)
    local = not re.search(r"(?:Z|[+-]\d\d(?::?\d\d)?)$", text[10:])
    if local and export.source.time_zone not in (None, "UTC", "Etc/UTC"):
        back += _SUMMER_TIME
    return back.to_pytimedelta()


def _unsuited(export: Export, found: str, allowed: str) -> SourceError:
    where = f"sources.{export.source_name}.since.overlap"
    return SourceError("bad_overlap", f"{where} is {found}", allowed, f"correct {where} in site.yaml")


def _earlier(text: str, back: dt.timedelta) -> str:
    """An ISO time as text, shifted, in the same layout."""
    read = _ISO.fullmatch(text)
    if read is None:
        raise ValueError(text)
    clock = read["clock"] or ""
    moment = dt.datetime.fromisoformat(f"{read['day']}T{clock[:15] or '00:00'}") - back
    day = moment.date().isoformat()
    if not clock:
        return day
    shifted = moment.isoformat(timespec="microseconds")[11:].ljust(len(clock), "0")[: len(clock)]
    return f"{day}{read['at']}{shifted}{read['zone'] or ''}"


def above(export: Export, column: pa.ChunkedArray, limit: Bound | None) -> np.ndarray | None:
    """Which rows exceed the limit or have no value; None where that is every row, or the kinds cannot be compared."""
    if limit is None:
        return None
    if _is_time(column.type) and limit.kind != "n":
        other = _moment(limit.value, column.type)
        if other is None:
            return None
        keep = pc.greater(_micros(column), pa.scalar(other, _micro_type(column.type)))
    elif _is_number(column.type) and limit.kind == "n":
        keep = pc.greater(column, _number(limit.value, column.type))
    elif _is_text(column.type) and limit.kind == "s":
        keep = pc.greater(column, pa.scalar(str(limit.value), column.type))
    else:
        return None
    return np.asarray(pc.fill_null(keep, True))


def highest(export: Export, column: pa.ChunkedArray) -> str | None:
    """The mark of a stretch: the largest value that does not lie in the future. Raises SourceError for other kinds."""
    now = dt.datetime.now(dt.UTC) + _AHEAD
    if _is_time(column.type):
        micros = _micros(column)
        limit = _moment(now, column.type)
        top = pc.max(micros.filter(pc.less_equal(micros, pa.scalar(limit, micros.type)))).as_py()
        if top is None:
            return None
        aware = top.tzinfo is not None
        plain = top.astimezone(dt.UTC).replace(tzinfo=None) if aware else top
        return f"t:{plain.isoformat(timespec='microseconds')}{'Z' if aware else ''}"
    if _is_number(column.type):
        finite = column.filter(pc.is_finite(column)) if pa.types.is_floating(column.type) else column
        top = pc.max(finite).as_py()
        return None if top is None else f"n:{Decimal(str(top)).normalize():f}"
    if _is_text(column.type):
        given = column.drop_null()
        odd = given.filter(pc.invert(pc.match_substring_regex(given, _ISO_CELL)))
        if len(odd):
            raise _unsortable(export, f"text such as '{str(odd[0].as_py())[:80]}'")
        top = pc.max(given.filter(pc.less_equal(given, pa.scalar(now.date().isoformat() + "~", given.type)))).as_py()
        return None if top is None else f"s:{top}"
    if pa.types.is_null(column.type):
        return None
    raise _unsortable(export, str(column.type))


def _unsortable(export: Export, found: str) -> SourceError:
    name = export.source_name
    return refused(
        export,
        "bad_since",
        f"has {found} in '{export.source.since.column if export.source.since else ''}', which tells no order",
        "times, numbers that only grow, or ISO times as text (2025-07-01 12:00:00)",
        f"name another column in sources.{name}.since, or leave `since` out: rows that are known are recognised",
    )


def _is_time(kind: pa.DataType) -> bool:
    return pa.types.is_timestamp(kind) or pa.types.is_date(kind)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def _micro_type(kind: pa.DataType) -> pa.DataType:
    return pa.timestamp("us", "UTC" if getattr(kind, "tz", None) else None)


def _micros(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Times in microseconds, the rest cut off: as a mark holds them."""
    return column.cast(_micro_type(column.type), safe=False)


def _moment(value: Any, kind: pa.DataType) -> dt.datetime | None:
    """A time as the column has it: aware in UTC (a naive one is taken as UTC), or naive. None for other text."""
    try:
        at = value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(str(value))
    except ValueError:
        return None
    if getattr(kind, "tz", None):
        return at.replace(tzinfo=at.tzinfo or dt.UTC).astimezone(dt.UTC)
    return at.astimezone(dt.UTC).replace(tzinfo=None) if at.tzinfo else at


def _number(value: Decimal, kind: pa.DataType) -> pa.Scalar:
    if pa.types.is_integer(kind):  # above 2.5 is above 2
        low, high = -(2**63), 2**63 - 1
        return pa.scalar(min(max(int(value.to_integral_value("ROUND_FLOOR")), low), high), pa.int64())
    return pa.scalar(float(value)) if pa.types.is_floating(kind) else pa.scalar(value)
