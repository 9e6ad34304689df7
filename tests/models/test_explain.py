"""Reasons: sums are kept, sentences are true, codes are shown by name."""

from __future__ import annotations

import json

import numpy as np
import pytest

from features.catalogue import Feature
from models.explain import (
    Reference,
    group_contributions,
    number,
    product_of,
    reasons,
    reference_key,
    references_by_product,
)
from models.predict import QualityPredictor
from plant.errors import SteadylineError


def feature(name: str, group: str, meaning: str = "", unit: str = "", categories: tuple[str, ...] = ()) -> Feature:
    return Feature(name, meaning or name, unit, "readings", group, "24h", categories)


FEATURES = (
    feature("vibration.mean.24h", "vibration", "mean of vibration over the last 24 h", "mm/s"),
    feature("vibration.max.24h", "vibration", "highest vibration over the last 24 h", "mm/s"),
    feature("since.corrective", "maintenance", "hours since the last corrective order", "h"),
    feature("class", "equipment", "class of the equipment", "", ("press", "coater")),
)
REFERENCE = Reference(np.array([2.1, 3.0, 10.0, 0.0]), np.array([4.0, 6.0, 900.0, 1.0]))


def test_groups_and_expectation_sum_to_the_raw_score() -> None:
    rng = np.random.default_rng(1)
    contributions = rng.normal(size=(50, 5))
    groups, sums = group_contributions(FEATURES, contributions)
    assert groups == ["vibration", "maintenance", "equipment"]
    assert sums.shape == (50, 4)
    assert np.allclose(sums.sum(axis=1), contributions.sum(axis=1))
    told = reasons(FEATURES, rng.normal(size=(50, 4)), contributions, REFERENCE, most=9)
    assert np.allclose([sum(r.contribution for r in row) for row in told], contributions[:, :-1].sum(axis=1))


def test_a_reason_says_value_unit_usual_range_and_direction() -> None:
    told = reasons(FEATURES, [[7.1, 5.0, np.nan, 1.0]], [[0.9, -0.2, -0.5, 0.1, -3.0]], REFERENCE)[0]
    assert [r.group for r in told] == ["vibration", "maintenance", "equipment"]
    first, second, third = told
    assert first.text == ("mean of vibration over the last 24 h is 7.1 mm/s, usually 2.1 to 4 — raises the risk")
    assert (first.feature, first.value, first.usual_low, first.usual_high) == ("vibration.mean.24h", 7.1, 2.1, 4.0)
    assert (first.direction, first.contribution) == ("raises", pytest.approx(0.7))
    assert second.text == ("maintenance: hours since the last corrective order is not known, usually 10 to 900 h "
                           "— lowers the risk")
    assert second.value is None
    assert third.text == "class of the equipment is coater — raises the risk"
    assert third.value == "coater"
    json.dumps([r.as_dict() for r in told], allow_nan=False)


def test_what_is_usual_is_told_by_product_where_it_has_enough_rows() -> None:
    features = (feature("batch.product", "product", categories=("small", "large", "rare")), feature("weight", "weight"))
    rng = np.random.default_rng(2)
    codes = np.r_[np.zeros(40), np.ones(60), np.full(29, 2.0), np.full(5, np.nan)]
    values = np.column_stack([codes, 100.0 + 400.0 * (codes == 1) + rng.uniform(0, 10, len(codes))])
    by = references_by_product(features, "after:press", values)
    assert set(by) == {"after:press", reference_key("after:press", "small"), reference_key("after:press", "large")}
    small, large = (by[reference_key("after:press", p)] for p in ("small", "large"))
    assert np.allclose([large.low[1], large.high[1]], np.quantile(values[codes == 1, 1], [0.1, 0.9]))
    assert small.high[1] < 110 < 500 < large.low[1] < by["after:press"].high[1]
    assert [product_of(features, row) for row in values[[0, 50, 110, 130]]] == ["small", "large", "rare", ""]
    predictor = object.__new__(QualityPredictor)
    predictor.features, predictor.reference = features, by
    found = [predictor._usual("after:press", row) for row in values[[0, 50, 110, 130]]]
    assert all(a is b for a, b in zip(found, (small, large, by["after:press"], by["after:press"]), strict=True))
    told = reasons(features, values[[0, 50]], np.tile([0.0, 1.0, 0.0], (2, 1)), [small, large])
    assert [(r[0].usual_low, r[0].usual_high) for r in told] == [(u.low[1], u.high[1]) for u in (small, large)]


def test_the_leading_feature_pushes_the_way_its_group_does() -> None:
    told = reasons(FEATURES, [[1.0, 1.0, 1.0, 9.0]], [[0.5, -0.8, 0.0, 0.05, 0.0]], REFERENCE)[0]
    assert told[0].feature == "vibration.max.24h"
    assert told[0].direction == "lowers"
    assert told[1].value is None  # a code without a word
    assert len(told) == 2  # a group without effect is no reason


def test_most_limits_and_other_targets_are_named() -> None:
    told = reasons(FEATURES, np.ones((1, 4)), np.ones((1, 5)), REFERENCE, most=1, target="the expected dissolution")
    assert len(told[0]) == 1
    assert told[0][0].text.endswith("raises the expected dissolution")


def test_reference_is_the_middle_of_training_and_survives_json() -> None:
    values = np.column_stack([np.arange(101.0), np.full(101, np.nan)])
    values[50, 0] = np.nan
    usual = Reference.of(values)
    assert (usual.low[0], usual.high[0]) == pytest.approx((10, 90), abs=1)
    assert np.isnan(usual.low[1])
    again = Reference.from_dict(json.loads(json.dumps(usual.as_dict(), allow_nan=False)))
    assert np.array_equal(again.low, usual.low, equal_nan=True)
    one = (feature("a", "a"), feature("b", "b"))
    assert "usually" not in reasons(one, [[1.0, 2.0]], [[0.0, 1.0, 0.0]], usual)[0][0].text


@pytest.mark.parametrize(("value", "text"), [
    (0.0, "0"), (7.1, "7.1"), (0.01234, "0.0123"), (1240.4, "1,240"), (-3.14159, "-3.14"), (100.0, "100"),
    (1e-7, "1.00e-07"), (4.0, "4"), (123456.0, "123,456"),
])
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text


def test_shapes_are_checked() -> None:
    with pytest.raises(SteadylineError, match="columns"):
        reasons(FEATURES, np.ones((1, 4)), np.ones((1, 4)), REFERENCE)
    with pytest.raises(SteadylineError, match="shape"):
        reasons(FEATURES, np.ones((2, 4)), np.ones((1, 5)), REFERENCE)
