"""The base rates of units and classes: by hand, in the evidence, and what a verdict makes of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.features.conftest import memory
from training.failure_baselines import CLASS_RATE, UNIT_RATE, rates_of_units
from training.failure_evidence import _beats

NAN = float("nan")


def test_rates_by_hand() -> None:
    plant = memory(equipment=[{"equipment_id": e, "equipment_class": c}
                              for e, c in (("a", "pump"), ("b", "pump"), ("c", "pump"), ("d", "fan"))])
    ids = ["a", "a", "a", "a", "b", "b", "a", "b", "c", "d"]
    before = np.array([True] * 6 + [False] * 4)
    event = np.array([[1, 1], [0, 1], [0, 0], [NAN, NAN], [1, NAN], [1, NAN]], dtype=float)
    weight = np.array([[1, 1], [1, 1], [2, 1], [0, 0], [1, 0], [1, 0]], dtype=float)
    found = rates_of_units(plant, pd.DataFrame({"equipment_id": ids}), before, ~before, event, weight)
    pump = [3 / 6, 2 / 3]
    assert found[UNIT_RATE] == pytest.approx(np.array([[1 / 4, 2 / 3], [1, 2 / 3], pump, pump])), \
        "own rate; no known row at the second horizon: the class; never seen: the class, or all"
    assert found[CLASS_RATE] == pytest.approx(np.array([pump] * 4))


@pytest.mark.parametrize(("auc", "brier", "class_auc", "class_brier", "beats"), [
    (0.85, 0.08, 0.75, 0.1, True), (0.85, 0.1, 0.75, 0.1, False), (0.79, 0.08, 0.75, 0.1, False),
    (0.85, 0.08, 0.75, 0.07, False), (0.85, 0.08, 0.86, 0.1, True),
])
def test_a_model_that_is_no_better_than_its_units_rates_is_undecided(
    auc: float, brier: float, class_auc: float, class_brier: float, beats: bool
) -> None:
    """Not by ranking and not by Brier score; than those of the classes not by Brier score."""
    rivals = {"base_rate": {"auc": 0.5, "brier": 0.12}, "age": {"auc": 0.7, "brier": 0.11},
              UNIT_RATE: {"auc": 0.8, "brier": 0.09}, CLASS_RATE: {"auc": class_auc, "brier": class_brier}}
    assert _beats({"auc": auc, "brier": brier, "baselines": rivals}) is beats
