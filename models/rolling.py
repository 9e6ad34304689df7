"""What models of one attribute at one stage gate share: rows in time order, a rolling origin, members, files.

`models.quality` (numeric results) and `models.pass_fail` (passed or failed) are made of these functions.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator

from models import boosting
from plant.errors import SteadylineError

Floats = NDArray[np.float64]
M = TypeVar("M", bound=BaseEstimator)

# small data: many weak, random trees; the absolute error does not chase single odd results
DEFAULTS: dict[str, Any] = {
    "objective": "l1", "learning_rate": 0.03, "num_leaves": 7, "min_data_in_leaf": 10, "feature_fraction": 0.8,
    "bagging_fraction": 0.8, "bagging_freq": 1, "lambda_l2": 1.0, "extra_trees": True,
}


@dataclass(frozen=True)
class History:
    """Residuals (result − prediction of this model) of results known after the training.

    residual, at (when the prediction was made), known_at (when the result was approved), point (the prediction; None:
    not told, so that rounding cannot be considered): (h,) each. `at` and `known_at` on the scale of the fit: times, or
    numbers such as a batch order. A model remembers what follows from the history it was given last: give a new one
    instead of changing the arrays.
    """

    residual: ArrayLike
    at: ArrayLike
    known_at: ArrayLike
    point: ArrayLike | None = None


@dataclass(frozen=True)
class Examples:
    """Rows with a result in the order in which they are predicted, copies of what was given.

    x (n, p), y (n,), made (n,) when predicted, known (n,) when the result became known, taught (n,) rows that the
    trees of the model learn from; features: p.
    """

    x: Floats
    y: Floats
    made: Floats
    known: Floats
    taught: NDArray[np.bool_]
    features: int


def examples(X: ArrayLike, y: ArrayLike, at: ArrayLike | None, known_at: ArrayLike | None,
             learn: ArrayLike | None) -> Examples:
    """What `AttributeModel.fit` is given, checked. Raises SteadylineError `bad_labels`, `bad_matrix`, `naive_time`."""
    x, values = boosting.matrix(X), np.asarray(y, dtype=np.float64)
    made = scale(at) if at is not None else np.arange(len(x), dtype=np.float64)
    known = scale(known_at) if known_at is not None else np.nextafter(made, np.inf)
    taught = np.ones(len(x), dtype=bool) if learn is None else np.asarray(learn, dtype=bool)
    if not values.shape == made.shape == known.shape == taught.shape == (len(x),):
        raise SteadylineError("bad_labels", f"Found {len(x)} rows, {values.shape} results, {made.shape} times.",
                              "one of each for a row")
    keep = np.flatnonzero(np.isfinite(values) & np.isfinite(made) & np.isfinite(known))
    keep = keep[np.argsort(made[keep], kind="stable")]
    return Examples(x[keep], values[keep], made[keep], known[keep], taught[keep], x.shape[1])


def blocks(made: Floats, known: Floats, count: int, min_rows: int) -> Iterator[tuple[slice, NDArray[np.intp]]]:
    """Blocks of a rolling origin over rows in time order, each with the rows that were known when it began.

    About the first third is only learnt from; a block before which hardly any result was known is left out.
    """
    start = max(min_rows // 2, int(len(made) * 0.35))
    cuts = np.unique(np.linspace(start, len(made), count + 1).astype(int))
    for a, b in itertools.pairwise(cuts):
        past = np.flatnonzero(known[:a] <= made[a])
        if len(past) >= min_rows // 4:
            yield slice(a, b), past


def members(x: Floats, y: Floats, settings: Mapping[str, Any], rounds: int, *, seed: int, count: int,
            num_threads: int | None, kept: bool) -> list[lgb.Booster]:
    """Boosters with different seeds. kept: of the model; what only makes residuals may scatter a little more."""
    leaf = min(int(settings["min_data_in_leaf"]), max(2, len(x) // 10))
    return [boosting.train(x, y, {**settings, "min_data_in_leaf": leaf}, rounds, seed=seed + 101 * m,
                           num_threads=num_threads, kept=kept)
            for m in range(count if kept else min(count, 2))]


def checked(model: BaseEstimator, X: ArrayLike) -> Floats:
    """Rows to predict. Raises SteadylineError `not_fitted`, `bad_matrix`."""
    if not hasattr(model, "boosters_"):
        raise SteadylineError("not_fitted", "The attribute's model was not trained.", "", "Call fit first.")
    return boosting.matrix(X, model.n_features_in_)


def write(model: BaseEstimator, folder: Path | str, name: str, state: Mapping[str, Any], arrays: Sequence[str]
          ) -> list[str]:
    """Write <name>.json (settings, state, fitted arrays) and <name>.<member>.txt into `folder`; their names."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = [f"{name}.{m}.txt" for m in range(len(model.boosters_))]
    for file, booster in zip(files, model.boosters_, strict=True):
        boosting.write(booster, folder / file)
    given = model.get_params().items()
    settings = {k: list(v) if isinstance(v, Sequence) and not isinstance(v, str) else v for k, v in given}
    settings["params"] = dict(settings["params"] or {})
    del settings["num_threads"]
    whole = {"settings": settings, "n_features": model.n_features_in_, "errors": model.errors_, **state,
             **{array: getattr(model, f"{array}_").tolist() for array in arrays}}
    (folder / f"{name}.json").write_bytes(json.dumps(whole, sort_keys=True, indent=1).encode("utf-8"))
    return [f"{name}.json", *files]


def read(kind: type[M], folder: Path | str, name: str, arrays: Sequence[str]) -> tuple[M, dict[str, Any]]:
    """The model that `write` wrote, and the state that was given to it."""
    folder = Path(folder)
    state = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    model = kind(**state["settings"])
    model.n_features_in_, model.errors_ = state["n_features"], state["errors"]
    for array in arrays:
        setattr(model, f"{array}_", np.asarray(state[array], dtype=np.float64))
    model.boosters_ = [boosting.read(folder / f"{name}.{m}.txt") for m in range(model.members)]
    return model, state


def scale(values: ArrayLike) -> Floats:
    """Times (with a zone) as microseconds, numbers as they are; not known stays NaN."""
    array = np.asarray(values)
    if array.dtype.kind in "iuf":
        return array.astype(np.float64)
    times = pd.DatetimeIndex(values)
    if times.tz is None:
        raise SteadylineError("naive_time", "The times of the batches have no time zone.", "times with their zone")
    return np.where(times.isna(), np.nan, times.as_unit("us").asi8.astype(np.float64))
