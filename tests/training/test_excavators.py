"""Real orders of excavators: the subsystems that need an order soon, ranked on time after 2008 beside the base rates.

One fit instead of six and cut-offs every three days: the figures of the site's own configuration are on its page.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from models.spec import FailureSpec, load_models
from models.yaml_problems import Duration
from plant.connect import connect
from plant.site import load_site
from training.failure import FailureTraining, train_failure
from training.texts import rules_for

SITE = Path(__file__).parents[2] / "sites" / "excavators"


@pytest.fixture(scope="module")
def trained(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> FailureTraining:
    site = load_site(SITE)
    spec = load_models(SITE)["subsystem_orders"]
    assert isinstance(spec, FailureSpec)
    assert spec.split.test_from is not None
    assert f"{spec.split.test_from.tz_convert('Australia/Perth'):%Y-%m-%d %H:%M}" == "2009-01-01 00:00"
    cutoffs = spec.cutoffs.model_copy(update={"every": Duration("3d")})
    spec = spec.model_copy(update={"cutoffs": cutoffs, "split": spec.split.model_copy(update={"folds": 1})})
    snapshot = connect(site, shared_data / "excavators", tmp_path_factory.mktemp("excavators")).snapshot
    return train_failure(snapshot, spec, rules=rules_for(SITE, spec))


def test_orders_within_14_days_are_ranked(trained: FailureTraining) -> None:
    found = trained.evidence["horizons"]["14d"]
    assert found["auc"] >= 0.86
    assert found["average_precision"] >= 0.56
    assert found["ece"] <= 0.06
    assert 0.14 < found["base_rate"] < 0.19


def test_the_rates_of_the_units_stand_beside_it(trained: FailureTraining) -> None:
    """They rank nearly as well: that is what the figure is worth, and what a verdict has to count with."""
    found = trained.evidence["horizons"]["14d"]
    by = found["baselines"]
    assert by["base_rate"]["auc"] == 0.5
    assert 0.8 < by["class_base_rate"]["auc"] < by["unit_base_rate"]["auc"]
    assert by["unit_base_rate"]["auc"] == pytest.approx(0.895, abs=0.01)
    beats = all(found["brier"] < b["brier"] for b in by.values()) and found["auc"] > by["unit_base_rate"]["auc"]
    assert trained.evidence["beats_baseline"] is beats


def test_nobody_is_judged_where_nobody_looked(trained: FailureTraining) -> None:
    """A and B end before 2009; excavator C has a single order after 2011."""
    rows = trained.matrix.rows.iloc[trained.last.rows]
    assert {e[:11] for e in rows["equipment_id"]} == {f"excavator-{a}" for a in "CDE"}
    assert rows["t"].max().year == 2011
    tested = trained.evidence["labels"]["test"]
    assert tested["censored"]["end_of_data"] == 0
    assert tested["censored"]["not_observed"] > 0
