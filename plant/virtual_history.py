"""One simulated physical history, in the words of the plant language, and the truth behind it.

Everything is quantised here, before any export: records to whole minutes, readings and events to whole
seconds, values to what the instrument resolves. So two exports of one history carry the same information.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from plant.errors import UnknownId, did_you_mean, listing
from plant.tables import TABLES, TIME_DTYPE, Table
from plant.virtual_batches import batch_table, make_batches, step_table
from plant.virtual_catalogue import SITES, START, SiteFacts, Size
from plant.virtual_entries import with_gaps
from plant.virtual_exceptions import exceptions_truth, excursions, room_deviations
from plant.virtual_gates import gates_truth
from plant.virtual_lives import lives_truth, remaining_truth
from plant.virtual_machines import ROOM_SIGNALS
from plant.virtual_orders import downtime, orders_of, spare_parts, work_orders
from plant.virtual_plant import Run, Unit, run_plant
from plant.virtual_quality import make_quality
from plant.virtual_signals import (
    MACHINE_STOPS,
    UTILITY_STOPS,
    events,
    join_readings,
    machine_readings,
    minor_stops,
    room_humidity,
    room_readings,
    times,
)
from plant.virtual_supply import Supply, make_supply, room_of, run_utilities
from plant.virtual_truth import curves, failures_truth, states_truth
from plant.virtual_utilities import KINDS

# One stream of random numbers a part; new ones are put at the end, so that the others stay as they were.
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
    "utilities",
    "utility_readings",
    "utility_events",
    "utility_stops",
    "utility_orders",
    "making",
    "habits",
    "late",
    "environment",
    "entries",
)
_ONLY_SEEDS = ("plant", "utilities")
_UTILITY_EVERY_MIN = 60
_UTILITY_STOPS = 0.2  # minor stops of a utility, as a share of those of a machine in the same condition
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
        raise UnknownId("unknown_site", f"no simulated site '{site}'{did_you_mean(site, SITES)}", listing(SITES))
    sizes = SITES[site].sizes
    if size not in sizes:
        raise UnknownId("unknown_size", f"no size '{size}'{did_you_mean(size, sizes)}", listing(sizes))
    return SITES[site], sizes[size]


def make_history(site: str, size: str, seed: int, preventive_every_h: int | None = None) -> History:
    """Simulates `site`. The same arguments give the same history, value by value.

    preventive_every_h: hours between preventive orders instead of the size's own; 480 renews most parts before they
    fail. Raises ValueError below 48.
    """
    facts, facts_size = facts_of(site, size)
    if preventive_every_h is not None:
        if preventive_every_h < 48:
            raise ValueError(f"preventive_every_h is {preventive_every_h}; 48 hours is the shortest interval")
        facts_size = replace(facts_size, preventive_every_h=preventive_every_h)
    seeds = dict(zip(_STREAMS, np.random.SeedSequence([seed, facts.number]).spawn(len(_STREAMS)), strict=True))
    rng = {name: np.random.Generator(np.random.PCG64(s)) for name, s in seeds.items() if name not in _ONLY_SEEDS}
    run, utilities = run_plant(facts_size, seeds["plant"]), run_utilities(facts_size, seeds["utilities"])
    rooms = facts_size.rooms
    supply = make_supply(utilities, room_humidity(run.hours, rooms, facts.humidity, rng["humidity"]))
    made = make_batches(run, facts, supply, rng["batches"], rng["making"])
    outside = excursions(supply)
    of_rooms = room_deviations(outside, run, made.ids, rooms, rng["environment"])
    quality = make_quality(made, run, of_rooms, rng["quality"])
    orders = orders_of(run, facts, rng["orders"], rng["habits"], rng["late"])
    orders += orders_of(utilities, facts, rng["utility_orders"], rng["habits"], rng["late"])
    short = minor_stops(run, rng["stops"], MACHINE_STOPS)
    complete = {
        "downtime": downtime(
            (run, utilities),
            (short, minor_stops(utilities, rng["utility_stops"], UTILITY_STOPS, _UTILITY_STOPS)),
        ),
        "work_orders": work_orders(orders, facts),
        "batches": batch_table(made, rng["table"]),
        "batch_steps": step_table(made, run),
        "genealogy": made.genealogy,
        "lab_results": quality.lab_results,
        "deviations": quality.deviations,
        "dispositions": quality.dispositions,
    }
    kept, planted = with_gaps(complete, rng["entries"])
    due = kept["work_orders"]
    kept["work_orders"] = due.drop(columns="due_at")
    end = START + pd.Timedelta(days=facts_size.days)
    raised = pd.concat([events(run, rng["events"]), events(utilities, rng["utility_events"])], ignore_index=True)
    tables = {
        "equipment": _equipment(site, run.units, utilities.units, supply),
        "signals": _signals((run, utilities), rooms),
        "readings": _readings(run, utilities, facts_size, made.product, supply, rng),
        "events": _events(raised, end),
        "spare_parts": spare_parts(rng["parts"]),
    }
    for name, table in kept.items():
        tables[name] = known_at(TABLES[name], _stamped(TABLES[name], table), end)
    runs, risks = (run, utilities), (curves(run), curves(utilities))
    begun = set(tables["batches"]["batch_id"])
    truth = {
        "states": states_truth(runs, facts_size.truth_h, risks),
        "failures": failures_truth(runs),
        "lives": lives_truth(runs, risks),
        "remaining": remaining_truth(runs, risks),
        "quality": _of_batches(quality.truth, begun),
        "quality_gates": _of_batches(gates_truth(made), begun),
        "lots": made.lots,
        "exceptions": exceptions_truth(
            outside, due, quality.lab_results, quality.deviations, run, made.ids, rooms, planted
        ),
    }
    return History(site, size, seed, START, end, {name: tables[name] for name in TABLES}, truth)


def _of_batches(table: pd.DataFrame, ids: set[str]) -> pd.DataFrame:
    return table[table["batch_id"].isin(ids)].reset_index(drop=True)


def _readings(
    run: Run,
    utilities: Run,
    size: Size,
    product: np.ndarray,
    supply: Supply,
    rng: dict[str, np.random.Generator],
) -> pd.DataFrame:
    """Readings of machines (while they run), rooms and utilities (every hour)."""
    outages = _outages(run.hours, rng["outages"])
    no_product = np.zeros(1, dtype=np.int64)
    by_name = supply.by_name
    frames = machine_readings(run, size.every_min, product, by_name, outages, rng["readings"])
    frames += room_readings(supply.rooms, rng["rooms"])
    frames += machine_readings(utilities, _UTILITY_EVERY_MIN, no_product, by_name, outages, rng["utility_readings"])
    return join_readings(frames)


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
    raised = raised.sort_values(["seconds", "equipment_id", "kind", "code"], kind="stable", ignore_index=True)
    seconds = clear_of_clock_changes(raised["seconds"].to_numpy() / 60.0) * 60.0
    out = raised.assign(ts=times(np.round(seconds).astype(np.int64))).drop(columns="seconds")
    out = out[out["ts"] < end].reset_index(drop=True)
    out.insert(0, "event_id", [f"E{1000001 + i}" for i in range(len(out))])
    return out[["event_id", "equipment_id", "ts", "kind", "code", "value"]]


def _equipment(site: str, machines: list[Unit], utilities: list[Unit], supply: Supply) -> pd.DataFrame:
    """Machines stand in rooms, rooms are served by air handling units."""
    rooms = len(supply.unit_of_room)
    critical = {
        "tablet_press": "high",
        "coater": "high",
        "granulator": "high",
        "purified_water_system": "high",
        "compressed_air_system": "high",
    }
    rows: list[tuple[object, ...]] = []
    for i, u in enumerate([*machines, *utilities]):
        kind = KINDS[u.kind]
        room = f"room-{room_of(kind.step, rooms) + 1}" if kind.step else ""
        since = _COMMISSIONED + pd.Timedelta(days=37 * (i % 40))
        importance = critical.get(kind.name, "medium")
        rows.append((u.equipment_id, site, kind.area, u.line, kind.name, importance, since, room))
    for r, unit in enumerate(supply.unit_of_room):
        served = utilities[unit].equipment_id
        rows.append((f"room-{r + 1}", site, "air_handling", "", "room", "low", _COMMISSIONED, served))
    columns = ["equipment_id", "site", "area", "line", "equipment_class", "criticality", "commissioned_at", "parent_id"]
    out = pd.DataFrame(rows, columns=columns)
    out.insert(7, "retired_at", pd.Series(pd.NaT, index=out.index, dtype=TIME_DTYPE))
    return out


def _signals(runs: Sequence[Run], rooms: int) -> pd.DataFrame:
    rows = [
        (u.equipment_id, s.name, s.unit, s.low, s.high)
        for run in runs
        for i, u in enumerate(run.units)
        for s in run.kind(i).signals
    ]
    rows += [(f"room-{r + 1}", s.name, s.unit, s.low, s.high) for r in range(rooms) for s in ROOM_SIGNALS]
    return pd.DataFrame(rows, columns=["equipment_id", "signal", "unit", "low", "high"])
