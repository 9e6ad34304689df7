"""Defects planted in readings are found; cut into stretches in any way, the readings give the same report."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from plant.readiness import Finding, readiness
from plant.readiness_conversions import conversions, jump, matching
from plant.readiness_gaps import unusual_pauses
from plant.readiness_records import HOUR
from plant.readiness_scan import COLUMNS, ReadingsScan, Steps
from plant.site import Site
from plant.snapshot import Frames
from tests.plant.small_plant import Tables, report, small_plant, small_site, told


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return small_site(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def clean() -> Tables:
    return small_plant(7)


def of(readings: pd.DataFrame, equipment: str, signal: str = "") -> pd.Series:
    mask = readings["equipment_id"] == equipment
    return mask & (readings["signal"] == signal) if signal else mask


def with_readings(site: Site, clean: Tables, readings: pd.DataFrame) -> dict[str, Finding]:
    return {code: f for (code, table), f in told(site, clean | {"readings": readings}).items() if table == "readings"}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_stuck_sensor(site: Site, clean: Tables, seed: int) -> None:
    rng = np.random.default_rng(seed)
    readings = clean["readings"].copy()
    rows = np.flatnonzero(of(readings, "mill-2", "pressure"))
    start = int(rng.integers(500, len(rows) - 800))
    readings.loc[rows[start : start + 60], "value"] = readings["value"].iloc[rows[start]]
    found = with_readings(site, clean, readings)["stuck_sensor"]
    assert found.count == 1
    assert found.examples[0].startswith("mill-2 pressure = ")


def test_what_stands_is_not_stuck(site: Site, clean: Tables) -> None:
    readings = clean["readings"].copy()
    setpoint = of(readings, "mill-1", "speed")
    readings.loc[setpoint, "value"] = np.where(readings.loc[setpoint, "ts"].dt.month < 3, 500.0, 520.0)
    pumps = np.flatnonzero(of(readings, "mill-3", "pressure"))
    readings.loc[pumps[1000:1100], "value"] = 0.0
    still = readings["equipment_id"] == "mixer-1"
    still &= (readings["ts"] > pd.Timestamp("2024-02-01", tz="UTC")) & (
        readings["ts"] < pd.Timestamp("2024-02-03", tz="UTC")
    )
    for signal in ("temperature", "pressure", "speed"):
        rows = still & (readings["signal"] == signal)
        readings.loc[rows, "value"] = readings.loc[rows, "value"].iloc[0]
    assert "stuck_sensor" not in with_readings(site, clean, readings)


@pytest.mark.parametrize(
    ("signal", "factor", "constant", "name"),
    [
        ("temperature", 1.8, 32, "degC to degF"), ("pressure", 14.5038, 0, "bar to psi"),
        ("pressure", 100, 0, "bar to kPa"),
        ("speed", 10, 0, "× 10"), ("pressure", 0.001, 0, "mbar to bar"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("share", [0.3, 0.8])
def test_a_change_of_unit(
    site: Site, clean: Tables, signal: str, factor: float, constant: float, name: str, share: float
) -> None:
    readings = clean["readings"].copy()
    cut = readings["ts"].quantile(share)
    rows = of(readings, "mixer-3", signal) & (readings["ts"] > cut)
    readings.loc[rows, "value"] = readings.loc[rows, "value"] * factor + constant
    found = with_readings(site, clean, readings)["unit_shift"]
    assert found.count == 1
    assert found.examples[0].startswith(f"mixer-3 {signal}: as from {name} at ")
    told_at = pd.Timestamp(found.examples[0].split(" at ")[1][:16], tz="UTC")
    assert abs(told_at - cut) < pd.Timedelta(2, "D")


def test_one_machine_in_another_unit_than_its_class(site: Site, clean: Tables) -> None:
    readings = clean["readings"].copy()
    rows = of(readings, "mill-2", "temperature")
    readings.loc[rows, "value"] = readings.loc[rows, "value"] * 1.8 + 32
    found = with_readings(site, clean, readings)["unit_of_one"]
    assert (found.count, found.severity) == (1, "high")
    assert "mill-2 temperature" in found.examples[0]
    assert "degC to degF" in found.examples[0]


def test_a_drifting_sensor(site: Site, clean: Tables) -> None:
    readings = clean["readings"].copy()
    rows = of(readings, "mixer-2", "pressure")
    days = (readings.loc[rows, "ts"] - readings["ts"].min()).dt.total_seconds() / 86400
    readings.loc[rows, "value"] += 0.01 * days
    assert with_readings(site, clean, readings)["drifting_sensor"].examples[0].startswith("mixer-2 pressure: +")
    season = readings["signal"] == "temperature"
    days = (readings.loc[season, "ts"] - readings["ts"].min()).dt.total_seconds() / 86400
    readings.loc[season, "value"] += 0.1 * days
    found = with_readings(site, clean, readings)["drifting_sensor"]
    assert found.count == 1, "what a whole class does is no drift of a sensor"


def test_gaps(site: Site, clean: Tables) -> None:
    readings, lost = clean["readings"], pd.Timestamp("2024-03-01", tz="UTC")
    away = (readings["ts"] > lost) & (readings["ts"] < lost + pd.Timedelta(9, "D"))
    found = with_readings(site, clean, readings[~(away & of(readings, "mill-1"))])
    assert found["gaps"].examples[0].startswith("mill-1: 2024-02-29")
    assert "gaps_everywhere" not in found
    found = with_readings(site, clean, readings[~away])
    assert found["gaps_everywhere"].count == 1
    assert "gaps" not in found, "told once, for all"
    found = with_readings(site, clean, readings[~(away & of(readings, "mill-1", "speed"))])
    assert found["signal_missing"].examples[0].startswith("mill-1 speed: 2024-0")


def test_a_rhythm_is_no_gap() -> None:
    rng = np.random.default_rng(0)
    pauses = rng.exponential(10 * HOUR, 300)
    last = np.cumsum(pauses + 8 * HOUR)
    first = last - 8 * HOUR
    assert unusual_pauses(first, last, 300e6, HOUR) == []
    last[150:] += 20 * 24 * HOUR
    first[150:] += 20 * 24 * HOUR
    assert len(unusual_pauses(first, last, 300e6, HOUR)) == 1


def test_values_limits_rates_and_marks(site: Site, clean: Tables) -> None:
    readings = clean["readings"].copy()
    cold = np.flatnonzero(of(readings, "mill-1", "temperature"))[:7]
    readings.loc[cold, "value"] = -300.0
    readings.loc[np.flatnonzero(of(readings, "mill-2"))[:50], "quality"] = "bad"
    readings.loc[np.flatnonzero(of(readings, "mixer-1", "speed"))[[300, 4000]], "value"] *= 1000
    readings = readings.assign(signal=readings["signal"].where(~of(readings, "mill-3", "speed"), "humidity"))
    later = of(readings, "mixer-2") & (readings["ts"] > pd.Timestamp("2024-03-01", tz="UTC"))
    readings = readings[~(later & (readings["ts"].dt.minute % 15 != 0))]
    signals = clean["signals"].copy()
    signals.loc[(signals["equipment_id"] == "mixer-3") & (signals["signal"] == "pressure"), ["low", "high"]] = [
        30.0,
        50.0,
    ]
    found = told(site, clean | {"readings": readings, "signals": signals})
    assert found["impossible_value", "readings"].count == 7
    assert found["bad_quality", "readings"].count == 50
    assert found["mangled_numbers", "readings"].examples[0].startswith("mixer-1 speed")
    assert found["undeclared_signal", "readings"].examples == ["mill-3 humidity"]
    assert found["sampling_changed", "readings"].examples[0].startswith("mixer-2")
    assert found["limits_always_violated", "signals"].examples[0].startswith("mixer-3 pressure: limits 30 to 50")


def test_day_and_month_swapped_in_readings(site: Site, clean: Tables) -> None:
    readings = clean["readings"].copy()
    date = pd.Timestamp("2024-03-04", tz="UTC")
    rows = of(readings, "mill-1") & (readings["ts"].dt.floor("D") == date)
    readings.loc[rows, "ts"] += pd.Timestamp("2024-04-03", tz="UTC") - date
    found = with_readings(site, clean, readings)["day_month_swapped"]
    assert found.count == rows.sum()
    assert "ts reads 2024-04-03, its neighbours say 2024-03-04" in found.examples[0]


def test_a_batch_whose_readings_lie_outside_its_run(site: Site, clean: Tables) -> None:
    steps, batches = clean["batch_steps"].copy(), clean["batches"]
    moved = steps.index[[40, 301]]
    for column in ("started_at", "ended_at"):
        steps.loc[moved, column] += pd.Timedelta(6, "h")
    gone = steps.iloc[500]
    readings = clean["readings"]
    without = ~(of(readings, gone["equipment_id"]) & readings["ts"].between(gone["started_at"], gone["ended_at"]))
    found = told(site, clean | {"batch_steps": steps, "batches": batches, "readings": readings[without]})
    empty = found["batch_without_readings", "batch_steps"].examples
    assert any(e.startswith(f"{gone['batch_id']}/{gone['step']}") for e in empty)
    assert 1 <= found["readings_outside_run", "batch_steps"].count <= 4  # the step that ran there is beside them, too


@pytest.mark.parametrize("minutes", [7, -7, 25, 60])
def test_the_clock_of_the_historian(site: Site, clean: Tables, minutes: int) -> None:
    readings = clean["readings"].assign(ts=clean["readings"]["ts"] + pd.Timedelta(minutes, "min"))
    x = report(site, clean | {"readings": readings})
    assert {f.severity for f in x.findings if f.code == "clock_skew"} == {"high"}
    off = [c["offset_min"] for c in x.clocks if "historian" in c["systems"]]
    assert off
    assert abs(abs(off[0]) - abs(minutes)) <= 1


# -- stretches -------------------------------------------------------------------------------------------------------


@dataclass
class Cut(Frames):
    """Readings in stretches that end at given rows."""

    cuts: tuple[int, ...] = ()

    def scan(self, name: str, columns: list[str] | None = None, rows: int = 0) -> Iterator[pa.Table]:
        frame = self.table(name)
        borders = [0, *self.cuts, len(frame)]
        for a, b in itertools.pairwise(borders):
            part = Frames({name: frame.iloc[a:b]})
            yield from part.scan(name, columns, max(b - a, 1))


@settings(max_examples=5, deadline=None, phases=(Phase.generate,))
@given(data=st.data())
def test_stretches_of_any_size_give_the_same_findings(site: Site, clean: Tables, data: st.DataObject) -> None:
    readings = clean["readings"].copy()
    rows = np.flatnonzero(of(readings, "mill-2", "pressure"))
    readings.loc[rows[900:990], "value"] = 3.3
    later = np.flatnonzero(of(readings, "mixer-3", "temperature"))[2500:]
    readings.loc[later, "value"] = readings.loc[later, "value"] * 1.8 + 32
    tables = clean | {"readings": readings}
    cuts = data.draw(st.lists(st.integers(1, len(readings) - 1), min_size=1, max_size=12, unique=True).map(sorted))
    whole = readiness(site, Frames(tables), {}, {})
    cut = readiness(site, Cut(tables, cuts=tuple(cuts)), {}, {})
    assert [f.as_dict() for f in cut.findings] == [f.as_dict() for f in whole.findings]
    assert cut.coverage == whole.coverage


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), parts=st.integers(1, 9), levels=st.integers(1, 6))
def test_summaries_against_pandas(seed: int, parts: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 400))
    frame = pd.DataFrame(
        {
            "equipment_id": rng.choice(["a", "b"], n), "signal": rng.choice(["x", "y"], n),
            "ts": pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(np.sort(rng.integers(0, 90_000, n)), unit="s"),
            "value": rng.integers(0, levels, n).astype(float), "quality": rng.choice(["good", "bad"], n, p=[0.9, 0.1]),
        }
    )  # fmt: skip
    frame = frame.drop_duplicates(["equipment_id", "signal", "ts"])
    scan = ReadingsScan(Steps(np.array([]), np.array([]), np.array([])), {}, {})
    for part in np.array_split(np.arange(len(frame)), parts):
        for table in Frames({"readings": frame.iloc[part]}).scan("readings", COLUMNS):
            scan.take(table)
    series = scan.finish()
    good = frame[frame["quality"] == "good"]
    for s in range(len(series)):
        rows = frame[(frame["equipment_id"] == series.equipment[s]) & (frame["signal"] == series.signal[s])]
        assert (series.count[s], series.bad[s]) == (len(rows), (rows["quality"] == "bad").sum())
        marked = rows["value"].where(rows["quality"] == "good")
        runs = (marked != marked.shift()).cumsum()
        assert series.runs[s] == runs.nunique()
        lengths = rows.groupby(runs).size()
        mine = series.long_runs[series.long_runs["series"] == s]["count"]
        assert sorted(mine) == sorted(lengths[lengths >= 8])
        buckets = series.buckets[series.buckets["series"] == s]
        assert buckets["n"].sum() == len(rows)
        values = good[(good["equipment_id"] == series.equipment[s]) & (good["signal"] == series.signal[s])]["value"]
        assert buckets["sum"].sum() == pytest.approx(values.sum())
        assert buckets["max"].max() == (values.max() if len(values) else -np.inf)


def test_memory_is_bounded_by_wider_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plant.readiness_scan._MOST_BUCKETS", 50)
    frame = pd.DataFrame(
        {"equipment_id": "a", "signal": "x", "value": np.arange(3000.0), "quality": "good",
         "ts": pd.date_range("2024-01-01", periods=3000, freq="h", tz="UTC")}
    )  # fmt: skip
    scan = ReadingsScan(Steps(np.array([]), np.array([]), np.array([])), {}, {})
    for start in range(0, 3000, 250):
        for table in Frames({"readings": frame.iloc[start : start + 250]}).scan("readings", COLUMNS):
            scan.take(table)
    series = scan.finish()
    assert len(series.buckets) <= 50
    assert series.buckets["n"].sum() == 3000


# -- units -----------------------------------------------------------------------------------------------------------


KNOWN = [(unit, c) for unit in ("degC", "bar", "N", "kg") for c in conversions(unit)]


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 10_000), at=st.floats(0.2, 0.8), known=st.sampled_from(KNOWN))
def test_any_known_conversion_is_found_where_it_is(
    seed: int, at: float, known: tuple[str, tuple[str, float, float]]
) -> None:
    unit, (_, factor, constant) = known
    values = np.random.default_rng(seed).normal(50, 1.0, 200)
    k = int(at * 200)
    values[k:] = values[k:] * factor + constant
    found = jump(values, unit, 5)
    assert found is not None
    assert abs(found[0] - k) <= 2
    assert found[2][1] == pytest.approx(factor, rel=0.05)  # kgf to N is nearly × 10


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), duty=st.floats(0.1, 0.9), spread=st.floats(0.01, 0.5))
def test_a_machine_that_starts_and_stops_has_changed_no_unit(seed: int, duty: float, spread: float) -> None:
    rng = np.random.default_rng(seed)
    on = np.repeat(rng.random(100) < duty, rng.integers(1, 12, 100))
    values = np.where(on, 60.0, 22.0) * np.exp(spread * 0.2 * rng.normal(size=len(on)))
    assert jump(values, "degC", 5) is None


def test_a_conversion_has_to_fit() -> None:
    rng = np.random.default_rng(0)
    before = rng.normal(50, 1, 100)
    assert matching(before, before * 1.8 + 32, "degC") == ("degC to degF", 1.8, 32.0)
    assert matching(before, before * 1.8 + 32, "bar") is None
    assert matching(before, before + 3, "degC") is None
