"""The one place that trains, writes and reads a LightGBM Booster, so that all of them are deterministic.

A Booster's text names the settings of the run, the number of threads among them. Threads do not change the
trees (`deterministic`), so they are taken out of the text: the same data and seed give the same bytes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from plant.errors import SteadylineError

#: Column by column one thread sums a histogram in the order of the rows. Row by row each thread sums a part: the same
#: up to rounding, so that with another number of threads a late tree may split elsewhere.
FIXED: dict[str, Any] = {"deterministic": True, "force_col_wise": True, "verbosity": -1, "feature_pre_filter": False}

# settings of the machine, not of the model
_MACHINE = re.compile(r"^\[(num_threads|machines|local_listen_port|num_machines|time_out|gpu_[a-z_]+): .*\]\n", re.M)


def threads(wanted: int | None) -> int:
    """Threads to use: what was asked for, else one for each processor this process may use."""
    if wanted is not None and wanted > 0:
        return wanted
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def train(x: NDArray[Any], y: NDArray[Any], params: Mapping[str, Any], rounds: int, *, seed: int,
          weight: NDArray[Any] | None = None, num_threads: int | None = None, kept: bool = True,
          init_score: NDArray[Any] | None = None) -> lgb.Booster:
    """A Booster on (n, p) values (NaN = not known). `params` in LightGBM's own names; the fixed settings win.

    init_score: (n,) raw scores to start from; they are no part of the Booster, and whoever predicts adds them.
    kept: whether it becomes part of a model; one that only makes residuals is spared the way through its text.
    """
    settings = {**params, **FIXED, "seed": seed, "num_threads": threads(num_threads)}
    data = lgb.Dataset(x, label=y, weight=weight, init_score=init_score, params=settings, free_raw_data=True)
    booster = lgb.train(settings, data, num_boost_round=rounds, keep_training_booster=True)
    if not kept:
        return booster
    # what is served is what was written: read it back, so that a score does not depend on which of both is asked
    return lgb.Booster(model_str=text(booster))


def text(booster: lgb.Booster) -> str:
    """LightGBM's own text of the model without settings of the machine."""
    return _MACHINE.sub("", booster.model_to_string())


def write(booster: lgb.Booster, path: Path) -> None:
    """Write the text, the same bytes on every platform."""
    path.write_bytes(text(booster).encode("utf-8"))


def read(path: Path) -> lgb.Booster:
    """Read a text that `write` wrote. Raises SteadylineError (`bundle_damaged`) where it is no LightGBM model."""
    try:
        return lgb.Booster(model_str=path.read_bytes().decode("utf-8"))
    except (OSError, UnicodeDecodeError, lgb.basic.LightGBMError) as error:
        raise SteadylineError("bundle_damaged", f"{path.name} is not a readable LightGBM model ({error}).",
                              "a text file written with the model", "Train the model again.") from error


def matrix(x: Any, features: int | None = None) -> NDArray[np.float64]:
    """`x` as (n, p) float64 in C order. Raises SteadylineError (`bad_matrix`) for another shape or infinite values."""
    values = np.ascontiguousarray(x, dtype=np.float64)
    if values.ndim != 2 or (features is not None and values.shape[1] != features):
        allowed = f"(rows, {features})" if features is not None else "two dimensions"
        raise SteadylineError("bad_matrix", f"The matrix has shape {values.shape}.", allowed,
                              "Assemble it with the feature plan of the model's bundle.")
    if np.isinf(values).any():
        column = int(np.flatnonzero(np.isinf(values).any(axis=0))[0])
        raise SteadylineError("bad_matrix", f"Column {column} of the matrix holds an infinite value.",
                              "finite numbers; NaN where a value is not known")
    return values
