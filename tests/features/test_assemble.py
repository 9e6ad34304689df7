"""Plans, their JSON, the catalogue, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from features import FeaturePlan, FeatureSpec, equipment_matrix, plan
from plant.errors import SteadylineError, UnknownId
from tests.features.conftest import EQUIPMENT, at, random_plant


@pytest.mark.parametrize("kind", ["equipment", "batch"])
def test_a_plan_survives_json(kind: Any) -> None:
    made = plan(random_plant(1), FeatureSpec(), kind, at(200))
    assert len(made.features) > 40
    assert FeaturePlan.from_json(json.loads(json.dumps(made.to_json()))) == made


def test_a_plan_of_another_catalogue_is_refused() -> None:
    stored = plan(random_plant(1), FeatureSpec(), "equipment", at(200)).to_json()
    stored["features"][0]["name"] = "force.kurtosis.1h"
    with pytest.raises(SteadylineError) as refused:
        FeaturePlan.from_json(stored)
    assert refused.value.code == "feature_contract"
    assert "force.kurtosis.1h" in refused.value.details


@pytest.mark.parametrize("kind", ["equipment", "batch"])
def test_every_feature_says_in_plain_words_what_it_is(kind: Any) -> None:
    features = plan(random_plant(1), FeatureSpec(calendar=True), kind, at(200)).features
    assert len({f.meaning for f in features}) == len(features), "two features that a reader cannot tell apart"
    for f in features:
        assert f.meaning
        assert f.source
        assert f.group
        assert f.look_back
        assert "{" not in f.meaning
    words = {f.name: f.meaning for f in features}
    if kind == "equipment":
        assert words["force.mean.24h"] == "mean of force over the last 24 h"
        assert words["maintenance.since.corrective"] == "hours since the last corrective order"
        assert words["events.count.A1.7d"] == "times that A1 was raised over the last 7 days"


def test_a_misspelt_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="sensor"):
        FeatureSpec.model_validate({"sensor": True})
    with pytest.raises(ValidationError, match="24 hours"):
        FeatureSpec.model_validate({"sensors": {"windows": ["24 hours"]}})
    with pytest.raises(ValidationError, match="lot:<material>"):
        FeatureSpec.model_validate({"batches": {"lags": {"by": ["supplier"]}}})


def test_a_block_can_be_switched() -> None:
    spec = FeatureSpec.model_validate({"sensors": False, "events": True, "downtime": {"windows": ["7d", "24h"]}})
    assert spec.sensors is None
    assert spec.events is not None
    assert spec.downtime is not None
    assert spec.downtime.windows == ("24h", "7d")


def test_unknown_equipment_and_naive_times_are_refused() -> None:
    plant = random_plant(1)
    made = plan(plant, FeatureSpec(), "equipment", at(200), EQUIPMENT)
    with pytest.raises(UnknownId) as unknown:
        equipment_matrix(plant, made, pd.DataFrame({"equipment_id": ["pres-1"], "t": [at(1)]}))
    assert unknown.value.code == "unknown_equipment"
    assert "did you mean 'press-1'?" in unknown.value.message()
    for t in (at(1).tz_localize(None), at(1).tz_localize(None).to_pydatetime()):
        with pytest.raises(SteadylineError) as naive:
            equipment_matrix(plant, made, pd.DataFrame({"equipment_id": ["press-1"], "t": [t]}))
        assert naive.value.code == "naive_time"
    with pytest.raises(SteadylineError) as naive:
        plan(plant, FeatureSpec(), "equipment", at(1).tz_localize(None))
    assert naive.value.code == "naive_time"
    with pytest.raises(SteadylineError) as kind:
        equipment_matrix(plant, plan(plant, FeatureSpec(), "batch", at(9)), pd.DataFrame())
    assert kind.value.code == "wrong_kind"
    with pytest.raises(SteadylineError) as column:
        equipment_matrix(plant, made, pd.DataFrame({"equipment": ["press-1"], "t": [at(1)]}))
    assert column.value.code == "missing_column"


def test_no_rows_make_an_empty_matrix() -> None:
    plant = random_plant(1)
    made = plan(plant, FeatureSpec(), "equipment", at(200))
    asked = pd.DataFrame({"equipment_id": pd.Series(dtype=object), "t": pd.Series(dtype="datetime64[us, UTC]")})
    assert equipment_matrix(plant, made, asked).values.shape == (0, len(made.features))


def test_times_of_another_zone_mean_the_same_moment() -> None:
    plant = random_plant(1)
    made = plan(plant, FeatureSpec(calendar=True), "equipment", at(200))
    asked = pd.DataFrame({"equipment_id": EQUIPMENT, "t": [at(100)] * 3})
    there = asked.assign(t=asked["t"].dt.tz_convert("America/New_York"))
    one, two = equipment_matrix(plant, made, asked), equipment_matrix(plant, made, there)
    assert one.values.tobytes() == two.values.tobytes()
