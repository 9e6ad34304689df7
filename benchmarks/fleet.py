"""Training features of a whole fleet out of a store: 100 equipment, 20 signals each, 90 days at one reading a minute.

    python -m benchmarks.fleet [--json]                  259 million readings
    python -m benchmarks.fleet --share 0.02              as many equipment as that share of the fleet has
    python -m benchmarks.fleet --keep DIR                keep the stores, and take those that are there

Simulated readings are loaded as a historian exports them: a file a day, in it all series minute by minute. Features are
those of a plan with sensors only and their defaults, at hourly cut-offs, for 1/8 of the fleet and for all of it, each
with a store and in a process of its own. What the layout on disk costs is told too.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.figures import Figure, main
from benchmarks.loading import run
from features.assemble import equipment_matrix, plan
from features.spec import FeatureSpec
from plant.parts import READINGS, STRETCH
from plant.store import Count, Load, Store

EQUIPMENT, SIGNALS, DAYS, MINUTES = 100, 20, 90, 24 * 60
SECONDS, MEMORY_GB = 60.0, 4.0
SITE = "fleet"
START = pd.Timestamp("2025-01-01", tz="UTC")
END = START + pd.Timedelta(DAYS, "D")
_PLAIN = ["equipment_id", "signal", "ts", "value"]


def write(root: Path, equipment: int, days: int = DAYS) -> None:
    """A store of one load with the tables equipment, signals and readings (simulated)."""
    store, now, job = Store(root, SITE), END + pd.Timedelta(1, "h"), Load()
    machines = [f"machine-{i:03d}" for i in range(equipment)]
    signals = [f"signal-{i:02d}" for i in range(SIGNALS)]
    rng = np.random.default_rng(7)
    level = rng.uniform(20.0, 400.0, equipment * SIGNALS)
    pairs = pd.MultiIndex.from_product([machines, signals], names=["equipment_id", "signal"]).to_frame(index=False)
    job.tables = {
        "equipment": pd.DataFrame({"equipment_id": machines, "equipment_class": "tablet_press"}),
        "signals": pairs.assign(unit="degC", low=level - 5.0, high=level + 5.0),
    }
    seconds = 0.0  # of loading: making the readings does not count
    with store.lock():
        readings = store.begin(job, now)
        for day in range(days):
            pieces = _day(rng, day, machines, signals, level)
            begin = time.perf_counter()
            for piece in pieces:
                readings.add(piece)
            seconds += time.perf_counter() - begin
        begin = time.perf_counter()
        for name, frame in job.tables.items():
            job.counts[name] = Count(read=len(frame))
        job.counts[READINGS] = Count(read=readings.loaded)
        store.commit(job, now, {})
        seconds += time.perf_counter() - begin
    (root / "written.json").write_text(json.dumps({"seconds": seconds, "readings": readings.loaded}), encoding="utf-8")


def _day(
    rng: np.random.Generator, day: int, machines: list[str], signals: list[str], level: np.ndarray
) -> list[pd.DataFrame]:
    """A day's file as the mapping gives it, in stretches: words as categories, the rows in the order of time."""
    many = len(level)
    rows = many * MINUTES
    minutes = START.as_unit("us").asm8 + np.arange(day * MINUTES, (day + 1) * MINUTES) * np.timedelta64(1, "m")
    daily = 2.0 * np.sin(2.0 * np.pi * np.arange(MINUTES) / MINUTES)
    series = np.tile(np.arange(many, dtype=np.int32), MINUTES)
    noise = rng.standard_normal(rows, dtype=np.float32).astype(np.float64)
    value = np.round(level[series] + np.repeat(daily, many) + noise, 3)
    bad = np.where(rng.random(rows, dtype=np.float32) < 0.001, 1, 0)
    whole = pd.DataFrame(
        {
            "equipment_id": pd.Categorical.from_codes(series // SIGNALS, machines),
            "signal": pd.Categorical.from_codes(series % SIGNALS, signals),
            "ts": pd.DatetimeIndex(np.repeat(minutes, many)).tz_localize("UTC"),
            "value": value,
            "quality": pd.Categorical.from_codes(bad, ["good", "bad"]),
            "source_file": pd.Categorical.from_codes(np.zeros(rows, np.int8), [f"historian_{day:03d}.csv"]),
            "source_line": np.arange(2.0, rows + 2),
        }
    )
    return [whole.iloc[i : i + STRETCH] for i in range(0, rows, STRETCH)]


def matrix(root: Path, told: Path) -> None:
    """Plan and matrix of the whole store; what it took goes into the file `told`."""
    begin = time.perf_counter()
    snapshot = Store(root, SITE).snapshot()
    spec = FeatureSpec(maintenance=None, events=None, downtime=None, batches=None, static=False)
    made = plan(snapshot, spec, "equipment", END)
    planned = time.perf_counter()
    machines = sorted(snapshot.table("equipment")["equipment_id"])
    hours = pd.date_range(START + pd.Timedelta(1, "h"), END, freq="1h")
    t = pd.DatetimeIndex(np.tile(hours.as_unit("us").asi8, len(machines)).astype("datetime64[us]")).tz_localize("UTC")
    cutoffs = pd.DataFrame({"equipment_id": np.repeat(machines, len(hours)), "t": t})
    out = equipment_matrix(snapshot, made, cutoffs)
    done = time.perf_counter()
    told.write_text(json.dumps({
        "rows": out.values.shape[0], "columns": out.values.shape[1], "plan": planned - begin, "matrix": done - planned,
        "seconds": done - begin, "known": float(np.isfinite(out.values).mean()),
    }), encoding="utf-8")


def disk(root: Path) -> dict[str, float]:
    """What it costs to read the readings of one equipment, from the middle of the alphabet, and a whole part."""
    snapshot = Store(root, SITE).snapshot()
    machines = sorted(snapshot.series()["equipment_id"].unique())
    wanted, files = machines[len(machines) // 2], snapshot.files(READINGS)
    groups: list[tuple[Path, list[int]]] = []
    every = touched = rows = 0
    for path in files:
        metadata = pq.ParquetFile(path).metadata
        mine = []
        for g in range(metadata.num_row_groups):
            group = metadata.row_group(g)
            words = group.column(0).statistics  # equipment_id stands first
            every += 1
            if words is None or not words.has_min_max or words.min <= wanted <= words.max:
                mine.append(g)
                rows += group.num_rows
        touched += len(mine)
        groups.append((path, mine))
    out: dict[str, float] = {
        "bytes": sum(f.stat().st_size for f in files), "parts": len(files), "groups": every, "groups_of_one": touched,
        "rows_of_one": rows,
    }
    for name, columns in (("plain", _PLAIN), ("all", [*_PLAIN, "quality", "recorded_at"])):
        begin, kept = time.perf_counter(), 0
        for path, mine in groups:
            file = pq.ParquetFile(path, read_dictionary=["equipment_id", "signal", "quality"])
            table = file.read_row_groups(mine, columns=columns)
            kept += table.filter(pa.compute.equal(table["equipment_id"].cast(pa.string()), wanted)).num_rows
        out[f"one_{name}"] = time.perf_counter() - begin
        out["kept"] = kept
        begin = time.perf_counter()
        whole = pq.ParquetFile(files[0], read_dictionary=["equipment_id", "signal", "quality"]).read(columns=columns)
        out[f"part_{name}"] = whole.num_rows / (time.perf_counter() - begin) / 1e6
    return out


def _of(folder: Path, equipment: int, days: int = DAYS) -> dict[str, Any]:
    """All that is measured of a fleet of so many equipment; its store is made where it is not there."""
    root = folder / f"{equipment}-equipment-{days}-days"
    home, told = folder / "home", folder / f"{root.name}.json"
    if not (root / "written.json").is_file():
        _tell(f"writing the store of {equipment} equipment, {days} days")
        run(_call(f"write(Path({str(root)!r}), {equipment}, {days})"), home)
    _tell(f"features of {equipment} equipment, {days} days")
    _, memory = run(_call(f"matrix(Path({str(root)!r}), Path({str(told)!r}))"), home)
    written = json.loads((root / "written.json").read_text(encoding="utf-8"))
    return {**json.loads(told.read_text(encoding="utf-8")), "memory": memory, "written": written, "root": root}


def _call(program: str) -> list[str]:
    """A process of its own: a child's peak memory is never below that of the process it comes from."""
    return [sys.executable, "-c", f"from pathlib import Path; from benchmarks.fleet import *; {program}"]


def _tell(what: str) -> None:
    print(f"measuring: {what} ...", file=sys.stderr)


def measure(arguments: Namespace) -> list[Figure]:
    """Seconds and peak memory of the features, their growth, the store's writing and reading."""
    share = float(arguments.share or 1.0)
    equipment = max(2, round(EQUIPMENT * share))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(arguments.keep or name)
        folder.mkdir(parents=True, exist_ok=True)
        _of(folder, 1, days=1)  # compiles what is not compiled yet
        small, whole = _of(folder, max(1, round(equipment / 8))), _of(folder, equipment)
        read = disk(whole["root"])
    readings = whole["written"]["readings"]
    times = readings / small["written"]["readings"]
    full = equipment == EQUIPMENT  # the limits are those of the whole fleet

    def figure(what: str, value: float, unit: str, limit: float | None = None) -> Figure:
        return Figure(f"fleet of {equipment}: {what}", value, unit, limit)

    return [
        figure("readings", readings / 1e6, "M"),
        figure("rows of features", whole["rows"], ""),
        figure("columns", whole["columns"], ""),
        figure("values that are known", 100.0 * whole["known"], "%"),
        figure("store to features", whole["seconds"], "s", SECONDS if full else None),
        figure("of it the plan", whole["plan"], "s"),
        figure("of it the matrix", whole["matrix"], "s"),
        figure("readings to features", readings / whole["seconds"] / 1e6, "M/s"),
        figure("peak memory", whole["memory"], "GB", MEMORY_GB if full else None),
        figure(f"store to features, {times:.0f} times fewer readings", small["seconds"], "s"),
        figure(f"peak memory, {times:.0f} times fewer readings", small["memory"], "GB"),
        figure(f"time grows, for {times:.0f} times the readings", whole["seconds"] / small["seconds"], "x"),
        figure(f"memory grows, for {times:.0f} times the readings", whole["memory"] / small["memory"], "x"),
        figure("writing the store", whole["written"]["seconds"], "s"),
        figure("written", readings / whole["written"]["seconds"] / 1e6, "M/s"),
        figure("on disk", read["bytes"] / 1e9, "GB"),
        figure("row groups", read["groups"], ""),
        figure("row groups that hold one equipment", read["groups_of_one"], ""),
        figure("rows decoded for one equipment", read["rows_of_one"] / 1e6, "M"),
        figure("rows of one equipment", read["kept"] / 1e6, "M"),
        figure("one equipment read by its row groups", read["one_plain"], "s"),
        figure("the same with quality and recorded_at", read["one_all"], "s"),
        figure("whole part decoded", read["part_plain"], "M/s"),
        figure("the same with quality and recorded_at", read["part_all"], "M/s"),
    ]


if __name__ == "__main__":
    main(
        measure, __doc__, ("--share", "share of the 100 equipment (default 1.0)"),
        ("--keep", "folder of the stores, which stay and are used again"),
    )
