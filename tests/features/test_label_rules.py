"""Every rule of the labels together: against a slow reference over random histories, and as known at an origin."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features import LabelSpec, as_of, cutoff_grid, failure_labels, label_report
from features.asof import history, micros
from features.failures import episodes
from plant.snapshot import Frames
from plant.tables import TABLES, conform
from tests.features.conftest import EQUIPMENT, HOUR, Memory, at, random_plant
from tests.features.label_oracle import NEVER, Oracle, episodes_of, failure_records, hindsight

TABLES_READ = ("equipment", "readings", "events", "downtime", "work_orders")

FAILURES = st.fixed_dictionaries(
    {},
    optional={
        "kinds": st.sampled_from([("corrective",), ("corrective", "inspection")]),
        "modes": st.sampled_from(["all", ("leak",), ("wear", "unknown")]),
        "events": st.sampled_from([None, {"kind": "error", "codes": ["A1", "A2"]}, {"kind": "alarm"}]),
        "retirement": st.booleans(),
    },
)
SPECS = st.fixed_dictionaries(
    {"failure": FAILURES},
    optional={
        "censor_at": st.sampled_from([("preventive",), ("preventive", "inspection")]),
        "censor_by": st.sampled_from(["equipment", "mode"]),
        "unobserved_after": st.sampled_from(["30min", "2h", "5h", "24h"]),
        "exclude_downtime": st.sampled_from([True, False, "planned"]),
        "episode_gap": st.sampled_from(["0h", "1h", "6h"]),
        "episode_by": st.sampled_from(["mode", "equipment"]),
        "exclude_episodes": st.booleans(),
        "lead": st.sampled_from(["0h", "30min", "4h"]),
    },
).map(LabelSpec.model_validate)


def sparse_plant(seed: int) -> Memory:
    """A random plant of which less is recorded, so that it falls silent; some equipment comes late or retires."""
    plant, rng = random_plant(seed), np.random.default_rng(seed)
    tables = dict(plant.tables)
    for name in ("readings", "events", "downtime", "work_orders"):
        share = rng.choice([0.05, 0.3, 1.0])
        tables[name] = tables[name][rng.random(len(tables[name])) < share].reset_index(drop=True)
    for name, column in (("readings", "ts"), ("events", "ts")):  # nothing at all for some days
        quiet = float(rng.uniform(0, 200))
        inside = tables[name][column].between(at(quiet), at(quiet + rng.uniform(0, 60)))
        tables[name] = tables[name][~inside].reset_index(drop=True)
    assets = tables["equipment"].copy()
    begins = [[pd.NaT, at(-1000), at(20), at(33)][i] for i in rng.integers(0, 4, len(assets))]
    ends = [[pd.NaT, at(150), at(222.5), at(300)][i] for i in rng.integers(0, 4, len(assets))]
    assets["commissioned_at"] = pd.Series(begins, dtype="datetime64[us, UTC]")
    assets["retired_at"] = pd.Series(ends, dtype="datetime64[us, UTC]")
    tables["equipment"] = conform(TABLES["equipment"], assets)
    return Memory(tables, plant.data_end)


def grid(rng: np.random.Generator, before: float = 260) -> pd.DataFrame:
    """Cut-offs at half and quarter hours, so that many meet a record; out of service too."""
    return pd.DataFrame({
        "equipment_id": rng.choice(EQUIPMENT, 60), "t": [at(h) for h in rng.integers(0, int(before * 4), 60) / 4],
    })


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 100_000), SPECS, st.sampled_from([None, 100.0, 180.25]))
def test_a_slow_reference_agrees_on_every_rule(seed: int, spec: LabelSpec, until: float | None) -> None:
    plant, end = sparse_plant(seed), None if until is None else at(until)
    cutoffs = grid(np.random.default_rng(seed))
    found = failure_labels(plant, spec, cutoffs, end)
    known = hindsight(plant)
    oracles = {e: Oracle(known, plant.data_end, spec, e, end) for e in EQUIPMENT}
    expected = [oracles[e].label(t) for e, t in cutoffs.itertuples(index=False)]
    assert [tuple(r) for r in found.itertuples(index=False)] == [x[:3] for x in expected]

    report = label_report(plant, spec, cutoffs, end)
    assert report.rows == len(cutoffs)
    assert {k: n for k, n in report.censored.items() if n} == Counter(x[3] for x in expected if x[3])
    assert report.positive == sum(x[1] for x in expected)
    assert report.with_exposure == sum(x[1] or x[0] > 0 for x in expected)
    seen = {(e, t + x[0] * HOUR, x[2]) for (e, t), x in zip(cutoffs.itertuples(index=False), expected, strict=True)
            if x[1]}
    assert report.failures == Counter(mode for _, _, mode in seen)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 100_000), SPECS)
def test_episodes_are_those_of_a_slow_reference(seed: int, spec: LabelSpec) -> None:
    plant = random_plant(seed)
    found, known = episodes(history(plant), spec), hindsight(plant)
    never = int(micros(pd.Series([pd.NaT], dtype="datetime64[us, UTC]"))[0])
    for equipment in EQUIPMENT:
        own = found[found["equipment_id"] == equipment]
        records = failure_records(known, spec, equipment)
        expected = episodes_of(records, spec.episode_by, pd.Timedelta(spec.episode_gap))
        ends = micros(pd.Series([x["end"] if x["end"] < NEVER else pd.NaT for x in expected],
                                dtype="datetime64[us, UTC]"), never)
        begins = micros(pd.Series([x["at"] for x in expected], dtype="datetime64[us, UTC]"))
        assert sorted(own.drop(columns="equipment_id").itertuples(index=False, name=None)) == sorted(
            (a, b, x["mode"], x["wanted"], x["size"]) for a, b, x in zip(begins, ends, expected, strict=True))
        assert own["records"].sum() == len(records), "each record belongs to one episode"


def other_future(plant: Memory, origin: pd.Timestamp, seed: int) -> Memory:
    """The same plant as known before `origin`; everything that became known at it or later is another plant's."""
    rng, other = np.random.default_rng(seed), sparse_plant(seed + 1)
    tables = dict(plant.tables)
    for name in TABLES_READ:
        table, frame = TABLES[name], plant.table(name)
        kept = frame[frame["recorded_at"].isna() | (frame["recorded_at"] < origin)].copy()
        for column in table.columns:
            if column.kind == "time" and column.known_by != "always":
                late = kept[column.name] >= origin
                emptied = rng.random() < 0.5 and not column.required
                kept.loc[late, column.name] = pd.NaT if emptied else origin + 7 * HOUR
        if name == "work_orders":
            kept.loc[~(kept["closed_at"] < origin), "failure_mode"] = "never heard of"
        news = other.table(name).sample(frac=0.7, random_state=int(rng.integers(1 << 30))).copy()
        news["recorded_at"] = pd.Series([origin + h * HOUR for h in rng.integers(0, 50, len(news))],
                                        index=news.index, dtype="datetime64[us, UTC]")
        tables[name] = conform(table, pd.concat([kept, news], ignore_index=True))
    return Memory(tables, plant.data_end)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 100_000), SPECS, st.sampled_from([48.0, 96.0, 150.0, 200.0]))
