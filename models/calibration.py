"""Make a probability mean what it says, per horizon, on rows later than the fit.

Isotonic regression where there are enough failures, a logistic line (Platt) where there are few, nothing where there
are hardly any; which one was used is recorded and can be shown. The corrected curve is made monotone over horizons by
a running maximum; the shares of failure modes are kept. State is JSON.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from plant.errors import SteadylineError

Floats = NDArray[np.float64]
Method = Literal["isotonic", "logistic", "none"]

#: Fewer rows of either class allow no isotonic steps, still fewer no line.
ISOTONIC_LEAST, LOGISTIC_LEAST = 100, 20
_EDGE = 1e-9
#: Isotonic steps are flat and end at 0 and 1. A little of the uncorrected probability keeps the ranking within a step,
#: and no machine is ever said to be certain to run or to fail.
_BLEND = 0.02


@dataclass(frozen=True)
class HorizonCalibration:
    """One horizon's correction and what it was learnt from; `note` says it in words."""

    horizon_h: float
    method: Method
    rows: int
    events: int
    note: str
    x: tuple[float, ...] = ()
    y: tuple[float, ...] = ()
    slope: float = 1.0
    intercept: float = 0.0

    def apply(self, p: Floats) -> Floats:
        """Corrected probabilities, any shape; a rising function of `p`."""
        if self.method == "isotonic":
            steps = np.interp(p, self.x, self.y)
            return np.asarray((1.0 - _BLEND) * steps + _BLEND * p, dtype=np.float64)
        if self.method == "logistic":
            return 1.0 / (1.0 + np.exp(-(self.slope * _logit(p) + self.intercept)))
        return p


@dataclass(frozen=True)
class Calibration:
    """Corrections of all horizons of a curve, in order."""

    horizons: tuple[HorizonCalibration, ...] = field(default_factory=tuple)

    @classmethod
    def fit(cls, horizons_h: Sequence[float], probability: ArrayLike, event: ArrayLike,
            weight: ArrayLike | None = None) -> Calibration:
        """Learn from rows later than those the model was fitted on.

        probability: (n, k) predicted risk of any failure by horizon; event: (n, k) 1 failed within the horizon, 0
        did not, NaN not known (censored before the horizon): such rows are left out of that horizon only.
        weight: (n, k) how many rows each one stands for (`models.censoring.within`), so that leaving them out does
        not overstate the risk; None: one each.
        """
        p = np.asarray(probability, dtype=np.float64)
        e = np.asarray(event, dtype=np.float64)
        w = np.ones(e.shape) if weight is None else np.asarray(weight, dtype=np.float64)
        if p.ndim != 2 or p.shape != e.shape or p.shape != w.shape or p.shape[1] != len(horizons_h):
            raise SteadylineError(
                "bad_calibration", f"Found {p.shape} probabilities, {e.shape} events and {w.shape} weights.",
                f"(rows, {len(horizons_h)}) of all")
        return cls(tuple(_fit_one(float(h), p[:, k], e[:, k], w[:, k]) for k, h in enumerate(horizons_h)))

    def apply_total(self, probability: ArrayLike) -> Floats:
        """(n, k) -> (n, k): corrected risk of any failure, never falling along the horizons."""
        p = np.asarray(probability, dtype=np.float64)
        if p.ndim != 2 or p.shape[1] != len(self.horizons):
            raise SteadylineError("bad_calibration", f"The risks have shape {p.shape}.",
                                  f"(rows, {len(self.horizons)}), the calibrated horizons")
        out = np.column_stack([c.apply(p[:, k]) for k, c in enumerate(self.horizons)])
        return np.clip(np.maximum.accumulate(out, axis=1), 0.0, 1.0)

    def apply(self, risk: ArrayLike) -> Floats:
        """(n, m, k) -> (n, m, k): the modes of each row scaled so that they sum to the corrected risk of any failure.

        Each mode is made monotone over horizons too: what a mode gains from one horizon to the next is its share of
        what the sum gains, so that both properties hold at once.
        """
        r = np.asarray(risk, dtype=np.float64)
        total = self.apply_total(r.sum(axis=1))
        out = np.zeros_like(r)
        before_raw, before = np.zeros(r.shape[:2]), np.zeros(r.shape[:2])
        level = np.zeros(len(r))
        for k in range(r.shape[2]):
            gain = np.maximum(r[:, :, k] - before_raw, 0.0)
            weights = np.where(gain.sum(axis=1, keepdims=True) > 1e-15, gain, r[:, :, k] + 1e-300)
            share = weights / weights.sum(axis=1, keepdims=True)
            before = before + share * (total[:, k] - level)[:, None]
            before_raw, level = r[:, :, k], total[:, k]
            out[:, :, k] = before
        return out

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {"horizons": [{**c.__dict__, "x": list(c.x), "y": list(c.y)} for c in self.horizons]}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Calibration:
        """From the JSON form."""
        return cls(tuple(
            HorizonCalibration(**{**c, "x": tuple(c["x"]), "y": tuple(c["y"])}) for c in data["horizons"]
        ))


