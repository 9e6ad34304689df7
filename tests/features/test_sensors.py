"""Statistics of readings: against an independent SQL oracle, against large numbers, and by hand."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import FeatureSpec, equipment_matrix, plan
from features.asof import as_of
from plant.errors import SteadylineError
from tests.features.conftest import EQUIPMENT, Memory, at, random_plant

STATISTICS = ["mean", "std", "min", "max", "first", "last", "slope", "count", "out_of_limits", "gap", "share_good",
              "hours_out", "excursions", "level", "median", "iqr"]
WINDOWS = {"30min": 1800, "6h": 6 * 3600, "3d": 3 * 86400}
SPEC = FeatureSpec.model_validate({
    "sensors": {"windows": list(WINDOWS), "statistics": STATISTICS},
    "maintenance": False, "events": False, "downtime": False, "static": False,
})

# The oracle works on the as-of view's rows (plain SQL text, seconds since the epoch, no version logic of ours).
ORACLE = """
with usable as (
    select r.*, epoch(ts) as s, (value < low)::int + (value > high)::int as beyond
    from readings r left join signals using (equipment_id, signal)
), inside as (
    select * from usable where s >= {t} - {w} and s < {t}
), gaps as (
    select equipment_id, signal, max(later - s) as gap from (
        select equipment_id, signal, s, coalesce(lead(s) over (partition by equipment_id, signal order by s), {t})
            as later
        from (select equipment_id, signal, s from inside where value is not null and quality is distinct from 'bad'
              union all select distinct equipment_id, signal, {t} - {w} from usable)
    ) group by all
), sums as (
    select equipment_id, signal, avg(value) as mean, stddev_samp(value) as std, min(value) as min, max(value) as max,
        arg_min(value, s) as first, arg_max(value, s) as last, count(*) as count,
        regr_slope(value, (s - {t}) / 86400) as slope,
        avg(value) + case when max(s) > min(s)
            then regr_slope(value, s - {t}) * (max(s - {t}) - avg(s - {t})) else 0 end as level,
        avg(coalesce(beyond, 0)) as out_of_limits,
        quantile_cont(value, 0.5) as median, quantile_cont(value, 0.75) - quantile_cont(value, 0.25) as iqr
    from inside where value is not null and quality is distinct from 'bad' group by all
), held as (
    select equipment_id, signal, sum(beyond * (later - s)) / 3600 as hours_out,
        count(*) filter (beyond > 0 and coalesce(earlier, 0) = 0) as excursions
    from (
        select equipment_id, signal, s, coalesce(beyond, 0) as beyond,
            coalesce(lead(s) over series, {t}) as later, lag(coalesce(beyond, 0)) over series as earlier
        from inside where value is not null and quality is distinct from 'bad'
        window series as (partition by equipment_id, signal order by s)
    ) group by all
), shares as (
    select equipment_id, signal,
        avg((value is not null and coalesce(quality, 'good') = 'good')::int) as share_good
    from inside group by all
)
select equipment_id, signal, mean, std, min, max, first, last, slope, coalesce(count, 0) as count, out_of_limits,
    gap / 3600 as gap, share_good, hours_out, excursions, level, median, iqr
from gaps left join sums using (equipment_id, signal) left join shares using (equipment_id, signal)
    left join held using (equipment_id, signal)
