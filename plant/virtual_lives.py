"""The truth about lives: every part from its installation to its end, and how long a machine has left at each moment.

A life ends by failure, by preventive renewal or with the history; the last two are censored. What they would have had
left is known to the simulation only: `expected_remaining_h` from the state at the end, without maintenance.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from plant.virtual_plant import Run, hazard
from plant.virtual_signals import times
from plant.virtual_truth import GRID, HORIZONS_H

DAY_H = 24
Curves = dict[tuple[int, int], tuple[np.ndarray, np.ndarray]]


def lives_truth(runs: Sequence[Run], tables: Sequence[Curves]) -> pd.DataFrame:
    """One row a part and life: installed_at, installed_by, ended_at, how, states, hours run, what was left.

    installed_by: before_history, repair, imperfect_repair, preventive. how: failure, preventive, end_of_history.
    """
    rows: list[dict[str, object]] = []
    for run, curve in zip(runs, tables, strict=True):
        ran = np.concatenate([np.zeros((1, len(run.units))), np.cumsum(run.run_to - run.run_from, axis=0)])
        for i, unit in enumerate(run.units):
            for m in range(3):
                hours, alive = curve[unit.kind, m]
                left = np.trapezoid(alive, hours, axis=1)
                for row in _lives(run, i, m, ran[:, i]):
                    censored = row["how"] != "failure"
                    at = float(row["state_at_end"])  # type: ignore[arg-type]
                    row["expected_remaining_h"] = float(np.interp(at, GRID, left)) if censored else 0.0
                    rows.append(row)
    out = pd.DataFrame(rows)
    for name in ("installed_at", "ended_at"):
        out[name] = times(out[name].to_numpy() * 60)
    return out.sort_values(["equipment_id", "mechanism", "installed_at"], kind="stable", ignore_index=True)


def _lives(run: Run, i: int, m: int, ran: np.ndarray) -> list[dict[str, object]]:
    """The lives of mechanism m of unit i, in order. ran: minutes it has run before each hour."""
    mech, end = run.kind(i).mechanisms[m], run.hours * 60

    def minutes(at: int) -> float:
        h = at // 60
        if h >= run.hours:
            return float(ran[-1])
        return float(ran[h]) + max(0, min(at - h * 60, int(run.run_to[h, i])) - int(run.run_from[h, i]))

    ends: list[tuple[int, int, str, str, float]] = [
        (f.minute, f.minute + f.repair_minutes, "failure", "imperfect_repair" if f.imperfect else "repair", f.state)
        for f in run.failures
        if f.unit == i and f.mechanism == m
    ]
    ends += [
        (s.minute, s.minute + s.minutes, "preventive", "preventive", float(run.state[max(s.minute // 60 - 1, 0), i, m]))
        for s in run.services
        if s.unit == i and m in s.renewed
    ]
    ends.append((end, end, "end_of_history", "", float(run.state[-1, i, m])))
    out: list[dict[str, object]] = []
    begin, by, since = 0, "before_history", float(run.state[0, i, m])
    for at, again, how, renewed_by, state in sorted(ends):
        if begin >= end:
            break
        out.append(
            {
                "equipment_id": run.units[i].equipment_id,
                "equipment_class": run.kind(i).name,
                "mechanism": mech.state,
                "failure_mode": mech.failure_mode,
                "installed_at": begin,
                "installed_by": by,
                "ended_at": at,
                "how": how,
                "running_hours": round((minutes(at) - minutes(begin)) / 60.0, 2),
                "state_at_start": since,
                "state_at_end": state,
                "hazard_at_end": float(hazard(mech, np.array([state]))[0]),
            }
        )
        begin, by = again, renewed_by
        since = float(run.state[min(-(-again // 60), run.hours - 1), i, m])
    return out


def remaining_truth(runs: Sequence[Run], tables: Sequence[Curves]) -> pd.DataFrame:
    """One row a machine and day: expected and median hours to its next failure by any mechanism, p_fail_<h>h.

    Calendar hours, without maintenance in between, at the use of the class: E[T] = ∫ Π S_m(t) dt.
    """
    parts = []
    for run, curve in zip(runs, tables, strict=True):
        days = np.arange(0, run.hours, DAY_H)
        stamps = times(days * 3600)
        for i, unit in enumerate(run.units):
            length = max(len(curve[unit.kind, m][0]) for m in range(3))
            hours = next(curve[unit.kind, m][0] for m in range(3) if len(curve[unit.kind, m][0]) == length)
            alive = np.ones((len(days), length))
            for m in range(3):
                table = curve[unit.kind, m][1]
                place = run.state[days, i, m].astype(np.float64) / (GRID[1] - GRID[0])
                low = np.minimum(place.astype(int), len(GRID) - 2)
                share = (place - low)[:, None]
                alive[:, : table.shape[1]] *= table[low] * (1.0 - share) + table[low + 1] * share
                alive[:, table.shape[1] :] = 0.0
            part = {
                "ts": stamps,
                "equipment_id": unit.equipment_id,
                "equipment_class": run.kind(i).name,
                "expected_remaining_h": np.trapezoid(alive, hours, axis=1),
                "median_remaining_h": hours[np.argmax(alive < 0.5, axis=1)].astype(np.float64),
            }
            for h in HORIZONS_H:
                part[f"p_fail_{h}h"] = 1.0 - alive[:, int(np.searchsorted(hours, h))]
            parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)
