"""The backtest told in events: what a crew that follows the alarms would have met."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd


def alarms_in_events(
    equipment: np.ndarray,
    t: pd.DatetimeIndex,
    alarm: np.ndarray,
    labels: pd.DataFrame,
    horizon_h: float,
    every_h: float,
) -> dict[str, Any]:
    """Failures caught and alarms that were false, over the rows (equipment, t) of a backtest.

    alarm: (n,) whether the risk reached the threshold. labels: duration_h, observed of the same rows. An alarm is an
    order: it stands from the cut-off that raised it for `horizon_h`, or until the failure; alarms meanwhile are the
    same order, the next one after it is a new one. It is true when a failure comes while it stands, false when none
    does, and left out where that is not known. A failure is caught when an order stood before it, and the lead is
    from the order to the failure.
    """
    duration, observed = labels["duration_h"].to_numpy(np.float64), labels["observed"].to_numpy(dtype=bool)
    hours = np.asarray((t - t.min()) / pd.Timedelta(hours=1), dtype=np.float64)
    failures: dict[tuple[str, float], float | None] = {}
    true = false = 0
    for name in pd.unique(equipment):
        rows = np.flatnonzero(equipment == name)
        rows = rows[np.argsort(hours[rows], kind="stable")]
        for row in rows[observed[rows] & (duration[rows] < horizon_h)]:
            failures.setdefault((str(name), round(hours[row] + duration[row], 4)), None)
        stands_until = -np.inf
        # At the moment of the failure itself an alarm comes too late to be one.
        for row in rows[alarm[rows] & ~(observed[rows] & (duration[rows] <= 0))]:
            if hours[row] < stands_until:
                continue
            if observed[row] and duration[row] < horizon_h:
                true += 1
                at = round(hours[row] + duration[row], 4)
                failures[str(name), at] = duration[row]
                stands_until = hours[row] + duration[row]
            else:
                false += int(duration[row] >= horizon_h)
                stands_until = hours[row] + horizon_h
    leads = [lead for lead in failures.values() if lead is not None]
    years = len(hours) * every_h / 8766
    return {
        "failures": len(failures),
        "caught": len(leads),
        "alarms": true + false,
        "false_alarms": false,
        "false_alarms_per_equipment_year": false / years if years else None,
        "equipment_years": years,
        "median_lead_h": float(np.median(leads)) if leads else None,
    }
