"""Windowed statistics of readings beside Polars, DuckDB, pandas, tsflex and a bare pass over the memory.

    python -m benchmarks.features [--json] [--rows 2592000] [--irregular]
    python -m benchmarks.features --scale        ours and the memory pass only: how the cost grows

Simulated series of 90 days at one reading a minute; mean, standard deviation, least, greatest and last value over 1 h,
24 h, 72 h and 7 d before every hour, and the same with median and interquartile range (exact, linear interpolation).
Every library gets the same readings, in its own best form and before the clock starts, and as many cores as it takes by
itself; slow ones compute fewer series (`series_computed`). A rate is million readings a second, best of several runs.
`ratio_memory_pass` is how often ours goes into the pass, `doubled_windows` and `ten_times_cutoffs` are costs against
the usual run, `robust` holds the same keys with the two robust statistics. Exit code 1: a limit is missed.
"""

from __future__ import annotations

import json
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numba
import numpy as np

from benchmarks.figures import Figure, arguments_of, finish, machine
from benchmarks.peers import HOUR_US, PEERS, PLAIN, ROBUST, Asked, Data, Formulation, polars_summaries
from features import sensors
from features.readings import Readings
from features.workers import cores

DAYS, MINUTE_US = 90, 60_000_000
WINDOWS = tuple(h * HOUR_US for h in (1, 24, 72, 168))
TWICE = tuple(h * HOUR_US for h in (1, 6, 12, 24, 48, 72, 120, 168))
BEST_PEER, PANDAS, MEMORY_PASS, TWICE_WINDOWS, TEN_TIMES, ROBUST_PEER = 15.0, 300.0, 12.0, 1.7, 6.0, 5.0
DIFFERENCE = "largest |ours - peer| / max(1, |ours|) over all peers, cut-offs, windows, statistics; 1e99: one is NaN"
_FIRST = (
    "ours", "polars", "duckdb", "pandas", "tsflex", "memory_pass", "ratio_best_peer", "ratio_pandas",
    "ratio_memory_pass", "doubled_windows", "ten_times_cutoffs", "robust_ratio_best_peer", "max_abs_difference",
    "difference_measure",
)
_START = 1_735_689_600_000_000  # 2025-01-01
_NONE = np.empty(0, dtype=np.int64)
THREADS = cores()  # that `ours` computes with; the memory pass takes as many


# --- ours: the one place that knows the kernel ------------------------------------------------------------------------


def ours_in_memory(data: Data) -> Readings:
    """The readings as the features hold them."""
    many = len(data.starts) - 1
    flags = np.ones(many, dtype=bool)
    return Readings(
        data.ts, data.value, np.full(len(data.ts), 2, dtype=np.int8), _NONE, _NONE, data.starts[:-1], data.starts[1:],
        data.ts[data.starts[:-1]], flags, ~flags, {("machine", f"s{i}"): i for i in range(many)},
    )


def ours(data: Readings, cutoffs: np.ndarray, windows: tuple[int, ...], statistics: tuple[str, ...]) -> np.ndarray:
    """Statistics (series, cut-offs, windows, statistics). Raises ValueError on a statistic that there is not."""
    many = len(data.low)
    begin = cutoffs[:, None] - np.array(windows, dtype=np.int64)
    tasks = [sensors.Task(i, slice(0, len(cutoffs)), i) for i in range(many)]
    free = [sensors.limitless(len(cutoffs))] * many
    return sensors.statistics(data, tasks, begin, cutoffs, cutoffs, free, list(statistics), sensors.leaf_of(windows))


# ----------------------------------------------------------------------------------------------------------------------


def simulated(series: int, irregular: bool) -> Data:
    """Readings of 90 days: a daily rhythm, a slow walk and noise, rounded as a historian does."""
    rng = np.random.default_rng(7)
    many = DAYS * 24 * 60
    ts, value = [], []
    for _ in range(series):
        if irregular:  # gaps of a minute on average, in whole seconds, of random length
            times = _START + np.unique(np.cumsum(rng.exponential(60.0, many)).astype(np.int64)) * 1_000_000
        else:
            times = _START + np.arange(many) * MINUTE_US
        walk = np.cumsum(rng.normal(0.0, 0.02, len(times)))
        daily = 3.0 * np.sin(2.0 * np.pi * (times - _START) / (24 * HOUR_US))
        ts.append(times)
        value.append(np.round(rng.uniform(20.0, 400.0) + daily + walk + rng.normal(0.0, 1.0, len(times)), 3))
    starts = np.concatenate([[0], np.cumsum([len(t) for t in ts])]).astype(np.int64)
    return Data(np.concatenate(ts), np.concatenate(value), starts)


