"""Rows on a time line: which is the last one visible at a cut-off, and how many fall into a look-back window.

A row stands at `order` (when it happened) and is visible at cut-offs t with `start < t <= until` (`features.asof`).
Late entries and corrections are nothing special here, and neither is a count over a window: the row counts at the
cut-offs in `(start, min(until, order + window)]`.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from features import kernels
from features.asof import NEVER, Floats, History, Ints, Log, Mask

NOBODY: Ints = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class Timeline:
    """Rows of many groups. offsets (groups + 1); the rest one entry a row, sorted by group and order.

    row: where the row came from. owner: rows that a query of the same owner does not see (or empty).
    """

    offsets: Ints
    order: Ints
    start: Ints
    until: Ints
    row: Ints
    owner: Ints = field(default_factory=lambda: NOBODY)
    _counts: dict[int, tuple[Ints, Ints, Ints]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def groups(self) -> int:
        return len(self.offsets) - 1

    def latest(
        self, base: Ints, t: Ints, width: int = 1, *, most: int = 1, first: bool = False, asks: Ints | None = None
    ) -> Ints:
        """Positions of the last visible rows of the groups `base * width + (0 .. width - 1)` at the cut-offs `t`.

        base (n,) with -1 for no group; returns (n, width, most), newest first (oldest first with `first`), -1 where
        there are fewer. Of rows with the same order the later one in the log's own order is the newer.
        """
        out = np.empty((len(base), width, most), dtype=np.int64)
        owner, asking = (self.owner, asks) if asks is not None else (NOBODY, t)
        kernels.latest(
            self.offsets, self.order, self.start, self.until, owner, base, t, asking, width, most, first, out
        )
        return out

    def count(self, base: Ints, t: Ints, width: int = 1, *, window: int | None = None) -> Floats:
        """How many visible rows stand in `[t - window, t)`, or at any time before t: (n, width)."""
        length = NEVER if window is None else window
        if length not in self._counts:
            self._counts[length] = self._spans(length)
        offsets, starts, ends = self._counts[length]
        out = np.empty((len(base), width), dtype=np.int64)
        kernels.count_active(offsets, starts, ends, base, t, width, out)
        return out.astype(np.float64)

    def _spans(self, length: int) -> tuple[Ints, Ints, Ints]:
        """Sorted ends of the intervals of cut-offs at which each row is counted."""
        end = self.until if length == NEVER else np.minimum(self.until, self.order + length)
        some = self.start < end
        group = np.repeat(np.arange(self.groups), np.diff(self.offsets))[some]
        starts, ends = self.start[some], end[some]
        return (
            offsets_of(group, self.groups), starts[np.lexsort((starts, group))], ends[np.lexsort((ends, group))]
        )


def offsets_of(group: Ints, groups: int) -> Ints:
    """Where each of `groups` groups starts in rows sorted by group, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(np.bincount(group, minlength=groups))]).astype(np.int64)


def timeline(
    groups: int, group: Ints, order: Ints, start: Ints, until: Ints, row: Ints | None = None, owner: Ints | None = None
) -> Timeline:
    """Sort rows into a `Timeline`; rows without a group (-1), without a time or never visible are left out.

    A row cannot be known before it happened: `start` is raised to `order` where it is less.
    """
    start = np.maximum(start, order)
    keep = np.flatnonzero((group >= 0) & (start < until))
    keep = keep[np.lexsort((order[keep], group[keep]))]
    return Timeline(
        offsets_of(group[keep], groups), order[keep], start[keep], until[keep],
        keep if row is None else row[keep], NOBODY if owner is None else owner[keep],
    )


def united(line: Timeline, by: Ints) -> Timeline:
    """Rows of the same group and the same `by` count as one, visible while any of them is."""
    group = np.repeat(np.arange(line.groups), np.diff(line.offsets))
    order = np.lexsort((line.start, by, group))
    _, same = np.unique(np.column_stack([group, by])[order], axis=0, return_inverse=True)
    keep, end = kernels.unite(same.reshape(-1), line.start[order], line.until[order])
    kept = order[keep]
    return timeline(line.groups, group[kept], line.order[kept], line.start[kept], end[keep], line.row[kept])


def picks(history: History, name: str, keys: tuple[str, ...], vocabulary: tuple[str, ...] = ()) -> Timeline:
    """For a table whose key is one or two words: the one version of each key visible at t.

    Groups are the codes of keys[0] in the log, or codes * len(vocabulary) + the index of keys[1] in `vocabulary`.
    """

    def make() -> Timeline:
        log = history.log(name)
        group, groups = log.codes[keys[0]], len(log.words[keys[0]])
        if len(keys) > 1:
            second = log.coded(keys[1], vocabulary)
            group = np.where((group >= 0) & (second >= 0), group * len(vocabulary) + second, -1)
            groups *= len(vocabulary)
        start = log.known(keys[-1])
        return timeline(groups, group, start, start, log.until)

    key: Hashable = ("picks", name, keys, vocabulary)
    return history.keep(key, make)


def picked(line: Timeline, base: Ints, t: Ints, width: int = 1) -> Ints:
    """Rows of the log visible at `t`, one for each of the groups `base * width + k`: (n, width), -1 where none."""
    at = line.latest(base, t, width)[:, :, 0]
    return rows_of(line, at)


def rows_of(line: Timeline, at: Ints) -> Ints:
    """Positions in a time line as rows of its log; -1 stays."""
    return np.where(at >= 0, take(line.row, at), -1)


def take(values: np.ndarray[Any, Any], at: Ints) -> np.ndarray[Any, Any]:
    """values[at], and any value where `at` is -1 (or there are no values): the caller masks those."""
    return values[at] if len(values) else np.zeros(at.shape, dtype=values.dtype)


def number(log: Log, column: str, rows: Ints, t: Ints) -> Floats:
    """A float column at `rows` where it is known at `t` (broadcast against rows), else NaN."""
    return np.where(_shown(log, column, rows, t), take(log.floats[column], rows), np.nan)


def time(log: Log, column: str, rows: Ints, t: Ints) -> Ints:
    """A time column at `rows` where it is known at `t`, else NEVER."""
    return np.where(_shown(log, column, rows, t), take(log.times[column], rows), NEVER)


def code(log: Log, column: str, rows: Ints, t: Ints, vocabulary: tuple[str, ...] | None = None) -> Ints:
    """Code of a word column at `rows` (in the log, or in `vocabulary`) where it is known at `t`, else -1."""
    codes = log.codes[column] if vocabulary is None else log.coded(column, vocabulary)
    return np.where(_shown(log, column, rows, t), take(codes, rows), -1)


def _shown(log: Log, column: str, rows: Ints, t: Ints) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return (rows >= 0) & (take(log.known(column), rows) < t)


def frequent(log: Log, column: str, shown: Mask, most: int) -> list[str]:
    """The `most` most frequent words of a column among the rows `shown`; of equal ones the alphabet's first."""
    codes = log.codes[column][shown]
    counts = np.bincount(codes[codes >= 0], minlength=len(log.words[column]))
    return [log.words[column][i] for i in np.argsort(-counts, kind="stable")[:most] if counts[i]]


def hours_since(line: Timeline, at: Ints, t: Ints) -> Floats:
    """Hours from the order of the rows `at` to `t` (n, broadcast); NaN where `at` is -1."""
    return np.where(at >= 0, (t - take(line.order, at)) / kernels.HOUR_US, np.nan)
