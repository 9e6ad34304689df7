"""What a plant has without a model: the base rate, and age since the last failure. Training compares against them.

Both answer like `HazardModel.predict_risk`, (n, m, k), so that the same backtest judges all of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator

from plant.errors import SteadylineError

Floats = NDArray[np.float64]


class AgeModel(BaseEstimator):
    """Risk from the hours since the last failure alone: a piecewise-constant hazard of age, by exposure.

    Hazard in an age bin = failures at that age / hours watched at that age (occurrence/exposure rate), with
    left truncation: a row adds exposure from its age at the cut-off on. Bin edges are quantiles of the ages at
    failure. Rows whose age is not known (no failure so far) form a class of their own with one rate.
    P(fail within h | age a) = 1 − exp(−(H(a + h) − H(a))). Modes get their shares in training.

    look_ahead_h: follow each row no longer than this (the last horizon), so that no life counts many times over.
    """

    def __init__(self, look_ahead_h: float = 168.0, bins: int = 12):
        self.look_ahead_h = look_ahead_h
        self.bins = bins

    def fit(self, age_h: ArrayLike, duration_h: ArrayLike, mode: ArrayLike, n_modes: int | None = None) -> AgeModel:
        """age_h: (n,) hours since the last failure at the cut-off, NaN = none so far; duration_h, mode: as in
        `HazardModel.fit`. A `too_few_failures` is raised where nothing fails within the look-ahead."""
        age, duration, codes = (np.asarray(v, dtype=np.float64) for v in (age_h, duration_h, mode))
        watched = np.minimum(duration, self.look_ahead_h)
        failed = (codes >= 0) & (duration < self.look_ahead_h)
        if not failed.any():
            raise SteadylineError("too_few_failures", f"None of {len(age)} rows fails within {self.look_ahead_h:g} h.",
                                  "at least one failure", "Load a longer history or widen the population.")
        self.n_modes_ = max(int(codes.max()) + 1, n_modes or 1)
        self.prior_ = np.bincount(codes[failed].astype(int), minlength=self.n_modes_) / failed.sum()
        overall = failed.sum() / max(float(watched.sum()), 1e-9)
        aged = np.isfinite(age)
        self.rate_unknown_ = self._rate(failed[~aged], watched[~aged], overall)
        end = age[aged] + watched[aged]
        at_failure = end[failed[aged]]
        shares = np.linspace(0, 1, self.bins + 1)[1:-1]
        inner = np.unique(np.quantile(at_failure, shares)) if len(at_failure) else np.empty(0)
        self.edges_ = np.concatenate([[0.0], inner[inner > 0]])
        upper = np.append(self.edges_[1:], np.inf)
        rates = []
        for low, high in zip(self.edges_, upper, strict=True):
            exposure = np.clip(np.minimum(end, high) - np.maximum(age[aged], low), 0.0, None)
            events = failed[aged] & (end >= low) & (end < high)
            rates.append(self._rate(events, exposure, overall))
        self.rates_ = np.asarray(rates)
        return self

    @staticmethod
    def _rate(events: NDArray[np.bool_], exposure: Floats, overall: float) -> float:
        """Events per hour, with half an event at the overall rate added: a bin without failures is not safe."""
        return float((events.sum() + 0.5) / (exposure.sum() + 0.5 / overall))

    def predict_risk(self, age_h: ArrayLike, horizons_h: Sequence[float]) -> Floats:
        """(n, m, k): risk of each mode within each horizon (hours)."""
        age = np.asarray(age_h, dtype=np.float64)
        steps = np.concatenate([[0.0], np.cumsum(self.rates_[:-1] * np.diff(self.edges_))])

        def cumulative(t: Floats) -> Floats:
            k = np.searchsorted(self.edges_, t, side="right") - 1
            return np.asarray(steps[k] + self.rates_[k] * (t - self.edges_[k]))

        known = np.where(np.isfinite(age), np.maximum(age, 0.0), 0.0)
        start = cumulative(known)
        total = np.column_stack([
            1.0 - np.exp(-np.where(np.isfinite(age), cumulative(known + h) - start, self.rate_unknown_ * h))
            for h in horizons_h
        ])
        return np.asarray(total[:, None, :] * self.prior_[None, :, None])


class BaseRate(BaseEstimator):
    """The same risk for every row: exposure-weighted hazard by time after the cut-off, no feature used.

    Fitted like `HazardModel` on its interval edges, so censoring is treated alike.
    """

    def __init__(self, edges_h: Sequence[float]):
        self.edges_h = edges_h

    def fit(self, duration_h: ArrayLike, mode: ArrayLike, n_modes: int | None = None) -> BaseRate:
        """duration_h, mode: (n,), as in `HazardModel.fit`."""
        duration, codes = np.asarray(duration_h, dtype=np.float64), np.asarray(mode).astype(np.int64)
        edges = np.asarray(self.edges_h, dtype=np.float64)
        self.n_modes_ = max(int(codes.max(initial=-1)) + 1, n_modes or 1)
        counts = np.zeros((self.n_modes_, len(edges) - 1))
        survival = np.ones(len(edges))
        self.incidence_ = np.zeros((self.n_modes_, len(edges)))
        for k, (low, high) in enumerate(itertools.pairwise(edges)):
            failed = (codes >= 0) & (duration >= low) & (duration < high)
            whole = duration >= high
            part = (codes < 0) & (duration > low) & (duration < high)
            watched = failed.sum() + whole.sum() + float(((duration[part] - low) / (high - low)).sum())
            counts[:, k] = np.bincount(codes[failed], minlength=self.n_modes_) / max(watched, 1.0)
            self.incidence_[:, k + 1] = self.incidence_[:, k] + survival[k] * counts[:, k]
            survival[k + 1] = survival[k] * (1.0 - counts[:, k].sum())
        return self

    def predict_risk(self, n: int, horizons_h: Sequence[float]) -> Floats:
        """(n, m, k): the same risk for n rows; between edges interpolated in time."""
        edges = np.asarray(self.edges_h, dtype=np.float64)
        one = np.array([np.interp(horizons_h, edges, row) for row in self.incidence_])
        return np.repeat(one[None], n, axis=0)
