"""Copies of a laboratory result: a feature of a batch that repeats the value which is to be predicted.

An honest feature goes with the result; a copy *is* the result, perhaps in another unit, rounded, or with some noise,
perhaps in a part of the batches only. So a straight line is sought that holds for most batches within a small fraction
of the result's spread, by many lines through two batches each (RANSAC, Fischler & Bolles 1981), which the other batches
cannot pull away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

REPEATS, ROUNDED = 0.4, 0.9
_WITHIN = 0.02  # of the result's standard deviation
_COARSEST = 0.25  # rounding of a feature, of the result's standard deviation, up to which a rounded copy is told
_LINES = 60
_FEWEST = 15
_DISTINCT = 8


@dataclass(frozen=True)
class Repeat:
    """A feature that repeats a result: share of the batches on one line, and the line."""

    column: int
    share: float
    slope: float
    offset: float
    batches: int

    def reason(self, attribute: str) -> str:
        line = "equal to it" if abs(self.slope - 1) < 1e-3 and abs(self.offset) < 1e-2 else (
            f"{attribute} = {self.slope:.4g} · value {'+' if self.offset >= 0 else '−'} {abs(self.offset):.4g}"
        )
        return (
            f"repeats the result of {attribute} that is to be predicted: {100 * self.share:.0f} % of {self.batches} "
            f"batches lie on one line ({line})"
        )


def repeats(values: np.ndarray, y: np.ndarray, seed: int = 0) -> list[Repeat]:
    """Columns of `values` (n, p) that repeat `y` (n,), NaN in either left out.

    A column counts when at least 40 % of its batches lie on one line within 2 % of the result's standard deviation,
    more than would by a constant alone; a rounded column when 90 % lie within half a step of its rounding.
    """
    out = []
    for j in range(values.shape[1]):
        rows = np.isfinite(values[:, j]) & np.isfinite(y)
        x, of = values[rows, j], y[rows]
        if rows.sum() < _FEWEST or len(np.unique(x)) < _DISTINCT or len(np.unique(of)) < _DISTINCT:
            continue
        found = _line(x, of, seed) or _rounded(x, of)
        if found is not None:
            out.append(Repeat(j, *found, int(rows.sum())))
    return out


def _line(x: np.ndarray, y: np.ndarray, seed: int) -> tuple[float, float, float] | None:
    """(share of points on it, slope, offset) of the best line, where it holds for enough points."""
    within = _WITHIN * usual_spread(y)
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, len(x), (2, _LINES))
    differ = x[a] != x[b]
    a, b = a[differ], b[differ]
    if not len(a):
        return None
    slope = (y[a] - y[b]) / (x[a] - x[b])
    slope, a = slope[slope != 0], a[slope != 0]
    off = y[None, :] - (y[a][:, None] + slope[:, None] * (x[None, :] - x[a][:, None]))
    on = np.abs(off) <= within
    if not len(on):
        return None
    share = on.mean(axis=1)
    best = int(share.argmax())
    if share[best] < REPEATS:
        return None
    hit = on[best]
    # A line that is no more than one frequent value tells nothing.
    told = y[hit]
    largest = np.unique(np.round(told / within), return_counts=True)[1].max() / len(x)
    if share[best] - largest < REPEATS / 2 or len(np.unique(x[hit])) < _DISTINCT / 2:
        return None
    fit = np.polyfit(x[hit], told, 1)
    share_fit = float((np.abs(y - np.polyval(fit, x)) <= within).mean())
    return max(float(share[best]), share_fit), float(fit[0]), float(fit[1])


def _rounded(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float] | None:
    """The same for a column that is a rounded copy: what is off is never more than half a step."""
    slope, offset = (float(v) for v in np.polyfit(x, y, 1))
    step = rounding(x) * abs(slope)
    if not 0 < step <= _COARSEST * usual_spread(y):
        return None
    share = float((np.abs(y - slope * x - offset) <= 0.55 * step).mean())
    return (share, slope, offset) if share >= ROUNDED else None


def usual_spread(y: np.ndarray) -> float:
    """Standard deviation, by the quartiles where that is less: a few wild results widen nothing."""
    low, high = np.quantile(y, [0.25, 0.75])
    by_quartiles = float(high - low) / 1.349
    return min(float(y.std()), by_quartiles) if by_quartiles > 0 else float(y.std())


def rounding(y: np.ndarray) -> float:
    """The step to which the values are rounded (0.01 for two decimals); 0 where they are not."""
    for decimals in range(-1, 7):
        if np.allclose(y, np.round(y, decimals), rtol=0, atol=1e-9):
            return float(10.0**-decimals)
    return 0.0


def verdict_copies(values: np.ndarray, outside: np.ndarray) -> list[int]:
    """Columns of two or three values that say without error whether the result is out of specification.

    outside (n,): 1 out of specification, 0 not, NaN unknown. Needs five results out of it.
    """
    out = []
    for j in range(values.shape[1]):
        rows = np.isfinite(values[:, j]) & np.isfinite(outside)
        x, bad = values[rows, j], outside[rows] == 1
        if not 5 <= bad.sum() <= len(x) - 5:
            continue
        levels = np.unique(x)
        if 2 <= len(levels) <= 3 and not set(levels[np.isin(levels, x[bad])]) & set(x[~bad]):
            out.append(j)
    return out
