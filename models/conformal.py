"""Conformal predictive distributions whose coverage holds on later time.

Residuals of predictions made *before* their result was known, divided by the recent error level, are the steps of one
distribution (Vovk et al. 2017; `crepes`): quantiles, intervals and probabilities are read from it and agree.

Where a process drifts, residuals are not exchangeable and such intervals cover more or less than they say. So the
nominal level of an interval is adapted to what happened since (Gibbs & Candès 2021; the integral term of Angelopoulos,
Candès & Tibshirani 2023): of every result that is known by now it is looked up which nominal level would have held it,
given what was known when it was predicted. The level taken is that which would have held the asked share of them,
recent ones counting more, moved by what the levels taken so far have missed or held too much. It is replayed from the
residuals, so the same data give the same intervals: nothing is learnt on the side.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from crepes import ConformalPredictiveSystem
from numpy.typing import ArrayLike, NDArray

from plant.errors import SteadylineError

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

#: Results that the error level is shrunk by towards the level of all training residuals.
_SHRINK = 10.0
#: Results after which one counts half when the level of an interval is chosen, and results the choice is shrunk by
#: towards the nominal level; fewer known results than `_FEW` choose nothing.
_HALF, _PRIOR, _FEW = 100.0, 20.0, 20
#: A miss too many (or too few) of the last `_WATCHED` moves the share that is aimed at by `_GAIN`.
_GAIN, _WATCHED = 0.003, 200
_LEVELS = np.linspace(0.005, 0.995, 199)


@dataclass(frozen=True)
class Reporting:
    """How a laboratory writes its results. decimals: fixed number of them; floor: its reporting limit."""

    decimals: int | None = None
    floor: float | None = None

    def bounds(self, values: Floats) -> Floats:
        """Bounds of an interval as the nearest reportable values: no result can lie between two steps."""
        out = values if self.floor is None else np.maximum(values, self.floor)
        return out if self.decimals is None else np.round(out, self.decimals) + 0.0

    def upper_share(self, level: Any, at_floor: Any) -> Any:
        """Share below the upper bound of an interval; at_floor: share of the distribution at the reporting limit.

        What lies at the limit is in the interval once its lower bound has come down to it, so that less than the whole
        lower tail is missed, and the upper bound need not be as high. Grows with the level: intervals stay nested.
        """
        return np.minimum((1 + level) / 2, np.maximum(level, 1 - at_floor))

    @property
    def half_step(self) -> float:
        """Half of the distance between two reportable values."""
        return 0.0 if self.decimals is None else 0.5 * 10.0**-self.decimals


@dataclass(frozen=True)
class Known:
    """Residuals in the order in which they were predicted, and what follows from each of them at its own time.

    residual, at, known_at, point (prediction): (h,). level: error level known at `at`. needed: smallest nominal level
    of an interval that would have held the result, from what was known at `at`; 1 where none would.
    """

    residual: Floats
    at: Floats
    known_at: Floats
    point: Floats
    level: Floats
    needed: Floats
    scale: float
    half_life: float
    window: int
    reporting: Reporting
    _taken: dict[float, Floats] = field(default_factory=dict, compare=False)

    def before(self, t: float) -> Rows:
        """Rows known strictly before t, in time order."""
        return np.flatnonzero(self.known_at < t)

    def error_level(self, rows: Rows) -> float:
        """Recent mean absolute residual of rows in time order."""
        return _error_level(self.residual[rows], self.scale, self.half_life)

    def steps(self, rows: Rows, window: int | None = None) -> tuple[Floats, Floats]:
        """Residuals and error levels of the `window` latest of the rows (default: that of intervals)."""
        latest = rows[-(window or self.window):]
        return self.residual[latest], self.level[latest]

    def nominal(self, coverage: float, t: float) -> float:
        """Nominal level that an interval at time t takes to hold the result with probability `coverage`."""
        return self._nominal(coverage, self.before(t), self._taken_levels(coverage))

    def _taken_levels(self, coverage: float) -> Floats:
        """Levels that were taken for the known results, replayed in time order."""
        if coverage not in self._taken:
            taken = np.full(len(self.at), coverage)
            for t in np.unique(self.at):
                taken[self.at == t] = self._nominal(coverage, self.before(t), taken)
            self._taken[coverage] = taken
        return self._taken[coverage]

    def _nominal(self, coverage: float, rows: Rows, taken: Floats) -> float:
        rows = rows[np.isfinite(self.needed[rows])]
        if len(rows) < _FEW:
            return coverage
        watched = rows[-_WATCHED:]
        missed = float(np.sum(coverage - (self.needed[watched] <= taken[watched])))
        spare = 1.0 - coverage
        aim = float(np.clip(coverage + _GAIN * missed, coverage - 0.5 * spare, coverage + 0.6 * spare))
        weight = 0.5 ** (np.arange(len(rows))[::-1] / _HALF)
        order = np.argsort(self.needed[rows], kind="stable")
        held = np.concatenate([[0.0], np.cumsum(weight[order])])
        held = held[np.searchsorted(self.needed[rows][order], _LEVELS + 1e-12, side="right")]
        share = (held + _PRIOR * _LEVELS) / (weight.sum() + _PRIOR)
        return float(_LEVELS[np.argmin(np.abs(share - aim))])


def known_residuals(residual: Floats, at: Floats, known_at: Floats, point: Floats, *, scale: float, half_life: float,
                    window: int, reporting: Reporting) -> Known:
    """`Known` of residuals in any order; all (h,), times as numbers. point: NaN where it is not known.

    A result that was known before its prediction was made leaves a residual only once that was made.
    """
    known_at = np.maximum(known_at, at)
    order = np.lexsort((known_at, at))
    residual, at, known_at, point = residual[order], at[order], known_at[order], point[order]
    level, needed = np.empty(len(at)), np.full(len(at), np.nan)
    for t in np.unique(at):
        now, before = np.flatnonzero(at == t), np.flatnonzero(known_at < t)
        level[now] = _error_level(residual[before], scale, half_life)
        latest = before[-window:]
        steps = np.sort(residual[latest] / level[latest])
        for i in now:
            needed[i] = _needed(steps, residual[i], point[i], level[i], reporting)
    return Known(residual, at, known_at, point, level, needed, scale, half_life, window, reporting)


def _error_level(residuals: Floats, scale: float, half_life: float) -> float:
    """Exponentially weighted mean absolute residual, shrunk towards `scale`; `residuals` in time order."""
    weights = 0.5 ** (np.arange(len(residuals))[::-1] / half_life)
    total = float(weights @ np.abs(residuals)) + _SHRINK * scale
    return total / (float(weights.sum()) + _SHRINK)


def _needed(steps: Floats, residual: float, point: float, level: float, reporting: Reporting) -> float:
    """Smallest of `_LEVELS` whose interval holds the result, 1 where none does; NaN where few steps are known."""
    n = len(steps)
    if n < _FEW:
        return float("nan")
    values = level * steps
    if np.isfinite(point):
        values, residual = reporting.bounds(point + values), float(reporting.bounds(np.array(point + residual)))
    floor = reporting.floor if np.isfinite(point) else None
    at_floor = 0.0 if floor is None else float(np.searchsorted(values, floor, side="right")) / (n + 1)
    low, high = _ranks(_LEVELS, n, reporting.upper_share(_LEVELS, at_floor))
    bounds = np.concatenate([[-np.inf], values, [np.inf]])
    closed = (low > 0) | (floor is not None)  # a reporting limit ends an interval that is open below
    inside = np.flatnonzero((bounds[low] <= residual) & (residual <= bounds[high]) & closed & (high <= n))
    return float(_LEVELS[inside[0]]) if len(inside) else 1.0


def _ranks(level: Any, n: int, upper: Any) -> tuple[Any, Any]:
    """Ranks (1..n; 0 and n + 1: infinite) of the steps that bound an interval, by crepes' rule: floor and ceiling."""
    low = np.floor(np.round((1 - level) / 2 * (n + 1), 9)).astype(int)
    return low, np.ceil(np.round(upper * (n + 1), 9)).astype(int)


