"""When will it fail, and how? A discrete-time hazard with competing failure modes, by gradient-boosted trees.

Time after the cut-off is divided into intervals [e0, e1), [e1, e2), ... . A row (one equipment at one cut-off) is
followed through them while it is at risk; each interval is one training example whose target is "failed in here"
(person-period form; Singer & Willett, J. Educ. Stat. 18, 1993; trees: Bou-Hamad, Larocque & Ben-Ameur, Stat. Surv.
5, 2011). With hazard h_k = P(fails in k | at risk at its start) and share s_mk = P(mode m | fails in k):

    S(e_k) = (1 - h_0) ... (1 - h_{k-1})        F_m(e_{k+1}) = F_m(e_k) + S(e_k) h_k s_mk

so that the risk of each mode rises with the horizon and the modes sum to the risk of any failure, by construction
(cause-specific cumulative incidence; Tutz & Schmid, Modeling Discrete Time-to-Event Data, 2016, ch. 8).

Censored rows are kept: they are at risk up to their censoring. Of the interval in which a row is censored it brings
the share that was observed, as the weight of an example without failure: dropping that part would overstate the
hazard, because failures in it would have been counted.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator

from models import boosting
from plant.errors import SteadylineError

Floats = NDArray[np.float64]

DEFAULTS: dict[str, Any] = {
    "learning_rate": 0.04, "num_leaves": 31, "min_data_in_leaf": 50, "feature_fraction": 0.7,
    "bagging_fraction": 0.8, "bagging_freq": 1, "lambda_l2": 5.0,
}
_CHUNK_CELLS = 20_000_000
# The tail beyond the last edge is exponential; a hazard of 0 would make the expected life infinite.
_LEAST_RATE = 1e-6


def edges_from_horizons(horizons_h: Sequence[float]) -> tuple[float, ...]:
    """Interval edges (hours) that hold every horizon: [0, h1] is cut at h1/4 and h1/2, each later gap in two.

    24, 72, 168 h give 0, 6, 12, 24, 48, 72, 120, 168.
    """
    wanted = [float(h) for h in horizons_h]
    if not wanted or wanted[0] <= 0 or any(b <= a for a, b in itertools.pairwise(wanted)):
        raise SteadylineError("bad_horizons", f"The horizons are {wanted} hours.", "positive, strictly increasing")
    edges = [0.0, wanted[0] / 4, wanted[0] / 2, wanted[0]]
    for a, b in itertools.pairwise(wanted):
        edges += [(a + b) / 2, b]
    return tuple(edges)


class HazardModel(BaseEstimator):
    """Risk of each failure mode within each horizon, and remaining life, for rows of features.

    edges_h: interval edges in hours, from 0, strictly increasing; horizons are best among them.
    params: LightGBM settings over `DEFAULTS`; rounds: trees; seed: everything random.
    num_threads: of training and large predictions; never changes the result.
    max_cells: bound on values of the expanded training matrix (float32). Above it, examples of rows without a
        failure are sampled and weighted up; rows with a failure are all kept.
    min_mode_rows: a mode seen in fewer rows has no own trees; its share is its share in training.
    min_events: with fewer rows that fail before the last edge the fit is refused (`too_few_failures`).
    strata_column: column of X that holds a code (0, 1, ...) of the kind of machine. A mode that was never seen on a
        kind is not predicted for it; a kind without any failure keeps all modes. None: one kind.
    explain_h: horizon whose interval `contributions` explains unless told otherwise; None: the first edge.

    Fitted: boosters `hazard_`, `modes_` (or None), `n_modes_`, `prior_` (share of each mode), `n_features_in_`.
    """

    def __init__(self, edges_h: Sequence[float], params: Mapping[str, Any] | None = None, rounds: int = 300,
                 seed: int = 7, *, num_threads: int | None = None, max_cells: int = 200_000_000,
                 min_mode_rows: int = 50, min_events: int = 10, explain_h: float | None = None,
                 strata_column: int | None = None):
        self.edges_h = edges_h
        self.params = params
        self.rounds = rounds
        self.seed = seed
        self.num_threads = num_threads
        self.max_cells = max_cells
        self.min_mode_rows = min_mode_rows
        self.min_events = min_events
        self.explain_h = explain_h
        self.strata_column = strata_column

    # ---- fitting ---------------------------------------------------------------------------------

    def fit(self, X: ArrayLike, duration_h: ArrayLike, mode: ArrayLike, n_modes: int | None = None) -> HazardModel:
        """Learn from rows that failed or were censored.

        X: (n, p), NaN = not known. duration_h: (n,) hours from the cut-off to the failure or the censoring.
        mode: (n,) 0 .. m-1 for a failure, -1 where the row was censored at `duration_h` (not a failure!).
        n_modes: number of modes where some may not occur in these rows.
        A failure at exactly an edge belongs to the interval that starts there, as labels look at [t, t + h).
        """
        edges = self._edges()
        x = boosting.matrix(X)
        duration, modes = _targets(duration_h, mode, len(x))
        self.n_features_in_ = x.shape[1]
        self.n_modes_ = max(int(modes.max(initial=-1)) + 1, n_modes or 1)
        inside = (modes >= 0) & (duration < edges[-1])
        if int(inside.sum()) < self.min_events:
            raise SteadylineError(
                "too_few_failures", f"{int(inside.sum())} of {len(x)} rows fail within {edges[-1]:g} h.",
                f"at least {self.min_events} rows",
                "Load a longer history, widen the population, or add longer horizons.")
        self.prior_ = np.bincount(modes[inside], minlength=self.n_modes_) / inside.sum()
        self.priors_ = self._strata_priors(x, modes)
        settings = {**DEFAULTS, **(self.params or {})}
        settings.pop("objective", None)
        rows, interval, target, weight = self._examples(duration, modes, edges)
        expanded = _expanded(x, rows, interval)
        self.hazard_ = boosting.train(expanded, target, {**settings, "objective": "binary"}, self.rounds,
                                      seed=self.seed, weight=weight, num_threads=self.num_threads)
        del expanded
        self._fit_modes(x[inside], duration[inside], modes[inside], edges, settings)
        return self

    def _strata_priors(self, x: Floats, modes: NDArray[np.int64]) -> Floats:
        """(strata + 1, modes): share of each mode by kind of machine; the last row is for kinds without a failure."""
        if self.strata_column is None:
            return self.prior_[None, :]
        code = x[:, self.strata_column]
        told = (modes >= 0) & np.isfinite(code)
        count = int(np.nanmax(code, initial=-1.0)) + 1
        seen = np.zeros((count + 1, self.n_modes_))
        np.add.at(seen, (code[told].astype(np.int64), modes[told]), 1.0)
        total = seen.sum(axis=1, keepdims=True)
        return np.where(total > 0, seen / np.maximum(total, 1.0), self.prior_[None, :])

    def _priors_of(self, x: Floats) -> Floats:
        """(n, modes): the prior of each row's kind of machine."""
        if self.strata_column is None:
            return np.broadcast_to(self.prior_, (len(x), self.n_modes_))
        code = x[:, self.strata_column]
        known = np.isfinite(code) & (code >= 0) & (code < len(self.priors_) - 1)
        return np.asarray(self.priors_[np.where(known, code, len(self.priors_) - 1).astype(np.int64)])

    def _examples(self, duration: Floats, modes: NDArray[np.int64], edges: Floats
                  ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
        """Row, interval, target and weight of each example (person-period)."""
        starts, widths = edges[:-1], np.diff(edges)
        seen = np.clip((duration[:, None] - starts) / widths, 0.0, 1.0)  # share of the interval the row was watched
        failed = (modes[:, None] >= 0) & (duration[:, None] >= starts) & (duration[:, None] < edges[1:])
        weight = np.where(failed, 1.0, np.where((modes[:, None] >= 0) & (seen < 1.0), 0.0, seen))
        keep = np.ones(len(duration), dtype=bool)
        wanted = self.max_cells // (self.n_features_in_ + 1)
        if int((weight > 0).sum()) > wanted:
            quiet = np.asarray(~failed.any(axis=1))
            room = wanted - int((weight[~quiet] > 0).sum())
            share = float(np.clip(room / max(1, int((weight[quiet] > 0).sum())), 0.02, 1.0))
            keep = ~quiet | (np.random.default_rng(self.seed).random(len(duration)) < share)
            weight = np.where(quiet[:, None], weight / share, weight)
        rows, interval = np.nonzero((weight > 0) & keep[:, None])
        return (rows, interval, failed[rows, interval].astype(np.float32), weight[rows, interval].astype(np.float32))

    def _fit_modes(self, x: Floats, duration: Floats, modes: NDArray[np.int64], edges: Floats,
                   settings: dict[str, Any]) -> None:
        """Trees for the share of each mode that is seen often enough; the others share one pooled class."""
        self.modes_: lgb.Booster | None = None
        counts = np.bincount(modes, minlength=self.n_modes_)
        large = np.flatnonzero(counts >= self.min_mode_rows)
        rare = np.flatnonzero((counts < self.min_mode_rows) & (counts > 0))
        self.classes_ = [[int(m)] for m in large] + ([[int(m) for m in rare]] if len(rare) else [])
        if len(self.classes_) < 2 or len(large) == 0:
            self.classes_ = [list(range(self.n_modes_))]
            return
        of_mode = np.zeros(self.n_modes_, dtype=np.int64)
        for c, members in enumerate(self.classes_):
            of_mode[members] = c
        interval = np.searchsorted(edges, duration, side="right") - 1
        expanded = _expanded(x, np.arange(len(x)), interval)
        # every class is one tree a round: fewer rounds keep the fit about as long as the hazard's
        rounds = max(20, self.rounds // len(self.classes_))
        leaf = min(int(settings["min_data_in_leaf"]), max(5, len(x) // 50))
        params = {**settings, "objective": "multiclass", "num_class": len(self.classes_), "min_data_in_leaf": leaf}
        self.modes_ = boosting.train(expanded, of_mode[modes].astype(np.float32), params, rounds,
                                     seed=self.seed, num_threads=self.num_threads)

    # ---- predicting ------------------------------------------------------------------------------

    def predict_risk(self, X: ArrayLike, horizons_h: Sequence[float]) -> Floats:
        """(n, m, k): probability of failing by mode m within horizon k (hours, any up to the last edge).

        Between edges the hazard is constant in time. Sums over modes and single modes both rise with the horizon.
        """
        edges = self._edges()
        wanted = np.asarray(horizons_h, dtype=np.float64)
        if wanted.ndim != 1 or len(wanted) == 0 or not np.all((wanted >= 0) & (wanted <= edges[-1])):
            raise SteadylineError("bad_horizons", f"The horizons are {wanted.tolist()} hours.",
                                  f"from 0 to {edges[-1]:g} h, which the model was trained for")
        x = boosting.matrix(X, self._fitted())
        out = np.empty((len(x), self.n_modes_, len(wanted)))
        at = np.clip(np.searchsorted(edges, wanted, side="left") - 1, 0, len(edges) - 2)
        part = (wanted - edges[at]) / np.diff(edges)[at]
        for rows, hazard, share in self._intervals(x, with_modes=True):
            survival = _survival(hazard)
            incidence = np.zeros((len(hazard), self.n_modes_, len(edges)))
            np.cumsum(survival[:, None, :-1] * hazard[:, None, :] * share, axis=2, out=incidence[:, :, 1:])
            within = survival[:, at] * -np.expm1(part * np.log1p(-hazard[:, at]))
            out[rows] = incidence[:, :, at] + within[:, None, :] * share[:, :, at]
        return np.clip(out, 0.0, 1.0)

    def predict_survival(self, X: ArrayLike) -> Floats:
        """(n, number of edges): probability of no failure up to each edge; 1 at the first."""
        x = boosting.matrix(X, self._fitted())
        out = np.empty((len(x), len(self._edges())))
        for rows, hazard, _ in self._intervals(x, with_modes=False):
            out[rows] = _survival(hazard)
        return out

    def predict_remaining_life(self, X: ArrayLike) -> pd.DataFrame:
        """Hours to the next failure of any mode: expected_h, median_h, lower_h, upper_h (a 50 % interval), beyond.

        Inside the edges the hazard is constant within each interval. Beyond the last edge nothing was learnt: the
        hazard of the last interval goes on (an exponential tail), and `beyond` is True where the median lies there,
        so that it is to be read as "more than the last edge".
        """
        edges = self._edges()
        survival = self.predict_survival(X)
        widths = np.diff(edges)
        log_s = np.log(np.maximum(survival, 1e-300))
        rate = np.maximum(-np.diff(log_s, axis=1) / widths, 0.0)
        tail = np.maximum(rate[:, -1], _LEAST_RATE)
        fallen = survival[:, :-1] - survival[:, 1:]
        inside = np.where(rate > 1e-12, fallen / np.maximum(rate, 1e-12), survival[:, :-1] * widths).sum(axis=1)
        out = {"expected_h": inside + survival[:, -1] / tail}
        for name, level in (("median_h", 0.5), ("lower_h", 0.75), ("upper_h", 0.25)):
            k = np.clip((survival > level).sum(axis=1) - 1, 0, len(widths))  # last edge still above the level
            rates = np.maximum(np.column_stack([rate, tail])[np.arange(len(k)), k], 1e-12)
            out[name] = edges[k] + np.maximum(log_s[np.arange(len(k)), k] - np.log(level), 0.0) / rates
        return pd.DataFrame({**out, "beyond": survival[:, -1] > 0.5})

    def contributions(self, X: ArrayLike, horizon_h: float | None = None) -> Floats:
        """(n, p + 1): TreeSHAP contributions to the log-odds of failing in the interval that ends at `horizon_h`.

        The last column is the expectation; what the interval itself contributes is folded into it, so that a row
        still sums to the raw score (`raw_score`). Source: Lundberg & Lee 2017, as computed by LightGBM.
        """
        x = boosting.matrix(X, self._fitted())
        parts = self.hazard_.predict(self._at_horizon(x, horizon_h), pred_contrib=True, num_threads=self._threads(x))
        values = np.asarray(parts, dtype=np.float64)
        return np.column_stack([values[:, :-2], values[:, -2] + values[:, -1]])

    def raw_score(self, X: ArrayLike, horizon_h: float | None = None) -> Floats:
        """(n,): log-odds of failing in the interval that ends at `horizon_h`, given no failure before it."""
        x = boosting.matrix(X, self._fitted())
        raw = self.hazard_.predict(self._at_horizon(x, horizon_h), raw_score=True, num_threads=self._threads(x))
        return np.asarray(raw, dtype=np.float64)

    def _at_horizon(self, x: Floats, horizon_h: float | None) -> Floats:
        edges = self._edges()
        horizon = horizon_h if horizon_h is not None else self.explain_h if self.explain_h is not None else edges[1]
        k = int(np.clip(np.searchsorted(edges, horizon, side="left") - 1, 0, len(edges) - 2))
        return np.column_stack([x, np.full(len(x), float(k))])

    def _intervals(self, x: Floats, *, with_modes: bool) -> Any:
        """Chunks of (rows, hazard (n, K), share of modes (n, m, K))."""
        count = len(self._edges()) - 1
        step = max(1, _CHUNK_CELLS // (count * (x.shape[1] + 1)))
        for start in range(0, len(x), step):
            part = x[start:start + step]
            wide = np.empty((len(part) * count, x.shape[1] + 1))
            wide.reshape(len(part), count, -1)[:, :, :-1] = part[:, None, :]
            wide[:, -1] = np.tile(np.arange(count, dtype=np.float64), len(part))
            workers = self._threads(wide)
            hazard = np.asarray(self.hazard_.predict(wide, num_threads=workers)).reshape(len(part), count)
            share = self._shares(wide, len(part), count, workers) if with_modes else np.empty(0)
            yield slice(start, start + len(part)), np.clip(hazard, 0.0, 1.0 - 1e-12), share

    def _shares(self, wide: Floats, n: int, count: int, workers: int) -> Floats:
        prior = self._priors_of(wide[::count])[:, :, None]
        if self.modes_ is None:
            return np.broadcast_to(prior, (n, self.n_modes_, count))
        of_class = np.asarray(self.modes_.predict(wide, num_threads=workers)).reshape(n, count, len(self.classes_))
        share = np.zeros((n, self.n_modes_, count))
        for c, members in enumerate(self.classes_):
            within = prior[:, members] / np.maximum(prior[:, members].sum(axis=1, keepdims=True), 1e-12)
            share[:, members, :] = of_class[:, :, c][:, None, :] * within
        total = share.sum(axis=1, keepdims=True)
        return np.where(total > 1e-12, share / np.maximum(total, 1e-12), prior)

    # ---- state -----------------------------------------------------------------------------------

    def save(self, folder: Path | str) -> list[str]:
        """Write hazard.json, hazard.txt and (with several modes) modes.txt into `folder`; their names."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        names = ["hazard.json", "hazard.txt"]
        boosting.write(self.hazard_, folder / "hazard.txt")
        if self.modes_ is not None:
            boosting.write(self.modes_, folder / "modes.txt")
            names.append("modes.txt")
        state = {
            "edges_h": self._edges().tolist(), "params": dict(self.params or {}), "rounds": self.rounds,
            "seed": self.seed, "min_mode_rows": self.min_mode_rows, "min_events": self.min_events,
            "explain_h": self.explain_h, "n_features": self.n_features_in_, "n_modes": self.n_modes_,
            "prior": self.prior_.tolist(), "priors": self.priors_.tolist(), "strata_column": self.strata_column,
            "classes": self.classes_,
        }
        (folder / "hazard.json").write_bytes(json.dumps(state, sort_keys=True, indent=1).encode("utf-8"))
        return names

    @classmethod
    def load(cls, folder: Path | str) -> HazardModel:
        """Read what `save` wrote."""
        folder = Path(folder)
        state = json.loads((folder / "hazard.json").read_text(encoding="utf-8"))
        model = cls(state["edges_h"], state["params"], state["rounds"], state["seed"], explain_h=state["explain_h"],
                    min_mode_rows=state["min_mode_rows"], min_events=state["min_events"],
                    strata_column=state["strata_column"])
        model.n_features_in_, model.n_modes_ = state["n_features"], state["n_modes"]
        model.prior_, model.classes_ = np.asarray(state["prior"]), state["classes"]
        model.priors_ = np.asarray(state["priors"])
        model.hazard_ = boosting.read(folder / "hazard.txt")
        path = folder / "modes.txt"
        model.modes_ = boosting.read(path) if path.exists() else None
        return model

    def _edges(self) -> Floats:
        edges = np.asarray(self.edges_h, dtype=np.float64)
        if edges.ndim != 1 or len(edges) < 2 or edges[0] != 0 or not np.all(np.diff(edges) > 0):
            raise SteadylineError("bad_horizons", f"The interval edges are {edges.tolist()} hours.",
                                  "strictly increasing from 0")
        return edges

    def _fitted(self) -> int:
        if not hasattr(self, "hazard_"):
            raise SteadylineError("not_fitted", "The hazard model was not trained.", "", "Call fit first.")
        return int(self.n_features_in_)

    def _threads(self, wide: Floats) -> int:
        return 1 if len(wide) <= 64 else boosting.threads(self.num_threads)


def _expanded(x: Floats, rows: NDArray[np.int64], interval: NDArray[np.int64]) -> NDArray[np.float32]:
    wide = np.empty((len(rows), x.shape[1] + 1), dtype=np.float32)
    np.take(x.astype(np.float32), rows, axis=0, out=wide[:, :-1])
    wide[:, -1] = interval
    return wide


def _survival(hazard: Floats) -> Floats:
    return np.concatenate([np.ones((len(hazard), 1)), np.cumprod(1.0 - hazard, axis=1)], axis=1)


def _targets(duration_h: ArrayLike, mode: ArrayLike, n: int) -> tuple[Floats, NDArray[np.int64]]:
    duration = np.asarray(duration_h, dtype=np.float64)
    codes = np.asarray(mode)
    wrong = []
    if duration.shape != (n,) or codes.shape != (n,):
        wrong.append(f"found {n} rows, {duration.shape} durations and {codes.shape} modes, allowed: one of each a row")
    if not np.all(np.isfinite(duration) & (duration >= 0)):
        wrong.append("duration_h: found negative or missing values, allowed: hours from 0")
    if len(codes) and (not np.issubdtype(codes.dtype, np.integer) or codes.min() < -1):
        wrong.append("mode: found values other than -1 (censored), 0, 1, ...")
    if wrong:
        raise SteadylineError("bad_labels", "The labels cannot be used.", "", "", wrong)
    return duration, codes.astype(np.int64)
