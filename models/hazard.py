"""When will it fail, and how? A discrete-time hazard with competing failure modes, by gradient-boosted trees.

Time after the cut-off is divided into intervals [e0, e1), [e1, e2), ... . A row (one equipment at one cut-off) is
followed through them while it is at risk; each interval is one training example whose target is "failed in here"
(`models.person_period`; trees: Bou-Hamad, Larocque & Ben-Ameur, Stat. Surv. 5, 2011). With hazard h_k = P(fails in k |
at risk at its start) and share s_mk = P(mode m | fails in k):

    S(e_k) = (1 - h_0) ... (1 - h_{k-1})        F_m(e_{k+1}) = F_m(e_k) + S(e_k) h_k s_mk

so that the risk of each mode rises with the horizon and the modes sum to the risk of any failure, by construction
(cause-specific cumulative incidence; Tutz & Schmid, Modeling Discrete Time-to-Event Data, 2016, ch. 8). Censored rows
are kept: they are at risk up to their censoring. Trees start from the observed hazard of each interval, so that
they only learn who differs from it (`models.hazard_trees`). Beyond the last edge: `models.tail`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import Tags

from models import boosting
from models.hazard_input import BadInput, NotFitted, checked_matrix, constant, targets
from models.hazard_trees import HazardTrees, Training, expanded
from models.person_period import checked_edges, edges_from_horizons, interval_hazard
from models.tail import TAIL_ROWS, Curve, Tail, anchor_of
from plant.errors import SteadylineError

__all__ = ["HazardModel", "edges_from_horizons"]

Floats = NDArray[np.float64]

DEFAULTS: dict[str, Any] = {
    "learning_rate": 0.04, "num_leaves": 31, "min_data_in_leaf": 50, "feature_fraction": 0.7,
    "bagging_fraction": 0.8, "bagging_freq": 1, "lambda_l2": 5.0,
}
#: Hours; what `edges_from_horizons` makes of 24, 72 and 168 h.
EDGES_H = (0.0, 6.0, 12.0, 18.0, 24.0, 48.0, 72.0, 120.0, 168.0)
#: What a prediction rests on: the row's features, the rates of its kind of machine, or those of all machines.
BASES = ("features", "class", "population")
_CHUNK_CELLS = 20_000_000
_LEAST_HAZARD, _MOST_HAZARD = 1e-12, 1.0 - 1e-12


class HazardModel(BaseEstimator):
    """Risk of each failure mode within each horizon, and remaining life, for rows of features.

    edges_h: interval edges in hours, from 0, strictly increasing; horizons are best among them.
    params: LightGBM settings over `DEFAULTS`; rounds: trees; seed: everything random.
    num_threads: of training and large predictions; never changes the result.
    examples_per_row: above 50,000 examples, so many for each row at most: those of rows without a failure are sampled
        and weighted up, those of rows with a failure are all kept.
    max_cells: bound on values of the expanded training matrix (float32), kept in the same way.
    min_mode_rows: modes seen in fewer rows have no trees of their own: they are pooled, and share what the pool gets
        as they did in training (`mode_rows_`, `classes_` tell).
    min_events: with fewer rows that fail before the last edge the fit is refused (`too_few_failures`).
    strata_column: column of X that holds a code (0, 1, ...) of the kind of machine. A mode that was never seen on a
        kind is not predicted for it; a kind without any failure keeps all modes. None: one kind.
    own_rows: a kind with so many rows that fail before the last edge also gets trees of its own; None: no kind does
        (`models.hazard_trees`).
    explain_h: horizon whose interval `contributions` explains unless told otherwise; None: the first edge.

    A row of which nothing is known (all features but the kind are NaN) gets the rates of its kind in training, and a
    kind that training did not hold those of all machines; their remaining life has the interval of the whole kind,
    and of an unknown kind one from the lowest bound of any kind to the highest. `predict_remaining_life` says which.

    Fitted: `hazard_` (trees), `modes_` (booster or None), `tail_`, `n_modes_`, `prior_` (share of each mode),
    `mode_rows_`, `constant_` (columns that never vary), `n_features_in_`, `feature_names_in_` where X had names.
    """

    def __init__(self, edges_h: Sequence[float] = EDGES_H, params: Mapping[str, Any] | None = None, rounds: int = 300,
                 seed: int = 7, *, num_threads: int | None = None, max_cells: int = 200_000_000,
                 examples_per_row: float = 2.0, min_mode_rows: int = 50, min_events: int = 10,
                 explain_h: float | None = None, strata_column: int | None = None, own_rows: int | None = None):
        self.edges_h = edges_h
        self.params = params
        self.rounds = rounds
        self.seed = seed
        self.num_threads = num_threads
        self.max_cells = max_cells
        self.examples_per_row = examples_per_row
        self.min_mode_rows = min_mode_rows
        self.min_events = min_events
        self.explain_h = explain_h
        self.strata_column = strata_column
        self.own_rows = own_rows

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.required = True
        tags.target_tags.positive_only = True
        return tags

    # ---- fitting ---------------------------------------------------------------------------------

    def fit(self, X: ArrayLike, duration_h: ArrayLike, mode: ArrayLike | None = None,
            n_modes: int | None = None) -> HazardModel:
        """Learn from rows that failed or were censored.

        X: (n, p), NaN = not known. duration_h: (n,) hours from the cut-off to the failure or the censoring.
        mode: (n,) 0 .. m-1 for a failure, -1 where the row was censored at `duration_h` (not a failure!); None: all
        rows failed, in one mode.
        n_modes: number of modes where some may not occur in these rows.
        A failure at exactly an edge belongs to the interval that starts there, as labels look at [t, t + h).
        Raises SteadylineError: `bad_horizons`, `bad_matrix`, `bad_labels`, `too_few_failures`, `constant_features`.
        """
        edges = checked_edges(self.edges_h)
        x = self._matrix(X, fitting=True)
        duration, modes = targets(duration_h, mode, len(x))
        self.n_modes_ = max(int(modes.max(initial=-1)) + 1, n_modes or 1)
        inside = (modes >= 0) & (duration < edges[-1])
        if int(inside.sum()) < self.min_events:
            raise BadInput(
                "too_few_failures", f"{int(inside.sum())} of n_samples = {len(x)} rows fail within {edges[-1]:g} h.",
                f"at least {self.min_events} rows",
                "Load a longer history, widen the population, or add longer horizons.")
        self.constant_ = constant(x)
        if len(self.constant_) == x.shape[1]:
            raise BadInput("constant_features", f"None of {x.shape[1]} features varies, n_samples = {len(x)}.",
                           "at least one feature that varies",
                           "Check sources and windows; without such a feature the base rate is all there is.")
        self.mode_rows_ = np.bincount(modes[inside], minlength=self.n_modes_)
        self.prior_ = self.mode_rows_ / inside.sum()
        self._fit_kinds(x, duration, modes, edges)
        settings = {**DEFAULTS, **(self.params or {})}
        settings.pop("objective", None)
        how = Training(settings, self.rounds, self.seed, self.num_threads, self.max_cells, self.examples_per_row)
        self.hazard_ = HazardTrees.fit(x, duration, modes, edges, self._kinds(x), _logit(self.rates_), how,
                                       self.own_rows)
        self._fit_modes(x[inside], duration[inside], modes[inside], edges, settings)
        self.tail_, anchor = Tail(), anchor_of(duration, modes >= 0, edges)
        if anchor is not None:
            later = np.flatnonzero(duration > edges[anchor])
            if len(later) > TAIL_ROWS:
                later = np.sort(np.random.default_rng(self.seed).choice(later, TAIL_ROWS, replace=False))
            self.tail_ = Tail.fit(duration[later], modes[later] >= 0, self._survival(x[later]), edges, anchor)
        return self

    def _fit_kinds(self, x: Floats, duration: Floats, modes: NDArray[np.int64], edges: Floats) -> None:
        """By kind of machine, and in the last row for all of them: share of each mode, hazard of each interval."""
        kinds, self.unknown_kinds_ = self._kinds(x), False
        if self.strata_column is not None:
            self.unknown_kinds_ = bool((kinds < 0).any())
        count = int(kinds.max(initial=-1)) + 1
        seen = np.zeros((count + 1, self.n_modes_))
        told = (modes >= 0) & (kinds >= 0)
        np.add.at(seen, (kinds[told], modes[told]), 1.0)
        total = seen.sum(axis=1, keepdims=True)
        self.priors_ = np.where(total > 0, seen / np.maximum(total, 1.0), self.prior_[None, :])
        self.kind_rows_ = np.bincount(kinds[kinds >= 0], minlength=count)
        rates = [interval_hazard(duration[kinds == k], modes[kinds == k], edges) for k in range(count)]
        self.rates_ = np.array([*rates, interval_hazard(duration, modes, edges)])

    def _kinds(self, x: Floats) -> NDArray[np.int64]:
        """(n,): code of each row's kind of machine, -1 = not known."""
        if self.strata_column is None:
            return np.full(len(x), -1, dtype=np.int64)
        code = x[:, self.strata_column]
        return np.where(np.isfinite(code) & (code >= 0), code, -1.0).astype(np.int64)

    def _basis(self, x: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(n,) place among BASES, and (n,) row of `rates_` and `priors_`: the kind's, else that of all machines."""
        kinds, last = self._kinds(x), len(self.rates_) - 1
        seen = (kinds >= 0) & (kinds < last)
        seen[seen] = self.kind_rows_[kinds[seen]] > 0
        bare = np.isnan(np.delete(x, self.strata_column, axis=1) if self.strata_column is not None else x).all(axis=1)
        basis = np.where(bare, np.where(seen, 1, 2), 0)
        if self.strata_column is not None:
            basis[~seen & ~((kinds < 0) & self.unknown_kinds_)] = 2
        return basis, np.where(seen, kinds, last)

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
        wide = expanded(x, np.arange(len(x)), interval)
        # every class is one tree a round: fewer rounds keep the fit about as long as the hazard's
        rounds = max(20, self.rounds // len(self.classes_))
        leaf = min(int(settings["min_data_in_leaf"]), max(5, len(x) // 50))
        params = {**settings, "objective": "multiclass", "num_class": len(self.classes_), "min_data_in_leaf": leaf}
        self.modes_ = boosting.train(wide, of_mode[modes].astype(np.float32), params, rounds,
                                     seed=self.seed, num_threads=self.num_threads)

    # ---- predicting ------------------------------------------------------------------------------

    def predict_risk(self, X: ArrayLike, horizons_h: Sequence[float]) -> Floats:
        """(n, m, k): probability of failing by mode m within horizon k (hours, any up to the last edge).

        Between edges the hazard is constant in time. Sums over modes and single modes both rise with the horizon.
        """
        edges = checked_edges(self.edges_h)
        wanted = np.asarray(horizons_h, dtype=np.float64)
        if wanted.ndim != 1 or len(wanted) == 0 or not np.all((wanted >= 0) & (wanted <= edges[-1])):
            raise SteadylineError("bad_horizons", f"The horizons are {wanted.tolist()} hours.",
                                  f"from 0 to {edges[-1]:g} h, which the model was trained for")
        x = self._matrix(X)
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
        return self._survival(self._matrix(X))

    def predict(self, X: ArrayLike) -> Floats:
        """(n,): expected hours to the next failure, as in `predict_remaining_life`."""
        edges = checked_edges(self.edges_h)
        return Curve(self.predict_survival(X), edges, self.tail_).expected_h()

    def predict_remaining_life(self, X: ArrayLike, level: float = 0.5) -> pd.DataFrame:
        """Hours to the next failure of any mode: expected_h, median_h, lower_h, upper_h, beyond, basis.

        level: probability that the failure falls between lower_h and upper_h (0.5, 0.8 and 0.9 are usual), with
        equal parts outside on either side. Inside the edges the hazard is constant within each interval; beyond the
        last one a Weibull tail goes on (`models.tail`), and `beyond` is True where the median lies there: it rests
        on the lives of others that lasted so long, not on this row's features alone. basis: one of `BASES`.
        Raises SteadylineError (`bad_level`) for a level outside (0, 1).
        """
        if not 0.0 < level < 1.0:
            raise SteadylineError("bad_level", f"The level of the interval is {level}.", "between 0 and 1, such as 0.8")
        edges, x = checked_edges(self.edges_h), self._matrix(X)
        survival = self._survival(x)
        curve = Curve(survival, edges, self.tail_)
        lower, upper = curve.reaches_h((1.0 + level) / 2.0), curve.reaches_h((1.0 - level) / 2.0)
        basis = self._basis(x)[0]
        foreign = basis == 2
        if foreign.any() and len(self.rates_) > 1:  # any of the known kinds may be like it
            kinds = Curve(_survival(self.rates_[:-1][self.kind_rows_ > 0]), edges, self.tail_)
            lower[foreign] = np.minimum(lower[foreign], kinds.reaches_h((1.0 + level) / 2.0).min())
            upper[foreign] = np.maximum(upper[foreign], kinds.reaches_h((1.0 - level) / 2.0).max())
        return pd.DataFrame({
            "expected_h": curve.expected_h(), "median_h": curve.reaches_h(0.5), "lower_h": lower, "upper_h": upper,
            "beyond": survival[:, -1] > 0.5, "basis": np.array(BASES, dtype=object)[basis],
        })

    def contributions(self, X: ArrayLike, horizon_h: float | None = None) -> Floats:
        """(n, p + 1): TreeSHAP contributions to the log-odds of failing in the interval that ends at `horizon_h`.

        The last column is the expectation; what the interval itself contributes is folded into it, so that a row
        still sums to the raw score (`raw_score`). A row that rests on rates has no contributions but that one.
        Source: Lundberg & Lee 2017, as computed by LightGBM.
        """
        x, k = self._matrix(X), self._interval_of(horizon_h)
        wide = np.column_stack([x, np.full(len(x), float(k))])
        out = self.hazard_.contributions(wide, self._kinds(x), self._threads(x))
        basis, row = self._basis(x)
        out[basis > 0] = 0.0
        out[basis > 0, -1] = _logit(self.rates_[row[basis > 0], k])
        return out

    def raw_score(self, X: ArrayLike, horizon_h: float | None = None) -> Floats:
        """(n,): log-odds of failing in the interval that ends at `horizon_h`, given no failure before it."""
        x, k = self._matrix(X), self._interval_of(horizon_h)
        wide = np.column_stack([x, np.full(len(x), float(k))])
        raw = self.hazard_.log_odds(wide, self._kinds(x), self._threads(x))
        basis, row = self._basis(x)
        return np.where(basis > 0, _logit(self.rates_[row, k]), raw)

    def _interval_of(self, horizon_h: float | None) -> int:
        edges = checked_edges(self.edges_h)
        horizon = horizon_h if horizon_h is not None else self.explain_h if self.explain_h is not None else edges[1]
        return int(np.clip(np.searchsorted(edges, horizon, side="left") - 1, 0, len(edges) - 2))

    def _survival(self, x: Floats) -> Floats:
        out = np.empty((len(x), len(self.rates_[0]) + 1))
        for rows, hazard, _ in self._intervals(x, with_modes=False):
            out[rows] = _survival(hazard)
        return out

    def _intervals(self, x: Floats, *, with_modes: bool) -> Iterator[tuple[slice, Floats, Floats]]:
        """Chunks of (rows, hazard (n, K), share of modes (n, m, K))."""
        count = len(self.rates_[0])
        step = max(1, _CHUNK_CELLS // (count * (x.shape[1] + 1)))
        for start in range(0, len(x), step):
            part = x[start:start + step]
            wide = np.empty((len(part) * count, x.shape[1] + 1))
            wide.reshape(len(part), count, -1)[:, :, :-1] = part[:, None, :]
            wide[:, -1] = np.tile(np.arange(count, dtype=np.float64), len(part))
            workers = self._threads(wide)
            raw = self.hazard_.log_odds(wide, np.repeat(self._kinds(part), count), workers)
            hazard = 1.0 / (1.0 + np.exp(-raw.reshape(len(part), count)))
            basis, row = self._basis(part)
            hazard = np.where(basis[:, None] > 0, self.rates_[row], hazard)
            share = self._shares(wide, basis, row, workers) if with_modes else np.empty(0)
            yield slice(start, start + len(part)), np.clip(hazard, _LEAST_HAZARD, _MOST_HAZARD), share

    def _shares(self, wide: Floats, basis: NDArray[np.int64], row: NDArray[np.int64], workers: int) -> Floats:
        n, count = len(basis), len(self.rates_[0])
        prior = self.priors_[row][:, :, None]
        if self.modes_ is None:
            return np.broadcast_to(prior, (n, self.n_modes_, count))
        of_class = np.asarray(self.modes_.predict(wide, num_threads=workers)).reshape(n, count, len(self.classes_))
        share = np.zeros((n, self.n_modes_, count))
        for c, members in enumerate(self.classes_):
            within = prior[:, members] / np.maximum(prior[:, members].sum(axis=1, keepdims=True), 1e-12)
            share[:, members, :] = of_class[:, :, c][:, None, :] * within
        total = share.sum(axis=1, keepdims=True)
        known = (total > 1e-12) & (basis == 0)[:, None, None]
        return np.where(known, share / np.maximum(total, 1e-12), prior)

    # ---- state -----------------------------------------------------------------------------------

    def save(self, folder: Path | str) -> list[str]:
        """Write hazard.json, the trees and (with several modes) modes.txt into `folder`; their names."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        names = ["hazard.json", *self.hazard_.save(folder)]
        if self.modes_ is not None:
            boosting.write(self.modes_, folder / "modes.txt")
            names.append("modes.txt")
        arrays = {name: getattr(self, f"{name}_").tolist() for name in _ARRAYS}
        state = {
            "edges_h": checked_edges(self.edges_h).tolist(), "params": dict(self.params or {}),
            **{name: getattr(self, name) for name in _PLAIN}, **arrays, "n_features": self.n_features_in_,
            "n_modes": self.n_modes_, "classes": self.classes_, "unknown_kinds": self.unknown_kinds_,
            "tail": self.tail_.as_dict(),
        }
        (folder / "hazard.json").write_bytes(json.dumps(state, sort_keys=True, indent=1).encode("utf-8"))
        return names

    @classmethod
    def load(cls, folder: Path | str) -> HazardModel:
        """Read what `save` wrote."""
        folder = Path(folder)
        state = json.loads((folder / "hazard.json").read_text(encoding="utf-8"))
        model = cls(state["edges_h"], state["params"], **{name: state[name] for name in _PLAIN})
        model.n_features_in_, model.n_modes_ = state["n_features"], state["n_modes"]
        model.classes_, model.unknown_kinds_ = state["classes"], state["unknown_kinds"]
        for name in _ARRAYS:
            setattr(model, f"{name}_", np.asarray(state[name]))
        model.tail_ = Tail.from_dict(state["tail"])
        model.hazard_ = HazardTrees.load(folder, _logit(model.rates_))
        path = folder / "modes.txt"
        model.modes_ = boosting.read(path) if path.exists() else None
        return model

    def _matrix(self, X: ArrayLike, *, fitting: bool = False) -> Floats:
        """X as (n, p) float64 in C order. Raises NotFitted, BadInput and BadType (`bad_matrix`)."""
        if not fitting and not hasattr(self, "hazard_"):
            raise NotFitted
        return checked_matrix(self, X, fitting=fitting)

    def _threads(self, wide: Floats) -> int:
        return 1 if len(wide) <= 64 else boosting.threads(self.num_threads)


_PLAIN = ("rounds", "seed", "examples_per_row", "min_mode_rows", "min_events", "explain_h", "strata_column", "own_rows")
_ARRAYS = ("prior", "priors", "rates", "kind_rows", "mode_rows", "constant")


def _survival(hazard: Floats) -> Floats:
    return np.concatenate([np.ones((len(hazard), 1)), np.cumprod(1.0 - hazard, axis=1)], axis=1)


def _logit(p: Floats) -> Floats:
    return np.asarray(np.log(p) - np.log1p(-p))
