"""Batches whose machine ran at another time, told by readings that never pause; clocks no finer than the sampling."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plant.readiness_records import MINUTE
from plant.readiness_runs import StepLevels
from plant.site import Site
from tests.plant.small_plant import Tables, report, sending_always, small_plant, small_site, told


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return small_site(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def always() -> Tables:
    return sending_always(small_plant(5), 5)


@pytest.mark.parametrize("seed", [2, 6])
def test_a_historian_that_sends_always_is_left_in_peace(site: Site, seed: int) -> None:
    assert told(site, sending_always(small_plant(seed), seed)) == {}


@pytest.mark.parametrize("hours", [7, 9, -9])
def test_a_batch_whose_machine_ran_at_another_time(site: Site, always: Tables, hours: int) -> None:
    steps = always["batch_steps"].copy()
    moved = steps.index[[40, 301]]
    for column in ("started_at", "ended_at"):
        steps.loc[moved, column] += pd.Timedelta(hours, "h")
    found = told(site, always | {"batch_steps": steps})["readings_outside_run", "batch_steps"]
    assert found.severity == "medium"
    assert sorted(e.partition(" ")[0] for e in found.examples) == sorted(
        f"{b}/{s}" for b, s in zip(steps.loc[moved, "batch_id"], steps.loc[moved, "step"], strict=True)
    )


def test_a_machine_that_broke_down_in_its_step_is_explained(site: Site, always: Tables) -> None:
    step = always["batch_steps"].iloc[60]
    readings = always["readings"].copy()
    within = (readings["equipment_id"] == step["equipment_id"]) & readings["ts"].between(
        step["started_at"] + pd.Timedelta(20, "min"), step["ended_at"], inclusive="left"
    )
    standing = {"temperature": 22.0, "pressure": 1.0, "speed": 0.0}
    readings.loc[within, "value"] = readings.loc[within, "signal"].map(standing)
    broken = always | {"readings": readings}
    found = told(site, broken)["readings_outside_run", "batch_steps"]
    assert found.examples[0].startswith(f"{step['batch_id']}/{step['step']} ")
    stop = always["downtime"].iloc[[0]].assign(
        downtime_id="D-in", equipment_id=step["equipment_id"], started_at=step["started_at"] + pd.Timedelta(20, "min"),
        ended_at=step["ended_at"],
    )  # fmt: skip
    stops = pd.concat([always["downtime"], stop], ignore_index=True)
    assert ("readings_outside_run", "batch_steps") not in told(site, broken | {"downtime": stops})


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), parts=st.integers(1, 6), overlap=st.booleans())
def test_sums_of_steps_and_of_the_time_between(seed: int, parts: int, overlap: bool) -> None:
    rng = np.random.default_rng(seed)
    start = np.sort(rng.integers(0, 5000, 6)) * MINUTE
    end = start + rng.integers(5, 1500 if overlap else 60, 6) * MINUTE
    ts = np.sort(rng.choice(np.arange(-500, 7500), 900, replace=False)) * MINUTE
    value = np.where(rng.random(len(ts)) < 0.1, np.nan, rng.normal(5, 1, len(ts)).round(3))
    levels = StepLevels({"m": np.arange(6)}, start, end)
    for at in np.array_split(np.arange(len(ts)), parts):
        levels.see("m", "x", ts[at], value[at])
    (count, total), line = levels._sums["m"]["x"], levels._lines["m"]
    good = np.isfinite(value)
    inside = (ts[:, None] >= start) & (ts[:, None] < end)
    assert count[:6].tolist() == (inside & good[:, None]).sum(axis=0).tolist()
    assert total[:6] == pytest.approx(np.where(inside & good[:, None], value[:, None], 0).sum(axis=0))
    free = good & ~((ts[:, None] >= start) & (ts[:, None] <= end)).any(axis=1)
    assert count[6:].sum() == free.sum()
    for i in range(6):  # the gap before a step ends where it, or what it overlaps with, begins
        before = line.end[6 + line.before[i]]
        assert before <= start[i] < line.begin[6 + line.before[i] + 1]


# -- clocks ----------------------------------------------------------------------------------------------------------


def on_the_grid(minutes: int, tables: Tables) -> Tables:
    """Steps that begin on the grid of the sampling, as when a machine is started by the clock."""
    step = f"{minutes}min"
    steps = tables["batch_steps"].assign(
        started_at=lambda f: f["started_at"].dt.floor(step), ended_at=lambda f: f["ended_at"].dt.floor(step)
    )
    readings = sending_always(tables | {"batch_steps": steps}, 3)["readings"]
    readings = readings[readings["ts"].dt.floor(step) == readings["ts"]]
    readings = readings[(readings["signal"] == "speed") & readings["equipment_id"].str.startswith("mill")]
    return {"batch_steps": steps, "readings": readings, "equipment": tables["equipment"]}


@pytest.mark.parametrize("minutes", [5, 10])
def test_no_clock_is_wrong_by_less_than_the_sampling_can_tell(tmp_path: Path, minutes: int) -> None:
    site, tables = small_site(tmp_path), on_the_grid(minutes, small_plant(8))
    x = report(site, tables)
    assert not [f.text for f in x.findings if f.code == "clock_skew"]
    assert [c["resolution_min"] for c in x.clocks if "historian" in c["systems"]] == [minutes]
    off = pd.Timedelta(minutes + 11, "min")
    late = report(site, tables | {"readings": tables["readings"].assign(ts=tables["readings"]["ts"] + off)})
    assert [f.severity for f in late.findings if f.code == "clock_skew"] == ["high"]
    told_min = next(abs(c["offset_min"]) for c in late.clocks if "historian" in c["systems"])
    assert abs(told_min - (minutes + 11)) <= minutes / 2 + 0.1
