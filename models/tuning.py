"""LightGBM settings of a hazard model, searched inside its training window.

Tree-structured Parzen estimator (Bergstra et al., NeurIPS 24, 2011) by Optuna, seeded, one trial after the other. Each
trial is judged on time: fitted on rows before an inner origin, their lives cut there, and judged by the Brier score of
the later rows (weighted for censoring, over that of the base rate; mean of horizons and origins). The number
of trials bounds the search; seconds only stop it early, which is told, because another machine may then stop elsewhere.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models import metrics
from models.censoring import within
from models.hazard import DEFAULTS, HazardModel
from plant.errors import SteadylineError

Floats = NDArray[np.float64]

#: Inner origins, as shares of the training window's time.
ORIGINS = (0.6, 0.8)


@dataclass(frozen=True)
class Tuned:
    """What a search found. `params` and `rounds` go into the model; score: see the module, 1 = the base rate's.

    stopped_early: the seconds ran out before the trials; then the same search may end elsewhere on another machine.
    """

    params: dict[str, Any]
    rounds: int
    score: float
    default_score: float
    trials: int
    wanted: int
    stopped_early: bool

    def as_dict(self) -> dict[str, Any]:
        """JSON form, without anything that depends on the clock but `stopped_early`."""
        return asdict(self)


def tune(make: Callable[[Mapping[str, Any], int], HazardModel], X: ArrayLike, duration_h: ArrayLike, mode: ArrayLike,
         at_h: ArrayLike, horizons_h: Sequence[float], *, params: Mapping[str, Any], rounds: int, trials: int,
         seconds: float | None, seed: int) -> Tuned:
    """Search settings on rows of the training window; nothing later is looked at.

    make: (params, rounds) -> an unfitted model. X: (n, p). duration_h, mode: (n,) as in `HazardModel.fit`, as known at
    the end of the window. at_h: (n,) hours from the start of the window to each row's cut-off; the window ends where
    the last row is censored by it, at the largest `at_h + duration_h`. params, rounds: settings to start from; taken to
    the limits of the search they are its first trial, so that it never ends worse by its own measure.
    Raises SteadylineError (`too_few_failures`) where no inner origin leaves failures on both sides.
    """
    import optuna  # here, as only a search needs it

    x, at = np.asarray(X, dtype=np.float64), np.asarray(at_h, dtype=np.float64)
    parts = _parts(at, np.asarray(duration_h, dtype=np.float64), np.asarray(mode), horizons_h)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    start = {**DEFAULTS, **params}

    def objective(trial: Any) -> float:
        chosen, many = _suggest(trial, start, rounds)
        return float(np.mean([_score(make(chosen, many), x, part, horizons_h) for part in parts]))

    study = optuna.create_study(direction="minimize", sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=8))
    study.enqueue_trial(_enqueued(start, rounds))
    begin = time.monotonic()
    for _ in range(trials):
        study.optimize(objective, n_trials=1, n_jobs=1, gc_after_trial=False)
        if seconds is not None and time.monotonic() - begin > seconds:
            break
    done = len(study.trials)
    found, many = _suggest(study.best_trial, start, rounds)
    return Tuned(found, many, float(study.best_value), float(study.trials[0].value or 0.0), done, trials, done < trials)


def _suggest(trial: Any, start: Mapping[str, Any], rounds: int) -> tuple[dict[str, Any], int]:
    """Settings and rounds of a trial, or of one that is over (its values are there already)."""
    def value(name: str, suggest: Callable[[], Any]) -> Any:
        return trial.params[name] if name in trial.params else suggest()

    rate = value("learning_rate", lambda: trial.suggest_float("learning_rate", 0.01, 0.2, log=True))
    leaves = value("num_leaves", lambda: trial.suggest_int("num_leaves", 4, 64, log=True))
    least = value("min_data_in_leaf", lambda: trial.suggest_int("min_data_in_leaf", 10, 400, log=True))
    share = value("feature_fraction", lambda: trial.suggest_float("feature_fraction", 0.2, 1.0))
    l2 = value("lambda_l2", lambda: trial.suggest_float("lambda_l2", 0.1, 50.0, log=True))
    many = value("rounds", lambda: trial.suggest_int("rounds", max(10, rounds // 3), 2 * rounds, log=True))
    return {**start, "learning_rate": rate, "num_leaves": leaves, "min_data_in_leaf": least,
            "feature_fraction": share, "lambda_l2": l2}, int(many)


def _enqueued(start: Mapping[str, Any], rounds: int) -> dict[str, Any]:
    """The settings to start from, taken to the limits of the search."""
    return {
        "learning_rate": float(np.clip(start["learning_rate"], 0.01, 0.2)),
        "num_leaves": int(np.clip(start["num_leaves"], 4, 64)),
        "min_data_in_leaf": int(np.clip(start["min_data_in_leaf"], 10, 400)),
        "feature_fraction": float(np.clip(start["feature_fraction"], 0.2, 1.0)),
        "lambda_l2": float(np.clip(start["lambda_l2"], 0.1, 50.0)), "rounds": int(max(10, rounds)),
    }


@dataclass(frozen=True)
class _Part:
    """Rows before an inner origin, their lives cut there, and rows from it on to the next one."""

    early: NDArray[np.int64]
    duration: Floats
    mode: NDArray[np.int64]
    later: NDArray[np.int64]
    event: Floats
    weight: Floats
    base: Floats  # Brier score of the base rate, by horizon; NaN where nothing can be judged


def _parts(at: Floats, duration: Floats, mode: NDArray[Any], horizons_h: Sequence[float]) -> list[_Part]:
    end, first = float((at + duration).max(initial=0.0)), float(at.min(initial=0.0))
    bounds = [first + share * (end - first) for share in (*ORIGINS, 1.0)]
    parts = []
    for origin, until in itertools.pairwise(bounds):
        early, later = np.flatnonzero(at < origin), np.flatnonzero((at >= origin) & (at < until))
        left = origin - at[early]
        known = duration[early] < left  # how it ended was seen before the origin
        event, weight = within(duration[later], mode[later] >= 0, horizons_h, end - at[later])
        base = np.array([_base(event[:, k], weight[:, k]) for k in range(len(horizons_h))])
        codes = np.where(known, mode[early], -1)
        if np.isfinite(base).any() and int((codes >= 0).sum()) >= 10:
            parts.append(_Part(early, np.minimum(duration[early], left), codes, later, event, weight, base))
    if not parts:
        raise SteadylineError(
            "too_few_failures", f"no {' or '.join(f'{s:.0%}' for s in ORIGINS)} of the training window leaves failures "
            "before and after it to tune on", "at least 10 rows that fail before, and one after",
            "Load a longer history, or take lightgbm.tune out of the model's YAML.")
    return parts


def _base(event: Floats, weight: Floats) -> float:
    rate = metrics.base_rate(event, weight)
    return rate * (1.0 - rate) if rate and rate < 1.0 else np.nan


def _score(model: HazardModel, x: Floats, part: _Part, horizons_h: Sequence[float]) -> float:
    model.fit(x[part.early], part.duration, part.mode)
    risk = model.predict_risk(x[part.later], horizons_h).sum(axis=1)
    scores = [
        (metrics.brier(risk[:, k], part.event[:, k], part.weight[:, k]) or 0.0) / part.base[k]
        for k in np.flatnonzero(np.isfinite(part.base))
    ]
    return float(np.mean(scores))
