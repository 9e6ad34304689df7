"""Times of one width read at once: the everyday cells of a column of millions, the others are left to the careful way.

A layout such as `%d.%m.%Y %H:%M:%S` has one width, so that each of its digits stands in the same place of every cell.
Only what the careful way reads to the same microsecond is read here.
"""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa

_WIDTH = {"Y": 4, "y": 2, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2}
_BLOCK = 1 << 15  # rows that are worked on at a time: they fit into the cache
_YEARS = (1678, 2261)  # what the careful way can hold
_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], dtype=np.uint8)
_BEFORE = np.array([0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334], dtype=np.int32)
_ISO_DATE = "%Y-%m-%d"


def read(text: pa.Array, layout: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(datetime64[us], whether the row was read, whether it names its zone: is UTC); missing rows are not read."""
    n = len(text)
    values = np.full(n, np.datetime64("NaT"), dtype="datetime64[us]")
    done, zoned = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    wide = pa.types.is_large_string(text.type)
    if n == 0 or not (wide or pa.types.is_string(text.type)):
        return values, done, zoned
    _, places, letters = text.buffers()
    if letters is None or not letters.size:
        return values, done, zoned
    starts = np.frombuffer(places, dtype=np.int64 if wide else np.int32)[text.offset : text.offset + n + 1]
    bytes_ = np.frombuffer(letters, dtype=np.uint8)
    lengths = np.diff(starts)
    if text.null_count:
        lengths = np.where(text.is_null().to_numpy(zero_copy_only=False), 0, lengths)
    shortest, longest = int(lengths.min()), int(lengths.max())
    common = [longest] if shortest == longest else np.argsort(-np.bincount(np.minimum(lengths, 64)))[:6].tolist()
    for width in common:
        if not 8 <= width < 64:
            continue
        rows = slice(None) if shortest == longest else np.flatnonzero(lengths == width)
        at = starts[:-1][rows]
        if not len(at):
            continue
        first = bytes(bytes_[at[0] : at[0] + width]).decode("ascii", "replace")
        fields = _fields(layout, width, first)
        if fields is None:
            continue
        contiguous = shortest == longest
        values[rows], done[rows] = _block_by_block(bytes_, at, width, fields, contiguous)
        zoned[rows] = any(name == "z" for name, _ in fields) & done[rows]
    return values, done, zoned


def _fields(layout: str, width: int, first: str) -> list[tuple[str, str]] | None:
    """(letter, "") for a number, ("", characters) for what stands between; None where the layout has no one width."""
    if layout == "iso":
        layout = _iso_layout(width, first)
    out: list[tuple[str, str]] = []
    for part in re.findall(r"%.|[^%]+", layout):
        if not part.startswith("%"):
            out.append(("", part))
        elif part[1] in _WIDTH or part[1] in "fz":
            out.append((part[1], ""))
        else:
            return None
    names = [name for name, _ in out if name]
    if len(set(names)) != len(names) or not {"m", "d"} <= set(names) or len({"Y", "y"} & set(names)) != 1:
        return None
    if not all(between.isascii() for _, between in out) or "z" in names[:-1]:
        return None
    zone = first[-1:] if layout.endswith("%z") and first.endswith("Z") else "+00:00"
    fixed = sum(len(between) or (len(zone) if name == "z" else _WIDTH.get(name, 0)) for name, between in out)
    rest = width - fixed
    if rest != 0 and not ("f" in names and 1 <= rest <= 6):
        return None
    return [(name, str(rest) if name == "f" else zone if name == "z" else between) for name, between in out]


def _iso_layout(width: int, first: str) -> str:
    """The layout of an ISO 8601 time as the first cell writes it; one without a width of its own gives nothing."""
    found = re.fullmatch(
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:([T ])[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?",
        first,
    )
    if found is None:
        return ""
    if found[1] is None:
        return _ISO_DATE
    return f"{_ISO_DATE}{found[1]}%H:%M{':%S' if found[2] else ''}{'.%f' if found[3] else ''}{'%z' if found[4] else ''}"


def _block_by_block(
    letters: np.ndarray, at: np.ndarray, width: int, fields: list[tuple[str, str]], contiguous: bool
) -> tuple[np.ndarray, np.ndarray]:
    n = len(at)
    values, good = np.empty(n, dtype=np.int64), np.empty(n, dtype=bool)
    for start in range(0, n, _BLOCK):
        some = at[start : start + _BLOCK]
        if contiguous:
            cells = letters[some[0] : some[0] + len(some) * width].reshape(len(some), width)
        else:
            cells = letters[some[:, None] + np.arange(width)]
        stop = start + len(some)
        values[start:stop], good[start:stop] = _times(np.ascontiguousarray(cells.T), fields)
    out = values.view("datetime64[us]")
    out[~good] = np.datetime64("NaT")
    return out, good


def _times(cells: np.ndarray, fields: list[tuple[str, str]]) -> tuple[np.ndarray, np.ndarray]:
    """Microseconds since 1970 and whether they count; cells[k] is the k-th character of every row."""
    good = np.ones(cells.shape[1], dtype=bool)
    found: dict[str, np.ndarray] = {}
    shift = np.zeros(1, dtype=np.int32)
    at = 0
    for name, between in fields:
        if name == "z":
            shift = _zone(cells[at:], between, good)
            at += len(between)
        elif not name:
            for char in between:
                good &= cells[at] == ord(char)
                at += 1
        else:
            digits = int(between) if name == "f" else _WIDTH[name]
            found[name] = _number(cells[at : at + digits], good)
            if name == "f":
                found[name] = found[name] * np.int32(10 ** (6 - digits))
            at += digits
    if "Y" in found:
        year = found["Y"]
    else:
        year = found["y"] + np.where(found["y"] >= 69, 1900, 2000).astype(np.int32)
    good &= (year >= _YEARS[0]) & (year <= _YEARS[1])
    month = found["m"]
    good &= (month >= 1) & (month <= 12)
    month = np.where(good, month, 1)
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    day = found["d"]
    good &= (day >= 1) & (day <= _DAYS[month] + ((month == 2) & leap))
    for name, most in (("H", 24), ("M", 60), ("S", 60)):
        if name in found:
            good &= found[name] < most
    before = year - 1
    days = before * 365 + before // 4 - before // 100 + before // 400 - 719162
    days += _BEFORE[month] + ((month > 2) & leap) + day - 1
    zero = np.zeros(1, dtype=np.int32)
    seconds = found.get("H", zero) * 3600 + found.get("M", zero) * 60 + found.get("S", zero) - shift * 60
    micros = (days.astype(np.int64) * 86400 + seconds) * 1_000_000 + found.get("f", zero)
    return micros, good


def _number(cells: np.ndarray, good: np.ndarray) -> np.ndarray:
    """The number whose digits are the rows of `cells`."""
    out = np.zeros(cells.shape[1], dtype=np.int32)
    for row in cells:
        digit = row - np.uint8(48)
        good &= digit <= 9
        out *= 10
        out += digit
    return out


def _zone(cells: np.ndarray, form: str, good: np.ndarray) -> np.ndarray:
    """Minutes east of Greenwich."""
    if len(form) == 1:
        good &= cells[0] == ord(form)
        return np.zeros(1, dtype=np.int32)
    east, west = cells[0] == ord("+"), cells[0] == ord("-")
    hours, minutes = _number(cells[1:3], good), _number(cells[4:6], good)
    good &= (east | west) & (cells[3] == ord(":")) & (hours <= 14) & (minutes < 60)
    return np.where(west, -1, 1).astype(np.int32) * (hours * 60 + minutes)
