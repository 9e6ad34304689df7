"""Risk by who fails how often, and nothing else: what a ranking of equipment is worth without looking at its state.

Where some equipment fails every other week and some never, these rates alone rank well. A model has to beat them.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from models import metrics
from plant.snapshot import SnapshotLike

UNIT_RATE, CLASS_RATE = "unit_base_rate", "class_base_rate"


def rates_of_units(
    snapshot: SnapshotLike, cutoffs: pd.DataFrame, before: np.ndarray, test: np.ndarray, event: np.ndarray,
    weight: np.ndarray,
) -> dict[str, np.ndarray]:
    """Base rate of each equipment, and of each class of equipment, in training: name -> (tested rows, horizons).

    cutoffs: equipment_id of all rows; before, test: masks of the rows that are learnt from and tested. event, weight
    (learnt rows, horizons): outcome, NaN where unknown, and how many rows each stands for
    (`training.failure_evidence.events_within`). An equipment without a known row gets the rate of its class, a class
    without one that of all.
    """
    units = cutoffs["equipment_id"].astype(str).to_numpy()
    table = snapshot.table("equipment").drop_duplicates("equipment_id", keep="last")
    named = dict(zip(table["equipment_id"].astype(str), table["equipment_class"].astype(str), strict=True))
    classes = np.array([named.get(u, "") for u in units], dtype=object)
    columns = []
    for k in range(event.shape[1]):
        overall = metrics.base_rate(event[:, k], weight[:, k]) or 0.0
        of_class = pd.Series(classes[test]).map(_rates(classes[before], event[:, k], weight[:, k])).fillna(overall)
        of_unit = pd.Series(units[test]).map(_rates(units[before], event[:, k], weight[:, k])).fillna(of_class)
        columns.append((of_unit.to_numpy(np.float64), of_class.to_numpy(np.float64)))
    return {name: np.stack([one[i] for one in columns], axis=1) for i, name in enumerate((UNIT_RATE, CLASS_RATE))}


def _rates(groups: np.ndarray, event: np.ndarray, weight: np.ndarray) -> dict[str, float]:
    """Base rate of each group that has a known row."""
    rates = {str(g): metrics.base_rate(event[groups == g], weight[groups == g]) for g in np.unique(groups.astype(str))}
    return {g: rate for g, rate in rates.items() if rate is not None}
