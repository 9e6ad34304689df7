"""The leakage audit of quality models, and its checks of the split and of the end of the data."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from models.spec import parse_model_spec
from plant.errors import SteadylineError
from plant.snapshot import Frames
from tests.training.small import DAY, START, batches, quality_spec
from training.audit_countdown import fitted
from training.audit_finding import Finding, concluded, require_passed
from training.audit_groups import embargo, require_embargo, same_groups, twins
from training.audit_label import auc
from training.audit_target import repeats
from training.quality import audit_features, prepare_quality, train_quality

RNG = np.random.default_rng(4)


def with_step_value(value: Callable[[pd.Series], np.ndarray]) -> Frames:
    """The small plant with one more recorded value of the step, made of the laboratory's result."""
    plant = batches()
    result = plant.table("batch_steps")["batch_id"].map(plant.table("lab_results").set_index("batch_id")["value"])
    steps = plant.table("batch_steps").assign(label_copy=value(result))
    return Frames({**plant.tables, "batch_steps": steps})


COPIES: dict[str, Callable[[pd.Series], np.ndarray]] = {
    "equal": lambda y: y.to_numpy(),
    "in another unit": lambda y: (32 + 1.8 * y).to_numpy(),
    "upside down": lambda y: (-3 * y).to_numpy(),
    "rounded": lambda y: y.round(1).to_numpy(),
    "noise of 2 %": lambda y: (y + RNG.normal(0, 0.02 * y.std(), len(y))).to_numpy(),
    "2 % wrong": lambda y: np.where(RNG.random(len(y)) < 0.02, RNG.uniform(90, 110, len(y)), y),
    "half of the batches": lambda y: np.where(np.arange(len(y)) % 2, y, np.nan),
    "half of them, else noise": lambda y: np.where(np.arange(len(y)) % 2, y, RNG.normal(99, 1, len(y))),
}


@pytest.mark.parametrize("copy", list(COPIES))
def test_a_step_value_that_repeats_the_result_makes_training_fail(copy: str) -> None:
    with pytest.raises(SteadylineError) as refused:
        train_quality(with_step_value(COPIES[copy]), quality_spec())
    assert refused.value.code == "leakage"
    assert [d.split(" (")[0] for d in refused.value.details] == ["step.mix.value.label_copy"]
    assert "repeats the result of assay" in refused.value.details[0]


@pytest.mark.parametrize("noise", [0.15, 0.3, 1.0])
def test_a_step_value_that_goes_with_the_result_is_honest(noise: float) -> None:
    plant = with_step_value(lambda y: (y + RNG.normal(0, noise * y.std(), len(y))).to_numpy())
    ready = prepare_quality(plant, quality_spec())
    audit = audit_features(plant, ready)
    assert audit.passed, audit.findings
    assert audit.strongest[0]["measure"] == "squared rank correlation"


def test_a_countdown_read_on_the_equipment_of_a_step() -> None:
    plant = batches()
    steps = plant.table("batch_steps").assign(equipment_id=[f"mixer-{i % 3}" for i in range(150)])
    orders, readings = [], []
    for m in range(3):
        at = START + pd.to_timedelta(np.cumsum(RNG.uniform(6, 14, 25)), unit="D").floor("h")
        orders.append(pd.DataFrame({"work_order_id": [f"{m}/{i}" for i in range(25)], "equipment_id": f"mixer-{m}",
                                    "kind": "preventive", "opened_at": at, "closed_at": at + pd.Timedelta("2h")}))
        ts = pd.date_range(START, periods=160 * 24, freq="1h")
        left = np.array([(at[at >= t].min() - t) / DAY if (at >= t).any() else np.nan for t in ts])
        readings.append(pd.DataFrame({"equipment_id": f"mixer-{m}", "signal": "days_until_next_preventive_order",
                                      "ts": ts, "value": left}).dropna())
    equipment = pd.DataFrame({"equipment_id": [f"mixer-{m}" for m in range(3)], "equipment_class": "mixer"})
    leaking = Frames({**plant.tables, "batch_steps": steps, "work_orders": pd.concat(orders, ignore_index=True),
                      "readings": pd.concat(readings, ignore_index=True), "equipment": equipment})
    spec = quality_spec(features={"batches": {"step_readings": {"statistics": ["mean"]}}}, gates=["after:mix"])
    with pytest.raises(SteadylineError) as refused:
        train_quality(leaking, spec)
    assert [d.split(" (")[0] for d in refused.value.details] == ["step.mix.days_until_next_preventive_order.mean"]
    honest = Frames({k: v for k, v in leaking.tables.items() if k != "readings"})
    assert audit_features(honest, prepare_quality(honest, spec)).passed


