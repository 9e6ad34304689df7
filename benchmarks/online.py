"""What a new reading costs the online state: 20 signals of an equipment, after histories of 9 and of 90 days.

    python -m benchmarks.online [--json]

A reading comes, the equipment is scored: features of all signals at the new cut-off. The work is that of the reading
and of its windows, so it does not grow with the history. Beside it, the same row made from a snapshot.
"""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable

import numpy as np
import pandas as pd

from benchmarks.figures import Figure, main
from features import FeatureSpec, equipment_matrix, plan
from features.online import OnlineState, reach_of
from plant.snapshot import Frames

SIGNALS, DAYS, TIMES = 20, (9, 90), 200
START = pd.Timestamp("2026-01-01", tz="UTC")
SPEC = FeatureSpec(maintenance=None, events=None, downtime=None, batches=None)
GROWTH = 1.5


def simulated(days: int) -> Frames:
    """Readings of one equipment, one a minute and signal (simulated)."""
    rng = np.random.default_rng(7)
    ts = (START + pd.to_timedelta(np.arange(days * 1440), unit="min")).as_unit("us")
    readings = pd.concat([
        pd.DataFrame({"equipment_id": "press", "signal": f"s{i}", "ts": ts, "value": rng.normal(size=len(ts)),
                      "quality": "good"})
        for i in range(SIGNALS)
    ], ignore_index=True)
    readings = readings.astype({"equipment_id": "category", "signal": "category", "quality": "category"})
    return Frames({"equipment": pd.DataFrame({"equipment_id": ["press"], "equipment_class": "press"}),
                   "readings": readings})


def usual(run: Callable[[int], object]) -> float:
    """Median milliseconds of a run, after one that compiles."""
    run(0)
    took = []
    for n in range(1, TIMES):
        begin = time.perf_counter()
        run(n)
        took.append(time.perf_counter() - begin)
    return float(np.median(took)) * 1e3


def _cost(days: int) -> tuple[float, float]:
    """Milliseconds of a reading with its score, and of the same row from a snapshot."""
    snapshot = simulated(days)
    end = snapshot.data_end
    made = plan(snapshot, SPEC, "equipment", end)
    state = OnlineState(snapshot, reach_of([made]))

    def step(n: int) -> object:
        ts = end + pd.Timedelta(n, "min")
        known = ts + pd.Timedelta(1, "s")
        state.add("readings", pd.DataFrame({
            "equipment_id": "press", "signal": "s0", "ts": [ts], "value": [1.0], "quality": "good",
            "recorded_at": [known],
        }))
        return state.matrix(made, _row(known + pd.Timedelta(1, "us")))

    online = usual(step)
    return online, usual(lambda n: equipment_matrix(snapshot, made, _row(end)))


def _row(t: pd.Timestamp) -> pd.DataFrame:
    return pd.DataFrame({"equipment_id": ["press"], "t": [t]})


def measure(_: Namespace) -> list[Figure]:
    """Milliseconds of a reading with its score, and how they grow with the history."""
    cost = {days: _cost(days) for days in DAYS}
    figures = [
        Figure(f"online: {what}, {days} days of history", ms, "ms")
        for days, both in cost.items()
        for what, ms in zip(("a reading and its score", "the same row from a snapshot"), both, strict=True)
    ]
    grows = cost[DAYS[1]][0] / cost[DAYS[0]][0]
    return [*figures, Figure("online: cost for ten times the history", grows, "x", GROWTH)]


if __name__ == "__main__":
    main(measure, __doc__)