def _fit_one(horizon: float, p: Floats, e: Floats, w: Floats) -> HorizonCalibration:
    known = np.isfinite(e) & np.isfinite(p) & (w > 0)
    p, e = p[known], e[known]
    w = w[known] / w[known].mean() if known.any() else w[known]
    rows, events = len(e), int(e.sum())
    fewer = min(events, rows - events)
    if fewer < LOGISTIC_LEAST:
        return HorizonCalibration(horizon, "none", rows, events,
                                  f"not corrected: {events} failing rows of {rows} are too few to correct by")
    if fewer < ISOTONIC_LEAST:
        model = LogisticRegression(C=1e6).fit(_logit(p)[:, None], e, sample_weight=w)
        slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
        if slope <= 0:  # a falling line would turn the ranking round; keep the level only
            slope, intercept = 1.0, _level(p, e, w)
        return HorizonCalibration(horizon, "logistic", rows, events,
                                  f"logistic line: {events} failing rows of {rows} are few", (), (), slope, intercept)
    # One made-up row at either end, so that a step of a few rows that all failed does not say "certain".
    ends, made_up, weight = [p.min(), p.max()], [1.0, 0.0], [float(np.average(e, weights=w)), 1.0]
    steps = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(
        np.append(p, ends), np.append(e, made_up), sample_weight=np.append(w, weight))
    x, y = np.asarray(steps.X_thresholds_, dtype=np.float64), np.asarray(steps.y_thresholds_, dtype=np.float64)
    return HorizonCalibration(horizon, "isotonic", rows, events, f"isotonic: {events} failing rows of {rows}",
                              tuple(x.tolist()), tuple(y.tolist()))


def _level(p: Floats, e: Floats, w: Floats) -> float:
    """Shift on the logit scale that makes the mean probability the observed rate (bisection)."""
    low, high, z, rate = -20.0, 20.0, _logit(p), np.average(e, weights=w)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if np.average(1 / (1 + np.exp(-(z + middle))), weights=w) < rate else (low, middle)
    return (low + high) / 2


def _logit(p: Floats) -> Floats:
    q = np.clip(p, _EDGE, 1 - _EDGE)
    return np.asarray(np.log(q / (1 - q)))


@dataclass(frozen=True)
class ReliabilityBin:
    """One bin of a reliability curve: mean prediction against the observed rate with its Wilson interval.

    effective: rows that would tell as much if they were independent and of equal weight; the interval is theirs.
    """

    predicted: float
    observed: float
    low: float
    high: float
    rows: int
    events: int
    effective: float

    def as_dict(self) -> dict[str, float]:
        """JSON form."""
        return dict(self.__dict__)


def equal_mass_bins(p: Floats, bins: int) -> NDArray[np.int64]:
    """Bin of each row: at most `bins` bins of about the same number of rows; equal probabilities stay together."""
    edges = np.unique(np.quantile(p, np.linspace(0, 1, bins + 1)[1:-1], method="higher")) if len(p) else np.empty(0)
    return np.searchsorted(edges, p, side="left").astype(np.int64)


def reliability(probability: ArrayLike, event: ArrayLike, bins: int = 10, confidence: float = 0.9,
                weight: ArrayLike | None = None, groups: ArrayLike | None = None) -> list[ReliabilityBin]:
    """Reliability curve over equal-mass bins; rows whose event is NaN are left out. Empty input gives [].

    weight: (n,) how many rows each one stands for (`models.censoring.within`). groups: (n,) equipment of each row: many
    rows see the same failure, and the interval is widened to what the equipments differ by (the variance of a ratio
    over clusters; Cochran, Sampling Techniques, 1977, ch. 6).
    """
    p, e = np.asarray(probability, dtype=np.float64), np.asarray(event, dtype=np.float64)
    w = np.ones(len(p)) if weight is None else np.asarray(weight, dtype=np.float64)
    ids = np.arange(len(p)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    known = np.isfinite(e) & np.isfinite(p) & (w > 0)
    p, e, w, ids = p[known], e[known], w[known], ids[known]
    which = equal_mass_bins(p, bins)
    out = []
    for b in np.unique(which):
        inside = which == b
        rate = float(np.average(e[inside], weights=w[inside]))
        effective = _effective(e[inside] - rate, w[inside], ids[inside], rate)
        low, high = wilson(rate * effective, effective, confidence)
        out.append(ReliabilityBin(float(np.average(p[inside], weights=w[inside])), rate, low, high,
                                  int(inside.sum()), int(e[inside].sum()), effective))
    return out


def _effective(residual: Floats, w: Floats, ids: NDArray[np.int64], rate: float) -> float:
    """Independent rows of equal weight whose mean varies as much; at most what the weights alone leave."""
    most = float(w.sum() ** 2 / np.sum(w**2))
    by_group = np.bincount(ids, weights=w * residual)
    variance = float(np.sum(by_group**2)) / float(w.sum() ** 2)
    if variance <= 0.0:  # all alike: as many as there are groups, which is the least that can be said
        return min(most, float(len(np.unique(ids))))
    return float(np.clip(rate * (1.0 - rate) / variance, 1.0, most))


def wilson(events: float, n: float, confidence: float = 0.9) -> tuple[float, float]:
    """Wilson's score interval of a share (JASA 22, 1927); (0, 1) for no rows."""
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    rate, scale = events / n, 1 + z * z / n
    middle = (rate + z * z / (2 * n)) / scale
    half = z / scale * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)
