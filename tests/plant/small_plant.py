"""A small clean plant as canonical tables, unlike the virtual sites, for tests that plant one defect in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from plant.readiness import Finding, Readiness, readiness
from plant.site import Site, load_site
from plant.snapshot import Frames
from plant.tables import TABLES as CONTRACTS

TABLES = ("equipment", "signals", "readings", "events", "downtime", "work_orders", "batches", "batch_steps",
          "genealogy", "lab_results")  # fmt: skip
_SYSTEMS = {"readings": "historian", "events": "controls", "work_orders": "CMMS", "lab_results": "LIMS"}
_START = pd.Timestamp("2024-01-03 06:00", tz="UTC")
DAYS = 130

Tables = dict[str, pd.DataFrame]


def small_site(folder: Path, also: Mapping[str, str] | None = None) -> Site:
    """A site in which each table has a source of its own, in UTC. also: further sources with the table each feeds."""
    fed = {t: t for t in TABLES} | dict(also or {})
    sources = "\n".join(
        f"  {s}: {{system: {_SYSTEMS.get(t, 'MES')}, path: {s}.csv, format: csv, time_zone: UTC}}"
        for s, t in fed.items()
    )
    items = {
        t: "".join(f"\n    - source: {s}\n      columns: {{{_mapping(t)}}}" for s in fed if fed[s] == t) for t in TABLES
    }
    tables = "\n".join(f"  {t}:{several}" for t, several in items.items())
    folder.mkdir(parents=True, exist_ok=True)
    text = f"site: small\ntitle: A small plant\ntime_zone: Europe/Berlin\nsources:\n{sources}\ntables:\n{tables}\n"
    (folder / "site.yaml").write_text(text, encoding="utf-8")
    return load_site(folder)


def _mapping(table: str) -> str:
    names = [c.name for c in CONTRACTS[table].columns if c.required]
    if table == "lab_results":
        names.append("batch_id")
    return ", ".join(f"{n}: {n}" for n in names)


def small_plant(seed: int = 1) -> Tables:
    """Six machines of two classes, batches one after another on each line, readings only while a step runs."""
    rng = np.random.default_rng(seed)
    machines = [f"mill-{i}" for i in (1, 2, 3)] + [f"mixer-{i}" for i in (1, 2, 3)]
    batches, steps, lots, results, stops, orders, events, readings = [], [], [], [], [], [], [], []
    number = 0
    for line in (1, 2, 3):
        at = _START + pd.Timedelta(int(rng.integers(0, 600)), "min")
        while at < _START + pd.Timedelta(DAYS, "D"):
            number += 1
            batch = f"L{1000 + number}"
            begin = at
            for step, machine in (("milling", f"mill-{line}"), ("mixing", f"mixer-{line}")):
                length = pd.Timedelta(int(rng.integers(360, 560)), "min")
                steps.append((batch, step, machine, at, at + length))
                readings.append((machine, at, at + length))
                events.append((machine, at, "state", "running"))
                at += length + pd.Timedelta(int(rng.integers(15, 90)), "min")
            end = steps[-1][4]
            batches.append((batch, "P" + str(1 + number % 3), 100_000.0, f"line-{line}", begin, end))
            lots.append((batch, f"LOT{500 + number // 6}", "lactose", "Meggle", 120.0, begin - pd.Timedelta(1, "h")))
            for attribute, level, spread in (("assay", 99.0, 0.8), ("water", 2.1, 0.1)):
                wait = pd.Timedelta(int(rng.integers(1000, 7000)), "min")
                results.append((batch, attribute, level + spread * rng.normal(), end, end + wait))
            if rng.random() < 0.25:
                stop = end + pd.Timedelta(5, "min")
                again = stop + pd.Timedelta(int(rng.integers(30, 240)), "min")
                machine = steps[-1][2]
                stops.append((machine, stop, again))
                opened = stop + pd.Timedelta(int(rng.integers(1, 4)), "min")
                orders.append((machine, opened, again + pd.Timedelta(int(rng.integers(1, 4)), "min")))
                events.append((machine, stop, "error", "trip"))
                at = again
            at += pd.Timedelta(int(rng.integers(200, 900)), "min")
    return {
        "equipment": pd.DataFrame({"equipment_id": machines, "equipment_class": ["mill"] * 3 + ["mixer"] * 3}),
        "signals": pd.DataFrame(
            [(m, s, u, lo, hi) for m in machines for s, u, lo, hi in _SIGNALS],
            columns=["equipment_id", "signal", "unit", "low", "high"],
        ),
        "readings": _readings(rng, readings),
        "events": _numbered("E", "event_id", events, ["equipment_id", "ts", "kind", "code"], "ts"),
        "downtime": _numbered(
            "D", "downtime_id", stops, ["equipment_id", "started_at", "ended_at"], "started_at"
        ).assign(reason="breakdown", planned=False),
        "work_orders": _numbered(
            "W", "work_order_id", orders, ["equipment_id", "opened_at", "closed_at"], "opened_at"
        ).assign(kind="corrective", failure_mode="jam", text="stands", cost=100.0),
        "batches": pd.DataFrame(batches, columns=["batch_id", "product", "size", "line", "started_at", "ended_at"]),
        "batch_steps": pd.DataFrame(
            steps, columns=["batch_id", "step", "equipment_id", "started_at", "ended_at"]
        ).assign(load=lambda f: 50.0 + np.arange(len(f)) % 7),
        "genealogy": pd.DataFrame(
            lots, columns=["batch_id", "material_lot", "material", "supplier", "quantity", "used_at"]
        ),
        "lab_results": _numbered(
            "R", "result_id", results, ["batch_id", "attribute", "value", "sampled_at", "approved_at"], "sampled_at"
        ).assign(unit="%", lower_spec=lambda f: np.where(f["attribute"] == "assay", 95.0, 1.0),
                 upper_spec=lambda f: np.where(f["attribute"] == "assay", 105.0, 3.0), status="in_spec"),
    }  # fmt: skip


_SIGNALS = (("temperature", "degC", 20.0, 40.5), ("pressure", "bar", 1.0, 5.0), ("speed", "rpm", 300.0, 700.0))
_LEVEL = {"temperature": (38.0, 0.9), "pressure": (3.1, 0.12), "speed": (500.0, 12.0)}


def _readings(rng: np.random.Generator, runs: list[tuple[str, pd.Timestamp, pd.Timestamp]]) -> pd.DataFrame:
    parts = []
    for machine, start, end in runs:
        ts = pd.date_range(start.ceil("5min"), end, freq="5min")
        for signal, (level, spread) in _LEVEL.items():
            values = (level + spread * rng.normal(size=len(ts))).round(3)
            parts.append(pd.DataFrame({"equipment_id": machine, "signal": signal, "ts": ts, "value": values}))
    every = pd.concat(parts, ignore_index=True).sort_values(["ts", "equipment_id", "signal"], ignore_index=True)
    return every.assign(quality="good", source_file="readings.csv", source_line=np.arange(2.0, len(every) + 2))


def _numbered(letter: str, key: str, rows: list[tuple[object, ...]], columns: list[str], by: str) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=columns).sort_values(by, ignore_index=True)
    frame[key] = [f"{letter}{10_000 + i}" for i in range(len(frame))]
    return frame.assign(source_file="rows.csv", source_line=np.arange(2.0, len(frame) + 2))


def report(site: Site, tables: Tables) -> Readiness:
    return readiness(site, Frames(tables), {}, {})


def told(site: Site, tables: Tables) -> dict[tuple[str, str], Finding]:
    """Findings by code and table, without what only says how things are."""
    return {(f.code, f.table): f for f in report(site, tables).findings if f.severity != "info"}


_STANDING = {"temperature": (22.0, 0.6), "pressure": (1.0, 0.02), "speed": (0.0, 0.0)}


def sending_always(tables: Tables, seed: int = 1) -> Tables:
    """The plant with a historian that sends every five minutes whether a machine runs or stands.

    Machines stand at a level of their own, cool down slowly, and are cleaned at half speed now and then between steps.
    """
    rng = np.random.default_rng(seed)
    steps, parts = tables["batch_steps"], []
    ts = pd.date_range(steps["started_at"].min().floor("D"), steps["ended_at"].max().ceil("D"), freq="5min")
    for machine, runs in steps.groupby("equipment_id"):
        on = np.zeros(len(ts), dtype=bool)
        for start, end in zip(runs["started_at"], runs["ended_at"], strict=True):
            on |= (ts >= start) & (ts < end)
        cleaned = np.convolve(rng.random(len(ts)) < 0.002, np.ones(9))[: len(ts)] > 0
        drive = np.where(on, 1.0, np.where(cleaned, 0.5, 0.0))
        warm = pd.Series(drive).ewm(halflife=6).mean().to_numpy()
        for signal, (level, spread) in _LEVEL.items():
            low, scatter = _STANDING[signal]
            share = warm if signal == "temperature" else drive
            noise = rng.normal(size=len(ts)) * np.where(share > 0, spread, scatter)
            values = (low + (level - low) * share + noise).round(3)
            parts.append(pd.DataFrame({"equipment_id": machine, "signal": signal, "ts": ts, "value": values}))
    every = pd.concat(parts, ignore_index=True).sort_values(["ts", "equipment_id", "signal"], ignore_index=True)
    lines = np.arange(2.0, len(every) + 2)
    return tables | {"readings": every.assign(quality="good", source_file="readings.csv", source_line=lines)}
