"""Which times fit only with day and month swapped: by the order of rows, and by another time of the same thing.

Both are calibrated on rows that cannot be swapped (day above 12, or day = month). A swap moves a date by four weeks or
more, so days of scatter do no harm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from plant.readiness_records import DAY, NEVER

_FEWEST = 10  # rows that cannot be swapped, needed to know what is usual
_MOST_NODES = 60_000


@dataclass(frozen=True)
class Swappable:
    """Local times in µs; `other` with day and month exchanged; `can` where that gives another valid date."""

    written: np.ndarray
    other: np.ndarray
    can: np.ndarray
    there: np.ndarray

    def take(self, rows: np.ndarray) -> Swappable:
        return Swappable(self.written[rows], self.other[rows], self.can[rows], self.there[rows])


def swappable(local: np.ndarray) -> Swappable:
    """local: wall-clock times in µs since 1970 (int64), NEVER where there is none."""
    there = local != NEVER
    safe = np.where(there, local, 0)
    day = safe // DAY
    dates = day.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    d = (dates - months.astype("datetime64[D]")).astype(np.int64) + 1
    years = months.astype("datetime64[Y]")
    m = (months - years.astype("datetime64[M]")).astype(np.int64) + 1
    can = there & (d <= 12) & (d != m)
    target = (years.astype("datetime64[M]") + np.where(can, d - 1, 0)).astype("datetime64[D]") + np.where(can, m - 1, 0)
    other = np.where(can, target.astype(np.int64) * DAY + (safe - day * DAY), safe)
    return Swappable(safe, other, can, there)


def in_order(times: Swappable) -> np.ndarray:
    """Rows (given in an order that should be that of time) to be swapped for the order to hold.

    The cheapest path through "as written" or "swapped" for each row, where a step costs more the longer it is, and a
    step back costs extra. Empty where the rows that cannot be swapped are themselves in no order.
    """
    nothing = np.zeros(len(times.written), dtype=bool)
    rows = np.flatnonzero(times.there)
    if len(rows) < 2 * _FEWEST or not times.can[rows].any():
        return nothing
    written, other, can = times.written[rows] / DAY, times.other[rows] / DAY, times.can[rows]
    anchors = written[~can]
    if len(anchors) < _FEWEST or np.ptp(anchors) < 14:
        return nothing
    steps = np.diff(anchors)
    if np.median(steps[steps != 0]) < 0 if (steps != 0).any() else False:
        written, other, anchors, steps = -written, -other, -anchors, -steps
    if np.mean(steps < -8) > 0.03:
        return nothing
    # Rows of one date that follow each other go together.
    new = np.concatenate(([True], np.diff(np.floor(written)) != 0))
    at = np.flatnonzero(new)
    if len(at) > _MOST_NODES:
        return nothing
    path = _path(written[at], other[at], can[at])
    odd = _odd_share(anchors)
    path &= _fits_better(written[at], other[at], can[at], path)
    flagged = np.repeat(path, np.diff(np.append(at, len(rows))))
    expected = float(can[at].sum()) * odd * 0.05  # rows out of order for another reason, that a swap fits by chance
    if path.sum() < 1 + 4 * expected and odd > 0.001:
        return nothing
    nothing[rows[flagged]] = True
    return nothing


def _odd_share(anchors: np.ndarray) -> float:
    """Share of rows that cannot be swapped and still lie two weeks or more off their neighbours."""
    smooth = pd.Series(anchors).rolling(7, center=True, min_periods=1).median().to_numpy()
    return float(np.mean(np.abs(anchors - smooth) > 14))


def _fits_better(written: np.ndarray, other: np.ndarray, can: np.ndarray, path: np.ndarray) -> np.ndarray:
    """Whether a swapped node lies where its neighbours do, and far from where it was written.

    Neighbours are the nodes that are left as written; those that cannot be swapped tell the usual scatter.
    """
    kept = np.flatnonzero(~path)
    place = np.searchsorted(kept, np.arange(len(path)))
    around = np.stack([kept[np.clip(place + k, 0, len(kept) - 1)] for k in (-3, -2, -1, 0, 1, 2)])
    middle = np.median(written[around], axis=0)
    before, after = written[around[2]], written[around[3]]
    firm = np.flatnonzero(~can)
    scatter = np.quantile(np.abs(np.diff(written[firm])), 0.9) if len(firm) > 1 else 0.0
    room = max(3.0, 2 * scatter)
    low, high = np.minimum(before, after) - room, np.maximum(before, after) + room
    narrow = high - low < 2 * room + 20  # a month between the neighbours holds either date
    off = np.abs(written - middle) - np.abs(other - middle)
    return (other >= low) & (other <= high) & ((written < low) | (written > high)) & narrow & (off > 12)


def _path(written: np.ndarray, other: np.ndarray, can: np.ndarray) -> np.ndarray:
    """Which nodes are swapped on the cheapest path, only where that gains clearly over leaving them."""

    def cost(steps: np.ndarray) -> np.ndarray:
        return np.log1p(np.abs(steps)) + np.where(steps < -2, 2.0, 0.0)

    n = len(written)
    as_is = cost(np.diff(written))
    to_other, from_other = cost(other[1:] - written[:-1]), cost(written[1:] - other[:-1])
    both = cost(np.diff(other))
    kept, moved = np.zeros(n), np.full(n, np.inf)
    moved[0] = 3.0 if can[0] else np.inf
    came = np.zeros((n, 2), dtype=np.int8)
    for i in range(1, n):
        a, b = kept[i - 1] + as_is[i - 1], moved[i - 1] + from_other[i - 1]
        kept[i], came[i, 0] = (a, 0) if a <= b else (b, 1)
        if can[i]:
            a, b = kept[i - 1] + to_other[i - 1] + 3.0, moved[i - 1] + both[i - 1]  # entering a swapped stretch costs
            moved[i], came[i, 1] = (a, 0) if a <= b else (b, 1)
    out = np.zeros(n, dtype=bool)
    state = 0 if kept[-1] <= moved[-1] else 1
    for i in range(n - 1, -1, -1):
        out[i] = state == 1
        state = came[i, state]
    return out


def beside(times: Swappable, partner: Swappable) -> np.ndarray:
    """Rows whose distance from `partner` (another time of the same thing) is usual only with day and month swapped."""
    nothing = np.zeros(len(times.written), dtype=bool)
    both = times.there & partner.there
    firm = both & ~times.can & ~partner.can
    if firm.sum() < _FEWEST or not (both & times.can).any():
        return nothing
    usual = (times.written - partner.written)[firm] / DAY
    low, high = np.quantile(usual, [0.02, 0.98])
    pad = max(1.0, 0.5 * (high - low))
    low, high = low - pad, high + pad
    if high - low > 45:
        return nothing

    def fits(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a - b >= low * DAY) & (a - b <= high * DAY)

    out = both & times.can & ~fits(times.written, partner.written) & fits(times.other, partner.written)
    out &= ~(partner.can & fits(times.written, partner.other))
    odd = float(np.mean((usual < low) | (usual > high)))
    expected = float((both & times.can).sum()) * odd * (high - low) / 300
    return out if out.sum() >= 1 + 4 * expected else nothing