def every(step: int) -> np.ndarray:
    """Cut-offs of the 90 days, `step` microseconds apart."""
    return _START + np.arange(step, DAYS * 24 * HOUR_US + 1, step)


@numba.njit(parallel=True)
def _pass(ts, value, starts):  # type: ignore[no-untyped-def]
    times, values = np.zeros(len(starts) - 1, np.int64), np.zeros(len(starts) - 1)
    for i in numba.prange(len(starts) - 1):
        a, b = np.int64(0), 0.0
        for j in range(starts[i], starts[i + 1]):
            a += ts[j]
            b += value[j]
        times[i], values[i] = a, b
    return times.sum(), values.sum()


def best(run: Callable[[], Any], most: int = 20, seconds: float = 2.0) -> tuple[float, Any]:
    """Shortest time of up to `most` runs, as long as they take less than `seconds` together; and what a run gave."""
    shortest, spent, made = np.inf, 0.0, None
    for _ in range(most):
        made = None  # two results at once would cost memory that one run does not need
        begin = time.perf_counter()
        made = run()
        took = time.perf_counter() - begin
        shortest, spent = min(shortest, took), spent + took
        if spent > seconds:
            break
    return shortest, made


def difference(mine: np.ndarray, other: np.ndarray) -> float:
    """See DIFFERENCE; 1e99 where only one of two is NaN (JSON has no infinity)."""
    if (np.isnan(mine) != np.isnan(other)).any():
        return 1e99
    return float(np.nanmax(np.abs(mine - other) / np.maximum(1.0, np.abs(mine)), initial=0.0))


def _compare(data: Data, asked: Asked) -> dict[str, Any]:
    """Rates of all, and the differences, for one set of statistics. Rates in million readings a second."""
    out: dict[str, Any] = {"formulations": {}, "series_computed": {}, "differences": {}}
    results = {}
    for name, peer in PEERS.items():
        _tell(f"{name}{', robust' if asked.robust else ''}")
        many = min(len(data.starts) - 1, peer.robust_series if asked.robust else peer.series)
        part = data.first(many)
        found = [(*_timed(f, part, asked), f.__name__) for f in peer.formulations]
        seconds, results[name], how = min(found, key=lambda x: x[0])
        out[name] = len(part.ts) / seconds / 1e6
        out["formulations"][how] = {f: len(part.ts) / s / 1e6 for s, _, f in found}
        out["series_computed"][name] = many
    mine = _ours_timed(data, asked)
    out["ours"] = mine and mine[0]
    if mine is not None:
        for name, other in results.items():
            out["differences"][name] = difference(mine[1][: len(other)], other)
    out["ratio_best_peer"] = mine and out["ours"] / max(out[n] for n in PEERS)
    out["max_abs_difference"] = max(out["differences"].values(), default=None)
    return out


def _timed(formulation: Formulation, data: Data, asked: Asked) -> tuple[float, np.ndarray]:
    run, read = formulation(data, asked)
    seconds, made = best(run, 3)
    return seconds, read(made)


def _ours_timed(data: Data, asked: Asked) -> tuple[float, np.ndarray] | None:
    """Rate and result of ours; None where the kernel does not know a statistic."""
    _tell("ours")
    held = ours_in_memory(data)
    try:
        seconds, made = best(lambda: ours(held, asked.cutoffs, asked.windows, asked.statistics))
    except ValueError:
        return None
    return len(data.ts) / seconds / 1e6, made


def _tell(what: str) -> None:
    print(f"measuring: {what} ...", file=sys.stderr)


