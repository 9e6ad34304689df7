"""Texts in a training: the site's rules reach it, one model reads features and labels, fitted before the first fold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.text_fit import fit_before
from features.text_rules import Rule, shipped_rules, text_rules
from models.spec import QualitySpec
from plant.errors import SiteError
from plant.snapshot import Frames
from tests.training.small import DAY, START, failure_spec, machines, quality_spec
from training.failure import failure_plan, train_failure
from training.texts import rules_for

SAID = {"leak": ("oil leak at pump", "pump leaking", "seal undicht"), "bearing": ("bearing seized", "noisy bearing")}
WHERE = ("inlet", "outlet", "north", "south", "upper", "lower", "left", "right", "hall", "cellar")
FIRST = START + 140 * DAY  # the first fold of `failure_spec` begins
FEATURES = {
    "sensors": {"windows": ["24h"], "statistics": ["mean"]}, "events": False, "downtime": False,
    "maintenance": {"windows": ["30d"], "fill_codes": 0.8}, "texts": {"windows": ["30d"]},
}


def pumps(coded: float = 0.6, seed: int = 1) -> Frames:
    """Pumps whose orders all carry a text, and of which `coded` also a code."""
    plant, rng = machines(count=30), np.random.default_rng(seed)
    orders = plant.table("work_orders").copy()
    words = [f"{rng.choice(WHERE)} {rng.choice(SAID[mode])}" for mode in orders["failure_mode"]]
    keep = rng.random(len(orders)) < coded
    orders = orders.assign(text=words, failure_mode=[m if k else None for m, k in
                                                     zip(orders["failure_mode"], keep, strict=True)])
    return Frames({**{n: plant.table(n) for n in ("equipment", "readings")}, "work_orders": orders})


def filled_spec(**changes: Any) -> Any:
    return failure_spec(features=FEATURES, labels={"failure": {"fill_codes": 0.8}}, **changes)


def test_failures_without_a_code_get_the_mode_of_their_text() -> None:
    plant = pumps()
    plain, filled = train_failure(plant, failure_spec()), train_failure(plant, filled_spec())
    assert "unknown" in plain.modes
    assert filled.modes == ("bearing", "leak")
    before, after = plain.evidence["labels"], filled.evidence["labels"]
    for part in ("train", "test"):
        assert before[part]["positive"] == after[part]["positive"], "all modes are predicted: only their names change"
        assert before[part]["failures"]["unknown"] > 10
        assert set(after[part]["failures"]) == {"bearing", "leak"}
        assert sum(before[part]["failures"].values()) == sum(after[part]["failures"].values())
    assert "texts" not in before
    orders = plant.table("work_orders")
    learnt = int(((orders["closed_at"] < FIRST) & orders["failure_mode"].notna()).sum())
    assert after["texts"] == {"fitted_before": FIRST.isoformat(), "coded_orders": learnt, "note": ""}
    assert [n for n in (f.name for f in filled.plan.features) if n.startswith("text.")]


def test_one_model_reads_features_and_labels_and_has_seen_nothing_of_the_test_period() -> None:
    """Other codes and texts from the first fold on give the same model, and the same fit of the first fold."""
    plant = pumps()
    trained = train_failure(plant, filled_spec())
    assert trained.plan.vocabulary.texts == fit_before(plant, FIRST).to_json()
    orders = plant.table("work_orders").copy()
    late = (orders["closed_at"] >= FIRST).to_numpy()
    swapped = {"leak": "bearing", "bearing": "leak"}
    orders.loc[late, "failure_mode"] = [swapped.get(m) for m in orders.loc[late, "failure_mode"]]
    changed = Frames({**{n: plant.table(n) for n in ("equipment", "readings")}, "work_orders": orders})
    other = train_failure(changed, filled_spec())
    assert json.dumps(other.plan.to_json()) == json.dumps(trained.plan.to_json())
    before = (trained.matrix.rows["t"] < FIRST).to_numpy()
    np.testing.assert_array_equal(other.matrix.values[before], trained.matrix.values[before])
    rows = trained.matrix.values[before][::50]
    np.testing.assert_array_equal(other.fits[0].model.predict_survival(rows),
                                  trained.fits[0].model.predict_survival(rows))
    assert other.evidence["labels"]["texts"] == trained.evidence["labels"]["texts"]


def test_labels_alone_read_with_a_model_of_their_own() -> None:
    plant = pumps()
    trained = train_failure(plant, failure_spec(labels={"failure": {"fill_codes": 0.8}}))
    assert trained.modes == ("bearing", "leak")
    assert trained.plan.vocabulary.texts == {}
    assert trained.plan == train_failure(plant, failure_spec()).plan
    of_plan = fit_before(plant, FIRST).head("failure_mode")
    assert trained.evidence["labels"]["texts"]["coded_orders"] == of_plan.examples


def test_the_rules_of_a_site_are_read_where_a_model_reads_texts(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("site: s\ntitle: S\n", encoding="utf-8")
    (tmp_path / "text_rules.yaml").write_text("rules: {failure_mode: {leak: sifft}}\n", encoding="utf-8")
    assert rules_for(tmp_path, failure_spec()) is None
    assert isinstance(quality_spec(), QualitySpec)
    assert rules_for(tmp_path, quality_spec()) is None
    for spec in (failure_spec(features={"texts": True}), failure_spec(features={"maintenance": {"fill_codes": 0.8}}),
                 failure_spec(labels={"failure": {"fill_codes": 0.8}})):
        found = rules_for(tmp_path, spec)
        assert found is not None
        assert Rule("failure_mode", "leak", "sifft", 2.0) in found.rules
    (tmp_path / "text_rules.yaml").write_text("rules: 3\n", encoding="utf-8")
    assert rules_for(tmp_path, failure_spec()) is None, "a model that reads no text does not stumble over it"
    with pytest.raises(SiteError):
        rules_for(tmp_path, filled_spec())


def test_the_plan_is_made_with_the_rules() -> None:
    plant = pumps(coded=0.0)
    orders = plant.table("work_orders").assign(text="sifft")
    told = Frames({**{n: plant.table(n) for n in ("equipment", "readings")}, "work_orders": orders})
    own = text_rules([*shipped_rules().rules, Rule("failure_mode", "leak", "sifft", 9.0)])
    assert failure_plan(told, filled_spec(), own).vocabulary.text_modes == ("leak",)
    assert train_failure(told, filled_spec(), rules=own).modes == ("leak",)
    assert failure_plan(told, filled_spec()).vocabulary.text_modes == ()
    assert pd.Series([f.name for f in failure_plan(told, filled_spec(), own).features]).is_unique