"""


def oracle(view: Any, t: pd.Timestamp) -> dict[tuple[str, str], dict[str, float]]:
    readings, signals = view.table("readings"), view.table("signals")
    out: dict[tuple[str, str], dict[str, float]] = {}
    with duckdb.connect() as db:
        db.execute("set timezone = 'UTC'")
        db.register("readings", readings[["equipment_id", "signal", "ts", "value", "quality"]])
        db.register("signals", signals[["equipment_id", "signal", "low", "high"]])
        for name, seconds in WINDOWS.items():
            found = db.execute(ORACLE.format(t=float(t.timestamp()), w=float(seconds))).df()
            found[STATISTICS] = found[STATISTICS].astype("float64")
            for row in found.to_dict("records"):
                for statistic in STATISTICS:
                    out.setdefault((row["equipment_id"], row["signal"]), {})[f"{statistic}.{name}"] = row[statistic]
    return out


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([at(h) for h in (0, 5, 24, 71.5, 100.25, 168, 239, 260)]))
def test_the_sql_oracle_agrees(seed: int, t: pd.Timestamp) -> None:
    plant = random_plant(seed)
    made = plan(plant, SPEC, "equipment", at(230), EQUIPMENT)
    matrix = equipment_matrix(plant, made, pd.DataFrame({"equipment_id": EQUIPMENT, "t": [t] * 3}))
    expected = oracle(as_of(plant, t), t)
    for i, e in enumerate(EQUIPMENT):
        for j, feature in enumerate(matrix.features):
            signal, rest = feature.name.split(".", 1)
            if rest.startswith("change"):
                continue
            ours, theirs = matrix.values[i, j], expected.get((e, signal), {}).get(rest, np.nan)
            where = (e, feature.name, t, ours, theirs)
            if rest.startswith(("count", "excursions")):
                assert ours == theirs or (np.isnan(ours) and np.isnan(theirs)), where
            else:
                assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-9, nan_ok=True), where


def values(plant: Memory, t: pd.Timestamp, spec: FeatureSpec = SPEC, equipment: str = "e") -> dict[str, float]:
    made = plan(plant, spec, "equipment", plant.data_end)
    matrix = equipment_matrix(plant, made, pd.DataFrame({"equipment_id": [equipment], "t": [t]}))
    return dict(zip((f.name for f in matrix.features), matrix.values[0].tolist(), strict=True))


def _press(memory: Any, readings: list[dict[str, Any]], **more: Any) -> Memory:
    return memory(
        equipment=[{"equipment_id": "e", "equipment_class": "press"}],
        signals=[{"equipment_id": "e", "signal": "force", "unit": "kN", "low": 1.0, "high": 4.0}],
        readings=[{"equipment_id": "e", "signal": "force", **r} for r in readings], **more,
    )


def test_a_window_by_hand(memory: Any) -> None:
    plant = _press(memory, [
        {"ts": at(0), "value": 9.0},      # exactly 6 h before t: inside
        {"ts": at(2), "value": 3.0},
        {"ts": at(4), "value": 2.0, "quality": "bad"},
        {"ts": at(5), "value": 0.0, "quality": "uncertain"},
        {"ts": at(6), "value": 100.0},    # at t itself: unknown
    ])
    found = values(plant, at(6))
    assert {k.split(".")[1]: v for k, v in found.items() if k.endswith(".6h")} == pytest.approx({
        "count": 3, "mean": 4.0, "std": np.sqrt(21.0), "min": 0.0, "max": 9.0, "first": 9.0, "last": 0.0,
        "slope": -1.7368421052631578 * 24, "out_of_limits": 2 / 3, "gap": 3.0, "share_good": 2 / 4,
        "hours_out": 3.0, "excursions": 2, "level": 4.0 - 1.7368421052631578 * (5 - 7 / 3), "median": 3.0, "iqr": 4.5,
    })
    assert found["force.count.30min"] == 0
    assert np.isnan(found["force.mean.30min"])
    assert found["force.gap.30min"] == 0.5


def test_a_late_reading_counts_from_its_recording_on(memory: Any) -> None:
    plant = _press(memory, [{"ts": at(0), "value": 1.0}, {"ts": at(1), "value": 3.0, "recorded_at": at(5)}])
    assert values(plant, at(5))["force.last.6h"] == 1.0
    assert values(plant, at(5.001))["force.last.6h"] == 3.0


def test_a_corrected_reading_replaces_the_first_from_its_recording_on(memory: Any) -> None:
    plant = _press(memory, [{"ts": at(1), "value": 1.0}, {"ts": at(1), "value": 2.0, "recorded_at": at(3)}])
    assert [values(plant, at(h))["force.last.3d"] for h in (2, 3, 4)] == [1.0, 1.0, 2.0]
    assert values(plant, at(4))["force.count.3d"] == 1


def test_corrected_limits_count_from_their_recording_on(memory: Any) -> None:
    plant = _press(memory, [{"ts": at(1), "value": 3.0}])
    wider = pd.concat([plant.table("signals")] * 2, ignore_index=True)
    wider.loc[1, ["high", "recorded_at"]] = [2.0, at(4)]
    plant = Memory(plant.tables | {"signals": wider}, plant.data_end)
    assert [values(plant, at(h))["force.out_of_limits.6h"] for h in (4, 5)] == [0.0, 1.0]


def test_large_values_with_a_small_spread_keep_their_spread(memory: Any) -> None:
    rng = np.random.default_rng(0)
    x = 1e6 + rng.normal(scale=1e-3, size=500)
    plant = _press(memory, [{"ts": at(i / 60), "value": v} for i, v in enumerate(x)])
    found = values(plant, at(500 / 60))
    exact = [Fraction(v) for v in x]
    mean = sum(exact) / 500
    std = np.sqrt(float(sum((v - mean) ** 2 for v in exact) / 499))
    assert found["force.mean.3d"] == pytest.approx(float(mean), rel=1e-15)
    assert found["force.std.3d"] == pytest.approx(std, rel=1e-12, abs=0)


def test_change_is_told_in_the_baselines_own_spread(memory: Any) -> None:
    plant = _press(memory, [{"ts": at(i), "value": float(v)} for i, v in enumerate([1, 3, 1, 3, 1, 10])])
    found = values(plant, at(5.4))
    assert found["force.change.30min"] == pytest.approx((10 - 19 / 6) / np.std([1, 3, 1, 3, 1, 10], ddof=1))


def test_equipment_without_the_signal_has_nothing_to_tell(memory: Any) -> None:
    plant = memory(
        equipment=[{"equipment_id": e, "equipment_class": "press"} for e in ("e", "f")],
        readings=[{"equipment_id": "e", "signal": "force", "ts": at(1), "value": 1.0}],
    )
    assert all(np.isnan(v) for v in values(plant, at(2), equipment="f").values())
    assert all(np.isnan(v) for v in values(plant, at(1)).values()), "before the first reading is known"


def test_a_signal_that_no_equipment_has_is_refused_with_the_nearest_name(memory: Any) -> None:
    plant = _press(memory, [{"ts": at(1), "value": 1.0}])
    with pytest.raises(SteadylineError) as refused:
        plan(plant, FeatureSpec.model_validate({"sensors": {"signals": ["forse"]}}), "equipment", at(5))
    assert refused.value.code == "unknown_signal"
    assert "force" in refused.value.message()
