"""Rows of a backtest as chances to open an order, and the threshold that costs least on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from models.decision import Threshold
from models.policy import Chances, Floats, order_threshold
from models.spec import FailureSpec

HOUR = pd.Timedelta(hours=1)


def chances_of(
    rows: pd.DataFrame, labels: pd.DataFrame, base: pd.Timestamp, renewed_h: Floats | None = None,
    names: list[str] | None = None,
) -> tuple[Chances, np.ndarray]:
    """Chances to open an order, and the order of the rows in them.

    rows: equipment_id, t. labels: duration_h, observed of the same rows, each watched for the decision horizon. base:
    what hours are counted from. names: equipment in the order of its codes; None: those of the rows, sorted.
    """
    t = np.asarray((pd.DatetimeIndex(rows["t"]) - base) / HOUR, dtype=np.float64)
    duration, observed = labels["duration_h"].to_numpy(np.float64), labels["observed"].to_numpy(dtype=bool)
    # One failure is one moment for all rows that look at it: to the second, as sums of floats differ in the last digit.
    fails = np.where(observed, np.round((t + duration) * 3600) / 3600, np.inf)
    equipment = rows["equipment_id"].astype(str)
    listed = sorted(set(equipment)) if names is None else names
    renewed = np.full(len(rows), -np.inf) if renewed_h is None else renewed_h
    return Chances.of(pd.Index(listed).get_indexer(equipment), t, fails, renewed, len(listed))


def threshold_of(spec: FailureSpec, rows: pd.DataFrame, labels: pd.DataFrame, risk: Any) -> Threshold:
    """The threshold of least simulated cost under the model's terms; without a row the break-even of the costs.

    rows, labels: as in `chances_of`; risk: (n,) calibrated, within the decision horizon.
    """
    if not len(rows):
        even = spec.costs.break_even
        return Threshold(even, even, 0.0, 0.0, 0.0, 0, 0)
    chances, order = chances_of(rows, labels, rows["t"].min())
    return order_threshold(chances, np.asarray(risk, dtype=np.float64)[order], spec.terms, seed=spec.seed)
