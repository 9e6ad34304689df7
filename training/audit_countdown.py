"""Countdowns: a feature that tells how long a life will be before anything can tell.

Wear tells more the closer the end comes; a clock tells the time since the last event and so the next one as far as the
intervals are fixed. Neither knows at the beginning of a life how long this one will be. A countdown does. So a feature
is held against the stretches between events of each kind, by two figures:

* the share of the hours left that it explains over all rows (a fit by the feature alone, of any shape), and among the
  rows of the longer half of the hours left, where wear tells least,
* the share of the *length* of a life that it explains in rows of the first part of the life. Every clock has 0 here,
  and wear that grows in proportion to age / length of life has at most 1 - (1 - part)² = 0.64.

Where lives are not seen from their beginning (one failure an equipment, service begun long ago) only the first figure
is there, and its limit is next to certainty. Squared errors are trimmed, so that noise in a few rows hides nothing; and
where a feature follows the hours left on some equipment only, those are judged by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from training.audit_lives import Event, Lives, lives

EXPLAINED, LENGTH_KNOWN, CERTAIN = 0.93, 0.93, 0.995
_PART = 0.4  # the first part of a life
_FEWEST_LIVES, _FEWEST_ROWS, _FEWEST_EARLY = 6, 40, 2
_SPREAD = 0.02  # lengths of lives that vary less than this are known to a clock
_TRIM = 0.06
_SCREEN, _SCREENED = 0.75, 4000  # rank correlation below which nothing is looked at, on so many rows
_FOLLOWS = 0.9  # the same on one equipment


@dataclass(frozen=True)
class Countdown:
    """A feature that counts down to `event`: shares of the hours left and of the length of life that it explains."""

    column: int
    event: str
    explained: float
    length_known: float | None
    lives: int

    @property
    def reason(self) -> str:
        known = (
            f" and, in the first {100 * _PART:.0f} % of an interval, {100 * self.length_known:.1f} % of its length"
            if self.length_known is not None else ""
        )
        return (
            f"counts down to the next {self.event}: alone it explains {100 * self.explained:.1f} % of the hours left"
            f"{known}, over {self.lives} intervals that differ in length"
        )


def countdowns(
    values: np.ndarray,
    ids: np.ndarray,
    t: np.ndarray,
    look_back_h: np.ndarray,
    events: Iterable[Event],
    began: dict[str, int],
    grid_h: float,
) -> tuple[list[Countdown], int]:
    """Features (columns of `values` (n, p)) that count down to an event, the best event of each; and events looked at.

    ids, t (n,): equipment and moment (microseconds) of the rows. look_back_h (p,): hours that a feature reads back; for
    so long after an event it still mixes in the life before.
    """
    kinds = list(events)
    told = varying(values, ids)
    some = np.unique(np.linspace(0, len(t) - 1, min(len(t), _SCREENED)).astype(int))
    ranks, there = _ranks(told[some])
    names = np.unique(ids)
    groups = [np.flatnonzero(ids[some] == name) for name in names]
    by_equipment = [(rows, *_ranks(told[some[rows]])) for rows in groups]
    slack = 2 * grid_h + 1
    laid = [lives(e, ids, t, began, slack) for e in kinds]
    clocks = np.column_stack([np.where(v.whole, v.age, np.nan) for v in laid]) if laid else np.empty((len(t), 0))
    best: dict[int, Countdown] = {}
    for mine in laid:
        ends = np.isfinite(mine.left)
        if ends.sum() < _FEWEST_ROWS or len(np.unique(mine.life[ends])) < _FEWEST_LIVES:
            continue
        followed = _followed(by_equipment, mine.left[some])
        whole = _screened(ranks, there, mine.left[some], ends[some])
        for j in np.flatnonzero(whole | followed.any(axis=0)):
            x = told[:, j]
            found = judged(x, mine, float(look_back_h[j])) if whole[j] else None
            if (found is None or not _too_much(found)) and followed[:, j].any():
                x = np.where(np.isin(ids, names[followed[:, j]]), x, np.nan)
                found = judged(x, mine, float(look_back_h[j]))
            if found is None or not _too_much(found):
                continue
            there_too = np.isfinite(x)[:, None]
            if _a_clock_knows(np.where(there_too, np.column_stack([clocks, t, mine.age]), np.nan), mine, found):
                continue
            made = Countdown(int(j), mine.name, *found)
            if int(j) not in best or _rank(made) > _rank(best[int(j)]):
                best[int(j)] = made
    return [best[j] for j in sorted(best)], len(laid)


def _rank(c: Countdown) -> tuple[float, float]:
    """The first event of those that are told equally well is named (an order before the work that it begins)."""
    return (round(c.explained, 2), round(c.length_known or 0.0, 2))


def varying(values: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """The values; NaN for an equipment on which a feature never changes."""
    out = values.copy()
    for name in np.unique(ids):
        rows = np.flatnonzero(ids == name)
        part = out[rows]
        low = np.where(np.isnan(part), np.inf, part).min(axis=0)
        high = np.where(np.isnan(part), -np.inf, part).max(axis=0)
        out[np.ix_(rows, np.flatnonzero(~(low < high)))] = np.nan
    return out


def _ranks(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ranks of each column, standardised, 0 where empty; and where it is not."""
    there = np.isfinite(values)
    ranks = rankdata(np.where(there, values, np.inf), axis=0)
    count = np.maximum(there.sum(axis=0), 1)
    mean = np.where(there, ranks, 0).sum(axis=0) / count
    centred = np.where(there, ranks - mean, 0)
    spread = np.sqrt((centred**2).sum(axis=0) / count)
    return centred / np.where(spread > 0, spread, 1), there.astype(np.float64)


