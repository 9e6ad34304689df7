"""Statistics of one series of readings over many windows: what calls the compiled kernel, and the arrays for it."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from features.summaries import (
    ALWAYS,
    DAY_US,
    HOUR_US,
    NEVER,
    WIDTH_BASIC,
    WIDTH_FULL,
    Floats,
    Ints,
)
from features.trees import (
    BOTTOM,
    FROM,
    INDEX,
    LEAF,
    LEVELS_OF_BLOCK,
    MOST_WINDOWS,
    OFFSET,
    ROWS,
    TO,
    TOP,
    Series,
    Tree,
    grow,
)
from features.window_kernels import (
    BASIC,
    STATISTICS,
    answer,
)

__all__ = [
    "ALWAYS", "BASIC", "DAY_US", "HOUR_US", "LEVELS_OF_BLOCK", "NEVER", "STATISTICS", "Floats", "Ints", "Room",
    "Series", "Tree", "ask", "grow", "needs_all", "new_tree", "statistics",
]


def statistics(
    s: Series, leaf: int, begin: Ints, end: Ints, at: Ints, limits: tuple[Floats, Floats], place: Ints, room: Room,
    out: Floats,
) -> Any:
    """Statistics of a series over the windows [begin[q, k], end[q]), as known strictly before at[q] >= end[q].

    leaf: microseconds; the same in training and serving. end ascends, begin[q, :] falls; at most MOST_WINDOWS windows.
    limits (q,) each: infinite where there is none. place (statistics,): where in out (q, k, ...) each of STATISTICS
    goes, -1 for nowhere. Returns (q, k): whether no version of a reading in the window is recorded at at[q] or later.
    """
    if begin.shape[1] > MOST_WINDOWS:
        raise ValueError(f"{begin.shape[1]} windows at once; at most {MOST_WINDOWS}")
    settled = np.empty(begin.shape, dtype=np.bool_)
    s = _between(s, int(begin[:, -1].min()), int(end[-1])) if len(end) else s
    first, last = (int(s.ts[0]) // leaf, int(s.ts[-1]) // leaf) if len(s.ts) else (0, 0)
    longest = max(int((end - begin[:, -1]).max()) // leaf, 1) if len(end) else 1
    tree = new_tree(s, leaf, first, last, longest, needs_all(place), room)
    low, high = limits
    changes = (low[1:] != low[:-1]) | (high[1:] != high[:-1]) if tree.full else np.zeros(0, dtype=np.bool_)
    for a, b in itertools.pairwise([0, *(np.flatnonzero(changes) + 1).tolist(), len(end)]):
        if a < b:
            tree.limits[:] = low[a], high[a]
            grow(s, tree, first, last)
            answer(s, tree, *_windows_of(s, tree, begin, end, room), begin, end, at, a, b, place, out, settled)
    return settled


def _between(s: Series, begin: int, end: int) -> Series:
    """Readings in [begin, end): what lies outside changes no bit of a window, and one cut-off need not pay for it."""
    low, high = np.searchsorted(s.ts, [begin, end])
    if low == 0 and high == len(s.ts):
        return s
    part = slice(int(low), int(high))
    return Series(s.ts[part], s.x[part], s.quality[part], s.since[part], s.until[part])


def ask(s: Series, tree: Tree, begin: Ints, end: Ints, at: Ints, place: Ints, room: Room, out: Floats) -> Any:
    """As `statistics`, of a tree that stands and has grown, with its own limits."""
    settled = np.empty(begin.shape, dtype=np.bool_)
    answer(s, tree, *_windows_of(s, tree, begin, end, room), begin, end, at, 0, len(end), place, out, settled)
    return settled


def needs_all(place: Ints) -> bool:
    """Whether one of the statistics that are asked for needs full summaries."""
    return bool((place[BASIC:] >= 0).any())


def new_tree(s: Series, leaf: int, first: int, last: int, longest: int, full: bool, room: Room) -> Tree:
    """A tree without content (see `plan_tree`), in arrays of `room`."""
    index, rows = plan_tree(first, last, len(s.ts), leaf, longest)
    some = len(s.ts) if len(s.quality) else 0
    return Tree(
        full, index, room.floats("nodes", rows, WIDTH_FULL if full else WIDTH_BASIC),
        room.ints("settle", rows if len(s.since) else 0), np.array([-np.inf, np.inf]),
        room.ints("some_ts", some), room.floats("some_x", some),
    )


def _windows_of(s: Series, tree: Tree, begin: Ints, end: Ints, room: Room) -> tuple[Ints, Floats, Any]:
    """Room that `answer` needs for windows: its pointers, edges that are used again, and which are known."""
    edges = room.floats("edges", 0 if len(s.since) else len(end), tree.nodes.shape[1])
    return np.empty((5, begin.shape[1]), dtype=np.int64), edges, np.zeros(len(end), dtype=np.bool_)


class Room:
    """Arrays to work in, kept between series: fresh memory costs more than the work. One for each thread."""

    def __init__(self) -> None:
        self._kept: dict[str, Any] = {}

    def ints(self, name: str, *shape: int) -> Ints:
        return self._array(name, shape, np.int64)

    def floats(self, name: str, *shape: int) -> Floats:
        return self._array(name, shape, np.float64)

    def _array(self, name: str, shape: tuple[int, ...], dtype: Any) -> Any:
        size = int(np.prod(shape))
        if name not in self._kept or len(self._kept[name]) < size:
            self._kept[name] = np.empty(size + size // 4, dtype=dtype)
        return self._kept[name][:size].reshape(shape)


def plan_tree(first: int, last: int, readings: int, leaf: int, longest: int) -> tuple[Ints, int]:
    """`index` and number of rows of a tree for the leaves `first` to `last` and windows of up to `longest` leaves.

    The lowest level kept is that of leaves; where most of them would be empty, that of blocks or of longer nodes.
    """
    bottom, leaves = 0, last - first + 1
    while bottom < 24 and (leaves >> bottom) > 4 * readings + 64:
        bottom += 1
    bottom = 0 if bottom == 0 else max(bottom, LEVELS_OF_BLOCK)
    top = bottom
    while (first >> top) != (last >> top) and (1 << (top + 1)) <= longest:
        top += 1
    index = np.zeros(INDEX, dtype=np.int64)
    index[LEAF], index[FROM], index[TO], index[BOTTOM], index[TOP] = leaf, first, last, bottom, top
    rows = ROWS
    for level in range(bottom, top + 1):
        index[OFFSET + level] = rows - (first >> level)
        rows += (last >> level) - (first >> level) + 1
    return index, rows
