"""The readings of some equipment as sorted arrays, read from wherever a snapshot keeps them.

A store holds more readings than memory does. It is asked for some equipment at a time, and its stretches, which lie in
the order in which they were loaded, are laid out by series as they come.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import numba
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features import windows as kernel
from features.asof import ALWAYS, NEVER, Floats, History, Ints, micros
from features.windows import Series

MOST_AT_ONCE = 1 << 25  # readings in memory together, where whole equipment allows it
_COLUMNS = ["equipment_id", "signal", "ts", "value", "quality"]
_RANK = {"good": 2, "uncertain": 1, None: 2}  # a quality that is not stated is good
_NONE: Ints = np.empty(0, dtype=np.int64)
_NO_QUALITY = np.empty(0, dtype=np.int8)
Bytes = np.ndarray[Any, np.dtype[np.int8]]


class ReadingsLike(Protocol):
    """What features read of readings.

    number: of each series (equipment, signal); first_known (series,); in_time: none came late or was corrected.
    """

    @property
    def number(self) -> Mapping[tuple[str, str], int]: ...

    @property
    def first_known(self) -> Ints: ...

    @property
    def in_time(self) -> bool: ...

    def numbers(self, equipment: Iterable[str], signal: str) -> Ints: ...

    def size(self, i: int) -> int: ...

    def series(self, i: int) -> Series: ...

    def windows(
        self, i: int, leaf: int, begin: Ints, end: Ints, at: Ints, limits: tuple[Floats, Floats], place: Ints,
        room: kernel.Room, out: Floats,
    ) -> Any: ...


@dataclass(frozen=True)
class Readings:
    """Readings sorted by series (equipment, signal), time and version.

    quality: 0 not usable, 1 usable, 2 good. low, high, first_known, plain, late: one entry a series, numbered by
    `number`; plain: every reading is good and none has versions; late: some came late or were corrected. since, until:
    ends of visibility, empty where no series is late.
    """

    ts: Ints
    value: Floats
    quality: Bytes
    since: Ints
    until: Ints
    low: Ints
    high: Ints
    first_known: Ints
    plain: np.ndarray[Any, np.dtype[np.bool_]]
    late: np.ndarray[Any, np.dtype[np.bool_]]
    number: dict[tuple[str, str], int]
    _series: dict[int, Series] = field(default_factory=dict, repr=False, compare=False)

    def series(self, i: int) -> Series:
        """Readings of series i (-1: none) as the kernel takes them."""
        if i not in self._series:
            rows = slice(int(self.low[i]), int(self.high[i])) if i >= 0 else slice(0, 0)
            plain, late = (bool(self.plain[i]), bool(self.late[i])) if i >= 0 else (True, False)
            self._series[i] = Series(
                self.ts[rows], self.value[rows], _NO_QUALITY if plain else self.quality[rows],
                self.since[rows] if late else _NONE, self.until[rows] if late else _NONE,
            )
        return self._series[i]

    @property
    def in_time(self) -> bool:
        """Whether every reading came in time and was never corrected."""
        return not len(self.since)

    def size(self, i: int) -> int:
        """Readings of series i."""
        return int(self.high[i] - self.low[i])

    def windows(
        self, i: int, leaf: int, begin: Ints, end: Ints, at: Ints, limits: tuple[Floats, Floats], place: Ints,
        room: kernel.Room, out: Floats,
    ) -> Any:
        """Statistics of series i, as `features.windows.statistics` tells them."""
        return kernel.statistics(self.series(i), leaf, begin, end, at, limits, place, room, out)

    def numbers(self, equipment: Iterable[str], signal: str) -> Ints:
        """Series of each equipment; -1 where it has no reading of `signal`."""
        return np.array([self.number.get((str(e), signal), -1) for e in equipment], dtype=np.int64)


def readings_of(history: History, equipment: Collection[str]) -> ReadingsLike:
    """The readings of (at least) some equipment; of a large store only theirs are read, and they are not kept."""
    snapshot = history.snapshot
    if hasattr(snapshot, "readings_in_time") and not history.has(("readings",)) and not _fits(history, snapshot):
        return _from_store(snapshot, equipment)
    return all_readings(history)


def _fits(history: History, snapshot: Any) -> bool:
    """Whether all readings of a store fit into memory together: then they are read once and kept."""
    return sum(_counts(history, snapshot).values()) <= MOST_AT_ONCE


def all_readings(history: History) -> ReadingsLike:
    """All readings of a snapshot, sorted once and kept."""

    def make() -> ReadingsLike:
        snapshot = history.snapshot
        if hasattr(snapshot, "readings_in_time"):
            return _from_store(snapshot, set(snapshot.series()["equipment_id"].astype(str)))
        return sorted_readings(history.frame("readings"))

    return history.keep(("readings",), make)


def portions(history: History, equipment: Sequence[str]) -> Iterator[list[str]]:
    """The equipment in portions whose readings fit into memory together, in their order."""
    snapshot = history.snapshot
    stored = hasattr(snapshot, "readings_in_time")
    if not stored or history.has(("readings",)) or _fits(history, snapshot):
        yield from [list(equipment)] if len(equipment) else []
        return
    counts = _counts(history, snapshot)
    portion: list[str] = []
    rows = 0
    for e in equipment:
        more = counts.get(e, 0)
        if portion and rows + more > MOST_AT_ONCE:
            yield portion
            portion, rows = [], 0
        portion.append(e)
        rows += more
    if portion:
        yield portion


def _counts(history: History, snapshot: Any) -> dict[str, int]:
    """Readings of each equipment."""

    def make() -> dict[str, int]:
        rows = snapshot.series().groupby("equipment_id", observed=True)["rows"].sum()
        return {str(e): int(n) for e, n in rows.items()}

    return history.keep(("readings of equipment",), make)


def first_known(history: History, t: int) -> set[tuple[str, str]]:
    """(equipment, signal) of which a reading was known strictly before `t` (microseconds)."""
    snapshot = history.snapshot
    if hasattr(snapshot, "readings_in_time") and snapshot.readings_in_time and not history.has(("readings",)):
        series = history.keep(("series",), snapshot.series)
        known = series[micros(series["first_ts"]) < t]
        return set(zip(known["equipment_id"].astype(str), known["signal"].astype(str), strict=True))
    found = all_readings(history)
    return {pair for pair, i in found.number.items() if found.first_known[i] < t}


def rank_of(stated: object, value: float) -> int:
    """Quality of a reading as `Readings` has it."""
    return 0 if np.isnan(value) else _RANK.get(stated if isinstance(stated, str) else None, 0)


# ---- from a table in memory ---------------------------------------------------------------------------------------


def sorted_readings(frame: pd.DataFrame) -> Readings:
    """The readings of a canonical table."""
    equipment, names = pd.factorize(frame["equipment_id"])
    signal, signals = pd.factorize(frame["signal"])
    ts, since = micros(frame["ts"]), micros(frame["recorded_at"], ALWAYS)
    value = frame["value"].to_numpy(dtype=np.float64)
    words, levels = pd.factorize(frame["quality"])
    rank = np.array([_RANK.get(str(w), 0) for w in levels] + [2], dtype=np.int8)
    quality = np.where(np.isnan(value), np.int8(0), rank[words])
    alphabet = np.append(np.argsort(np.argsort(np.array([str(w) for w in levels], dtype=str))), -1)[words]
    usable = (equipment >= 0) & (signal >= 0) & (ts != NEVER)
    group = np.where(usable, equipment.astype(np.int64) * max(len(signals), 1) + signal, -1)

    order = _order(group, ts, since, value, alphabet)
    order = order[np.searchsorted(group[order], 0):]
    group, ts, since, value, quality = group[order], ts[order], since[order], value[order], quality[order]
    starts = np.flatnonzero(np.concatenate([[True], group[1:] != group[:-1]])) if len(group) else _NONE
    pairs = [(str(names[g // len(signals)]), str(signals[g % len(signals)])) for g in group[starts]]
    return _made(ts, value, quality, since, starts.astype(np.int64), pairs)


def _made(
    ts: Ints, value: Floats, quality: Bytes, since: Ints, starts: Ints, pairs: list[tuple[str, str]]
) -> Readings:
    """From rows sorted by series (which begin at `starts`), time and version; since: ALWAYS where nothing is said."""
    ends = np.append(starts[1:], len(ts)).astype(np.int64)
    first = np.zeros(len(ts) + 1, dtype=bool)
    first[starts] = True
    again = (ts[1:] == ts[:-1]) & ~first[1:-1] if len(ts) else np.zeros(0, dtype=bool)
    late = since > ts
    late[1:] |= again
    late[:-1] |= again
    number = {pair: i for i, pair in enumerate(pairs)}
    if not len(ts):
        nothing = np.zeros(0, dtype=bool)
        return Readings(ts, value, quality, _NONE, _NONE, starts, ends, _NONE, nothing, nothing, number)
    late_series = np.logical_or.reduceat(late, starts)
    plain = np.logical_and.reduceat(quality == 2, starts) & ~late_series
    known = np.minimum.reduceat(np.maximum(ts, since), starts)
    if not late_series.any():
        return Readings(ts, value, quality, _NONE, _NONE, starts, ends, known, plain, late_series, number)
    until = np.full(len(ts), NEVER, dtype=np.int64)
    until[:-1][again] = since[1:][again]
    return Readings(ts, value, quality, since, until, starts, ends, known, plain, late_series, number)


def _order(group: Ints, ts: Ints, since: Ints, value: Floats, quality: Ints) -> Ints:
    """By series, time and version; of versions recorded at the same time the content decides, as in `version_order`."""
    order = np.arange(len(ts))
    if not _ascending(group, ts, since):
        order = np.lexsort((since, ts, group))
    g, s, r = group[order], ts[order], since[order]
    if ((g[1:] == g[:-1]) & (s[1:] == s[:-1]) & (r[1:] == r[:-1])).any():
        order = np.lexsort((quality, np.where(np.isnan(value), -np.inf, value), since, ts, group))
    return order


def _ascending(group: Ints, ts: Ints, since: Ints) -> bool:
    same = group[1:] == group[:-1]
    later = (ts[1:] > ts[:-1]) | ((ts[1:] == ts[:-1]) & (since[1:] >= since[:-1]))
    return bool(((group[1:] > group[:-1]) | (same & later)).all())


# ---- from a store -------------------------------------------------------------------------------------------------


def _from_store(snapshot: Any, equipment: Collection[str]) -> Readings:
    wanted = set(equipment)
    series = snapshot.series()
    series = series[series["equipment_id"].astype(str).isin(wanted)].sort_values(["equipment_id", "signal"])
    pairs = list(zip(series["equipment_id"].astype(str), series["signal"].astype(str), strict=True))
    counts = series["rows"].to_numpy(dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)[:-1]
    total = int(counts.sum())
    in_time = snapshot.readings_in_time
    ts, value, quality = np.empty(total, np.int64), np.empty(total), np.empty(total, np.int8)
    alphabet = np.empty(0 if in_time else total, np.int8)
    since = np.empty(0 if in_time else total, np.int64)
    place, number = starts.copy(), {pair: i for i, pair in enumerate(pairs)}
    words: dict[str, int] = {}
    columns = _COLUMNS if in_time else [*_COLUMNS, "recorded_at"]
    for rows in _ahead(snapshot.scan("readings", columns, wanted)):
        which, stated, rank = _codes(rows, number, words)
        recorded = _NONE if in_time else _raw(rows["recorded_at"].fill_null(0), np.int64)
        empty = np.zeros(0, np.bool_) if in_time else rows["recorded_at"].is_null().to_numpy()
        _scatter(
            which, _raw(rows["ts"], np.int64), rows["value"].to_numpy(), stated, rank, recorded, empty,
            place, ts, value, quality, alphabet, since,
        )
    if (place != starts + counts).any():
        raise RuntimeError("the store holds other readings than its series say")
    ends = starts + counts
    order = np.argsort(np.argsort(np.array(list(words) or [""], dtype=str)))
    for i in range(len(pairs)):
        if _climbs(ts, starts[i], ends[i]):
            continue
        part = slice(starts[i], ends[i])
        by = [ts[part]]
        if not in_time:
            told = np.where(alphabet[part] >= 0, order[alphabet[part]], -1)
            by = [told, np.where(np.isnan(value[part]), -np.inf, value[part]), since[part], ts[part]]
        sorting = np.lexsort(by)
        for column in (ts, value, quality, *(() if in_time else (since,))):
            column[part] = column[part][sorting]
    if not in_time:
        return _made(ts, value, quality, since, starts, pairs)
    plain = np.logical_and.reduceat(quality == 2, starts) if total else np.zeros(0, dtype=bool)
    known = ts[starts] if total else _NONE
    return Readings(ts, value, quality, _NONE, _NONE, starts, ends, known, plain, np.zeros(len(pairs), bool), number)


def _ahead(stretches: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The stretches, the next one read while the caller works on one."""
    with ThreadPoolExecutor(1, "readings") as pool:
        waiting = pool.submit(next, stretches, None)
        while (rows := waiting.result()) is not None:
            waiting = pool.submit(next, stretches, None)
            yield rows


