"""A replay: what the online state tells at each moment equals the matrix of a snapshot that holds all of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import FeatureSpec, equipment_matrix, plan
from features.online import OnlineState, reach_of
from plant.errors import SteadylineError
from plant.tables import TABLES, conform
from tests.features.conftest import Memory, at, memory
from tests.features.test_point_in_time import same

DAYS = 30
MACHINES = ("press-1", "press-2", "press-3", "press-4", "press-5", "mixer-1")
SPEC = FeatureSpec.model_validate({
    "sensors": {
        "windows": ["1h", "24h", "7d"], "baseline": "14d", "fleet": True, "since_maintenance": True,
        "statistics": ["mean", "std", "min", "max", "first", "last", "slope", "count", "out_of_limits", "gap",
                       "share_good", "hours_out", "excursions", "level", "median", "iqr"],
    },
    "regimes": {"settings": ["speed"], "count": 3, "windows": ["1h", "24h", "7d"], "first": 4, "within": "14d",
                "statistics": ["mean", "std", "min", "max", "first", "last", "slope", "median", "iqr"]},
    "maintenance": {"windows": ["7d"]}, "events": {"windows": ["24h"]}, "downtime": {"windows": ["24h"]},
})
# Features that count the orders of other equipment too.
SHARED = FeatureSpec.model_validate({
    "sensors": {"windows": ["24h"], "statistics": ["mean"]}, "maintenance": {"windows": ["7d"]}, "events": False,
    "downtime": False, "rates": True, "machine": True,
})


def history(seed: int) -> Memory:
    """A random plant of 30 days: a reading about every 40 minutes, some late, some corrected, and records likewise."""
    rng = np.random.default_rng(seed)
    hours = DAYS * 24.0

    def some(n: int, share: float) -> np.ndarray:
        return rng.random(n) < share

    def stamped(frame: pd.DataFrame, happens: np.ndarray, changes: str) -> pd.DataFrame:
        """Late rows say when they were recorded; some rows come again, corrected."""
        late = some(len(frame), 0.2)
        recorded = np.where(late, happens + rng.exponential(10.0, len(frame)), np.nan)
        again = some(len(frame), 0.1)
        newer = frame[again].copy()
        newer[changes] = rng.permutation(frame[changes].to_numpy())[again]
        known = np.fmax(happens, np.nan_to_num(recorded, nan=-1.0))
        when = np.concatenate([recorded, known[again] + rng.exponential(40.0, int(again.sum())) + 0.01])
        out = pd.concat([frame, newer], ignore_index=True)
        out["recorded_at"] = pd.Series([at(h) if np.isfinite(h) else pd.NaT for h in when], dtype="datetime64[us, UTC]")
        return out

    readings = []
    for machine in MACHINES:
        for signal in ("force", "speed"):
            h = np.unique(np.round(rng.uniform(0, hours, int(hours * 1.5)), 2))
            value = 10.0 + np.cumsum(rng.normal(0, 0.05, len(h))) + rng.normal(0, 1, len(h))
            frame = pd.DataFrame({
                "equipment_id": machine, "signal": signal, "ts": [at(x) for x in h], "value": value,
                "quality": rng.choice(["good", "good", "good", "uncertain", "bad"], len(h)),
            })
            readings.append(stamped(frame, h, "value"))
    n = 60
    opened = rng.uniform(0, hours, n)
    orders = pd.DataFrame({
        "work_order_id": [f"W{i}" for i in range(n)], "equipment_id": rng.choice(MACHINES, n),
        "kind": rng.choice(["corrective", "preventive"], n), "opened_at": [at(x) for x in opened],
        "closed_at": [at(x + d) for x, d in zip(opened, rng.exponential(8.0, n), strict=True)],
        "failure_mode": rng.choice(["wear", "leak"], n),
    })
    raised = rng.uniform(0, hours, n)
    events = pd.DataFrame({
        "event_id": [f"E{i}" for i in range(n)], "equipment_id": rng.choice(MACHINES, n), "kind": "alarm",
        "ts": [at(x) for x in raised], "code": rng.choice(["A1", "A2"], n),
    })
    stood = rng.uniform(0, hours, n)
    stops = pd.DataFrame({
        "downtime_id": [f"D{i}" for i in range(n)], "equipment_id": rng.choice(MACHINES, n),
        "started_at": [at(x) for x in stood], "planned": pd.array(some(n, 0.5), dtype="boolean"),
        "ended_at": [at(x + d) for x, d in zip(stood, rng.exponential(3.0, n), strict=True)],
    })
    limits = [{"equipment_id": m, "signal": s, "unit": "u", "low": 9.0, "high": 11.0}
              for m in MACHINES for s in ("force", "speed")]
    return memory(
        data_end=at(hours),
        equipment=[{"equipment_id": m, "equipment_class": m.split("-")[0], "commissioned_at": at(-500),
                    "parent_id": "press-1" if m in ("press-2", "mixer-1") else None} for m in MACHINES],
        signals=[*limits, {**limits[0], "high": 10.5, "recorded_at": at(400.0)}],
        readings=pd.concat(readings, ignore_index=True), work_orders=stamped(orders, opened, "failure_mode"),
        events=stamped(events, raised, "code"), downtime=stamped(stops, stood, "planned"),
    )


def arrivals(plant: Memory) -> list[tuple[pd.Timestamp, str, pd.DataFrame]]:
    """Every row version by the moment at which it became known to us, in that order."""
    out: list[tuple[pd.Timestamp, str, pd.DataFrame]] = []
    for name, frame in plant.tables.items():
        table = TABLES[name]
        known = frame["recorded_at"].fillna(at(-1000))
        if table.known_by != "always":
            known = known.where(known > frame[table.known_by], frame[table.known_by])
        out += [(t, name, frame.iloc[[i]]) for i, t in enumerate(known)]
    return sorted(out, key=lambda entry: entry[0])


def before(plant: Memory, rows: list[tuple[pd.Timestamp, str, pd.DataFrame]], t: pd.Timestamp) -> Memory:
    """The snapshot of what had arrived before t."""
    tables = {}
    for name in plant.tables:
        mine = [frame for known, table, frame in rows if table == name and known < t]
        tables[name] = conform(TABLES[name], pd.concat(mine, ignore_index=True)) if mine else plant.table(name)[:0]
    return Memory(tables, t)


@pytest.mark.parametrize("spec", [SPEC, SHARED], ids=["own", "shared"])
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 1000))
def test_a_replay_of_30_days_equals_the_matrix_in_bits(spec: FeatureSpec, seed: int) -> None:
    plant = history(seed)
    rows = arrivals(plant)
    made = plan(plant, spec, "equipment", at(DAYS * 24))
    rng = np.random.default_rng(seed)
    moments = sorted(at(h) for h in [*rng.uniform(20 * 24, DAYS * 24, 25), *(np.arange(5) * 24.0 + 25 * 24)])
    asked = pd.DataFrame([(m, t) for t in moments for m in MACHINES], columns=["equipment_id", "t"])
    offline = equipment_matrix(plant, made, asked)

    start = at(3 * 24)
    state, fed = OnlineState(before(plant, rows, start), reach_of([made])), sum(known < start for known, _, _ in rows)
    for i, t in enumerate(moments):
        while fed < len(rows) and rows[fed][0] < t:
            state.add(rows[fed][1], rows[fed][2])
            fed += 1
        now = asked.iloc[i * len(MACHINES):(i + 1) * len(MACHINES)]
        online = state.matrix(made, now.sample(frac=1, random_state=i).reset_index(drop=True))
        order = online.rows["equipment_id"].map({m: j for j, m in enumerate(MACHINES)}).to_numpy()
        same(offline, online, i * len(MACHINES) + order)
    assert np.isfinite(offline.values).mean() > 0.5


def test_a_state_is_a_snapshots_when_nothing_came() -> None:
    plant = history(1)
    made = plan(plant, SPEC, "equipment", at(DAYS * 24))
    now = pd.DataFrame({"equipment_id": MACHINES, "t": at(DAYS * 24)})
    state = OnlineState(plant, reach_of([made]))
    same(equipment_matrix(plant, made, now), state.matrix(made, now))
    assert made.reach == pd.Timedelta(90, "D"), "since maintenance: the longest look-back"


def test_a_cut_off_before_what_is_kept_is_refused(at: Any, memory: Any) -> None:
    plant = memory(
        equipment=[{"equipment_id": "e", "equipment_class": "press"}],
        readings=[{"equipment_id": "e", "signal": "force", "ts": at(h), "value": 1.0} for h in range(240)],
    )
    made = plan(plant, FeatureSpec.model_validate({"sensors": {"windows": ["1h", "24h"]}}), "equipment", at(240))
    state = OnlineState(plant, reach_of([made]))
    with pytest.raises(SteadylineError) as refused:
        state.matrix(made, pd.DataFrame({"equipment_id": ["e"], "t": [at(100)]}))
    assert refused.value.code == "too_far_back"
