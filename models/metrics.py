"""How good predictions are, in the field's own measures. Where a measure is not defined it is None, never a number.

Thin over scikit-learn. Probabilities and events are (n,), events 0/1; rows with NaN in either are left out. weight:
(n,) how many rows each one stands for, from `models.censoring.within`; with them the Brier score is that of Graf et
al. (Stat. Med. 18, 1999), the AUC the cumulative/dynamic one of Uno et al. (JASA 102, 2007), both with weights that
sum to one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from models.calibration import equal_mass_bins

Floats = NDArray[np.float64]
Measure = Callable[[Floats, Floats], float | None]
Weighted = Callable[[Floats, Floats, Floats], float | None]


def _told(p: ArrayLike, e: ArrayLike, weight: ArrayLike | None) -> tuple[Floats, Floats, Floats]:
    """Known rows of probability and event with their weights; rows of weight 0 are unknown."""
    x, y = np.asarray(p, dtype=np.float64), np.asarray(e, dtype=np.float64)
    w = np.ones(len(x)) if weight is None else np.asarray(weight, dtype=np.float64)
    if x.shape != y.shape or x.shape != w.shape or x.ndim != 1:
        raise ValueError(f"expected vectors of one length, found {x.shape}, {y.shape} and weights {w.shape}")
    known = np.isfinite(x) & np.isfinite(y) & (w > 0)
    return x[known], y[known], w[known]


def _known(a: ArrayLike, b: ArrayLike) -> tuple[Floats, Floats]:
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"expected two vectors of one length, found {x.shape} and {y.shape}")
    known = np.isfinite(x) & np.isfinite(y)
    return x[known], y[known]


def base_rate(event: ArrayLike, weight: ArrayLike | None = None) -> float | None:
    """Share of events; None without rows."""
    _, e, w = _told(event, event, weight)
    return float(np.average(e, weights=w)) if len(e) else None


def auc(probability: ArrayLike, event: ArrayLike, weight: ArrayLike | None = None) -> float | None:
    """Area under the ROC curve; None with one class only."""
    p, e, w = _told(probability, event, weight)
    return float(roc_auc_score(e, p, sample_weight=w)) if 0 < e.sum() < len(e) else None


def average_precision(probability: ArrayLike, event: ArrayLike, weight: ArrayLike | None = None) -> float | None:
    """Average precision; None without an event."""
    p, e, w = _told(probability, event, weight)
    return float(average_precision_score(e, p, sample_weight=w)) if e.sum() > 0 else None


def brier(probability: ArrayLike, event: ArrayLike, weight: ArrayLike | None = None) -> float | None:
    """Mean squared error of the probability; None without rows."""
    p, e, w = _told(probability, event, weight)
    return float(np.average((p - e) ** 2, weights=w)) if len(e) else None


def ece(probability: ArrayLike, event: ArrayLike, weight: ArrayLike | None = None, bins: int = 10) -> float | None:
    """Expected calibration error: over equal-mass bins, the mean of |mean prediction − observed rate| weighted by rows.

    Equal mass (not equal width): failures are rare, and nearly all rows would share the lowest bin otherwise.
    """
    p, e, w = _told(probability, event, weight)
    if not len(e):
        return None
    which = equal_mass_bins(p, bins)
    gaps = np.bincount(which, weights=w * (p - e))
    return float(np.abs(gaps).sum() / w.sum())


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


def bootstrap(measure: Measure | Weighted, a: ArrayLike, b: ArrayLike, groups: ArrayLike | None = None, *,
              times: int = 200, confidence: float = 0.9, seed: int = 7, weight: ArrayLike | None = None
              ) -> tuple[float, float] | None:
    """Percentile interval of `measure(a, b)`, or of `measure(a, b, weight)` where there are weights.

    Whole groups (equipments, lots) are drawn with replacement. Rows of one group depend on each other, so rows are
    never drawn singly unless `groups` is None. None where the measure is defined in fewer than half of the resamples,
    or with fewer than two groups.
    """
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    ids = np.arange(len(x)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    count = int(ids.max(initial=-1)) + 1
    if count < 2:
        return None
    order = np.argsort(ids, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(ids, minlength=count))[:-1])
    rng = np.random.default_rng(seed)
    more = () if weight is None else (np.asarray(weight, dtype=np.float64),)
    values = []
    for _ in range(times):
        rows = np.concatenate([members[g] for g in rng.integers(0, count, count)])
        value = measure(x[rows], y[rows], *(m[rows] for m in more))
        if value is not None:
            values.append(value)
    if len(values) * 2 < times:
        return None
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
