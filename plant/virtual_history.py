"""One simulated physical history, in the words of the plant language, and the truth behind it.

Everything is quantised here, before any export: records to whole minutes, readings and events to whole
seconds, values to what the instrument resolves. So two exports of one history carry the same information.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from plant.errors import UnknownId, listing, nearest
from plant.tables import TABLES, TIME_DTYPE, Table
from plant.virtual_batches import batch_table, make_batches, step_table
from plant.virtual_catalogue import SITES, START, SiteFacts, Size
from plant.virtual_machines import MACHINES, ROOM_SIGNALS, STEPS
from plant.virtual_orders import downtime, spare_parts, work_orders
from plant.virtual_plant import Unit, run_plant
from plant.virtual_quality import make_quality
from plant.virtual_signals import (
    events,
    join_readings,
    machine_readings,
    minor_stops,
    room_humidity,
    room_readings,
    times,
)
from plant.virtual_truth import failures_truth, states_truth

_STREAMS = (
    "plant",
    "humidity",
    "batches",
    "table",
    "quality",
    "readings",
    "rooms",
    "events",
    "stops",
    "orders",
    "parts",
    "outages",
)
_COMMISSIONED = pd.Timestamp("2019-03-01", tz="UTC")


@dataclass(frozen=True)
class History:
    """tables: canonical frames (UTC, without lineage, `recorded_at` where a version has one).

    truth: what no plant knows. `site` is the site whose physics this is, whatever dialect it is exported in.
    """

    site: str
    size: str
    seed: int
    start: pd.Timestamp
    end: pd.Timestamp
    tables: dict[str, pd.DataFrame]
    truth: dict[str, pd.DataFrame]


def facts_of(site: str, size: str) -> tuple[SiteFacts, Size]:
    """The declarations of a simulated site and size. Raises UnknownId for others."""
    if site not in SITES:
        raise UnknownId("unknown_site", f"no simulated site '{site}' {nearest(site, SITES)}".rstrip(), listing(SITES))
    sizes = SITES[site].sizes
    if size not in sizes:
        raise UnknownId("unknown_size", f"no size '{size}' {nearest(size, sizes)}".rstrip(), listing(sizes))
    return SITES[site], sizes[size]


def make_history(site: str, size: str, seed: int) -> History:
    """Simulates `site`. The same arguments give the same history, value by value."""
    facts, facts_size = facts_of(site, size)
    seeds = dict(zip(_STREAMS, np.random.SeedSequence([seed, facts.number]).spawn(len(_STREAMS)), strict=True))
    rng = {name: np.random.Generator(np.random.PCG64(s)) for name, s in seeds.items() if name != "plant"}
    run = run_plant(facts_size, seeds["plant"])
    humidity = room_humidity(run.hours, facts_size.rooms, facts.humidity, rng["humidity"])
    made = make_batches(run, facts_size, facts, humidity, rng["batches"])
    quality = make_quality(made, run, rng["quality"])
    frames = machine_readings(run, facts_size, made.product, _outages(run.hours, rng["outages"]), rng["readings"])
    raised = events(run, rng["events"])
    minutes = {
        "downtime": downtime(run, minor_stops(run, rng["stops"])),
        "work_orders": work_orders(run, facts, rng["orders"]),
        "batches": batch_table(made, rng["table"]),
        "batch_steps": step_table(made, run),
        "genealogy": made.genealogy,
        "lab_results": quality.lab_results,
        "deviations": quality.deviations,
        "dispositions": quality.dispositions,
    }
    end = START + pd.Timedelta(days=facts_size.days)
    tables = {
        "equipment": _equipment(site, run.units, facts_size.rooms),
        "signals": _signals(run.units, facts_size.rooms),
        "readings": join_readings([*frames, *room_readings(humidity, rng["rooms"])]),
        "events": _events(raised, end),
        "spare_parts": spare_parts(rng["parts"]),
    }
    for name, table in minutes.items():
        tables[name] = known_at(TABLES[name], _stamped(TABLES[name], table), end)
    truth = {
        "states": states_truth(run, facts_size.truth_h),
        "failures": failures_truth(run),
        "quality": quality.truth[quality.truth["batch_id"].isin(tables["batches"]["batch_id"])].reset_index(drop=True),
    }
    return History(site, size, seed, START, end, {name: tables[name] for name in TABLES}, truth)


def _outages(hours: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Seconds [from, to) in which the historian stored nothing: about two a year."""
    begins = np.sort(rng.integers(0, hours * 3600, max(1, round(hours / 4380))))
    return [(int(b), int(b + rng.integers(2, 9) * 3600)) for b in begins]


