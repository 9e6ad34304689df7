"""Times of raw columns: local or zoned text, or typed, as UTC; what the clock change leaves unclear is put aside."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from plant import cells as c
from plant import clock_layouts
from plant.months import month_names
from plant.number_cells import at_rows
from plant.sources import Source

# ISO 8601, of which pandas also takes a bare year; the group is the zone.
_ISO = re.compile(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}(?:[Tt ][0-9:.,]+)? ?([Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?")
_DAY_NUMBER = re.compile(r"[2-6][0-9]{4}(?:[.,][0-9]+)?")  # a spreadsheet's days since 1899
_LONGEST = 80
_NAT = np.datetime64("NaT", "us")
_EARLIEST, _LATEST = np.datetime64("1678-01-01", "us"), np.datetime64("2261-12-31", "us")
_OUTSIDE = "'{}' lies outside the years 1678 to 2261"
# Four digits that begin a number and are no year between those, such as 9999 and 0001.
_FAR_YEAR = re.compile("(?<![0-9])(?!16(?:7[89]|[89])|1[789]|2[01]|22(?:[0-5]|6[01]))[0-9]{4}")
_PER_UNIT = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_FARTHEST = 300 * 366 * 86400.0  # seconds from 1970
Naive = Callable[[np.ndarray], None]  # (mask of rows): their times have no zone


def text_times(
    column: pa.ChunkedArray,
    layouts: Sequence[str],
    zone: str | None,
    source: Source,
    problem: c.Problem,
    naive: Naive,
) -> np.ndarray:
    """UTC (datetime64[us]) of a raw text column. Cells of an everyday width are read at once, the others with care."""
    text = c.joined(column)
    values, done, zoned = clock_layouts.read(text, layouts[0])
    rest = np.flatnonzero(~done & text.is_valid().to_numpy(zero_copy_only=False))
    local = done & ~zoned
    if local.any():
        every = bool(local.all())
        rows = slice(None) if every else np.flatnonzero(local)
        if zone is None:
            naive(local)
        told = problem if every else at_rows(np.flatnonzero(local), len(text), problem)
        values[rows] = localised(values[rows], zone or "UTC", source, told)
    if len(rest):
        odd = c.text_of(pa.chunked_array([text.take(pa.array(rest))]))
        unzoned = np.zeros(len(text), dtype=bool)

        def told_naive(mask: np.ndarray) -> None:
            unzoned[rest[mask]] = True
            naive(unzoned)

        values[rest] = times(odd, layouts, {}, zone, source, at_rows(rest, len(text), problem), told_naive)
    return values


def times(
    cells: pd.Categorical,
    layouts: Sequence[str],
    months: str | dict[str, int],
    zone: str | None,
    source: Source,
    problem: c.Problem,
    naive: Naive,
) -> np.ndarray:
    """UTC (datetime64[us]) of local or zoned time text; NaT where missing or refused.

    The first layout that reads a cell counts. `naive(rows)` is called when a zone is needed and none is named.
    """
    words = [str(w) for w in cells.categories]
    n = len(words)
    plain = np.full(n + 1, _NAT)
    zoned = np.zeros(n + 1, dtype=bool)
    for layout in layouts:
        for spelled, aim in _spellings(words, layout, months):
            left = np.flatnonzero(np.isnat(plain[:-1]))
            if not len(left):
                break
            plain[left], zoned[left] = _parsed([spelled[i] for i in left], aim)
    # A local time before it is localised and one of UTC are told apart by `zoned` alone.
    read = ~np.isnat(plain)
    local = read & ~zoned
    out = plain.copy()
    if local.any():
        if zone is None:
            naive(local[cells.codes])
        at = np.flatnonzero(local)

        def unclear(mask: np.ndarray, reason: str) -> None:
            whole = np.zeros(n + 1, dtype=bool)
            whole[at[mask]] = True
            problem(whole[cells.codes], reason)

        out[at] = localised(plain[at], zone or "UTC", source, unclear)
    unread = np.append(~read[:-1], False)
    if unread.any():
        far = np.append(_far([w if u else "" for w, u in zip(words, unread, strict=False)], layouts, months), False)
        if far.any():
            problem(far[cells.codes], f"{_OUTSIDE}; where it stands for no time, list it in the source's `missing:`")
            unread &= ~far
        numbered = np.array([_DAY_NUMBER.fullmatch(w) is not None for w in words] + [False]) & unread
        reason = "'{}' is no time of the form " + " or ".join(layouts)
        if numbered.any():
            problem(numbered[cells.codes], f"{reason}; it looks like the number of a day in a spreadsheet")
        problem((unread & ~numbered)[cells.codes], reason)
    return out[cells.codes]


def _far(words: list[str], layouts: Sequence[str], months: str | dict[str, int]) -> np.ndarray:
    """Which words are times in one of the layouts, only not of years that a time can have here."""
    out = np.zeros(len(words), dtype=bool)
    some = [i for i, w in enumerate(words) if len(w) <= _LONGEST and _FAR_YEAR.search(w)]
    for layout in layouts if some else ():
        for spelled, aim in _spellings([words[i] for i in some], layout, months):
            for i, text in zip(some, spelled, strict=True):
                out[i] |= _is_time(text, aim)
    return out


def _is_time(text: str, layout: str) -> bool:
    try:
        if layout == "iso":
            dt.datetime.fromisoformat(text.upper())
        else:
            dt.datetime.strptime(text, layout)  # noqa: DTZ007 (only whether it can be read)
    except ValueError:
        return False
    return True


def _spellings(words: list[str], layout: str, months: str | dict[str, int]) -> list[tuple[list[str], str]]:
    """Words with the months as numbers and the layout for them; a language's names with and without a dot behind."""
    if not months or not re.search("%[bB]", layout):
        return [(words, layout)]
    names = month_names(months) if isinstance(months, str) else {k.lower(): v for k, v in months.items()}
    every = "|".join(re.escape(m) for m in sorted(names, key=len, reverse=True))
    aim = layout.replace("%b", "%m").replace("%B", "%m")
    ends = [r"(?![^\W\d_])", r"(?![^\W\d_])\.?"] if isinstance(months, str) else [""]
    out = []
    for end in ends:
        start = r"(?<![^\W\d_])" if isinstance(months, str) else ""
        pattern = re.compile(f"{start}({every}){end}", re.IGNORECASE)
        out.append(([pattern.sub(lambda m: _digits(names, m), w[:_LONGEST]) for w in words], aim))
    return out


