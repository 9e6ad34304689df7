"""The truth of the virtual plant: latent states, true hazards, true risk within a horizon, true failures.

Only tests and benchmarks may read it: it is the best score possible, to hold a model against.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from plant.virtual_machines import Mechanism
from plant.virtual_plant import WORST, Run, hazard
from plant.virtual_signals import times

HORIZONS_H = (24, 72, 168)
GRID = np.linspace(0.0, WORST, 271)
_STEP_H, _LONG_STEP_H = 6, 24  # calendar hours of one step of the recursion, up to the longest horizon and after it


def _weights(mechanism: Mechanism, use: float, wear: float, hours: int) -> np.ndarray:
    """Probability of each increment of the state (in cells of the grid) over `hours` calendar hours; mean kept."""
    width = GRID[1] - GRID[0]
    rng = np.random.Generator(np.random.PCG64(0))
    shape = wear * use * hours / (mechanism.spread**2 * mechanism.life_h)
    draws = rng.gamma(shape, mechanism.spread**2, 40_000) / width
    low = np.floor(draws).astype(int)
    size = len(GRID) + 1
    cells = np.minimum(low, len(GRID) - 1)
    after = np.minimum(cells + 1, size - 1)
    mass = np.bincount(cells, 1.0 - (draws - low), size) + np.bincount(after, draws - low, size)
    return np.asarray(mass[: int(mass.nonzero()[0].max()) + 1] / len(draws), dtype=np.float64)


def survival(mechanism: Mechanism, use: float, wear: float) -> tuple[np.ndarray, np.ndarray]:
    """P(no failure by this mechanism for t hours) from each state of the grid: t (n,), S (271, n), no maintenance.

    S_k(x) = E[exp(-u·hazard(x)·Δt) · S_{k-1}(x + dx)], dx gamma distributed over the use of Δt calendar hours. The
    increment is spread over the grid so that its mean is kept. `use` is the share of hours it runs. Steps of 6 hours
    to the longest horizon, of 24 hours after it, until hardly any part is left. t starts with 0, where S is 1.
    """
    hours, curve, alive = [0], [np.ones(len(GRID))], np.ones(len(GRID))
    for step, until in ((_STEP_H, HORIZONS_H[-1]), (_LONG_STEP_H, 24 * 800)):
        weight = _weights(mechanism, use, wear, step)
        # Half of the danger of a step comes at the old state, half at the new one.
        half = np.exp(-use * hazard(mechanism, GRID) * step / 2)
        beyond = np.full(len(weight), half[-1])
        while hours[-1] < until and alive[0] > 1e-4:
            after = np.concatenate([half * alive, beyond * alive[-1]])
            alive = half * np.convolve(after, weight[::-1], mode="valid")[: len(GRID)]
            hours.append(hours[-1] + step)
            curve.append(alive)
    return np.array(hours), np.stack(curve, axis=1)


def curves(run: Run) -> dict[tuple[int, int], tuple[np.ndarray, np.ndarray]]:
    """`survival` for each class (index in the run's kinds) of which there are units, and mechanism."""
    out = {}
    for k, kind in enumerate(run.kinds):
        members = [i for i, u in enumerate(run.units) if u.kind == k]
        for m, mech in enumerate(kind.mechanisms if members else ()):
            out[k, m] = survival(mech, float(run.running[:, members].mean()), run.wear)
    return out


def risk_table(curve: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """P(failure within h) for each state of the grid and horizon, (271, 3), with no maintenance before."""
    hours, alive = curve
    # A mechanism so fast that nothing is left before the horizon has no longer curve.
    return np.stack([1.0 - alive[:, min(int(np.searchsorted(hours, h)), len(hours) - 1)] for h in HORIZONS_H], axis=1)


def states_truth(
    runs: Sequence[Run], every_h: int, tables: Sequence[dict[tuple[int, int], tuple[np.ndarray, np.ndarray]]]
) -> pd.DataFrame:
    """One row per machine, mechanism and `every_h` hours: ts, running, state, hazard_per_running_hour, p_fail_<h>h."""
    parts = []
    for run, curve in zip(runs, tables, strict=True):
        hours = np.arange(0, run.hours, every_h)
        stamps = times(hours * 3600)
        for (k, m), found in curve.items():
            kind, mech = run.kinds[k], run.kinds[k].mechanisms[m]
            table = risk_table(found)
            for i in (i for i, u in enumerate(run.units) if u.kind == k):
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
                    part[f"p_fail_{horizon}h"] = np.interp(state, GRID, table[:, j]).astype(np.float32)
                parts.append(part.astype(dict.fromkeys(("equipment_class", "mechanism", "failure_mode"), "category")))
    return _joined(parts)


def _joined(parts: list[pd.DataFrame]) -> pd.DataFrame:
    text = ["equipment_id", "equipment_class", "mechanism", "failure_mode"]
    for name in text:
        words = list(dict.fromkeys(w for p in parts for w in p[name].cat.categories))
        for p in parts:
            p[name] = p[name].cat.set_categories(words)
    return pd.concat(parts, ignore_index=True)


def failures_truth(runs: Sequence[Run]) -> pd.DataFrame:
    """Every true failure: equipment, class, mechanism, mode, failed_at, repaired_at, state, imperfect_repair."""
    rows = []
    for run in runs:
        for f in run.failures:
            kind = run.kind(f.unit)
            mech = kind.mechanisms[f.mechanism]
            names = (run.units[f.unit].equipment_id, kind.name, mech.state, mech.failure_mode)
            rows.append((*names, f.minute, f.minute + f.repair_minutes, f.state, f.imperfect))
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
    return out.sort_values(["failed_at", "equipment_id"], kind="stable", ignore_index=True)
