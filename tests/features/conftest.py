"""A small plant in memory with everything that makes point-in-time hard: late, corrected, open and tied rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest

from plant.tables import TABLES, conform, empty_frame

START = pd.Timestamp("2026-01-01", tz="UTC")
HOUR = pd.Timedelta(hours=1)
DAY = pd.Timedelta(days=1)


@dataclass(frozen=True)
class Memory:
    """A snapshot made of frames."""

    tables: dict[str, pd.DataFrame]
    data_end: pd.Timestamp = START + 240 * HOUR
    data_version: str = "memory"

    def table(self, name: str) -> pd.DataFrame:
        return self.tables.get(name, empty_frame(TABLES[name]))


def memory(data_end: pd.Timestamp = START + 240 * HOUR, **rows: list[dict[str, Any]] | pd.DataFrame) -> Memory:
    """A snapshot from rows per table; what a row does not say is empty."""
    made = {}
    for name, given in rows.items():
        frame = given if isinstance(given, pd.DataFrame) else pd.DataFrame(given)
        for column in TABLES[name].columns:
            if column.kind == "time" and column.name in frame:
                frame[column.name] = pd.to_datetime(frame[column.name], utc=True)
        if "recorded_at" in frame:
            frame["recorded_at"] = pd.to_datetime(frame["recorded_at"], utc=True)
        made[name] = conform(TABLES[name], frame)
    return Memory(made, data_end)


def at(hours: float) -> pd.Timestamp:
    """`hours` after the start of the plant's records."""
    return START + pd.Timedelta(seconds=round(hours * 3600))


@pytest.fixture(name="at")
def _at() -> Any:
    return at


@pytest.fixture(name="memory")
def _memory() -> Any:
    return memory


EQUIPMENT = ("press-1", "press-2", "mixer-1")
BATCHES = tuple(f"B{i:02d}" for i in range(12))


def random_plant(seed: int, versions: bool = True) -> Memory:
    """A random plant of ten days on a coarse clock (ties are frequent); the same for the same seed."""
    rng = np.random.default_rng(seed)

    def when(n: int, low: float = 0, high: float = 240, step: float = 0.5) -> list[pd.Timestamp]:
        return [at(h) for h in np.round(rng.uniform(low, high, n) / step) * step]

    def later(times: list[Any], most: float, missing: float = 0.0) -> list[Any]:
        gaps = np.round(rng.uniform(0, most, len(times)) * 2) / 2
        return [pd.NaT if pd.isna(t) or rng.random() < missing else t + g * HOUR
                for t, g in zip(times, gaps, strict=True)]

    def pick(words: list[Any], n: int) -> list[Any]:
        return [words[i] for i in rng.integers(0, len(words), n)]

    equipment = [
        {"equipment_id": e, "equipment_class": c, "criticality": k, "commissioned_at": at(-1000), "parent_id": p}
        for e, c, k, p in zip(EQUIPMENT, ("press", "press", "mixer"), ("high", None, "low"), (None, "press-1", None),
                              strict=True)
    ]
    signals = [{"equipment_id": e, "signal": s, "unit": "u", "low": -0.5, "high": 0.8}
               for e in EQUIPMENT[:2] for s in ("force", "speed")]
    n = 400
    readings = pd.DataFrame({
        "equipment_id": pick(list(EQUIPMENT), n), "signal": pick(["force", "speed"], n), "ts": when(n, step=0.25),
        "value": np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n)),
        "quality": pick(["good", "good", "good", "uncertain", "bad", None], n),
    })
    readings = readings[(readings["equipment_id"] != "mixer-1") | (readings["signal"] != "speed")]
    readings = readings.drop_duplicates(["equipment_id", "signal", "ts"]).reset_index(drop=True)
    n = 60
    opened = when(n)
    orders = pd.DataFrame({
        "work_order_id": [f"W{i}" for i in range(n)], "equipment_id": pick(list(EQUIPMENT), n),
        "kind": pick(["corrective", "corrective", "preventive", "inspection"], n), "opened_at": opened,
        "started_at": later(opened, 3, 0.3), "closed_at": later(opened, 20, 0.2),
        "failure_mode": pick(["wear", "leak", "leak", None], n),
    })
    n = 80
    events = pd.DataFrame({
        "event_id": [f"E{i}" for i in range(n)], "equipment_id": pick(list(EQUIPMENT), n), "ts": when(n),
        "kind": pick(["alarm", "error"], n), "code": pick(["A1", "A2", "A3", None], n),
    })
    n = 50
    began = when(n)
    stops = pd.DataFrame({
        "downtime_id": [f"D{i}" for i in range(n)], "equipment_id": pick(list(EQUIPMENT), n), "started_at": began,
        "ended_at": [t + g * pd.Timedelta(minutes=1) if rng.random() > 0.15 else pd.NaT
                     for t, g in zip(began, rng.choice([5, 10, 60, 600, 2400], n), strict=True)],
        "planned": pd.array(pick([True, False, None], n), dtype="boolean"),
    })
    frames = {
        "equipment": pd.DataFrame(equipment), "signals": pd.DataFrame(signals), "readings": readings,
        "work_orders": orders, "events": events, "downtime": stops, **_batches(rng, pick, later),
    }
    if versions:
        frames = {name: _versions(rng, TABLES[name].key, f) if name not in ("equipment", "batch_steps") else f
                  for name, f in frames.items()}
    return memory(**frames)