def measure(arguments: Namespace) -> dict[str, Any]:
    """Everything that --json prints."""
    per = DAYS * 24 * 60
    series = max(1, round(int(arguments.rows or 80 * per) / per))
    data, asked = simulated(series, bool(arguments.irregular)), Asked(every(HOUR_US), WINDOWS)
    small = simulated(1, False)
    begin = time.perf_counter()
    ours(ours_in_memory(small), asked.cutoffs[-2:], WINDOWS, PLAIN)
    compiled = time.perf_counter() - begin
    out: dict[str, Any] = {"ours": None}
    if not arguments.scale:
        out |= _compare(data, asked)
    numba.set_num_threads(min(THREADS, numba.config.NUMBA_NUM_THREADS))
    _pass(small.ts, small.value, small.starts)
    rate = len(data.ts) / best(lambda: _pass(data.ts, data.value, data.starts))[0] / 1e6
    usual = _ours_timed(data, asked)
    assert usual is not None
    out["ours"] = max(usual[0], out["ours"] or 0.0)
    twice, ten = (_ours_timed(data, a) for a in (asked.of(windows=TWICE), asked.of(cutoffs=every(HOUR_US // 10))))
    assert twice is not None
    assert ten is not None
    out |= {
        "memory_pass": rate, "ratio_memory_pass": rate / out["ours"],
        "doubled_windows": out["ours"] / twice[0], "ten_times_cutoffs": out["ours"] / ten[0],
    }
    if not arguments.scale:
        out["ratio_best_peer"] = out["ours"] / max(out[n] for n in PEERS)
        out["ratio_pandas"] = out["ours"] / out["pandas"]
        out["difference_measure"] = DIFFERENCE
        seconds, made = _timed(polars_summaries, data, asked)
        out["polars_summaries"] = {
            "rate": len(data.ts) / seconds / 1e6, "difference": difference(usual[1], made),
            "about": "ours written by hand in Polars: no formulation of the library's own, so not among the peers",
        }
        out["robust"] = _compare(data, asked.of(statistics=ROBUST))
        out["robust_ratio_best_peer"] = out["robust"]["ratio_best_peer"]
    libraries = ("numba", "numpy", "polars", "duckdb", "pandas", "tsflex")
    out |= {
        "unit": "million readings a second", "compile_seconds": compiled, "threads": THREADS,
        "data": {
            "simulated": True, "series": series, "readings": len(data.ts), "irregular": bool(arguments.irregular),
            "cutoffs": len(asked.cutoffs), "windows_h": [w // HOUR_US for w in WINDOWS],
        },
        "machine": machine(), "versions": {n: version(n) for n in libraries},
    }
    out["limits"] = [
        {"name": f.name, "value": f.value, "limit": f.limit, "verdict": f.verdict or "not measured"}
        for f in figures(out) if f.limit is not None
    ]
    return {**{k: out[k] for k in _FIRST if k in out}, **out}


def figures(found: dict[str, Any]) -> list[Figure]:
    """What `measure` found as figures with their limits."""
    names = [n for n in ("ours", *PEERS, "memory_pass") if n in found]
    made = [Figure(f"features: {n}", found[n], "M/s") for n in names]
    if "robust" in found:
        robust = {n: found["robust"][n] for n in ("ours", *PEERS)}
        made += [Figure(f"features, robust: {n}", r, "M/s") for n, r in robust.items() if r is not None]
        robust_ratio = found["robust_ratio_best_peer"] or 0.0  # the kernel does not know the statistics: a FAIL
        made += [
            Figure("features: ours / best peer", found["ratio_best_peer"], "x", BEST_PEER, at_least=True),
            Figure("features: ours / pandas", found["ratio_pandas"], "x", PANDAS, at_least=True),
            Figure("features, robust: ours / best peer", robust_ratio, "x", ROBUST_PEER, at_least=True),
            Figure("features: ours / its method in Polars", found["ours"] / found["polars_summaries"]["rate"], "x"),
            Figure("features: largest difference", found["max_abs_difference"] * 1e9, "e-9", 1.0),
        ]
    return [
        *made,
        Figure("features: memory pass / ours", found["ratio_memory_pass"], "x", MEMORY_PASS),
        Figure("features: cost of twice the windows", found["doubled_windows"], "x", TWICE_WINDOWS),
        Figure("features: cost of ten times the cut-offs", found["ten_times_cutoffs"], "x", TEN_TIMES),
    ]


if __name__ == "__main__":
    asked_for = arguments_of(
        __doc__, ("--rows", "readings (default 10,368,000: 80 series, more than caches hold)"),
        ("--irregular", "random gaps between readings"),
        ("--scale", "ours and the memory pass only"),
    )
    document = measure(asked_for)
    if asked_for.json:
        print(json.dumps(document, indent=1))
    finish(figures(document), quiet=asked_for.json)