class Distribution:
    """Conformal predictive distributions of n rows. Without `known` and `tails` all that is read from one agrees.

    The distribution function at v is (number of residual steps below v + half of those at v and of one more) /
    (residuals + 1): it never says 0 or 1, because the history is finite.
    """

    def __init__(self, point: Floats, sigma: Floats, parts: list[tuple[Rows, ConformalPredictiveSystem]],
                 reporting: Reporting | None = None, known: Known | None = None, times: Floats | None = None,
                 tails: list[tuple[Rows, ConformalPredictiveSystem]] | None = None):
        """parts: rows that share what was known. known, times (one a part): adapt the level of intervals; else none.

        tails: of more residuals than parts, what probabilities are read from; else parts.
        """
        self.point, self.sigma, self.reporting = point, sigma, reporting or Reporting()
        self._parts, self._known, self._times = parts, known, times
        self._tails = parts if tails is None else tails

    @property
    def decimals(self) -> int | None:
        """Decimals that results are reported with; None where they have no fixed number of them."""
        return self.reporting.decimals

    def interval(self, coverage: float) -> Floats:
        """(n, 2): closed interval; infinite where too few residuals are known for the coverage.

        Where the laboratory reports with fixed decimals, the bounds are the nearest reportable values: no result can
        lie between two steps, so nothing that the interval held is lost. Nor does it reach below a reporting limit.
        A wider coverage never has the narrower interval.
        """
        if not 0.0 < coverage < 1.0:
            raise SteadylineError("bad_coverage", f"The coverage is {coverage}.", "a share between 0 and 1")
        out = np.empty((len(self.point), 2))
        for g, (rows, system) in enumerate(self._parts):
            level, n = coverage, len(system.alphas)
            if self._known is not None and self._times is not None:
                most = 1.0 - 2.0 / (n + 1)  # beyond, bounds are infinite
                level = min(self._known.nominal(coverage, self._times[g]), max(coverage, most))
            low, high = _ranks(level, n, self.reporting.upper_share(level, self._at_floor(rows, system)))
            bounds = np.concatenate([[-np.inf], system.alphas, [np.inf]])
            out[rows, 0] = self.point[rows] + self.sigma[rows] * bounds[low]
            out[rows, 1] = self.point[rows] + self.sigma[rows] * bounds[high]
        return self.reporting.bounds(out)

    def _at_floor(self, rows: Rows, system: ConformalPredictiveSystem) -> Floats:
        """Share of each row's distribution at the reporting limit."""
        if self.reporting.floor is None:
            return np.zeros(len(rows))
        at = self.reporting.bounds(self.point[rows, None] + self.sigma[rows, None] * system.alphas)
        return (at <= self.reporting.floor).sum(axis=1) / (len(system.alphas) + 1)

    def quantile(self, share: float) -> Floats:
        """(n,): value that the result stays below with probability `share` (0..1); infinite where not known."""
        out = np.empty(len(self.point))
        for rows, system in self._parts:
            out[rows] = self._at(rows, system, share, np.ceil if share > 0.5 else np.floor)
        return out

    def below(self, value: ArrayLike) -> Floats:
        """(n,): P(result < value), for one value or one for each row; NaN where the value is NaN.

        NaN as well where fewer than twenty residuals are known: a share of so few would be no probability.
        """
        v = np.broadcast_to(np.asarray(value, dtype=np.float64), self.point.shape)
        out = np.empty(len(v))
        for rows, system in self._tails:
            steps = system.alphas
            # compared as values, by the same sum as the quantiles: dividing instead would miss a step by rounding
            at = self.point[rows, None] + self.sigma[rows, None] * steps
            left, right = (at < v[rows, None]).sum(axis=1), (at <= v[rows, None]).sum(axis=1)
            few = len(steps) < _FEW
            out[rows] = np.nan if few else (left + 0.5 * (right - left + 1)) / (len(steps) + 1)
        return np.where(np.isnan(v), np.nan, out)

    def prob_outside(self, low: ArrayLike, high: ArrayLike) -> Floats:
        """(n,): P(result outside [low, high]); a NaN bound is no bound; both NaN: NaN, nothing is specified.

        Of the result as it is reported: what is rounded to a limit is within it, so the limits stand half a step out.
        """
        lower, upper = self._limit(low, np.ceil, -1.0), self._limit(high, np.floor, 1.0)
        under, over = self.below(lower), 1.0 - self.below(upper)
        none = np.isnan(under) & np.isnan(over)
        return np.where(none, np.nan, np.clip(np.nan_to_num(under) + np.nan_to_num(over), 0.0, 1.0))

    def _limit(self, limit: ArrayLike, inwards: Any, outwards: float) -> Floats:
        """A limit, half a step beyond the last reportable value within it."""
        v, decimals = np.asarray(limit, dtype=np.float64), self.reporting.decimals
        if decimals is None:
            return v
        scale = 10.0**decimals
        return inwards(np.round(v * scale, 6)) / scale + outwards * self.reporting.half_step

    def _at(self, rows: Rows, system: ConformalPredictiveSystem, share: float, rounding: Any) -> Floats:
        steps = system.alphas
        # crepes' own rule: floor for lower bounds, ceiling for upper ones, in (residuals + 1) steps
        k = int(rounding(round(share * (len(steps) + 1), 9))) - 1
        z = -np.inf if k < 0 else np.inf if k >= len(steps) else steps[k]
        return self.point[rows] + self.sigma[rows] * z