def _digits(names: dict[str, int], found: re.Match[str]) -> str:
    number = names.get(found[1].lower())
    return found[0] if number is None else f"{number:02d}"


def _parsed(words: list[str], layout: str) -> tuple[np.ndarray, np.ndarray]:
    """(datetime64[us], whether the time names its zone: it is UTC then); NaT where the layout does not read a word."""
    cut = ["?" if len(w) > _LONGEST else w for w in words]
    if layout == "iso":
        found = [_ISO.fullmatch(w) for w in cut]
        zoned = np.array([m is not None and m[1] is not None for m in found], dtype=bool)
        texts = pd.Series([w.upper() if m else "?" for w, m in zip(cut, found, strict=True)], dtype=object)
    else:
        zoned = np.full(len(cut), "%z" in layout.lower())
        # To pandas, `today` is a time.
        texts = pd.Series([w if any(d in w for d in "0123456789") else "?" for w in cut], dtype=object)
    out = np.full(len(cut), _NAT)
    form = "ISO8601" if layout == "iso" else layout
    if zoned.any():
        index = pd.DatetimeIndex(pd.to_datetime(texts[zoned], format=form, errors="coerce", utc=True))
        out[zoned] = _micros(index.tz_localize(None))
    if not zoned.all():
        out[~zoned] = _micros(pd.DatetimeIndex(pd.to_datetime(texts[~zoned], format=form, errors="coerce")))
    return out, zoned


def localised(plain: np.ndarray, zone: str, source: Source, problem: c.Problem) -> np.ndarray:
    """Naive local times (datetime64[us]) as UTC; NaT, and a problem, where the clock change makes them unclear."""
    if zone == "UTC":
        return plain
    index = pd.DatetimeIndex(plain)
    first = np.ones(len(index), dtype=bool)
    choice = {"quarantine": "NaT", "first": first, "second": ~first}[source.ambiguous]
    out = index.tz_localize(zone, ambiguous=choice, nonexistent="NaT")
    gone = np.asarray(out.isna()) & ~np.isnat(plain)
    if gone.any():
        skipped = gone.copy()
        skipped[gone] = np.asarray(index[gone].tz_localize(zone, ambiguous=first[gone], nonexistent="NaT").isna())
        problem(skipped, "'{}' does not exist on the clock of " + zone + " (start of summer time)")
        problem(gone & ~skipped, "'{}' stands twice on the clock of " + zone + " (end of summer time)")
    return _micros(out.tz_convert("UTC").tz_localize(None))


def _micros(index: pd.DatetimeIndex) -> np.ndarray:
    return np.asarray(index.as_unit("us"), dtype="datetime64[us]")


def typed_times(
    column: pa.ChunkedArray, zone: str | None, source: Source, problem: c.Problem, naive: Naive
) -> np.ndarray:
    """UTC (datetime64[us]) of an Arrow timestamp (or date) column."""
    kept = getattr(column.type, "tz", None)
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("s" if pa.types.is_date32(column.type) else "ms"))
    ticks = np.array(column.cast(pa.int64()).fill_null(0).to_numpy())
    most = _PER_UNIT[column.type.unit] * _FARTHEST
    values = np.array(column.cast(pa.timestamp("us", tz=kept), safe=False).to_numpy(), dtype="datetime64[us]")
    # Told by the ticks too: seconds of a far year run over when they become microseconds.
    far = (np.abs(ticks.astype(np.float64)) > most) | (values < _EARLIEST) | (values > _LATEST)
    if far.any():
        problem(far, _OUTSIDE)
        values[far] = _NAT
    if kept is not None:
        return values
    if zone is None and (local := ~np.isnat(values)).any():
        naive(local)
    return localised(values, zone or "UTC", source, problem)