@pytest.mark.parametrize(("used_in", "told"), [(15, {"power"}), (1000, {"power", "lots"})])
def test_what_passed_is_evidence_and_lots_on_both_sides_are_told(used_in: int, told: set[str]) -> None:
    """98 of 150 batches come before the test: one lot reaches over it, or the only lot is in all of them."""
    plant = batches()
    lots = plant.table("genealogy").assign(material_lot=[f"L{i // used_in}" for i in range(150)])
    split = {"test_share": 0.35, "folds": 1}
    evidence = train_quality(Frames({**plant.tables, "genealogy": lots}), quality_spec(split=split)).evidence["audit"]
    assert {c["check"] for c in evidence["checks"]} == {
        "future", "rows", "countdown", "target echo", "overlap", "serving", "power"}
    assert {f["check"] for f in evidence["findings"]} == told
    assert {f["verdict"] for f in evidence["findings"]} == {"warning"}
    assert evidence["passed"] is True


def test_labels_beyond_the_fold_and_batches_on_both_sides_block() -> None:
    origin = START + 10 * DAY
    times = pd.DatetimeIndex([origin - 2 * DAY, origin - DAY])
    assert embargo(times, pd.DataFrame({"duration_h": [48.0, 24.0]}), origin) == []
    late = pd.DataFrame({"duration_h": [48.0, 25.0]})
    assert embargo(times, late, origin)[0].measured == 0.5
    with pytest.raises(SteadylineError, match="1 training labels look beyond"):
        require_embargo(times, late, origin)
    assert same_groups(pd.Series(["a", "b"]), pd.Series(["c"]), "batches") == []
    assert "b among them" in same_groups(pd.Series(["a", "b"]), pd.Series(["b", "c"]), "batches")[0].reason


def test_equal_rows_on_both_sides_are_told() -> None:
    values = RNG.normal(size=(20, 6))
    values[15] = values[3]
    labels = np.zeros(20)
    found = twins(values, labels, np.arange(10), np.arange(10, 20))
    assert [f.measured for f in found] == [0.1]
    labels[15] = 1
    assert twins(values, labels, np.arange(10), np.arange(10, 20)) == []
    assert twins(np.zeros((20, 6)), np.zeros(20), np.arange(10), np.arange(10, 20)) == [], "nothing is known of them"


def test_the_error_names_each_feature_once_a_line() -> None:
    found = [Finding("countdown", "a.mean", 1.0, 0.9, "counts down"), Finding("future", "b", 1.0, 0.0, "moves"),
             Finding("power", "c", 0.99, 0.9, "strong", "warning")]
    with pytest.raises(SteadylineError) as refused:
        require_passed(concluded(found, {}, [], [], 3, 10), "m")
    assert refused.value.details == ["a.mean (countdown): counts down", "b (future): moves"]
    passed = concluded(found, {"a.*": "known ahead by contract", "b": "it is a test"}, [], [], 3, 10)
    require_passed(passed, "m")
    assert [f.verdict for f in passed.findings] == ["accepted", "accepted", "warning"]


@pytest.mark.parametrize(("accept", "words"), [({"a": "no"}, "three words"), ({"a": ""}, "three words")])
def test_an_acceptance_needs_a_reason(accept: dict[str, str], words: str) -> None:
    raw = quality_spec().as_dict()
    spec, problems = parse_model_spec({k: v for k, v in raw.items() if k != "split"} | {"audit": {"accept": accept}})
    assert spec is None
    assert any("audit.accept" in p and words in p for p in problems), problems


def test_area_under_the_curve_is_the_share_of_pairs_in_order() -> None:
    a, b = np.round(RNG.normal(0.5, 1, (40, 3)), 1), np.round(RNG.normal(0, 1, (50, 3)), 1)
    a[::7, 1], b[::5, 1] = np.nan, np.nan
    for j, got in enumerate(auc(a, b)):
        x, y = a[np.isfinite(a[:, j]), j][:, None], b[np.isfinite(b[:, j]), j][None, :]
        assert got == pytest.approx(((x > y) + 0.5 * (x == y)).mean())


def test_a_fit_by_medians_follows_a_curve_and_not_a_few_wild_values() -> None:
    x = np.sort(RNG.uniform(0, 10, 2000))
    y = x**2
    y[::50] = 1000
    assert np.quantile(np.abs(fitted(x, y) - x**2), 0.95) < 1.5
    assert len(repeats(x[:, None], 3 * x + 1)) == 1
    assert repeats(RNG.normal(size=(500, 4)), RNG.normal(size=500)) == []