def _raw(column: pa.ChunkedArray, dtype: Any) -> np.ndarray[Any, Any]:
    """Times as microseconds."""
    return column.cast(pa.int64()).to_numpy().astype(dtype, copy=False)


def _codes(
    rows: pa.Table, number: dict[tuple[str, str], int], words: dict[str, int]
) -> tuple[Ints, Bytes, Bytes]:
    """Of each row: its series (-1: none that is asked for), the word of its quality (-1: empty) and its rank."""
    equipment, signal, stated = (rows[c].unify_dictionaries().combine_chunks() for c in _COLUMNS[:2] + _COLUMNS[4:])
    names, signals = equipment.dictionary.to_pylist(), signal.dictionary.to_pylist()
    table = np.array([[number.get((e, s), -1) for s in [*signals, None]] for e in [*names, None]], dtype=np.int64)
    which = table[_indices(equipment), _indices(signal)]
    levels = stated.dictionary.to_pylist()
    own = np.array([words.setdefault(w, len(words)) for w in levels] + [-1], dtype=np.int8)
    rank = np.array([_RANK.get(w, 0) for w in levels] + [2], dtype=np.int8)
    codes = _indices(stated)
    return which, own[codes], rank[codes]


def _indices(words: pa.DictionaryArray) -> np.ndarray[Any, Any]:
    """Codes; -1 where empty."""
    return pc.fill_null(words.indices, -1).to_numpy(zero_copy_only=False)


@numba.njit(cache=True, nogil=True)
def _scatter(which, ts, value, stated, rank, recorded, empty, place, ts_out, value_out, quality, alphabet, since):  # type: ignore[no-untyped-def]
    """Rows to the next free place of their series."""
    for j in range(which.size):
        i = which[j]
        if i < 0:
            continue
        p = place[i]
        place[i] = p + 1
        ts_out[p], value_out[p] = ts[j], value[j]
        quality[p] = 0 if np.isnan(value[j]) else rank[j]
        if since.size > 0:
            alphabet[p] = stated[j]
            since[p] = ALWAYS if empty[j] else recorded[j]


@numba.njit(cache=True, nogil=True)
def _climbs(ts, low, high):  # type: ignore[no-untyped-def]
    for j in range(low + 1, high):
        if ts[j] <= ts[j - 1]:
            return False
    return True
