"""The time buckets of all series as flat arrays: what a level, a spread or a rate of readings is judged by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from plant.readiness_pieces import Pieces, pieces_of


@dataclass(frozen=True)
class Levels:
    """Buckets that hold good values; those of one series stand together, in order of time.

    `series` and `pieces` have one entry a series: its number and where its buckets are. The others have one entry a
    bucket: n readings from `first` to `last` (µs since 1970), `step` µs apart, with `mean`, `min`, `max` of the good.
    """

    series: np.ndarray
    pieces: Pieces
    first: np.ndarray
    last: np.ndarray
    n: np.ndarray
    mean: np.ndarray
    step: np.ndarray
    min: np.ndarray
    max: np.ndarray

    def of(self, k: int) -> Levels:
        """The k-th series alone."""
        return self._rows(slice(int(self.pieces.start[k]), int(self.pieces.stop[k])), self.series[k : k + 1])

    def where(self, mask: np.ndarray) -> Levels:
        """The buckets that are chosen; series without one fall out."""
        owner, pieces = pieces_of(np.repeat(self.series, self.pieces.length)[mask])
        return self._rows(mask, owner, pieces)

    def longer(self, least: int) -> Levels:
        """The series with `least` buckets or more."""
        return self.where(np.repeat(self.pieces.length >= least, self.pieces.length))

    def _rows(self, rows: slice | np.ndarray, series: np.ndarray, pieces: Pieces | None = None) -> Levels:
        first, last, n, mean, step, low, high = (
            v[rows] for v in (self.first, self.last, self.n, self.mean, self.step, self.min, self.max)
        )
        pieces = Pieces(np.array([0]), np.array([len(first)])) if pieces is None else pieces
        return Levels(series, pieces, first, last, n, mean, step, low, high)


def levels_of(buckets: pd.DataFrame) -> Levels:
    """buckets: as in `plant.readiness_scan.Series`, sorted by series and start."""
    some = {c: buckets[c].to_numpy() for c in buckets.columns}
    good = some["good"] > 0
    some = {c: v[good] for c, v in some.items()} if not good.all() else some
    series, pieces = pieces_of(some["series"])
    step = (some["last"] - some["first"]) / np.maximum(some["n"] - 1, 1)
    mean = some["sum"] / some["good"]
    return Levels(series, pieces, some["first"], some["last"], some["n"], mean, step, some["min"], some["max"])
