"""Loading readings from CSV and Parquet beside pandas, DuckDB and Polars, which only read the same files.

    python -m benchmarks.loading [--rows 10000000] [--json]
    python -m benchmarks.loading --large         a CSV of 2 GB too: does the load stay within 1 GB of memory?

Ours reads, maps tags and units, localises times, checks the contract, drops what is known and writes the store. Each
run is a process of its own, so that its peak memory can be told.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from benchmarks.figures import COMMAND, ROOT, Figure, environment, main

CSV_ROWS_S, PARQUET_ROWS_S, REPEAT, MEMORY_GB = 0.5e6, 1.5e6, 5.0, 1.0
_TAGS, _LARGE_BYTES = 40, 2_000_000_000
SITE = """site: historian
title: A historian for the benchmark (simulated)
simulated: true
sources:
  historian: {{system: historian, path: {path}, format: {format}, time_zone: Europe/Dublin, ambiguous: first}}
crosswalks:
  tags: {{file: tags.csv, key: tag}}
  status: {{"0": good, "1": uncertain, "2": bad}}
tables:
  readings:
    - source: historian
      columns:
        equipment_id: {{column: tag, crosswalk: tags, take: equipment_id}}
        signal: {{column: tag, crosswalk: tags, take: signal}}
        ts: time
        value: {{column: value, unit: {{from: degF, to: degC}}}}
        quality: {{column: status, crosswalk: status}}
"""
PEERS = {
    "pandas": {
        "csv": "import pandas; f = pandas.read_csv(path, parse_dates=['time'])",
        "parquet": "import pandas; f = pandas.read_parquet(path)",
    },
    "duckdb": {
        "csv": "import duckdb; duckdb.sql(f\"create table t as select * from read_csv('{path}')\")",
        "parquet": "import duckdb; duckdb.sql(f\"create table t as select * from '{path}'\")",
    },
    "polars": {
        "csv": "import polars; f = polars.read_csv(path, try_parse_dates=True)",
        "parquet": "import polars; f = polars.read_parquet(path)",
    },
}


def make_files(folder: Path, rows: int) -> dict[str, Path]:
    """The same readings as CSV and as Parquet, made by another process: a child's peak memory is never below ours."""
    _elsewhere(_write, folder, rows)
    return {"csv": folder / "historian.csv", "parquet": folder / "historian.parquet"}


def _elsewhere(work: Callable[..., object], *arguments: object) -> None:
    child = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    child.start()
    child.join()


def _write(folder: Path, rows: int) -> None:
    """Local times: as text in the CSV, without a zone in the Parquet file."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    import pyarrow.csv as pacsv
    import pyarrow.parquet as pq

    rng = np.random.default_rng(7)
    tags = np.array([f"PR{n // 5 + 1:02d}.SIG{n % 5}" for n in range(_TAGS)])
    per = -(-rows // _TAGS)
    start = np.datetime64("2025-01-01T00:00:00", "s")
    clock = np.repeat(start + np.arange(per) * np.timedelta64(5, "s"), _TAGS)[:rows]
    table = pa.table(
        {
            "tag": pa.array(np.tile(tags, per)[:rows]),
            "time": pa.array(clock),
            "value": np.round(rng.normal(120.0, 8.0, rows), 2),
            "status": pa.array(rng.choice(np.array([0, 0, 0, 0, 0, 0, 0, 0, 1, 2]), rows)),
        }
    )
    pq.write_table(table, folder / "historian.parquet", row_group_size=1 << 20)
    pacsv.write_csv(table, folder / "historian.csv", pacsv.WriteOptions(quoting_style="none"))
    pd.DataFrame(
        {"tag": tags, "equipment_id": [t.split(".")[0] for t in tags], "signal": [t.split(".")[1] for t in tags]}
    ).to_csv(folder / "tags.csv", index=False)


def make_large(large: Path, csv: Path) -> None:
    """The CSV again and again, a year earlier each time (so most of it comes late), until 2 GB are there."""
    with csv.open(encoding="ascii") as f:
        header, body = f.readline(), f.read()
    with large.open("w", encoding="ascii") as f:
        f.write(header)
        year = 2025
        while f.tell() < _LARGE_BYTES:
            f.write(body.replace(",2025-", f",{year}-"))
            year -= 1


def run(command: list[str], home: Path) -> tuple[float, float]:
    """Seconds and peak memory (GB) of a command."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, env=environment(home), cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"failed: {' '.join(command)[:300]}")
    return time.perf_counter() - begin, usage.ru_maxrss / 1024**2


def connect(folder: Path, path: Path, home: Path) -> tuple[float, float]:
    """One `steadyline connect` of one file."""
    kind = path.suffix[1:]
    (folder / "site.yaml").write_text(SITE.format(path=path.name, format=kind), encoding="utf-8")
    return run([*COMMAND, "connect", str(folder), "--data", str(folder), "--json"], home)


def measure(arguments: Namespace) -> list[Figure]:
    """Rows a second of ours and of the peers, the repeated load, and peak memory."""
    rows = int(arguments.rows or 10_000_000)
    figures = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind, path in make_files(folder, rows).items():
            home = folder / f"home-{kind}"
            seconds, memory = connect(folder, path, home)
            again, _ = connect(folder, path, home)
            limit = CSV_ROWS_S if kind == "csv" else PARQUET_ROWS_S
            figures += [
                Figure(f"{kind}: ours, loaded", rows / seconds / 1e6, "M/s", limit / 1e6, at_least=True),
                Figure(f"{kind}: ours, peak memory", memory, "GB"),
                Figure(f"{kind}: ours, first load / repeated load", seconds / again, "x", REPEAT, at_least=True),
            ]
            for peer, programs in PEERS.items():
                program = f"path = {json.dumps(str(path))}; {programs[kind]}"
                took, used = run([sys.executable, "-c", program], home)
                figures += [
                    Figure(f"{kind}: {peer}, only read", rows / took / 1e6, "M/s"),
                    Figure(f"{kind}: {peer}, peak memory", used, "GB"),
                ]
        if arguments.large:
            large = folder / "large.csv"
            _elsewhere(make_large, large, folder / "historian.csv")
            with large.open("rb") as f:
                many = sum(block.count(b"\n") for block in iter(lambda: f.read(1 << 24), b"")) - 1
            seconds, memory = connect(folder, large, folder / "home-large")
            again, _ = connect(folder, large, folder / "home-large")
            figures += [
                Figure(f"2 GB CSV ({many:,} rows): ours, loaded", many / seconds / 1e6, "M/s", 0.5, at_least=True),
                Figure("2 GB CSV: ours, peak memory", memory, "GB", MEMORY_GB),
                Figure("2 GB CSV: first load / repeated load", seconds / again, "x", REPEAT, at_least=True),
            ]
    return figures


if __name__ == "__main__":
    main(measure, __doc__, ("--rows", "readings in the files (default 10,000,000)"), ("--large", "with a CSV of 2 GB"))
