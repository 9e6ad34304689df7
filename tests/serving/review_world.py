"""A plant made for reviews: 200 batches whose records are clean in every system, and exceptions planted in them.

What is planted stands in `review_planted`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from plant.snapshot import latest_time
from plant.tables import TABLES, conform, empty_frame
from serving.review_case import Plant
from serving.review_kinds import RECORDS
from serving.review_rules import Rules

SITE = "planted"
START = pd.Timestamp("2026-01-05T00:00:00Z")
HOUR, DAY = pd.Timedelta(hours=1), pd.Timedelta(days=1)
BATCHES, EVERY = 200, 12 * HOUR
# step, machines, begin and length in hours
STEPS = (("granulation", "gran", 1, 5), ("compression", "press", 7, 6), ("coating", "coater", 14, 4))
LASTS = 19 * HOUR
END = START + (BATCHES - 1) * EVERY + LASTS + 21 * DAY
MACHINES = [f"{kind}-{n}" for _, kind, *_ in STEPS for n in (1, 2)]
ROOM = {m: "room-1" if m.startswith("gran") else "room-2" for m in MACHINES}
SIGNALS = {"temperature": (40.0, 60.0, "degC"), "vibration": (0.0, 5.0, "mm/s")}
ROOM_SIGNALS = {"relative_humidity": (25.0, 60.0, "%"), "differential_pressure": (8.0, 25.0, "Pa")}
# attribute -> lower, upper, usual, spread, days to approval
LAB = {
    "assay": (95.0, 105.0, 100.0, 0.8, 3.0), "hardness": (80.0, 120.0, 100.0, 3.0, 0.4),
    "dissolution": (80.0, None, 92.0, 1.5, 3.0), "impurities": (None, 0.5, 0.2, 0.03, 3.5),
}
LOTS = {"api": ("purity", 98.0, 102.0, 100.0, 0.3, 10), "lactose": ("moisture", 3.0, 7.0, 5.0, 0.3, 12),
        "film": ("viscosity", 200.0, 300.0, 250.0, 8.0, 16)}
SYSTEMS = {**RECORDS, "signals": "historian", "equipment": "CMMS", "batches": "MES"}


@dataclass(frozen=True)
class Planted:
    """An exception that is known to be there. key: part of the rows it rests on.

    also: kinds that follow from it in `around`: batches that it touches less than `batches`.
    """

    kind: str
    severity: str
    key: str
    batches: frozenset[str]
    also: frozenset[str] = frozenset()
    around: frozenset[str] = frozenset()


@dataclass
class World:
    """Canonical tables as a snapshot, each conformed once."""

    tables: dict[str, pd.DataFrame]
    planted: list[Planted] = field(default_factory=list)
    data_version: str = "planted@1"

    def __post_init__(self) -> None:
        self.tables = {n: conform(TABLES[n], f.reset_index(drop=True)) for n, f in self.tables.items()}
        if "readings" in self.tables:  # as the store gives them
            kinds = {"equipment_id": "category", "signal": "category", "quality": "category"}
            self.tables["readings"] = self.tables["readings"].astype(kinds)

    def table(self, name: str) -> pd.DataFrame:
        return self.tables[name] if name in self.tables else empty_frame(TABLES[name])

    @cached_property
    def data_end(self) -> pd.Timestamp:
        return latest_time(self.tables)

    @property
    def batch_ids(self) -> list[str]:
        return [b for b in self.tables["batches"]["batch_id"] if b.startswith("B")]

    def without(self, *names: str) -> World:
        """The same plant with a feed dropped: connected, and empty."""
        return World({n: f for n, f in self.tables.items() if n not in names}, self.planted)


def plant_of(rules: Rules, without: Iterable[str] = ()) -> Plant:
    return Plant("planted", "Europe/Dublin", True, rules, {t: s for t, s in SYSTEMS.items() if t not in set(without)})


def batch(i: int) -> str:
    return f"B{i:03d}"


def begin(i: int) -> pd.Timestamp:
    return START + i * EVERY


def uses() -> list[tuple[str, str, str, pd.Timestamp, pd.Timestamp]]:
    """(batch, step, machine, start, end) of every step."""
    return [
        (batch(i), step, f"{kind}-{i % 2 + 1}", begin(i) + start * HOUR, begin(i) + (start + lasts) * HOUR)
        for i in range(BATCHES) for step, kind, start, lasts in STEPS
    ]


def clean(seed: int) -> dict[str, pd.DataFrame]:
    """Records without an exception."""
    rng = np.random.default_rng(seed)
    return {
        "equipment": pd.DataFrame({
            "equipment_id": [*MACHINES, "room-1", "room-2"],
            "equipment_class": [m.split("-")[0] for m in MACHINES] + ["room"] * 2,
            "parent_id": [*(ROOM[m] for m in MACHINES), None, None],
        }),
        "signals": _signals(), "readings": _readings(rng), "events": _events(rng), "downtime": _downtime(rng),
        "work_orders": _orders(), **_made(rng), "genealogy": _genealogy(rng), "lab_results": _results(rng),
        "deviations": _deviations(), "dispositions": _dispositions(rng),
    }


def _signals() -> pd.DataFrame:
    of = [(m, SIGNALS) for m in MACHINES] + [(r, ROOM_SIGNALS) for r in ("room-1", "room-2")]
    rows = [(m, s, unit, low, high) for m, signals in of for s, (low, high, unit) in signals.items()]
    return pd.DataFrame(rows, columns=["equipment_id", "signal", "unit", "low", "high"])


def _readings(rng: np.random.Generator) -> pd.DataFrame:
    parts = []
    for _, _, machine, start, end in uses():
        ts = pd.date_range(start + pd.Timedelta(minutes=5), end, freq="20min")
        for signal, usual in (("temperature", 50.0), ("vibration", 2.5)):
            parts.append(pd.DataFrame({"equipment_id": machine, "signal": signal, "ts": ts,
                                       "value": rng.normal(usual, 0.4, len(ts))}))
    hours = pd.date_range(START - 2 * DAY, END, freq="1h")
    for room in ("room-1", "room-2"):
        for signal, usual in (("relative_humidity", 45.0), ("differential_pressure", 15.0)):
            parts.append(pd.DataFrame({"equipment_id": room, "signal": signal, "ts": hours,
                                       "value": rng.normal(usual, 1.0, len(hours))}))
    out = pd.concat(parts, ignore_index=True).assign(quality="good")
    # what happens every day and is no exception: single readings that are lost, marked bad, or leap out of the limits
    luck = rng.random(len(out))
    out.loc[luck < 0.002, ["value", "quality"]] = [999.0, "bad"]
    machine = ~out["equipment_id"].str.startswith("room")
    out.loc[machine & (luck > 0.997), "value"] = 80.0
    return out[(luck < 0.5) | (luck > 0.502)].reset_index(drop=True)


def _events(rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for _, _, machine, start, end in uses():
        rows += [(machine, start, "state", "execute"), (machine, end, "state", "complete")]
        for share in rng.random(int(rng.poisson(0.6))):
            rows.append((machine, start + (end - start) * float(share), "alarm", rng.choice(["door_open", "refill"])))
    out = pd.DataFrame(rows, columns=["equipment_id", "ts", "kind", "code"])
    return out.assign(event_id=[f"E{n:05d}" for n in range(len(out))])


def _downtime(rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for _, _, machine, start, end in uses():
        for share in rng.random(int(rng.integers(0, 3))):
            at = start + (end - start - 0.2 * HOUR) * float(share)
            rows.append((machine, at, at + pd.Timedelta(minutes=int(rng.integers(2, 11))), "jam", False))
    out = pd.DataFrame(rows, columns=["equipment_id", "started_at", "ended_at", "reason", "planned"])
    return out.assign(downtime_id=[f"S{n:05d}" for n in range(len(out))])


def _orders() -> pd.DataFrame:
    rows = []
    for n, machine in enumerate(MACHINES):
        for kind, every, waits in (("preventive", 30, 6), ("calibration", 40, 3), ("inspection", 20, 2)):  # days
            due = START + (n * 4 - every) * DAY
            while due < END:
                begun = due + waits * DAY
                rows.append((machine, kind, due, begun, begun + 2 * HOUR))
                due += every * DAY
    columns = ["equipment_id", "kind", "opened_at", "started_at", "closed_at"]
    out = pd.DataFrame(rows, columns=columns).sort_values("opened_at", kind="stable", ignore_index=True)
    return out.assign(work_order_id=[f"W{n:04d}" for n in range(len(out))])


_SPAN = ("started_at", "ended_at")


def _made(rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    batches = [(batch(i), "P10" if i // 5 % 2 else "P20", "L1", begin(i), begin(i) + LASTS, rng.normal(98, 0.3))
               for i in range(BATCHES)]
    batches += [(suspension(n), "Suspension", None, *mixed(n), rng.normal(99, 0.2)) for n in range(BATCHES // 2)]
    steps = [(b, step, m, s, e, rng.normal(10, 0.5)) for b, step, m, s, e in uses()]
    steps += [(suspension(n), "suspension", None, *mixed(n), np.nan) for n in range(BATCHES // 2)]
    return {
        "batches": pd.DataFrame(batches, columns=["batch_id", "product", "line", *_SPAN, "yield_pct"]),
        "batch_steps": pd.DataFrame(steps, columns=["batch_id", "step", "equipment_id", *_SPAN, "speed"]),
    }


def suspension(n: int) -> str:
    return f"C{n:03d}"


def mixed(n: int) -> tuple[pd.Timestamp, pd.Timestamp]:
    """When the suspension of batches 2n and 2n+1 is made."""
    return begin(2 * n) - 20 * HOUR, begin(2 * n) - 16 * HOUR


def lot_of(material: str, i: int) -> str:
    return f"{material.upper()}-{i // LOTS[material][5]:02d}"


def _genealogy(rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for i in range(BATCHES):
        rows += [(batch(i), lot_of(m, i), m, "S1", begin(i) - HOUR) for m in ("api", "lactose")]
        rows.append((batch(i), suspension(i // 2), "suspension", "in-house", begin(i) - HOUR))
    rows += [(suspension(n), lot_of("film", 2 * n), "film", "S2", mixed(n)[0] - HOUR) for n in range(BATCHES // 2)]
    out = pd.DataFrame(rows, columns=["batch_id", "material_lot", "material", "supplier", "used_at"])
    return out.assign(quantity=rng.normal(50, 1, len(out)))


def _results(rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for i in range(BATCHES):
        for attribute, (low, high, usual, spread, days) in LAB.items():
            sampled = begin(i) + LASTS + HOUR
            approved = sampled + days * float(rng.uniform(0.8, 1.1)) * DAY
            value = _within(rng.normal(usual, spread), low, high)
            rows.append((batch(i), None, attribute, value, low, high, sampled, approved))
    for material, (attribute, low, high, usual, spread, lasts) in LOTS.items():
        for n in range(-(-BATCHES // lasts)):
            first = begin(n * lasts) - 10 * DAY
            value = _within(rng.normal(usual, spread), low, high)
            rows.append((None, f"{material.upper()}-{n:02d}", attribute, value, low, high, first, first + 3 * DAY))
    for n in range(BATCHES // 2):
        done = mixed(n)[1]
        value = _within(rng.normal(300, 10), 220.0, 380.0)
        rows.append((suspension(n), None, "density", value, 220.0, 380.0, done, done + 4 * HOUR))
    limits, times = ("lower_spec", "upper_spec"), ("sampled_at", "approved_at")
    columns = ["batch_id", "material_lot", "attribute", "value", *limits, *times]
    out = pd.DataFrame(rows, columns=columns).astype({"lower_spec": float, "upper_spec": float})
    return out.assign(result_id=[f"R{n:05d}" for n in range(len(out))], unit="%", status="in_spec")


def _within(value: float, low: float | None, high: float | None) -> float:
    return float(np.clip(value, -np.inf if low is None else low, np.inf if high is None else high))


def _deviations() -> pd.DataFrame:
    """One of every eighth batch, and of a machine now and then, all of them closed."""
    rows = [
        (batch(i), None, "documentation", "minor", begin(i) + 20 * HOUR, begin(i) + 6 * DAY)
        for i in range(0, BATCHES, 8)
    ]
    rows += [(None, MACHINES[i % 6], "equipment", "major", begin(i), begin(i) + 9 * DAY) for i in range(0, BATCHES, 15)]
    out = pd.DataFrame(rows, columns=["batch_id", "equipment_id", "category", "severity", "opened_at", "closed_at"])
    return out.assign(deviation_id=[f"D{n:03d}" for n in range(len(out))])


def _dispositions(rng: np.random.Generator) -> pd.DataFrame:
    done = [begin(i) + LASTS + float(rng.uniform(1, 3)) * DAY for i in range(BATCHES)]
    return pd.DataFrame({
        "batch_id": [batch(i) for i in range(BATCHES)], "record_complete_at": done,
        "reviewed_at": [t + 5 * DAY for t in done], "disposed_at": [t + 6 * DAY for t in done], "decision": "released",
    })


def site_folder(root: Path) -> Path:
    """A site that connects every table of a review; what its sources hold does not matter here."""
    folder = root / "sites" / SITE
    folder.mkdir(parents=True)
    sources = {s: {"system": s, "path": f"{s}.csv", "format": "csv", "time_zone": "UTC"} for s in set(SYSTEMS.values())}
    tables = {
        name: [{"source": SYSTEMS[name], "columns": {
            c.name: c.name for c in TABLES[name].columns if c.required or c.name in TABLES[name].one_of
        }}]
        for name in SYSTEMS
    }
    site = {"site": SITE, "title": "Planted", "simulated": True, "time_zone": "Europe/Dublin", "sources": sources,
            "tables": tables}
    (folder / "site.yaml").write_text(yaml.safe_dump(site), encoding="utf-8")
    return folder
