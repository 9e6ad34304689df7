"""What will the laboratory find, and how sure is that? One attribute at one stage gate.

LightGBM regressions give the expected value. Residuals of predictions made *before* their result was known give its
distribution. They come from a rolling origin inside the training rows (fit on the past, predict the next block), so
none of them was seen by the trees that made it; whether the trees make the absolute or the squared error small, and of
the value or of its difference from a naive forecast, is chosen there as well. Intervals and P(out of spec) are read
from one conformal predictive distribution (`models.conformal`), which needs no out-of-specification batch in the
history.

Plants drift, so three things keep the coverage on later time: residuals are divided by the recent error level (an
exponentially weighted mean of the absolute residuals known at the time, half-life `half_life` results), only the
`window` latest ones count, and the level of an interval is adapted to what the latest would have needed. Results that
become known after the training may be passed as a `History`; the model itself never changes, and the same data give
the same answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import lightgbm as lgb
import numpy as np
from crepes import ConformalPredictiveSystem
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin

from models import boosting, rolling
from models.conformal import Distribution, Known, Reporting, known_residuals
from models.rolling import DEFAULTS, History, scale
from plant.errors import SteadylineError

__all__ = ["DEFAULTS", "AttributeModel", "History"]

Floats = NDArray[np.float64]
Target = Literal["auto", "level", "delta"]

#: `auto` follows a naive forecast only where its rolling-origin error is smaller by a tenth: a difference within the
#: noise of a few hundred results would choose by chance.
_CLEARLY = 0.9
#: The squared error is made small instead of the absolute one where this makes the absolute one of the rolling origin
#: smaller than this share: it learns the ends of the range better, unless single odd results draw it away.
_SQUARED, _BETTER = "regression", 0.97
#: Probabilities are read from so many times the window: what is rare was seldom seen in the latest results alone; many
#: times more would tell of the process that was (simulated plants: 5 times, calibration error before the start 0.031
#: instead of 0.026 at worst).
_TAIL = 2
#: Share of results at the smallest value from which on that value is the laboratory's reporting limit.
_AT_FLOOR = 0.05


class AttributeModel(RegressorMixin, BaseEstimator):
    """Expected value and distribution of one numeric quality attribute.

    params, rounds, seed: LightGBM settings over `DEFAULTS`. members: Boosters with different seeds, averaged. blocks:
    of the rolling origin. target: `level` learns the value, `delta` its difference from the first known of
    `base_columns` (columns of X holding a naive forecast: mean by lot, last by product), `auto` the value unless the
    difference had a clearly smaller error in the rolling origin. unused: columns of X that the model is not to learn
    from. half_life, window: see the module.
    min_rows: fewer are refused.

    Fitted: `boosters_`, `target_` and `objective_` (chosen), `errors_` (rolling-origin mean absolute error by target,
    with squared-error trees of the target chosen, and `naive`).
    """

    def __init__(self, params: Mapping[str, Any] | None = None, rounds: int = 300, seed: int = 7, *, members: int = 5,
                 blocks: int = 5, target: Target = "auto", base_columns: Sequence[int] = (),
                 unused: Sequence[int] = (), half_life: float = 150.0, window: int = 100, min_rows: int = 40,
                 num_threads: int | None = 1):
        self.params = params
        self.rounds = rounds
        self.seed = seed
        self.members = members
        self.blocks = blocks
        self.target = target
        self.base_columns = base_columns
        self.unused = unused
        self.half_life = half_life
        self.window = window
        self.min_rows = min_rows
        self.num_threads = num_threads

    # ---- fitting ---------------------------------------------------------------------------------

    def fit(self, X: ArrayLike, y: ArrayLike, at: ArrayLike | None = None, known_at: ArrayLike | None = None,
            learn: ArrayLike | None = None) -> AttributeModel:
        """X (n, p), NaN = not known; y (n,) numeric results; rows without a result are left out.

        at: (n,) when each prediction is made (times, or numbers such as a batch order); None: rows are in time order.
        known_at: (n,) when each result becomes known, same scale; None: just after its own `at`. A block of the
        rolling origin is predicted from results known by its start only.
        learn: (n,) rows that the trees learn from, None: all; the others tell only how large errors were.
        Raises SteadylineError `too_few_results`, `bad_labels`.
        """
        rows = rolling.examples(X, y, at, known_at, learn)
        x, values, made, known, taught = rows.x, rows.y, rows.made, rows.known, rows.taught
        self.n_features_in_ = rows.features
        if taught.sum() < self.min_rows:
            found = f"{taught.sum()} batches to learn from have a result of this attribute."
            raise SteadylineError("too_few_results", found, f"at least {self.min_rows}",
                                  "Load a longer history or leave the attribute out.")
        self.fallback_ = float(np.median(values))
        self.reporting_ = _reporting(values)
        base = self._base(x)
        self.base_mean_ = float(base.mean())
        x[:, list(self.unused)] = np.nan  # a column without values is in no tree
        given = (self.params or {}).get("objective")
        self.objective_ = str(given or DEFAULTS["objective"])
        rolled = {t: self._rolling(x, values, made, known, base, t) for t in self._targets()}
        first = np.isfinite(next(iter(rolled.values())))
        self.errors_ = {t: float(np.mean(np.abs(values - p)[first])) for t, p in rolled.items()}
        self.target_: str = next(iter(self.errors_))
        if self.target == "auto" and "delta" in self.errors_:
            clearly = self.errors_["delta"] < _CLEARLY * self.errors_["level"]
            self.target_ = "delta" if clearly else "level"
        point = rolled[self.target_]
        if given is None:
            first_choice, self.objective_ = self.objective_, _SQUARED
            other = self._rolling(x, values, made, known, base, self.target_)
            self.errors_[_SQUARED] = float(np.mean(np.abs(values - other)[first]))
            if self.errors_[_SQUARED] < _BETTER * self.errors_[self.target_]:
                point = other
            else:
                self.objective_ = first_choice
        if self.base_columns:
            self.errors_["naive"] = float(np.mean(np.abs(values - base)[first]))
        self.point_ = point[first]
        self.residual_, self.at_, self.known_at_ = values[first] - self.point_, made[first], known[first]
        self._prepare()
        self.boosters_ = self._train(x[taught], (values - (base if self.target_ == "delta" else 0.0))[taught])
        return self

    def _targets(self) -> list[str]:
        if self.target == "auto":
            return ["level", "delta"] if self.base_columns else ["level"]
        if self.target == "delta" and not self.base_columns:
            raise SteadylineError("bad_target", "target is 'delta', but no base column is named.", "level, auto",
                                  "Name the columns of the naive forecast in base_columns.")
        return [self.target]

    def _rolling(self, x: Floats, y: Floats, made: Floats, known: Floats, base: Floats, target: str) -> Floats:
        """Out-of-time predictions; NaN for the first rows, which nothing earlier can predict."""
        minus = base if target == "delta" else np.zeros(len(y))
        out = np.full(len(y), np.nan)
        for block, past in rolling.blocks(made, known, self.blocks, self.min_rows):
            boosters = self._train(x[past], y[past] - minus[past], kept=False)
            out[block] = minus[block] + _mean_prediction(boosters, x[block], 1)
        if not np.isfinite(out).any():
            raise SteadylineError("too_few_results", "No result was known before any later block began.",
                                  "results that become known while batches still go on",
                                  "Check `known_at`: the laboratory's delay is as long as the history.")
        return out

    def _train(self, x: Floats, y: Floats, *, kept: bool = True) -> list[lgb.Booster]:
        settings = {**DEFAULTS, **(self.params or {}), "objective": self.objective_}
        if settings["objective"] == "huber":  # its width is in the unit of y
            settings.setdefault("alpha", 0.5 * float(np.std(y)) or 1.0)
        return rolling.members(x, y, settings, self.rounds, seed=self.seed, count=self.members,
                               num_threads=self.num_threads, kept=kept)

    # ---- predicting ------------------------------------------------------------------------------

    def predict(self, X: ArrayLike) -> Floats:
        """(n,): expected result in the unit of y."""
        x = rolling.checked(self, X)
        return _mean_prediction(self.boosters_, x, self._threads(x)) + self._offset(x)

    def residuals(self, X: ArrayLike, y: ArrayLike) -> Floats:
        """(n,): result − prediction, for a `History`."""
        return np.asarray(y, dtype=np.float64) - self.predict(X)

    def history(self, X: ArrayLike, y: ArrayLike, at: ArrayLike, known_at: ArrayLike) -> History:
        """Results (n,) known since the training, of rows X (n, p) that were predicted at `at`; NaN = no result."""
        point = self.predict(X)
        return History(np.asarray(y, dtype=np.float64) - point, at, known_at, point)

    def predict_distribution(self, X: ArrayLike, at: ArrayLike | None = None, extra: History | None = None
                             ) -> Distribution:
        """Distribution of each row from the residuals known strictly before its `at`.

        at: (n,) when the prediction is made, on the scale of the fit; None: everything given is known.
        extra: results known since the training. A row with hardly any known residual gets infinite intervals.
        """
        point = self.predict(X)
        known = self._known_residuals(extra)
        when = np.full(len(point), np.inf) if at is None else scale(at)
        if when.shape != point.shape:
            raise SteadylineError("bad_matrix", f"Found {len(point)} rows and {when.shape} times.", "one for each row")
        sigma = np.empty(len(point))
        parts: list[tuple[NDArray[np.intp], ConformalPredictiveSystem]] = []
        tails: list[tuple[NDArray[np.intp], ConformalPredictiveSystem]] = []
        times, which = np.unique(when, return_inverse=True)
        for g, t in enumerate(times):
            rows, before = np.flatnonzero(which == g), known.before(t)
            sigma[rows] = known.error_level(before)
            for window, systems in ((self.window, parts), (_TAIL * self.window, tails)):
                residual, level = known.steps(before, window)
                systems.append((rows, ConformalPredictiveSystem().fit(residual, sigmas=level)))
        return Distribution(point, sigma, parts, self.reporting_, known, times, tails)

    def interval(self, X: ArrayLike, coverage: float, at: ArrayLike | None = None, extra: History | None = None
                 ) -> Floats:
        """(n, 2): closed interval that holds the result with probability `coverage`."""
        return self.predict_distribution(X, at, extra).interval(coverage)

    def prob_outside(self, X: ArrayLike, low: ArrayLike, high: ArrayLike, at: ArrayLike | None = None,
                     extra: History | None = None) -> Floats:
        """(n,): P(result outside [low, high]); either bound may be NaN."""
        return self.predict_distribution(X, at, extra).prob_outside(low, high)

    def contributions(self, X: ArrayLike) -> Floats:
        """(n, p + 1): TreeSHAP contributions in the unit of y; a row sums to its prediction, the last is expectation.

        With target `delta` the naive forecast's own part stands in the column it was read from.
        """
        x = rolling.checked(self, X)
        parts = [np.asarray(b.predict(x, pred_contrib=True, num_threads=self._threads(x))) for b in self.boosters_]
        out = np.mean(parts, axis=0)
        if self.target_ == "delta":
            out[:, -1] += self.base_mean_
            left = np.ones(len(x), dtype=bool)
            for column in self.base_columns:
                here = left & np.isfinite(x[:, column])
                out[here, column] += x[here, column] - self.base_mean_
                left &= ~here
            out[left, -1] += self.fallback_ - self.base_mean_
        return np.asarray(out, dtype=np.float64)

    _joined: tuple[History, Known] | None = None

    def _known_residuals(self, extra: History | None) -> Known:
        if extra is None:
            return self.known_
        last = self._joined  # read once: other threads predict too
        if last is not None and last[0] is extra:
            return last[1]
        residual = np.asarray(extra.residual, dtype=np.float64)
        point = np.full(len(residual), np.nan) if extra.point is None else np.asarray(extra.point, dtype=np.float64)
        more = [residual, scale(extra.at), scale(extra.known_at), point]
        fine = np.isfinite(more[0]) & np.isfinite(more[1]) & np.isfinite(more[2])
        old = (self.residual_, self.at_, self.known_at_, self.point_)
        joined = self._known(*(np.concatenate([a, b[fine]]) for a, b in zip(old, more, strict=True)))
        self._joined = extra, joined
        return joined

    def _known(self, residual: Floats, at: Floats, known_at: Floats, point: Floats) -> Known:
        level = max(float(np.mean(np.abs(self.residual_))), 1e-12)
        return known_residuals(residual, at, known_at, point, scale=level, half_life=self.half_life,
                               window=self.window, reporting=self.reporting_)

    def _prepare(self) -> None:
        """What follows from the training residuals alone."""
        self._joined = None
        self.known_ = self._known(self.residual_, self.at_, self.known_at_, self.point_)

    def _base(self, x: Floats) -> Floats:
        base = np.full(len(x), np.nan)
        for column in self.base_columns:
            base = np.where(np.isnan(base), x[:, column], base)
        return np.where(np.isnan(base), self.fallback_, base)

    def _offset(self, x: Floats) -> Floats | float:
        return self._base(x) if self.target_ == "delta" else 0.0

    def _threads(self, x: Floats) -> int:
        return 1 if len(x) <= 256 else boosting.threads(self.num_threads)

    # ---- state -----------------------------------------------------------------------------------

    def save(self, folder: Path | str) -> list[str]:
        """Write attribute.json and attribute.<member>.txt into `folder`; their names."""
        state = {"target": self.target_, "objective": self.objective_, "fallback": self.fallback_,
                 "base_mean": self.base_mean_, "reporting": asdict(self.reporting_)}
        return rolling.write(self, folder, "attribute", state, _KEPT)

    @classmethod
    def load(cls, folder: Path | str) -> AttributeModel:
        """Read what `save` wrote."""
        model, state = rolling.read(cls, folder, "attribute", _KEPT)
        model.target_, model.fallback_, model.base_mean_ = state["target"], state["fallback"], state["base_mean"]
        model.objective_ = state["objective"]
        model.reporting_ = Reporting(**state["reporting"])
        model._prepare()
        return model


_KEPT = ("residual", "at", "known_at", "point")


def _mean_prediction(boosters: list[lgb.Booster], x: Floats, threads: int) -> Floats:
    return np.asarray(np.mean([b.predict(x, num_threads=threads) for b in boosters], axis=0), dtype=np.float64)


def _reporting(values: Floats) -> Reporting:
    """How results are written, read off those to learn from."""
    decimals = next((d for d in range(7) if np.allclose(values, np.round(values, d), rtol=0.0, atol=1e-9)), None)
    least = float(values.min())
    return Reporting(decimals, least if decimals is not None and np.mean(values == least) >= _AT_FLOOR else None)
