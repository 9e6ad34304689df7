"""Will a batch fail a test that only says pass or fail? One attribute at one stage gate.

LightGBM classifiers score a batch; the scores of a rolling origin inside the training rows (fit on the past, score the
next block) and of results known since calibrate them by Venn-Abers prediction (Vovk & Petej, UAI 2014): two isotonic
regressions, one as if the batch had passed and one as if it had failed, give two probabilities of which one is
calibrated without any assumption but exchangeability. The two say how sure the probability is; merged they are one.
It stands where an `AttributeModel` does: a result is 0 (passed) or 1 (failed), its upper limit 0.5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.isotonic import isotonic_regression

from models import rolling
from models.conformal import Floats, Reporting
from models.rolling import DEFAULTS, History, scale
from plant.errors import SteadylineError

LIMIT = 0.5
#: Unit of what is expected of such a test: the mean of results that are 0 or 1.
PROBABILITY = "probability of failing"
_LEAST_EACH = 5  # passed and failed batches below which nothing can be learnt


def venn_abers(scores: Floats, failed: Floats, asked: Floats) -> Floats:
    """(n, 2) probabilities of failing as if each asked score belonged to a batch that passed, and to one that failed.

    scores, failed (0 or 1): (c,) of the calibration; asked: (n,). Without calibration rows (0, 1): nothing is known.
    """
    values, which = np.unique(scores, return_inverse=True)
    count = np.bincount(which, minlength=len(values)).astype(np.float64)
    total = np.bincount(which, weights=failed, minlength=len(values))
    out, unique = np.empty((len(asked), 2)), np.unique(asked)
    for score in unique:
        k = int(np.searchsorted(values, score))
        there = k < len(values) and values[k] == score
        for label in (0, 1):
            c, t = (count.copy(), total.copy()) if there else (np.insert(count, k, 0.0), np.insert(total, k, 0.0))
            c[k], t[k] = c[k] + 1, t[k] + label
            out[asked == score, label] = isotonic_regression(t / c, sample_weight=c)[k]
    return out


class PassFail:
    """P(fail) of n rows, with the interface of a `Distribution` of results that are 0 or 1.

    point: (n,) merged probability; bounds: (n, 2) the two of Venn-Abers.
    """

    def __init__(self, bounds: Floats):
        self.bounds = bounds
        # the probability with the smallest worst log loss (Vovk & Petej 2014)
        self.point = bounds[:, 1] / (1.0 - bounds[:, 0] + bounds[:, 1])

    def interval(self, coverage: float) -> Floats:
        """(n, 2): equal-tailed interval of the result, 0 or 1 at either end."""
        if not 0.0 < coverage < 1.0:
            raise SteadylineError("bad_coverage", f"The coverage is {coverage}.", "a share between 0 and 1")
        tail = (1 - coverage) / 2
        return np.column_stack([1.0 - self.point < tail, self.point > tail]).astype(np.float64)

    def below(self, value: ArrayLike) -> Floats:
        """(n,): P(result < value); NaN where the value is NaN."""
        v = np.broadcast_to(np.asarray(value, dtype=np.float64), self.point.shape)
        return np.where(np.isnan(v), np.nan, np.where(v <= 0, 0.0, np.where(v <= 1, 1.0 - self.point, 1.0)))

    def prob_outside(self, low: ArrayLike, high: ArrayLike) -> Floats:
        """(n,): P(result outside [low, high]); a NaN bound is no bound; both NaN: NaN."""
        under, above = self.below(low), 1.0 - self.below(np.nextafter(np.asarray(high, dtype=np.float64), np.inf))
        none = np.isnan(under) & np.isnan(above)
        return np.where(none, np.nan, np.clip(np.nan_to_num(under) + np.nan_to_num(above), 0.0, 1.0))


class PassFailModel(ClassifierMixin, BaseEstimator):
    """P(fail) of a test that only says pass or fail. Parameters: as of `AttributeModel`."""

    target_ = "pass_fail"
    reporting_ = Reporting()

    def __init__(self, params: Mapping[str, Any] | None = None, rounds: int = 100, seed: int = 7, *, members: int = 5,
                 blocks: int = 5, unused: Sequence[int] = (), window: int = 1000, min_rows: int = 40,
                 num_threads: int | None = 1):
        self.params = params
        self.rounds = rounds
        self.seed = seed
        self.members = members
        self.blocks = blocks
        self.unused = unused
        self.window = window
        self.min_rows = min_rows
        self.num_threads = num_threads

    def fit(self, X: ArrayLike, y: ArrayLike, at: ArrayLike | None = None, known_at: ArrayLike | None = None,
            learn: ArrayLike | None = None) -> PassFailModel:
        """X (n, p); y (n,) 1 = failed, 0 = passed, NaN = no result; the others as of `AttributeModel.fit`.

        Raises SteadylineError `too_few_results`, `bad_labels`.
        """
        rows = rolling.examples(X, y, at, known_at, learn)
        x, failed, made, known, taught = rows.x, rows.y, rows.made, rows.known, rows.taught
        given = np.asarray(y, dtype=np.float64)
        if not np.isin(given[~np.isnan(given)], (0.0, 1.0)).all():
            raise SteadylineError("bad_labels", f"Found the results {np.unique(given)[:5]}.",
                                  "0 (passed), 1 (failed) or none, one for each row")
        self.n_features_in_, self.classes_ = rows.features, np.array([0.0, 1.0])
        least = int(min(failed[taught].sum(), (1 - failed[taught]).sum()))
        if taught.sum() < self.min_rows or least < _LEAST_EACH:
            found = f"{taught.sum()} batches to learn from were tested, {int(failed[taught].sum())} failed."
            raise SteadylineError("too_few_results", found,
                                  f"at least {self.min_rows}, of which {_LEAST_EACH} failed and {_LEAST_EACH} passed",
                                  "Load a longer history or leave the attribute out.")
        x[:, list(self.unused)] = np.nan
        scores = self._rolling(x, failed, made, known)
        told = np.isfinite(scores)
        self.score_, self.failed_, self.at_, self.known_at_ = scores[told], failed[told], made[told], known[told]
        rate = float(failed[told].mean())
        self.errors_ = {"brier": float(np.mean((venn_abers(self.score_, self.failed_, self.score_).mean(axis=1)
                                                - self.failed_) ** 2)), "naive": rate * (1 - rate)}
        self.boosters_ = self._train(x[taught], failed[taught])
        return self

    def _rolling(self, x: Floats, y: Floats, made: Floats, known: Floats) -> Floats:
        out = np.full(len(y), np.nan)
        for block, past in rolling.blocks(made, known, self.blocks, self.min_rows):
            if 0 < y[past].sum() < len(past):
                out[block] = self._raw(self._train(x[past], y[past], kept=False), x[block])
        if not np.isfinite(out).any():
            raise SteadylineError("too_few_results", "No failed and passed result was known before a later block.",
                                  "results of both kinds that become known while batches still go on")
        return out

    def _train(self, x: Floats, y: Floats, *, kept: bool = True) -> list[lgb.Booster]:
        settings = {**DEFAULTS, **(self.params or {}), "objective": "binary"}
        return rolling.members(x, y, settings, self.rounds, seed=self.seed, count=self.members,
                               num_threads=self.num_threads, kept=kept)

    def _raw(self, boosters: list[lgb.Booster], x: Floats) -> Floats:
        return np.asarray(np.mean([b.predict(x, raw_score=True, num_threads=1) for b in boosters], axis=0))

    def scores(self, X: ArrayLike) -> Floats:
        """(n,): log-odds of failing before calibration."""
        x = rolling.checked(self, X)
        return self._raw(self.boosters_, x)

    def predict(self, X: ArrayLike) -> Floats:
        """(n,): P(fail), calibrated on the results of the training."""
        return self.predict_distribution(X).point

    def history(self, X: ArrayLike, y: ArrayLike, at: ArrayLike, known_at: ArrayLike) -> History:
        """Results (n,) known since the training, of rows X (n, p) that were predicted at `at`; NaN = no result."""
        score = self.scores(X)
        return History(np.asarray(y, dtype=np.float64) - score, at, known_at, score)

    def predict_distribution(self, X: ArrayLike, at: ArrayLike | None = None, extra: History | None = None) -> PassFail:
        """P(fail) of each row, calibrated on the `window` latest results known strictly before its `at`."""
        score = self.scores(X)
        when = np.full(len(score), np.inf) if at is None else scale(at)
        s, y, made, known = self.score_, self.failed_, self.at_, self.known_at_
        if extra is not None and extra.point is not None:
            more = np.asarray(extra.point, dtype=np.float64)
            residual = np.asarray(extra.residual, dtype=np.float64)
            fine = np.isfinite(residual)
            later = (more, np.round(residual + more), scale(extra.at), scale(extra.known_at))
            s, y, made, known = (np.concatenate([a, b[fine]]) for a, b in zip((s, y, made, known), later, strict=True))
        order = np.lexsort((known, made))
        s, y, known = s[order], y[order], np.maximum(known, made)[order]
        bounds = np.empty((len(score), 2))
        for t in np.unique(when):
            rows, before = np.flatnonzero(when == t), np.flatnonzero(known < t)[-self.window:]
            bounds[rows] = venn_abers(s[before], y[before], score[rows])
        return PassFail(bounds)

    def contributions(self, X: ArrayLike) -> Floats:
        """(n, p + 1): TreeSHAP contributions to the log-odds before calibration; the last is the expectation."""
        x = rolling.checked(self, X)
        parts = [np.asarray(b.predict(x, pred_contrib=True, num_threads=1)) for b in self.boosters_]
        return np.asarray(np.mean(parts, axis=0), dtype=np.float64)

    def save(self, folder: Path | str) -> list[str]:
        """Write pass_fail.json and pass_fail.<member>.txt into `folder`; their names."""
        return rolling.write(self, folder, "pass_fail", {}, _KEPT)

    @classmethod
    def load(cls, folder: Path | str) -> PassFailModel:
        """Read what `save` wrote."""
        model, _ = rolling.read(cls, folder, "pass_fail", _KEPT)
        model.classes_ = np.array([0.0, 1.0])
        return model


_KEPT = ("score", "failed", "at", "known_at")
