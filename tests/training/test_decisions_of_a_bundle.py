"""What a trained bundle answers for a planner: comparisons in its reasons, what-if, the threshold of the backtest."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.assemble import equipment_matrix
from models.predict import FailurePredictor
from plant.errors import SteadylineError
from plant.site import Site
from tests.plant.workshop import EVENT, Workshop
from tests.training.small import START, failure_spec, machines
from training import run


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Workshop(tmp_path / "workshop").one(EVENT)


def test_reasons_compare_and_what_if_stays_in_range(site: Site, tmp_path: Path) -> None:
    sensors = {"windows": ["24h"], "statistics": ["mean"], "baseline": "20d", "fleet": True}
    spec = failure_spec(
        features={"sensors": sensors, "maintenance": {"windows": ["30d"]}, "events": False, "downtime": False},
        what_if=["maintenance.since.corrective"], capacity={"orders_per_week": 5},
    )
    plant = machines()
    bundle, evidence, _ = run._make(site, plant, spec, tmp_path / "bundle", lambda _: None)
    assert evidence["card"]["can_be_changed"] == ["maintenance.since.corrective"]
    assert bundle.evidence["scoring"]["threshold"]["order_at"] == evidence["threshold"]["order_at"]
    predictor = FailurePredictor(bundle)
    t = START + pd.Timedelta("150D")
    rows = pd.DataFrame({"equipment_id": [f"pump-{m:02d}" for m in range(12)], "t": t})
    values = equipment_matrix(plant, predictor.plan, rows).values
    scores = predictor.predict(values)
    json.dumps(scores, allow_nan=False)
    names = [f.name for f in predictor.features]
    for i, score in enumerate(scores):
        of_signal = [r for r in score["reasons"] if r["group"] == "vibration"]
        for reason in of_signal:
            own = values[i, names.index("vibration.against_own.24h")]
            assert reason["against_own"] == (None if np.isnan(own) else own)
            assert "against_fleet" in reason
        assert all("against_own" not in r for r in score["reasons"] if r["group"] == "maintenance")
        [change] = score["what_if"] or [None]
        if change is not None:
            low, high = change["range"]
            assert [r["value"] for r in change["risks"]] == pytest.approx(np.linspace(low, high, 5))
            again = predictor.what_if(values[i:i + 1], {change["feature"]: change["risks"][2]["value"]})
            assert again[0, predictor.decision_index] == pytest.approx(change["risks"][2]["probability"])
            with pytest.raises(SteadylineError, match="allowed"):
                predictor.what_if(values[i:i + 1], {change["feature"]: high + 1})
        what = predictor.recommended(score, t)
        assert (what["when"] == "nothing") == (score["decision"]["action"] == "none")
    assert any(r["group"] == "vibration" for s in scores for r in s["reasons"])
