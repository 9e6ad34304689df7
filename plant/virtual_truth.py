"""The truth of the virtual plant: latent states, true hazards, true risk within a horizon, true failures.

Only tests and benchmarks may read it: it is the best score possible, to hold a model against.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from plant.virtual_catalogue import START
from plant.virtual_machines import MACHINES, Mechanism
from plant.virtual_plant import WORST, Run, hazard
from plant.virtual_signals import times

HORIZONS_H = (24, 72, 168)
_GRID = np.linspace(0.0, WORST, 271)
_STEP_H = 6  # calendar hours of one step of the recursion


def risk_table(mechanism: Mechanism, use: float, wear: float) -> np.ndarray:
    """P(failure within h) for each state of the grid and horizon, (271, 3), with no maintenance before.

    S_k(x) = E[exp(-u·hazard(x)·Δt) · S_{k-1}(x + dx)], dx gamma distributed over the use of Δt calendar hours.
    The increment is spread over the grid so that its mean is kept. `use` is the share of hours it runs.
    """
    width = _GRID[1] - _GRID[0]
    rng = np.random.Generator(np.random.PCG64(0))
    draws = (
        rng.gamma(wear * use * _STEP_H / (mechanism.spread**2 * mechanism.life_h), mechanism.spread**2, 40_000) / width
    )
    low = np.floor(draws).astype(int)
    cells = np.minimum(low, len(_GRID) - 1)
    size = len(_GRID) + 1
    mass = np.bincount(cells, 1.0 - (draws - low), size) + np.bincount(
        np.minimum(cells + 1, size - 1), draws - low, size
    )
    weight = np.asarray(mass[: int(mass.nonzero()[0].max()) + 1] / len(draws), dtype=np.float64)
    # Half of the danger of a step comes at the old state, half at the new one.
    half = np.exp(-use * hazard(mechanism, _GRID) * _STEP_H / 2)
    beyond = np.full(len(weight), half[-1])
    out, alive, hours = np.empty((len(_GRID), len(HORIZONS_H))), np.ones(len(_GRID)), 0
    for j, horizon in enumerate(HORIZONS_H):
        while hours < horizon:
            after = np.concatenate([half * alive, beyond * alive[-1]])
            alive = half * np.convolve(after, weight[::-1], mode="valid")[: len(_GRID)]
            hours += _STEP_H
        out[:, j] = 1.0 - alive
    return out


def states_truth(run: Run, every_h: int) -> pd.DataFrame:
    """One row per machine, mechanism and `every_h` hours: ts, running, state, hazard_per_running_hour, p_fail_<h>h."""
    hours = np.arange(0, run.hours, every_h)
    stamps = times(hours * 3600)
    parts = []
    for k, kind in enumerate(MACHINES):
        members = [i for i, u in enumerate(run.units) if u.kind == k]
        use = float(run.running[:, members].mean())
        for m, mech in enumerate(kind.mechanisms):
            table = risk_table(mech, use, run.wear)
            for i in members:
                state = run.state[hours, i, m].astype(np.float64)
                part = pd.DataFrame(
                    {
                        "ts": stamps,
                        "equipment_id": pd.Categorical([run.units[i].equipment_id] * len(hours)),
                        "equipment_class": kind.name,
                        "mechanism": mech.state,
                        "failure_mode": mech.failure_mode,
                        "running": run.running[hours, i],
                        "state": state.astype(np.float32),
                        "hazard_per_running_hour": hazard(mech, state).astype(np.float32),
                    }
                )
                for j, horizon in enumerate(HORIZONS_H):
                    part[f"p_fail_{horizon}h"] = np.interp(state, _GRID, table[:, j]).astype(np.float32)
                parts.append(part.astype(dict.fromkeys(("equipment_class", "mechanism", "failure_mode"), "category")))
    return _joined(parts)


def _joined(parts: list[pd.DataFrame]) -> pd.DataFrame:
    text = ["equipment_id", "equipment_class", "mechanism", "failure_mode"]
    for name in text:
        words = list(dict.fromkeys(w for p in parts for w in p[name].cat.categories))
        for p in parts:
            p[name] = p[name].cat.set_categories(words)
    return pd.concat(parts, ignore_index=True)


def failures_truth(run: Run) -> pd.DataFrame:
    """Every true failure: equipment, class, mechanism, mode, failed_at, repaired_at, state, imperfect_repair."""
    end = START + pd.Timedelta(hours=run.hours)
    rows = []
    for f in run.failures:
        kind = MACHINES[run.units[f.unit].kind]
        mech = kind.mechanisms[f.mechanism]
        rows.append(
            (
                run.units[f.unit].equipment_id,
                kind.name,
                mech.state,
                mech.failure_mode,
                f.minute,
                f.minute + f.repair_minutes,
                f.state,
                f.imperfect,
            )
        )
    columns = [
        "equipment_id",
        "equipment_class",
        "mechanism",
        "failure_mode",
        "failed_at",
        "repaired_at",
        "state",
        "imperfect_repair",
    ]
    out = pd.DataFrame(rows, columns=columns)
    for name in ("failed_at", "repaired_at"):
        out[name] = times(out[name].to_numpy() * 60)
    return out[out["failed_at"] < end].sort_values(["failed_at", "equipment_id"], kind="stable", ignore_index=True)
