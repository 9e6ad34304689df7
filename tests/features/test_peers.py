"""The benchmark's peers answer what ours answers: held against plain slices, with gaps and lone readings."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import peers
from benchmarks.features import difference, ours, ours_in_memory
from benchmarks.peers import HOUR_US, PLAIN, ROBUST, Asked, Data, Formulation

START = 1_735_689_600_000_000


def by_slices(data: Data, asked: Asked) -> np.ndarray:
    out = np.full((len(data.starts) - 1, len(asked.cutoffs), len(asked.windows), len(asked.statistics)), np.nan)
    for i, (a, b) in enumerate(zip(data.starts[:-1], data.starts[1:], strict=True)):
        ts, value = data.ts[a:b], data.value[a:b]
        for j, t in enumerate(asked.cutoffs):
            for k, w in enumerate(asked.windows):
                x = value[(ts >= t - w) & (ts < t)]
                if len(x):
                    low, middle, high = np.quantile(x, (0.25, 0.5, 0.75))
                    spread = x.std(ddof=1) if len(x) > 1 else np.nan
                    every = (x.mean(), spread, x.min(), x.max(), x[-1], middle, high - low)
                    out[i, j, k] = every[: len(asked.statistics)]
    return out


@pytest.fixture(scope="module")
def data() -> Data:
    """Three series with readings on the cut-offs, lone readings and days without any."""
    rng = np.random.default_rng(3)
    ts = [START + np.unique(rng.choice(6 * 240, many, replace=False)) * HOUR_US // 10 for many in (500, 60, 7)]
    value = [rng.normal(100.0, 5.0, len(t)) for t in ts]
    return Data(np.concatenate(ts), np.concatenate(value), np.cumsum([0, *(len(t) for t in ts)]))


@pytest.fixture(scope="module")
def asked() -> Asked:
    return Asked(START + np.arange(1, 145) * HOUR_US, (HOUR_US, 5 * HOUR_US, 24 * HOUR_US))


def test_ours(data: Data, asked: Asked) -> None:
    found = ours(ours_in_memory(data), asked.cutoffs, asked.windows, PLAIN)
    known = asked.cutoffs[None, :] > data.ts[data.starts[:-1]][:, None]
    assert difference(by_slices(data, asked)[known], found[known]) < 1e-12


@pytest.mark.parametrize("robust", [False, True])
@pytest.mark.parametrize(
    "formulation", [peers.polars_dynamic, peers.polars_rolling, peers.duckdb_by_hours, peers.pandas_rolling]
)
def test_peers(formulation: Formulation, robust: bool, data: Data, asked: Asked) -> None:
    asked = asked.of(statistics=ROBUST if robust else PLAIN)
    run, read = formulation(data, asked)
    assert difference(by_slices(data, asked), read(run())) < 1e-9


@pytest.mark.parametrize("formulation", [peers.polars_rolling, peers.polars_summaries, peers.duckdb_by_hours])
def test_at_any_cutoffs(formulation: Formulation, data: Data, asked: Asked) -> None:
    some = np.unique(asked.cutoffs[0] + np.random.default_rng(5).integers(0, 140 * HOUR_US, 100))
    run, read = formulation(data, asked.of(cutoffs=some))
    assert difference(by_slices(data, asked.of(cutoffs=some)), read(run())) < 1e-9
