"""Many short stretches of one long array at once: their middles, quantiles and changes of level.

A plant has tens of thousands of series, and a summary of a series is short. Stretches of one length make a table, so
the work goes as many times round as there are lengths, not as there are series.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Pieces:
    """Stretches [start, stop) of an array, one entry each."""

    start: np.ndarray
    stop: np.ndarray

    def __len__(self) -> int:
        return len(self.start)

    @property
    def length(self) -> np.ndarray:
        return np.asarray(self.stop - self.start)

    def take(self, which: np.ndarray) -> Pieces:
        return Pieces(self.start[which], self.stop[which])

    def by_length(self, least: int = 1) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(which pieces, positions, a row each) for every length that occurs, from `least` on."""
        length = self.length
        order = np.argsort(length, kind="stable")
        order = order[np.searchsorted(length[order], least) :]
        for which in np.split(order, np.flatnonzero(np.diff(length[order])) + 1):
            if len(which):
                yield which, self.start[which][:, None] + np.arange(length[which[0]])

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sum of each piece; pieces are not empty."""
        return self._reduce(np.add, values)

    def least(self, values: np.ndarray) -> np.ndarray:
        return self._reduce(np.minimum, values)

    def most(self, values: np.ndarray) -> np.ndarray:
        return self._reduce(np.maximum, values)

    def _reduce(self, what: np.ufunc, values: np.ndarray) -> np.ndarray:
        if not len(self):
            return values[:0]
        if self.stop[-1] == len(values) and (self.start[1:] == self.stop[:-1]).all():
            return np.asarray(what.reduceat(values, self.start))
        # An index behind the end is not allowed: one more value, which no piece holds.
        both = np.stack([self.start, self.stop], axis=1).ravel()
        return np.asarray(what.reduceat(np.append(values, values[:1]), both)[::2])


def pieces_of(owner: np.ndarray) -> tuple[np.ndarray, Pieces]:
    """(owners, their pieces) of an array whose rows of one owner stand together."""
    start = np.flatnonzero(np.append(True, owner[1:] != owner[:-1])) if len(owner) else np.zeros(0, dtype=np.int64)
    return owner[start], Pieces(start, np.append(start[1:], len(owner)) if len(owner) else start)


def quantiles(values: np.ndarray, pieces: Pieces, q: float | Sequence[float]) -> np.ndarray:
    """Quantiles of each piece, a row a piece (a number a piece for one q); NaN for an empty one."""
    wanted = np.atleast_1d(q)
    out = np.full((len(pieces), len(wanted)), np.nan)
    for which, rows in pieces.by_length():
        out[which] = np.quantile(values[rows], wanted, axis=1).T
    return out[:, 0] if np.ndim(q) == 0 else out


def middles(values: np.ndarray, pieces: Pieces) -> tuple[np.ndarray, np.ndarray]:
    """(median, median distance from it) of each piece; NaN for an empty one."""
    middle, scatter = np.full(len(pieces), np.nan), np.full(len(pieces), np.nan)
    for which, rows in pieces.by_length():
        some = values[rows]
        middle[which] = np.median(some, axis=1)
        scatter[which] = np.median(np.abs(some - middle[which][:, None]), axis=1)
    return middle, scatter


def cuts(values: np.ndarray, pieces: Pieces, least: int = 4) -> np.ndarray:
    """Where the level of each piece changes most (two means, least squares), a position in `values`.

    -1 for a piece with fewer than 2 × `least` values; at least so many lie on either side.
    """
    out = np.full(len(pieces), -1)
    for which, rows in pieces.by_length(2 * least):
        x, n = values[rows], rows.shape[1]
        total = np.cumsum(x - x.mean(axis=1, keepdims=True), axis=1)
        k = np.arange(least, n - least + 1)
        score = total[:, k - 1] ** 2 * n / (k * (n - k))
        out[which] = rows[:, 0] + k[np.argmax(score, axis=1)]
    return out


def borders(values: np.ndarray, pieces: Pieces, depth: int = 3) -> np.ndarray:
    """Positions between stretches of different level, sorted; pieces are cut again `depth` - 1 times.

    A cut whose two sides differ by little, measured by their scatter, is none.
    """
    found = []
    for _ in range(depth):
        at = cuts(values, pieces)
        pieces, at = pieces.take(at >= 0), at[at >= 0]
        left, right = Pieces(pieces.start, at), Pieces(at, pieces.stop)
        (low, low_scatter), (high, high_scatter) = middles(values, left), middles(values, right)
        real = np.abs(low - high) > 2 * (low_scatter + high_scatter)
        found.append(at[real])
        start = np.concatenate([left.start[real], right.start[real]])
        pieces = Pieces(start, np.concatenate([left.stop[real], right.stop[real]]))
    return np.sort(np.concatenate(found))
