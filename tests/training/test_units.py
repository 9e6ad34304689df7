"""A split by unit: no unit on two sides, remaining life against known ends, and the figures against plain formulas."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.spec import FailureSpec, parse_model_spec
from plant.errors import SteadylineError
from plant.site import Site
from plant.snapshot import Frames
from tests.plant.workshop import EVENT, Workshop
from tests.training.small import DAY, START, failure_spec
from training import card, run
from training.backtest import backtest_failure
from training.failure import FailureTraining, failure_plan, train_failure
from training.remaining_life import nasa_score, restricted_mean
from training.units import calibrating


def units(count: int = 40, seed: int = 2) -> Frames:
    """Pumps that run until they fail; heat rises over the last 20 days. Of the tested ones the records stop early."""
    rng = np.random.default_rng(seed)
    equipment, readings = [], []
    for i in range(count):
        tested = i % 4 == 0
        name, life = f"{'test' if tested else 'train'}-{i:02d}", int(rng.integers(30, 60))
        seen = life - int(rng.integers(3, 18)) if tested else life
        days = np.arange(1, seen + 1)
        heat = rng.normal(0, 0.1, seen) + np.maximum(0, 20 - (life - days)) * 0.5
        readings.append(pd.DataFrame({"equipment_id": name, "signal": "heat", "value": heat,
                                      "ts": START + pd.to_timedelta(days, unit="D")}))
        readings.append(readings[-1].assign(signal="load", value=np.where(days % 2, 10.0, 20.0)))
        equipment.append({"equipment_id": name, "equipment_class": "pump", "area": name.split("-")[0],
                          "commissioned_at": START, "retired_at": START + life * DAY})
    return Frames({"equipment": pd.DataFrame(equipment), "readings": pd.concat(readings, ignore_index=True)})


def spec(**changes: Any) -> FailureSpec:
    return failure_spec(**{
        "cutoffs": {"every": "1d", "offset": "1min"}, "horizons": ["5d", "10d", "20d", "40d"],
        "decision_horizon": "10d", "features": {"sensors": {"windows": ["3d"], "statistics": ["mean"]},
                                                "regimes": {"settings": ["load"], "count": 2, "windows": ["3d"]},
                                                "maintenance": False, "events": False, "downtime": False},
        "labels": {"failure": {"kinds": [], "retirement": True}, "unobserved_after": "2d"},
        "split": {"test_equipment": {"area": ["test"]}}, "remaining_life": {"cap": "20d"}, **changes,
    })


@pytest.fixture(scope="module")
def trained() -> FailureTraining:
    return train_failure(units(), spec())


def test_no_unit_stands_on_two_sides(trained: FailureTraining) -> None:
    ids = trained.matrix.rows["equipment_id"]
    learnt, tested = set(ids[trained.last.before]), set(ids.iloc[trained.last.rows])
    assert {i.split("-")[0] for i in learnt} == {"train"}
    assert {i.split("-")[0] for i in tested} == {"test"}
    assert trained.evidence["train"]["units"] == 30
    assert trained.evidence["test"]["units"] == 10


def test_remaining_life_is_judged_at_the_last_record(trained: FailureTraining) -> None:
    """Wear of 20 days that a straight line tells: days left are told to a few days, and better than by a constant."""
    life = trained.evidence["remaining_life"]
    assert life["n"] == 10
    plant = units()
    last = plant.table("readings").groupby("equipment_id")["ts"].max()
    ends = plant.table("equipment").set_index("equipment_id")["retired_at"]
    left = ((ends - last) / DAY)[lambda s: s.index.str.startswith("test")]
    assert life["rmse"] < 0.7 * left.std()
    assert 0 <= life["coverage"] <= 1
    assert life["rmse_uncapped"] > 0
    assert life["cap"] == 20.0


def test_tested_units_change_no_byte_of_the_model(trained: FailureTraining) -> None:
    plant = units()
    readings, equipment = plant.table("readings"), plant.table("equipment")
    shaken = readings["value"].where(readings["equipment_id"].str.startswith("train"), readings["value"] * -3 + 7)
    ends = equipment["retired_at"] + 9 * DAY * equipment["area"].eq("test")
    other = train_failure(Frames({"equipment": equipment.assign(retired_at=ends),
                                  "readings": readings.assign(value=shaken)}), spec())
    assert other.last.model.hazard_.pooled.model_to_string() == trained.last.model.hazard_.pooled.model_to_string()
    assert other.last.calibration.as_dict() == trained.last.calibration.as_dict()
    assert other.plan.vocabulary == trained.plan.vocabulary
    assert other.evidence["remaining_life"]["rmse"] != trained.evidence["remaining_life"]["rmse"]


def test_rows_after_the_last_record_are_neither_learnt_from_nor_judged(trained: FailureTraining) -> None:
    last = units().table("readings").groupby("equipment_id")["ts"].max()
    rows = trained.matrix.rows
    assert (rows["t"] <= rows["equipment_id"].map(last)).all()


def test_the_plan_is_that_of_the_training(trained: FailureTraining) -> None:
    assert failure_plan(units(), spec()) == trained.plan


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Workshop(tmp_path / "workshop").one(EVENT)


def test_a_version_tested_by_unit_has_no_figure_in_money_and_says_why(
    trained: FailureTraining, site: Site, tmp_path: Path
) -> None:
    bundle, evidence, _ = run._make(site, units(), spec(), tmp_path / "bundle", lambda _: None)
    assert evidence["money"] is None
    assert evidence["threshold"] == trained.last.threshold.as_dict() == bundle.evidence["scoring"]["threshold"]
    made = evidence["card"]
    json.dumps(made, allow_nan=False)
    assert made["population"]["equipment"] == 10
    assert any("No figure in money" in limit for limit in made["limits"])
    text = card.markdown(made, "1")
    assert f"RMSE {evidence['remaining_life']['rmse']:.2f} d, both lives capped at 20 d" in text
    assert "unseen units" in text
    assert "an order from a risk of" in text
    assert "Savings" not in text


def test_policies_are_not_played_over_units_without_a_common_clock() -> None:
    with pytest.raises(SteadylineError) as refused:
        backtest_failure(units(), spec())
    assert refused.value.code == "not_played"


@pytest.mark.parametrize("changes", [
    {"features": {"texts": True}}, {"features": {"maintenance": {"fill_codes": 0.8}}},
    {"labels": {"failure": {"fill_codes": 0.8}}},
])
def test_texts_that_tested_units_would_teach_are_refused(changes: dict[str, Any]) -> None:
    read, problems = parse_model_spec(spec().as_dict() | changes)
    assert read is None
    assert "a text model learns from the orders of all equipment" in problems[0]


def test_a_search_of_settings_looks_at_no_tested_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def looked_at(asked: FailureSpec, _model: Any, values: np.ndarray, *_: Any) -> Any:
        seen.append(len(values))
        return asked, {}

    monkeypatch.setattr("training.failure.tuned", looked_at)
    found = train_failure(units(), spec(lightgbm={"rounds": 20, "tune": {"trials": 1}}))
    assert seen == [int(found.last.before.sum())]
    assert seen[0] < len(found.matrix.values)


def test_a_test_without_units_is_refused() -> None:
    with pytest.raises(SteadylineError) as refused:
        train_failure(units(), spec(split={"test_equipment": {"equipment_id": ["exam-*"]}}))
    assert refused.value.code == "bad_split"


def test_patterns_name_units() -> None:
    rule = spec(split={"test_equipment": {"equipment_id": ["test-*"]}}).split.test_equipment
    assert rule is not None
    assert rule.covers("test-04", "pump", "", "")
    assert not rule.covers("train-05", "pump", "", "")


@pytest.mark.parametrize("split", [
    {"test_equipment": {}}, {"test_equipment": {"area": ["test"]}, "test_share": 0.3},
    {"test_equipment": {"area": ["test"]}, "folds": 2},
])
def test_a_split_that_says_two_things_is_refused(split: dict[str, Any]) -> None:
    raw = spec().as_dict() | {"split": split}
    assert parse_model_spec(raw)[0] is None


def test_the_specification_is_read_again_as_it_was() -> None:
    assert parse_model_spec(spec().as_dict()) == (spec(), [])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 10_000), min_size=2, max_size=40, unique=True), st.floats(0.05, 0.9))
def test_who_calibrates_does_not_depend_on_the_order(numbers: list[int], share: float) -> None:
    names = sorted(f"u{n}" for n in numbers)
    chosen = calibrating(names, share, 7)
    assert len(chosen) == max(1, round(share * len(names)))
    assert chosen == calibrating(names[::-1], share, 7)
    assert set(chosen) <= set(names)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.0, 0.9), min_size=1, max_size=6), st.floats(0.1, 60.0))
def test_restricted_mean_is_the_area_under_the_curve(hazard: list[float], cap: float) -> None:
    edges = np.cumsum([0.0, *np.linspace(1, 9, len(hazard))])
    survival = np.concatenate([[1.0], np.cumprod(1 - np.array(hazard))])
    t = np.linspace(0, cap, 20_001)
    k = np.clip(np.searchsorted(edges, t, side="right") - 1, 0, len(hazard))
    rate = -np.log1p(-np.array(hazard)) / np.diff(edges)
    rate = np.append(rate, max(rate[-1], 1e-6))
    curve = survival[k] * np.exp(-rate[k] * (t - edges[k]))
    area = float(((curve[1:] + curve[:-1]) / 2 * np.diff(t)).sum())
    assert restricted_mean(edges, survival[None, :], cap)[0] == pytest.approx(area, rel=1e-3)


def test_nasa_score_punishes_a_life_told_too_long_more() -> None:
    assert nasa_score(np.array([0.0])) == 0
    assert nasa_score(np.array([-13.0, 10.0])) == pytest.approx(2 * (math.e - 1))
    assert nasa_score(np.array([10.0])) > nasa_score(np.array([-10.0]))
