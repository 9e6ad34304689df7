"""What a hazard model accepts, and how it refuses: errors that are ours and those that scikit-learn expects."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import validate_data

from plant.errors import SteadylineError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class BadInput(SteadylineError, ValueError):
    """Values that cannot be used; a ValueError for scikit-learn's tools."""


class BadType(SteadylineError, TypeError):
    """A kind of matrix that cannot be used; a TypeError for scikit-learn's tools."""


class NotFitted(SteadylineError, NotFittedError):
    """The model was not trained."""

    def __init__(self) -> None:
        SteadylineError.__init__(self, "not_fitted", "The hazard model was not trained.", "", "Call fit first.")


def targets(duration_h: ArrayLike, mode: ArrayLike | None, n: int) -> tuple[Floats, Ints]:
    """Durations and codes of modes (n,). Raises BadInput (`bad_labels`) with everything that is wrong."""
    if duration_h is None:
        raise BadInput("bad_labels", "HazardModel requires y to be passed, but the target y is None.",
                       "hours to the failure or the censoring of each row")
    duration = np.asarray(duration_h)
    if duration.ndim == 2 and duration.shape[1] == 1:
        duration = duration[:, 0]
    if duration.dtype.kind not in "fiub":
        duration = duration.astype(np.float64)
    duration = duration.astype(np.float64, copy=False)
    codes = np.zeros(duration.shape, dtype=np.int64) if mode is None else np.asarray(mode)
    wrong = []
    if duration.shape != (n,) or codes.shape != (n,):
        wrong.append(f"found {n} rows, {duration.shape} durations and {codes.shape} modes, allowed: one of each a row")
    if not np.all(np.isfinite(duration)):
        wrong.append("duration_h: found NaN or infinity, allowed: hours from 0")
    elif len(duration) and duration.min() < 0:
        wrong.append("duration_h: found negative values, allowed: hours from 0")
    if len(codes) and (not np.issubdtype(codes.dtype, np.integer) or codes.min() < -1):
        wrong.append("mode: found values other than -1 (censored), 0, 1, ...")
    if wrong:
        raise BadInput("bad_labels", "The labels cannot be used.", "", "", wrong)
    return duration, codes.astype(np.int64)


def checked_matrix(estimator: BaseEstimator, X: ArrayLike, *, fitting: bool) -> Floats:
    """X as (n, p) float64 in C order; fitting: remember its columns, otherwise compare with them.

    Raises BadInput or BadType (`bad_matrix`): another shape or other names, infinite values, sparse, complex, text.
    """
    allowed = "(rows, features) of finite numbers; NaN where a value is not known"
    hint = "Assemble it with the feature plan of the model's bundle."
    try:
        x = validate_data(estimator, X, reset=fitting, dtype=np.float64, order="C", ensure_all_finite=False,
                          ensure_min_samples=int(fitting))
    except TypeError as error:
        raise BadType("bad_matrix", f"The matrix cannot be used: {error}", allowed, hint) from error
    except ValueError as error:
        raise BadInput("bad_matrix", f"The matrix cannot be used: {error}", allowed, hint) from error
    if np.isinf(x).any():
        column = int(np.flatnonzero(np.isinf(x).any(axis=0))[0])
        raise BadInput("bad_matrix", f"Column {column} of the matrix holds an infinite value (infinity).", allowed)
    return np.asarray(x)


def constant(x: Floats) -> Ints:
    """Columns whose known values are all the same; a column without a known value is one, too."""
    known = ~np.isnan(x)
    low = np.where(known, x, np.inf).min(axis=0, initial=np.inf)
    high = np.where(known, x, -np.inf).max(axis=0, initial=-np.inf)
    # known here and unknown there is something to learn from
    return np.flatnonzero((low >= high) & (known.all(axis=0) | ~known.any(axis=0))).astype(np.int64)
