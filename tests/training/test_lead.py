"""A lead time in training: the risk told is that of [t + lead, t + horizon), and censoring does not shift it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.labels import failure_labels, label_report
from models.hazard import HazardModel
from tests.training.small import failure_spec, machines
from training.failure import train_failure
from training.failure_evidence import events_within, hours_until

LEAD_H = 12.0


def test_the_risk_is_of_failing_after_the_lead_given_survival_to_it() -> None:
    """Constant hazard, independent censoring: P(fails in [lead, h) | not before) = 1 - exp(-rate (h - lead))."""
    rng, rate, n = np.random.default_rng(5), 1 / 60, 40_000
    fails, ends = rng.exponential(1 / rate, n), rng.exponential(50.0, n)
    observed = fails <= ends
    soon = observed & (fails < LEAD_H)
    duration = np.where(soon, 0.0, np.minimum(fails, ends))
    mode = np.where(observed & ~soon, 0, -1)
    converged = {"num_leaves": 4, "learning_rate": 0.1, "feature_fraction": 1.0, "bagging_fraction": 1.0}
    edges = (0.0, 6.0, LEAD_H, 18.0, 24.0, 36.0, 48.0, 60.0, 72.0)
    model = HazardModel(edges, converged, 150).fit(rng.integers(0, 2, (n, 1)), duration, mode)
    risk = model.predict_risk(np.zeros((1, 1)), (LEAD_H, 24.0, 72.0))[0, 0]
    expected = 1 - np.exp(-rate * (np.array([LEAD_H, 24.0, 72.0]) - LEAD_H))
    np.testing.assert_allclose(risk, expected, atol=0.01)


def test_outcomes_are_those_of_the_window_after_the_lead() -> None:
    """Against the definition, row by row: a first failure in [t + lead, t + h); rows that failed sooner are unknown."""
    plant, spec = machines(), failure_spec(labels={"lead": "12h"})
    orders = plant.table("work_orders")
    times = pd.date_range("2025-01-05", "2025-06-30", freq="5h", tz="UTC")
    cutoffs = pd.DataFrame([(e, t) for e in ("pump-00", "pump-07") for t in times], columns=["equipment_id", "t"])
    labels = failure_labels(plant, spec.labels, cutoffs)
    watched = hours_until(pd.DatetimeIndex(cutoffs["t"]), plant.data_end)
    outcome, _ = events_within(labels, (24.0, 72.0), watched)
    seen = set()
    for (equipment, t), row in zip(cutoffs.itertuples(index=False), outcome, strict=True):
        ahead = orders.loc[(orders["equipment_id"] == equipment) & (orders["opened_at"] >= t), "opened_at"]
        first = (ahead.min() - t) / pd.Timedelta(hours=1) if len(ahead) else np.inf
        for h, told in zip((24.0, 72.0), row, strict=True):
            unknown = first < LEAD_H or (plant.data_end - t) / pd.Timedelta(hours=1) < h
            np.testing.assert_equal(told, np.nan if unknown else float(first < h))
            seen.add(str(told))
    assert seen == {"nan", "0.0", "1.0"}


def test_a_model_with_a_lead_tells_what_its_labels_are() -> None:
    plain, trained = train_failure(machines(), failure_spec()), train_failure(
        machines(), failure_spec(labels={"lead": "12h"}))
    edges = trained.last.model.edges_h
    assert LEAD_H in edges
    assert trained.last.model.predict_risk(trained.matrix.values, (LEAD_H,)).max() < 0.05, "nothing is told sooner"
    for training, spec in ((plain, failure_spec()), (trained, failure_spec(labels={"lead": "12h"}))):
        told = training.evidence["labels"]
        assert set(told) == {"train", "test"}
        rows = np.concatenate([f.rows for f in training.fits])
        tested = training.matrix.rows[["equipment_id", "t"]].iloc[rows]
        assert told["test"] == label_report(machines(), spec.labels, tested).as_dict()
        for part in told.values():
            assert part["positive"] + sum(part["censored"].values()) == part["rows"]
            assert set(part["failures"]) == {"bearing", "leak"}
    assert plain.evidence["labels"]["train"]["censored"]["lead"] == 0
    assert trained.evidence["labels"]["train"]["censored"]["lead"] > 0
    assert trained.evidence["horizons"]["72h"]["auc"] > 0.9


def test_the_age_of_a_machine_without_orders_is_told_by_its_events() -> None:
    """The baseline of age reads the same list of failures as the labels do."""
    plant = machines()
    orders = plant.table("work_orders")
    events = pd.DataFrame({"event_id": orders["work_order_id"], "equipment_id": orders["equipment_id"],
                           "ts": orders["opened_at"], "kind": "error", "code": orders["failure_mode"]})
    listed = type(plant)({**{k: v for k, v in plant.tables.items() if k != "work_orders"}, "events": events})
    spec = failure_spec(labels={"failure": {"kinds": [], "events": {"kind": "error"}}},
                        features={**failure_spec().as_dict()["features"], "maintenance": False})
    told = train_failure(listed, spec).evidence["horizons"]["72h"]["baselines"]
    same = train_failure(plant, failure_spec()).evidence["horizons"]["72h"]["baselines"]
    assert told["age"] == pytest.approx(same["age"])
    assert told["age"]["auc"] > 0.7
