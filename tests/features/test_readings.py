"""Readings out of the store are those of the table in memory, in the same order, versions and ties included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import FeatureSpec, equipment_matrix, plan, readings
from features.asof import History, history, moment
from features.readings import Readings, first_known, portions, readings_of, sorted_readings
from plant.snapshot import Snapshot
from plant.store import Load, Store
from tests.features.conftest import at
from tests.features.test_point_in_time import same

MACHINES = ("mixer-1", "press-1", "press-2", "press-3")


def loads(seed: int, corrected: bool) -> list[pd.DataFrame]:
    """Readings as three loads bring them: later ones come late, overlap, and correct where that is asked for."""
    rng = np.random.default_rng(seed)
    out = []
    for number in range(3):
        n = 120
        hours = np.round(rng.uniform(0, 100, n) + 60 * number * (rng.random() < 0.7), 1)
        frame = pd.DataFrame({
            "equipment_id": rng.choice(MACHINES, n), "signal": rng.choice(["force", "speed"], n),
            "ts": pd.Series([at(h) for h in hours], dtype="datetime64[us, UTC]"),
            "value": np.where(rng.random(n) < 0.05, np.nan, np.round(rng.normal(size=n), 1)),
            "quality": rng.choice(np.array(["good", "good", "uncertain", "bad", None], dtype=object), n),
        })
        frame["recorded_at"] = pd.Series(pd.NaT, index=frame.index, dtype="datetime64[us, UTC]")
        if corrected:
            late = rng.random(n) < 0.2
            delay = pd.to_timedelta(rng.integers(1, 90, late.sum()), "h")
            frame.loc[late, "recorded_at"] = frame.loc[late, "ts"] + delay
        else:
            frame["value"] = frame["ts"].astype("int64") % 7.0  # the same key never comes with another value
            frame["quality"] = "good"
        frame = frame.drop_duplicates(["equipment_id", "signal", "ts"])
        out.append(frame.assign(source_file=f"{number}.csv", source_line=np.arange(2.0, 2.0 + len(frame))))
    return out


def stored(folder: Path, seed: int, corrected: bool) -> Snapshot:
    store = Store(folder, "works")
    equipment = pd.DataFrame({"equipment_id": MACHINES, "equipment_class": "press", "source_file": "e.csv",
                              "source_line": np.arange(2.0, 2.0 + len(MACHINES))})
    for number, frame in enumerate(loads(seed, corrected)):
        tables = {"readings": frame} | ({"equipment": equipment} if number == 0 else {})
        with store.lock():
            store.commit(Load(tables=tables), at(300 + number), {})
    return store.snapshot()


def equal(a: Readings, b: Readings) -> None:
    """The same series with the same rows, whatever their numbers are."""
    assert set(a.number) == set(b.number)
    for pair, i in a.number.items():
        j = b.number[pair]
        assert (a.first_known[i], a.plain[i], a.late[i]) == (b.first_known[j], b.plain[j], b.late[j]), pair
        for name, one, two in zip(a.series(i)._fields, a.series(i), b.series(j), strict=True):
            np.testing.assert_array_equal(one, two, err_msg=f"{pair} {name}")


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), corrected=st.booleans(), some=st.sets(st.sampled_from(MACHINES), min_size=1))
def test_readings_of_some_equipment(
    seed: int, corrected: bool, some: set[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    snapshot = stored(tmp_path_factory.mktemp("store"), seed, corrected)
    assert snapshot.readings_in_time is not corrected
    frame = snapshot.table("readings")
    found = readings._from_store(snapshot, some)
    equal(found, sorted_readings(frame[frame["equipment_id"].isin(some)]))
    t = moment(at(50))
    whole = sorted_readings(frame)
    assert first_known(History(snapshot), t) == {p for p, i in whole.number.items() if whole.first_known[i] < t}


def test_a_store_that_does_not_fit_is_read_in_portions(tmp_path: Path, monkeypatch: Any) -> None:
    snapshot = stored(tmp_path, 3, corrected=True)
    spec = FeatureSpec.model_validate({"sensors": {"windows": ["6h", "3d"], "fleet": True}})
    made = plan(snapshot, spec, "equipment", at(400))
    asked = pd.DataFrame([(e, at(h)) for h in (20, 60, 250) for e in MACHINES], columns=["equipment_id", "t"])
    whole = equipment_matrix(snapshot, made, asked)
    monkeypatch.setattr(readings, "MOST_AT_ONCE", 150)
    fresh = Store(tmp_path, "works").snapshot()
    assert len(list(portions(history(fresh), MACHINES))) > 1
    same(whole, equipment_matrix(fresh, made, asked.sample(frac=1, random_state=1)),
         asked.sample(frac=1, random_state=1).index.to_numpy())
    assert not history(fresh).has(("readings",)), "nothing but the portion was kept"
    assert isinstance(readings_of(history(fresh), ["press-1"]), Readings)
