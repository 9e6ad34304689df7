"""Plants with leaks in their data: signals, events and step values whose makers knew the future."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from models.spec import FailureSpec
from plant.snapshot import Frames
from tests.training.small import DAY, START, failure_spec, machines
from training import failure
from training.audit_finding import Audit

DAYS = 200
HOUR, NOTHING = pd.Timedelta("1h"), pd.Timedelta(0)
Signal = Callable[[str, pd.Series], np.ndarray]


def with_preventive(plant: Frames, low: float = 20, high: float = 40, seed: int = 1) -> Frames:
    """The plant with preventive orders every `low` to `high` days on each machine."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for machine in plant.table("equipment")["equipment_id"]:
        at = rng.uniform(0, high)
        while at < DAYS:
            opened = START + pd.Timedelta(hours=round(at * 24))
            rows.append({"work_order_id": f"PM {machine} {len(rows)}", "equipment_id": machine, "kind": "preventive",
                         "opened_at": opened, "started_at": opened + 2 * HOUR, "closed_at": opened + 6 * HOUR})
            at += rng.uniform(low, high)
    orders = pd.concat([plant.table("work_orders"), pd.DataFrame(rows)], ignore_index=True)
    return Frames({**plant.tables, "work_orders": orders})


PLANT = with_preventive(machines())


def hours_until(kind: str, machine: str, ts: pd.Series, plant: Frames = PLANT) -> np.ndarray:
    """Hours to the next order of a kind on the machine; NaN where there is none."""
    orders = plant.table("work_orders")
    own = orders.loc[(orders["kind"] == kind) & (orders["equipment_id"] == machine), "opened_at"]
    at, when = np.sort(own.to_numpy("datetime64[us]")), ts.to_numpy("datetime64[us]")
    k = np.searchsorted(at, when)
    out = np.full(len(when), np.nan)
    there = k < len(at)
    out[there] = (at[k[there]] - when[there]).astype(np.int64) / 3.6e9
    return out


def hours_since(kind: str, machine: str, ts: pd.Series, plant: Frames = PLANT) -> np.ndarray:
    """Hours since the last order of a kind on the machine, or since the start."""
    orders = plant.table("work_orders")
    own = orders.loc[(orders["kind"] == kind) & (orders["equipment_id"] == machine), "opened_at"]
    at = np.sort(np.append(own.to_numpy("datetime64[us]"), START.to_datetime64()))
    when = ts.to_numpy("datetime64[us]")
    hours = (when - at[np.searchsorted(at, when, "right") - 1]).astype("timedelta64[us]").astype(np.int64) / 3.6e9
    return np.asarray(hours)


def with_signal(name: str, every: str, value: Signal, early: pd.Timedelta = NOTHING) -> Frames:
    """PLANT with one more signal, read `every` so often; value(machine, moments), NaN is no reading.

    early: how long before its moment a reading stands in the historian.
    """
    parts = [PLANT.table("readings")]
    for machine in PLANT.table("equipment")["equipment_id"]:
        ts = pd.Series(pd.date_range(START, periods=int(DAYS * DAY / pd.Timedelta(every)), freq=every))
        found = np.asarray(value(machine, ts), dtype=np.float64)
        told = np.isfinite(found)
        parts.append(pd.DataFrame({"equipment_id": machine, "signal": name, "ts": ts[told] - early,
                                   "value": found[told]}))
    return Frames({**PLANT.tables, "readings": pd.concat(parts, ignore_index=True)})


def with_events(code: str, moments: Callable[[str, pd.Series], pd.Series]) -> Frames:
    """PLANT with events of one code; moments(machine, its failures)."""
    orders = PLANT.table("work_orders")
    rows = []
    for machine in PLANT.table("equipment")["equipment_id"]:
        failed = orders.loc[(orders["kind"] == "corrective") & (orders["equipment_id"] == machine), "opened_at"]
        rows += [{"event_id": f"{code} {machine} {i}", "equipment_id": machine, "ts": ts, "kind": "error",
                  "code": code} for i, ts in enumerate(moments(machine, failed))]
    return Frames({**PLANT.tables, "events": pd.DataFrame(rows)})


def countdown(machine: str, ts: pd.Series) -> np.ndarray:
    """Days until the next preventive order."""
    return hours_until("preventive", machine, ts) / 24


def label(horizon_h: float, shift_h: float = 0.0) -> Signal:
    """1 where the machine fails within the horizon of the moment, shifted by some hours."""

    def value(machine: str, ts: pd.Series) -> np.ndarray:
        left = hours_until("corrective", machine, ts + pd.Timedelta(hours=shift_h))
        return np.where(np.isfinite(left), left < horizon_h, False).astype(np.float64)

    return value


def spec_of(
    every: str = "24h", horizons: tuple[str, ...] = ("24h", "72h"), statistics: tuple[str, ...] = ("mean",),
    **changes: Any,
) -> FailureSpec:
    features = {
        "sensors": {"windows": ["24h"], "statistics": list(statistics)}, "maintenance": {"windows": ["30d"]},
        "events": {"windows": ["24h", "72h"]}, "downtime": False,
    }
    cutoffs = {"every": every, "end": (START + 195 * DAY).isoformat()}
    return failure_spec(cutoffs=cutoffs, horizons=list(horizons), decision_horizon=horizons[-1], features=features,
                        **changes)


def audited(plant: Frames, spec: FailureSpec | None = None) -> Audit:
    """The audit that a training of the plant would run."""
    spec = spec_of() if spec is None else spec
    return failure.audit_features(plant, spec, failure.prepare_failure(plant, spec))


def named(audit: Audit) -> set[str]:
    """Signals or codes that the blocking findings name."""
    return {f.feature for f in audit.blocking}
