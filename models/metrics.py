"""How good predictions are, in the field's own measures. Where a measure is not defined it is None, never a number.

Thin over scikit-learn. Probabilities and events are (n,), events 0/1; rows with NaN in either are left out.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from models.calibration import equal_mass_bins

Floats = NDArray[np.float64]
Measure = Callable[[Floats, Floats], float | None]


def _known(a: ArrayLike, b: ArrayLike) -> tuple[Floats, Floats]:
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"expected two vectors of one length, found {x.shape} and {y.shape}")
    known = np.isfinite(x) & np.isfinite(y)
    return x[known], y[known]


def base_rate(event: ArrayLike) -> float | None:
    """Share of events; None without rows."""
    e = np.asarray(event, dtype=np.float64)
    e = e[np.isfinite(e)]
    return float(e.mean()) if len(e) else None


def auc(probability: ArrayLike, event: ArrayLike) -> float | None:
    """Area under the ROC curve; None with one class only."""
    p, e = _known(probability, event)
    return float(roc_auc_score(e, p)) if 0 < e.sum() < len(e) else None


def average_precision(probability: ArrayLike, event: ArrayLike) -> float | None:
    """Average precision; None without an event."""
    p, e = _known(probability, event)
    return float(average_precision_score(e, p)) if e.sum() > 0 else None


def brier(probability: ArrayLike, event: ArrayLike) -> float | None:
    """Mean squared error of the probability; None without rows."""
    p, e = _known(probability, event)
    return float(np.mean((p - e) ** 2)) if len(e) else None


def ece(probability: ArrayLike, event: ArrayLike, bins: int = 10) -> float | None:
    """Expected calibration error: over equal-mass bins, the mean of |mean prediction − observed rate| weighted by rows.

    Equal mass (not equal width): failures are rare, and nearly all rows would share the lowest bin otherwise.
    """
    p, e = _known(probability, event)
    if not len(e):
        return None
    which = equal_mass_bins(p, bins)
    gaps = np.bincount(which, weights=p - e)
    return float(np.abs(gaps).sum() / len(e))


def r2(y: ArrayLike, predicted: ArrayLike) -> float | None:
    """1 − residual / total sum of squares; None where `y` does not vary."""
    a, b = _known(y, predicted)
    total = float(np.sum((a - a.mean()) ** 2)) if len(a) else 0.0
    return float(1.0 - np.sum((a - b) ** 2) / total) if total > 0 else None


def mae(y: ArrayLike, predicted: ArrayLike) -> float | None:
    """Mean absolute error, in the unit of `y`; None without rows."""
    a, b = _known(y, predicted)
    return float(np.mean(np.abs(a - b))) if len(a) else None


def rmse(y: ArrayLike, predicted: ArrayLike) -> float | None:
    """Root mean squared error, in the unit of `y`; None without rows."""
    a, b = _known(y, predicted)
    return float(np.sqrt(np.mean((a - b) ** 2))) if len(a) else None


def coverage(y: ArrayLike, interval: ArrayLike) -> float | None:
    """Share of results inside their closed interval; interval (n, 2), infinite bounds allowed; None without rows."""
    a, b = np.asarray(y, dtype=np.float64), np.asarray(interval, dtype=np.float64)
    if b.shape != (len(a), 2):
        raise ValueError(f"expected ({len(a)}, 2) bounds, found {b.shape}")
    known = np.isfinite(a)
    inside = (a[known] >= b[known, 0]) & (a[known] <= b[known, 1])
    return float(inside.mean()) if len(inside) else None


def bootstrap(measure: Measure, a: ArrayLike, b: ArrayLike, groups: ArrayLike | None = None, *, times: int = 200,
              confidence: float = 0.9, seed: int = 7) -> tuple[float, float] | None:
    """Percentile interval of `measure(a, b)` when whole groups (equipments, lots) are drawn with replacement.

    Rows of one group depend on each other, so rows are never drawn singly unless `groups` is None.
    None where the measure is defined in fewer than half of the resamples, or with fewer than two groups.
    """
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    ids = np.arange(len(x)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    count = int(ids.max(initial=-1)) + 1
    if count < 2:
        return None
    order = np.argsort(ids, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(ids, minlength=count))[:-1])
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(times):
        rows = np.concatenate([members[g] for g in rng.integers(0, count, count)])
        value = measure(x[rows], y[rows])
        if value is not None:
            values.append(value)
    if len(values) * 2 < times:
        return None
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
