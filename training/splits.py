"""Rolling origin: the future is always later than everything a model was fitted on.

The test period is cut into folds. The model of a fold learns from what was known when the fold begins: labels of
its training rows are censored at that moment, which is an embargo of the whole label horizon, and no row of a
training period is dropped for it. The model of the last fold is the one that becomes a version: it is tested
on that fold, exactly as it is; the earlier folds show that the recipe holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from models.split import Split
from plant.errors import SteadylineError


@dataclass(frozen=True)
class Fold:
    """Fit on what is known before `origin`, test on rows in [origin, end)."""

    origin: pd.Timestamp
    end: pd.Timestamp


def test_start(start: pd.Timestamp, end: pd.Timestamp, split: Split) -> pd.Timestamp:
    """First moment of the test period. Raises SteadylineError when it does not lie inside the data."""
    at = split.test_from if split.test_from is not None else end - (end - start) * split.test_share
    if not start < at < end:
        raise SteadylineError(
            "bad_split",
            f"the test period would start at {at}",
            f"a time between {start} and {end}, where there is data",
            "correct split.test_from in the model's YAML, or connect more data",
        )
    return at.as_unit("us")


def folds(first: pd.Timestamp, end: pd.Timestamp, count: int) -> list[Fold]:
    """`count` folds of equal length over [first, end)."""
    step = (end - first) / count
    origins = [(first + step * i).as_unit("us") for i in range(count)]
    return [Fold(a, b) for a, b in zip(origins, [*origins[1:], end], strict=True)]


def calibration_start(start: pd.Timestamp, origin: pd.Timestamp, split: Split) -> pd.Timestamp:
    """Where the training period of `origin` is cut: fit before, calibrate after."""
    return (origin - (origin - start) * split.calibration_share).as_unit("us")
