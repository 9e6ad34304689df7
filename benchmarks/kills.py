"""kill -9 at random moments of a load: each table holds all or none of each export, and the next load completes it.

    python -m benchmarks.kills [--kills 100] [--json]
"""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from argparse import Namespace
from pathlib import Path

import pandas as pd

import plant.connect
from benchmarks.figures import Figure, main
from plant.errors import NotReady
from plant.site import Site, load_site
from plant.store import Store

SITE = """site: works
title: A works that loses power (simulated)
simulated: true
sources:
  historian: {system: historian, path: historian_*.csv, format: csv, time_zone: UTC}
  orders: {system: CMMS, path: orders_*.csv, format: csv, time_zone: UTC}
tables:
  readings:
    - source: historian
      columns: {equipment_id: machine, signal: tag, ts: time, value: value}
  work_orders:
    - source: orders
      columns: {work_order_id: id, equipment_id: machine, kind: {constant: corrective}, opened_at: time}
  equipment:
    - source: orders
      where: {id: ["1"]}
      columns: {equipment_id: machine, equipment_class: {constant: tablet_press}}
"""
_ORDERS, _READINGS = 400, 40_000


def prepare(folder: Path) -> Site:
    """A works with one day of exports in the store, and a second day beside them that is not loaded yet."""
    (folder / "exports").mkdir(parents=True)
    (folder / "site.yaml").write_text(SITE, encoding="utf-8")
    site = load_site(folder)
    _export(folder, 1)
    plant.connect.connect(site, folder / "exports", folder / "store")
    _export(folder, 2)
    return site


def _export(folder: Path, day: int) -> None:
    start = pd.Timestamp(f"2026-01-0{day}", tz="UTC")
    times = start + pd.to_timedelta(range(_READINGS), unit="s")
    readings = pd.DataFrame({"machine": "press-1", "tag": "force", "time": times.strftime("%Y-%m-%dT%H:%M:%SZ")})
    readings["value"] = [float(i % 97) if i % 1000 else "broken" for i in range(_READINGS)]
    readings.to_csv(folder / "exports" / f"historian_{day}.csv", index=False)
    orders = pd.DataFrame({"id": [day * 10_000 + i for i in range(_ORDERS)], "machine": "press-1"})
    orders["time"] = start.strftime("%Y-%m-%dT%H:%M:%SZ")
    orders.to_csv(folder / "exports" / f"orders_{day}.csv", index=False)


def _load(site: Site, folder: Path, store: Path) -> None:
    with open(os.devnull, "w", encoding="utf-8") as nothing:
        sys.stderr = nothing
        plant.connect.connect(site, folder / "exports", store)


def state(store: Path) -> tuple[int, int, int]:
    """Rows of readings and work orders, and rows in quarantine."""
    try:
        snapshot = Store(store, "works").snapshot()
    except NotReady:
        return 0, 0, 0
    return len(snapshot.table("readings")), len(snapshot.table("work_orders")), len(snapshot.quarantine())


def kill_loads(folder: Path, kills: int, seed: int = 1) -> dict[str, float]:
    """Kill so many loads; raises AssertionError on half a load. Every other works is new, the rest have had a load."""
    site = prepare(folder)
    full = (2 * _READINGS * 999 // 1000, 2 * _ORDERS, 2 * _READINGS // 1000)
    before = state(folder / "store")
    assert before == tuple(n // 2 for n in full)
    context, rng = multiprocessing.get_context("forkserver"), random.Random(seed)
    context.set_forkserver_preload(["plant.connect", "plant.readiness"])  # imports are no part of a load
    context.Process(target=load_site, args=(folder,)).start()
    begin = time.perf_counter()
    trial = folder / "trial"
    shutil.copytree(folder / "store", trial)
    whole = context.Process(target=_load, args=(site, folder, trial))
    whole.start()
    whole.join()
    seconds = time.perf_counter() - begin
    assert state(trial) == full
    unseen = committed = 0
    for number in range(kills):
        shutil.rmtree(trial)
        fresh = number % 2 == 1
        if not fresh:
            shutil.copytree(folder / "store", trial)
        child = context.Process(target=_load, args=(site, folder, trial))
        child.start()
        time.sleep(rng.uniform(0, seconds))
        if child.pid is not None and child.is_alive():
            os.kill(child.pid, signal.SIGKILL)
        child.join()
        seen = state(trial) if trial.exists() else (0, 0, 0)
        assert seen in ((0, 0, 0) if fresh else before, full), f"half a load: {seen}"
        unseen, committed = unseen + (seen != full), committed + (seen == full)
        plant.connect.connect(site, folder / "exports", trial)
        assert state(trial) == full, f"not completed: {state(trial)}"
        assert not plant.connect.connect(site, folder / "exports", trial).tables["readings"].loaded
    return {"kills": kills, "before the commit": unseen, "after the commit": committed, "seconds of a load": seconds}


def measure(arguments: Namespace) -> list[Figure]:
    """How many loads were killed, and when."""
    with tempfile.TemporaryDirectory() as folder:
        told = kill_loads(Path(folder) / "works", int(arguments.kills or 100))
    return [
        Figure("loads killed, none of them half there", told["kills"], ""),
        Figure("killed before the commit", told["before the commit"], ""),
        Figure("killed after it", told["after the commit"], ""),
        Figure("one load", told["seconds of a load"], "s"),
    ]


if __name__ == "__main__":
    main(measure, __doc__, ("--kills", "how many (default 100)"))