def _batches(rng: np.random.Generator, pick: Any, later: Any) -> dict[str, pd.DataFrame]:
    n = len(BATCHES)
    started = [at(h) for h in np.sort(np.round(rng.uniform(0, 220, n)))]
    first_end, second = later(started, 6), later(started, 12)
    second = [max(a, b) for a, b in zip(first_end, second, strict=True)]
    second_end = later(second, 8, 0.2)
    batches = pd.DataFrame({"batch_id": BATCHES, "product": pick(["P1", "P2"], n), "size": rng.uniform(1, 2, n),
                            "started_at": started, "ended_at": second_end})
    batches["recipe"] = np.where(batches["size"] > 1.5, "R1", "R2")
    steps = pd.concat([
        pd.DataFrame({"batch_id": BATCHES, "step": "mixing", "equipment_id": "mixer-1", "started_at": started,
                      "ended_at": first_end, "torque": rng.normal(size=n)}),
        pd.DataFrame({"batch_id": BATCHES, "step": "pressing", "equipment_id": pick(["press-1", "press-2"], n),
                      "started_at": second, "ended_at": second_end, "main_force": rng.normal(size=n)}),
    ], ignore_index=True)
    uses = []
    for material in ("api", "filler"):
        for b, t in zip(BATCHES, started, strict=True):
            for lot in set(pick([f"{material}-{i}" for i in range(3)], 1 + int(rng.random() < 0.3))):
                uses.append({"batch_id": b, "material_lot": lot, "material": material, "used_at": t,
                             "supplier": pick(["S1", "S2"], 1)[0], "quantity": float(rng.integers(1, 5))})
    results = []
    for subject, ids, attributes in (("batch_id", BATCHES, ("assay", "dissolution", "weight", "assay")),
                                     ("material_lot", tuple(f"api-{i}" for i in range(3)), ("water",))):
        for i in ids:
            for a in attributes:
                sampled = started[BATCHES.index(i)] if subject == "batch_id" else at(float(rng.integers(0, 100)))
                results.append({"result_id": f"R{len(results)}", subject: i, "attribute": a, "value": rng.normal(),
                                "unit": "%", "sampled_at": sampled, "approved_at": later([sampled], 60, 0.1)[0],
                                "status": pick(["in_spec", "in_spec", "invalidated"], 1)[0]})
    return {"batches": batches, "batch_steps": steps, "genealogy": pd.DataFrame(uses),
            "lab_results": pd.DataFrame(results)}


def _versions(rng: np.random.Generator, key: tuple[str, ...], frame: pd.DataFrame) -> pd.DataFrame:
    """Some rows are entered late, some corrected (once or twice, sometimes twice at the same moment)."""
    frame = frame.copy()
    n = len(frame)
    entered = np.round(rng.uniform(0, 240, n))
    late = [at(h) if rng.random() < 0.2 else pd.NaT for h in entered]
    frame["recorded_at"] = pd.Series(late, dtype="datetime64[us, UTC]")
    parts = [frame]
    for _ in range(2):
        some = frame[rng.random(n) < 0.2].copy()
        other = frame.sample(len(some), replace=True, random_state=int(rng.integers(1 << 30)))
        for column in frame.columns:
            if column not in key and column != "recorded_at" and rng.random() < 0.7:
                some[column] = other[column].array
        some["recorded_at"] = pd.Series([at(h) for h in np.round(rng.uniform(0, 240, len(some)) / 24) * 24],
                                        index=some.index, dtype="datetime64[us, UTC]")
        parts.append(some)
    return pd.concat(parts, ignore_index=True)
