"""How much each feature tells alone: what a reviewer looks at first, and no proof of anything."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import rankdata

from training.audit_label import auc

TOO_GOOD = 0.97
_MOST = 1500  # rows of a side
_KEEP = 5


def powers(values: np.ndarray, event: np.ndarray) -> np.ndarray:
    """Per column the area under the ROC curve for `event` (1, 0, NaN unknown), in the better direction.

    An unknown value is a level of its own: the better of ranking the known ones and of being known counts.
    """
    yes, no = _some(event == 1), _some(event == 0)
    if len(yes) < 5 or len(no) < 5:
        return np.full(values.shape[1], np.nan)
    x = np.concatenate([values[yes], values[no]])
    sides = [auc(v[: len(yes)], v[len(yes):]) for v in (x, np.isfinite(x).astype(np.float64))]
    low = np.where(np.isfinite(x), x, -np.inf)
    sides.append(_with_empty(low, len(yes)))
    return np.max([np.maximum(s, 1 - s) for s in sides], axis=0)


def _with_empty(x: np.ndarray, n: int) -> np.ndarray:
    ranks = rankdata(x, axis=0)[:n].sum(axis=0)
    return np.asarray((ranks - n * (n + 1) / 2) / (n * (len(x) - n)))


def _some(rows: np.ndarray) -> np.ndarray:
    at = np.flatnonzero(rows)
    return at if len(at) <= _MOST else at[np.linspace(0, len(at) - 1, _MOST).astype(int)]


def correlations(values: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Per column the share of the variance of ranks of `y` that its own ranks explain, where both are known."""
    out = np.full(values.shape[1], np.nan)
    for j in range(values.shape[1]):
        rows = np.isfinite(values[:, j]) & np.isfinite(y)
        x, of = values[rows, j], y[rows]
        if len(x) >= 15 and len(np.unique(x)) > 1 and len(np.unique(of)) > 1:
            out[j] = np.corrcoef(rankdata(x), rankdata(of))[0, 1] ** 2
    return out


def strongest(names: list[str], power: np.ndarray, of: str, measure: str) -> list[dict[str, Any]]:
    """The five features that tell most of `of`, as JSON values."""
    order = [j for j in np.argsort(-np.nan_to_num(power, nan=-1.0), kind="stable")[:_KEEP] if np.isfinite(power[j])]
    return [{"of": of, "feature": names[j], "measure": measure, "value": round(float(power[j]), 4)} for j in order]
