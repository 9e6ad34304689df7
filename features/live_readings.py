"""The newest readings of a plant in memory, growing one by one: what serving has instead of `Readings`.

A reading goes to its place in its series, and the trees of summaries that windows were asked of are brought up to date
where it lies: its leaf and what stands above it. The kernel, the order of its merges and so the bits of every statistic
are those of training. Readings older than `reach` before the newest are let go of, since no window looks there.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np

from features import windows as kernel
from features.asof import ALWAYS, NEVER, Floats, Ints
from features.readings import Readings
from features.windows import Series, Tree

_ROOM = 64


class LiveSeries:
    """One series: readings sorted by ts and version, with room to grow, and trees over them."""

    def __init__(self, s: Series, first_known: int):
        n = len(s.ts)
        self.n, self.first_known = n, first_known
        self._columns = {
            "ts": _roomy(s.ts, np.int64), "x": _roomy(s.x, np.float64),
            "quality": _roomy(s.quality if len(s.quality) else np.full(n, 2), np.int8),
            "since": _roomy(s.since if len(s.since) else np.full(n, ALWAYS), np.int64),
            "until": _roomy(s.until if len(s.until) else np.full(n, NEVER), np.int64),
        }
        self._trees: dict[tuple[int, bool, float, float], _Grown] = {}

    @property
    def series(self) -> Series:
        """The readings as the kernel takes them."""
        return Series(*(self._columns[name][:self.n] for name in Series._fields))

    def add(self, ts: int, x: float, quality: int, since: int) -> None:
        """A reading, or a new version of one, recorded at `since` (later than the versions that are there)."""
        if self.n == len(self._columns["ts"]):
            self._columns = {name: _roomy(column, column.dtype) for name, column in self._columns.items()}
        columns = self._columns
        at = int(np.searchsorted(columns["ts"][:self.n], ts, side="right"))
        if at and columns["ts"][at - 1] == ts:
            columns["until"][at - 1] = since
        values = {"ts": ts, "x": x, "quality": quality, "since": since, "until": NEVER}
        for name, value in values.items():
            column = columns[name]
            column[at + 1:self.n + 1] = column[at:self.n]
            column[at] = value
        self.n += 1
        self.first_known = min(self.first_known, max(ts, since))
        for (leaf, *_), tree in self._trees.items():
            tree.touch(ts // leaf)

    def forget(self, before: int) -> None:
        """Let go of readings older than `before`, when they are more than the others."""
        old = int(np.searchsorted(self._columns["ts"][:self.n], before))
        if 2 * old > self.n + _ROOM:
            self._columns = {
                name: _roomy(column[old:self.n], column.dtype) for name, column in self._columns.items()
            }
            self.n -= old
            self._trees.clear()

    def windows(
        self, leaf: int, begin: Ints, end: Ints, at: Ints, limits: tuple[float, float], place: Ints,
        room: kernel.Room, out: Floats,
    ) -> Any:
        """Statistics as `features.windows.statistics` tells them, with one pair of limits."""
        key = (leaf, kernel.needs_all(place), *limits)
        s = self.series
        grown = self._trees.get(key)
        if grown is None or not grown.holds(s):
            grown = self._trees[key] = _Grown(s, leaf, key[1], limits)
        return kernel.ask(s, grown.up_to_date(s), begin, end, at, place, room, out)


class _Grown:
    """A tree that has grown, with leaves to spare, and where it has to be brought up to date."""

    def __init__(self, s: Series, leaf: int, full: bool, limits: tuple[float, float]):
        first, last = int(s.ts[0]) // leaf, int(s.ts[-1]) // leaf
        self.first, self.last = first, last + max(_ROOM, (last - first) // 2)
        self.tree: Tree = kernel.new_tree(s, leaf, self.first, self.last, NEVER, full, kernel.Room())
        self.tree.limits[:] = limits
        self.stale: tuple[int, int] | None = (self.first, self.last)

    def holds(self, s: Series) -> bool:
        """Whether all readings lie within its leaves."""
        leaf = int(self.tree.index[0])
        return self.first <= int(s.ts[0]) // leaf and int(s.ts[-1]) // leaf <= self.last

    def touch(self, leaf: int) -> None:
        """A reading came into this leaf."""
        low, high = self.stale if self.stale is not None else (leaf, leaf)
        self.stale = min(low, leaf), max(high, leaf)

    def up_to_date(self, s: Series) -> Tree:
        if len(self.tree.some_ts) < len(s.ts):  # room for readings that count
            room = len(s.ts) + len(s.ts) // 4 + _ROOM
            self.tree = self.tree._replace(some_ts=np.empty(room, np.int64), some_x=np.empty(room))
        if self.stale is not None:
            kernel.grow(s, self.tree, *self.stale)
            self.stale = None
        return self.tree


class LiveReadings:
    """Readings of many series; the same questions as `features.readings.Readings`, with the same answers.

    reach: how far back windows look (microseconds).
    """

    in_time = False

    def __init__(self, reach: int):
        self.reach = reach
        self.number: dict[tuple[str, str], int] = {}
        self._all: list[LiveSeries] = []
        self._first_known: Ints | None = None

    def load(self, found: Readings, before: int) -> None:
        """Take over readings of a snapshot, those from `before` - reach on."""
        for (equipment, signal), i in found.number.items():
            s = found.series(i)
            low = int(np.searchsorted(s.ts, before - self.reach))
            kept = Series(s.ts[low:], s.x[low:], s.quality[low:], s.since[low:], s.until[low:])
            self._place((equipment, signal), LiveSeries(kept, int(found.first_known[i])))

    def add(self, equipment: str, signal: str, ts: int, x: float, quality: int, since: int) -> None:
        """One reading; quality as in `Readings`, since: when it was recorded (ALWAYS: in time)."""
        pair = (equipment, signal)
        if pair not in self.number:
            empty = np.empty(0, dtype=np.int64)
            self._place(pair, LiveSeries(Series(empty, np.empty(0), np.empty(0, np.int8), empty, empty), NEVER))
        series = self._all[self.number[pair]]
        series.add(ts, x, quality, since)
        series.forget(ts - self.reach)
        self._first_known = None

    def _place(self, pair: tuple[str, str], series: LiveSeries) -> None:
        self.number[pair] = len(self._all)
        self._all.append(series)
        self._first_known = None

    @property
    def first_known(self) -> Ints:
        if self._first_known is None:
            self._first_known = np.array([s.first_known for s in self._all], dtype=np.int64)
        return self._first_known

    def numbers(self, equipment: Iterable[str], signal: str) -> Ints:
        """Series of each equipment; -1 where it has no reading of `signal`."""
        return np.array([self.number.get((str(e), signal), -1) for e in equipment], dtype=np.int64)

    def size(self, i: int) -> int:
        """Readings of series i that a question touches: those of a leaf, not of a history."""
        return _ROOM

    def series(self, i: int) -> Series:
        """Readings of series i as the kernel takes them."""
        return self._all[i].series

    def windows(
        self, i: int, leaf: int, begin: Ints, end: Ints, at: Ints, limits: tuple[Floats, Floats], place: Ints,
        room: kernel.Room, out: Floats,
    ) -> Any:
        """Statistics of series i, as `features.windows.statistics` tells them."""
        low, high = limits
        settled = np.empty(begin.shape, dtype=np.bool_)
        edges = [0, *(np.flatnonzero((np.diff(low) != 0) | (np.diff(high) != 0)) + 1).tolist(), len(end)]
        for a, b in itertools.pairwise(edges):
            if not self._all[i].n:
                settled[a:b] = kernel.statistics(
                    self.series(i), leaf, begin[a:b], end[a:b], at[a:b], (low[a:b], high[a:b]), place, room, out[a:b]
                )
            elif a < b:
                settled[a:b] = self._all[i].windows(
                    leaf, begin[a:b], end[a:b], at[a:b], (float(low[a]), float(high[a])), place, room, out[a:b]
                )
        return settled


def _roomy(column: Any, dtype: Any) -> Any:
    """The column in an array with room behind it."""
    out = np.empty(len(column) + len(column) // 4 + _ROOM, dtype=dtype)
    out[:len(column)] = column
    return out