def clear_of_clock_changes(minutes: np.ndarray) -> np.ndarray:
    """Minutes since START moved out of the skipped and the doubled local hour (NaN stays; order is kept).

    Dublin and Vienna change at the same instant, 01:00 UTC on the last Sunday of March and October. A record
    in those hours would be readable in one dialect and ambiguous in the other; nobody types at that hour.
    """
    out = np.array(minutes, dtype=np.float64)
    for year in range(START.year, START.year + 4):
        for month, before, after in ((3, 40, 40), (10, 80, 80)):
            sunday = pd.Timestamp(year=year, month=month, day=31, tz="UTC")
            sunday -= pd.Timedelta(days=(sunday.weekday() + 1) % 7)
            change = (sunday - START) / pd.Timedelta(minutes=1) + 60
            inside = (out >= change - before) & (out < change + after)
            out[inside] = np.where(out[inside] < change, change - before - 1, change + after)
    return out


def _stamped(contract: Table, table: pd.DataFrame) -> pd.DataFrame:
    """Times from minutes since START to time stamps."""
    out = table.copy()
    for name in [c.name for c in contract.columns if c.kind == "time"] + ["recorded_at"]:
        if name in out:
            minutes = clear_of_clock_changes(out[name].to_numpy(dtype=np.float64))
            there = ~np.isnan(minutes)
            stamps = times(np.round(np.where(there, minutes, 0.0)).astype(np.int64) * 60)
            out[name] = stamps.where(there).set_axis(out.index)
    return out


def known_at(contract: Table, table: pd.DataFrame, end: pd.Timestamp) -> pd.DataFrame:
    """What an export at `end` shows: no row, version or value that became known at or after `end`."""
    keep = (table[contract.known_by] < end).to_numpy()
    if "recorded_at" in table:
        keep &= ~(table["recorded_at"] >= end).to_numpy()
    out = table[keep].reset_index(drop=True)
    times_of = {c.name: out[c.name].copy() for c in contract.columns if c.kind == "time" and c.name in out}
    for name in out.columns:
        known_by = None if name == "recorded_at" else contract.known_column(name)
        if known_by is None or known_by == "always":
            continue
        unknown = ~(times_of[known_by] < end)
        if unknown.any():
            blank = pd.NaT if name in times_of else np.nan if out[name].dtype.kind == "f" else None
            out[name] = (
                out[name].astype(object).mask(unknown, None) if blank is None else out[name].mask(unknown, blank)
            )
    return out


def _events(raised: pd.DataFrame, end: pd.Timestamp) -> pd.DataFrame:
    seconds = clear_of_clock_changes(raised["seconds"].to_numpy() / 60.0) * 60.0
    out = raised.assign(ts=times(np.round(seconds).astype(np.int64))).drop(columns="seconds")
    out = out[out["ts"] < end].reset_index(drop=True)
    out.insert(0, "event_id", [f"E{1000001 + i}" for i in range(len(out))])
    return out[["event_id", "equipment_id", "ts", "kind", "code", "value"]]


def _equipment(site: str, units: list[Unit], rooms: int) -> pd.DataFrame:
    critical = {"tablet_press": "high", "coater": "high", "fluid_bed_dryer": "medium", "granulator": "high"}
    rows = [
        (
            u.equipment_id,
            site,
            MACHINES[u.kind].area,
            u.line,
            MACHINES[u.kind].name,
            critical.get(MACHINES[u.kind].name, "medium"),
            _COMMISSIONED + pd.Timedelta(days=37 * (i % 40)),
            _room(u, rooms),
        )
        for i, u in enumerate(units)
    ]
    rows += [(f"room-{r + 1}", site, "air_handling", "", "room", "low", _COMMISSIONED, "") for r in range(rooms)]
    columns = ["equipment_id", "site", "area", "line", "equipment_class", "criticality", "commissioned_at", "parent_id"]
    out = pd.DataFrame(rows, columns=columns)
    out.insert(7, "retired_at", pd.Series(pd.NaT, index=out.index, dtype=TIME_DTYPE))
    return out


def _room(unit: Unit, rooms: int) -> str:
    """The room in which a machine stands (its part in the equipment tree)."""
    return f"room-{STEPS.index(MACHINES[unit.kind].step) % rooms + 1}"


def _signals(units: list[Unit], rooms: int) -> pd.DataFrame:
    rows = [(u.equipment_id, s.name, s.unit, s.low, s.high) for u in units for s in MACHINES[u.kind].signals]
    rows += [(f"room-{r + 1}", s.name, s.unit, s.low, s.high) for r in range(rooms) for s in ROOM_SIGNALS]
    return pd.DataFrame(rows, columns=["equipment_id", "signal", "unit", "low", "high"])