def _screened(
    ranks: np.ndarray, there: np.ndarray, left: np.ndarray, ends: np.ndarray, least: float = _SCREEN,
    fewest: int = _FEWEST_ROWS,
) -> np.ndarray:
    """Columns whose ranks go with those of the hours left: only they can be a countdown."""
    if ends.sum() < fewest:
        return np.zeros(ranks.shape[1], dtype=bool)
    y = rankdata(left[ends])
    x, known = ranks[ends], there[ends]
    n = np.maximum(known.sum(axis=0), 1)
    mean_y = (known * y[:, None]).sum(axis=0) / n
    var_y = (known * (y**2)[:, None]).sum(axis=0) / n - mean_y**2
    mean_x = x.sum(axis=0) / n
    var_x = (x**2).sum(axis=0) / n - mean_x**2
    both = x.T @ y / n - mean_x * mean_y
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.abs(both / np.sqrt(var_x * var_y))
    return np.asarray((r >= least) & (n >= fewest))


def _followed(by_equipment: list[tuple[np.ndarray, np.ndarray, np.ndarray]], left: np.ndarray) -> np.ndarray:
    """(equipment, columns): whether a column goes with the hours left on that equipment; none where on too few."""
    out = np.zeros((len(by_equipment), by_equipment[0][1].shape[1]), dtype=bool)
    for i, (rows, ranks, there) in enumerate(by_equipment):
        ends = np.isfinite(left[rows])
        out[i] = _screened(ranks, there, left[rows], ends, _FOLLOWS, 8)
    count = out.sum(axis=0)
    out[:, (count < 3) | (count < 0.2 * len(by_equipment))] = False
    return out


def judged(x: np.ndarray, mine: Lives, look_back_h: float) -> tuple[float, float | None, int] | None:
    """What `x` explains: (share of the hours left, share of the length of life, lives); None where rows are too few.

    The first is the lesser one of all rows and of those of the longer half; the second is None where no life was seen.
    """
    rows = np.isfinite(x) & np.isfinite(mine.left)
    clean = rows & (mine.age >= look_back_h)
    if clean.sum() >= max(_FEWEST_ROWS, 0.3 * rows.sum()):
        rows = clean
    left, life = mine.left[rows], mine.life[rows]
    count = len(np.unique(life))
    if rows.sum() < _FEWEST_ROWS or count < _FEWEST_LIVES:
        return None
    error = left - fitted(x[rows], left)
    spread = float(np.mean((left - left.mean()) ** 2))
    if spread == 0:
        return None
    explained = 1 - _trimmed(error**2) / spread
    far = left >= np.median(left)
    spread_far = float(np.mean((left[far] - left[far].mean()) ** 2))
    if spread_far > 0:
        explained = min(explained, 1 - _trimmed(error[far] ** 2) / spread_far)
    return explained, _length_known(error, mine, rows), count


def fitted(x: np.ndarray, y: np.ndarray, bins: int = 60) -> np.ndarray:
    """y as a function of x alone: medians in bins of x with equal numbers of rows, straight between their middles."""
    n = len(x)
    order = np.argsort(x, kind="stable")
    cuts = np.unique(np.searchsorted(x[order], x[order][np.linspace(0, n - 1, min(bins, n // 8) + 1).astype(int)]))
    parts = np.split(order, cuts[1:])
    parts = [p for p in parts if len(p)]
    middle_x = np.array([np.median(x[p]) for p in parts])
    middle_y = np.array([np.median(y[p]) for p in parts])
    if len(parts) < 2:
        return np.full(n, middle_y[0])
    # the outermost halves of bins go on as straight as they came
    at = np.interp(x, middle_x, middle_y)
    low, high = x < middle_x[0], x > middle_x[-1]
    at[low] += (x[low] - middle_x[0]) * _steep(middle_x[:2], middle_y[:2])
    at[high] += (x[high] - middle_x[-1]) * _steep(middle_x[-2:], middle_y[-2:])
    return np.asarray(at)


def _steep(x: np.ndarray, y: np.ndarray) -> float:
    return float((y[1] - y[0]) / (x[1] - x[0])) if x[1] > x[0] else 0.0


def _trimmed(squares: np.ndarray) -> float:
    kept = np.sort(squares)[: max(1, round(len(squares) * (1 - _TRIM)))]
    return float(kept.mean())


def _length_known(error: np.ndarray, mine: Lives, rows: np.ndarray) -> float | None:
    """Share of the variance of lengths explained early in life; None where lives were not seen or do not differ."""
    age, length, life = mine.age[rows], mine.length[rows], mine.life[rows]
    early = mine.whole[rows] & (age <= _PART * length)
    names, first, at = np.unique(life[early], return_index=True, return_inverse=True)
    if len(names) < _FEWEST_LIVES:
        return None
    lengths = length[early][first]
    spread = float(lengths.std())
    if spread < _SPREAD * float(lengths.mean()):
        return 0.0  # fixed intervals: the clock knows the length
    off = np.bincount(at, error[early]) / np.bincount(at)
    return 1 - _trimmed(off**2) / spread**2


def _too_much(found: tuple[float, float | None, int]) -> bool:
    explained, known, _ = found
    if known is None:
        return explained >= CERTAIN
    return explained >= EXPLAINED and known >= LENGTH_KNOWN


def _a_clock_knows(clocks: np.ndarray, mine: Lives, found: tuple[float, float | None, int]) -> bool:
    """Whether the time since some event of the past tells as much (an inspection so many days before each order)."""
    for k in range(clocks.shape[1]):
        other = judged(clocks[:, k], mine, 0.0)
        if other is None:
            continue
        if found[1] is None:
            if 1 - other[0] <= 10 * (1 - found[0]):
                return True
        elif _too_much(other):
            return True
    return False