def test_labels_of_an_origin_know_nothing_from_it_on(seed: int, spec: LabelSpec, hours: float) -> None:
    plant, origin = sparse_plant(seed), at(hours)
    cutoffs = grid(np.random.default_rng(seed), hours)
    known = failure_labels(as_of(plant, origin), spec, cutoffs, until=origin)

    changed = other_future(plant, origin, seed)
    pd.testing.assert_frame_equal(failure_labels(as_of(changed, origin), spec, cutoffs, until=origin), known)

    view = as_of(plant, origin)
    cut = Memory({name: view.table(name) for name in TABLES_READ}, origin)
    pd.testing.assert_frame_equal(failure_labels(cut, spec, cutoffs, until=origin), known)


class Stretches(Frames):
    """A plant that gives its readings in small stretches."""

    def scan(self, name: str, columns: list[str] | None = None, rows: int = 37) -> Any:
        yield from super().scan(name, columns, rows)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 100_000), st.sampled_from(["30min", "2h", "5h", "24h"]))
def test_readings_in_stretches_tell_the_same(seed: int, longer: str) -> None:
    plant, spec = sparse_plant(seed), LabelSpec(unobserved_after=longer)
    cutoffs = grid(np.random.default_rng(seed))
    expected = failure_labels(plant, spec, cutoffs, until=at(200))
    streamed = Stretches(plant.tables)
    pd.testing.assert_frame_equal(failure_labels(streamed, spec, cutoffs, until=at(200)), expected)
    early = cutoffs[cutoffs["t"] < at(120)]
    pd.testing.assert_frame_equal(
        failure_labels(as_of(streamed, at(120)), spec, early, until=at(120)),
        failure_labels(as_of(plant, at(120)), spec, early, until=at(120)))


def test_the_rules_meet_often_enough_to_be_tested() -> None:
    """The random plants do show every reason, or the comparisons above would prove nothing."""
    spec = LabelSpec.model_validate({
        "censor_at": ["preventive"], "unobserved_after": "5h", "exclude_downtime": "planned", "episode_by": "equipment",
        "exclude_episodes": True, "lead": "30min", "failure": {"retirement": True, "events": {"kind": "error"}}})
    total: Counter[str] = Counter()
    for seed in range(12):
        plant = sparse_plant(seed)
        report = label_report(plant, spec, grid(np.random.default_rng(seed)))
        total.update(report.censored)
        total["positive"] += report.positive
    assert all(total[reason] > 0 for reason in total if reason != "retirement"), total
    none = cutoff_grid(sparse_plant(1), HOUR, at(0), at(0), EQUIPMENT)
    assert label_report(sparse_plant(1), spec, none).rows == 0
