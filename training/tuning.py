"""Settings of a failure model that were searched, where its YAML asks for it (`lightgbm.tune`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone

from models.hazard import HazardModel
from models.spec import FailureSpec
from models.tuning import tune

ROUNDS = 200  # trees, where the YAML names none
Tuning = tuple[FailureSpec, dict[str, Any]]


def tuned(
    spec: FailureSpec, model: HazardModel, values: np.ndarray, duration_h: ArrayLike, mode: ArrayLike, at_h: ArrayLike
) -> Tuning:
    """The specification with the settings that were found, and how they were (`models.tuning.Tuned`).

    model: unfitted, as the specification makes it; values, duration_h, mode, at_h: rows of the training window, as
    `models.tuning.tune` takes them. Raises SteadylineError (`too_few_failures`).
    """
    wanted = spec.lightgbm.tune
    assert wanted is not None  # noqa: S101  (who asks has looked)

    def make(params: Mapping[str, Any], rounds: int) -> HazardModel:
        return clone(model).set_params(params=params, rounds=rounds)

    found = tune(
        make, values, duration_h, mode, at_h, spec.horizons_h, params=spec.lightgbm.params(),
        rounds=spec.lightgbm.rounds or ROUNDS, trials=wanted.trials, seconds=wanted.seconds, seed=spec.seed,
    )
    chosen = spec.lightgbm.model_copy(update={**found.params, "rounds": found.rounds})
    return spec.model_copy(update={"lightgbm": chosen}), found.as_dict()
